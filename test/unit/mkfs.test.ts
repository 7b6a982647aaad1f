/**
 * Making filesystems: what is refused, what is never overwritten, what an interruption leaves, and
 * that the same options make the same bytes.
 */
import * as fs from "node:fs";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { FaultyDevice } from "../../src/block/fault-injection.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { makeExt, planExt } from "../../src/fs/ext/mkfs.ts";
import { parseBlockCount, parseExtended, parseJournal } from "../../src/fs/ext/mkfs-extended.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { findSignature } from "../../src/fs/ext/mkfs-signature.ts";
import { probeSuperblock } from "../../src/fs/ext/superblock.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { openFileMedia } from "../../src/node/file-media.ts";
import { makeVolume, planVolume } from "../../src/node/make-volume.ts";
import { openVolume } from "../../src/node/volume.ts";
import { runLine } from "../support/command-line.ts";
import { scratch } from "../support/scratch.ts";

const MIB = 2 ** 20;
const world = () => seededEnvironment(7);

function disk(bytes: number, fill = 0): { bytes: Uint8Array<ArrayBuffer>; device: RamDisk } {
  const memory = new Uint8Array(bytes).fill(fill);
  return { bytes: memory, device: new RamDisk({ name: "ram0", bytes: memory }) };
}

/** The code and detail of what is thrown. */
function refusal(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    if (isDaxError(error)) return `${error.code}: ${error.detail}`;
    throw error;
  }
  return "nothing was refused";
}

describe("what cannot be made is refused in words, with nothing written", () => {
  const cases: readonly (readonly [MakeExtOptions, RegExp])[] = [
    [{ blockSize: 3000 }, /EINVAL: block size 3000; give 1024, 2048, 4096/u],
    [{ blockSize: 65536 }, /EINVAL: blocks of 65536 bytes are more than a page/u],
    [{ inodeSize: 8192 }, /EINVAL: inode size 8192; give a power of two from 128/u],
    [{ inodeSize: 128, features: "inline_data" }, /EINVAL: inodes of 128 bytes have no room/u],
    [{ clusterSize: 65536 }, /EINVAL: a cluster size needs the bigalloc feature/u],
    [{ features: "^extent" }, /EINVAL: 64bit needs the extent feature/u],
    [{ features: "^extent,^64bit,bigalloc" }, /EINVAL: bigalloc needs the extent feature/u],
    [{ features: "meta_bg" }, /EINVAL: resize_inode and meta_bg exclude each other/u],
    [{ features: "^has_journal,orphan_file" }, /EINVAL: orphan_file needs a journal/u],
    [
      { features: "metadata_cssum" },
      /EINVAL: feature "metadata_cssum" is not known; did you mean/u,
    ],
    [{ features: "journal_dev" }, /EINVAL: feature "journal_dev" cannot be asked for/u],
    [{ features: "needs_recovery" }, /EINVAL: feature "needs_recovery" cannot be asked for/u],
    [{ usage: ["smal"] }, /EINVAL: usage type "smal" is not known; did you mean small/u],
    [{ reservedPercent: 51 }, /EINVAL: reserved 51 percent; give 0 to 50/u],
    [{ inodes: 1e9 }, /EINVAL: 1000000000 inodes of 256 bytes do not fit/u],
    [{ inodeRatio: 512 }, /EINVAL: 512 bytes per inode; give 1024/u],
    [{ blocksPerGroup: 100 }, /EINVAL: 100 blocks per group; give a multiple of 8/u],
    [{ flexGroups: 3 }, /EINVAL: 3 flex groups; give a power of two/u],
    [{ revision: 0, type: "ext3", journal: true }, /EINVAL: revision 0 knows neither/u],
    [{ journalMegabytes: 500 }, /ENOSPC: a journal of 512000 blocks would fill more than half/u],
    [{ journalMegabytes: 0.5 }, /EINVAL: a journal of 512 blocks; it has 1024 to/u],
    [{ resize: { bytes: MIB } }, /EINVAL: resize to 1024 blocks is no more than/u],
    [{ stride: 1e6 }, /EINVAL: stride 1000000; give 0 to 65535/u],
    [{ uuid: "12" }, /EINVAL: .*12/u],
    [{ hashSeed: "none" }, /EINVAL: .*none/u],
    [{ size: { blocks: 0 } }, /EINVAL: a size of 0 blocks is less than one block/u],
    [{ size: { blocks: 40 } }, /ENOSPC: 40 blocks/u],
    [{ size: { bytes: 1e18 } }, /EINVAL|ENOSPC/u],
  ];

  test.each(cases)("%j", (options, message) => {
    const { bytes, device } = disk(8 * MIB, 0x5a);
    expect(refusal(() => makeExt(device, options, world()))).toMatch(message);
    expect(Buffer.compare(bytes, Buffer.alloc(bytes.length, 0x5a))).toBe(0);
  });

  test("no size and no file", () => {
    const path = scratch();
    expect(refusal(() => makeVolume(path))).toMatch(/ENOENT: it is not there; give a size/u);
    expect(fs.existsSync(path)).toBe(false);
  });

  test.each([
    ["extended", () => parseExtended("strid=4"), /"strid" is not known; did you mean stride\?/u],
    ["extended", () => parseExtended("stride"), /stride needs a value/u],
    ["extended", () => parseExtended("stride=x"), /stride is "x"; write an unsigned number/u],
    ["extended", () => parseExtended("test_fs=1"), /test_fs takes no value/u],
    ["extended", () => parseExtended("quotatype=usr:abc"), /"abc" is none of usr, grp, prj/u],
    ["extended", () => parseExtended("root_owner=1"), /write it as uid:gid/u],
    ["extended", () => parseExtended("encoding=utf16"), /"utf16" is not known/u],
    ["journal", () => parseJournal("device=/dev/x"), /another device is not made/u],
    ["journal", () => parseJournal("sise=4"), /did you mean size\?/u],
  ] as const)("a list of %s options: %s", (_, parse, message) => {
    expect(refusal(parse)).toMatch(message);
  });
});

describe("what is there is not overwritten unasked", () => {
  const marks: readonly (readonly [number, string, string])[] = [
    [0, "XFSB", "an xfs filesystem"],
    [65_600, "_BHRfS_M", "a btrfs filesystem"],
    [4086, "SWAPSPACE2", "swap space"],
  ];

  test.each(marks)("at %d, %s", (at, text, what) => {
    const media = new RamMedia(8 * MIB);
    const memory = media.window(0).memory;
    for (const [i, char] of Buffer.from(text).entries()) memory.setUint8(at + i, char);
    expect(refusal(() => makeVolume(media))).toBe(
      `EEXIST: it holds ${what}; force (-F) overwrites it`,
    );
    expect(memory.getUint8(at)).toBe(text.charCodeAt(0));
    const asked: string[] = [];
    makeVolume(media, { mayOverwrite: (seen) => asked.push(seen) > 0 });
    expect(asked).toEqual([what]);
    // Nothing is taken for what was there before.
    expect(memory.getUint8(at)).toBe(0);
  });

  test("an ext filesystem, by its label", () => {
    const path = scratch();
    makeVolume(path, { size: { bytes: 8 * MIB }, label: "données" });
    const before = fs.readFileSync(path);
    expect(refusal(() => makeVolume(path))).toMatch(
      /EEXIST: it holds an ext4 filesystem labelled/u,
    );
    expect(fs.readFileSync(path).equals(before)).toBe(true);
    expect(makeVolume(path, { force: true, type: "ext2" }).type).toBe("ext2");
  });

  test("a file that another writer has", () => {
    const path = scratch();
    const media = openFileMedia(path, { create: 8 * MIB });
    expect(refusal(() => makeVolume(path))).toMatch(/^EBUSY: .*writes to it/u);
    media.close();
    expect(fs.readFileSync(path).every((byte) => byte === 0)).toBe(true);
  });

  test("a file stays as it was when the size cannot be had", () => {
    const path = scratch();
    fs.writeFileSync(path, Buffer.alloc(MIB, 7));
    const tooMuch = { blockSize: 4096, size: { bytes: 2 ** 50 }, blocksPerGroup: 32768 } as const;
    expect(refusal(() => makeVolume(path, tooMuch))).toMatch(/^(EINVAL|EFBIG|ENOMEM|ENOSPC)/u);
    const far = { blockSize: 65536, size: { bytes: 2 ** 46 }, force: true } as const;
    expect(refusal(() => makeVolume(path, far))).toMatch(/^(EINVAL|EFBIG|ENOMEM|ENOSPC)/u);
    expect(fs.readFileSync(path).equals(Buffer.alloc(MIB, 7))).toBe(true);
  });
});

/** Whether a request may touch the superblock. */
function partOf(sector: number): string {
  return sector <= 2 ? "super" : "other";
}

describe("an interruption", () => {
  const SIZE = 256 * 1024;
  const options = { type: "ext2", inodes: 64 } as const;

  /** What is there when all requests behind the first `count` fail. */
  function interrupted(old: Uint8Array, count: number): string {
    const bytes = old.slice();
    const inner = new RamDisk({ name: "ram0", bytes });
    const rules = [{ operations: ["write", "flush"] as const, skip: count }];
    const device = new FaultyDevice(inner, { rules });
    const ended = refusal(() => makeExt(device, options, world()));
    if (device.failed === 0) return "made";
    if (!ended.startsWith("EIO")) return ended;
    if (!probeSuperblock(inner)) return "none";
    const findings = [...ext.check(inner, world())];
    return findings.length > 0 ? "damaged" : (findSignature(inner) ?? "unknown");
  }

  test("leaves no filesystem, whichever request is the last", () => {
    const { bytes: old, device } = disk(SIZE);
    makeExt(device, { ...options, label: "old" }, world());
    const found: string[] = [];
    while (found.at(-1) !== "made" && found.length < 1000) {
      found.push(interrupted(old, found.length));
    }
    // Nothing was done yet; or all was, and only the last flush failed.
    const [first, ...rest] = found;
    expect(first).toBe("an ext2 filesystem labelled 'old'");
    expect(rest.splice(-2)).toEqual(["an ext2 filesystem", "made"]);
    expect(rest.length).toBeGreaterThan(10);
    expect(new Set(rest)).toEqual(new Set(["none"]));
  });

  test("is flushed around: the old superblock first, the new magic last", () => {
    const { bytes, device } = disk(SIZE);
    makeExt(device, { ...options, label: "old" }, world());
    const events: string[] = [];
    const watched = new Proxy(device, {
      get(target, name) {
        if (name === "flush") return () => void events.push(`flush ${probeSuperblock(target)}`);
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== "function") return member;
        const method = member as (...args: unknown[]) => unknown;
        if (name === "write" || name === "writeZeroes") {
          return (sector: number, ...rest: unknown[]) => {
            events.push(partOf(sector));
            return method.call(target, sector, ...rest);
          };
        }
        if (name !== "writeBytes") return method.bind(target);
        return (offset: number, ...rest: unknown[]) => {
          events.push(partOf(Math.floor(offset / 512)));
          return method.call(target, offset, ...rest);
        };
      },
    });
    makeExt(watched, { ...options, label: "new" }, world());
    expect(events.slice(0, 2)).toEqual(["super", "flush false"]);
    expect(events.slice(-4)).toEqual(["super", "flush false", "super", "flush true"]);
    expect(events.slice(2, -4).filter((event) => event !== "other")).toEqual([]);
    expect(bytes.subarray(1024 + 0x78, 1024 + 0x7b)).toEqual(Uint8Array.of(110, 101, 119));
  });
});

test("the same options make the same bytes, whatever was there before", () => {
  const [a, b] = [disk(16 * MIB), disk(16 * MIB, 0xa5)];
  makeExt(a.device, { lazyItableInit: false }, world());
  makeExt(b.device, { lazyItableInit: false }, world());
  // What belongs to no file and to no table is left as it is.
  const different = a.bytes.filter((byte, i) => byte !== b.bytes[i] && b.bytes[i] !== 0xa5);
  expect(different.length).toBe(0);
  const c = disk(16 * MIB);
  makeExt(c.device, { lazyItableInit: false }, seededEnvironment(8));
  expect(c.bytes).not.toEqual(a.bytes);
});

test("for persistent memory, groups and free space start on 2 MiB", () => {
  const bytes = 2 ** 30;
  const plan = planExt(bytes, { blockSize: 4096 }, world());
  const { blocksPerGroup, blockSize } = plan.superblock;
  expect((blocksPerGroup * blockSize) % (2 * MIB)).toBe(0);
});

test("a size is blocks of the size given, or KiB, or bytes", () => {
  const path = scratch();
  const blocks = (options: Parameters<typeof planVolume>[1]) => {
    const plan = planVolume(path, options);
    return plan.blocks * plan.blockSize;
  };
  expect(blocks({ size: { blocks: 8192 } })).toBe(8 * MIB);
  expect(blocks({ size: { blocks: 8192 }, blockSize: 2048 })).toBe(16 * MIB);
  expect(blocks({ size: { bytes: 8 * MIB + 100 } })).toBe(8 * MIB);
  expect(fs.existsSync(path)).toBe(false);
});

test("a filesystem in a part of a file leaves the rest alone", () => {
  const path = scratch();
  fs.writeFileSync(path, Buffer.alloc(4 * MIB, 9));
  makeVolume(path, { offset: MIB, size: { bytes: 2 * MIB }, type: "ext2" });
  const bytes = fs.readFileSync(path);
  expect(bytes.length).toBe(4 * MIB);
  expect(bytes.subarray(0, MIB).every((byte) => byte === 9)).toBe(true);
  expect(bytes.subarray(3 * MIB).every((byte) => byte === 9)).toBe(true);
  const volume = openVolume(path, { offset: MIB });
  expect(volume.fs.readdirSync("/")).toEqual(["lost+found"]);
  volume.close();
});

test.each([
  ["100", { blocks: 100 }],
  ["0x10", { blocks: 16 }],
  ["8s", { bytes: 4096 }],
  ["4k", { bytes: 4096 }],
  ["16T", { bytes: 2 ** 44 }],
])("%s is so much", (text, count) => {
  expect(parseBlockCount(text, "SIZE")).toEqual(count);
});

test.each(["16E", "1E", "disk.img", "100x", "K", "", "18446744073709551617", "9s9", "-1"])(
  "'%s' is no size, and none by a wrap at 2^64",
  (text) => {
    expect(() => parseBlockCount(text, "SIZE")).toThrow(`SIZE is "${text}"; write an unsigned`);
  },
);

test("who gives an unknown unit is told those that there are", () => {
  expect(() => parseBlockCount("10Q", "SIZE")).toThrow(/"10Q"; .* with s, K, M, G or T\b/u);
});

test("sizes beyond 2^53 bytes are refused", () => {
  for (const text of ["9000000000000000s", "9000T"]) {
    expect(() => parseBlockCount(text, "SIZE")).toThrow(/above 2\^53 bytes/u);
  }
});

describe("the command", () => {
  test("says what it made, and as JSON what a program wants to know", async () => {
    const path = scratch();
    const seeded = ["mkfs.ext4", "--seed", "3", path, "64M"];
    const dry = await runLine(["mkfs.ext4", "-n", "--seed", "3", path, "64M"]);
    expect(dry.stdout).toMatch(/would make ext4 with 65536 blocks of 1024 bytes/u);
    expect(fs.existsSync(path)).toBe(false);
    const made = await runLine(seeded);
    expect(made).toMatchObject({ status: 0, stderr: "" });
    expect(made.stdout).toMatch(/made ext4 .*\n {2}16384 inodes, a journal of 4096 blocks/u);
    const again = await runLine([...seeded, "-F", "--json"]);
    expect(JSON.parse(again.stdout)).toMatchObject({ made: true, type: "ext4", inodes: 16384 });
  });

  test("without -F it refuses, and says how to go on", async () => {
    const path = scratch();
    await runLine(["mkfs.ext2", "-q", path, "1M"]);
    const ended = await runLine(["mkfs.ext2", path]);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(/EEXIST.*it holds an ext2 filesystem; force \(-F\)/u);
  });

  test.each([
    [["-o", "hurd"], /the Hurd's format is not made/u],
    [["-b", "4k7"], /option '-b' is '4k7'/u],
    [["-m", "-1"], /-m/u],
    [["-r", "2"], /write 0 or 1/u],
    [["-E", "nonsense"], /extended option "nonsense" is not known/u],
    [["-z", "/tmp/undo"], /-z/u],
    [["-J", "size=8M"], /size is "8M"; write an unsigned number/u],
  ])("%j is a matter of usage", async (words, message) => {
    const path = scratch();
    const ended = await runLine(["mkfs.ext4", ...words, path, "8M"]);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toMatch(message);
    expect(fs.existsSync(path)).toBe(false);
  });

  test("a tree is a directory or an archive", async () => {
    const path = scratch();
    const ended = await runLine(["mkfs.ext4", "-d", "package.json", path, "8M"]);
    expect(ended.stderr).toMatch(/EBADMSG.*this is no tar archive/u);
    expect(fs.existsSync(path)).toBe(false);
  });

  test("a label that is too long is cut, and that is said", async () => {
    const path = scratch();
    const ended = await runLine(["mkfs.ext2", "-L", "seventeen letters", path, "1M"]);
    expect(ended).toMatchObject({
      status: 0,
      stderr: expect.stringContaining("'seventeen letter'"),
    });
    const fits = await runLine(["mkfs.ext2", "-F", "-L", "sixteen letters!", path]);
    expect(fits).toMatchObject({ status: 0, stderr: "" });
  });

  test("SOURCE_DATE_EPOCH is a time or nothing", async () => {
    onTestFinished(() => void vi.unstubAllEnvs());
    const path = scratch();
    vi.stubEnv("SOURCE_DATE_EPOCH", "yesterday");
    const ended = await runLine(["mkfs.ext2", path, "1M"]);
    expect(ended).toMatchObject({ status: 2, stderr: expect.stringContaining("is 'yesterday'") });
    expect(fs.existsSync(path)).toBe(false);
    vi.stubEnv("SOURCE_DATE_EPOCH", "");
    expect(await runLine(["mkfs.ext2", path, "1M"])).toMatchObject({ status: 0 });
  });

  test("root_owner alone is whoever runs it", async () => {
    const path = scratch();
    await runLine(["mkfs.ext4", "-q", "-E", "root_owner", path, "8M"]);
    const volume = openVolume(path);
    expect(volume.fs.statSync("/").uid).toBe(process.getuid?.());
    volume.close();
  });
});

test("media that are read-only are refused, not written to in vain", () => {
  const media = new RamMedia(8 * MIB, { readOnly: true });
  expect(() => makeVolume(media, {})).toThrow(/^EROFS/u);
});

test("what was made is known by sight", () => {
  const { device } = disk(4 * MIB);
  expect(findSignature(device)).toBeUndefined();
  makeExt(device, { type: "ext3", label: "x\ny" }, world());
  expect(findSignature(device)).toBe("an ext3 filesystem labelled 'x?y'");
});
