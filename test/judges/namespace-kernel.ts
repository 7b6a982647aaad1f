/**
 * Calls of a stream, made by this machine's kernel on a mounted copy of an image.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DataCall } from "../support/contents-stream.ts";
import { type Call, GIVEN } from "../support/namespace-stream.ts";
import { places, scratch } from "../support/scratch.ts";
import { withLoopMount } from "./loop-mount.ts";

const SCRIPT = join(import.meta.dirname, "namespace-kernel.py");

/** What the kernel's calls gave, and what was there afterwards. */
export interface KernelReport {
  readonly results: readonly string[];
  readonly tree: readonly unknown[];
  readonly image: Uint8Array;
}

/** Makes the calls; `crash` gives the image as a crash leaves it. */
export function callKernel(
  image: Uint8Array,
  calls: readonly (Call | DataCall)[],
  crash = false,
): KernelReport {
  const path = scratch(places["tmpfs"] ?? places["disk"], "kernel.img");
  writeFileSync(path, image);
  const folder = `${path}.mount`;
  mkdirSync(folder);
  const report = withLoopMount(path, folder, "noatime", () => {
    const input = JSON.stringify({ calls, given: GIVEN, crash });
    const output = execFileSync("python3", [SCRIPT, folder], { input, maxBuffer: 2 ** 28 });
    return JSON.parse(output.toString()) as Omit<KernelReport, "image">;
  });
  return { ...report, image: new Uint8Array(readFileSync(path)) };
}
