/** What our targets left on disks is taken up by a kernel's own, and flakey ones fail as its do. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import type { MappedDevice } from "../../src/dm/mapped-device.ts";
import { codeOf, noise } from "../support/bytes.ts";
import { mapperOver } from "../support/mapped.ts";
import { guestTools, runGuest } from "./guest.ts";

const SIZE = 16 << 20;

const scribble = (device: MappedDevice): void => {
  for (let i = 0; i < 300; i++) device.write((i * 7) % 2000, noise(i, 4096));
  device.flush();
};

describe.skipIf(guestTools.missing)(`a kernel's device-mapper${guestTools.hint}`, () => {
  test("takes up what ours left, and fails alike", async () => {
    const folder = mkdtempSync(join(tmpdir(), "daxkit-guest-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const bytes = Array.from({ length: 4 }, () => new Uint8Array(SIZE));
    const [a, b, c, d] = bytes.map((one, i) => new RamDisk({ name: `d${i}`, bytes: one }));
    const { mapper } = mapperOver({ A: a!, B: b!, C: c!, D: d! });
    a!.write(0, noise(1, 1 << 20));
    const make = (name: string, table: string): MappedDevice => mapper.create(name, table);
    const sums: string[] = [];
    const done = (name: string): void => {
      const view = new Uint8Array(1 << 20);
      mapper.get(name).read(0, view);
      sums.push(createHash("sha256").update(view).digest("hex"));
      mapper.remove(name);
    };
    // One each: stripes behind what the others use, a snapshot, a cache, a mirror that is dirty.
    scribble(make("snap", "0 2048 snapshot A B P 8"));
    done("snap");
    scribble(make("cache", "0 2048 writecache s A C 4096 0"));
    done("cache");
    scribble(make("str", "0 2048 striped 2 64 C 16384 D 16384"));
    done("str");
    make("mir", "0 2048 mirror disk 2 D 64 2 C 20480 B 20480").write(100, noise(7, 4096));
    done("mir");
    const flakey = (feature: string): string | undefined => {
      const device = make("bad", `0 2048 flakey A 0 0 1000 ${feature}`);
      const pages = Array.from({ length: 16 }, (_, i) => 8 * i);
      const code = codeOf(() => {
        for (const at of pages) device.write(at, new Uint8Array(4096));
      });
      const hash = createHash("sha256");
      for (const at of pages) {
        const page = new Uint8Array(4096);
        device.read(at, page);
        hash.update(page);
      }
      sums.push(hash.digest("hex"));
      mapper.remove("bad");
      return code;
    };
    const disks = bytes.map((contents, i) => {
      const path = join(folder, `d${i}.img`);
      writeFileSync(path, contents);
      return path;
    });
    const features = ["1 drop_writes", "1 error_writes", "5 corrupt_bio_byte 32 w 7 0"];
    expect(features.map((feature) => flakey(feature))).toEqual([undefined, "EIO", undefined]);
    const { log } = await runGuest("dm-ours", join(folder, "run"), { disks });
    expect(log.match(/[0-9a-f]{64}/gu)).toEqual(sums);
    expect(log.match(/^rror$/gmu)).toHaveLength(1);
  });
});
