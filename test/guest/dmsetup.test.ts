/**
 * A kernel's device-mapper: what dmsetup prints there is what our golden file says, and what our
 * targets left on disks is taken up by its own. A minute or more: with DAXKIT_LONG=1.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import type { MappedDevice } from "../../src/dm/mapped-device.ts";
import { noise } from "../support/bytes.ts";
import { mapperOver } from "../support/mapped.ts";
import { guestTools, runGuest } from "./guest.ts";

const long = process.env["DAXKIT_LONG"] !== undefined;
const SIZE = 16 << 20;
const golden = join(import.meta.dirname, "../golden/dmsetup.txt");

/** What the job printed of its commands. */
const comparable = (text: string): string[] =>
  text
    .slice(text.indexOf("## linear"))
    .split("\n")
    .filter((line) => !line.startsWith("/dev/mapper/nn"));

const scribble = (device: MappedDevice): void => {
  for (let i = 0; i < 300; i++) device.write((i * 7) % 2000, noise(i, 4096));
  device.flush();
};

describe.skipIf(guestTools.missing || !long)(
  `a kernel's device-mapper${guestTools.hint}${long ? "" : "; set DAXKIT_LONG=1"}`,
  () => {
    let folder = "";
    beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "daxkit-guest-"))));
    afterAll(() => rmSync(folder, { recursive: true }));

    const disks = (contents: readonly Uint8Array[]): string[] =>
      contents.map((bytes, i) => {
        const path = join(folder, `d${i}.img`);
        writeFileSync(path, bytes);
        return path;
      });

    test("prints what the golden file says", async () => {
      const empty = Array.from({ length: 4 }, () => new Uint8Array(SIZE));
      const commandLine = "memmap=32M!512M";
      const options = { disks: disks(empty), commandLine, timeoutSeconds: 500 };
      const { log } = await runGuest("dmsetup", join(folder, "one"), options);
      expect(comparable(log)).toEqual(comparable(readFileSync(golden, "utf8")));
    });

    test("takes up what ours left", async () => {
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
      const options = { disks: disks(bytes), timeoutSeconds: 400 };
      const { log } = await runGuest("dm-ours", join(folder, "two"), options);
      expect(log.match(/[0-9a-f]{64}/gu)).toEqual(sums);
    });
  },
);
