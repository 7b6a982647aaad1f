/**
 * Mounting ext images: what is refused by name, options, statfs, and what mounting costs.
 */
import { describe, expect, test } from "vitest";
import { Partition } from "../../src/block/partition.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import {
  EXT4_DAX_FL,
  EXT4_EXTENTS_FL,
  EXT4_JOURNAL_DATA_FL,
  EXT4_VERITY_FL,
  Ext4Inode,
} from "../../src/format/ext-inode.ts";
import { EXT4_FEATURE_INCOMPAT_META_BG, Ext4SuperBlock } from "../../src/format/ext-superblock.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { hasSuper, superGroups } from "../../src/fs/ext/geometry.ts";
import type { Superblock } from "../../src/fs/ext/superblock.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf } from "../support/bytes.ts";
import { ExtEditor } from "../support/ext-editor.ts";
import {
  EXT_FIXTURES,
  type ExtFixture,
  find,
  fixtureImage,
  mountBytes,
  mountDisk,
  still,
} from "../support/ext-images.ts";
import { ToyDisk } from "../support/toy-disk.ts";

function daxDisk(bytes: Uint8Array): ToyDisk {
  const disk = new ToyDisk({ pages: bytes.length / 4096 });
  disk.bytes.set(bytes);
  return disk;
}

function edited(name: ExtFixture, edit: (editor: ExtEditor) => void): Uint8Array {
  const editor = new ExtEditor(fixtureImage(name));
  edit(editor);
  editor.sealSuperblock();
  return editor.bytes;
}

function withIncompat(bits: number): Uint8Array {
  return edited("ext4-default", (editor) => {
    const { featureIncompat } = editor.volume.superblock;
    const value = (featureIncompat | bits) >>> 0;
    editor.set({ base: 1024, field: Ext4SuperBlock.featureIncompat }, value);
  });
}

describe("features", () => {
  test.each([
    [0x1, "compression"],
    [0x8, "journal_dev"],
    [0x1000, "dirdata"],
    [0x10000, "encrypt"],
    [0x20000, "casefold"],
    [0x40000, "unknown incompat feature 0x40000"],
    [0x80000000, "unknown incompat feature 0x80000000"],
    [0x30001, "compression, encrypt, casefold"],
  ])("incompat 0x%x is refused by name", (bits, name) => {
    const mount = (): unknown => mountBytes(withIncompat(bits));
    expect(codeOf(mount)).toBe("ENOTSUP");
    expect(mount).toThrow(`the filesystem uses ${name};`);
  });

  test("unknown compat and ro_compat bits do not keep a reader out", () => {
    const bytes = edited("ext4-default", (editor) => {
      const { featureCompat, featureRoCompat } = editor.volume.superblock;
      const compat = (featureCompat | 0x4000_0000) >>> 0;
      const roCompat = (featureRoCompat | 0x4000_0000) >>> 0;
      editor.set({ base: 1024, field: Ext4SuperBlock.featureCompat }, compat);
      editor.set({ base: 1024, field: Ext4SuperBlock.featureRoCompat }, roCompat);
    });
    expect(mountBytes(bytes).type).toBe("ext4");
  });

  test("the name of the filesystem follows its features", () => {
    const types = EXT_FIXTURES.map((name) => mountBytes(fixtureImage(name)).type);
    expect(types).toEqual(EXT_FIXTURES.map((name) => name.slice(0, 4)));
  });
});

describe("probe", () => {
  test("finds every fixture, and no foreign bytes", () => {
    for (const name of EXT_FIXTURES) {
      expect(ext.probe(new RamDisk({ name: "ram0", bytes: fixtureImage(name) }))).toBe(true);
    }
    for (const size of [0, 512, 1024, 1536, 4096]) {
      const bytes = new Uint8Array(size).fill(0x53);
      expect(ext.probe(new RamDisk({ name: "ram0", bytes }))).toBe(false);
      expect(codeOf(() => mountBytes(bytes))).toBe("EUCLEAN");
    }
  });
});

/** What statfs(2) said of each fixture, mounted by Linux 6.18: blocks, bfree, bavail, ffree. */
const STATFS: Readonly<Record<ExtFixture, readonly [number, number, number, number]>> = {
  "ext2-1k": [15225, 13163, 12344, 3390],
  "ext2-4k": [3836, 3259, 3055, 3390],
  "ext3-4k": [2812, 2230, 2026, 3390],
  "ext4-1k": [14073, 11776, 10630, 3390],
  "ext4-bigalloc": [15056, 9584, 8445, 318],
  "ext4-default": [2811, 2170, 1885, 3390],
  "ext4-gdtcsum": [14201, 11903, 10757, 3390],
  "ext4-inline": [2811, 2235, 1950, 3390],
};

describe("statfs", () => {
  test.each(EXT_FIXTURES)("of %s is Linux's", (name) => {
    const { blocks, bfree, bavail, ffree, magic } = mountBytes(fixtureImage(name)).statfs();
    expect([blocks, bfree, bavail, ffree, magic]).toEqual([...STATFS[name], 0xef53]);
    const all = mountBytes(fixtureImage(name), { minixdf: true }).statfs();
    expect([all.blocks * all.blockSize, all.bfree]).toEqual([16 << 20, bfree]);
  });

  test("bigalloc without the number that mke2fs leaves is counted, to the same result", () => {
    const bytes = edited("ext4-bigalloc", (editor) =>
      editor.set({ base: 1024, field: Ext4SuperBlock.overheadClusters }, 0),
    );
    expect(mountBytes(bytes).statfs().blocks).toBe(STATFS["ext4-bigalloc"][0]);
  });
});

function flagged(bits: number): Uint8Array {
  return edited("ext4-default", (editor) => {
    const { ino } = find(mountBytes(fixtureImage("ext4-default")), "big");
    editor.set({ base: editor.inodeAt(ino), field: Ext4Inode.flags }, EXT4_EXTENTS_FL | bits);
    editor.sealInode(ino);
  });
}

function isDax(bytes: Uint8Array, dax?: "always" | "inode" | "never"): boolean {
  const filesystem = mountDisk(daxDisk(bytes).disk, dax === undefined ? {} : { dax });
  if (filesystem.root.isDax) throw new Error("a directory is never dax");
  return find(filesystem, "big").isDax;
}

/** What `dax=always` gives: the type, or the error. */
function mountAlways(name: ExtFixture, dax: boolean): string {
  const bytes = fixtureImage(name);
  const disk = dax ? daxDisk(bytes).disk : new RamDisk({ name: "ram0", bytes });
  try {
    return mountDisk(disk, { dax: "always" }).type;
  } catch (error) {
    return String(error);
  }
}

describe("dax", () => {
  test("[2.10] always, never, and by the inode's flag", () => {
    expect(isDax(flagged(0))).toBe(false);
    expect(isDax(flagged(0), "always")).toBe(true);
    expect(isDax(flagged(EXT4_DAX_FL))).toBe(true);
    expect(isDax(flagged(EXT4_DAX_FL), "inode")).toBe(true);
    expect(isDax(flagged(EXT4_DAX_FL), "never")).toBe(false);
  });

  test("[2.10] never for journalled data and verity", () => {
    for (const flag of [EXT4_JOURNAL_DATA_FL, EXT4_VERITY_FL]) {
      expect(isDax(flagged(flag), "always")).toBe(false);
      expect(isDax(flagged(flag | EXT4_DAX_FL))).toBe(false);
    }
  });

  test("[2.10] always is refused where it cannot be", () => {
    expect(mountAlways("ext4-default", true)).toBe("ext4");
    expect(mountAlways("ext4-default", false)).toMatch(/EINVAL.*DAX unsupported by block device/u);
    expect(mountAlways("ext4-1k", true)).toMatch(/EINVAL.*blocks of 1024 bytes are not pages/u);
    expect(mountAlways("ext4-inline", true)).toMatch(/EINVAL.*inline data/u);
    const odd = { dax: "yes" as "always" };
    expect(codeOf(() => mountBytes(fixtureImage("ext4-1k"), odd))).toBe("EINVAL");
  });

  test("[0.38] always is refused between pages, with nothing written", () => {
    const bytes = fixtureImage("ext4-default");
    const { pmem } = pmemOf(bytes.length + 4096);
    pmem.disk.write(1, bytes);
    const place = { name: "pmem0p1", start: 1, sectors: bytes.length / 512 };
    const partition = new Partition(pmem.disk, place);
    const mount = () => mountDisk(partition, { dax: "always", write: true });
    expect(mount).toThrow(/EINVAL.*unaligned partition/u);
    const after = new Uint8Array(bytes.length);
    partition.read(0, after);
    expect(Buffer.compare(after, bytes)).toBe(0);
  });

  test("[0.38] always is refused over a first page that cannot be translated", () => {
    const bytes = fixtureImage("ext4-default");
    const { pmem, media } = pmemOf(bytes.length);
    pmem.disk.write(0, bytes);
    media.injectPoison(0, 1);
    const mount = () => mountDisk(pmem.disk, { dax: "always" });
    expect(mount).toThrow(/EINVAL.*first page cannot be translated/u);
    expect(mountDisk(pmem.disk).type).toBe("ext4");
  });

  test("[0.36] iomaps carry the dax device", () => {
    const disk = daxDisk(fixtureImage("ext4-default"));
    const map = find(mountDisk(disk.disk), "big").iomapBegin(0, 1, "read");
    expect(map.range?.device).toBe(disk.device);
    expect(map.store).toBe(disk.disk);
    const plain = find(mountBytes(fixtureImage("ext4-default")), "big");
    expect(plain.iomapBegin(0, 1, "read").range).toBe(undefined);
  });
});

/** An image grown to `blocks` by its superblock alone, on a device that is zeros behind it. */
function grown(blocks: number): { disk: RamDisk; reads: () => number } {
  const groups = blocks / 32768;
  const bytes = edited("ext3-4k", (editor) => {
    editor.set({ base: 1024, field: Ext4SuperBlock.blocksCountLo }, blocks);
    editor.set({ base: 1024, field: Ext4SuperBlock.inodesCount }, groups * 4096);
    // Descriptors of the later groups lie in those groups, not over the bitmaps of the first.
    const { featureIncompat } = editor.volume.superblock;
    const metaBg = featureIncompat | EXT4_FEATURE_INCOMPAT_META_BG;
    editor.set({ base: 1024, field: Ext4SuperBlock.featureIncompat }, metaBg);
    editor.set({ base: 1024, field: Ext4SuperBlock.firstMetaBg }, 1);
  });
  const ram = new RamDisk({ name: "ram0", bytes });
  let reads = 0;
  const disk = new Proxy(ram, {
    get(target, key) {
      if (key === "sectors") return blocks * 8;
      if (key !== "readBytes") return Reflect.get(target, key, target) as unknown;
      return (offset: number, into: Uint8Array): void => {
        reads++;
        if (offset + into.length <= bytes.length) target.readBytes(offset, into);
        else into.fill(0);
      };
    },
  });
  return { disk, reads: () => reads };
}

describe("cost", () => {
  test("mounting a terabyte reads as much as mounting sixteen megabytes", () => {
    const small = grown(32768);
    const large = grown(2 ** 28);
    const filesystem = mountDisk(large.disk);
    mountDisk(small.disk);
    expect(large.reads()).toBe(small.reads());
    expect(large.reads()).toBeLessThan(5);
    expect(find(filesystem, "big").size).toBe(1 << 20);
  });

  test("a second question about the same part of a file touches no metadata", () => {
    const { disk, reads } = grown(32768);
    const inode = find(mountDisk(disk), "frag");
    const map = inode.iomapBegin(100_000, 1, "read");
    const before = reads();
    expect(inode.iomapBegin(100_000, 1, "read")).toBe(map);
    for (let at = 0; at < 1_000_000; at += 4096) inode.iomapBegin(at, 1, "read");
    expect(reads()).toBeLessThanOrEqual(before + 1);
  });
});

function geometry(over: Partial<Superblock>): Superblock {
  const base = { groups: 400, featureCompat: 0, featureRoCompat: 1, backupBgs: [0, 0] };
  return { ...base, ...over } as unknown as Superblock;
}

function listed(superblock: Superblock): number[] {
  return [...superGroups(superblock)].toSorted((a, b) => a - b);
}

function asked(superblock: Superblock): number[] {
  const all = Array.from({ length: superblock.groups }, (_, group) => group);
  return all.filter((group) => hasSuper(superblock, group));
}

describe("superblock copies", () => {
  test("sparse: 0, 1 and the powers of 3, 5 and 7", () => {
    const groups = [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343];
    expect(listed(geometry({}))).toEqual(groups);
    expect(asked(geometry({}))).toEqual(groups);
  });

  test("sparse_super2: the two that are named; without either: all", () => {
    const two = geometry({ featureCompat: 0x200, backupBgs: [1, 399] });
    expect([listed(two), asked(two)]).toEqual([
      [0, 1, 399],
      [0, 1, 399],
    ]);
    const all = geometry({ featureRoCompat: 0 });
    expect([listed(all).length, asked(all).length]).toEqual([400, 400]);
  });
});

describe("media that fail", () => {
  test("poison under metadata is EIO and names what lies there; the rest is read", () => {
    const disk = daxDisk(fixtureImage("ext4-default"));
    const filesystem = mountDisk(disk.disk);
    const { addr } = find(filesystem, "dir").iomapBegin(0, 1, "read");
    disk.poison.add(addr / 4096);
    const damaged = mountDisk(disk.disk);
    const list = (): unknown => [...find(damaged, "dir").readdir(0)];
    expect(codeOf(list)).toBe("EIO");
    expect(list).toThrow(/inode \d+ directory block 0 \d+ lies on poisoned memory/u);
    expect(find(damaged, "a/b/c/deep").size).toBe(160);
  });

  test("a removed device is ENXIO", () => {
    const disk = daxDisk(fixtureImage("ext4-default"));
    const filesystem = mountDisk(disk.disk);
    disk.device.kill();
    expect(codeOf(() => find(filesystem, "a/b"))).toBe("ENXIO");
  });
});

test("unmounting forgets, and a number that is in use is found again", () => {
  const filesystem = ext.mount(daxDisk(fixtureImage("ext4-default")).disk, {}, still);
  const { ino } = find(filesystem, "big");
  expect(filesystem.inode(ino)).toBe(filesystem.inode(ino));
  filesystem.unmount();
  expect(filesystem.inode(ino).size).toBe(1 << 20);
});
