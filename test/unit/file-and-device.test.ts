/**
 * What differs between mapping a file and mapping a device: each row of the table in
 * docs/device-dax.md is done both ways, and what came of it is what stands there.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freezeDevice } from "../../src/block/device-freeze.ts";
import { mapRaw } from "../../src/block/raw-device.ts";
import { attachPageMap } from "../../src/dax/pages.ts";
import type { RawMapOptions, RawMapping } from "../../src/dax/raw-mapping.ts";
import { parseTable } from "../../src/dm/words.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { freezeFilesystem } from "../../src/vfs/freezing.ts";
import type { MapOptions } from "../../src/vfs/map-options.ts";
import type { Mapping } from "../../src/vfs/mapping.ts";
import { pinPages } from "../../src/vfs/user-pages.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf, noise } from "../support/bytes.ts";
import { MIB, emptyRegion } from "../support/dax-regions.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mappedOf } from "../support/mapped.ts";

const PAGE = 4096;
const BYTES = 4 * MIB;
const image = emptyImage({ type: "ext4", blockSize: 4096, inodes: 64 }, 4);

/** A filesystem on a mapped device over pmem, and a file of eight pages without blocks. */
function fileStage() {
  const { pmem, media } = pmemOf(BYTES, { segmentBytes: BYTES });
  pmem.disk.write(0, image);
  attachPageMap(pmem.dax);
  const disk = mappedOf(`0 ${BYTES / 512} linear A 0`, { A: pmem.disk });
  const tree = new FileTree(ext.mount(disk, { write: true }, seededEnvironment(1)));
  const file = tree.open("/f", { create: true, access: "readwrite" });
  file.truncate(8 * PAGE);
  const map = (options: MapOptions = {}): Mapping =>
    file.map({ access: "write", lazy: true, ...options });
  return { pmem, disk, media, tree, file, map };
}

/** The same device without a filesystem, full of what somebody left there. */
function deviceStage() {
  const { pmem, media } = pmemOf(BYTES, { segmentBytes: BYTES });
  const disk = mappedOf(`0 ${BYTES / 512} linear A 0`, { A: pmem.disk });
  pmem.disk.write(0, noise(1, BYTES));
  attachPageMap(pmem.dax);
  const map = (options: RawMapOptions = {}): RawMapping =>
    mapRaw(disk, { access: "write", ...options });
  return { pmem, disk, media, map };
}

function cut({ disk }: ReturnType<typeof deviceStage>, bytes: number): void {
  disk.load(parseTable(`0 ${bytes / 512} linear A 0`));
  disk.suspend();
  disk.resume();
}

const said = (call: () => unknown): string => codeOf(call) ?? "works";

/** Fills the filesystem, so that no block is left. */
function fill(tree: FileTree): void {
  const file = tree.open("/full", { create: true, access: "readwrite" });
  while (codeOf(() => file.write(new Uint8Array(PAGE))) === undefined);
  file.close();
}

type Ways = readonly [file: () => string, device: () => string];

/** A row in which both are mapped with the same words. */
function mappedWith(options: { offset?: number; length?: number; private?: true }): Ways {
  return [() => said(() => fileStage().map(options)), () => said(() => deviceStage().map(options))];
}

function readOf(mapping: Mapping | RawMapping): string {
  const bytes = new Uint8Array(PAGE);
  mapping.copyOut(PAGE, bytes);
  return bytes.every((byte) => byte === 0) ? "zeros" : "what was left there";
}

function region(): RawMapping {
  const device = emptyRegion(8 * MIB).device("dax0.0");
  device.resize(4 * MIB);
  device.bind("device_dax");
  return device.open().map({ access: "write" });
}

const rows: Readonly<Record<string, Ways>> = {
  "map from byte 100 on": mappedWith({ offset: 100 }),
  "map more than there is": mappedWith({ length: 2 * BYTES }),
  "map it private": mappedWith({ private: true }),
  "map it twice": [
    () => {
      const { map } = fileStage();
      map();
      return said(() => map());
    },
    () => {
      const { map } = deviceStage();
      map();
      return said(() => map());
    },
  ],
  "map it, with a filesystem mounted": [
    () => said(() => fileStage().map()),
    () => said(() => mapRaw(fileStage().disk)),
  ],
  "load what nobody wrote": [() => readOf(fileStage().map()), () => readOf(deviceStage().map())],
  "store with the filesystem full": [
    () => {
      const { map, tree } = fileStage();
      const mapping = map();
      fill(tree);
      return said(() => mapping.setUint8(0, 1));
    },
    () => said(() => deviceStage().map().setUint8(0, 1)),
  ],
  "load behind a cut": [
    () => {
      const { file, map } = fileStage();
      const mapping = map();
      file.truncate(4 * PAGE);
      return said(() => mapping.getUint8(4 * PAGE));
    },
    () => {
      const stage = deviceStage();
      const mapping = stage.map();
      cut(stage, BYTES / 2);
      return said(() => mapping.getUint8(BYTES / 2));
    },
  ],
  "cut what `bytes` show": [
    () => {
      const { file, map } = fileStage();
      expect(map().bytes).toHaveLength(8 * PAGE);
      return said(() => file.truncate(4 * PAGE));
    },
    () => {
      const stage = deviceStage();
      expect(stage.map().bytes).toHaveLength(BYTES);
      return said(() => cut(stage, BYTES / 2));
    },
  ],
  "store, the filesystem frozen": [
    () => {
      const { map, tree } = fileStage();
      const mapping = map();
      freezeFilesystem(tree.mounts.root.filesystem);
      return said(() => mapping.setUint8(0, 1));
    },
    () => "-",
  ],
  "store, the device frozen": [
    () => {
      const { map, pmem } = fileStage();
      const mapping = map();
      freezeDevice(pmem.disk);
      return said(() => mapping.setUint8(0, 1));
    },
    () => {
      const { map, pmem } = deviceStage();
      const mapping = map();
      freezeDevice(pmem.disk);
      return said(() => mapping.setUint8(0, 1));
    },
  ],
  "load poison": [
    () => {
      const { map, media, file } = fileStage();
      const mapping = map();
      mapping.setUint8(0, 1);
      const [extent] = [...file.extents()];
      media.injectPoison(extent?.addr ?? 0, 1);
      return said(() => mapping.getUint8(0));
    },
    () => {
      const { map, media } = deviceStage();
      media.injectPoison(0, 1);
      return said(() => map().getUint8(0));
    },
  ],
  "pin a page for long": [
    () => {
      const mapping = fileStage().map();
      mapping.setUint8(0, 1);
      return said(() => pinPages(mapping, 0, 1, { name: "RDMA", longTerm: true }));
    },
    () => said(() => pinPages(deviceStage().map(), 0, 1, { name: "RDMA", longTerm: true })),
  ],
  "fault 4 KiB of pages of 2 MiB": [
    () => {
      const { file, map } = fileStage();
      file.truncate(2 * MIB);
      map({ huge: true }).getUint8(0);
      const single = map();
      return said(() => single.setUint8(0, 1));
    },
    () => said(() => region().fault(0, PAGE)),
  ],
  "bytes that `flush(0, 1)` writes back": [
    () => {
      const mapping = fileStage().map();
      mapping.setUint8(0, 1);
      mapping.flush(0, 1);
      return String(mapping.counters.flushedBytes);
    },
    () => {
      const mapping = deviceStage().map();
      mapping.setUint8(0, 1);
      const before = mapping.device.counters.flushedLines;
      mapping.flush(0, 1);
      return String(64 * (mapping.device.counters.flushedLines - before));
    },
  ],
};

/** The rows of the table, by what is done. */
function documented(): Record<string, readonly string[]> {
  const text = readFileSync(join(import.meta.dirname, "../../docs/device-dax.md"), "utf8");
  const [, part = ""] = text.split("## Raw mappings");
  const [table = ""] = part.split("\n## ");
  const lines = table.split("\n").filter((line) => line.startsWith("|"));
  const cells = lines.map((line) => line.split("|").slice(1, -1));
  const rest = cells.slice(2).map((row) => row.map((cell) => cell.trim()));
  return Object.fromEntries(rest.map(([what = "", ...ways]) => [what, ways]));
}

test("[1.10] what mapping a file and mapping a device differ in is documented, row by row", () => {
  const found = Object.entries(rows).map(([what, [file, device]]) => [what, [file(), device()]]);
  expect(documented()).toEqual(Object.fromEntries(found));
});
