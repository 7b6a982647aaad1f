/**
 * Mappings that are written: pages are there before anybody stores to them, what was stored gets
 * out of the caches, and nothing is stored to blocks that the file has no more.
 */
import { expect, test } from "vitest";
import { FileTree } from "../../src/vfs/file-tree.ts";
import type { MapOptions } from "../../src/vfs/map-options.ts";
import type { Mapping } from "../../src/vfs/mapping.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { type DaxTree, daxTree } from "../support/dax-mounted.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { complaints } from "../support/ext-writing.ts";
import type { ToyDiskOptions } from "../support/toy-disk.ts";

const EXT4 = { type: "ext4", blockSize: 4096 } as const;
const PAGE = 4096;

interface Mapped extends DaxTree {
  readonly file: OpenFile;
  readonly map: (options?: MapOptions) => Mapping;
}

/** A file of some pages, data or a hole. */
function mapped(pages: number, data = true, disk: ToyDiskOptions = {}): Mapped {
  const all = daxTree(emptyImage(EXT4), {}, disk);
  const file = all.tree.open("/f", { create: true, access: "readwrite" });
  if (data) file.write(noise(1, pages * PAGE));
  else file.truncate(pages * PAGE);
  return { ...all, file, map: (options) => file.map({ access: "write", ...options }) };
}

function contents(file: OpenFile): Uint8Array {
  const bytes = new Uint8Array(file.inode.size);
  expect(file.pread(bytes, 0)).toBe(bytes.length);
  return bytes;
}

test("stores through the checked door are stores to the file", () => {
  const { file, map } = mapped(3);
  const mapping = map({ offset: 100, length: 2 * PAGE });
  const expected = noise(1, 3 * PAGE);
  const view = new DataView(expected.buffer, 100);
  view.setUint8(0, 1);
  view.setUint16(PAGE - 101, 0x1234, true);
  view.setUint32(8, 0xdead_beef);
  view.setBigUint64(2 * PAGE - 8, 77n, true);
  expected.set(noise(5, 5000), 100 + 2000);
  mapping.setUint8(0, 1);
  mapping.setUint16(PAGE - 101, 0x1234, true);
  mapping.setUint32(8, 0xdead_beef);
  mapping.setBigUint64(2 * PAGE - 8, 77n, true);
  mapping.copyIn(2000, noise(5, 5000));
  expect(same(contents(file), expected)).toBe(true);
  expect(mapping.getUint32(8)).toBe(0xdead_beef);
  mapping.setInt32(8, -5, true);
  expect(mapping.getInt32(8, true)).toBe(-5);
  expect(codeOf(() => mapping.setUint8(2 * PAGE, 1))).toBe("EINVAL");
  expect(codeOf(() => mapping.copyIn(2 * PAGE - 4, noise(1, 5)))).toBe("EINVAL");
});

test("[2.33] a hole has pages of zeros as soon as it is mapped to be written", () => {
  const { file, map, disk, tree } = mapped(300, false);
  const before = file.attributes().blocks;
  // What these blocks held before is nobody's business.
  const other = tree.open("/g", { create: true, access: "write" });
  other.write(noise(4, 400 * PAGE));
  other.close();
  tree.unlink("/g");
  tree.sync();
  const mapping = map({ offset: 50 * PAGE, length: 200 * PAGE });
  expect([before, file.attributes().blocks]).toEqual([0, 200 * 8]);
  const { bytes } = mapping;
  expect(bytes.every((byte) => byte === 0)).toBe(true);
  bytes.set(noise(2, 10), 7);
  expect(same(contents(file).subarray(50 * PAGE + 7, 50 * PAGE + 17), noise(2, 10))).toBe(true);
  mapping.unmap();
  tree.close({ revoke: true });
  expect(complaints(disk.bytes)).toEqual([]);
});

test("without room for all pages the mapping is ENOSPC, and the file reads as before", () => {
  const { file, map, disk, tree } = mapped(4000, false);
  expect(codeOf(() => map())).toBe("ENOSPC");
  expect(contents(file).every((byte) => byte === 0)).toBe(true);
  file.truncate(0);
  file.truncate(PAGE);
  map().setUint8(0, 1);
  tree.close({ revoke: true });
  expect(complaints(disk.bytes)).toEqual([]);
});

test("flush writes the stored lines back, and commits what leads to them", () => {
  const { file, map, disk } = mapped(64, false);
  const mapping = map();
  mapping.setUint8(10 * PAGE, 9);
  const { flushedLines } = disk.device.counters;
  mapping.flush();
  expect(disk.device.counters.flushedLines - flushedLines).toBeGreaterThanOrEqual(PAGE / 64);
  const { tree } = daxTree(disk.bytes.slice());
  expect(contents(tree.open("/f"))[10 * PAGE]).toBe(9);
  // Nothing was stored since: no line is written back twice.
  const again = disk.device.counters.flushedLines;
  mapping.flush();
  expect(disk.device.counters.flushedLines).toBe(again);
  expect(codeOf(() => mapping.flush(0, 65 * PAGE))).toBe("EINVAL");
  file.close();
});

test("fsync, syncfs and unmap find what was stored through a mapping", () => {
  for (const how of ["fsync", "syncfs", "unmap"] as const) {
    const { file, map, disk, tree } = mapped(64);
    tree.sync();
    const mapping = map();
    mapping.setUint8(10 * PAGE, 9);
    mapping.setUint8(20 * PAGE, 9);
    const { flushedLines } = disk.device.counters;
    if (how === "fsync") tree.open("/f").sync("data");
    if (how === "syncfs") tree.sync("/f");
    if (how === "unmap") mapping.unmap();
    const lines = disk.device.counters.flushedLines - flushedLines;
    expect(lines).toBeGreaterThanOrEqual((2 * PAGE) / 64);
    file.close();
  }
});

test("behind the raw door any byte may be new: a flush takes all that it is asked about", () => {
  const { map, disk } = mapped(64);
  const mapping = map();
  mapping.bytes.set(noise(1, 5), 5);
  for (let round = 0; round < 2; round++) {
    const { flushedLines } = disk.device.counters;
    mapping.flush(8 * PAGE, 4 * PAGE);
    expect(disk.device.counters.flushedLines - flushedLines).toBeGreaterThanOrEqual(256);
  }
});

test("behind the raw door fsync takes all of the mapping, and waits for it, each time", () => {
  const { map, disk, file } = mapped(16);
  map().bytes.set(noise(1, 5), 5);
  file.sync();
  const { flushedLines, fences } = disk.device.counters;
  // Nothing of the filesystem has changed since, so nobody else would wait for these lines.
  file.sync("data");
  const { counters } = disk.device;
  expect(counters.flushedLines - flushedLines).toBe((16 * PAGE) / 64);
  expect(counters.fences - fences).toBeGreaterThanOrEqual(1);
});

test("MAP_SYNC: what leads to the bytes is durable before the mapping is there", () => {
  const { disk, map, tree } = mapped(8, false);
  const mapping = map({ sync: true });
  const { tree: other } = daxTree(disk.bytes.slice());
  const found = other.open("/f");
  expect([...found.extents()].map(({ length }) => length)).toEqual([8 * PAGE]);
  mapping.setUint8(3, 4);
  mapping.flush();
  mapping.unmap();
  const { tree: plain } = daxTree(emptyImage(EXT4), {}, { dax: false });
  const file = plain.open("/f", { create: true, access: "readwrite" });
  file.write(noise(1, PAGE));
  expect(() => file.map({ access: "write", sync: true })).toThrow(/^EOPNOTSUPP.*has none/u);
  tree.close({ revoke: true });
});

test("MAP_SYNC with a bad page: the others are there, and that one says what it is", () => {
  const { disk, file, map, tree } = mapped(4);
  const [extent] = [...file.extents()];
  disk.poison.add((extent?.addr ?? 0) / PAGE + 1);
  const mapping = map({ sync: true });
  mapping.setUint8(2 * PAGE, 9);
  mapping.flush(2 * PAGE, PAGE);
  expect(mapping.getUint8(2 * PAGE)).toBe(9);
  expect(codeOf(() => mapping.getUint8(PAGE))).toBe("EHWPOISON");
  disk.poison.clear();
  mapping.unmap();
  tree.close({ revoke: true });
});

test.each<MapOptions>([{}, { lazy: true }, { sync: true }, { populate: "write" }])(
  "what is not there yet is mapped, and met when it is: %j",
  (options) => {
    const { file, map, tree } = mapped(3);
    file.truncate(0);
    const mapping = map({ length: 8 * PAGE, ...options });
    expect(mapping.length).toBe(8 * PAGE);
    expect(() => mapping.getUint8(0)).toThrow(/^EFAULT.*load.*the file ends at byte 0/u);
    expect(() => mapping.setUint8(0, 1)).toThrow(/^EFAULT.*store/u);
    expect(codeOf(() => mapping.bytes)).toBe("EFAULT");
    mapping.flush();
    file.truncate(PAGE + 100);
    mapping.setUint8(PAGE + 7, 8);
    // The page of the end is there as a whole; what is stored behind the end is nobody's.
    mapping.setUint8(PAGE + 200, 9);
    expect(codeOf(() => mapping.getUint8(2 * PAGE))).toBe("EFAULT");
    mapping.flush();
    file.truncate(8 * PAGE);
    expect([mapping.getUint8(PAGE + 7), mapping.getUint8(PAGE + 200)]).toEqual([8, 0]);
    expect(contents(file)[PAGE + 7]).toBe(8);
    mapping.setUint8(8 * PAGE - 1, 3);
    mapping.unmap();
    expect(contents(file)[8 * PAGE - 1]).toBe(3);
    tree.close({ revoke: true });
  },
);

test("a mapping to be read refuses stores, and so does a file that is open to be read", () => {
  const { file, tree } = mapped(1);
  const mapping = file.map();
  expect([mapping.isWritable, codeOf(() => mapping.setUint8(0, 1))]).toEqual([false, "EACCES"]);
  mapping.flush();
  expect(codeOf(() => tree.open("/f").map({ access: "write" }))).toBe("EACCES");
});

test("cut under a mapping: EFAULT behind the end, and the file's own bytes before it", () => {
  const { file, map } = mapped(8);
  const [reads, writes] = [file.map(), map()];
  file.truncate(2 * PAGE + 10);
  for (const mapping of [reads, writes]) {
    expect(mapping.getUint8(2 * PAGE)).toBe(noise(1, 8 * PAGE)[2 * PAGE]);
    // The rest of the page that the file ends in is zeros, as Linux leaves it.
    expect(mapping.getUint8(2 * PAGE + 11)).toBe(0);
    expect(codeOf(() => mapping.getUint8(3 * PAGE))).toBe("EFAULT");
  }
  expect(codeOf(() => writes.setUint8(3 * PAGE, 1))).toBe("EFAULT");
  file.truncate(8 * PAGE);
  // A hole now, which gets a page when it is stored to.
  expect(reads.getUint8(5 * PAGE)).toBe(0);
  writes.setUint8(5 * PAGE, 3);
  expect([reads.getUint8(5 * PAGE), contents(file)[5 * PAGE]]).toEqual([3, 3]);
});

test("blocks of a raw array that may be stored to stay the file's until it is unmapped", () => {
  const { file, map, tree } = mapped(8);
  const mapping = map({ offset: 2 * PAGE, length: 3 * PAGE });
  file.truncate(5 * PAGE);
  const { bytes } = mapping;
  for (const cut of [
    () => file.truncate(4 * PAGE),
    () => tree.truncate("/f", 0),
    () => tree.open("/f", { truncate: true, access: "write" }),
    () => file.fallocate("punch", 4 * PAGE, PAGE),
    () => file.fallocate("zero", 0, 3 * PAGE),
    () => file.fallocate("collapse", 0, PAGE),
    () => file.fallocate("insert", PAGE, PAGE),
  ]) {
    expect(codeOf(cut)).toBe("EBUSY");
  }
  file.truncate(5 * PAGE);
  file.fallocate("punch", 0, 2 * PAGE);
  file.fallocate("allocate", 0, 8 * PAGE);
  tree.unlink("/f");
  file.close();
  bytes.set(noise(6, 100));
  mapping.unmap();
  expect(tree.statfs().bfree).toBeGreaterThan(0);
});

test("a second tree over the filesystem knows of the mapping, too", () => {
  const { map, tree, disk } = mapped(4);
  const { filesystem } = tree.mounts.root;
  const other = new FileTree(filesystem);
  const mapping = map();
  mapping.setUint8(0, 1);
  const { flushedLines } = disk.device.counters;
  other.open("/f").sync("data");
  expect(disk.device.counters.flushedLines - flushedLines).toBeGreaterThanOrEqual(PAGE / 64);
  expect(mapping.bytes[0]).toBe(1);
  expect(codeOf(() => other.truncate("/f", 0))).toBe("EBUSY");
  mapping.unmap();
  other.truncate("/f", 0);
});

test("a store to what was punched under a mapping gets a page", () => {
  const { file, map, tree, disk } = mapped(8);
  const mapping = map();
  file.fallocate("punch", 2 * PAGE, 3 * PAGE);
  expect(mapping.getUint8(3 * PAGE)).toBe(0);
  mapping.setUint8(3 * PAGE, 6);
  mapping.copyIn(2 * PAGE - 3, noise(2, PAGE));
  const expected = noise(1, 8 * PAGE).fill(0, 2 * PAGE, 5 * PAGE);
  expected[3 * PAGE] = 6;
  expected.set(noise(2, PAGE), 2 * PAGE - 3);
  expect(same(contents(file), expected)).toBe(true);
  mapping.flush();
  tree.close({ revoke: true });
  expect(complaints(disk.bytes)).toEqual([]);
});

test("a revocable array is detached when the file is cut, and made anew", () => {
  const { file, map } = mapped(8);
  const mapping = map({ revocable: true });
  const { bytes } = mapping;
  file.truncate(PAGE);
  expect(mapping.getUint8(0)).toBe(noise(1, PAGE)[0]);
  expect(bytes).toHaveLength(0);
});

test("the first store after a flush is seen in the file's times", () => {
  const { file, map } = mapped(2);
  const mapping = map();
  const times: number[] = [];
  for (let i = 0; i < 3; i++) {
    mapping.setUint8(i, i);
    mapping.setUint8(i + 1, i);
    const { sec, nsec } = file.attributes().mtime;
    times.push(sec * 1e9 + nsec);
    mapping.flush();
  }
  expect(new Set(times).size).toBe(3);
});

test("without dax the checked door writes through the filesystem", () => {
  const { file, map } = mapped(3, true, { dax: false });
  const mapping = map();
  mapping.copyIn(PAGE - 5, noise(8, 10));
  expect(same(contents(file).subarray(PAGE - 5, PAGE + 5), noise(8, 10))).toBe(true);
  expect(codeOf(() => mapping.bytes)).toBe("ENOTSUP");
  mapping.flush();
});

test("poison under a store is a typed error", () => {
  const { map, disk } = mapped(3);
  const mapping = map();
  const [span] = mapping.spans;
  disk.poison.add(Math.floor((span?.deviceStart ?? 0) / PAGE) + 1);
  expect(codeOf(() => mapping.setUint8(PAGE, 1))).toBe("EHWPOISON");
  mapping.setUint8(0, 1);
});

test.each<[string, unknown, string]>([
  ["nothing", null, "options: null"],
  ["a word", "write", "options: write"],
  ["an access that is none", { access: "sometimes" }, 'access: "sometimes"; there is read, write'],
  ["a populate that is none", { access: "write", populate: true }, "populate: true; there is"],
  ["an option that is none", { acess: "write" }, "acess: no such option; there are offset"],
  ["a flag by a word", { sync: "yes" }, 'sync: "yes"; it is a boolean'],
  ["a length by a word", { length: 10n }, "length: 10; it is a number"],
])("options that are none are refused: %s", (_, options, words) => {
  const { file } = mapped(4);
  const call = () => file.map(options as MapOptions);
  expect(codeOf(call)).toBe("EINVAL");
  expect(call).toThrow(words);
  file.map({ offset: undefined, access: "write" } as object);
});

test.each([false, true])("a file that was cut and grows has blocks for bytes: lazy %s", (lazy) => {
  const { file, map, disk, tree } = mapped(8);
  const mapping = map({ lazy });
  file.truncate(3 * PAGE + 5);
  expect(codeOf(() => mapping.bytes)).toBe("EFAULT");
  expect(codeOf(() => mapping.mlock({ write: true }))).toBe("ENOMEM");
  file.truncate(8 * PAGE);
  expect(mapping.bytes).toHaveLength(8 * PAGE);
  expect(file.attributes().blocks).toBe(8 * 8);
  mapping.unmap();
  const array = map({ revocable: true });
  expect(array.bytes).toHaveLength(8 * PAGE);
  file.fallocate("punch", PAGE, PAGE, true);
  expect(file.attributes().blocks).toBe(7 * 8);
  expect([array.bytes.length, file.attributes().blocks]).toEqual([8 * PAGE, 8 * 8]);
  array.unmap();
  file.close();
  tree.close();
  expect(complaints(disk.bytes)).toEqual([]);
});
