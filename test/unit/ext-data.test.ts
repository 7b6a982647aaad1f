/**
 * Writing and cutting files: space and limits, where blocks lie, times, and what is committed when.
 */
import { describe, expect, test, vi } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { daxRead } from "../../src/dax/file-io.ts";
import {
  EXT4_APPEND_FL,
  EXT4_IMMUTABLE_FL,
  EXT4_SYNC_FL,
  EXT4_VERITY_FL,
} from "../../src/format/ext-inode.ts";
import { EXT4_FEATURE_RO_COMPAT_LARGE_FILE } from "../../src/format/ext-superblock.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { BlockRun } from "../../src/fs/ext/block-allocator.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { setFlags } from "../../src/fs/ext/inode-writer.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { plainFile, writingOf } from "../support/ext-mounted.ts";
import { EXT3, EXT4, EXT4_1K, end, mounted, partsOf, readAll } from "../support/ext-file.ts";
import { SparseBytes } from "../support/sparse-bytes.ts";

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

  test("what was allocated before can be written to, whatever is free", () => {
    const all = mounted(EXT4_1K);
    const writing = writingOf(all.file);
    writing.fallocate("allocate", 0, 600 << 10);
    const { editor, operate } = partsOf(all.filesystem);
    const taken: BlockRun[] = [];
    const takeAll = () => {
      for (;;) {
        const request = { goal: 0, count: 1000, reserved: "all" } as const;
        taken.push(operate((handle) => editor.allocator.allocate(handle, request)));
      }
    };
    expect(codeOf(takeAll)).toBe("ENOSPC");
    const model = new SparseBytes();
    model.truncate(600 << 10);
    for (let i = 0; i < 300; i++) {
      const at = ((i * 37) % 300) * 2048;
      const bytes = noise(i, 300 + (i % 5) * 400);
      expect(writing.write(bytes, at + (i % 3))).toBe(bytes.length);
      model.write(bytes, at + (i % 3));
    }
    expect(same(readAll(all.file), model.read(0, 600 << 10))).toBe(true);
    operate((handle) => {
      for (const { start, count } of taken) {
        editor.allocator.free(handle, start, count, { metadata: false });
      }
    });
    end(all);
  });

  test("a size that stays gives back what lies behind it", () => {
    const all = mounted(EXT4);
    const writing = writingOf(all.file);
    writing.write(noise(1, 5000), 0);
    writing.fallocate("allocate", 0, 1 << 20, true);
    expect(all.file.attributes().blocks).toBe(2048);
    writing.truncate(5000);
    expect(all.file.attributes().blocks).toBe(16);
    end(all);
  });

  test.each([
    ["extents, 4k", EXT4, (2 ** 32 - 1) * 4096],
    ["extents, 1k", EXT4_1K, (2 ** 32 - 1) * 1024],
    ["extents without huge_file", { ...EXT4, features: "^huge_file" }, 2 ** 41 - 4096],
    ["a block map, 1k", EXT3, (12 + 256 + 256 ** 2 + 256 ** 3) * 1024],
  ] as const)("the largest file: %s", (_, options, most) => {
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

  test("what fs-verity has sealed stays as it is", () => {
    const all = mounted(EXT4);
    const writing = writingOf(all.file);
    writing.write(noise(1, 5000), 0);
    const { record } = all.filesystem.inode(all.file.ino).state;
    setFlags(record, record.flags | EXT4_VERITY_FL);
    const calls = [
      () => writing.write(Uint8Array.of(1), 0),
      () => writing.write(Uint8Array.of(1), 5000),
      () => writing.truncate(0),
      () => writing.fallocate("punch", 0, 4096, true),
      () => all.file.iomapBegin(0, 1, "fault"),
    ];
    expect(calls.map(codeOf)).toEqual(calls.map(() => "EPERM"));
    writing.change({ mode: 0o600 });
    setFlags(record, record.flags & ~EXT4_VERITY_FL);
    writing.change({ mode: 0o644 });
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
    writing.write(Uint8Array.of(2), 0);
    writing.change({ mtime: { sec: 5, nsec: 0 } });
    writing.write(Uint8Array.of(3), 0);
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
    expect(committed()).toBe(before);
    writing.sync("all");
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
