/**
 * Multi-mount protection: a block in which whoever has the filesystem mounted for writing counts
 * on, so that another machine that shares the disk sees it (`fs/ext4/mmp.c`).
 *
 * @module
 */
import {
  EXT4_MMP_MAGIC,
  EXT4_MMP_SEQ_CLEAN,
  EXT4_MMP_SEQ_FSCK,
  EXT4_MMP_SEQ_MAX,
  MmpStruct,
} from "../../format/ext-group.ts";
import { crc32c } from "../../lib/crc32c.ts";
import type { Timespec } from "../../lib/environment.ts";
import { DaxError } from "../../lib/errno.ts";
import { type Decoded, decode, sizeof } from "../../lib/struct.ts";
import { decodeUtf8, encodeUtf8 } from "../../lib/utf8.ts";
import { badChecksum, corrupt } from "./corruption.ts";
import type { Volume } from "./volume.ts";

/** Seconds between two looks at the block, at least (`EXT4_MMP_MIN_CHECK_INTERVAL`). */
const SHORTEST_INTERVAL = 5;
/** Nobody is waited for longer than his interval and this, in seconds. */
const LONGEST_EXTRA = 60;

/** Who mounts, and how to find out whether somebody else does. */
export interface MultiMountOptions {
  /** The name of this machine, up to 64 bytes. */
  readonly nodename: string;
  /** The time that is written. */
  readonly now: () => Timespec;
  /** 32 random bits. */
  readonly random: () => number;
  /**
   * Does nothing for so many seconds. Whoever counts on meanwhile is alive; without it a block that
   * is not clean is taken for one that is in use.
   */
  readonly wait?: (seconds: number) => void;
}

type Block = Decoded<typeof MmpStruct>;

/** The claim of one mount for writing. */
export class MultiMountGuard {
  readonly #volume: Volume;
  readonly #options: MultiMountOptions;
  #sequence = 0;
  #written: Timespec = { sec: 0, nsec: 0 };
  #interval = SHORTEST_INTERVAL;

  /**
   * Claims the filesystem; every other claim is refused from then on.
   * @throws EBUSY while somebody else has it or e2fsck is at work, EUCLEAN, EBADMSG, EIO, EROFS
   */
  constructor(volume: Volume, options: MultiMountOptions) {
    this.#volume = volume;
    this.#options = options;
    const found = this.#read();
    this.#interval = Math.max(SHORTEST_INTERVAL, found.checkInterval);
    if (found.seq !== EXT4_MMP_SEQ_CLEAN) this.#waitFor(found);
    this.#sequence = (options.random() % EXT4_MMP_SEQ_MAX) + 1;
    this.#write(this.#sequence);
    if (options.wait === undefined || found.seq === EXT4_MMP_SEQ_CLEAN) return;
    // Two that found the same stale block may both have claimed it: the one that is read has it.
    options.wait(this.#patience);
    this.#checkOurs();
  }

  /**
   * To be called often while mounted: counts on when it is time to.
   * @throws EBUSY when somebody else took the filesystem, EUCLEAN, EBADMSG, EIO
   */
  refresh(): void {
    const age = this.#options.now().sec - this.#written.sec;
    if (age >= 0 && age < this.#interval) return;
    this.#checkOurs();
    this.#sequence = this.#sequence >= EXT4_MMP_SEQ_MAX ? 1 : this.#sequence + 1;
    this.#write(this.#sequence);
  }

  /** Gives the claim up, after everything else. @throws EBUSY as `refresh`, EIO */
  release(): void {
    this.#checkOurs();
    this.#write(EXT4_MMP_SEQ_CLEAN);
  }

  /** Seconds in which whoever is alive counts on at least once. */
  get #patience(): number {
    return Math.min(this.#interval * 2 + 1, this.#interval + LONGEST_EXTRA);
  }

  #waitFor(found: Block): void {
    const { wait } = this.#options;
    if (found.seq === EXT4_MMP_SEQ_FSCK) throw busy(found, "e2fsck is at work on it");
    if (wait === undefined) throw busy(found, "it may be in use, or was not unmounted");
    wait(this.#patience);
    if (this.#read().seq !== found.seq) throw busy(found, "it is in use");
  }

  #checkOurs(): void {
    const found = this.#read();
    if (found.seq !== this.#sequence) throw busy(found, "somebody else took it");
  }

  #read(): Block {
    const { superblock, device, blocks } = this.#volume;
    const { mmpBlock, blockSize, metadataCsum, checksumSeed } = superblock;
    if (!blocks.isInside(mmpBlock, 1)) {
      throw corrupt("superblock", "mmp_block", mmpBlock, "outside the filesystem");
    }
    const bytes = new Uint8Array(sizeof(MmpStruct));
    // Not through any cache: somebody else writes it.
    device.readBytes(mmpBlock * blockSize, bytes);
    const found = decode(MmpStruct, new DataView(bytes.buffer), 0);
    const where = `multi-mount block ${mmpBlock}`;
    if (found.magic !== EXT4_MMP_MAGIC) {
      throw corrupt(where, "magic", `0x${found.magic.toString(16)}`, "not 0x4d4d50");
    }
    const computed = crc32c(checksumSeed, bytes.subarray(0, MmpStruct.checksum.offset));
    if (!metadataCsum || found.checksum === computed) return found;
    throw badChecksum(where, found.checksum, computed);
  }

  #write(sequence: number): void {
    const { superblock, buffers, device } = this.#volume;
    const { mmpBlock, blockSize, metadataCsum, checksumSeed } = superblock;
    const bytes = new Uint8Array(sizeof(MmpStruct));
    device.readBytes(mmpBlock * blockSize, bytes);
    const view = new DataView(bytes.buffer);
    this.#written = this.#options.now();
    MmpStruct.seq.set(view, 0, sequence);
    MmpStruct.time.set(view, 0, Math.max(0, this.#written.sec));
    MmpStruct.nodename.set(view, 0, padded(this.#options.nodename, MmpStruct.nodename.size));
    MmpStruct.bdevname.set(view, 0, padded(device.name, MmpStruct.bdevname.size));
    if (metadataCsum) {
      const covered = bytes.subarray(0, MmpStruct.checksum.offset);
      MmpStruct.checksum.set(view, 0, crc32c(checksumSeed, covered));
    }
    buffers.write(mmpBlock, bytes, { fua: true });
  }
}

/**
 * Takes the claim away from whoever has it: the block says that nobody has the filesystem.
 * @throws EUCLEAN for a block outside the filesystem, EIO, EROFS
 */
export function clearMultiMount({ superblock, buffers, device, blocks }: Volume): void {
  const { mmpBlock, blockSize, metadataCsum, checksumSeed } = superblock;
  if (!blocks.isInside(mmpBlock, 1)) {
    throw corrupt("superblock", "mmp_block", mmpBlock, "outside the filesystem");
  }
  const bytes = new Uint8Array(sizeof(MmpStruct));
  device.readBytes(mmpBlock * blockSize, bytes);
  const view = new DataView(bytes.buffer);
  MmpStruct.magic.set(view, 0, EXT4_MMP_MAGIC);
  MmpStruct.seq.set(view, 0, EXT4_MMP_SEQ_CLEAN);
  MmpStruct.time.set(view, 0, 0);
  MmpStruct.nodename.set(view, 0, new Uint8Array(MmpStruct.nodename.size));
  MmpStruct.bdevname.set(view, 0, new Uint8Array(MmpStruct.bdevname.size));
  const interval = Math.max(SHORTEST_INTERVAL, MmpStruct.checkInterval.get(view, 0));
  MmpStruct.checkInterval.set(view, 0, Math.min(interval, 0xffff));
  if (metadataCsum) {
    const covered = bytes.subarray(0, MmpStruct.checksum.offset);
    MmpStruct.checksum.set(view, 0, crc32c(checksumSeed, covered));
  }
  buffers.write(mmpBlock, bytes, { fua: true });
}

function padded(text: string, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  bytes.set(encodeUtf8(text).subarray(0, size));
  return bytes;
}

function busy({ nodename, time }: Block, why: string): DaxError {
  const end = nodename.indexOf(0);
  const name = decodeUtf8(end < 0 ? nodename : nodename.subarray(0, end));
  const detail =
    `${why}: the multi-mount block was last written by '${name}' at ${time} seconds since 1970; ` +
    "unmount it there, or run daxkit tune -f -E clear_mmp when nobody has it";
  return new DaxError("EBUSY", { syscall: "mount", detail });
}
