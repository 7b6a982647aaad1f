/**
 * `npm run bench [NAME...]`: runs each bench file in a process of its own (closures of different
 * cases that share a process spoil each other's inlining) and prints what they report.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { Result } from "./measure.ts";

const folder = import.meta.dirname;
const wanted = process.argv.slice(2);
const files = readdirSync(folder)
  .filter((name) => name.endsWith(".bench.ts"))
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)));

function resultsOf(file: string): Result[] {
  const flags = ["--import", "tsx", "--expose-gc"];
  const child = spawnSync(process.execPath, [...flags, join(folder, file)], {
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
  });
  if (child.status !== 0) throw new Error(`${file} ended with status ${child.status}`);
  return child.stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Result);
}

let missed = 0;
for (const file of files) {
  process.stdout.write(`\n${basename(file, ".bench.ts")}\n`);
  for (const { what, figure, target, met, detail } of resultsOf(file)) {
    if (!met) missed++;
    process.stdout.write(`  ${met ? "ok  " : "MISS"} ${what}: ${figure} (target ${target})\n`);
    process.stdout.write(`       ${detail}\n`);
  }
}
process.stdout.write(`\n${missed === 0 ? "all targets met" : `${missed} targets missed`}\n`);
process.exitCode = missed === 0 ? 0 : 1;
