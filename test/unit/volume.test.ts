/** Volumes from files, partitions, offsets and media; mke2fs makes the images. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RamMedia } from "../../src/media/ram.ts";
import { dfOf, extentsOf, listDirectory, statOf, treeOf } from "../../src/node/image/listing.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { type OpenVolumeOptions, openVolume } from "../../src/node/volume.ts";
import { programs } from "../judges/judge.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { makeFolder } from "../support/host-tree.ts";

const judge = programs(["mke2fs"], "apt-get install e2fsprogs");
const MIB = 2 ** 20;

/** What opening says. */
function why(source: string, options?: OpenVolumeOptions): string {
  try {
    openVolume(source, options).close();
    return "opened";
  } catch (error) {
    return (error as Error).message;
  }
}

describe.skipIf(judge.missing)(`volumes${judge.hint}`, () => {
  const folder = makeFolder();
  const image = join(folder, "image");
  const big = noise(1, 3 * MIB + 77);
  let bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  beforeAll(() => {
    const source = join(folder, "source");
    fs.mkdirSync(join(source, "dir"), { recursive: true });
    fs.writeFileSync(join(source, "dir", "big"), big);
    fs.writeFileSync(join(source, "small"), "small\n");
    fs.symlinkSync("dir/big", join(source, "link"));
    const args = ["-q", "-F", "-t", "ext4", "-b", "4096", "-d", source, image, "16M"];
    execFileSync("mke2fs", args, { stdio: "pipe" });
    bytes = new Uint8Array(fs.readFileSync(image));
  });
  afterAll(() => fs.rmSync(folder, { recursive: true }));

  /** A disk with one MBR partition that starts at a sector. */
  function partitioned(start: number): string {
    const disk = Buffer.alloc(start * 512 + bytes.length);
    disk.set(bytes, start * 512);
    disk.set([0, 0, 0, 0, 0x83, 0, 0, 0], 446);
    disk.writeUInt32LE(start, 454);
    disk.writeUInt32LE(bytes.length / 512, 458);
    disk.writeUInt16LE(0xaa55, 510);
    const path = join(folder, `disk-${start}`);
    fs.writeFileSync(path, disk);
    return path;
  }

  function readBig(source: Parameters<typeof openVolume>[0], options?: OpenVolumeOptions): unknown {
    using volume = openVolume(source, options);
    const right = same(volume.fs.readFileSync("/dir/big"), big);
    return [right, volume.counters.dataPath, volume.type];
  }

  test("from a path, a URL, and media that stays open", () => {
    expect(readBig(image)).toEqual([true, "dax", "ext4"]);
    expect(readBig(pathToFileURL(image))).toEqual([true, "dax", "ext4"]);
    const media = RamMedia.over(bytes);
    expect(readBig(media)).toEqual([true, "dax", "ext4"]);
    expect(readBig(media)).toEqual([true, "dax", "ext4"]);
  });

  test("from a partition, and from the same place by its offset", () => {
    const aligned = partitioned(2048);
    expect(readBig(aligned, { partition: 1 })).toEqual([true, "dax", "ext4"]);
    expect(readBig(aligned, { offset: MIB })).toEqual([true, "dax", "ext4"]);
  });

  test("off page borders there is no dax, and the same bytes come through the block device", () => {
    const ragged = partitioned(63);
    expect(readBig(ragged, { partition: 1 })).toEqual([true, "block", "ext4"]);
    expect(readBig(ragged, { offset: 63 * 512 })).toEqual([true, "block", "ext4"]);
  });

  test("a closed volume has nothing to check, which is no finding", () => {
    const volume = openVolume(image);
    expect([...volume.check()]).toEqual([]);
    volume.close();
    expect(() => volume.check()).toThrow(/^ENXIO.*the volume was closed/u);
  });

  test("what cannot be opened says why, and what to do", () => {
    const disk = partitioned(2048);
    const has = String.raw`the dos partition table has partition 1 \(\S+ MiB at 1048576\)`;
    expect(why(disk)).toMatch(new RegExp(`^EINVAL.*starts here; choose a partition: ${has}`, "u"));
    // The path is the one that was given, and never that of a device which daxkit made of it.
    const none = new RegExp(`^ENXIO.*open '${disk}' \\(no partition 2: ${has}`, "u");
    expect(why(disk, { partition: 2 })).toMatch(none);
    const off = new RegExp(`^EINVAL.*mount '${disk}' \\(.*starts at offset 512; .*${has}`, "u");
    expect(why(disk, { offset: 512 })).toMatch(off);
    expect(why(disk, { offset: 100 })).toMatch(new RegExp(`multiple of 512 .*${has}`, "u"));
    expect(why(image, { partition: 1 })).toMatch(/^ENXIO.*image'.*no partition table/);
    expect(why(image, { offset: 100 })).toMatch(/^EINVAL.*multiple of 512/);
    expect(why(image, { offset: 2 ** 40 })).toMatch(/^EINVAL.*multiple of 512/);
    expect(why(image, { offset: 512, partition: 1 })).toMatch(/^EINVAL.*not both/);
    expect(why(image, { offset: -1 })).toMatch(/^EINVAL/);
    expect(why(image, { partition: 0 })).toMatch(/^EINVAL.*image'.*count from 1/);
    expect(why(image, { readOnly: false })).toMatch(/^EINVAL/);
    expect(why(image, { dax: "sometimes" as never })).toMatch(/^EINVAL.*always, inode or never/);
    expect(why(join(folder, "none"))).toMatch(/^ENOENT/);
    fs.writeFileSync(join(folder, "noise"), noise(3, 100_000));
    expect(why(join(folder, "noise"))).toMatch(
      /^EINVAL.*noise'.*no filesystem of a known kind \(ext2, ext3, ext4\)/,
    );
    fs.writeFileSync(join(folder, "tiny"), "x");
    expect(why(join(folder, "tiny"))).toMatch(/^EINVAL.*mount '.*tiny' \(1 byte: too short/);
    fs.writeFileSync(join(folder, "empty"), "");
    expect(why(join(folder, "empty"))).toMatch(/^EINVAL.*empty' \(it is empty\)$/);
  });

  test.each([
    ["packed.gz", (whole: Uint8Array) => gzipSync(whole), "a gzip file: unpack it with gunzip -k"],
    ["q.img", () => Buffer.from("QFI\u00fb", "latin1"), "a qcow2 image: convert it with qemu-img"],
    ["x.img", () => Buffer.from("XFSB"), "an XFS filesystem: XFS is not read yet"],
  ])("says what %s is instead", (name, make, said) => {
    const path = join(folder, name);
    const start = make(fs.readFileSync(image));
    fs.writeFileSync(path, Buffer.concat([start, Buffer.alloc(4096)]));
    expect(() => openVolume(path)).toThrow(`; it looks like ${said}`);
  });

  test.each([
    [1024, 16, "e2fsck -b 8193 -B 1024"],
    [2048, 48, "e2fsck -b 16384 -B 2048"],
    [4096, 160, "e2fsck -b 32768 -B 4096"],
  ])("finds a copy of a superblock that is gone, blocks of %i", (blockSize, mib, said) => {
    const path = join(folder, `gone-${blockSize}`);
    makeVolume(path, { size: { bytes: mib * 2 ** 20 }, blockSize });
    openVolume(path).close();
    const fd = fs.openSync(path, "r+");
    fs.writeSync(fd, new Uint8Array(2048), 0, 2048, 0);
    fs.closeSync(fd);
    expect(() => openVolume(path)).toThrow(`; the superblock is gone, but block`);
    expect(() => openVolume(path)).toThrow(said);
  });

  test("reads through dax copy once and flush nothing", () => {
    using volume = openVolume(image);
    const before = { ...volume.counters.dax };
    volume.fs.readFileSync("/dir/big");
    const { copiedOut, copiedIn, flushes } = volume.counters.dax;
    expect([copiedOut - before.copiedOut, copiedIn, flushes]).toEqual([big.length, 0, 0]);
  });

  test("mappings of a file show the image itself, whole and in parts", () => {
    using volume = openVolume(image);
    const file = volume.open("/dir/big");
    const mapping = file.map({ offset: 5, length: big.length - 5 });
    const before = volume.counters.dax.copiedOut;
    expect(same(mapping.bytes, big.subarray(5))).toBe(true);
    expect(same(file.view(MIB, 4096), big.subarray(MIB, MIB + 4096))).toBe(true);
    expect(volume.counters.dax.copiedOut).toBe(before);
    expect(mapping.getUint32(0)).toBe(new DataView(big.buffer).getUint32(5));
  });

  test("a store into read-only bytes never reaches the file", () => {
    const volume = openVolume(image);
    const { bytes: shown } = volume.open("/small").map();
    shown[0] = 0x58;
    volume.close({ revoke: true });
    expect(fs.readFileSync(image).equals(Buffer.from(bytes))).toBe(true);
  });

  test("close: EBUSY while a file, a descriptor or a mapping is open; revoke ends them", () => {
    const volume = openVolume(image);
    const fd = volume.fs.openSync("/small", "r");
    expect(() => volume.close()).toThrow(/^EBUSY.*open file \/small/);
    volume.fs.closeSync(fd);
    const mapping = volume.open("/dir/big").map();
    const { bytes: shown } = mapping;
    const other = volume.fs.openSync("/small", "r");
    volume.close({ revoke: true });
    volume.close();
    expect([volume.closed, shown.length]).toEqual([true, 0]);
    expect(codeOf(() => mapping.getUint8(0))).toBe("ENXIO");
    expect(codeOf(() => volume.fs.readFileSync(other))).toBe("EBADF");
  });

  test("check of a clean image finds nothing; statfs and df add up", () => {
    using volume = openVolume(image);
    expect([...volume.check()].filter(({ severity }) => severity === "error")).toEqual([]);
    const { blocks, blockSize, bfree, used, type } = dfOf(volume);
    expect([blocks * blockSize <= 16 * MIB, used + bfree === blocks, type]).toEqual([
      true,
      true,
      "ext4",
    ]);
  });

  test("what an image holds, as data", () => {
    using volume = openVolume(image);
    expect(listDirectory(volume, "/").map(({ name }) => name)).toEqual([
      "dir",
      "link",
      "lost+found",
      "small",
    ]);
    expect(listDirectory(volume, "/small").map(({ name }) => name)).toEqual(["small"]);
    expect([...treeOf(volume, "/")].map(({ path, depth }) => `${depth} ${path}`)).toEqual([
      "0 ",
      "1 dir",
      "2 dir/big",
      "1 link",
      "1 lost+found",
      "1 small",
    ]);
    expect(statOf(volume, "/link")).toMatchObject({ target: "dir/big", size: 7, nlink: 1 });
    expect(statOf(volume, "/link", true)).toMatchObject({ target: undefined, size: big.length });
    const extents = extentsOf(volume, "/dir/big");
    const covered = extents.reduce((sum, { length }) => sum + length, 0);
    expect(covered).toBe(Math.ceil(big.length / 4096) * 4096);
    const [{ addr = 0 } = {}] = extents;
    expect(same(bytes.subarray(addr, addr + 100), big.subarray(0, 100))).toBe(true);
  });
});
