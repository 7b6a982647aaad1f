/**
 * The steps of the tour, each done for real and told in figures.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import type { Verdict } from "../crash/prove.ts";
import { type DaxCounters, newDaxCounters } from "../dax/dax-device.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { ext } from "../fs/ext/ext.ts";
import type { Machine, MachineDevice } from "../machine/machine.ts";
import { systemEnvironment } from "../node/environment.ts";
import { loadMachine } from "../node/machine-file.ts";
import { FileTree } from "../vfs/file-tree.ts";
import { proveFile } from "./proofs.ts";

const MACHINE = "examples/machine.yaml";
const IMAGE = "fixtures/tour/tour.img.gz";
const MANIFEST = "fixtures/tour/tour.manifest";
const LARGE = "sensors/cellar/tide.log";
const PROOFS = ["log-right", "log-missing-flush", "log-one-epoch"];

/** Where a file of this package lies: the same from `src/` and from `dist/`. */
function packaged(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

/** What `body` returns, and how many milliseconds it took. */
function timed<T>(body: () => T): [T, number] {
  const start = performance.now();
  const result = body();
  return [result, performance.now() - start];
}

/** A machine that was booted for the tour. */
export interface BootStep {
  readonly machine: Machine;
  readonly file: string;
  readonly milliseconds: number;
  readonly iomem: string;
  readonly devices: readonly MachineDevice[];
}

/** Boots the machine of the examples; its memory is this process's. */
export function boot(): BootStep {
  const [machine, milliseconds] = timed(() => loadMachine(packaged(MACHINE)));
  const [iomem, devices] = [machine.iomem(), machine.devices()];
  return { machine, file: MACHINE, milliseconds, iomem, devices };
}

/** What it took to make the same bytes last on one device. */
export interface StoreStep {
  readonly device: string;
  readonly bytes: number;
  readonly flushedLines: number;
  readonly fences: number;
}

/** Stores the same page on each disk of a machine, flushes and fences. */
export function storeEverywhere(machine: Machine): StoreStep[] {
  const disks = machine.devices().filter(({ kind }) => kind !== "partition");
  return disks.map(({ name }) => {
    const dax = machine.dax(name);
    const before = { ...dax.counters };
    // The last page: the image of the next step lies at the front.
    const pgoff = dax.pages - 1;
    const { memory, start } = dax.directAccess(pgoff, 1);
    for (let at = 0; at < PAGE_SIZE; at += 4) memory.setUint32(start + at, 0x5a5a5a5a);
    dax.flush(pgoff, 0, PAGE_SIZE);
    dax.fence();
    const { flushedLines, fences } = since(dax.counters, before);
    return { device: name, bytes: PAGE_SIZE, flushedLines, fences };
  });
}

function since(now: DaxCounters, before: DaxCounters): DaxCounters {
  const difference = newDaxCounters();
  for (const key of Object.keys(now) as (keyof DaxCounters)[]) {
    difference[key] = now[key] - before[key];
  }
  return difference;
}

/** What reading all of an image through dax came to. */
export interface ImageStep {
  readonly image: string;
  readonly device: string;
  readonly mountMilliseconds: number;
  readonly files: number;
  readonly bytes: number;
  readonly readMilliseconds: number;
  /** Files whose sums are not those of the manifest. */
  readonly wrongSums: number;
  readonly copiedOut: number;
  readonly translations: number;
  readonly flushes: number;
  readonly view: ViewStep;
}

/** A file seen without a copy. */
interface ViewStep {
  readonly path: string;
  readonly bytes: number;
  readonly copiedOut: number;
  readonly begins: string;
}

/** Puts an ext4 image that mke2fs made on a disk, mounts it from there and reads all of it. */
export function readImage(machine: Machine, device: string): ImageStep {
  const disk = machine.disk(device);
  disk.write(0, gunzipSync(readFileSync(packaged(IMAGE))));
  const { counters } = machine.dax(device);
  const [tree, mountMilliseconds] = timed(
    () => new FileTree(ext.mount(disk, {}, systemEnvironment)),
  );
  try {
    const before = { ...counters };
    const sums = promisedSums();
    const [{ bytes, wrongSums }, readMilliseconds] = timed(() => readEverything(tree, sums));
    const { copiedOut, directAccess: translations, flushes } = since(counters, before);
    const counted = { copiedOut, translations, flushes };
    const view = viewOf(tree, counters);
    const what = { image: IMAGE, device, mountMilliseconds, files: sums.size, bytes };
    return { ...what, readMilliseconds, wrongSums, ...counted, view };
  } finally {
    tree.close();
  }
}

/** The sums that the manifest of the image promises, by path. */
function promisedSums(): Map<string, string> {
  const text = readFileSync(packaged(MANIFEST), "utf8");
  const sums = text.matchAll(/^([0-9a-f]{64}) {2}\.\/(.*)$/gmu);
  return new Map(Array.from(sums, ([, sum = "", path = ""]) => [path, sum]));
}

function readEverything(
  tree: FileTree,
  sums: ReadonlyMap<string, string>,
): { bytes: number; wrongSums: number } {
  let bytes = 0;
  let wrongSums = 0;
  for (const [path, sum] of sums) {
    const content = readWhole(tree, path);
    bytes += content.length;
    if (createHash("sha256").update(content).digest("hex") !== sum) wrongSums++;
  }
  return { bytes, wrongSums };
}

function readWhole(tree: FileTree, path: string): Uint8Array {
  const file = tree.open(`/${path}`);
  try {
    const content = new Uint8Array(file.attributes().size);
    file.pread(content, 0);
    return content;
  } finally {
    file.close();
  }
}

function viewOf(tree: FileTree, counters: DaxCounters): ViewStep {
  const file = tree.open(`/${LARGE}`);
  try {
    const before = counters.copiedOut;
    const view = file.view(0, file.attributes().size);
    const begins = new TextDecoder().decode(view.subarray(0, view.indexOf(10)));
    const copiedOut = counters.copiedOut - before;
    return { path: `/${LARGE}`, bytes: view.length, copiedOut, begins };
  } finally {
    file.close();
  }
}

/** How the proof of one example ended. */
export interface ProofStep {
  readonly file: string;
  readonly milliseconds: number;
  readonly verdict: Verdict;
}

/** Proves the three logs of the examples: one that is right, two that are not. */
export async function* proveExamples(): AsyncGenerator<ProofStep> {
  for (const name of PROOFS) {
    const file = relative(process.cwd(), packaged(`examples/${name}.ts`));
    const start = performance.now();
    // One after the other: each is printed while the reader reads the last.
    // oxlint-disable-next-line no-await-in-loop
    for (const { verdict } of await proveFile(file)) {
      yield { file, milliseconds: performance.now() - start, verdict };
    }
  }
}
