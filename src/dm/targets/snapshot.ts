/**
 * snapshot: what an origin was, with changes of one's own. Chunks that differ lie on a device of
 * their own; all others are read from the origin.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../../block/block-device.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import type { DaxAnswer, LegRange, Target, TargetContext, TargetType } from "../target.ts";
import { addSnapshot, keepChunk, removeSnapshot, type SnapshotOf } from "./origins.ts";
import type { ExceptionStore } from "./exception-store.ts";
import { type SnapshotParts, readSnapshot } from "./snapshot-arguments.ts";

/** A snapshot at work. */
export class SnapshotTarget implements Target, SnapshotOf {
  readonly uses: readonly LegRange[];
  /** Sectors in a chunk. */
  readonly maxIoLength: number;
  readonly store: ExceptionStore;
  protected readonly parts: SnapshotParts;
  protected readonly context: TargetContext;
  #overflowed = false;

  constructor(parts: SnapshotParts, context: TargetContext) {
    const { origin, cow, store } = parts;
    this.parts = parts;
    this.context = context;
    this.store = store;
    this.maxIoLength = store.chunkSize;
    this.uses = [
      { leg: origin, start: context.begin, sectors: context.length },
      { leg: cow, start: 0, sectors: cow.device.sectors },
    ];
  }

  preresume(): void {
    addSnapshot(this.origin, this);
  }

  destroy(): void {
    removeSnapshot(this.origin, this);
  }

  lose(): void {
    try {
      this.store.invalidate();
    } catch (error) {
      // A device that cannot be written cannot be told; the snapshot is lost all the same.
      if (!isDaxError(error)) throw error;
    }
    this.context.event();
  }

  read(sector: number, target: Uint8Array): void {
    this.#assertValid("read");
    const [device, at] = this.locate(sector);
    device.read(at, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    this.#assertValid("write");
    this.#change(sector, source.length / SECTOR_SIZE, (at) =>
      this.store.cow.write(at, source, flags),
    );
  }

  writeZeroes(sector: number, sectors: number): void {
    this.#assertValid("write_zeroes");
    this.#change(sector, sectors, (at) => this.store.cow.writeZeroes(at, sectors));
  }

  /** Whole chunks become zeros, where that was asked for; other parts stay. */
  discard(sector: number, sectors: number): void {
    if (!this.parts.features.includes("discard_zeroes_cow")) {
      const detail = "the snapshot was made without discard_zeroes_cow";
      throw new DaxError("ENOTSUP", { syscall: "discard", path: this.context.name, detail });
    }
    const chunk = this.maxIoLength;
    const begin = this.context.begin;
    const first = Math.ceil((begin + sector) / chunk);
    const stop = Math.floor((begin + sector + sectors) / chunk);
    for (let old = first; old < stop; old++) this.writeZeroes(old * chunk - begin, chunk);
  }

  /** What was written lies on the one device. */
  flush(): void {
    this.store.cow.flush();
  }

  dax(): DaxAnswer {
    return { reason: "a store to memory cannot be turned into a copy" };
  }

  table(): string {
    const { origin, cow, type, given, features } = this.parts;
    const words = features.length === 0 ? "" : ` ${features.length} ${features.join(" ")}`;
    return `${origin.text} ${cow.text} ${type} ${given}${words}`;
  }

  status(): string {
    if (!this.store.valid) return "Invalid";
    return this.#overflowed ? "Overflow" : this.store.usage();
  }

  protected get origin(): BlockDevice {
    return this.parts.origin.device;
  }

  /** Where a sector of the target lies: the origin has it at the sector of the mapped device. */
  protected locate(sector: number): readonly [device: BlockDevice, sector: number] {
    const at = this.context.begin + sector;
    const { chunkSize, cow, exceptions } = this.store;
    const chunk = exceptions.get(Math.floor(at / chunkSize));
    return chunk === undefined ? [this.origin, at] : [cow, chunk * chunkSize + (at % chunkSize)];
  }

  /** Writes to the copy of a chunk, which is made first; a whole chunk needs no copy. */
  #change(sector: number, sectors: number, write: (sector: number) => void): void {
    const at = this.context.begin + sector;
    const { chunkSize, exceptions } = this.store;
    const old = Math.floor(at / chunkSize);
    let chunk = exceptions.get(old);
    if (chunk === undefined && sectors === chunkSize) {
      const fresh = this.#kept(() => this.store.allocate());
      write(fresh * chunkSize);
      this.#kept(() => this.store.commit(old, fresh));
      return;
    }
    chunk ??= this.#kept(() => keepChunk(this.origin, this.store, old));
    write(chunk * chunkSize + (at % chunkSize));
  }

  /** A snapshot that cannot keep a change is lost, unless it may tell of being full. */
  #kept<T>(keep: () => T): T {
    try {
      return keep();
    } catch (error) {
      if (!isDaxError(error)) throw error;
      if (isDaxError(error, "ENOSPC") && this.parts.type === "PO") {
        this.#overflowed = true;
        this.context.event();
      } else this.lose();
      const detail = `the snapshot is lost or full: ${error.detail ?? error.message}`;
      throw new DaxError("EIO", { syscall: "write", path: this.context.name, detail });
    }
  }

  #assertValid(syscall: string): void {
    if (this.store.valid && !(this.#overflowed && syscall !== "read")) return;
    const detail = this.store.valid
      ? "the snapshot is full"
      : "the snapshot is invalid: its device was full or failed";
    throw new DaxError("EIO", { syscall, path: this.context.name, detail });
  }
}

/** `snapshot ORIGIN COW P|PO|N CHUNK_SIZE [COUNT FEATURE...]` */
export const snapshot: TargetType = {
  name: "snapshot",
  version: [1, 16, 0],
  make: (words, context) => new SnapshotTarget(readSnapshot(words, context), context),
};
