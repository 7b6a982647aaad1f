/**
 * Files that are mapped while calls change them, on ext4 with DAX: what loads meet, what files hold
 * afterwards and where a store is SIGBUS are the same for a kernel and for us.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { DaxError, isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import type { FileTree } from "../../src/vfs/file-tree.ts";
import type { Mapping } from "../../src/vfs/mapping.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import { daxTree } from "../support/dax-mounted.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { complaints } from "../support/ext-writing.ts";
import { guestTools, runGuest } from "./guest.ts";

const PAGE = 4096;
const PAGES = 24;
const SCENARIOS = 60;
const STEPS = 10;
/** What a shell calls a program that SIGBUS ended. */
const BUS_ERROR = 135;

/** A call on the file, or an access to its mapping; offsets and lengths are bytes of the file. */
interface Step {
  readonly call: string;
  readonly at: number;
  readonly length: number;
  readonly seed: number;
}

interface Scenario {
  readonly name: string;
  /** Bytes that the mapping begins at. */
  readonly start: number;
  readonly size: number;
  readonly steps: readonly Step[];
}

const ACCESSES = "mwrite mwrite mwrite mread mread msync";
const CHANGES = "pwrite truncate falloc fpunch fzero fcollapse finsert fsync";
const CALLS = `${ACCESSES} ${CHANGES}`.split(" ");

function scenario(prng: Prng, index: number): Scenario {
  const size = PAGE * (4 + prng.below(PAGES - 4)) - prng.below(3) * prng.below(PAGE);
  const start = PAGE * prng.below(2);
  const step = (): Step => {
    const call = CALLS[prng.below(CALLS.length)] as string;
    const aligned = call === "fcollapse" || call === "finsert" || call === "msync";
    const unit = aligned ? PAGE : 1;
    const at = start + unit * prng.below(Math.floor((size - start) / unit));
    const most = call === "mread" ? 48 : Math.min(3 * PAGE, size - at);
    const length = Math.min(
      size - at,
      unit * (1 + prng.below(Math.max(1, Math.floor(most / unit)))),
    );
    return { call, at, length: Math.max(1, length), seed: 65 + prng.below(26) };
  };
  return { name: `f${index}`, start, size, steps: Array.from({ length: STEPS }, step) };
}

/** A scenario as xfs_io is told it. */
function line({ name, start, size, steps }: Scenario): string {
  const words = steps.map(({ call, at, length, seed }) => {
    if (call === "truncate") return `truncate ${at}`;
    if (call === "fsync") return "fsync";
    if (call === "msync") return `msync -s ${at} ${length}`;
    if (call === "mread") return `mread -v ${at} ${length}`;
    const fill = call === "mwrite" || call === "pwrite" ? `-S ${seed} ` : "";
    return `${call} ${call === "pwrite" ? "-q " : ""}${fill}${at} ${length}`;
  });
  const all = [`truncate ${size}`, `mmap -rw ${start} ${size - start}`, ...words];
  return `${name} ${all.map((one) => `-c '${one}'`).join(" ")}`;
}

/** As `mread -v` prints it: it counts from where the mapping begins. */
function dump(at: number, bytes: Uint8Array): string[] {
  const lines: string[] = [];
  for (let i = 0; i < bytes.length; i += 16) {
    const hex = [...bytes.subarray(i, i + 16)].map((one) => one.toString(16).padStart(2, "0"));
    lines.push(`${(at + i).toString(16).padStart(8, "0")}: ${hex.join(" ")}`);
  }
  return lines;
}

const MODES = {
  falloc: "allocate",
  fpunch: "punch",
  fzero: "zero",
  fcollapse: "collapse",
  finsert: "insert",
} as const;

/** As a loop over bytes does it; one copyIn stores nothing where a part of it is behind the end. */
function storeUpward(mapping: Mapping, at: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    const piece = bytes.subarray(done, done + PAGE - ((at + done) % PAGE));
    mapping.copyIn(at + done, piece);
    done += piece.length;
  }
}

function doStep(file: OpenFile, mapping: Mapping, start: number, step: Step): string[] {
  const { call, at, length, seed } = step;
  if (call === "truncate") file.truncate(at);
  else if (call === "fsync") file.sync();
  else if (call === "msync") mapping.flush(at - start, length);
  else if (call === "mwrite") storeUpward(mapping, at - start, new Uint8Array(length).fill(seed));
  else if (call === "pwrite") file.pwrite(new Uint8Array(length).fill(seed), at);
  else if (call === "mread") {
    const bytes = new Uint8Array(length);
    mapping.copyOut(at - start, bytes);
    return dump(at - start, bytes);
  } else file.fallocate(MODES[call as keyof typeof MODES], at, length);
  return [];
}

/** What we print of a scenario, as xfs_io would, and its end. */
function ours(tree: FileTree, { name, start, size, steps }: Scenario): string[] {
  const file = tree.open(`/${name}`, { create: true, access: "readwrite" });
  file.truncate(size);
  const mapping = file.map({ access: "write", lazy: true, offset: start, length: size - start });
  const seen: string[] = [];
  let status = 0;
  for (const step of steps) {
    try {
      seen.push(...doStep(file, mapping, start, step));
    } catch (error) {
      if (!(error instanceof DaxError)) throw error;
      const isAccess = step.call === "mwrite" || step.call === "mread";
      status = isAccess && isDaxError(error, "EFAULT") ? BUS_ERROR : 1;
      if (status === BUS_ERROR) break;
    }
  }
  mapping.unmap();
  file.close();
  // What a program has printed into its buffer goes with it.
  const kept = status === BUS_ERROR ? [] : seen;
  return [`= ${name}`, ...kept, `status ${status}`];
}

function sumOf(tree: FileTree, name: string): string {
  const file = tree.open(`/${name}`);
  const bytes = new Uint8Array(file.attributes().size);
  file.pread(bytes, 0);
  file.close();
  return `${name} ${bytes.length} ${createHash("md5").update(bytes).digest("hex")}  -`;
}

/** Dumps and ends; what xfs_io says of a refused call is its own business. */
const telling = (text: string): string[] =>
  text
    .split("\n")
    .filter((one) => /^(= |status |[0-9a-f]{8}: )/u.test(one))
    .map((one) => one.replace(/^([0-9a-f]{8}: )\s*((?:[0-9a-f]{2} ?)+).*/u, "$1$2").trimEnd());

describe.skipIf(guestTools.missing)(`files that a kernel maps with DAX${guestTools.hint}`, () => {
  test("[2.21] hold what ours hold, and are SIGBUS where ours are EFAULT", async () => {
    const folder = mkdtempSync(join(tmpdir(), "daxkit-guest-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const prng = new Prng(2063);
    const scenarios = Array.from({ length: SCENARIOS }, (_, i) => scenario(prng, i));
    const image = emptyImage({ type: "ext4", blockSize: 4096 }, 32);
    const path = join(folder, "pmem.img");
    writeFileSync(path, image);
    const files = { scenarios: `${scenarios.map(line).join("\n")}\n` };
    const run = await runGuest("mapped", join(folder, "run"), { virtioPmem: [path], files });
    expect(run.file("mounts")).toContain("dax=always");

    const { tree, disk } = daxTree(image);
    const seen = scenarios.flatMap((one) => ours(tree, one));
    expect(seen).toEqual(telling(run.file("seen")));
    const sums = scenarios.map(({ name }) => sumOf(tree, name));
    expect(sums).toEqual(run.file("sums").trimEnd().split("\n"));
    // Seeds in which nothing was out of bounds would show little.
    expect(seen.filter((one) => one === `status ${BUS_ERROR}`).length).toBeGreaterThan(5);
    tree.close();
    expect(complaints(disk.bytes)).toEqual([]);
    expect(complaints(new Uint8Array(readFileSync(path)))).toEqual([]);
  });
});
