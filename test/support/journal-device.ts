/**
 * A journal on modelled persistent memory: blocks of 1 KiB, a few of a pretended filesystem in
 * front, and the journal behind them. Flushes can be left out, each by the place that asks for it.
 */
import type { BlockDevice } from "../../src/block/block-device.ts";
import { Buffers } from "../../src/block/buffers.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import {
  JBD2_CRC32C_CHKSUM,
  JBD2_MAGIC_NUMBER,
  JBD2_SUPERBLOCK_V2,
  JournalSuperblock,
  hasChecksumV2or3,
} from "../../src/format/jbd2.ts";
import {
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  EXT4_SUPERBLOCK_OFFSET,
  EXT4_SUPER_MAGIC,
  Ext4SuperBlock as SB,
} from "../../src/format/ext-superblock.ts";
import type { JournalMap } from "../../src/fs/ext/journal-log.ts";
import { superblockChecksum } from "../../src/fs/ext/journal-tear.ts";
import { superblockChecksumOf } from "../../src/fs/ext/recover-flag.ts";
import { framesOf } from "../../src/lib/call-site.ts";
import type { ModelledMedia } from "../../src/media/modelled.ts";

export const BLOCK = 1024;

/** Where the pretended filesystem ends and the journal begins. */
export interface JournalGeometry {
  readonly homes: number;
  readonly journalBlocks: number;
  readonly compat?: number;
  readonly incompat?: number;
  readonly sequence?: number;
  readonly blockSize?: number;
}

/** The journal's blocks lie behind the homes, backwards, so that nothing may assume a run. */
export function mapOf({ homes, journalBlocks }: JournalGeometry): JournalMap {
  return {
    blocks: journalBlocks,
    physical: (n) => (n < journalBlocks ? homes + journalBlocks - 1 - n : undefined),
  };
}

/** An image with a superblock in block 1 and a clean journal; the other homes are zero. */
export function cleanImage(geometry: JournalGeometry): Uint8Array<ArrayBuffer> {
  const { homes, journalBlocks, compat = 0, incompat = 0, blockSize = BLOCK } = geometry;
  const size = (homes + journalBlocks) * blockSize;
  const image = new Uint8Array(Math.ceil(size / 4096) * 4096);
  const at = (mapOf(geometry).physical(0) as number) * blockSize;
  const [view, s] = [new DataView(image.buffer), JournalSuperblock];
  s.magic.set(view, at, JBD2_MAGIC_NUMBER);
  s.blocktype.set(view, at, JBD2_SUPERBLOCK_V2);
  s.blocksize.set(view, at, blockSize);
  s.maxlen.set(view, at, journalBlocks);
  s.first.set(view, at, 1);
  s.sequence.set(view, at, geometry.sequence ?? 7);
  s.featureCompat.set(view, at, compat);
  s.featureIncompat.set(view, at, incompat);
  s.uuid.set(
    view,
    at,
    Uint8Array.from({ length: 16 }, (_, i) => 0xa0 + i),
  );
  s.nrUsers.set(view, at, 1);
  setSuperblock(image);
  if (hasChecksumV2or3(incompat)) {
    s.checksumType.set(view, at, JBD2_CRC32C_CHKSUM);
    s.checksum.set(view, at, superblockChecksum(image.subarray(at, at + 1024)));
  }
  return image;
}

function setSuperblock(image: Uint8Array<ArrayBuffer>): void {
  const at = EXT4_SUPERBLOCK_OFFSET;
  const view = new DataView(image.buffer);
  SB.magic.set(view, at, EXT4_SUPER_MAGIC);
  SB.featureRoCompat.set(view, at, EXT4_FEATURE_RO_COMPAT_METADATA_CSUM);
  SB.checksum.set(view, at, superblockChecksumOf(image.subarray(at, at + 1024)));
}

/** The places in `fs/ext` that wait for the device, innermost first, in one word. */
export function flushSite(): string {
  const frames = framesOf(new Error("here").stack ?? "");
  const ours = frames.filter(({ file }) => /\/(?:src|dist)\/fs\/ext\/[^/]+$/u.test(file));
  return ours
    .slice(0, 3)
    .map(({ file, line }) => `${file.replace(/^.*\//u, "")}:${line}`)
    .join(" < ");
}

/** Which flushes happen. */
export interface FlushPlan {
  /** Told of every flush and every write with FUA. */
  seen?(site: string): void;
  /** Left out: its flush does nothing, its write is not FUA. The innermost places are enough. */
  readonly without?: string;
}

/** A device whose flushes can be left out. */
export function planned(device: BlockDevice, plan: FlushPlan): BlockDevice {
  const happens = () => {
    if (plan.seen === undefined && plan.without === undefined) return true;
    const site = flushSite();
    plan.seen?.(site);
    return site !== plan.without && !site.startsWith(`${plan.without} < `);
  };
  return new Proxy<BlockDevice>(device, {
    get(target, key) {
      if (key === "flush") return () => happens() && target.flush();
      if (key === "write") {
        return (sector: number, bytes: Uint8Array, flags?: { readonly fua?: boolean }) => {
          const fua = flags?.fua === true && happens();
          target.write(sector, bytes, { fua });
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** The blocks of modelled memory as the driver of persistent memory shows them. */
export function buffersOn(media: ModelledMedia, plan: FlushPlan = {}): Buffers {
  const { size } = media;
  const pmem = createPmem({ name: "pmem0", media, start: 0, length: size, physicalStart: 0 });
  return new Buffers(planned(pmem.disk, plan), BLOCK);
}

/** The blocks of an image in plain memory. */
export function buffersOf(image: Uint8Array, blockSize = BLOCK): Buffers {
  return new Buffers(new RamDisk({ name: "ram0", bytes: image }), blockSize);
}
