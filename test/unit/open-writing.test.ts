/**
 * Open files that are written: who may, where it goes, when it is durable, and what readers see.
 */
import { expect, test } from "vitest";
import { DaxError } from "../../src/lib/errno.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import type { OpenOptions } from "../../src/vfs/opening.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { type DaxTree, daxTree } from "../support/dax-mounted.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { complaints } from "../support/ext-writing.ts";

const EXT4 = { type: "ext4", blockSize: 4096 } as const;
const CREATE = { create: true, access: "readwrite" } as const;

function opened(options: OpenOptions = {}): DaxTree & { file: OpenFile } {
  const all = daxTree(emptyImage(EXT4));
  return { ...all, file: all.tree.open("/f", { ...CREATE, ...options }) };
}

function contents(file: OpenFile): Uint8Array {
  const bytes = new Uint8Array(file.inode.size);
  expect(file.pread(bytes, 0)).toBe(bytes.length);
  return bytes;
}

test("write moves the position, pwrite does not, and holes between are zeros", () => {
  const { file } = opened();
  expect([file.write(noise(1, 100)), file.write(noise(2, 50)), file.position]).toEqual([
    100, 50, 150,
  ]);
  expect([file.pwrite(noise(3, 10), 20_000), file.position]).toEqual([10, 150]);
  expect(file.pwritev([noise(4, 5), new Uint8Array(0), noise(5, 6)], 50)).toBe(11);
  expect(file.writev([noise(6, 1), noise(7, 2)])).toBe(3);
  const expected = new Uint8Array(20_010);
  expected.set(noise(1, 100));
  expected.set(noise(2, 50), 100);
  expected.set(noise(3, 10), 20_000);
  expected.set(noise(4, 5), 50);
  expected.set(noise(5, 6), 55);
  expected.set(noise(6, 1), 150);
  expected.set(noise(7, 2), 151);
  expect([same(contents(file), expected), file.position]).toEqual([true, 153]);
});

test("append writes at the end, wherever it is told to", () => {
  const { file, tree } = opened({ append: true });
  file.pwrite(noise(1, 10), 0);
  tree.truncate("/f", 30);
  file.pwrite(noise(2, 10), 5);
  expect([file.inode.size, file.write(noise(3, 4)), file.position]).toEqual([40, 4, 44]);
  expect(same(contents(file).subarray(30, 40), noise(2, 10))).toBe(true);
});

test("what it was not opened for is EBADF, and after close everything", () => {
  const { tree, file } = opened();
  const [reads, writes] = [tree.open("/f"), tree.open("/f", { access: "write" })];
  const byte = new Uint8Array(1);
  expect(codeOf(() => reads.write(byte))).toBe("EBADF");
  expect(codeOf(() => reads.truncate(0))).toBe("EINVAL");
  expect(codeOf(() => reads.fallocate("allocate", 0, 1))).toBe("EBADF");
  expect(codeOf(() => writes.read(byte))).toBe("EBADF");
  expect(codeOf(() => writes.view(0, 1))).toBe("EBADF");
  expect(codeOf(() => writes.map({ access: "write" }))).toBe("EACCES");
  expect(codeOf(() => file.pwrite(byte, -1))).toBe("EINVAL");
  expect(codeOf(() => file.pwrite(byte, Number.NaN))).toBe("EINVAL");
  expect(codeOf(() => file.truncate(-1))).toBe("EINVAL");
  expect(codeOf(() => file.fallocate("allocate", 0, 0))).toBe("EINVAL");
  reads.sync("data");
  file.close();
  for (const call of [
    () => file.write(byte),
    () => file.truncate(0),
    () => file.sync(),
    () => file.change({ mode: 0 }),
    () => file.getxattr("user.a"),
    () => file.close(),
  ]) {
    expect(codeOf(call)).toBe("EBADF");
  }
  const place = tree.open("/f", { path: true });
  expect(codeOf(() => place.read(byte))).toBe("EBADF");
  expect(codeOf(() => place.view(0, 1))).toBe("EBADF");
  expect(codeOf(() => place.sync())).toBe("EBADF");
  expect(codeOf(() => place.seek(0, "end"))).toBe("EBADF");
  const folder = tree.open("/", { path: true });
  expect(codeOf(() => folder.readdir())).toBe("EBADF");
  expect(codeOf(() => folder.read(byte))).toBe("EBADF");
  expect(place.attributes().size).toBe(0);
});

test("attributes and extended attributes of an open file, its name gone", () => {
  const { tree, file } = opened();
  tree.unlink("/f");
  file.change({ mode: 0o2711 });
  file.change({ uid: 5, gid: 6 });
  file.change({ atime: { sec: 3, nsec: 4 }, mtime: "now" });
  file.setxattr("user.a", noise(1, 9));
  expect(file.attributes()).toMatchObject({ mode: 0o100711, uid: 5, gid: 6 });
  expect(file.attributes().atime).toEqual({ sec: 3, nsec: 4 });
  expect([file.listxattr(), file.getxattr("user.a"), file.getxattr("user.b")]).toEqual([
    ["user.a"],
    noise(1, 9),
    undefined,
  ]);
  file.removexattr("user.a");
  expect(codeOf(() => file.removexattr("user.a"))).toBe("ENODATA");
});

test("setuid goes with the first byte that somebody else than user 0 writes", () => {
  const { tree } = opened();
  tree.chmod("/f", 0o6777);
  const credentials = { uid: 7, gid: 8 };
  const root = tree.open("/f", { access: "write" });
  root.write(noise(1, 1));
  expect(tree.stat("/f").mode & 0o6000).toBe(0o6000);
  const file = tree.open("/f", { access: "write", credentials });
  file.write(new Uint8Array(0));
  expect(tree.stat("/f").mode & 0o6000).toBe(0o6000);
  file.write(noise(1, 1));
  expect(tree.stat("/f").mode & 0o7777).toBe(0o777);
});

test("a view asks anew when the file was cut, and when its blocks have moved", () => {
  const { tree, file } = opened();
  const first = noise(1, 64 * 4096);
  file.write(first);
  const reader = tree.open("/f");
  expect(same(reader.view(8192, 4096), first.subarray(8192, 12_288))).toBe(true);
  file.truncate(0);
  expect(reader.view(8192, 4096)).toHaveLength(0);
  // Its blocks are another file's now.
  const other = tree.open("/g", CREATE);
  other.write(noise(2, 64 * 4096));
  file.truncate(64 * 4096);
  expect(reader.view(8192, 4096).every((byte) => byte === 0)).toBe(true);
  file.pwrite(noise(3, 4096), 8192);
  expect(same(reader.view(8192, 4096), noise(3, 4096))).toBe(true);
  file.truncate(10_000);
  expect(reader.view(8192, 4096)).toHaveLength(10_000 - 8192);
});

test.each(["punch", "zero", "collapse", "insert"] as const)(
  "a view, and a mapping, show what there is after %s",
  (mode) => {
    const { tree, file } = opened();
    const bytes = noise(1, 16 * 4096);
    file.write(bytes);
    const reader = tree.open("/f");
    const mapping = reader.map({ length: 12 * 4096 });
    const show = (): string[] => {
      const [viewed, loaded] = [new Uint8Array(4096), new Uint8Array(4096)];
      return Array.from({ length: 12 }, (_, page) => {
        viewed.set(reader.view(page * 4096, 4096));
        mapping.copyOut(page * 4096, loaded);
        const expected = contents(file).subarray(page * 4096, (page + 1) * 4096);
        return `${same(viewed, expected)} ${same(loaded, expected)}`;
      });
    };
    const right = Array.from({ length: 12 }, () => "true true");
    expect(show()).toEqual(right);
    file.fallocate(mode, 2 * 4096, 2 * 4096);
    // Somebody else may have the blocks now.
    tree.open("/g", CREATE).write(noise(2, 16 * 4096));
    expect(show()).toEqual(right);
    expect(same(contents(file).subarray(0, 8192), bytes.subarray(0, 8192))).toBe(true);
  },
);

test("stores through a view of a file that is written are stores to the file", () => {
  const { tree, file, disk } = opened();
  file.write(noise(1, 4096));
  const view = file.view(0, 4096);
  view.set(noise(2, 100), 50);
  expect(same(contents(file).subarray(50, 150), noise(2, 100))).toBe(true);
  expect(same(contents(tree.open("/f")).subarray(50, 150), noise(2, 100))).toBe(true);
  const { flushedLines, fences } = disk.device.counters;
  file.flush(50, 100);
  file.flush(5000, 10);
  const { counters } = disk.device;
  expect([counters.flushedLines - flushedLines, counters.fences - fences]).toEqual([3, 1]);
  expect(codeOf(() => tree.open("/f").flush(0, 1))).toBe("EBADF");
  expect(codeOf(() => file.flush(0, -1))).toBe("EINVAL");
});

test("a view that may be stored to shows no blocks that the filesystem keeps itself in", () => {
  const { tree, file } = opened();
  file.write(noise(1, 4096));
  const { inode } = file;
  const ask = inode.iomapBegin.bind(inode);
  // As for an extent that leads into an inode table.
  inode.iomapBegin = (offset, length, intent) => {
    if (intent === "fault") throw new DaxError("EUCLEAN");
    return ask(offset, length, intent);
  };
  expect(codeOf(() => file.view(0, 100))).toBe("EUCLEAN");
  expect(codeOf(() => file.map({ access: "write" }))).toBe("EUCLEAN");
  expect(tree.open("/f").view(0, 100)).toHaveLength(100);
});

test("O_SYNC and O_DSYNC: what a write returned from is on the media", () => {
  for (const sync of ["all", "data"] as const) {
    const { file, disk } = opened({ sync });
    const before = disk.device.counters.fences;
    file.write(noise(9, 5000));
    // As after a power cut: the bytes of the media as they are, mounted by somebody else.
    const { tree } = daxTree(disk.bytes.slice());
    expect(same(contents(tree.open("/f")), noise(9, 5000))).toBe(true);
    expect(disk.device.counters.fences).toBeGreaterThanOrEqual(before);
  }
});

test("closing the tree writes everything home, and a closed image is clean", () => {
  const { tree, file, disk } = opened();
  file.write(noise(1, 100_000));
  expect(codeOf(() => tree.close())).toBe("EBUSY");
  tree.close({ revoke: true });
  expect(file.closed).toBe(true);
  expect(complaints(disk.bytes)).toEqual([]);
  const { tree: again } = daxTree(disk.bytes);
  expect(same(contents(again.open("/f")), noise(1, 100_000))).toBe(true);
});
