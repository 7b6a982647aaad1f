import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { defineConfig } from "vitest/config";

// Booting a guest takes a minute: only when asked for (npm run guest), and in CI.
const guest = process.env["DAXKIT_GUEST"] !== undefined || process.env["CI"] !== undefined;
const named = process.argv.slice(2).some((argument) => argument.includes("test/"));

export default defineConfig({
  cacheDir: ".cache/vite",
  // What the examples import is what is tested, not what was built last.
  resolve: { alias: { "daxkit/prove": resolve(import.meta.dirname, "src/crash/prove.ts") } },
  test: {
    pool: "threads",
    maxWorkers: Math.max(2, availableParallelism()),
    // A busy machine must not fail a test that would have passed.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
    projects: [
      {
        extends: true,
        test: { name: "host", include: ["test/**/*.test.ts"], exclude: ["test/guest/**"] },
      },
      ...(guest
        ? [
            {
              extends: true as const,
              // After the others and one at a time: the emulator takes a whole core.
              test: {
                name: "guest",
                include: ["test/guest/*.test.ts"],
                // A hook boots several guests.
                hookTimeout: 900_000,
                maxWorkers: 1,
                sequence: { groupOrder: 1 },
              },
            },
          ]
        : []),
    ],
    // Tests that were asked for by name are all run.
    ...(named ? {} : { runner: "./test/support/part-runner.ts" }),
    reporters: ["default", "./scripts/count-reporter.ts"],
  },
});
