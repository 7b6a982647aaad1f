/**
 * Whether a filesystem can read from device-dax.
 *
 * @module
 */
import { DaxDisk } from "../../block/dax-disk.ts";
import type { DaxDevice } from "../../dax/dax-device.ts";
import type { DaxOperations } from "../../dax/operations.ts";
import { DaxRegion } from "../../drivers/dax-region.ts";
import type { DevDax } from "../../drivers/device-dax.ts";
import { assert, isDaxError } from "../../lib/errno.ts";
import { copyOut } from "../../lib/memory.ts";
import { RamMedia } from "../../media/ram.ts";
import { newTree } from "./parts.ts";
import type { Acted, Exhibit } from "./exhibit.ts";

const PAGE = 4096;
const ADDRESS = 2 ** 32;
/** Two ranges of the device, apart in memory; the second half of it comes first there. */
const PAGES = 1024;
const GAP = 64;

export const deviceDaxReads: Exhibit = {
  name: "device-dax-reads",
  question: "Why can a filesystem on device-dax be mapped, and not be read?",
  argued: [
    "The operations that were proposed for device-dax in December 2023 worked for mmap; read(2) " +
      "failed in the copy to the user, and the author asked why.",
    "The address that they handed out was the physical one: a mapping needs only the frame " +
      "number, a copy needs an address that can be loaded from.",
  ],
  settled:
    "Translations give memory and frame number apart, range by range: a request that crosses " +
    "into another range gets a short answer, and every caller loops.",
  run: acted,
};

function acted(): Acted {
  const device = twoRanges();
  const { dax } = device;
  assert(dax !== undefined, "fsdev offers operations");
  const proposed = asProposed(dax);
  const tree = newTree(new DaxDisk(dax));
  const file = tree.open("/data", { create: true, access: "readwrite" });
  const bytes = Uint8Array.from({ length: 700 * PAGE }, (_, at) => at % 251);
  file.pwrite(bytes, 0);
  const read = new Uint8Array(bytes.length);
  const count = file.pread(read, 0);
  const mapped = new Uint8Array(bytes.length);
  file.map().copyOut(0, mapped);
  const crossing = dax.directAccess(PAGES / 2 - 3, 10);
  tree.close({ revoke: true, mediaCloses: true });
  return {
    scene: [`${device.name}: ${PAGES} pages in two ranges, the later one first in memory`],
    figures: [
      {
        what: "proposed: a mapping finds its frame",
        counted: frameIn(proposed, dax),
        expected: "yes",
      },
      { what: "proposed: read(2)", counted: readFrom(proposed), expected: "EFAULT" },
      { what: "fsdev: bytes that read(2) gives", counted: count, expected: bytes.length },
      { what: "fsdev: of them wrong", counted: wrongIn(read, bytes), expected: 0 },
      { what: "fsdev: wrong bytes in a mapping", counted: wrongIn(mapped, bytes), expected: 0 },
      { what: "fsdev: pages of 10 asked 3 before the seam", counted: crossing.pages, expected: 3 },
      { what: "device-dax itself: read(2)", counted: readOfCharacterDevice(), expected: "EINVAL" },
    ],
  };
}

function regionOf(): DaxRegion {
  const length = (PAGES + GAP) * PAGE;
  const half = (PAGES / 2) * PAGE;
  const layout = [
    { pgoff: 0, start: ADDRESS + half + GAP * PAGE, length: half },
    { pgoff: PAGES / 2, start: ADDRESS, length: half },
  ];
  const media = new RamMedia(length);
  const place = { id: 0, media, start: 0, physicalStart: ADDRESS, length };
  return new DaxRegion({ ...place, align: PAGE, layout });
}

function twoRanges(): DevDax {
  const device = regionOf().device("dax0.0");
  device.bind("fsdev_dax");
  return device;
}

/**
 * The operations of 2023: what they answer as an address is the physical one. No dax device takes
 * them here, since that asks whether there is memory.
 */
function asProposed(dax: DaxDevice): DaxOperations {
  return {
    directAccess: (pgoff, pages, mode) => {
      const span = dax.directAccess(pgoff, pages, mode);
      return { ...span, start: span.pfn * PAGE };
    },
    zeroPageRange: (pgoff, pages) => dax.zeroPageRange(pgoff, pages),
  };
}

function frameIn(proposed: DaxOperations, dax: DaxDevice): string {
  const isSame = proposed.directAccess(700, 1, "access").pfn === dax.directAccess(700, 1).pfn;
  return isSame ? "yes" : "no";
}

/** The copy to the user: an address where no memory is ends it. */
function readFrom(proposed: DaxOperations): string {
  const { memory, start } = proposed.directAccess(0, 1, "access");
  try {
    copyOut(memory, start, new Uint8Array(PAGE));
    return "done";
  } catch (error) {
    if (error instanceof RangeError) return "EFAULT";
    throw error;
  }
}

function wrongIn(bytes: Uint8Array, expected: Uint8Array): number {
  return bytes.reduce((count, byte, at) => count + (byte === expected[at] ? 0 : 1), 0);
}

function readOfCharacterDevice(): string {
  const device = regionOf().device("dax0.0");
  device.bind("device_dax");
  try {
    return device.open().read();
  } catch (error) {
    if (isDaxError(error)) return error.code;
    throw error;
  }
}
