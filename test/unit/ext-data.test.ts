/**
 * Writing and cutting files: limits, errors half way, times, what is committed when, and what must
 * never show.
 */
import { describe, expect, test, vi } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { daxRead } from "../../src/dax/file-io.ts";
import { EXT4_APPEND_FL, EXT4_IMMUTABLE_FL, EXT4_SYNC_FL } from "../../src/format/ext-inode.ts";
import { EXT4_FEATURE_RO_COMPAT_LARGE_FILE } from "../../src/format/ext-superblock.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { type Environment, seededEnvironment } from "../../src/lib/environment.ts";
import { DaxError } from "../../src/lib/errno.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { STALE } from "../support/data-stream.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mountToWrite, plainFile, writingOf } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { fillFree } from "../support/fill-free.ts";

const EXT4 = { type: "ext4", blockSize: 4096 } as const;
const EXT4_1K = { type: "ext4", blockSize: 1024 } as const;
const EXT3 = { type: "ext3", blockSize: 1024 } as const;

interface Mounted {
  readonly image: Uint8Array<ArrayBuffer>;
  readonly filesystem: ExtFilesystem;
  readonly file: Inode;
}

function mounted(options: MakeExtOptions, environment?: Environment, megabytes = 8): Mounted {
  const image = emptyImage(options, megabytes);
  const filesystem = mountToWrite(image, {}, environment);
  return { image, filesystem, file: writingOf(filesystem.root).make("file", plainFile) };
}

function readAll(file: Inode): Uint8Array {
  const bytes = new Uint8Array(file.size);
  expect(daxRead(file, bytes, 0)).toBe(bytes.length);
  return bytes;
}

/** Ends it, and nobody has anything to say. */
function end({ image, filesystem }: Mounted): void {
  filesystem.unmount();
  expect(complaints(image)).toEqual([]);
}

describe("space and limits", () => {
  test.each([EXT4, EXT4_1K, EXT3])("a full disk writes what it can: %o", (options) => {
    const all = mounted(options);
    const writing = writingOf(all.file);
    const piece = noise(1, 300_000);
    let size = 0;
    for (let done = piece.length; done === piece.length; size += done) {
      done = writing.write(piece, size);
    }
    expect(all.file.size).toBe(size);
    expect(codeOf(() => writing.write(piece, size + 8192))).toBe("ENOSPC");
    const rest = readAll(all.file);
    expect(same(rest.subarray(0, 300_000), piece)).toBe(true);
    expect(same(rest.subarray(-1000), piece.subarray(0, size % 300_000).subarray(-1000))).toBe(
      true,
    );
    writing.truncate(10);
    expect(writing.write(piece, 10)).toBe(piece.length);
    end(all);
  });

  test.each([
    ["extents, 4k", EXT4, (2 ** 32 - 1) * 4096],
    ["extents, 1k", EXT4_1K, (2 ** 32 - 1) * 1024],
    ["extents without huge_file", { ...EXT4, features: "^huge_file" }, 2 ** 41 - 4096],
    ["a block map, 1k", EXT3, (12 + 256 + 256 ** 2 + 256 ** 3) * 1024],
  ] as const)("[2.70] the largest file: %s", (_, options, most) => {
    const all = mounted(options);
    const writing = writingOf(all.file);
    expect(codeOf(() => writing.write(Uint8Array.of(1), most))).toBe("EFBIG");
    expect(codeOf(() => writing.truncate(most + 1))).toBe("EFBIG");
    expect(writing.write(Uint8Array.of(1, 2, 3), most - 2)).toBe(2);
    expect(all.file.size).toBe(most);
    const tail = new Uint8Array(4);
    expect(daxRead(all.file, tail, most - 4)).toBe(4);
    expect([...tail]).toEqual([0, 0, 1, 2]);
    expect(writing.write(new Uint8Array(0), most + 5)).toBe(0);
    end(all);
  });

  test.each([-1, 0.5, NaN, Infinity, 2 ** 53])("offset and size %d are refused", (number) => {
    const all = mounted(EXT4);
    const writing = writingOf(all.file);
    expect(codeOf(() => writing.write(Uint8Array.of(1), number))).toBe("EINVAL");
    expect(codeOf(() => writing.truncate(number))).toBe("EINVAL");
    end(all);
  });

  test.each(["write", "truncate"])("2 GiB say so in the superblock: %s", (how) => {
    const all = mounted({ type: "ext2", blockSize: 1024, features: "^large_file" });
    const large = () => {
      const disk = new RamDisk({ name: "ram0", bytes: all.image });
      return readSuperblock(disk).featureRoCompat & EXT4_FEATURE_RO_COMPAT_LARGE_FILE;
    };
    writingOf(all.file).truncate(2 ** 31 - 1);
    all.filesystem.sync();
    expect(large()).toBe(0);
    if (how === "write") writingOf(all.file).write(Uint8Array.of(1), 2 ** 31 - 1);
    else writingOf(all.file).truncate(2 ** 31);
    end(all);
    expect(large()).not.toBe(0);
  });

  test("no regular file", () => {
    const { filesystem } = mounted(EXT4);
    const writing = writingOf(filesystem.root);
    expect(codeOf(() => writing.write(Uint8Array.of(1), 0))).toBe("EINVAL");
    expect(codeOf(() => writing.truncate(0))).toBe("EINVAL");
    expect(codeOf(() => filesystem.root.iomapBegin(0, 1, "write"))).toBe("EINVAL");
  });
});

/** Places on the media in which a file lies. */
function runsOf(file: Inode): number {
  let runs = 0;
  for (let at = 0; at < file.size; runs++) {
    const { offset, length } = file.iomapBegin(at, 1, "report");
    at = offset + length;
  }
  return runs;
}

describe("where blocks lie", () => {
  test.each([EXT4, EXT4_1K, EXT3])(
    "files that grow in turns do not share each other's: %o",
    (options) => {
      const all = mounted(options, undefined, 24);
      const root = writingOf(all.filesystem.root);
      const files = ["a", "b", "c", "d"].map((name) => root.make(name, plainFile));
      for (let at = 0; at < 1 << 20; at += 4096) {
        for (const file of files) writingOf(file).write(noise(at, 4096), at);
      }
      for (const file of files) expect(runsOf(file)).toBeLessThan(20);
      expect(same(readAll(files[2] as Inode).subarray(40_960, 45_056), noise(40_960, 4096))).toBe(
        true,
      );
      end(all);
    },
  );

  test("2 MiB and more start on huge pages", () => {
    const image = emptyImage(EXT4, 32);
    const { pmem } = pmemOf(image.length);
    for (let at = 0; at < image.length; at += 2 ** 20) {
      pmem.disk.write(at / 512, image.subarray(at, at + 2 ** 20));
    }
    const filesystem = ext.mount(pmem.disk, { write: true }, seededEnvironment(1)) as ExtFilesystem;
    const file = writingOf(filesystem.root).make("file", plainFile);
    expect(writingOf(file).write(noise(1, 9 << 20), 0)).toBe(9 << 20);
    for (let at = 0; at < 8 << 20; at += 2 << 20) {
      const { addr, offset, length } = file.iomapBegin(at, 1, "report");
      expect((addr - offset + at) % (2 << 20)).toBe(0);
      expect(offset + length - at).toBeGreaterThanOrEqual(2 << 20);
    }
    filesystem.unmount();
  });
});

describe("attributes", () => {
  test("immutable and append-only", () => {
    const all = mounted(EXT4);
    const writing = writingOf(all.file);
    writing.write(noise(1, 100), 0);
    writing.flags |= EXT4_APPEND_FL;
    expect(codeOf(() => writing.truncate(0))).toBe("EPERM");
    expect(writing.write(Uint8Array.of(1), 100)).toBe(1);
    writing.flags = (writing.flags & ~EXT4_APPEND_FL) | EXT4_IMMUTABLE_FL;
    expect(codeOf(() => writing.write(Uint8Array.of(1), 0))).toBe("EPERM");
    expect(codeOf(() => writing.truncate(0))).toBe("EPERM");
    expect(codeOf(() => all.file.iomapBegin(0, 1, "fault"))).toBe("EPERM");
    end(all);
  });

  test("mtime and ctime follow the clock's ticks", () => {
    let milliseconds = 1000;
    const now = () => ({ sec: Math.floor(milliseconds / 1000), nsec: (milliseconds % 1000) * 1e6 });
    const all = mounted(EXT4, { ...seededEnvironment(1), clock: { now } });
    const writing = writingOf(all.file);
    const times = () => {
      const { mtime, ctime } = all.file.attributes();
      expect(ctime).toEqual(mtime);
      return mtime.sec * 1000 + mtime.nsec / 1e6;
    };
    writing.write(noise(1, 5000), 0);
    for (const next of [2000, 2001, 2003, 2004, 9000]) {
      milliseconds = next;
      writing.write(Uint8Array.of(1), 7);
      expect(times()).toBe(next - (next % 4));
    }
    milliseconds = 12_345;
    writing.truncate(3);
    expect(times()).toBe(12_345);
    end(all);
  });

  test("capabilities go, whoever writes; setuid stays for who may set it", () => {
    const all = mounted(EXT4);
    const writing = writingOf(all.file);
    const change = [() => writing.write(Uint8Array.of(1), 0), () => writing.truncate(50)];
    for (const body of change) {
      writing.change({ mode: 0o6755 });
      writing.setxattr("security.capability", new Uint8Array(20));
      writing.setxattr("user.a", new Uint8Array(20));
      body();
      expect(all.file.listxattr()).toEqual(["user.a"]);
      expect(all.file.mode & 0o7777).toBe(0o6755);
    }
    end(all);
  });
});

describe("what is committed", () => {
  test("a copy over what is written asks no journal within a tick", () => {
    const all = mounted(EXT4, {
      ...seededEnvironment(1),
      clock: { now: () => ({ sec: 5, nsec: 0 }) },
    });
    const writing = writingOf(all.file);
    writing.write(noise(1, 100_000), 0);
    writing.sync("all");
    const { journal } = all.filesystem.writing ?? {};
    if (journal === undefined) throw new Error("no journal");
    const start = vi.spyOn(journal, "start");
    for (let at = 0; at < 90_000; at += 4096) {
      expect(writing.write(noise(at, 4096), at)).toBe(4096);
      writing.sync("data");
    }
    expect(start).not.toHaveBeenCalled();
    expect(same(readAll(all.file).subarray(8192, 12_288), noise(8192, 4096))).toBe(true);
    end(all);
  });

  test("fdatasync leaves times to the next commit, fsync does not", () => {
    const all = mounted(EXT4);
    const writing = writingOf(all.file);
    const committed = () => all.filesystem.writing?.journal.committed ?? -1;
    writing.write(noise(1, 10_000), 0);
    writing.sync("data");
    const before = committed();
    writing.change({ mtime: { sec: 1, nsec: 0 } });
    writing.sync("data");
    const changed = committed();
    expect(changed).toBeGreaterThan(before);
    // The clock's year has come since: the next write sets the time.
    const state = all.filesystem.inode(all.file.ino).state;
    state.writtenAt = -1;
    writing.write(noise(2, 4096), 4096);
    writing.sync("data");
    expect(committed()).toBe(changed);
    writing.sync("all");
    expect(committed()).toBeGreaterThan(changed);
    end(all);
  });

  test("chattr +S commits with the call", () => {
    const all = mounted(EXT4);
    const writing = writingOf(all.file);
    writing.flags |= EXT4_SYNC_FL;
    const before = all.filesystem.writing?.journal.committed ?? -1;
    writing.write(noise(1, 10_000), 0);
    expect(all.filesystem.writing?.journal.committed).toBeGreaterThan(before);
    end(all);
  });
});

describe("what must not show", () => {
  test.each([EXT4, EXT4_1K, EXT3])("what a block held before: %o", (options) => {
    const image = emptyImage(options);
    fillFree(image, STALE);
    const filesystem = mountToWrite(image);
    const file = writingOf(filesystem.root).make("file", plainFile);
    const writing = writingOf(file);
    for (const [offset, length] of [
      [5000, 10],
      [20_000, 5000],
      [70_001, 3],
      [40_959, 2],
    ] as const) {
      writing.write(new Uint8Array(length).fill(1), offset);
    }
    for (const size of [70_500, 69_999, 200_000, 20_003, 60_000]) writing.truncate(size);
    expect(readAll(file).includes(STALE)).toBe(false);
    end({ image, filesystem, file });
  });

  test.each(["truncate", "write", "write behind"])(
    "what a mapping stored behind the end: %s",
    (how) => {
      const all = mounted(EXT4);
      const writing = writingOf(all.file);
      writing.write(new Uint8Array(5000).fill(1), 0);
      const { addr, offset } = all.file.iomapBegin(4096, 1, "fault");
      all.image.fill(STALE, addr - offset + 5000, addr - offset + 8192);
      if (how === "truncate") writing.truncate(8000);
      else writing.write(new Uint8Array(10).fill(2), how === "write" ? 6000 : 20_000);
      writing.truncate(30_000);
      expect(readAll(all.file).includes(STALE)).toBe(false);
      end(all);
    },
  );

  test("a file that is cut keeps its old end until that is durable", () => {
    const all = mounted(EXT4);
    const writing = writingOf(all.file);
    writing.write(new Uint8Array(8192).fill(7), 0);
    all.filesystem.sync();
    const { addr } = all.file.iomapBegin(0, 1, "report");
    writing.truncate(5000);
    expect(all.image[addr + 5000]).toBe(7);
    all.filesystem.sync();
    expect(all.image[addr + 5000]).toBe(0);
    expect(all.image[addr + 4999]).toBe(7);
    end(all);
  });
});

/** A disk whose contents of files cannot be written while `failing` says so. */
function failingDisk(image: Uint8Array, failing: (offset: number) => boolean): BlockDevice {
  return new Proxy<BlockDevice>(new RamDisk({ name: "ram0", bytes: image }), {
    get(target, key) {
      if (key === "writeBytes") {
        return (offset: number, bytes: Uint8Array) => {
          if (failing(offset)) throw new DaxError("EIO", { syscall: "write" });
          target.writeBytes(offset, bytes);
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

describe("errors half way", () => {
  test.each([EXT4, EXT4_1K, EXT3])(
    "blocks that cannot be written are a hole again: %o",
    (options) => {
      const image = emptyImage(options);
      let fails = false;
      const disk = failingDisk(image, () => fails);
      const filesystem = ext.mount(disk, { write: true }, seededEnvironment(1)) as ExtFilesystem;
      const file = writingOf(filesystem.root).make("file", plainFile);
      const writing = writingOf(file);
      writing.write(noise(1, 10_000), 0);
      const { blocks } = file.attributes();
      fails = true;
      expect(codeOf(() => writing.write(noise(2, 50_000), 10_240))).toBe("EIO");
      expect(codeOf(() => writing.write(noise(2, 50_000), 900_000))).toBe("EIO");
      expect(file.attributes()).toMatchObject({ blocks, size: 10_000 });
      fails = false;
      expect(writing.write(noise(3, 50_000), 10_000)).toBe(50_000);
      expect(same(readAll(file).subarray(10_000), noise(3, 50_000))).toBe(true);
      end({ image, filesystem, file });
    },
  );

  test("poison: parts of a page are EIO, whole pages heal, new blocks heal", () => {
    const image = emptyImage(EXT4);
    const { pmem, media } = pmemOf(image.length);
    for (let at = 0; at < image.length; at += 2 ** 20) {
      pmem.disk.write(at / 512, image.subarray(at, at + 2 ** 20));
    }
    const filesystem = ext.mount(pmem.disk, { write: true }, seededEnvironment(1)) as ExtFilesystem;
    const file = writingOf(filesystem.root).make("file", plainFile);
    const writing = writingOf(file);
    writing.write(noise(1, 16_384), 0);
    const { addr } = file.iomapBegin(0, 1, "report");
    media.injectPoison(addr + 8192, 1);
    expect(codeOf(() => writing.write(noise(2, 100), 8200))).toBe("EIO");
    expect(writing.write(noise(2, 5000), 4096)).toBe(4096);
    media.injectPoison(addr + 8192, 1);
    expect(writing.write(noise(3, 4096), 8192)).toBe(4096);
    media.injectPoison(addr + 16_384, 4096 * 4);
    expect(writing.write(noise(4, 5000), 16_384)).toBe(5000);
    expect(same(readAll(file).subarray(16_384), noise(4, 5000))).toBe(true);
    filesystem.unmount();
  });
});

describe("iomapBegin", () => {
  test("a hole that is stored to is filled with zeros, up to the end of the file", () => {
    const image = emptyImage(EXT4);
    fillFree(image, STALE);
    const filesystem = mountToWrite(image);
    const file = writingOf(filesystem.root).make("file", plainFile);
    writingOf(file).truncate(50_000);
    const map = file.iomapBegin(8192, 2 ** 20, "fault");
    expect(map).toMatchObject({ type: "mapped", offset: 8192, fresh: true, dirty: true });
    expect(map.length).toBe(45_056);
    expect(image.subarray(map.addr, map.addr + map.length).every((byte) => byte === 0)).toBe(true);
    expect(file.iomapBegin(8192, 1, "fault").dirty).toBe(true);
    writingOf(file).sync("data");
    expect(file.iomapBegin(8192, 1, "fault").dirty).toBe(false);
    expect(file.iomapBegin(0, 1, "zero").type).toBe("hole");
    expect(codeOf(() => file.iomapBegin(53_248, 1, "fault"))).toBe("EFAULT");
    end({ image, filesystem, file });
  });

  test("a file in its inode moves out", () => {
    const all = mounted({ ...EXT4_1K, inodeSize: 256, features: "inline_data" });
    writingOf(all.file).write(noise(1, 90), 0);
    expect(all.file.iomapBegin(0, 1, "report").type).toBe("inline");
    expect(all.file.iomapBegin(0, 1, "fault").type).toBe("mapped");
    expect(same(readAll(all.file), noise(1, 90))).toBe(true);
    end(all);
  });

  test("nothing is written where nothing may be", () => {
    const image = emptyImage(EXT4);
    const disk = new RamDisk({ name: "ram0", bytes: image });
    const { root } = ext.mount(disk, {}, seededEnvironment(1));
    expect(codeOf(() => root.iomapBegin(0, 1, "write"))).toBe("EROFS");
  });
});

describe("maps that lead to the filesystem's own blocks", () => {
  const calls: Readonly<Record<string, (file: Inode) => unknown>> = {
    "a copy over": (file) => writingOf(file).write(noise(1, 100), 0),
    "an append": (file) => writingOf(file).write(noise(1, 100), file.size),
    "a fault": (file) => file.iomapBegin(0, 1, "fault"),
    zeroing: (file) => file.iomapBegin(0, 1, "zero"),
  };
  const kinds: readonly MakeExtOptions[] = [EXT4, EXT3];
  const cases = kinds.flatMap((kind) => Object.keys(calls).map((name) => [name, kind] as const));

  test.each(cases)("%s is refused: %o", (name, options) => {
    const { image, filesystem, file } = mounted(options);
    writingOf(file).write(noise(1, 1000), 0);
    writingOf(file).sync("all");
    const { record, map } = filesystem.inode(file.ino).state;
    const { inodeTable } = filesystem.volume.groups.get(0);
    // The start of the only extent, or the first pointer.
    const word = options.type === "ext4" ? 5 : 0;
    new DataView(record.blockBytes().buffer, record.blockBytes().byteOffset).setUint32(
      word * 4,
      inodeTable,
      true,
    );
    map.clear();
    const before = image.slice();
    expect(codeOf(() => calls[name]?.(file))).toBe("EUCLEAN");
    const start = inodeTable * (options.blockSize ?? 0);
    const table = (bytes: Uint8Array) => bytes.subarray(start, start + (options.blockSize ?? 0));
    expect(same(table(image), table(before))).toBe(true);
  });
});

describe("cutting", () => {
  test("what one transaction cannot take goes on after a power cut", () => {
    const image = emptyImage(EXT4_1K, 48);
    const filesystem = mountToWrite(image);
    const file = writingOf(filesystem.root).make("file", plainFile);
    const block = noise(1, 1024);
    // Every other block: more leaves than are freed at once.
    for (let i = 0; i < 23_000; i++) writingOf(file).write(block, i * 2048);
    filesystem.sync();
    const { writing } = filesystem;
    if (writing === undefined) throw new Error("read-only");
    const between: Uint8Array<ArrayBuffer>[] = [];
    const operate = writing.operate.bind(writing);
    vi.spyOn(writing, "operate").mockImplementation((copies, body, revokes) => {
      const result = operate(copies, body, revokes);
      writing.journal.commit();
      between.push(image.slice());
      return result;
    });
    writingOf(file).truncate(700);
    expect(between.length).toBeGreaterThan(1);
    for (const cutOff of between) {
      const after = mountToWrite(cutOff);
      const found = after.root.lookup("file");
      expect(found?.attributes()).toMatchObject({ size: 700, blocks: 2 });
      expect(found && same(readAll(found), block.subarray(0, 700))).toBe(true);
      end({ image: cutOff, filesystem: after, file });
    }
    end({ image, filesystem, file });
  });

  test.each([EXT4_1K, EXT3])("a file without a name stays an orphan: %o", (options) => {
    const all = mounted(options);
    const writing = writingOf(all.file);
    writing.hold();
    for (let at = 0; at < 200; at++) writing.write(noise(at, 1024), at * 3072);
    writingOf(all.filesystem.root).unlink("file");
    writing.truncate(100_000);
    writing.write(noise(1, 100), 150_000);
    all.filesystem.sync();
    // The machine stops here: the next mount deletes it.
    const after = all.image.slice();
    mountToWrite(after).unmount();
    expect(complaints(after)).toEqual([]);
    writing.release();
    end(all);
  });
});
