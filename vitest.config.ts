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
    testTimeout: 30_000,
    reporters: ["default", "./scripts/count-reporter.ts"],
  },
});
