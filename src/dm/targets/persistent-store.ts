/**
 * A snapshot's exceptions on its copy-on-write device, in the kernel's format. A chunk counts when
 * its exception is there, so it is flushed before that is written; the next area is zeroed before
 * the last exception of an area is written.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../../block/block-device.ts";
import {
  SNAP_MAGIC,
  SNAPSHOT_DISK_VERSION,
  SnapshotException,
  SnapshotHeader,
} from "../../format/dm-snapshot.ts";
import { DaxError } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";
import { type ExceptionStore, refuseFull } from "./exception-store.ts";

const ENTRY = sizeof(SnapshotException);
/** The first chunk of data: behind the header and the first area's exceptions. */
const FIRST_FREE = 2;

/** Exceptions in memory and on the device. */
export class PersistentStore implements ExceptionStore {
  readonly cow: BlockDevice;
  readonly chunkSize: number;
  readonly exceptions = new Map<number, number>();
  readonly #perArea: number;
  /** The exceptions of the area that is being filled. */
  readonly #area: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #current = 0;
  #committed = 0;
  #next = FIRST_FREE;
  #valid: boolean;

  /**
   * Reads a store, or makes one where the device begins with zeros.
   * @throws ENXIO for what is no snapshot, EINVAL for another version or chunks that cannot be,
   *   EUCLEAN for exceptions that lead nowhere, EIO
   */
  constructor(cow: BlockDevice, chunkSize: number) {
    this.cow = cow;
    const header = readHeader(cow, chunkSize);
    this.chunkSize = header?.chunkSize ?? chunkSize;
    this.#perArea = Math.floor((this.chunkSize * SECTOR_SIZE) / ENTRY);
    this.#area = new Uint8Array(this.chunkSize * SECTOR_SIZE);
    this.#view = new DataView(this.#area.buffer);
    this.#valid = header?.valid ?? true;
    if (header === undefined) this.#make();
    else if (this.#valid) this.#readAll();
  }

  get valid(): boolean {
    return this.#valid;
  }

  allocate(): number {
    if ((this.#next + 1) * this.chunkSize > this.cow.sectors) refuseFull(this.cow);
    const chunk = this.#next++;
    this.#skipMetadata();
    return chunk;
  }

  commit(old: number, chunk: number): void {
    this.#put(this.#committed++, old, chunk);
    const full = this.#committed === this.#perArea;
    if (full) this.#zeroArea(this.#current + 1);
    this.#writeArea();
    this.exceptions.set(old, chunk);
    if (!full) return;
    this.#current++;
    this.#committed = 0;
    this.#area.fill(0);
  }

  invalidate(): void {
    if (!this.#valid) return;
    this.#valid = false;
    this.#writeHeader();
  }

  usage(): string {
    const metadata = (this.#current + 2) * this.chunkSize;
    return `${this.#next * this.chunkSize}/${this.cow.sectors} ${metadata}`;
  }

  lastRun(): { old: number; chunk: number; count: number } {
    if (this.#committed === 0 && this.#current > 0) {
      this.#current--;
      this.cow.read(this.#place(this.#current), this.#area);
      this.#committed = this.#perArea;
    }
    if (this.#committed === 0) return { old: 0, chunk: 0, count: 0 };
    const [last, chunk] = this.#entry(this.#committed - 1);
    let count = 1;
    for (; count < this.#committed; count++) {
      const [old, before] = this.#entry(this.#committed - 1 - count);
      if (old !== last - count || before !== chunk - count) break;
    }
    return { old: last + 1 - count, chunk: chunk + 1 - count, count };
  }

  drop(count: number): void {
    for (let i = 0; i < count; i++) {
      const [old] = this.#entry(this.#committed - 1 - i);
      this.exceptions.delete(old);
      this.#put(this.#committed - 1 - i, 0, 0);
    }
    this.#writeArea();
    this.#committed -= count;
    this.#next = this.#areaChunk(this.#current) + this.#committed + 1;
  }

  /** The chunk that holds an area's exceptions. */
  #areaChunk(area: number): number {
    return 1 + area * (this.#perArea + 1);
  }

  /** The first sector of an area's exceptions. */
  #place(area: number): number {
    return this.#areaChunk(area) * this.chunkSize;
  }

  #skipMetadata(): void {
    if (this.#next % (this.#perArea + 1) === 1) this.#next++;
  }

  #entry(index: number): readonly [old: number, chunk: number] {
    const at = index * ENTRY;
    return [
      SnapshotException.oldChunk.get(this.#view, at),
      SnapshotException.newChunk.get(this.#view, at),
    ];
  }

  #put(index: number, old: number, chunk: number): void {
    SnapshotException.oldChunk.set(this.#view, index * ENTRY, old);
    SnapshotException.newChunk.set(this.#view, index * ENTRY, chunk);
  }

  /** What the exceptions lead to is durable before they are. */
  #writeArea(): void {
    this.cow.flush();
    this.cow.write(this.#place(this.#current), this.#area, { fua: true });
  }

  #zeroArea(area: number): void {
    const place = this.#place(area);
    // An area behind the end is never reached: no chunk is left for its exceptions.
    if (place + this.chunkSize <= this.cow.sectors) this.cow.writeZeroes(place, this.chunkSize);
  }

  /** The header last: until it is there, nothing is a snapshot. */
  #make(): void {
    if (this.cow.sectors < FIRST_FREE * this.chunkSize) refuseFull(this.cow);
    this.#zeroArea(0);
    this.cow.flush();
    this.#writeHeader();
  }

  #writeHeader(): void {
    const bytes = new Uint8Array(this.chunkSize * SECTOR_SIZE);
    const view = new DataView(bytes.buffer);
    SnapshotHeader.magic.set(view, 0, SNAP_MAGIC);
    SnapshotHeader.valid.set(view, 0, this.#valid ? 1 : 0);
    SnapshotHeader.version.set(view, 0, SNAPSHOT_DISK_VERSION);
    SnapshotHeader.chunkSize.set(view, 0, this.chunkSize);
    this.cow.write(0, bytes, { fua: true });
  }

  #readAll(): void {
    for (;;) {
      if (this.#place(this.#current) + this.chunkSize > this.cow.sectors) {
        this.#area.fill(0);
        break;
      }
      this.cow.read(this.#place(this.#current), this.#area);
      this.#committed = 0;
      while (this.#committed < this.#perArea && this.#take(this.#committed)) this.#committed++;
      if (this.#committed < this.#perArea) break;
      this.#current++;
      this.#committed = 0;
    }
    this.#skipMetadata();
  }

  /** Whether there is an exception. @throws EUCLEAN for one that leads nowhere */
  #take(index: number): boolean {
    const [old, chunk] = this.#entry(index);
    if (chunk === 0) return false;
    const isData = chunk >= FIRST_FREE && chunk % (this.#perArea + 1) !== 1;
    if (!isData || !((chunk + 1) * this.chunkSize <= this.cow.sectors)) {
      const where = `exception ${index} of area ${this.#current}`;
      throw new DaxError("EUCLEAN", {
        path: this.cow.name,
        detail: `${where} leads to chunk ${chunk}, which holds no data`,
      });
    }
    this.exceptions.set(old, chunk);
    this.#next = Math.max(this.#next, chunk + 1);
    return true;
  }
}

/** The header; undefined: there is none yet. @throws ENXIO, EINVAL */
function readHeader(
  cow: BlockDevice,
  chunkSize: number,
): { readonly valid: boolean; readonly chunkSize: number } | undefined {
  const bytes = new Uint8Array(SECTOR_SIZE);
  cow.read(0, bytes);
  const view = new DataView(bytes.buffer);
  const magic = SnapshotHeader.magic.get(view, 0);
  if (magic === 0) return undefined;
  const refuse = (code: "ENXIO" | "EINVAL", detail: string): never => {
    throw new DaxError(code, { path: cow.name, detail: `persistent snapshot: ${detail}` });
  };
  if (magic !== SNAP_MAGIC) {
    return refuse("ENXIO", `Invalid or corrupt snapshot: magic 0x${magic.toString(16)}`);
  }
  const version = SnapshotHeader.version.get(view, 0);
  if (version !== SNAPSHOT_DISK_VERSION) {
    return refuse("EINVAL", `unable to handle snapshot disk version ${version}`);
  }
  const found = SnapshotHeader.chunkSize.get(view, 0);
  const wrong = found === chunkSize ? undefined : wrongChunkSize(found, cow);
  if (wrong !== undefined) return refuse("EINVAL", `its chunk size of ${found} sectors: ${wrong}`);
  return { valid: SnapshotHeader.valid.get(view, 0) !== 0, chunkSize: found };
}

/** The largest chunk: what the kernel's 31 bits would hold takes too much memory. */
const MOST_CHUNK = 1 << 15;

/** What is wrong with a size of chunks; undefined: nothing. */
export function wrongChunkSize(sectors: number, cow: BlockDevice): string | undefined {
  if (!Number.isInteger(Math.log2(sectors))) return "Chunk size is not a power of 2";
  const block = cow.limits.logicalBlockSize / SECTOR_SIZE;
  if (sectors % block !== 0) return "Chunk size is not a multiple of device blocksize";
  return sectors > MOST_CHUNK ? "Chunk size is too high" : undefined;
}
