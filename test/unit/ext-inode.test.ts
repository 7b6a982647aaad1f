/**
 * Numbers of ext inodes: times, owners, devices, blocks; and what backs their files.
 */
import { describe, expect, test } from "vitest";
import { daxRead } from "../../src/dax/file-io.ts";
import { Ext4Inode, Ext4InodeExtra } from "../../src/format/ext-inode.ts";
import { aclToXattr } from "../../src/fs/ext/acl.ts";
import { EntryScanner, recordLength } from "../../src/fs/ext/directory-entries.ts";
import {
  InodeRecord,
  deviceOf,
  fileAcl,
  gidOf,
  sectorsUsed,
  timesOf,
  uidOf,
} from "../../src/fs/ext/inode-record.ts";
import { type Superblock, parseSuperblock } from "../../src/fs/ext/superblock.ts";
import { crc16 } from "../../src/lib/crc16.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { codeOf } from "../support/bytes.ts";
import { ExtEditor } from "../support/ext-editor.ts";
import { EXT_FIXTURES, contentsOf, find, fixtureImage, mountBytes } from "../support/ext-images.ts";

const image = fixtureImage("ext2-4k");
const plain = parseSuperblock(new DataView(image.buffer, 1024, 1024), 0, image.length);

/** An inode made of a few fields, for a filesystem without checksums. */
function recordOf(
  edit: (view: DataView) => void,
  superblock: Superblock = plain,
  size = 256,
): InodeRecord {
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  if (size > 128) Ext4InodeExtra.extraIsize.set(view, 128, 32);
  edit(view);
  return new InodeRecord(superblock, 12, bytes);
}

function mtimeOf(seconds: number, extra: number): unknown {
  const record = recordOf((view) => {
    Ext4Inode.mtime.set(view, 0, seconds);
    Ext4InodeExtra.mtimeExtra.set(view, 128, extra);
  });
  return timesOf(record).mtime;
}

describe("times", () => {
  test.each([
    [0, 0, 0, 0],
    [0x7fff_ffff, 0, 0x7fff_ffff, 0],
    [0x8000_0000, 0, -0x8000_0000, 0],
    [0xffff_ffff, 0, -1, 0],
    [0xffff_fffe, (500_000_000 << 2) >>> 0, -2, 500_000_000],
    [0x8000_0000, 1, 2 ** 31, 0],
    [0x7fff_ffff, 3, 15_032_385_535, 0],
    [5, ((999_999_999 * 4) % 2 ** 32) + 1, 2 ** 32 + 5, 999_999_999],
  ])("0x%x with extra 0x%x", (seconds, extra, sec, nsec) => {
    expect(mtimeOf(seconds, extra)).toEqual({ sec, nsec });
  });

  test("a small inode has whole seconds and no birth", () => {
    const record = recordOf((view) => Ext4Inode.mtime.set(view, 0, 0xffff_ffff), plain, 128);
    expect(timesOf(record).mtime).toEqual({ sec: -1, nsec: 0 });
    expect(timesOf(record).btime).toBe(undefined);
  });

  test("fields behind extra_isize do not exist", () => {
    const record = recordOf((view) => {
      Ext4InodeExtra.extraIsize.set(view, 128, 12);
      Ext4InodeExtra.mtimeExtra.set(view, 128, 0xffff_ffff);
      Ext4InodeExtra.atimeExtra.set(view, 128, 0xffff_ffff);
      Ext4InodeExtra.crtime.set(view, 128, 77);
    });
    const { mtime, atime, btime } = timesOf(record);
    expect([mtime.nsec > 0, atime.nsec, btime]).toEqual([true, 0, undefined]);
  });
});

type Edit = (view: DataView) => void;

function blocksWith(flags: number): Edit {
  return (view) => {
    Ext4Inode.blocksLo.set(view, 0, 8);
    Ext4Inode.blocksHigh.set(view, 0, 1);
    Ext4Inode.flags.set(view, 0, flags);
  };
}

function withAcl(view: DataView): void {
  Ext4Inode.fileAclLo.set(view, 0, 7);
  Ext4Inode.fileAclHigh.set(view, 0, 1);
}

function sizedWith(mode: number): Edit {
  return (view) => {
    Ext4Inode.mode.set(view, 0, mode);
    Ext4Inode.sizeLo.set(view, 0, 4096);
    Ext4Inode.sizeHigh.set(view, 0, 1);
  };
}

describe("numbers", () => {
  test("owners have 32 bits", () => {
    const record = recordOf((view) => {
      Ext4Inode.uid.set(view, 0, 0x86a0);
      Ext4Inode.uidHigh.set(view, 0, 1);
      Ext4Inode.gid.set(view, 0, 0xffff);
      Ext4Inode.gidHigh.set(view, 0, 0xffff);
    });
    expect([uidOf(record), gidOf(record)]).toEqual([100_000, 0xffff_ffff]);
  });

  test.each([
    [[0x0103, 0], 1 * 256 + 3],
    [[0, 0x0010_0000], 2 ** 20],
    [[0, 0x0001_0000], 256 * 256],
    [[0, (0xfff << 8) | 0xff | 0xfff0_0000], 0xfff * 256 + 0xff + 0xfff * 2 ** 20],
  ])("device words %j", (words, device) => {
    const record = recordOf((view) => {
      Ext4Inode.mode.set(view, 0, 0o60600);
      words.forEach((word, i) => view.setUint32(40 + 4 * i, word >>> 0, true));
    });
    expect(deviceOf(record)).toBe(device);
  });

  test("only devices have a number", () => {
    const record = recordOf((view) => {
      Ext4Inode.mode.set(view, 0, 0o100600);
      view.setUint32(40, 0x0103, true);
    });
    expect(deviceOf(record)).toBe(0);
  });

  test("blocks: 48 bits with huge_file, in blocks where the inode says so", () => {
    const huge = { ...plain, featureRoCompat: 0x8 };
    expect(sectorsUsed(plain, recordOf(blocksWith(0)))).toBe(8);
    expect(sectorsUsed(huge, recordOf(blocksWith(0), huge))).toBe(2 ** 32 + 8);
    expect(sectorsUsed(huge, recordOf(blocksWith(0x40000), huge))).toBe((2 ** 32 + 8) * 8);
  });

  test("the attribute block's upper bits count with 64bit only", () => {
    const wide = { ...plain, featureIncompat: 0x80 };
    expect([fileAcl(plain, recordOf(withAcl)), fileAcl(wide, recordOf(withAcl, wide))]).toEqual([
      7,
      2 ** 32 + 7,
    ]);
  });

  test("a directory's upper size word was once its ACL, a file's never", () => {
    const large = { ...plain, featureIncompat: 0x4000 };
    expect(recordOf(sizedWith(0o40755)).size).toBe(4096);
    expect(recordOf(sizedWith(0o40755), large).size).toBe(2 ** 32 + 4096);
    expect(recordOf(sizedWith(0o100644)).size).toBe(2 ** 32 + 4096);
  });

  test("crc16 of the standard check", () => {
    expect(crc16(0xffff, encodeUtf8("123456789"))).toBe(0x4b37);
  });
});

describe("inodes by number", () => {
  const filesystem = mountBytes(image);

  test.each([0, -1, 1, 3, 7, 8, 10, 1.5, Number.NaN, 4097, 2 ** 32, 2 ** 53])(
    "%d is not in use",
    (ino) => {
      expect(codeOf(() => filesystem.inode(ino))).toBe("ESTALE");
    },
  );

  test("a number gives the inode that its name gives, and a deleted one nothing", () => {
    const inode = find(filesystem, "a/b/c/deep");
    expect(filesystem.inode(inode.ino)).toBe(inode);
    const stale = Array.from({ length: 4096 }, (_, i) => i + 1).filter(
      (ino) => codeOf(() => filesystem.inode(ino)) === "ESTALE",
    );
    const { files, ffree } = filesystem.statfs();
    expect(files - stale.length).toBe(files - ffree - 9);
  });
});

/** The kinds of runs of a file, in order; they leave no gaps. */
function kindsOf(inode: Inode): string[] {
  const kinds: string[] = [];
  for (let at = 0; at < inode.size;) {
    const { type, offset, length } = inode.iomapBegin(at, 1, "report");
    if (offset !== at) throw new Error(`the run at ${at} starts at ${offset}`);
    kinds.push(type);
    at = offset + length;
  }
  return kinds;
}

describe("iomaps", () => {
  test("neighbouring blocks are one run, whatever maps them", () => {
    for (const name of EXT_FIXTURES) {
      const inode = find(mountBytes(fixtureImage(name)), "big");
      const { type, offset, length, addr } = inode.iomapBegin(70_000, 1, "read");
      expect([name, type, offset <= 70_000, length >= 40_000]).toEqual([
        name,
        "mapped",
        true,
        true,
      ]);
      expect(addr % 1024).toBe(0);
    }
  });

  test("the same part gives the same object, and the end of a file a hole", () => {
    const inode = find(mountBytes(fixtureImage("ext4-default")), "big");
    expect(inode.iomapBegin(1, 1, "read")).toBe(inode.iomapBegin(4097, 9, "read"));
    const { type, offset, length } = inode.iomapBegin(2 ** 52, 1, "read");
    expect([type, offset <= 2 ** 52, offset + length > 2 ** 52]).toEqual(["hole", true, true]);
  });

  test("a fragmented file has a run for each fragment", () => {
    for (const name of EXT_FIXTURES) {
      const kinds = kindsOf(find(mountBytes(fixtureImage(name)), "frag"));
      expect(kinds.filter((type) => type === "mapped").length).toBe(150);
      expect(new Set(kinds)).toEqual(new Set(["mapped", "hole"]));
    }
  });

  test("unwritten extents are told apart from holes", () => {
    const inode = find(mountBytes(fixtureImage("ext4-default")), "prealloc");
    expect(kindsOf(inode)).toContain("unwritten");
    expect(contentsOf(inode).some((byte) => byte !== 0)).toBe(true);
  });

  test("inline files are their bytes, and zeros behind what is stored", () => {
    const editor = new ExtEditor(fixtureImage("ext4-inline"));
    const path = "a/f0";
    const { ino, size } = find(mountBytes(fixtureImage("ext4-inline")), path);
    const whole = find(mountBytes(editor.bytes), path).iomapBegin(5, 1, "read");
    expect([whole.type, whole.offset, whole.inline?.length]).toEqual(["inline", 0, size]);
    editor.set({ base: editor.inodeAt(ino), field: Ext4Inode.sizeLo }, 10_000);
    editor.sealInode(ino);
    const longer = find(mountBytes(editor.bytes), path);
    const bytes = new Uint8Array(10_000).fill(1);
    expect(daxRead(longer, bytes, 0)).toBe(10_000);
    expect(Buffer.from(bytes.subarray(0, size)).toString()).toMatch(/line 0/u);
    expect(bytes.subarray(200).every((byte) => byte === 0)).toBe(true);
  });
});

describe("entries", () => {
  test("blocks of 64 KiB keep lengths that 16 bits cannot hold", () => {
    expect([0, 0xffff].map((stored) => recordLength(stored, 65_536))).toEqual([65_536, 65_536]);
    expect(recordLength(0xfffc, 65_536)).toBe(0xfffc);
    expect(recordLength(12, 65_536)).toBe(12);
    expect(recordLength(0, 4096)).toBe(0);
    expect(recordLength(0x8000, 32_768)).toBe(0x8000);
  });

  test("without filetype the name's length has 16 bits and there are no types", () => {
    const bytes = new Uint8Array(1024);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 12, true);
    view.setUint16(4, 1024, true);
    view.setUint16(6, 3, true);
    bytes.set(encodeUtf8("abc"), 8);
    const old = { ...plain, featureIncompat: 0 };
    const scanner = new EntryScanner(old, bytes, view, 0, 1024, "block");
    expect([scanner.next(), scanner.matches(encodeUtf8("abc")), scanner.fileType]).toEqual([
      true,
      true,
      0,
    ]);
    view.setUint16(6, 256, true);
    const long = new EntryScanner(old, bytes, view, 0, 1024, "block");
    expect(codeOf(() => long.next())).toBe("EUCLEAN");
  });
});

describe("access control lists", () => {
  const stored = Uint8Array.from(
    [
      [1, 0, 0, 0],
      [1, 0, 6, 0],
      [2, 0, 7, 0, 0xe8, 3, 0, 0],
      [4, 0, 4, 0],
      [8, 0, 6, 0, 0x70, 0x11, 1, 0],
      [16, 0, 7, 0],
      [32, 0, 4, 0],
    ].flat(),
  );

  test("come in the version 2 form, eight bytes an entry", () => {
    const value = aclToXattr(stored, "test") ?? new Uint8Array(0);
    const words = [...new Uint32Array(value.slice().buffer)];
    const none = 0xffff_ffff;
    const first = [2, 0x6_0001, none, 0x7_0002, 1000, 0x4_0004, none];
    expect(words).toEqual([...first, 0x6_0008, 70_000, 0x7_0010, none, 0x4_0020, none]);
  });

  test("a list without entries is none", () => {
    expect(aclToXattr(stored.slice(0, 4), "test")).toBe(undefined);
  });

  test.each([
    ["no header", stored.slice(0, 3)],
    ["version", Uint8Array.of(2, 0, 0, 0)],
    ["kind", Uint8Array.of(1, 0, 0, 0, 3, 0, 0, 0)],
    ["cut entry", stored.slice(0, 6)],
    ["cut id", stored.slice(0, 13)],
  ])("%s that cannot be is EUCLEAN", (_, bytes) => {
    expect(codeOf(() => aclToXattr(bytes, "test"))).toBe("EUCLEAN");
  });
});
