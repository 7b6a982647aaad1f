/**
 * Calls of a stream, made by this machine's kernel on a mounted copy of an image.
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdirSync, openSync, readFileSync, readSync } from "node:fs";
import { writeSync } from "node:fs";
import { join } from "node:path";
import type { DataCall } from "../support/contents-stream.ts";
import { type Call, GIVEN } from "../support/namespace-stream.ts";
import { places, scratch } from "../support/scratch.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { loopMount, loopUnmount, withLoopMount } from "./loop-mount.ts";

const SCRIPT = join(import.meta.dirname, "namespace-kernel.py");

/** What the kernel's calls gave, and what was there afterwards. */
export interface KernelReport {
  readonly results: readonly string[];
  /** The tree, as `linesOfOurs` words it. */
  readonly lines: readonly string[];
  readonly image: Uint8Array;
}

/** How the kernel is asked. */
export interface KernelOptions {
  readonly crash?: "committed" | "now";
  /** Options of mount(8): `noatime` unless given. */
  readonly mount?: string;
}

/**
 * Makes the calls; `crash` gives the image as a crash leaves it, with all of the journal or with
 * what there happened to be, and then without a tree.
 */
export function callKernel(
  image: Uint8Array,
  calls: readonly (Call | DataCall)[],
  { crash, mount = "noatime" }: KernelOptions = {},
): KernelReport {
  const path = scratch(places["tmpfs"] ?? places["disk"], "kernel.img");
  writeSparse(path, image);
  const folder = `${path}.mount`;
  mkdirSync(folder);
  const report = withLoopMount(path, folder, mount, () => {
    const input = JSON.stringify({ calls, given: GIVEN, crash });
    const output = execFileSync("python3", [SCRIPT, folder], { input, maxBuffer: 2 ** 28 });
    return JSON.parse(output.toString()) as { results: string[]; tree: unknown[] };
  });
  const lines = report.tree.map((line) => JSON.stringify(line)).toSorted();
  return { results: report.results, lines, image: new Uint8Array(readFileSync(path)) };
}

/** A kernel that is asked call by call. */
export interface AskedKernel {
  /** What a call gives. */
  ask(call: Call | DataCall): string;
  /** Unmounts; the image as it is then. */
  end(): Promise<Uint8Array>;
}

/** Mounts a copy of an image for calls one by one; `end` has to be called. */
export function askKernel(image: Uint8Array, options = "noatime"): AskedKernel {
  const path = scratch(places["tmpfs"] ?? places["disk"], "kernel.img");
  writeSparse(path, image);
  const folder = `${path}.mount`;
  mkdirSync(folder);
  const [questions, answers] = [`${path}.questions`, `${path}.answers`];
  execFileSync("mkfifo", [questions, answers]);
  loopMount(path, folder, options);
  const pipes = [questions, answers].map((fifo) => openSync(fifo, constants.O_RDWR));
  const [input, output] = pipes as [number, number];
  const child = spawn("python3", [SCRIPT, folder, "--ask"], { stdio: [input, output, "inherit"] });
  const reader = new LineReader(output);
  return {
    ask(call) {
      writeSync(input, `${JSON.stringify(call)}\n`);
      return reader.next();
    },
    async end() {
      const ended = once(child, "exit");
      child.kill();
      await ended;
      for (const pipe of pipes) closeSync(pipe);
      loopUnmount(folder);
      return new Uint8Array(readFileSync(path));
    },
  };
}

/** Lines of a pipe, waited for. */
class LineReader {
  readonly #fd: number;
  readonly #piece = new Uint8Array(4096);
  #text = "";

  constructor(fd: number) {
    this.#fd = fd;
  }

  next(): string {
    for (;;) {
      const stop = this.#text.indexOf("\n");
      if (stop >= 0) {
        const line = this.#text.slice(0, stop);
        this.#text = this.#text.slice(stop + 1);
        return line;
      }
      const got = readSync(this.#fd, this.#piece);
      this.#text += Buffer.from(this.#piece.subarray(0, got)).toString();
    }
  }
}
