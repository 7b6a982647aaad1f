/**
 * Writing and cutting files: what must never show, errors half way, and maps that lead astray.
 */
import { describe, expect, test, vi } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { DaxError } from "../../src/lib/errno.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { STALE } from "../support/data-stream.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mountToWrite, plainFile, writingOf } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { fillFree } from "../support/fill-free.ts";
import { EXT3, EXT4, EXT4_1K, end, mounted, readAll } from "../support/ext-file.ts";

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

  test("a flush that fails is heard of once, and the next one does it", () => {
    const image = emptyImage(EXT4);
    let failures = 0;
    let flushes = 0;
    const disk = new Proxy<BlockDevice>(new RamDisk({ name: "ram0", bytes: image }), {
      get(target, key) {
        if (key === "flush") {
          return () => {
            flushes++;
            if (failures-- > 0) throw new DaxError("EIO", { syscall: "flush" });
          };
        }
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const filesystem = ext.mount(disk, { write: true }, seededEnvironment(1)) as ExtFilesystem;
    const file = writingOf(filesystem.root).make("file", plainFile);
    writingOf(file).write(noise(1, 8192), 0);
    filesystem.sync();
    writingOf(file).write(noise(2, 4096), 0);
    failures = 1;
    expect(codeOf(() => writingOf(file).sync("data"))).toBe("EIO");
    writingOf(file).sync("data");
    const before = flushes;
    writingOf(file).sync("data");
    expect(flushes).toBe(before);
    end({ image, filesystem, file });
  });

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
