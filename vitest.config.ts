import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { defineConfig } from "vitest/config";
import { BUILT, builtModules } from "./test/support/built-modules.ts";
import LongFirst from "./test/support/long-first.ts";

// Booting a guest takes a minute: only when asked for (npm run guest), and in CI.
const guest = process.env["DAXKIT_GUEST"] !== undefined || process.env["CI"] !== undefined;
// What takes a guest more than a minute, and is no part of CI.
const longest = process.env["DAXKIT_LONG"] === undefined ? ["test/guest/dmsetup.test.ts"] : [];
const named = process.argv.slice(2).some((argument) => argument.includes("test/"));
const measured = process.env["DAXKIT_COSTS"] !== undefined;
// Tests that were asked for by name are all run.
const runner = named ? {} : { runner: "./test/support/part-runner.ts" };

// Not by hand: what was edited is tested, not what was built last.
const built = process.env["DAXKIT_TEST_BUILT"] !== undefined;
const entry = built ? "dist/node/prove.js" : "src/node/prove.ts";

const PURE = ["unit", "property", "conformance", "golden"].map((kind) => `test/${kind}/*.test.ts`);

export default defineConfig({
  cacheDir: ".cache/vite",
  plugins: built ? [builtModules()] : [],
  // What the examples import is what is tested.
  resolve: { alias: { "daxkit/prove": resolve(import.meta.dirname, entry) } },
  test: {
    // A process that has run many tests takes 50 ms to start another one: fork copies its tables.
    pool: "forks",
    // Tests wait for programs that they start: a core has time for more than one.
    maxWorkers: Math.max(2, Math.ceil(1.5 * availableParallelism())),
    sequence: { sequencer: LongFirst },
    ...(built ? { server: { deps: { external: [BUILT] } } } : {}),
    // A busy machine must not fail a test that would have passed.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    expect: { poll: { timeout: 60_000 } },
    projects: [
      {
        extends: true,
        // They change nothing of their process: what they import is made once for all of them.
        test: {
          name: "pure",
          include: PURE,
          // What a test costs is measured in a process that holds no other.
          isolate: measured,
          restoreMocks: true,
        },
      },
      {
        extends: true,
        test: {
          name: "host",
          include: ["test/**/*.test.ts"],
          exclude: ["test/guest/**", ...PURE],
        },
      },
      ...(guest
        ? [
            {
              extends: true as const,
              test: {
                name: "guest",
                include: ["test/guest/*.test.ts"],
                exclude: longest,
                // A hook boots several guests.
                hookTimeout: 900_000,
              },
            },
          ]
        : []),
    ],
    ...(measured ? { runner: "./test/support/cost-runner.ts", maxWorkers: 1 } : runner),
    reporters: ["default", "./scripts/count-reporter.ts"],
  },
});
