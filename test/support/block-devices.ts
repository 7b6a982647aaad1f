/** One of each block device, all of the same size, and the dax devices behind them. */
import type { BlockDevice } from "../../src/block/block-device.ts";
import { FaultyDevice } from "../../src/block/fault-injection.ts";
import { PageCache } from "../../src/block/page-cache.ts";
import { Partition } from "../../src/block/partition.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { createAxonram } from "../../src/drivers/axonram.ts";
import {
  createDcssblk,
  type Dcssblk,
  type Segment,
  type SegmentType,
} from "../../src/drivers/dcssblk.ts";
import { createBrd } from "../../src/drivers/brd.ts";
import { createPmem, type Pmem, type PmemOptions } from "../../src/drivers/pmem.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { mappedOf } from "./mapped.ts";
import { PoisonMedia } from "../../src/media/poison.ts";
import { RamMedia } from "../../src/media/ram.ts";

/** Sectors of every device of {@link blockDevices}. */
export const SECTORS = 256;
const BYTES = SECTORS * 512;

/** A pmem device on RAM that can be poisoned, of `bytes` bytes. */
export function pmemOf(
  bytes: number,
  options: Partial<PmemOptions> & { readonly segmentBytes?: number } = {},
): { readonly pmem: Pmem; readonly media: PoisonMedia } {
  const { segmentBytes = 2 ** 20, ...rest } = options;
  const domains = [{ start: 0, length: bytes, domain: "adr" }] as const;
  const media = new PoisonMedia(new RamMedia(bytes, { segmentBytes, domains }));
  const start = 0;
  const physicalStart = 2 ** 32;
  const length = bytes;
  const pmem = createPmem({ name: "pmem0", media, start, length, physicalStart, ...rest });
  return { pmem, media };
}

/** A device of three segments that lie in the media in another order, the middle one of a type. */
export function segmentsOf(type: SegmentType, bytes: number = BYTES): Dcssblk {
  const media = new RamMedia(2 * bytes, { segmentBytes: 16 * PAGE_SIZE });
  const length = 5 * PAGE_SIZE;
  const segments: Segment[] = [
    { type: "SW", start: bytes, length, physicalStart: 2 ** 32 },
    { type, start: 0, length, physicalStart: 2 ** 31 },
    { type: "EW", start: 8 * PAGE_SIZE, length: bytes - 2 * length, physicalStart: 2 ** 33 },
  ];
  return createDcssblk({ name: "dcssblk0", media, segments });
}

function partOf(disk: BlockDevice, start: number): Partition {
  return new Partition(disk, { name: `${disk.name}p1`, start, sectors: SECTORS });
}

/** A device by a table over three disks of pmem, which tables call A, B and C. */
function mappedOver(table: string): BlockDevice {
  const disks = ["A", "B", "C"].map((name) => {
    return [name, pmemOf(2 * BYTES, { name, segmentBytes: 16 * PAGE_SIZE }).pmem.disk] as const;
  });
  return mappedOf(table, Object.fromEntries(disks));
}

const big = BYTES + 64 * 512;

/** Makes a fresh device of each kind, zeroed. */
export const blockDevices: Readonly<Record<string, () => BlockDevice>> = {
  "plain RAM": () => new RamDisk({ name: "ram0", bytes: new Uint8Array(BYTES) }),
  pmem: () => pmemOf(BYTES).pmem.disk,
  "pmem of Linux 4.1": () => pmemOf(BYTES, { profile: "v4.1" }).pmem.disk,
  "pmem in windows of a page": () => pmemOf(BYTES, { segmentBytes: PAGE_SIZE }).pmem.disk,
  "pmem with a ragged tail": () => pmemOf(BYTES + 500).pmem.disk,
  "pmem, traced": () => pmemOf(BYTES, { trace: { event: () => {} } }).pmem.disk,
  axonram: () =>
    createAxonram({
      name: "axonram0",
      media: new RamMedia(3 * BYTES, { segmentBytes: 2 * PAGE_SIZE }),
      start: BYTES,
      length: BYTES + 5,
      physicalStart: 2 ** 31,
    }).disk,
  "dcssblk of three segments": () => segmentsOf("SW").disk,
  "a partition of dcssblk": () => partOf(segmentsOf("EN", big).disk, 8),
  brd: () => createBrd({ name: "ram0", size: BYTES }).disk,
  "a partition of pmem": () => partOf(pmemOf(big).pmem.disk, 8),
  "a partition off page borders": () => partOf(pmemOf(big).pmem.disk, 63),
  "a partition of a partition": () => {
    const outer = new Partition(pmemOf(big).pmem.disk, { name: "x", start: 8, sectors: 300 });
    return partOf(outer, 7);
  },
  "dm: linear": () => mappedOver(`0 ${SECTORS} linear A 24`),
  "dm: linear off page borders": () => mappedOver(`0 ${SECTORS} linear A 3`),
  "dm: three targets": () => mappedOver("0 8 linear A 8\n8 240 linear B 16\n248 8 linear A 0"),
  "dm: targets that part pages": () =>
    mappedOver("0 3 linear A 8\n3 250 linear B 1\n253 3 linear C 0"),
  "dm: striped": () => mappedOver(`0 ${SECTORS} striped 2 8 A 16 B 0`),
  "dm: mirror": () => mappedOver(`0 ${SECTORS} mirror core 2 16 nosync 3 A 0 B 5 C 8`),
  "dm: mirror with a log on a disk": () => mappedOver(`0 ${SECTORS} mirror disk 2 C 64 2 A 0 B 5`),
  "dm: dust": () => mappedOver(`0 ${SECTORS} dust A 3 4096`),
  "dm: delay": () => mappedOver(`0 ${SECTORS} delay A 3 0`),
  "dm: striped in chunks that part pages": () => mappedOver(`0 ${SECTORS} striped 2 4 A 1 C 100`),
  "pmem behind a page cache": () => new PageCache(pmemOf(BYTES).pmem.disk),
  "a partition of a page cache": () => partOf(new PageCache(pmemOf(big).pmem.disk), 3),
  "a device under failure injection": () => new FaultyDevice(pmemOf(BYTES).pmem.disk),
  "a faulty partition of a faulty disk": () =>
    new FaultyDevice(partOf(new FaultyDevice(pmemOf(big).pmem.disk), 8)),
};
