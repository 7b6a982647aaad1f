/**
 * How often a page of a mapped file faults again, after it was written back, frozen, punched or
 * written by a call: what the kernel's trace events say of the same steps is the judge.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type DaxTraceEvent, traceDaxTo } from "../../src/dax/trace-events.ts";
import { Prng } from "../../src/lib/prng.ts";
import type { FileTree } from "../../src/vfs/file-tree.ts";
import { freezeFilesystem, thawFilesystem } from "../../src/vfs/freezing.ts";
import type { Mapping } from "../../src/vfs/mapping.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import { daxTree } from "../support/dax-mounted.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { guestTools, runGuest } from "./guest.ts";

const PAGE = 4096;
const PAGES = 12;
const STEPS = 16;
const SCENARIOS = 60;

/** Offsets and lengths are pages. */
interface Step {
  readonly call: string;
  readonly at: number;
  readonly length: number;
}

interface Scenario {
  readonly name: string;
  readonly steps: readonly Step[];
}

const ACCESSES = "mwrite mwrite mwrite mread mread msync fsync freeze";
/** What gives a file blocks, and leaves those where they are that it has. */
const STILL = `${ACCESSES} pwrite falloc`.split(" ");
/** What takes blocks away. */
const MOVING = `${ACCESSES} pwrite falloc fpunch fzero truncate`.split(" ");

function scenario(prng: Prng, name: string, calls: readonly string[]): Scenario {
  let size = PAGES;
  const steps: Step[] = [];
  while (steps.length < STEPS) {
    const call = calls[prng.below(calls.length)] as string;
    const at = prng.below(size);
    const length = call.startsWith("m") ? 1 : 1 + prng.below(Math.min(3, size - at));
    if (call !== "truncate") steps.push({ call, at, length });
    else {
      // Cut, and then as long as before: an access behind the end would end the program.
      steps.push({ call, at: at + 1, length: 0 }, { call, at: PAGES, length: 0 });
      size = PAGES;
    }
  }
  return { name, steps };
}

/** A scenario as xfs_io is told it. */
function line({ name, steps }: Scenario): string {
  const words = steps.flatMap(({ call, at, length }) => {
    const bytes = `${at * PAGE} ${length * PAGE}`;
    if (call === "fsync") return "fsync";
    if (call === "freeze") return ["freeze", "thaw"];
    if (call === "truncate") return `truncate ${at * PAGE}`;
    if (call === "msync") return `msync -s ${bytes}`;
    if (call === "mread" || call === "mwrite") return `${call} ${at * PAGE} 64`;
    return `${call} ${call === "pwrite" ? "-q " : ""}${bytes}`;
  });
  const all = [`truncate ${PAGES * PAGE}`, `mmap -rw 0 ${PAGES * PAGE}`, ...words];
  return `${name} ${all.map((one) => `-c '${one}'`).join(" ")}`;
}

const MODES = { falloc: "allocate", fpunch: "punch", fzero: "zero" } as const;

function doStep(tree: FileTree, file: OpenFile, mapping: Mapping, step: Step): void {
  const { call, at, length } = step;
  const { filesystem } = tree.mounts.root;
  if (call === "mread") mapping.copyOut(at * PAGE, new Uint8Array(64));
  else if (call === "mwrite") mapping.copyIn(at * PAGE, new Uint8Array(64).fill(88));
  else if (call === "msync") mapping.flush(at * PAGE, length * PAGE);
  else if (call === "fsync") file.sync();
  else if (call === "truncate") file.truncate(at * PAGE);
  else if (call === "pwrite") file.pwrite(new Uint8Array(length * PAGE).fill(205), at * PAGE);
  else if (call === "freeze") {
    freezeFilesystem(filesystem);
    thawFilesystem(filesystem);
  } else file.fallocate(MODES[call as keyof typeof MODES], at * PAGE, length * PAGE);
}

/** A fault of a page: `3w` for a store to page 3. What was written back: `3!`. */
function ours(tree: FileTree, { name, steps }: Scenario): string[] {
  const file = tree.open(`/${name}`, { create: true, access: "readwrite" });
  file.truncate(PAGES * PAGE);
  const mapping = file.map({ access: "write", lazy: true });
  const events: string[] = [];
  const stop = traceDaxTo(({ point, fields }: DaxTraceEvent) => {
    if (point === "dax_pte_fault")
      events.push(`${fields["pgoff"]}${fields["write"] === 1 ? "w" : "r"}`);
    else if (point === "dax_writeback_one") events.push(`${fields["pgoff"]}!`);
  });
  for (const step of steps) doStep(tree, file, mapping, step);
  stop();
  mapping.unmap();
  file.close();
  return events;
}

/** The same of the kernel's trace, by scenario. */
function theirs(text: string): Map<string, string[]> {
  const all = new Map<string, string[]>();
  let events: string[] = [];
  let file = "";
  for (const one of text.split("\n")) {
    if (one.startsWith("= ")) {
      all.set(one.slice(2), (events = []));
      file = "";
    }
    const [, point, rest = ""] = /^ (dax_\w+): (.*)/u.exec(one) ?? [];
    // A freeze writes back earlier files as well.
    const ino = /ino (0x[0-9a-f]+)/u.exec(rest)?.[1] ?? "";
    if (point === "dax_pte_fault") file = ino;
    if (ino !== file) continue;
    const page = Number(/pgoff (0x[0-9a-f]+)/u.exec(rest)?.[1]);
    if (point === "dax_pte_fault") events.push(`${page}${rest.includes("WRITE") ? "w" : "r"}`);
    else if (point === "dax_writeback_one") events.push(`${page}!`);
  }
  return all;
}

/** What `few` has more of than `many`. */
function more(few: readonly string[], many: readonly string[]): string[] {
  const left = [...many];
  return few.filter((one) => {
    const at = left.indexOf(one);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

const faultsOf = (events: readonly string[]): string[] =>
  events.filter((one) => !one.endsWith("!"));
const writtenOf = (events: readonly string[]): string[] =>
  events.filter((one) => one.endsWith("!"));
const pagesOf = (events: readonly string[]): string[] =>
  faultsOf(events).map((one) => one.slice(0, -1));

/** What is wrong with ours. */
function disagreement(
  { steps }: Scenario,
  mine: readonly string[],
  linux: readonly string[],
): string | undefined {
  const has = (calls: RegExp): boolean => steps.some(({ call }) => calls.test(call));
  // Linux takes all pages of a file before it takes blocks of it; we, those of the range.
  const same = faultsOf(mine).join() === faultsOf(linux).join();
  if (!same && !has(/fpunch|fzero|truncate/u)) return "other faults";
  if (more(pagesOf(mine), pagesOf(linux)).length > 0) return "more faults";
  // It also writes back what was only loaded from, but not what is about to be zeros.
  if (has(/fzero/u)) return undefined;
  return more(writtenOf(mine), writtenOf(linux)).length > 0 ? "more write-back" : undefined;
}

describe.skipIf(guestTools.missing)(`faults of files that a kernel maps${guestTools.hint}`, () => {
  test("[1.23] come as often as ours, and ours write back no page that it does not", async () => {
    const folder = mkdtempSync(join(tmpdir(), "daxkit-guest-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const prng = new Prng(1023);
    const still = Array.from({ length: SCENARIOS }, (_, i) => scenario(prng, `s${i}`, STILL));
    const moving = Array.from({ length: SCENARIOS }, (_, i) => scenario(prng, `m${i}`, MOVING));
    const image = emptyImage({ type: "ext4", blockSize: 4096 }, 32);
    const path = join(folder, "pmem.img");
    writeFileSync(path, image);
    const files = { scenarios: `${[...still, ...moving].map(line).join("\n")}\n` };
    const run = await runGuest("faults", join(folder, "run"), { virtioPmem: [path], files });
    expect(run.file("mounts")).toContain("dax=always");
    const kernel = theirs(run.file("events"));

    const { tree } = daxTree(image);
    let fewer = 0;
    const wrong: unknown[] = [];
    for (const one of [...still, ...moving]) {
      const [mine, linux] = [ours(tree, one), kernel.get(one.name) ?? []];
      const found = disagreement(one, mine, linux);
      if (found !== undefined) wrong.push([one.name, found, mine.join(" "), linux.join(" ")]);
      fewer += pagesOf(linux).length - pagesOf(mine).length;
    }
    expect(wrong).toEqual([]);
    expect(kernel.size).toBe(2 * SCENARIOS);
    // Otherwise there is nothing to choose between the two ways to take pages.
    expect(fewer).toBeGreaterThan(0);
    tree.close();
  });
});
