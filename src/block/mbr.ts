/**
 * Reading a DOS partition table with its extended chain, by Linux's rules.
 *
 * @module
 */
import {
  DOS_EXTENDED_PARTITION,
  LINUX_EXTENDED_PARTITION,
  MSDOS_ENTRIES_OFFSET,
  MSDOS_LABEL_MAGIC,
  MSDOS_MAGIC_OFFSET,
  MSDOS_SIGNATURE_OFFSET,
  MsdosPartition,
  WIN98_EXTENDED_PARTITION,
} from "../format/mbr.ts";
import { isDaxError } from "../lib/errno.ts";
import { type Decoded, decode, sizeof } from "../lib/struct.ts";
import { type BlockDevice, SECTOR_SIZE } from "./block-device.ts";
import type { PartitionEntry, PartitionTable } from "./partition-table.ts";

/** Links without a data partition that are followed, as in Linux. */
const MAX_EMPTY_LINKS = 100;
/** Logical partitions are 5 to 255. */
const MAX_INDEX = 255;

type Slot = Decoded<typeof MsdosPartition>;

/** What reading the chain gathers. */
interface Gathered {
  readonly entries: PartitionEntry[];
  readonly notes: string[];
  readonly signature: string;
}

/**
 * The table whose first sector is `sector`; never fails, for a broken chain ends where it breaks.
 */
export function readMbr(device: BlockDevice, sector: DataView): PartitionTable {
  // Fields count logical blocks.
  const scale = device.limits.logicalBlockSize / SECTOR_SIZE;
  const number = sector.getUint32(MSDOS_SIGNATURE_OFFSET, true);
  const signature = number.toString(16).padStart(8, "0");
  const found: Gathered = { entries: [], notes: [], signature };
  const chains: Slot[] = [];
  for (const [i, slot] of slotsOf(sector).entries()) {
    if (slot.nrSects === 0) continue;
    const container = isExtended(slot);
    found.entries.push(entryOf(found, slot, i + 1, slot.startSect * scale, scale, container));
    if (container) chains.push(slot);
  }
  let index = 5;
  for (const chain of chains) index = readChain(device, found, chain, index, scale);
  const { entries, notes } = found;
  return { label: "dos", id: `0x${signature}`, from: "primary", entries, notes };
}

/** Follows one extended partition from `index` on; returns the next free index. */
function readChain(
  device: BlockDevice,
  found: Gathered,
  chain: Slot,
  index: number,
  scale: number,
): number {
  const first = chain.startSect * scale;
  const firstSize = chain.nrSects * scale;
  const seen = new Set<number>();
  let at = first;
  let size = firstSize;
  let next = index;
  for (let empty = 0; empty < MAX_EMPTY_LINKS && next <= MAX_INDEX; empty++) {
    if (seen.has(at)) {
      found.notes.push(`extended partition: the link at sector ${at} is in a loop; stopped`);
      return next;
    }
    seen.add(at);
    const slots = readLink(device, found, at);
    if (slots === undefined) return next;
    for (const [i, slot] of slots.entries()) {
      if (slot.nrSects === 0 || isExtended(slot) || next > MAX_INDEX) continue;
      const start = at + slot.startSect * scale;
      if (i >= 2 && !isInside(slot, start, scale, size, first, firstSize)) continue;
      found.entries.push(entryOf(found, slot, next, start, scale, false));
      next++;
      empty = -1;
    }
    const link = slots.find((slot) => slot.nrSects > 0 && isExtended(slot));
    if (link === undefined) return next;
    at = first + link.startSect * scale;
    size = link.nrSects * scale;
  }
  return next;
}

/** The third and fourth slots of a link are often garbage: Linux takes them only when they fit. */
function isInside(
  slot: Slot,
  start: number,
  scale: number,
  size: number,
  first: number,
  firstSize: number,
): boolean {
  const sectors = slot.nrSects * scale;
  if (slot.startSect * scale + sectors > size) return false;
  return start >= first && start + sectors <= first + firstSize;
}

function readLink(device: BlockDevice, found: Gathered, at: number): Slot[] | undefined {
  const sector = new Uint8Array(SECTOR_SIZE);
  try {
    device.read(at, sector);
  } catch (error) {
    if (!isDaxError(error)) throw error;
    found.notes.push(`extended partition: the link at sector ${at} cannot be read; stopped`);
    return undefined;
  }
  const view = new DataView(sector.buffer);
  if (view.getUint16(MSDOS_MAGIC_OFFSET, true) === MSDOS_LABEL_MAGIC) return slotsOf(view);
  found.notes.push(`extended partition: the link at sector ${at} has no 55 aa; stopped`);
  return undefined;
}

function slotsOf(sector: DataView): Slot[] {
  return [0, 1, 2, 3].map((slot) =>
    decode(MsdosPartition, sector, MSDOS_ENTRIES_OFFSET + slot * sizeof(MsdosPartition)),
  );
}

function isExtended(slot: Slot): boolean {
  const { sysInd } = slot;
  return (
    sysInd === DOS_EXTENDED_PARTITION ||
    sysInd === WIN98_EXTENDED_PARTITION ||
    sysInd === LINUX_EXTENDED_PARTITION
  );
}

function entryOf(
  found: Gathered,
  slot: Slot,
  index: number,
  start: number,
  scale: number,
  container: boolean,
): PartitionEntry {
  return {
    index,
    start,
    sectors: slot.nrSects * scale,
    type: slot.sysInd.toString(16).padStart(2, "0"),
    uuid: `${found.signature}-${index.toString(16).padStart(2, "0")}`,
    name: "",
    bootable: slot.bootInd === 0x80,
    container,
  };
}
