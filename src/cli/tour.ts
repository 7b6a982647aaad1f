/**
 * The tour: what daxkit does, on real input, in a few seconds. Every figure is counted or measured
 * while it runs.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import type { DaxDevice } from "../dax/dax-device.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { ext } from "../fs/ext/ext.ts";
import { formatSize } from "../lib/size.ts";
import type { Machine } from "../machine/machine.ts";
import { systemEnvironment } from "../node/environment.ts";
import { FileTree } from "../vfs/file-tree.ts";
import type { Output } from "./output.ts";
import type { Terminal } from "./terminal.ts";

/** Where a file of this package lies: the same from `src/` and from `dist/`. */
export function packaged(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

/** Whom the tour talks to. */
export interface Guide {
  readonly out: Output;
  readonly terminal: Terminal;
}

/** A numbered heading. */
export function heading({ out, terminal }: Guide, text: string): void {
  out.line();
  out.line(terminal.style("heading", text));
}

function milliseconds(body: () => void): string {
  const start = performance.now();
  body();
  return `${(performance.now() - start).toFixed(1)} ms`;
}

/** Prints the memory map, and the devices with what a power cut leaves of each. */
export function showMachine(guide: Guide, machine: Machine, took: string): void {
  const { out } = guide;
  heading(guide, `1. A machine boots (examples/machine.yaml, ${took})`);
  out.text(machine.iomem().replaceAll(/^/gmu, "   ").trimEnd());
  out.line("\n");
  const survives = { adr: "what was flushed", eadr: "every store", volatile: "nothing" };
  for (const { name, size, domains, writeCache } of machine.devices()) {
    const kinds = [...new Set(domains.map(({ domain }) => domain))];
    const after = kinds.map((domain) => `${survives[domain]} (${domain})`).join(", ");
    const flag = `write cache ${writeCache ? "on" : "off"}`;
    out.line(
      `   ${name.padEnd(6)} ${formatSize(size).padStart(8)}  ${flag.padEnd(15)}  ` +
        `after a power cut: ${after}`,
    );
  }
}

/** Stores the same 4 KiB on each device, and counts what it took to make them last. */
export function showFlushes(guide: Guide, machine: Machine): void {
  const { out } = guide;
  heading(guide, "2. The same 4 KiB are stored on each device and made durable");
  const page = new Uint8Array(PAGE_SIZE).fill(0x5a);
  for (const { name, kind } of machine.devices()) {
    if (kind === "partition") continue;
    const dax = machine.dax(name);
    const before = { ...dax.counters };
    // The last page: the image of the next step lies at the front.
    const pgoff = dax.pages - 1;
    const span = dax.directAccess(pgoff, 1);
    for (let at = 0; at < PAGE_SIZE; at += 4) span.memory.setUint32(span.start + at, 0x5a5a5a5a);
    dax.flush(pgoff, 0, page.length);
    dax.fence();
    const lines = dax.counters.flushedLines - before.flushedLines;
    out.line(`   ${name.padEnd(6)} ${page.length} bytes stored, ${lines} cache lines flushed`);
  }
}

const IMAGE = "fixtures/tour/tour.img.gz";
const LARGE = "sensors/cellar/tide.log";

/** The sums that the image's manifest promises. */
function promisedSums(): Map<string, string> {
  const text = readFileSync(packaged("fixtures/tour/tour.manifest"), "utf8");
  const sums = text.matchAll(/^([0-9a-f]{64}) {2}\.\/(.*)$/gmu);
  return new Map(Array.from(sums, ([, sum = "", path = ""]) => [path, sum]));
}

function readAll(tree: FileTree, path: string): Uint8Array {
  const file = tree.open(`/${path}`);
  try {
    const bytes = new Uint8Array(file.attributes().size);
    file.pread(bytes, 0);
    return bytes;
  } finally {
    file.close();
  }
}

/** Puts a real ext4 image on `pmem0`, mounts it from there and reads all of it. */
export function showImage(guide: Guide, machine: Machine): void {
  const { out } = guide;
  heading(guide, `3. An ext4 image made by mke2fs is read through DAX (${IMAGE})`);
  const disk = machine.disk("pmem0");
  disk.write(0, gunzipSync(readFileSync(packaged(IMAGE))));
  disk.flush();
  const dax = machine.dax("pmem0");
  let tree: FileTree | undefined;
  const mounting = milliseconds(() => {
    tree = new FileTree(ext.mount(disk, {}, systemEnvironment));
  });
  if (tree === undefined) return;
  out.line(`   mounted /dev/pmem0 in ${mounting}`);
  const before = { ...dax.counters };
  const sums = promisedSums();
  let bytes = 0;
  let wrong = 0;
  const reading = milliseconds(() => {
    for (const [path, sum] of sums) {
      const content = readAll(tree as FileTree, path);
      bytes += content.length;
      if (createHash("sha256").update(content).digest("hex") !== sum) wrong++;
    }
  });
  out.line(`   ${sums.size} files, ${bytes} bytes in ${reading}; sums that differ: ${wrong}`);
  showCounts(out, dax, before, bytes);
  showView(out, tree, dax);
  tree.close();
}

function showCounts(
  out: Output,
  { counters }: DaxDevice,
  before: DaxDevice["counters"],
  bytes: number,
): void {
  const copied = counters.copiedOut - before.copiedOut;
  const translations = counters.directAccess - before.directAccess;
  const flushes = counters.flushes - before.flushes;
  out.line(
    `   copied from media to reader: ${copied} bytes of ${bytes} (the rest are holes); ` +
      `address translations: ${translations}; flushes: ${flushes}`,
  );
}

/** The same bytes without any copy. */
function showView(out: Output, tree: FileTree, { counters }: DaxDevice): void {
  const file = tree.open(`/${LARGE}`);
  const before = counters.copiedOut;
  const view = file.view(0, file.attributes().size);
  const text = new TextDecoder().decode(view.subarray(0, 31));
  out.line(
    `   /${LARGE} as a view of the media: ${view.length} bytes, ` +
      `${counters.copiedOut - before} copied, begins "${text}"`,
  );
  file.close();
}
