/**
 * What every part that changes a filesystem is given: the volume, who gives out its blocks and
 * inodes, the time, and dice.
 *
 * @module
 */
import type { Environment, Timespec } from "../../lib/environment.ts";
import { BitmapWriter } from "./bitmap-writer.ts";
import { BlockAllocator } from "./block-allocator.ts";
import { GroupWriter } from "./group-writer.ts";
import { InodeAllocator } from "./inode-allocator.ts";
import { SuperblockWriter } from "./superblock-writer.ts";
import type { Volume } from "./volume.ts";

/** What the writing parts of one mounted filesystem share. */
export interface ExtEditor {
  readonly volume: Volume;
  readonly allocator: BlockAllocator;
  readonly inodes: InodeAllocator;
  readonly superblock: SuperblockWriter;
  /** The time that changed inodes get. */
  readonly now: () => Timespec;
  /** The same in milliseconds, which makes no object where the clock can do without. */
  readonly milliseconds: () => number;
  /** 32 random bits, unsigned: generations, and where to look first. */
  readonly random: () => number;
}

/**
 * Opens a volume for changes; every descriptor is read, nothing is written.
 * @throws EUCLEAN, EBADMSG for a damaged descriptor, ENOTSUP for too many groups, EIO
 */
export function openEditor(
  volume: Volume,
  { clock, random: source }: Pick<Environment, "clock" | "random">,
): ExtEditor {
  const now = (): Timespec => clock.now();
  const milliseconds = clock.milliseconds ?? ((): number => millisecondsOf(clock.now()));
  const word = new Uint8Array(4);
  const random = (): number => randomWord(source, word);
  const writer = new GroupWriter(volume);
  const bitmaps = new BitmapWriter(volume, writer);
  const allocator = new BlockAllocator(volume, writer, bitmaps);
  const inodes = new InodeAllocator(volume, { writer, bitmaps, random });
  const superblock = new SuperblockWriter(volume, writer, now);
  return { volume, allocator, inodes, superblock, now, milliseconds, random };
}

function millisecondsOf({ sec, nsec }: Timespec): number {
  return sec * 1000 + Math.floor(nsec / 1e6);
}

/** 32 random bits; `bytes` are four to work with. */
export function randomWord(source: Environment["random"], bytes: Uint8Array): number {
  source.fill(bytes);
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}
