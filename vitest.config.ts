import { resolve } from "node:path";
import { defineConfig } from "vitest/config";

export default defineConfig({
  cacheDir: ".cache/vite",
  // What the examples import is what is tested, not what was built last.
  resolve: { alias: { "daxkit/prove": resolve(import.meta.dirname, "src/crash/prove.ts") } },
  test: {
    include: ["test/**/*.test.ts"],
    pool: "threads",
    maxWorkers: 2,
    // A busy machine must not fail a test that would have passed.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    reporters: ["default", "./scripts/count-reporter.ts"],
  },
});
