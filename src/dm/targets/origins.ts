/**
 * Origins and their snapshots: before an origin is written to, each snapshot keeps what is there.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../../block/block-device.ts";
import { isDaxError } from "../../lib/errno.ts";
import type { ExceptionStore } from "./exception-store.ts";

/** A snapshot, as its origin sees it. */
export interface SnapshotOf {
  readonly store: ExceptionStore;
  /** Nothing more can be kept: the snapshot is lost. */
  lose(): void;
}

const ORIGINS = new WeakMap<BlockDevice, Set<SnapshotOf>>();

/** From here on writes to the origin keep what the snapshot needs. */
export function addSnapshot(origin: BlockDevice, snapshot: SnapshotOf): void {
  const all = ORIGINS.get(origin) ?? new Set<SnapshotOf>();
  ORIGINS.set(origin, all);
  all.add(snapshot);
}

/** Ends what {@link addSnapshot} began. */
export function removeSnapshot(origin: BlockDevice, snapshot: SnapshotOf): void {
  ORIGINS.get(origin)?.delete(snapshot);
}

/** The store on a device, if a snapshot of the origin has it already. */
export function storeOn(origin: BlockDevice, cow: BlockDevice): ExceptionStore | undefined {
  for (const { store } of ORIGINS.get(origin) ?? []) if (store.cow === cow) return store;
  return undefined;
}

/** Before sectors of an origin are written: snapshots other than `except` keep what is there. */
export function keepForSnapshots(
  origin: BlockDevice,
  sector: number,
  sectors: number,
  except?: ExceptionStore,
): void {
  const stores = new Set<ExceptionStore>();
  for (const snapshot of ORIGINS.get(origin) ?? []) {
    const { store } = snapshot;
    if (store === except || !store.valid || stores.has(store)) continue;
    stores.add(store);
    try {
      const last = Math.floor((sector + sectors - 1) / store.chunkSize);
      for (let old = Math.floor(sector / store.chunkSize); old <= last; old++) {
        if (!store.exceptions.has(old)) keepChunk(origin, store, old);
      }
    } catch (error) {
      // The origin's own write goes on: it is the snapshot that is lost.
      if (!isDaxError(error)) throw error;
      snapshot.lose();
    }
  }
}

/** Copies a chunk of the origin. @throws ENOSPC, EIO */
export function keepChunk(origin: BlockDevice, store: ExceptionStore, old: number): number {
  const chunk = store.allocate();
  const { chunkSize, cow } = store;
  const start = old * chunkSize;
  // The last chunk of an origin may be a part of one.
  const sectors = Math.min(chunkSize, origin.sectors - start);
  const bytes = new Uint8Array(chunkSize * SECTOR_SIZE);
  origin.read(start, bytes.subarray(0, sectors * SECTOR_SIZE));
  cow.write(chunk * chunkSize, bytes);
  store.commit(old, chunk);
  return chunk;
}
