/** mirror: what its log says, and what happens when a leg fails. */
import { describe, expect, test } from "vitest";
import { FaultyDevice } from "../../src/block/fault-injection.ts";
import type { RamDisk } from "../../src/block/ram-disk.ts";
import type { MappedDevice } from "../../src/dm/mapped-device.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { mapperOver, ramDisk } from "../support/mapped.ts";

const SECTORS = 128;

interface Box {
  readonly rams: readonly RamDisk[];
  readonly legs: readonly FaultyDevice[];
  readonly make: (table: string) => MappedDevice;
}

function box(): Box {
  const rams = ["a", "b", "d"].map((name) => ramDisk(name, SECTORS));
  const legs = rams.map((disk) => new FaultyDevice(disk));
  const { mapper } = mapperOver({ a: legs[0]!, b: legs[1]!, d: legs[2]! });
  return { rams, legs, make: (table) => mapper.create("x", table) };
}

function contents(disk: RamDisk | MappedDevice): Uint8Array {
  const bytes = new Uint8Array(64 * 512);
  disk.read(0, bytes);
  return bytes;
}

const status = ({ active }: MappedDevice): string | undefined => active?.placed[0]?.target.status();

describe("mirror", () => {
  test("copies what is not in sync from the first leg, and says so", () => {
    const { rams, make } = box();
    rams[0]!.write(0, noise(1, 64 * 512));
    rams[1]!.write(0, noise(2, 64 * 512));
    const device = make("0 64 mirror core 1 16 2 a 0 b 0");
    expect(same(contents(rams[1]!), noise(1, 64 * 512))).toBe(true);
    expect([status(device), device.events]).toEqual(["2 254:16 254:32 4/4 1 AA 1 core", 1]);
  });

  test("copies nothing of a device that is said to be in sync", () => {
    const { rams, make } = box();
    rams[1]!.write(0, noise(2, 64 * 512));
    expect(make("0 64 mirror core 2 16 nosync 2 a 0 b 0").events).toBe(0);
    expect(same(contents(rams[1]!), noise(2, 64 * 512))).toBe(true);
  });

  test("after a restart copies the regions that its log calls dirty, and no other", () => {
    const { rams, make } = box();
    const table = "0 64 mirror disk 2 d 16 2 a 0 b 0";
    const device = make(table);
    device.write(16, noise(3, 512));
    // Power goes: b has lost the write in the region, and something else that no log knows of.
    rams[1]!.write(16, noise(4, 512));
    rams[1]!.write(50, noise(5, 512));
    const again = mapperOver({ a: rams[0]!, b: rams[1]!, d: rams[2]! }).mapper.create("y", table);
    const second = contents(rams[1]!);
    expect(same(second.subarray(16 * 512, 17 * 512), noise(3, 512))).toBe(true);
    expect(same(second.subarray(50 * 512, 51 * 512), noise(5, 512))).toBe(true);
    expect(again.events).toBe(1);
  });

  test("reads from the other leg where one fails", () => {
    const { rams, legs, make } = box();
    const device = make("0 64 mirror core 2 16 nosync 2 a 0 b 0");
    device.write(0, noise(1, 64 * 512));
    legs[0]!.arm([{ operations: ["read"] }]);
    expect(same(contents(device), contents(rams[1]!))).toBe(true);
    expect(status(device)).toBe("2 254:16 254:32 4/4 1 RA 1 core");
    legs[1]!.arm([{ operations: ["read"] }]);
    expect(codeOf(() => contents(device))).toBe("EIO");
  });

  test("goes on without a second leg that fails, and tells which regions it lacks", () => {
    const { rams, legs, make } = box();
    const device = make("0 64 mirror core 2 16 nosync 2 a 0 b 0");
    legs[1]!.arm([{ operations: ["write"], times: 1 }]);
    device.write(20, noise(1, 512));
    expect(status(device)).toBe("2 254:16 254:32 3/4 1 AD 1 core");
    device.write(21, noise(2, 512));
    expect(contents(rams[1]!).every((byte) => byte === 0)).toBe(true);
    expect(same(contents(device).subarray(20 * 512, 21 * 512), noise(1, 512))).toBe(true);
    // The leg that is right may not fail now: nothing else has the region.
    legs[0]!.arm([{ operations: ["write"] }]);
    expect(codeOf(() => device.write(20, noise(3, 512)))).toBe("EIO");
    expect(codeOf(() => device.write(40, noise(3, 512)))).toBe("EIO");
    legs[0]!.arm([]);
    device.suspend();
    device.resume();
    expect(same(contents(rams[1]!), contents(rams[0]!))).toBe(true);
  });

  test.each([
    ["", undefined, "2 254:16 254:32 3/4 1 DA 1 core"],
    [" 1 handle_errors", "EIO", "2 254:16 254:32 3/4 1 DA 1 core"],
  ])("without its first leg,%j: %j", (features, code, told) => {
    const { legs, make } = box();
    const device = make(`0 64 mirror core 2 16 nosync 2 a 0 b 0${features}`);
    legs[0]!.arm([{ operations: ["write"] }]);
    expect(codeOf(() => device.write(20, noise(1, 512)))).toBe(code);
    expect(status(device)).toBe(told);
    const kept = same(contents(device).subarray(20 * 512, 21 * 512), noise(1, 512));
    expect(kept).toBe(code === undefined);
  });

  test.each([
    [
      "mirror core 1 16 2 a 0 b 0 1 keep_log",
      "keep_log feature requires the handle_errors feature",
    ],
    ["mirror core 1 16 2 a 0 b 0 0 more", "Too many mirror arguments"],
    ["mirror core 1 16 2 a 0 b 0 2 keep_log", "Not enough arguments to support feature count"],
    ["mirror core 1 16 10 a 0 b 0", "Invalid number of mirrors"],
    ["mirror core x 16 2 a 0 b 0", "Invalid mirror log argument count"],
    ["mirror core 9 16 2 a 0 b 0", "Insufficient mirror log arguments"],
    ["mirror core 1 128 2 a 0 b 0", "Error creating mirror dirty log"],
    ["mirror disk 2 nothing 16 2 a 0 b 0", "Log device lookup failed (-ENODEV)"],
  ])("refuses %j: %s", (words, error) => {
    expect(() => box().make(`0 64 ${words}`)).toThrow(`table: 253:0: mirror: ${error}`);
  });
});
