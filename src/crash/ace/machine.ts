/**
 * What workloads run on: a very small filesystem on a disk with a write cache, or in persistent
 * memory.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import { RamDisk } from "../../block/ram-disk.ts";
import { createPmem } from "../../drivers/pmem.ts";
import { ext } from "../../fs/ext/ext.ts";
import type { ExtFilesystem } from "../../fs/ext/filesystem.ts";
import { makeExt } from "../../fs/ext/mkfs.ts";
import type { MakeExtOptions } from "../../fs/ext/mkfs-options.ts";
import { type Environment, seededEnvironment, silent } from "../../lib/environment.ts";
import { ModelledMedia } from "../../media/modelled.ts";
import { LINE_BYTES } from "../../media/trace.ts";
import { FileTree } from "../../vfs/file-tree.ts";
import { SectorContents, SectorDisk } from "../sector-disk.ts";
import type { AceFilesystem } from "./bounds.ts";
import { STALE } from "./oracles.ts";
import { Performer } from "./perform.ts";
import type { Operation } from "./workload.ts";

/**
 * What lies underneath: `disk`, with a volatile write cache and sectors of 4096 bytes, each of
 * which is old or new; or `memory`, where each cache line is.
 */
export type AceModel = "disk" | "memory";

interface Shape {
  readonly blockSize: number;
  readonly size: number;
  readonly make: MakeExtOptions;
}

/** A journal needs a filesystem of 2048 blocks. */
const SHAPES: Readonly<Record<`${AceFilesystem} ${AceModel}`, Shape>> = {
  "ext2 disk": { blockSize: 4096, size: 64 * 4096, make: { type: "ext2" } },
  "ext2 memory": { blockSize: 1024, size: 96 << 10, make: { type: "ext2" } },
  "ext4 disk": {
    blockSize: 4096,
    size: 2112 * 4096,
    make: { type: "ext4", journalMegabytes: 4 },
  },
  "ext4 memory": {
    blockSize: 1024,
    size: 2112 << 10,
    make: { type: "ext4", journalMegabytes: 1 },
  },
};
const SECTOR = 4096;
/** Contents of sectors that are kept: 64 MiB. */
const MOST_CONTENTS = 16_384;

/** The clock says what call it is: what a call leaves does not depend on how often it asks. */
export function steadyEnvironment(calls: () => number): Environment {
  const { random } = seededEnvironment(1);
  const now = () => ({ sec: 1_000_000_000 + calls(), nsec: 0 });
  return { clock: { now }, random, trace: silent };
}

/** Makes first states, and mounts what lies in modelled memory. */
export class AceMachine {
  readonly blockSize: number;
  readonly #shape: Shape;
  readonly #contents: SectorContents | undefined;
  /** An empty filesystem, as modelled memory holds it. */
  readonly #empty: Uint8Array;

  constructor(filesystem: AceFilesystem, model: AceModel) {
    this.#shape = SHAPES[`${filesystem} ${model}`];
    this.#contents = model === "disk" ? new SectorContents(SECTOR) : undefined;
    const { blockSize, size, make } = this.#shape;
    this.blockSize = blockSize;
    const image = new Uint8Array(size);
    const disk = new RamDisk({ name: "ram0", bytes: image });
    const options = { inodes: 24, blockSize, reservedPercent: 0, zeroed: true, ...make };
    makeExt(disk, options, seededEnvironment(7));
    this.#empty = this.#contents?.linesOf(image) ?? image;
  }

  /** What modelled memory holds after setup: all of it durable, free blocks full of old bytes. */
  prepared(setup: readonly Operation[]): Uint8Array {
    const media = new ModelledMedia(this.#empty.length);
    media.recorder.image.set(this.#empty);
    media.recorder.recording = false;
    let calls = 0;
    const environment = steadyEnvironment(() => -100 + calls);
    const device = this.device(media);
    const filesystem = ext.mount(device, { write: true }, environment) as ExtFilesystem;
    const performer = new Performer(new FileTree(filesystem), this.blockSize);
    for (const operation of setup) {
      calls++;
      performer.run(operation);
    }
    filesystem.unmount();
    this.#spoilFree(media.recorder.image, filesystem);
    return media.recorder.image;
  }

  /** Fills the free blocks, of which there is one group; on a disk a block is a sector. */
  #spoilFree(image: Uint8Array<ArrayBuffer>, { volume }: ExtFilesystem): void {
    const { blockSize, blocks, firstDataBlock } = volume.superblock;
    const { blockBitmap } = volume.groups.read(0);
    const bitmap = new Uint8Array(blockSize);
    volume.buffers.read(blockBitmap, bitmap, "block bitmap");
    const stale = this.#contents?.numberOf(new Uint8Array(blockSize).fill(STALE));
    const view = new DataView(image.buffer);
    for (let block = firstDataBlock; block < blocks; block++) {
      const bit = block - firstDataBlock;
      if ((((bitmap[bit >> 3] ?? 0) >> (bit & 7)) & 1) !== 0) continue;
      if (stale === undefined) image.fill(STALE, block * blockSize, (block + 1) * blockSize);
      else view.setUint32(block * LINE_BYTES, stale, true);
    }
  }

  /** Forgets what was written on disks since: only these first states are used again. */
  keepOnly(prepared: Iterable<Uint8Array>): void {
    const contents = this.#contents;
    if (contents === undefined || contents.size < MOST_CONTENTS) return;
    const numbers = new Set<number>();
    for (const lines of prepared) {
      const view = new DataView(lines.buffer, lines.byteOffset, lines.byteLength);
      for (let at = 0; at < lines.length; at += LINE_BYTES) numbers.add(view.getUint32(at, true));
    }
    contents.keepOnly(numbers);
  }

  /** The same as bytes of an image, for other tools. */
  imageOf(lines: Uint8Array): Uint8Array {
    return this.#contents?.imageOf(lines) ?? lines;
  }

  device(media: ModelledMedia): BlockDevice {
    if (this.#contents !== undefined) return new SectorDisk(media, this.#contents);
    const where = { media, start: 0, length: media.size, physicalStart: 2 ** 32 };
    return createPmem({ name: "pmem0", ...where }).disk;
  }
}
