/**
 * What lies under a volume: persistent memory, or a disk with a write cache; in either case
 * modelled memory that the explorer knows.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../../block/block-device.ts";
import type { BlockModel } from "../../crash/block-frontier.ts";
import { SectorContents, SectorDisk } from "../../crash/sector-disk.ts";
import { MediaRange } from "../../dax/media-range.ts";
import { Pmem } from "../../drivers/pmem.ts";
import type { ModelledMedia, ModelledOptions } from "../../media/modelled.ts";
import { LINE_BYTES } from "../../media/trace.ts";
import { PoisonedDevice } from "./fault-injector.ts";
import type { FileTree } from "../../vfs/file-tree.ts";
import type { Filesystem } from "../../vfs/filesystem.ts";
import { DEFAULT_SIZE, PRESETS } from "./presets.ts";
import type { VolumeProof } from "./volume-proof.ts";

/** A sector that cannot be read. */
export interface Poison {
  readonly sector: number;
  /** Told of each read that fails. */
  readonly onHit: () => void;
}

/** The two ways between a volume and modelled memory. */
export interface Underlay {
  readonly modelled: ModelledOptions;
  /** What modelled memory holds of an image. */
  readonly linesOf: (image: Uint8Array) => Uint8Array;
  readonly imageOf: (lines: Uint8Array) => Uint8Array;
  readonly deviceOn: (media: ModelledMedia, poison?: Poison) => BlockDevice;
  /** The first of the sectors of 512 bytes that are good or bad together with a byte of lines. */
  readonly sectorOf: (at: number) => number;
  /** Where in a tree the volume is, if not at its root. */
  readonly treeOf?: (volume: Filesystem) => FileTree;
  /** Lines of the volume that a check must not be content with, if not as mkfs makes it. */
  readonly bare?: () => Uint8Array;
  /** Bytes of the image behind one line. */
  readonly unit: number;
}

/** What the filesystem does by itself on a disk. */
const COMMITS = {
  any:
    "The journal may commit behind any step, and contents that were not synced may still be in " +
    "memory (delalloc)",
  asked: "Nothing is committed but what the program asks for",
} as const;

/** What is assumed of what lies under the volume of a proof, in words. */
export function assumptionsOf({
  model = "ext4-dax",
  machine = {},
  commits = "any",
}: VolumeProof): string {
  const { words, sector } = PRESETS[model];
  if (sector === undefined) return words;
  const { sector: unit = sector, torn } = machine;
  const own = unit === sector ? "" : `; its sectors are of ${unit} bytes instead`;
  const parts = torn === undefined ? "" : `; a sector may be torn after each ${torn} bytes of it`;
  return `${words}${own}${parts}. ${COMMITS[commits]}`;
}

/** What lies under the volume of a proof. */
export function underlayOf(proof: VolumeProof): Underlay {
  const { model = "ext4-dax", machine = {} } = proof;
  const { size = DEFAULT_SIZE, sector: unit, torn, ...given } = machine;
  const sector = PRESETS[model].sector === undefined ? undefined : (unit ?? PRESETS[model].sector);
  const own = given.domain !== undefined || given.domains !== undefined;
  const lines = sector === undefined ? size : (size / sector) * LINE_BYTES;
  const modelled = own ? given : { ...PRESETS[model].machine(lines), ...given };
  return sector === undefined
    ? onMemory(modelled)
    : onDisk(modelled, { unit: sector, ...(torn === undefined ? {} : { torn }) });
}

function onMemory(modelled: ModelledOptions): Underlay {
  return {
    modelled,
    linesOf: (image) => image,
    imageOf: (lines) => lines,
    deviceOn: (media, poison) => {
      const options = { name: "pmem0", media, start: 0, length: media.size, physicalStart: 0 };
      // Nobody looks for partitions: the volume is the whole disk.
      const pmem = new Pmem(new MediaRange(options), options);
      if (poison !== undefined) poisonOn(pmem, poison);
      return pmem.disk;
    },
    sectorOf: (at) => Math.floor(at / SECTOR_SIZE),
    unit: LINE_BYTES,
  };
}

function onDisk(modelled: ModelledOptions, { unit: sector, torn }: BlockModel): Underlay {
  const contents = new SectorContents(sector);
  return {
    modelled,
    linesOf: (image) => contents.linesOf(image),
    imageOf: (lines) => contents.imageOf(lines),
    deviceOn: (media, poison) => {
      const disk = new SectorDisk(media, contents, torn);
      if (poison === undefined) return disk;
      const bad = Array.from({ length: sector / SECTOR_SIZE }, (_, i) => poison.sector + i);
      return new PoisonedDevice(disk, bad, poison.onHit);
    },
    sectorOf: (at) => Math.floor(at / LINE_BYTES) * (sector / SECTOR_SIZE),
    unit: sector,
  };
}

/** What reads memory asks first: a load has no way to fail. */
function poisonOn({ poison }: Pmem, { sector, onHit }: Poison): void {
  poison.table.add(sector, 1);
  const first = poison.first.bind(poison);
  const value = (offset: number, length: number): number | undefined => {
    const found = first(offset, length);
    if (found !== undefined) onHit();
    return found;
  };
  Object.defineProperty(poison, "first", { value });
}
