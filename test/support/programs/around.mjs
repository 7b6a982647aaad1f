/* oxlint-disable */
import fs from "node:fs";
import { execFileSync, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import "node:wasi";
const D = process.argv[2];
fs.writeFileSync(process.argv[3], "x");
fs.readFileSync(process.argv[3]);
execFileSync("true");
await new Promise((r) => spawn("true", ["a"]).on("close", r));
try {
  createRequire(import.meta.url)(process.argv[4]);
} catch {}
const w = new Worker(new URL("worker.cjs", import.meta.url), { argv: [D] });
const code = await new Promise((r) => w.on("message", r));
if (code !== "ENOTSUP") throw new Error("worker " + code);
