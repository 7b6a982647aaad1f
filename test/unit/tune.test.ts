import { expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { EXT4_SUPERBLOCK_OFFSET, Ext4SuperBlock as SB } from "../../src/format/ext-superblock.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { parseSuperblock } from "../../src/fs/ext/superblock.ts";
import { tuneExt } from "../../src/fs/ext/tune.ts";
import { parseTuneList } from "../../src/fs/ext/tune-lists.ts";
import type { TuneExtOptions } from "../../src/fs/ext/tune-options.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { type DaxError, isDaxError } from "../../src/lib/errno.ts";
import { tuneVolume } from "../../src/node/tune-volume.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { CutDisk } from "../support/cut-disk.ts";

const MIB = 2 ** 20;

function made(options: MakeExtOptions = {}, size = 4 * MIB): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  const device = new RamDisk({ name: "ram0", bytes });
  makeExt(device, { blockSize: 1024, ...options }, seededEnvironment(1));
  return bytes;
}

function tuned(bytes: Uint8Array, options: TuneExtOptions) {
  return tuneExt(new RamDisk({ name: "ram0", bytes }), options, seededEnvironment(2));
}

/** The error, after which nothing may have been written. */
function refusal(options: TuneExtOptions, making: MakeExtOptions = {}): string {
  const bytes = made(making);
  const before = bytes.slice();
  const error = thrownBy(() => tuned(bytes, options));
  expect(Buffer.compare(bytes, before)).toBe(0);
  return error === undefined ? "nothing was refused" : `${error.code}: ${error.detail}`;
}

function thrownBy(body: () => void): DaxError | undefined {
  try {
    body();
    return undefined;
  } catch (error) {
    if (isDaxError(error)) return error;
    throw error;
  }
}

test("what is not changed here is refused by name, with what to do instead", () => {
  const all: readonly (readonly [string, RegExp])[] = [
    ["^has_journal", /^ENOTSUP: feature has_journal cannot be cleared: .*use tune2fs/u],
    ["quota", /^ENOTSUP: feature quota cannot be set: it takes blocks/u],
    ["^resize_inode", /^ENOTSUP: feature resize_inode cannot be cleared/u],
    ["^metadata_csum", /^ENOTSUP: feature metadata_csum cannot be cleared: every checksum/u],
    ["^large_file", /^ENOTSUP: .* e2fsck has to go over every file/u],
    ["^64bit", /^ENOTSUP: .* resize2fs/u],
    ["bigalloc", /^ENOTSUP: .* decided when a filesystem is made/u],
    ["^extent", /^ENOTSUP: feature extent cannot be cleared: files may have extents/u],
    ["large_dirs", /^EINVAL: .*did you mean large_dir\?/u],
    ["none", /^ENOTSUP: feature has_journal cannot be cleared/u],
  ];
  for (const [features, rule] of all) expect(refusal({ features })).toMatch(rule);
  expect(refusal({ features: "has_journal" }, { type: "ext2" })).toMatch(
    /cannot be set: it takes/u,
  );
  const seed = { features: "metadata_csum_seed" };
  expect(refusal(seed, { type: "ext3" })).toMatch(/needs metadata_csum/u);
  expect(refusal({ features: "dir_nlink" }, { type: "ext2", revision: 0 })).toMatch(/revision 0/u);
});

test("a uuid that checksums begin with stays, unless their seed is kept", () => {
  expect(refusal({ uuid: "random" })).toMatch(/^ENOTSUP: .*metadata_csum_seed, together with -U/u);
  expect(refusal({ uuid: "1234" })).toMatch(/^EINVAL: "1234" is no uuid/u);
  const bytes = made();
  const { uuid } = tuned(bytes, { uuid: "time", features: "metadata_csum_seed" });
  expect(uuid[14]).toBe("1");
  expect(() => tuned(bytes, { features: "^metadata_csum_seed" })).toThrow(/written anew/u);
  expect(tuned(bytes, { uuid }).changed).toBe(true);
});

test("numbers that a superblock does not hold are refused", () => {
  expect(refusal({ maxMounts: 16001 })).toMatch(/EINVAL: the maximal mount count is 16001/u);
  expect(refusal({ mounts: -1 })).toMatch(/EINVAL: the mount count is -1/u);
  expect(refusal({ reservedPercent: 50.1 })).toMatch(/0 to 50 percent/u);
  expect(refusal({ reservedPercent: Number.NaN })).toMatch(/0 to 50 percent/u);
  expect(refusal({ reservedBlocks: 2049 })).toMatch(/from 0 to 2048/u);
  expect(refusal({ reservedUid: 65536 })).toMatch(/the uid is 65536/u);
  expect(refusal({ stride: 70000 })).toMatch(/stride is 70000/u);
  expect(refusal({ mmpUpdateInterval: 301 })).toMatch(/from 0 to 300/u);
  expect(refusal({ checkInterval: 2 ** 32 })).toMatch(/interval between checks/u);
  expect(refusal({ mountOptionText: "x".repeat(64) })).toMatch(/at most 63 bytes/u);
  expect(refusal({ mountOptions: "acls" })).toMatch(/did you mean acl\?/u);
  expect(refusal({ clearMultiMount: true })).toMatch(/say -f as well/u);
});

test("lists of -E are read whole or not at all", () => {
  expect(parseTuneList("stride=0x10,^test_fs,,hash_alg=tea")).toEqual({
    stride: 16,
    testFs: false,
    hashAlgorithm: "tea",
  });
  for (const [list, rule] of [
    ["stripe=3", /did you mean stride\?/u],
    ["stride", /stride needs a value/u],
    ["stride=3x", /write an unsigned number/u],
    ["force_fsck=1", /takes no value/u],
    ["hash_alg=md5", /legacy, half_md4, tea/u],
    ["encoding=latin1", /utf8/u],
    ["orphan_file_size=4K", /use tune2fs/u],
  ] as const) {
    expect(() => parseTuneList(list)).toThrow(rule);
  }
});

test("nothing is written when nothing changes", () => {
  const bytes = made();
  const before = bytes.slice();
  expect(tuned(bytes, { features: "dir_index,^fast_commit" })).toMatchObject({ changed: false });
  expect(Buffer.compare(bytes, before)).toBe(0);
  const after = tuned(bytes, { label: "a label that is too long" });
  expect(after).toMatchObject({ changed: true, label: "a label that is " });
});

test("a journal that waits for its replay is replayed first", () => {
  const bytes = made();
  const view = new DataView(bytes.buffer);
  const at = EXT4_SUPERBLOCK_OFFSET;
  // The flag alone is one that tore: it counts as set.
  SB.featureIncompat.set(view, at, SB.featureIncompat.get(view, at) | 4);
  expect(() => tuned(bytes, { label: "x" })).toThrow(/journal has to be replayed first/u);
});

test("what is no ext filesystem, or cannot be written", () => {
  const media = new RamMedia(MIB);
  expect(() => tuneVolume(media, { label: "x" })).toThrow(/EINVAL: .*no ext2, ext3 or ext4/u);
  const device = new RamDisk({ name: "ram0", bytes: made(), readOnly: true });
  expect(() => tuneExt(device, { label: "x" }, seededEnvironment(1))).toThrow(/^EROFS/u);
  expect(() => tuneVolume("/nowhere.img", { label: "x" })).toThrow(/^ENOENT/u);
});

/** The superblock at `at`, when it is whole. */
function wholeAt(image: Uint8Array<ArrayBuffer>, at: number): string | undefined {
  try {
    const { volumeName } = parseSuperblock(new DataView(image.buffer), at, image.length);
    return Buffer.from(volumeName).toString().replaceAll("\0", "");
  } catch {
    return undefined;
  }
}

test("a power cut leaves the first superblock or a copy whole, and what was told", () => {
  const image = made({ label: "old", blocksPerGroup: 1024 });
  const cut = new CutDisk(image);
  tuneExt(cut.device, { label: "new", features: "large_dir" }, seededEnvironment(3));
  cut.promise(1);
  const seen = new Set<string>();
  for (const { image: left, promised } of cut.states(7, 300, true)) {
    const first = wholeAt(left, EXT4_SUPERBLOCK_OFFSET);
    const copy = wholeAt(left, 1025 * 1024);
    expect(first ?? copy).toBeDefined();
    expect(promised === 0 || first === "new").toBe(true);
    seen.add(`${first}/${copy}`);
  }
  // Before, between and after the two halves, and in the middle of each.
  expect([...seen]).toEqual(
    expect.arrayContaining(["old/old", "old/undefined", "old/new", "undefined/new", "new/new"]),
  );
});
