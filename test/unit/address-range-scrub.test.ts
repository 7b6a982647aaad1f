/** Address range scrub: what is found, told and cleared, by the rules of the ACPI commands. */
import { expect, test } from "vitest";
import { bootMachine } from "../../src/machine/boot.ts";
import { AddressRangeScrub, type ScrubTarget } from "../../src/platform/address-range-scrub.ts";
import { codeOf } from "../support/bytes.ts";

const BASE = 2 ** 32;
const MIB = 2 ** 20;

/** A range with bad blocks, which it clears unless they lie behind `stubborn`. */
function target(start: number, bad: number[], stubborn = Infinity): ScrubTarget {
  const ranges = bad.map((at) => ({ start: at, length: 256 }));
  return {
    start,
    length: MIB,
    persistent: true,
    bad: ranges,
    clear: (offset, length) => Math.max(0, Math.min(length, stubborn - offset)),
  };
}

test("a scrub goes on until it is done, and tells what it found by address", () => {
  const scrub = new AddressRangeScrub(() => [target(BASE + MIB, [0]), target(BASE, [512, 1024])]);
  expect(scrub.status()).toEqual({ state: "none", records: [], restart: undefined });
  scrub.start(BASE, 2 * MIB);
  expect(scrub.status().state).toBe("in progress");
  expect(codeOf(() => scrub.start(BASE, MIB))).toBe("EBUSY");
  scrub.proceed(1024);
  const first = { start: BASE + 512, length: 256 };
  const restart = { start: BASE + 1024, length: 2 * MIB - 1024 };
  expect(scrub.status()).toEqual({ state: "in progress", records: [first], restart });
  scrub.proceed();
  const found = [first, { start: BASE + 1024, length: 256 }, { start: BASE + MIB, length: 256 }];
  expect(scrub.status()).toEqual({ state: "done", records: found, restart: undefined });
});

test("what there is no room for is found from where the next one has to start", () => {
  const scrub = new AddressRangeScrub(() => [target(BASE, [0, 512, 1024])], { mostRecords: 2 });
  scrub.start(BASE, MIB);
  scrub.proceed();
  const { state, records, restart } = scrub.status();
  expect([state, records.length, restart]).toEqual([
    "overflow",
    2,
    { start: BASE + 1024, length: MIB - 1024 },
  ]);
  scrub.start(BASE + 1024, MIB - 1024);
  scrub.proceed();
  expect(scrub.status().records).toEqual([{ start: BASE + 1024, length: 256 }]);
});

test("errors are cleared by whole units, as far as that works", () => {
  const scrub = new AddressRangeScrub(() => [target(BASE, [], 512)]);
  expect(codeOf(() => scrub.clearError(BASE + 8, 256))).toBe("ENXIO");
  expect(codeOf(() => scrub.clearError(BASE, 100))).toBe("ENXIO");
  expect(codeOf(() => scrub.clearError(8 * BASE, 256))).toBe("ENXIO");
  expect(codeOf(() => scrub.start(8 * BASE, 256))).toBe("ENXIO");
  expect(scrub.clearError(BASE, 256)).toBe(256);
  expect(scrub.clearError(BASE, 1024)).toBe(512);
  expect(scrub.capabilities(BASE, 1)).toMatchObject({ persistent: true, volatile: false });
  expect(scrub.capabilities(0, 1)).toMatchObject({ persistent: false, volatile: false });
  expect(codeOf(() => new AddressRangeScrub(() => [], { clearErrorUnit: 300 }))).toBe("EINVAL");
});

test("a machine's memory is scrubbed: what failed is found, and good when it is cleared", () => {
  const machine = bootMachine({ name: "test", memmap: ["16M!4G"] });
  machine.memoryFailure(BASE + 4096);
  machine.scrub.start(BASE, 16 * MIB);
  machine.scrub.proceed();
  expect(machine.scrub.status().records).toEqual([{ start: BASE + 4096, length: 512 }]);
  const disk = machine.disk("pmem0");
  expect(codeOf(() => disk.read(8, new Uint8Array(512)))).toBe("EIO");
  expect(machine.scrub.clearError(BASE + 4096, 512)).toBe(512);
  disk.read(8, new Uint8Array(512));
  machine.shutdown();
});
