/** Targets that fail, spoil, delay or forget: flakey, dust, delay, error, zero. */
import { describe, expect, test } from "vitest";
import { RecordedDevice } from "../../src/block/recorded-device.ts";
import { LogWriter } from "../../src/block/write-log-writer.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { mapperOver, ramDisk } from "../support/mapped.ts";
import { MemoryLog } from "../support/memory-log.ts";

const SECTOR = new Uint8Array(512);

function flaky(features: string) {
  const environment = seededEnvironment(7);
  const disk = ramDisk("a", 128);
  disk.write(0, noise(1, 128 * 512));
  const { mapper } = mapperOver({ a: disk }, { environment });
  return { disk, environment, device: mapper.create("x", `0 128 flakey a 0 5 2${features}`) };
}

/** Which sectors read wrong when a share of requests is to be spoiled. */
const spoiled = (share: number): number[] => {
  const { device, environment } = flaky(` 2 random_read_corrupt ${share}`);
  environment.pass(6);
  return Array.from({ length: 64 }, (_, i) => i).filter((sector) => {
    const back = SECTOR.slice();
    device.read(sector, back);
    return !same(back, noise(1, 128 * 512).subarray(sector * 512, (sector + 1) * 512));
  });
};

const dusty = () => {
  const disk = ramDisk("a", 128);
  disk.write(0, noise(1, 128 * 512));
  return mapperOver({ a: disk }).mapper.create("x", "0 100 dust a 8 4096");
};

describe("flakey", () => {
  test("is up, then down, then up again, by the clock", () => {
    const { device, environment } = flaky("");
    const seen: (string | undefined)[] = [];
    for (let second = 0; second < 14; second++) {
      seen.push(codeOf(() => device.read(0, SECTOR.slice())));
      environment.pass(1);
    }
    const [up, down] = [Array<undefined>(5).fill(undefined), ["EIO", "EIO"]];
    expect(seen).toEqual([...up, ...down, ...up, ...down]);
  });

  test.each([
    ["", { read: "EIO", write: "EIO", flush: "EIO" }],
    [" 1 error_reads", { read: "EIO", write: undefined, flush: undefined }],
    [" 1 error_writes", { read: undefined, write: "EIO", flush: "EIO" }],
    [" 1 drop_writes", { read: undefined, write: undefined, flush: undefined }],
    [" 2 error_reads drop_writes", { read: "EIO", write: undefined, flush: undefined }],
  ])("with%j fails what it says", (features, wanted) => {
    const { device, environment, disk } = flaky(features);
    environment.pass(5);
    const read = codeOf(() => device.read(0, SECTOR.slice()));
    const write = codeOf(() => device.write(3, noise(2, 512)));
    const flush = codeOf(() => device.flush());
    expect({ read, write, flush }).toEqual(wanted);
    expect(codeOf(() => device.writeZeroes(9, 1))).toBe(wanted.write);
    const back = SECTOR.slice();
    disk.read(3, back);
    expect(same(back, noise(2, 512))).toBe(features === " 1 error_reads");
    expect(device.active?.placed[0]?.target.table()).toMatch(features === "" ? /2 0 $/u : /\w $/u);
  });

  test("spoils a share of requests, the same ones for the same seed", () => {
    expect(spoiled(0)).toEqual([]);
    expect(spoiled(500_000_000).length).toBeGreaterThan(15);
    expect(spoiled(500_000_000)).toEqual(spoiled(500_000_000));
    expect(spoiled(1_000_000_000).length).toBeGreaterThan(58);
  });
});

describe("dust", () => {
  test("fails reads of bad blocks while enabled, and a write heals", () => {
    const device = dusty();
    const page = new Uint8Array(4096);
    device.message(0, "addbadblock 3");
    device.read(24, page);
    device.message(0, "enable");
    expect(codeOf(() => device.read(31, SECTOR.slice()))).toBe("EIO");
    expect(codeOf(() => device.read(0, new Uint8Array(50 * 1024)))).toBe("EIO");
    device.read(16, page);
    device.write(26, SECTOR);
    device.read(24, page);
    expect(device.message(0, "countbadblocks")).toBe("countbadblocks: 0 badblock(s) found");
  });

  test("fails as many writes as were asked for", () => {
    const device = dusty();
    device.message(0, "enable");
    device.message(0, "addbadblock 2 2");
    const written = Array.from({ length: 4 }, () => codeOf(() => device.write(16, SECTOR)));
    expect(written).toEqual(["EIO", "EIO", undefined, undefined]);
  });

  test("answers its messages, and shows its mode", () => {
    const device = dusty();
    const ask = (text: string): unknown => {
      try {
        return device.message(0, text);
      } catch (error) {
        return (error as { readonly detail?: string }).detail;
      }
    };
    const status = (): string | undefined => device.active?.placed[0]?.target.status();
    expect(status()).toBe("254:16 bypass verbose");
    expect(ask("addbadblock 12")).toBe(undefined);
    expect(ask("addbadblock 12")).toBe("device-mapper: dust: block 12 already in badblocklist");
    expect(ask("addbadblock 13")).toMatch(/out of range/u);
    expect(ask("addbadblock x")).toMatch(/out of range/u);
    expect(ask("addbadblock 1 2 3")).toMatch(/received with invalid argument count/u);
    expect(ask("addbadblock 1 256")).toMatch(/no count/u);
    expect(ask("nonsense")).toMatch(/unrecognized message 'nonsense' received/u);
    expect(ask("addbadblock 4")).toBe(undefined);
    expect(ask("listbadblocks")).toBe("4\n12");
    expect(ask("queryblock 4")).toBe("queryblock: block 4 found in badblocklist");
    expect(ask("queryblock 5")).toBe("queryblock: block 5 not found in badblocklist");
    expect(ask("removebadblock 5")).toMatch(/block 5 not found/u);
    expect(ask("removebadblock 4")).toBe(undefined);
    expect(ask("clearbadblocks")).toBe("clearbadblocks: badblocks cleared");
    expect(ask("clearbadblocks")).toBe("clearbadblocks: no badblocks found");
    ask("enable");
    ask("quiet");
    expect(status()).toBe("254:16 fail_read_on_bad_block quiet");
  });

  test.each([
    ["a 0", "Invalid argument count"],
    ["a 0 512 1", "Invalid argument count"],
    ["a 0 x", "Invalid block size parameter"],
    ["a 0 256", "Block size must be at least 512"],
    ["a 0 768", "Block size must be a power of 2"],
    ["a x 512", "Invalid device offset sector"],
    ["b 0 512", "Device lookup failed"],
  ])("refuses %j: %s", (words, error) => {
    const { mapper } = mapperOver({ a: ramDisk("a", 128) });
    expect(() => mapper.create("x", `0 64 dust ${words}`)).toThrow(`dust: ${error}`);
  });
});

describe("delay", () => {
  test("waits by kind, and sends each kind to its device", () => {
    const logs = [new MemoryLog(), new MemoryLog(), new MemoryLog()];
    const disks = logs.map(
      (log, i) => new RecordedDevice(ramDisk(`d${i}`, 64), new LogWriter(log)),
    );
    const waited: number[] = [];
    const wait = (milliseconds: number): void => void waited.push(milliseconds);
    const { mapper } = mapperOver({ a: disks[0]!, b: disks[1]!, c: disks[2]! }, { wait });
    const device = mapper.create("x", "0 32 delay a 1 10 b 2 20 c 3 30");
    device.read(0, SECTOR.slice());
    device.write(5, noise(1, 512));
    device.writeZeroes(6, 1);
    device.flush();
    expect(waited).toEqual([10, 20, 20, 30]);
    const found = logs.map((log) =>
      [...log.open().entries()].map(({ start, flush }) => [start, flush]),
    );
    // The superblock of a log counts entries when something is flushed, so b's tells of none.
    expect(found).toEqual([[], [], [[0, true]]]);
    disks[1]!.flush();
    const written = [...logs[1]!.open().entries()].map(({ start }) => start);
    expect(written).toEqual([7 * 512, 8 * 512, 0]);
  });
});

test("zero has zeros for readers and takes what is written, error fails it all", () => {
  const { mapper } = mapperOver({});
  const device = mapper.create("x", "0 8 zero\n8 8 error");
  const back = noise(1, 512);
  device.write(0, noise(2, 512));
  device.discard(0, 8);
  device.read(0, back);
  expect(same(back, SECTOR)).toBe(true);
  const failed = [
    () => device.read(7, new Uint8Array(1024)),
    () => device.write(8, SECTOR),
    () => device.writeZeroes(8, 1),
    () => device.discard(8, 1),
  ].map((request) => codeOf(request));
  expect(failed).toEqual(["EIO", "EIO", "EIO", "EIO"]);
  device.flush();
});
