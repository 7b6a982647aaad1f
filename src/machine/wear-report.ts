/**
 * What the same work does to the media below: through a page cache, and by dax, with page
 * descriptors in memory or on the device.
 *
 * @module
 */
import { PageCache } from "../block/page-cache.ts";
import { attachPageMap, detachPageMap } from "../dax/pages.ts";
import { createPmem } from "../drivers/pmem.ts";
import { PFN_INFO_RESERVE } from "../format/pfn.ts";
import { ext } from "../fs/ext/ext.ts";
import { makeExt } from "../fs/ext/mkfs.ts";
import { DaxError } from "../lib/errno.ts";
import { seededEnvironment } from "../lib/environment.ts";
import { type WearOfRange, type WearOptions, WearMedia } from "../media/wear-media.ts";
import { planPageMap } from "../platform/pfn-layout.ts";
import { FileTree } from "../vfs/file-tree.ts";
import type { OpenFile } from "../vfs/open-file.ts";
import { pinPages } from "../vfs/user-pages.ts";

const SIZE = 8 << 20;
const BASE = 2 ** 32;
const PAGE = 4096;

/** What is done. */
export interface WearWork extends WearOptions {
  /** How often the first page of a file is overwritten, and then pinned; then comes one fsync. */
  readonly writes: number;
  /** Where the descriptors lie. */
  readonly map: "mem" | "dev";
}

/** A part of the media, and what it went through. */
export interface WornRange extends WearOfRange {
  readonly name: "descriptors" | "file" | "filesystem";
  /** Bytes that were written, or will be at the latest when the CPU needs the room. */
  readonly bytesAtLeast: number;
}

/** One way to do the work. */
export interface WearReport {
  readonly mode: "page-cache" | "dax";
  readonly ranges: readonly WornRange[];
}

/**
 * Does the work in both ways, each on media of its own.
 * @throws EINVAL for a number of writes that is none, and as `planPageMap`
 */
export function reportWear(work: WearWork): WearReport[] {
  if (!Number.isSafeInteger(work.writes) || work.writes < 0) {
    throw new DaxError("EINVAL", { syscall: "wear", detail: `${work.writes} writes` });
  }
  return [wornBy("page-cache", work), wornBy("dax", work)];
}

function wornBy(mode: WearReport["mode"], { writes, map, caching = "write-back" }: WearWork) {
  const media = new WearMedia(SIZE, { caching });
  const { dataOffset } = planPageMap({ size: SIZE, map, base: BASE, caching });
  const { disk, dax } = createPmem({
    name: "pmem0",
    media,
    start: dataOffset,
    length: SIZE - dataOffset,
    physicalStart: BASE + dataOffset,
  });
  const tree = treeOn(mode === "page-cache" ? new PageCache(disk) : disk);
  const file = tree.open("/data", { create: true, access: "readwrite" });
  file.pwrite(new Uint8Array(PAGE), 0);
  media.reset();
  const { memory } = media.window(0);
  attachPageMap(dax, map === "dev" ? { memory, start: PFN_INFO_RESERVE } : undefined);
  useFirstPage(file, writes);
  const [extent] = [...file.extents()];
  const name = "file" as const;
  const at = dataOffset + (extent?.addr ?? 0);
  const end = PFN_INFO_RESERVE + dax.pages * 64;
  const ranges: WornRange[] = [
    ...(map === "dev" ? [worn(media, "descriptors", PFN_INFO_RESERVE, end)] : []),
    worn(media, name, at, at + PAGE),
    joined(worn(media, "filesystem", dataOffset, at), worn(media, "filesystem", at + PAGE, SIZE)),
  ];
  tree.close({ revoke: true, mediaCloses: true });
  detachPageMap(dax);
  return { mode, ranges };
}

function treeOn(device: Parameters<typeof makeExt>[0]): FileTree {
  const environment = seededEnvironment(5);
  makeExt(device, { type: "ext4", blockSize: PAGE, inodes: 64 }, environment);
  const dax = device.dax === undefined ? "never" : "always";
  return new FileTree(ext.mount(device, { write: true, dax }, environment));
}

/** A page that is used hard: written, and given to direct I/O each time. */
function useFirstPage(file: OpenFile, writes: number): void {
  const bytes = new Uint8Array(PAGE);
  const mapping = file.map();
  for (let round = 0; round < writes; round++) {
    bytes.fill(round);
    file.pwrite(bytes, 0);
    pinPages(mapping, 0, PAGE, { name: "direct I/O" }).release();
  }
  mapping.unmap();
  file.sync();
}

function worn(media: WearMedia, name: WornRange["name"], start: number, stop: number): WornRange {
  const wear = media.wear(start, stop - start);
  return { name, ...wear, bytesAtLeast: wear.bytesWritten + wear.waiting * 64 };
}

/** What lies on both sides of something else, as one. */
function joined(one: WornRange, other: WornRange): WornRange {
  return {
    ...one,
    length: other.start + other.length - one.start,
    lineWrites: one.lineWrites + other.lineWrites,
    bytesWritten: one.bytesWritten + other.bytesWritten,
    worst: Math.max(one.worst, other.worst),
    waiting: one.waiting + other.waiting,
    bytesAtLeast: one.bytesAtLeast + other.bytesAtLeast,
  };
}
