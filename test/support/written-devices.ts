/** Every kind of device that a filesystem may be written on, alone and in stacks. */
import type { BlockDevice } from "../../src/block/block-device.ts";
import { DaxDisk } from "../../src/block/dax-disk.ts";
import { Partition } from "../../src/block/partition.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { createAxonram } from "../../src/drivers/axonram.ts";
import { createBrd } from "../../src/drivers/brd.ts";
import type { MappedDevice } from "../../src/dm/mapped-device.ts";
import { Prng } from "../../src/lib/prng.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { pmemOf, segmentsOf } from "./block-devices.ts";
import { fakeDax } from "./dax-fakes.ts";
import { fsdevOf } from "./dax-regions.ts";
import { mapperOver, type Mapped } from "./mapped.ts";

/** A device of at least so many bytes. */
export interface WrittenKind {
  readonly make: (bytes: number) => BlockDevice;
  /** Whether contents of files are reached by dax. */
  readonly dax: boolean;
}

const pmem = (name: string, bytes: number): BlockDevice => pmemOf(bytes, { name }).pmem.disk;

/** Disks A to C of pmem, and D, whose dax answers as short as it likes; each with room to spare. */
function ground(bytes: number): Mapped {
  const size = bytes + (2 << 20);
  const { device } = fakeDax(size / PAGE_SIZE, { short: new Prng(9) });
  return mapperOver({
    A: pmem("A", size),
    B: pmem("B", size),
    C: pmem("C", size),
    D: new DaxDisk(device),
  });
}

/** The last of devices by their tables, in which SIZE stands for the sectors that are wanted. */
function mapped(...tables: readonly string[]): (bytes: number) => MappedDevice {
  return (bytes) => {
    const { mapper } = ground(bytes);
    const sectors = bytes / 512;
    let top: MappedDevice | undefined;
    for (const [level, table] of tables.entries()) {
      const lines = table.replaceAll(/\bSIZE(\/\d+)?\b/gu, (_, part?: string) => {
        return String(sectors / Number(part?.slice(1) ?? 1));
      });
      top = mapper.create(`l${level}`, lines);
    }
    return top as MappedDevice;
  };
}

function partition(disk: BlockDevice, start: number): BlockDevice {
  return new Partition(disk, { name: `${disk.name}p1`, start, sectors: disk.sectors - 2 * start });
}

function fsdev(bytes: number): BlockDevice {
  const pages = bytes / PAGE_SIZE;
  const half = Math.floor(pages / 2);
  const layout = [
    [half, 3, pages - half],
    [0, pages + 5, half],
  ] as const;
  return new DaxDisk(fsdevOf(layout).dax);
}

/** Drivers and targets that a filesystem is written on. */
export const WRITTEN: Readonly<Record<string, WrittenKind>> = {
  pmem: { make: (bytes) => pmem("pmem0", bytes), dax: true },
  brd: { make: (size) => createBrd({ name: "ram0", size }).disk, dax: true },
  axonram: {
    make: (length) => {
      const range = { media: new RamMedia(length), start: 0, length, physicalStart: 0 };
      return createAxonram({ name: "axonram0", ...range }).disk;
    },
    dax: true,
  },
  dcssblk: { make: (bytes) => segmentsOf("SW", bytes).disk, dax: true },
  "[3.2] fsdev": { make: fsdev, dax: true },
  "a partition": { make: (bytes) => partition(pmem("p", bytes + 65_536), 64), dax: true },
  "one inside pages": { make: (bytes) => partition(pmem("p", bytes + 65_536), 63), dax: false },
  RAM: {
    make: (bytes) => new RamDisk({ name: "ram", bytes: new Uint8Array(bytes) }),
    dax: false,
  },
  linear: { make: mapped("0 SIZE/2 linear A 64\nSIZE/2 SIZE/2 linear B 8"), dax: true },
  "linear inside pages": { make: mapped("0 SIZE linear A 63"), dax: false },
  striped: { make: mapped("0 SIZE striped 2 8 A 64 B 0"), dax: true },
  "striped in large chunks": { make: mapped("0 SIZE striped 2 512 A 0 B 512"), dax: true },
  "striped in sectors": { make: mapped("0 SIZE striped 2 1 A 0 B 0"), dax: false },
  mirror: { make: mapped("0 SIZE mirror core 2 64 nosync 2 A 0 B 0"), dax: false },
  "log-writes": { make: mapped("0 SIZE log-writes A B"), dax: true },
  snapshot: { make: mapped("0 SIZE snapshot A B P 8"), dax: false },
  "snapshot, transient": { make: mapped("0 SIZE snapshot A B N 16"), dax: false },
  "snapshot-origin": {
    make: mapped(
      "0 SIZE linear A 0",
      "0 SIZE snapshot /dev/mapper/l0 B P 8",
      "0 SIZE snapshot-origin A",
    ),
    dax: false,
  },
  "writecache, pmem": { make: mapped("0 SIZE writecache p A B 4096 0"), dax: false },
  "writecache, ssd": { make: mapped("0 SIZE writecache s A B 1024 0"), dax: false },
  flakey: { make: mapped("0 SIZE flakey A 0 1000 0"), dax: false },
  delay: { make: mapped("0 SIZE delay A 0 0"), dax: false },
  dust: { make: mapped("0 SIZE dust A 0 512"), dax: false },
  "three levels": {
    make: mapped(
      "0 SIZE/2 striped 2 16 A 0 B 0\nSIZE/2 SIZE/2 linear C 0",
      "0 SIZE linear /dev/mapper/l0 0",
      "0 SIZE/2 linear /dev/mapper/l1 SIZE/2\nSIZE/2 SIZE/2 linear /dev/mapper/l1 0",
    ),
    dax: true,
  },
  "a mirror over stripes": {
    make: mapped("0 SIZE striped 2 8 A 0 B 0", "0 SIZE mirror core 1 64 2 /dev/mapper/l0 0 C 0"),
    dax: false,
  },
  // Whoever asks for memory gets a page, or a few.
  "[X6] short answers": {
    make: (bytes) => {
      const { device } = fakeDax(bytes / PAGE_SIZE, { short: new Prng(4) });
      return new DaxDisk(device);
    },
    dax: true,
  },
  "[X6] stripes over short answers": { make: mapped("0 SIZE striped 2 16 D 0 A 0"), dax: true },
  "[X6] writecache on short answers": {
    make: mapped("0 SIZE writecache p A D 4096 0"),
    dax: false,
  },
};
