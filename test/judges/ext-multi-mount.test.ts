/**
 * Multi-mount protection on an image of mke2fs: who has the filesystem is left alone, who is gone
 * is not waited for twice, and e2fsck finds a clean block after it was given up.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { EXT4_MMP_SEQ_FSCK, MmpStruct } from "../../src/format/ext-group.ts";
import { type MultiMountOptions, MultiMountGuard } from "../../src/fs/ext/multi-mount.ts";
import { crc32c } from "../../src/lib/crc32c.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";
import { codeOf } from "../support/bytes.ts";
import { scratch } from "../support/scratch.ts";
import { writeTo } from "../support/ext-writing.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";

const e2fsprogs = programs(["mke2fs", "e2fsck", "dumpe2fs"], "apt-get install e2fsprogs");

function made(): Uint8Array<ArrayBuffer> {
  const path = scratch();
  writeFileSync(path, "");
  truncateSync(path, 8 << 20);
  execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", "-b", "1024", "-O", "mmp", path]);
  return Uint8Array.from(readFileSync(path));
}

/** A machine with a clock of its own, on the same disk. */
function machine(image: Uint8Array<ArrayBuffer>, name: string, wait?: MultiMountOptions["wait"]) {
  const { volume } = writeTo(image);
  const clock = { sec: 1000, nsec: 0 };
  let dice = crc32c(7, encodeUtf8(name)) % 2 ** 30;
  const options = { nodename: name, now: () => ({ ...clock }), random: () => dice++ };
  const claim = () =>
    new MultiMountGuard(volume, wait === undefined ? options : { ...options, wait });
  return { clock, claim };
}

function sequenceOf(image: Uint8Array<ArrayBuffer>): number {
  const { mmpBlock, blockSize } = readSuperblock(new RamDisk({ name: "ram0", bytes: image }));
  return MmpStruct.seq.get(new DataView(image.buffer), mmpBlock * blockSize);
}

describe(`multi-mount protection${e2fsprogs.hint}`, () => {
  test.skipIf(e2fsprogs.missing)("one at a time", () => {
    const image = made();
    const one = machine(image, "one").claim();
    expect(codeOf(machine(image, "second").claim)).toBe("EBUSY");
    expect(machine(image, "second").claim).toThrow("last written by 'one' at 1000");
    one.release();
    expect(e2fsckSays(image)).toEqual([]);
    const two = machine(image, "second").claim();
    expect(codeOf(() => one.refresh())).toBeUndefined();
    expect(codeOf(() => one.release())).toBe("EBUSY");
    two.release();
    expect(e2fsckSays(image)).toEqual([]);
  });

  test.skipIf(e2fsprogs.missing)("dumpe2fs sees who has it", () => {
    const image = made();
    machine(image, "a-machine").claim();
    const path = scratch();
    writeSparse(path, image);
    const { stdout } = spawnSync("dumpe2fs", ["-h", path], { encoding: "utf8" });
    expect(stdout).toMatch(/mmp_node_name: +a-machine/u);
    expect(stdout).toMatch(/mmp_device_name: +ram0/u);
    expect(stdout).toMatch(
      new RegExp(`mmp_sequence: +0x0*${sequenceOf(image).toString(16)}\\b`, "u"),
    );
  });

  test.skipIf(e2fsprogs.missing)("whoever counts on while we wait is alive", () => {
    const image = made();
    const { clock, claim } = machine(image, "alive");
    const guard = claim();
    const before = sequenceOf(image);
    const waits: number[] = [];
    const other = machine(image, "other", (seconds) => {
      waits.push(seconds);
      clock.sec += seconds;
      guard.refresh();
    });
    expect(codeOf(other.claim)).toBe("EBUSY");
    expect(waits).toEqual([11]);
    expect(sequenceOf(image)).toBe(before + 1);
  });

  test.skipIf(e2fsprogs.missing)("who is gone is waited for, then replaced", () => {
    const image = made();
    const gone = machine(image, "gone").claim();
    const waits: number[] = [];
    const next = machine(image, "next", (seconds) => waits.push(seconds)).claim();
    expect(waits).toEqual([11, 11]);
    expect(codeOf(() => gone.release())).toBe("EBUSY");
    next.release();
    expect(e2fsckSays(image)).toEqual([]);
  });

  test.skipIf(e2fsprogs.missing)("of two that find the same stale block one gets it", () => {
    const image = made();
    machine(image, "gone").claim();
    let waits = 0;
    const first = machine(image, "first", () => {
      // While it waits the second time, another one that waited, too, claims the block.
      if (++waits === 2) machine(image, "another", () => {}).claim();
    });
    expect(codeOf(first.claim)).toBe("EBUSY");
  });

  test.skipIf(e2fsprogs.missing)("e2fsck, damage and nonsense are told apart", () => {
    const image = made();
    const { mmpBlock, blockSize, checksumSeed } = readSuperblock(
      new RamDisk({ name: "ram0", bytes: image }),
    );
    const at = mmpBlock * blockSize;
    const view = new DataView(image.buffer);
    MmpStruct.seq.set(view, at, EXT4_MMP_SEQ_FSCK);
    expect(codeOf(machine(image, "a").claim)).toBe("EBADMSG");
    MmpStruct.checksum.set(view, at, crc32c(checksumSeed, image.subarray(at, at + 1020)));
    expect(machine(image, "a", () => {}).claim).toThrow("e2fsck is at work");
    MmpStruct.magic.set(view, at, 5);
    expect(codeOf(machine(image, "a").claim)).toBe("EUCLEAN");
  });
});
