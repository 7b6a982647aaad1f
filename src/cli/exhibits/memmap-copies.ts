/**
 * Whether memory that is there as memory should be read through a page cache.
 *
 * @module
 */
import { PageCache } from "../../block/page-cache.ts";
import { Partition } from "../../block/partition.ts";
import { bootMachine } from "../../machine/boot.ts";
import type { Machine } from "../../machine/machine.ts";
import type { FileTree } from "../../vfs/file-tree.ts";
import type { OpenFile } from "../../vfs/open-file.ts";
import type { Acted, Exhibit, Figure } from "./exhibit.ts";
import { mountTree, newTree, timed } from "./parts.ts";

const LENGTH = 1 << 20;
/** What is read before anything is counted, so that the map of the file is known. */
const WARM = 4096;

export const memmapCopies: Exhibit = {
  name: "memmap-copies",
  question: "Should memory that is there as memory be read through a page cache?",
  argued: [
    "The first driver was a plain disk: its contents are copied to the page cache, then to who " +
      "reads, and lie in memory twice (2015).",
    "Double buffering also spares media that wear, and gives pages to calls that need some.",
  ],
  settled:
    "Both, as the user chooses, with the copies counted: two through the cache, one where a read " +
    "is dax's own, none where a file is mapped.",
  run: acted,
};

function acted(): Acted {
  const [machine, milliseconds] = timed(() => bootMachine({ ram: "16G", memmap: ["4G!12G"] }));
  try {
    const [device] = machine.devices();
    const persistent = machine.iomem().split("\n");
    const shown = persistent.filter((line) => /Persistent|namespace/u.test(line));
    return {
      scene: ["memmap=4G!12G on a machine with 16 GiB:", ...shown.map((line) => `  ${line}`)],
      figures: [
        { what: "the disk it becomes", counted: device?.name ?? "", expected: "pmem0" },
        { what: "its bytes", counted: device?.size ?? 0, expected: 4 * 2 ** 30 },
        ...copies(machine),
      ],
      measured: [{ what: "booted in", milliseconds }],
    };
  } finally {
    machine.shutdown();
  }
}

/** One file, read in three ways; what was copied, in multiples of what was read. */
function copies(machine: Machine): Figure[] {
  const disk = machine.disk("pmem0");
  const { counters } = machine.dax("pmem0");
  const part = new Partition(disk, { name: "pmem0p1", start: 2048, sectors: 16_384 });
  fill(newTree(part));
  const cache = new PageCache(part);
  const cached = copiesOf(mountTree(cache), {
    counted: () => cache.counters.filled + cache.counters.copiedOut,
    read: (file) => file.pread(new Uint8Array(LENGTH), WARM),
  });
  const direct = copiesOf(mountTree(part), {
    counted: () => counters.copiedOut,
    read: (file) => file.pread(new Uint8Array(LENGTH), WARM),
  });
  const mapped = copiesOf(mountTree(part), {
    counted: () => counters.copiedOut,
    read: (file) => file.map({ offset: WARM, length: LENGTH }).bytes.reduce((a, b) => a + b, 0),
  });
  return [
    { what: "copies of each byte, through the page cache", counted: cached, expected: 2 },
    { what: "copies of each byte, read(2) by dax", counted: direct, expected: 1 },
    { what: "copies of each byte, mapped by dax", counted: mapped, expected: 0 },
  ];
}

function fill(tree: FileTree): void {
  const file = tree.open("/data", { create: true, access: "write" });
  file.pwrite(new Uint8Array(WARM + LENGTH).fill(7), 0);
  file.close();
  tree.close();
}

/** A way to read, and how many bytes were copied so far. */
interface Way {
  readonly counted: () => number;
  readonly read: (file: OpenFile) => unknown;
}

function copiesOf(tree: FileTree, { counted, read }: Way): number {
  const file = tree.open("/data");
  file.pread(new Uint8Array(WARM), 0);
  const before = counted();
  read(file);
  const copied = counted() - before;
  tree.close({ revoke: true, mediaCloses: true });
  return copied / LENGTH;
}
