import { expect, test } from "vitest";
import { FileTree } from "../../src/vfs/file-tree.ts";
import type { MapOptions } from "../../src/vfs/map-options.ts";
import type { Mapping } from "../../src/vfs/mapping.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import type { ToyDiskOptions } from "../support/toy-disk.ts";
import { type Layout, ToyFilesystem, type ToyInode } from "../support/toy-filesystem.ts";

const PAGE = 4096;

interface Mapped {
  readonly fs: ToyFilesystem;
  readonly tree: FileTree;
  readonly inode: ToyInode;
  readonly map: (options?: MapOptions) => Mapping;
}

function mapped(bytes: Uint8Array, layout: Layout = "contiguous", disk?: ToyDiskOptions): Mapped {
  const fs = new ToyFilesystem(disk);
  const inode = fs.file(fs.root, "f", bytes, layout);
  const tree = new FileTree(fs);
  const map = (options?: MapOptions): Mapping => {
    const file = tree.open("/f");
    const mapping = file.map(options);
    file.close();
    return mapping;
  };
  return { fs, tree, inode, map };
}

/** What `bytes` says when there are none. */
function why(mapping: Mapping): string {
  try {
    return String(mapping.bytes.length);
  } catch (error) {
    return (error as Error).message;
  }
}

test.each(["contiguous", "fragmented", "inline"] as const)(
  "the checked door reads a %s file, whole and in scalars",
  (layout) => {
    const bytes = noise(1, 3 * PAGE + 50);
    const mapping = mapped(bytes, layout, { spanPages: 1 }).map({ offset: 10 });
    const target = new Uint8Array(bytes.length - 10);
    expect(mapping.read(target)).toBe(target.length);
    expect(same(target, bytes.subarray(10))).toBe(true);
    const view = new DataView(bytes.buffer, 10);
    for (const at of [0, PAGE - 11, PAGE - 13, 3 * PAGE]) {
      expect(mapping.getUint8(at)).toBe(view.getUint8(at));
      expect(mapping.getUint16(at, true)).toBe(view.getUint16(at, true));
      expect(mapping.getUint32(at)).toBe(view.getUint32(at));
      expect(mapping.getInt32(at, true)).toBe(view.getInt32(at, true));
      expect(mapping.getBigUint64(at)).toBe(view.getBigUint64(at));
    }
    expect(mapping.read(new Uint8Array(100), mapping.length - 7)).toBe(7);
    expect(mapping.read(new Uint8Array(100), mapping.length)).toBe(0);
    expect(codeOf(() => mapping.copyOut(mapping.length - 7, new Uint8Array(8)))).toBe("EINVAL");
    expect(codeOf(() => mapping.getUint8(-1))).toBe("EINVAL");
    expect(codeOf(() => mapping.getUint32(mapping.length - 3))).toBe("EINVAL");
  },
);

test("bytes of a contiguous range are the media itself", () => {
  const { fs, inode, map } = mapped(noise(2, 3 * PAGE));
  const { bytes } = map({ offset: 100, length: 5000 });
  expect(bytes.buffer).toBe(fs.toy.bytes.buffer);
  expect(bytes.byteOffset).toBe((inode.pieces[0]?.addr ?? 0) + 100);
  expect(bytes).toHaveLength(5000);
});

test("a fragmented range is stitched, whatever page it starts and ends in", () => {
  const content = noise(3, 4 * PAGE);
  const { fs, map } = mapped(content, "fragmented", { stitches: true });
  const mapping = map({ offset: 100, length: 3 * PAGE });
  expect(same(mapping.bytes, content.subarray(100, 100 + 3 * PAGE))).toBe(true);
  expect(mapping.bytes).toBe(mapping.bytes);
  expect(fs.toy.stitched).toBe(1);
  const { bytes } = mapping;
  mapping.unmap();
  expect([fs.toy.stitched, bytes.length]).toEqual([0, 0]);
});

test("where bytes cannot be had, ENOTSUP says why, and spans and the checked door go on", () => {
  const { map } = mapped(noise(4, 2 * PAGE), "fragmented");
  expect(why(map())).toMatch(
    /^ENOTSUP: .*mmap '\/f'.*2 fragments, and no way to join them: toy0 cannot/,
  );
  expect(map().spans.map(({ length }) => length)).toEqual([PAGE, PAGE]);
  expect(why(mapped(noise(4, 99), "inline").map())).toMatch(/among its metadata/);
  const noDax = mapped(noise(4, 99), "contiguous", { dax: false }).map();
  expect(why(noDax)).toMatch(/the device offers no dax/);
  expect(noDax.getUint8(5)).toBe(noise(4, 99)[5]);
  const { fs, inode, map: hole } = mapped(new Uint8Array(0));
  fs.write(inode, PAGE, noise(5, PAGE));
  expect(why(hole())).toMatch(/file bytes 0\+4096: a hole has no media/);
  expect(hole().spans.map(({ type, length }) => [type, length])).toEqual([
    ["hole", PAGE],
    ["mapped", PAGE],
  ]);
  expect(hole({ offset: PAGE }).bytes).toHaveLength(PAGE);
});

test("holes and unwritten pages are stitched in as zeros", () => {
  const { fs, inode, map } = mapped(new Uint8Array(0), "contiguous", { stitches: true });
  fs.write(inode, PAGE, noise(5, PAGE));
  fs.write(inode, 2 * PAGE, noise(6, PAGE), "unwritten");
  inode.size = 5 * PAGE + 9;
  const { bytes } = map({ offset: 50 });
  expect(bytes).toHaveLength(5 * PAGE + 9 - 50);
  expect(same(bytes.subarray(PAGE - 50, 2 * PAGE - 50), noise(5, PAGE))).toBe(true);
  const rest = [...bytes.subarray(0, PAGE - 50), ...bytes.subarray(2 * PAGE - 50)];
  expect(rest.every((byte) => byte === 0)).toBe(true);
  expect(map({ length: PAGE + 10 }).bytes).toHaveLength(PAGE + 10);
});

test("fragments that are no whole pages are not stitched", () => {
  const { inode, map } = mapped(noise(6, 2 * PAGE), "contiguous", { stitches: true });
  const [piece] = inode.pieces;
  if (piece === undefined) throw new Error("no piece");
  const half = { ...piece, length: 1024 };
  inode.pieces = [half, { ...half, offset: 1024, addr: piece.addr + PAGE }];
  inode.size = 2048;
  expect(() => map().bytes).toThrow(/ENOTSUP.*they are not whole pages/);
});

test("an empty range, or one that is none, is EINVAL", () => {
  const { map } = mapped(noise(1, 100));
  for (const range of [{ offset: 100 }, { length: 0 }, { length: -1 }, { offset: -1 }]) {
    expect(codeOf(() => map(range))).toBe("EINVAL");
  }
});

test("after unmap the checked door is EFAULT, and bytes too", () => {
  const mapping = mapped(noise(1, PAGE)).map();
  mapping.unmap();
  mapping.unmap();
  const doors = [() => mapping.getUint8(0), () => mapping.bytes, () => mapping.spans];
  expect(doors.map(codeOf)).toEqual(["EFAULT", "EFAULT", "EFAULT"]);
});

test("[1.20] a removed device: kill waits for mapping and mount, every access is ENXIO", () => {
  const { fs, tree, map } = mapped(noise(1, PAGE));
  const mapping = map();
  let idle = false;
  fs.toy.device.kill(() => {
    idle = true;
  });
  expect([codeOf(() => mapping.getUint8(0)), codeOf(() => mapping.bytes)]).toEqual([
    "ENXIO",
    "ENXIO",
  ]);
  expect(idle).toBe(false);
  mapping.unmap();
  expect(idle).toBe(false);
  tree.close();
  expect(idle).toBe(true);
});

test("poison that appears under a mapping is EHWPOISON at the access, and only there", () => {
  const { fs, inode, map } = mapped(noise(1, 3 * PAGE));
  const mapping = map();
  fs.toy.poison.add((inode.pieces[0]?.addr ?? 0) / PAGE + 1);
  expect(codeOf(() => mapping.getUint8(PAGE + 1))).toBe("EHWPOISON");
  expect(codeOf(() => mapping.copyOut(PAGE - 1, new Uint8Array(2)))).toBe("EHWPOISON");
  expect([codeOf(() => mapping.getUint8(0)), codeOf(() => mapping.getUint8(2 * PAGE))]).toEqual([
    undefined,
    undefined,
  ]);
  const later = map();
  expect(codeOf(() => later.bytes)).toBe("EHWPOISON");
  expect(later.spans).toHaveLength(3);
  expect([later.getUint8(2 * PAGE), codeOf(() => later.getUint8(PAGE))]).toEqual([
    noise(1, 3 * PAGE)[2 * PAGE],
    "EHWPOISON",
  ]);
});

test("a file truncated under a mapping: EFAULT behind its last page, no SIGBUS", () => {
  const { inode, map } = mapped(noise(1, 3 * PAGE));
  const mapping = map();
  inode.size = PAGE + 10;
  expect(codeOf(() => mapping.getUint8(2 * PAGE - 1))).toBe(undefined);
  expect(() => mapping.getUint8(2 * PAGE)).toThrow(/EFAULT.*the file ends at byte 4106/);
});

test("a mapping keeps its filesystem busy after the file is closed", () => {
  const { fs, tree, map } = mapped(noise(1, PAGE));
  const mapping = map();
  expect(() => tree.close()).toThrow(/EBUSY.*umount '\/' \(mapping of \/f; close and unmap/);
  expect(fs.mounted).toBe(true);
  mapping.unmap();
  tree.close();
  expect(fs.mounted).toBe(false);
});

test("revoke ends mappings: typed errors at the door, stitched arrays detached", () => {
  const { fs, tree, map } = mapped(noise(1, 2 * PAGE), "contiguous", { stitches: true });
  const checked = map();
  const detachable = map({ revocable: true });
  const { bytes } = detachable;
  expect(bytes.buffer).not.toBe(fs.toy.bytes.buffer);
  tree.close({ revoke: true });
  expect([bytes.length, fs.mounted, fs.toy.device.users]).toEqual([0, false, 0]);
  expect(() => checked.getUint8(0)).toThrow(/ENXIO.*revoked by an unmount/);
});

test("an alias cannot be taken back: revoke is EBUSY, unless the media closes next", () => {
  const { fs, tree, map } = mapped(noise(1, PAGE));
  const mapping = map();
  expect(mapping.bytes).toHaveLength(PAGE);
  expect(codeOf(() => tree.close({ revoke: true }))).toBe("EBUSY");
  expect([fs.mounted, mapping.getUint8(0)]).toEqual([true, noise(1, 1)[0]]);
  tree.close({ revoke: true, mediaCloses: true });
  expect(fs.mounted).toBe(false);
});
