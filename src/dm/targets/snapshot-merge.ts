/**
 * snapshot-merge: brings the changes of a snapshot home to its origin, the last ones first, when
 * the device is resumed.
 *
 * @module
 */
import { SECTOR_SIZE } from "../../block/block-device.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import type { TargetContext, TargetType } from "../target.ts";
import { keepForSnapshots } from "./origins.ts";
import { type SnapshotParts, readSnapshot } from "./snapshot-arguments.ts";
import { SnapshotTarget } from "./snapshot.ts";

class MergeTarget extends SnapshotTarget {
  #failed = false;

  /** The snapshot that merges is none of those that keep what the origin loses. */
  override preresume(): void {
    if (!this.store.valid) return;
    this.#failed = false;
    try {
      while (this.#mergeRun()) this.context.event();
    } catch (error) {
      if (!isDaxError(error)) throw error;
      this.#failed = true;
      this.context.event();
    }
  }

  override write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    const [device, at] = this.locate(sector);
    if (device === this.origin) {
      keepForSnapshots(device, at, source.length / SECTOR_SIZE, this.store);
    }
    device.write(at, source, flags);
  }

  override writeZeroes(sector: number, sectors: number): void {
    const [device, at] = this.locate(sector);
    if (device === this.origin) keepForSnapshots(device, at, sectors, this.store);
    device.writeZeroes(at, sectors);
  }

  override flush(): void {
    this.origin.flush();
    this.store.cow.flush();
  }

  override status(): string {
    return this.#failed ? "Merge failed" : super.status();
  }

  /** Copies the last chunks home; false when there are no more. */
  #mergeRun(): boolean {
    const { chunkSize, cow } = this.store;
    const { old, chunk, count } = this.store.lastRun();
    if (count === 0) return false;
    const bytes = new Uint8Array(chunkSize * SECTOR_SIZE);
    for (let i = 0; i < count; i++) {
      const to = (old + i) * chunkSize;
      const sectors = Math.min(chunkSize, this.origin.sectors - to);
      if (!(sectors > 0)) this.#refuse(old + i);
      keepForSnapshots(this.origin, to, sectors, this.store);
      cow.read((chunk + i) * chunkSize, bytes);
      this.origin.write(to, bytes.subarray(0, sectors * SECTOR_SIZE));
    }
    // Only what is durable at home may be forgotten here.
    this.origin.flush();
    this.store.drop(count);
    return true;
  }

  #refuse(old: number): never {
    const detail = `the snapshot keeps chunk ${old}, which lies behind its origin's end`;
    throw new DaxError("EUCLEAN", { path: this.context.name, detail });
  }
}

/** `snapshot-merge ORIGIN COW P|PO CHUNK_SIZE [COUNT FEATURE...]` */
export const snapshotMerge: TargetType = {
  name: "snapshot-merge",
  version: [1, 5, 0],
  make(words, context: TargetContext) {
    const parts: SnapshotParts = readSnapshot(words, context);
    if (parts.type === "N") {
      const cause = "a transient snapshot has nothing that would survive a merge";
      context.refuse("EINVAL", "Snapshot exception store does not support snapshot-merge.", cause);
    }
    return new MergeTarget(parts, context);
  },
};
