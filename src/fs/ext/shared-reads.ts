/**
 * What several mounts of one device for reading have in common, where the device remembers looks at
 * it: while the same bytes lie there, they are copied, proved and decoded once.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import type { Buffers } from "../../block/buffers.ts";
import type { Memo } from "../../lib/memo.ts";
import type { Superblock } from "./superblock.ts";

/** How a volume reads. */
export interface VolumeOptions {
  /** Bytes of metadata blocks that are kept; what readers need unless given. */
  readonly cacheBytes?: number;
  /** For a volume that is never changed. */
  readonly shared?: SharedReads | undefined;
}

/** Reads that are remembered; nobody may change what comes of them. */
export class SharedReads {
  /** Names of metadata blocks. */
  readonly blocks: object;
  /** Names of group descriptors. */
  readonly groups: object;
  readonly #device: BlockDevice;
  readonly #memo: Memo;

  private constructor(device: BlockDevice, memo: Memo, superblock: Superblock) {
    this.#device = device;
    this.#memo = memo;
    const names = memo.recall(superblock, "shared reads", () => ({ blocks: {}, groups: {} }));
    this.blocks = names.blocks;
    this.groups = names.groups;
  }

  /** Of a filesystem over which no journal lies, on a device that remembers. */
  static of(superblock: Superblock, { device, overlaid }: Buffers): SharedReads | undefined {
    if (device.memo === undefined || overlaid > 0) return undefined;
    return new SharedReads(device, device.memo, superblock);
  }

  /**
   * What `make` makes of `length` bytes at `offset`: it depends on nothing but them, the
   * superblock, and what `number` is among `names`. @throws EIO, what `make` throws
   */
  read<T>(
    names: object,
    number: number,
    { offset, length }: { readonly offset: number; readonly length: number },
    make: (bytes: Uint8Array<ArrayBuffer>) => T,
  ): T {
    return this.#memo.recall(names, number, () => {
      const bytes = new Uint8Array(length);
      this.#device.readBytes(offset, bytes);
      return make(bytes);
    });
  }
}
