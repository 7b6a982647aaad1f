/** What the kernel's targets left on disks (test/guest/jobs/dmsetup.sh), and what ours leave. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { codeOf, same } from "../support/bytes.ts";
import { pmemOf } from "../support/block-devices.ts";
import { mapperOver, ramDisk } from "../support/mapped.ts";

function image(name: string): Uint8Array {
  const folder = join(import.meta.dirname, "../../fixtures/dm/targets");
  return gunzipSync(readFileSync(join(folder, `${name}.gz`)));
}

/** Sectors of a text each, as awk wrote them. */
function sectors(word: string, count: number): Uint8Array {
  const lines = Array.from({ length: count }, (_, i) => `${word} sector ${i}`.padEnd(511));
  return new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
}

/** What yes(1) says. */
function yes(word: string, length: number): Uint8Array {
  return new TextEncoder().encode(`${word}\n`.repeat(length)).subarray(0, length);
}

/** From a sector on: in front of it lies what earlier commands of the job left. */
function isOnDisk(disk: BlockDevice, name: string, sector = 0, count = 128): boolean {
  const wanted = image(name).subarray(sector * 512, (sector + count) * 512);
  const found = new Uint8Array(wanted.length);
  disk.read(sector, found);
  return same(found, wanted);
}

describe("the kernel's layout", () => {
  test("of stripes is ours", () => {
    const disks = { A: ramDisk("A", 1000), B: ramDisk("B", 1000), C: ramDisk("C", 1000) };
    const table = "0 384 striped 3 16 A 0 B 100 C 200";
    mapperOver(disks).mapper.create("str", table).write(0, sectors("striped", 384));
    expect(isOnDisk(disks.A, "striped-A")).toBe(true);
    expect(isOnDisk(disks.B, "striped-B", 100)).toBe(true);
    expect(isOnDisk(disks.C, "striped-C", 200)).toBe(true);
  });

  test("of what flakey spoils and drops is ours", () => {
    const disk = ramDisk("A", 1000);
    disk.write(0, sectors("flakey", 64));
    const { mapper } = mapperOver({ A: disk }, { environment: seededEnvironment(1) });
    const writes = mapper.create("w", "0 64 flakey A 0 0 9 5 corrupt_bio_byte 700 w 90 0");
    const data = yes("to flakey", 8192);
    for (const part of [0, 4096]) writes.write(8 + part / 512, data.subarray(part, part + 4096));
    const drops = mapper.create("d", "0 64 flakey A 0 0 9 1 drop_writes");
    drops.write(0, yes("dropped", 4096));
    expect(isOnDisk(disk, "flakey-written")).toBe(true);
  });

  test("of a mirror's log is ours", () => {
    const disks = { A: ramDisk("A", 4096), B: ramDisk("B", 4096), D: ramDisk("D", 64) };
    const { mapper } = mapperOver(disks);
    const device = mapper.create("m", "0 1024 mirror disk 2 D 128 2 A 2048 B 2048 1 handle_errors");
    device.write(24, yes("mirror", 8192));
    device.flush();
    expect(isOnDisk(disks.D, "mirror-log")).toBe(true);
  });

  test("of a log of writes is ours", () => {
    const disks = { A: ramDisk("A", 4096), D: ramDisk("D", 512) };
    const { mapper } = mapperOver(disks);
    const device = mapper.create("l", "0 2048 log-writes A D");
    const data = yes("log", 8192);
    for (const part of [0, 4096]) device.write(24 + part / 512, data.subarray(part, part + 4096));
    device.flush();
    device.message(0, "mark first");
    expect(device.active?.placed[0]?.target.status()).toBe("4 20");
    const read = image("log-writes").slice(22 * 512, 30 * 512);
    device.write(96, read);
    device.discard(128, 64);
    mapper.remove("l");
    expect(isOnDisk(disks.D, "log-writes")).toBe(true);
  });

  test("of snapshots is ours: kept chunks, changes, merging, overflow", () => {
    const disks = { A: ramDisk("A", 32_768), B: ramDisk("B", 32_768) };
    disks.A.write(0, sectors("origin", 2048));
    const { mapper } = mapperOver(disks);
    const status = (name: string): string | undefined =>
      mapper.get(name).active?.placed[0]?.target.status();
    mapper.create("base", "0 2048 linear A 0");
    const snap = mapper.create("snap", "0 2048 snapshot /dev/mapper/base B P 8");
    const orig = mapper.create("orig", "0 2048 snapshot-origin /dev/mapper/base");
    expect(status("snap")).toBe("16/32768 16");
    for (const chunk of [3, 4, 5, 200, 7]) orig.write(chunk * 8, yes("to the origin", 4096));
    for (const chunk of [5, 100, 101, 9]) snap.write(chunk * 8, yes("to the snapshot", 4096));
    snap.write(400, yes("part", 512));
    expect(status("snap")).toBe("88/32768 16");
    expect(isOnDisk(disks.B, "snapshot-cow", 0, 512)).toBe(true);
    expect(isOnDisk(disks.A, "snapshot-origin", 0, 2048)).toBe(true);
    expect(isOnDisk(snap, "snapshot-view", 0, 2048)).toBe(true);
    for (const name of ["orig", "snap"]) mapper.remove(name);
    mapper.create("merge", "0 2048 snapshot-merge /dev/mapper/base B P 8");
    expect(status("merge")).toBe("16/32768 16");
    mapper.remove("merge");
    expect(isOnDisk(disks.A, "snapshot-view", 0, 2048)).toBe(true);
    expect(isOnDisk(disks.B, "merge-cow", 0, 512)).toBe(true);
    disks.B.writeZeroes(0, 8192);
    mapper.create("cow", "0 128 linear B 0");
    const small = "0 2048 snapshot /dev/mapper/base /dev/mapper/cow PO 8";
    const full = mapper.create("snap", small);
    const more = mapper.create("orig", "0 2048 snapshot-origin /dev/mapper/base");
    expect(status("snap")).toBe("16/128 16");
    const data = yes("overflow", 40 * 4096);
    for (let at = 0; at < data.length; at += 4096) more.write(at / 512, data.slice(at, at + 4096));
    expect(status("snap")).toBe("Invalid");
    expect(codeOf(() => full.read(0, new Uint8Array(512)))).toBe("EIO");
    expect(isOnDisk(disks.B, "overflow-cow")).toBe(true);
    mapper.remove("snap");
    mapper.create("snap", "0 2048 snapshot /dev/mapper/base /dev/mapper/cow P 8");
    expect(status("snap")).toBe("Invalid");
  });

  test("of a transient snapshot is ours", () => {
    const disks = { A: ramDisk("A", 2048), B: ramDisk("B", 32_768) };
    disks.A.write(0, image("snapshot-view"));
    for (let at = 0; at < 320; at += 8)
      disks.A.write(at, yes("overflow", 40 * 4096).slice(at * 512, at * 512 + 4096));
    const { mapper } = mapperOver(disks);
    const snap = mapper.create("snap", "0 2048 snapshot A B N 16 1 discard_zeroes_cow");
    const data = yes("to the snapshot", 3 * 4096);
    for (let i = 0; i < 3; i++) snap.write(40 + 8 * i, data.slice(i * 4096, (i + 1) * 4096));
    expect(snap.active?.placed[0]?.target.status()).toBe("32/32768 0");
    expect(isOnDisk(disks.B, "transient-cow")).toBe(true);
  });

  test.each([
    [
      "s",
      "writecache-busy",
      "0 4080 4076 0 0 0 5 0 1 0 4 0 2 0",
      "0 4080 4080 0 0 0 5 0 1 0 4 0 2 0",
    ],
    [
      "p",
      "writecache-pmem",
      "0 8160 8156 0 0 0 5 0 1 0 5 0 2 0",
      "0 8160 8160 0 0 0 5 0 1 0 5 0 2 0",
    ],
  ])("of a cache of mode %s is ours", (mode, name, busy, clean) => {
    const bytes = mode === "s" ? 16 << 20 : 32 << 20;
    const cache = pmemOf(bytes).pmem.disk;
    const origin = ramDisk("A", 2048);
    const device = mapperOver({ A: origin, B: cache }).mapper.create(
      "wc",
      `0 2048 writecache ${mode} A B 4096 0`,
    );
    const status = (): string | undefined => device.active?.placed[0]?.target.status();
    const put = (word: string, block: number, count: number): void => {
      const data = yes(word, count * 4096);
      for (let i = 0; i < count; i++)
        device.write((block + i) * 8, data.slice(i * 4096, i * 4096 + 4096));
    };
    put("cached", 5, 3);
    device.flush();
    put("again", 6, 1);
    device.flush();
    put("uncommitted", 9, 1);
    expect(status()).toBe(busy);
    expect(isOnDisk(cache, name, 0, 512)).toBe(true);
    device.message(0, "flush");
    expect(status()).toBe(clean);
    const home = new Uint8Array(4096);
    origin.read(72, home);
    expect(same(home, yes("uncommitted", 4096))).toBe(true);
  });
});
