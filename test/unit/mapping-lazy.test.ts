/** Mappings of files on ext4 whose pages are made when they are stored to, as mmap(2) does it. */
import { expect, test } from "vitest";
import type { MapOptions } from "../../src/vfs/map-options.ts";
import type { Mapping } from "../../src/vfs/mapping.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { type DaxTree, daxTree } from "../support/dax-mounted.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { complaints } from "../support/ext-writing.ts";
import type { ToyDiskOptions } from "../support/toy-disk.ts";

const PAGE = 4096;

interface Mapped extends DaxTree {
  readonly file: OpenFile;
  readonly map: (options?: MapOptions) => Mapping;
}

/** A file that is a hole. */
function sparse(bytes: number, disk: ToyDiskOptions = {}, blockSize: 1024 | 4096 = 4096): Mapped {
  const all = daxTree(emptyImage({ type: "ext4", blockSize }), {}, disk);
  const file = all.tree.open("/f", { create: true, access: "readwrite" });
  file.truncate(bytes);
  return { ...all, file, map: (options) => file.map({ access: "write", lazy: true, ...options }) };
}

function blocksOf(file: OpenFile): number {
  return file.attributes().blocks / 8;
}

test.each([2 ** 30, 2 ** 40])("of %i sparse bytes one dirty page is one page to flush", (size) => {
  const { file, map, disk, tree } = sparse(size);
  const mapping = map();
  expect([mapping.getUint8(size - 1), blocksOf(file)]).toEqual([0, 0]);
  mapping.setUint8(size - 5, 7);
  mapping.setUint8(size - 6, 7);
  expect(blocksOf(file)).toBe(1);
  tree.sync();
  expect(mapping.counters).toMatchObject({ writtenBack: 1, flushedBytes: PAGE, majorFaults: 1 });
  const { pteFaults, writeProtectFaults } = mapping.counters;
  mapping.setUint8(size - 5, 8);
  expect(mapping.counters).toMatchObject({
    pteFaults: pteFaults + 1,
    writeProtectFaults: writeProtectFaults + 1,
    majorFaults: 1,
  });
  const { flushedLines } = disk.device.counters;
  mapping.flush();
  mapping.flush();
  expect(disk.device.counters.flushedLines - flushedLines).toBe(PAGE / 64);
  mapping.unmap();
  file.close();
  tree.close();
  expect(complaints(disk.bytes)).toEqual([]);
});

test("periodic writeback leaves mapped stores alone; syncfs does not", () => {
  const { map, tree } = sparse(16 * PAGE);
  const mapping = map();
  mapping.setUint8(5, 1);
  tree.mounts.root.filesystem.tick?.();
  expect(mapping.counters.writtenBack).toBe(0);
  tree.sync("/f");
  expect(mapping.counters.writtenBack).toBe(1);
});

test("a store may be ENOSPC, with nothing stored; the others are whole", () => {
  const { file, map, disk, tree } = sparse(4000 * PAGE);
  const mapping = map();
  let page = 0;
  let code: string | undefined;
  while (code === undefined) code = codeOf(() => mapping.setUint8(PAGE * page++, page & 0xff));
  expect([code, mapping.getUint8((page - 1) * PAGE)]).toEqual(["ENOSPC", 0]);
  expect(mapping.getUint8((page - 2) * PAGE)).toBe((page - 1) & 0xff);
  expect(codeOf(() => mapping.bytes)).toBe("ENOSPC");
  mapping.unmap();
  file.close();
  tree.close();
  expect(complaints(disk.bytes)).toEqual([]);
});

test("bytes make all pages when they are asked for first", () => {
  const { file, map } = sparse(40 * PAGE);
  const mapping = map();
  mapping.setUint8(9 * PAGE, 4);
  expect(blocksOf(file)).toBe(1);
  const { bytes } = mapping;
  expect([bytes.length, bytes[9 * PAGE], blocksOf(file)]).toEqual([40 * PAGE, 4, 40]);
});

test("[2.16] [2.33] populate and mlock take the faults of loads, or of stores as well", () => {
  const { file, map } = sparse(8 * PAGE);
  const loads = map({ populate: "read" });
  expect([loads.counters.pteFaults, blocksOf(file)]).toEqual([8, 0]);
  loads.setUint8(0, 1);
  expect(loads.counters.pteFaults).toBe(9);
  loads.unmap();
  const stores = map({ populate: "write" });
  expect(blocksOf(file)).toBe(8);
  const before = stores.counters.pteFaults;
  for (let page = 0; page < 8; page++) stores.setUint8(page * PAGE, page);
  expect(stores.counters.pteFaults).toBe(before);
  stores.unmap();
  const locked = map();
  locked.mlock();
  const { pteFaults } = locked.counters;
  locked.getUint8(7 * PAGE);
  expect(locked.counters.pteFaults).toBe(pteFaults);
  locked.setUint8(0, 1);
  expect(locked.counters.pteFaults).toBe(pteFaults + 1);
  locked.mlock({ write: true });
  const { pteFaults: all } = locked.counters;
  for (let page = 0; page < 8; page++) locked.setUint8(page * PAGE, page);
  expect(locked.counters.pteFaults).toBe(all);
  expect(codeOf(() => file.map().mlock({ write: true }))).toBe("EACCES");
});

test("[2.35] what is locked in memory is cut all the same", () => {
  const { file, map } = sparse(8 * PAGE);
  const mapping = map();
  mapping.mlock({ write: true });
  file.truncate(PAGE);
  expect(codeOf(() => mapping.getUint8(PAGE))).toBe("EFAULT");
  expect(codeOf(() => mapping.setUint8(PAGE, 1))).toBe("EFAULT");
  expect(mapping.getUint8(0)).toBe(0);
});

test("a private mapping never reaches the file, which may be open for reading only", () => {
  const { file, tree } = sparse(3 * PAGE);
  file.pwrite(noise(1, 2 * PAGE), 0);
  const reader = tree.open("/f");
  const own = reader.map({ private: true, access: "write" });
  own.setUint32(PAGE - 2, 0x0102_0304);
  own.setUint8(2 * PAGE + 1, 9);
  expect([own.isWritable, own.getUint32(PAGE - 2), own.getUint8(2 * PAGE + 1)]).toEqual([
    true,
    0x0102_0304,
    9,
  ]);
  const found = new Uint8Array(2 * PAGE);
  reader.pread(found, 0);
  expect(same(found, noise(1, 2 * PAGE))).toBe(true);
  expect([own.counters.copies, own.counters.majorFaults]).toEqual([3, 0]);
  expect(codeOf(() => own.bytes)).toBe("ENOTSUP");
  own.flush();
  file.truncate(0);
  expect(codeOf(() => own.getUint8(0))).toBe("EFAULT");
  file.truncate(PAGE);
  expect(own.getUint8(PAGE - 1)).toBe(0);
});

test("MAP_SYNC, page by page: each new page commits once", () => {
  const { map, disk } = sparse(8 * PAGE);
  const mapping = map({ sync: true });
  mapping.setUint8(3 * PAGE, 4);
  expect(mapping.counters.syncFaults).toBe(1);
  const { tree } = daxTree(disk.bytes.slice());
  expect([...tree.open("/f").extents()].map(({ offset, length }) => [offset, length])).toEqual([
    [3 * PAGE, PAGE],
  ]);
  mapping.setUint8(3 * PAGE, 5);
  expect(mapping.counters.syncFaults).toBe(1);
});

test("without dax, and in blocks smaller than a page, accesses go through the file", () => {
  for (const [disk, size] of [
    [{ dax: false }, 4096],
    [{}, 1024],
  ] as const) {
    const { file, map } = sparse(3 * PAGE + 100, disk, size);
    const mapping = map();
    mapping.copyIn(PAGE - 7, noise(4, 20));
    mapping.setUint8(3 * PAGE + 99, 1);
    const found = new Uint8Array(20);
    file.pread(found, PAGE - 7);
    expect(same(found, noise(4, 20))).toBe(true);
    expect([mapping.getUint8(3 * PAGE + 99), mapping.getUint8(2 * PAGE)]).toEqual([1, 0]);
    mapping.flush();
    mapping.unmap();
  }
});

test("who holds bytes is asked to let go, or ends", () => {
  const { file, map, tree } = sparse(8 * PAGE);
  const raw = map();
  expect(raw.bytes).toHaveLength(8 * PAGE);
  const tries: string[] = [];
  file.truncate(4 * PAGE, {
    whenBusy: (holder) => {
      tries.push(holder);
      raw.unmap();
      return true;
    },
  });
  expect(tries).toEqual([`bytes 0+${8 * PAGE} are mapped to be written (mapping of /f)`]);
  const alias = map();
  expect(alias.bytes).toHaveLength(4 * PAGE);
  expect(codeOf(() => tree.truncate("/f", 0, { whenBusy: "revoke" }))).toBe("EBUSY");
  alias.unmap();
  const array = map({ revocable: true });
  const { bytes } = array;
  file.fallocate("punch", 0, PAGE, true);
  expect([bytes.length, array.getUint8(0)]).toEqual([0, 0]);
});

test("a write that gets blocks is seen by who had read a hole", () => {
  const { file, map } = sparse(8 * PAGE);
  const mapping = map();
  expect(mapping.getUint8(2 * PAGE)).toBe(0);
  file.pwrite(Uint8Array.of(6), 2 * PAGE);
  expect(mapping.getUint8(2 * PAGE)).toBe(6);
});

/** Pages of a file and faults of a load, and then of a store, of each: as getrusage(2) has them. */
const LINUX = [
  { pages: 16, hole: false, private: false, loads: 0, stores: 16 },
  { pages: 16, hole: false, private: true, loads: 0, stores: 0 },
  { pages: 16, hole: true, private: false, loads: 0, stores: 16 },
  { pages: 16, hole: true, private: true, loads: 0, stores: 0 },
  { pages: 2048, hole: true, private: false, loads: 0, stores: 2048 },
  { pages: 2048, hole: true, private: true, loads: 0, stores: 0 },
] as const;

test.each(LINUX)("[2.16] populate and mlock leave the faults that Linux 6.1 leaves: %j", (row) => {
  for (const ahead of ["populate", "mlock"] as const) {
    const { tree } = daxTree(emptyImage({ type: "ext4", blockSize: 4096 }, 16));
    const file = tree.open("/f", { create: true, access: "readwrite" });
    file.truncate(row.pages * PAGE);
    if (!row.hole) file.pwrite(noise(1, row.pages * PAGE), 0);
    const options = { access: "write", lazy: true, private: row.private } as const;
    const mapping = file.map(ahead === "mlock" ? options : { ...options, populate: "read" });
    if (ahead === "mlock") mapping.mlock();
    const faults = (touch: (at: number) => void): number => {
      const { pteFaults: before } = mapping.counters;
      for (let page = 0; page < row.pages; page++) touch(page * PAGE);
      return mapping.counters.pteFaults - before;
    };
    expect([faults((at) => mapping.getUint8(at)), faults((at) => mapping.setUint8(at, 1))]).toEqual(
      [row.loads, row.stores],
    );
    file.truncate(PAGE);
    expect(codeOf(() => mapping.mlock())).toBe("ENOMEM");
    tree.close({ revoke: true });
  }
});
