/** Raw mappings of devices that stand still. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { freezeDevice, thawDevice } from "../../src/block/device-freeze.ts";
import { Partition } from "../../src/block/partition.ts";
import { mapRaw } from "../../src/block/raw-device.ts";
import { AddressSpaces } from "../../src/dax/address-spaces.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { RAW_INO, RawFreeze } from "../../src/dax/raw-freeze.ts";
import type { RawMapping } from "../../src/dax/raw-mapping.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { openFileMedia } from "../../src/node/file-media.ts";
import { pmemOf } from "../support/block-devices.ts";
import { codeOf, noise } from "../support/bytes.ts";

const BYTES = 16 * PAGE_SIZE;

describe("[1.8] [1.13] freezing a device", () => {
  test("takes the right to store from all mappings, by what is dirty, until it thaws", () => {
    const { pmem } = pmemOf(BYTES);
    const [one, two] = [
      mapRaw(pmem.disk, { access: "write" }),
      mapRaw(pmem.disk, { access: "write", offset: PAGE_SIZE }),
    ];
    one.setUint8(0, 1);
    one.setUint8(3 * PAGE_SIZE, 1);
    two.setUint8(PAGE_SIZE, 2);
    const space = AddressSpaces.of(pmem.dax).get(RAW_INO);
    expect(space?.dirty).toBe(3);
    expect(() => RawFreeze.of(pmem.disk as never)).toThrow("disk.dax.device");
    const freeze = RawFreeze.of(pmem.dax);
    freeze.freeze();
    expect([space?.dirty, space?.counters.writeProtected]).toEqual([0, 3]);
    expect(codeOf(() => one.setUint8(0, 2))).toBe("EAGAIN");
    expect(codeOf(() => two.setUint8(9 * PAGE_SIZE, 2))).toBe("EAGAIN");
    expect([one.getUint8(0), two.getUint8(0)]).toEqual([1, 0]);
    freeze.freeze();
    freeze.thaw();
    expect(codeOf(() => one.setUint8(0, 2))).toBe("EAGAIN");
    freeze.whenFrozen = () => freeze.thaw();
    one.setUint8(0, 2);
    expect([one.getUint8(0), space?.dirty, freeze.frozen]).toEqual([2, 1, false]);
    expect(codeOf(() => freeze.thaw())).toBe("EINVAL");
  });

  test("costs what is dirty: pages that were flushed as a whole are clean", () => {
    const { pmem } = pmemOf(BYTES);
    const mapping = mapRaw(pmem.disk, { access: "write" });
    mapping.copyIn(0, noise(1, BYTES));
    const space = AddressSpaces.of(pmem.dax).get(RAW_INO);
    expect(space?.dirty).toBe(16);
    mapping.flush(PAGE_SIZE, 8 * PAGE_SIZE);
    mapping.flush(12 * PAGE_SIZE + 64, PAGE_SIZE - 64);
    expect(space?.dirty).toBe(8);
    mapping.flush();
    expect(space?.dirty).toBe(0);
    mapping.setUint8(3 * PAGE_SIZE, 1);
    expect(space?.dirty).toBe(1);
    const before = pmem.dax.counters.flushedLines;
    freezeDevice(pmem.disk);
    expect(pmem.dax.counters.flushedLines - before).toBe(PAGE_SIZE / 64);
    thawDevice(pmem.disk);
    mapping.setUint8(3 * PAGE_SIZE, 2);
    // What was handed out is flushed whenever it is asked for: nobody sees stores to it.
    mapping.bytes[5 * PAGE_SIZE] = 7;
    mapping.flush();
    mapping.bytes[5 * PAGE_SIZE] = 8;
    const again = pmem.dax.counters.flushedLines;
    mapping.flush(5 * PAGE_SIZE, 1);
    expect(pmem.dax.counters.flushedLines - again).toBe(1);
  });

  test("of a partition leaves raw mappings of its neighbours alone", () => {
    const { disk } = pmemOf(BYTES).pmem;
    const sectors = BYTES / 1024;
    const first = new Partition(disk, { name: "pmem0p1", start: 0, sectors });
    const second = new Partition(disk, { name: "pmem0p2", start: sectors, sectors });
    const [own, beside, whole] = [first, second, disk].map((device) =>
      mapRaw(device, { access: "write" }),
    ) as [RawMapping, RawMapping, RawMapping];
    // Handed out, and of no partition that is frozen.
    expect(beside.bytes.length).toBe(BYTES / 2);
    whole.setUint8(PAGE_SIZE, 1);
    whole.setUint8(BYTES - 1, 1);
    freezeDevice(first);
    const sector = noise(4, 512);
    for (const request of [
      () => disk.write(3, sector),
      () => disk.writeBytes(5, sector),
      () => disk.writeZeroes(sectors - 1, 2),
    ]) {
      expect(codeOf(request)).toBe("EAGAIN");
    }
    disk.write(sectors, sector);
    for (const store of [
      () => own.setUint8(0, 1),
      () => whole.setUint8(PAGE_SIZE, 2),
      () => whole.setUint8(BYTES / 2 - 1, 2),
      () => whole.copyIn(BYTES / 2 - 1, new Uint8Array(2)),
    ]) {
      expect(codeOf(store)).toBe("EAGAIN");
    }
    beside.setUint8(0, 3);
    whole.setUint8(BYTES - 1, 2);
    expect(codeOf(() => freezeDevice(second))).toBe("EBUSY");
    const outer = RawFreeze.of(first.dax?.device as never);
    expect(codeOf(() => outer.thaw())).toBe("EINVAL");
    expect(codeOf(() => freezeDevice(disk))).toBe("EBUSY");
    beside.unmap();
    freezeDevice(disk);
    thawDevice(first);
    expect(codeOf(() => own.setUint8(0, 1))).toBe("EAGAIN");
    thawDevice(disk);
    own.setUint8(0, 4);
    expect([whole.getUint8(0), whole.getUint8(PAGE_SIZE), whole.getUint8(BYTES / 2)]).toEqual([
      4, 1, 3,
    ]);
  });

  test("[1.13] detaches bytes that can be taken back, and there are none until it thaws", () => {
    const folder = mkdtempSync(join(tmpdir(), "daxkit-raw-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const media = openFileMedia(join(folder, "disk"), { create: BYTES });
    const { disk } = createPmem({
      name: "pmem0",
      media,
      start: 0,
      length: BYTES,
      physicalStart: 0,
    });
    const second = new Partition(disk, { name: "pmem0p2", start: 64, sectors: 64 });
    const mapping = mapRaw(disk, { access: "write", revocable: true, length: 64 * 512 });
    const reader = mapRaw(disk, { revocable: true });
    const { bytes } = mapping;
    bytes[0] = 1;
    freezeDevice(second);
    expect(bytes.length).toBe(64 * 512);
    freezeDevice(disk);
    expect([bytes.length, reader.bytes[0], mapping.getUint8(0)]).toEqual([0, 1, 1]);
    expect(codeOf(() => mapping.bytes)).toBe("EAGAIN");
    thawDevice(disk);
    mapping.bytes[0] = 2;
    expect(reader.bytes[0]).toBe(2);
    for (const one of [mapping, reader]) one.unmap();
    media.close();
  });

  test("is refused while bytes that may be stored to cannot be taken back", () => {
    const { pmem } = pmemOf(BYTES);
    const mapping = mapRaw(pmem.disk, { access: "write" });
    expect(mapping.bytes.length).toBe(BYTES);
    expect(() => RawFreeze.of(pmem.dax).freeze()).toThrow("raw mapping of pmem0");
    mapping.unmap();
    RawFreeze.of(pmem.dax).freeze();
  });
});
