/**
 * Mappings: a range of a file as memory, behind two doors.
 *
 * - The checked door (`read`, `copyOut`, `getUint32`, …) looks at every access, as if through a
 *   page table: unmapped, revoked, truncated, poisoned or removed memory gives a typed error.
 * - `bytes` is the memory itself. JavaScript has no fault to catch there, so the mapping pins what
 *   it shows for as long as it lives: unmounting answers EBUSY, and removal of the device waits.
 *
 * A store through `bytes` cannot be forbidden in JavaScript. On media opened read-only it never
 * reaches the file: the media maps itself privately, and a store changes what this process reads
 * until the media is closed.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import { daxRead } from "../dax/file-io.ts";
import { PAGE_SIZE, type PagePiece } from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";
import { aliasOf, copyOut } from "../lib/memory.ts";
import type { Stitched } from "../media/media.ts";
import { type FileRun, runsOf } from "./file-runs.ts";
import type { Inode } from "./filesystem.ts";
import type { Mount, MountUser } from "./mounts.ts";

/** What to map. */
export interface MapOptions {
  /** Bytes from the start of the file; 0 unless given. No alignment is asked. */
  readonly offset?: number;
  /** Bytes; to the end of the file unless given. */
  readonly length?: number;
  /**
   * Makes `bytes` an array of its own even where an alias of the media would do, so that `revoke`
   * can detach it. Needs media that can be mapped a second time.
   */
  readonly revocable?: boolean;
}

/** A mapped file, as a {@link Mapping} needs it. */
export interface MappedFile {
  readonly inode: Inode;
  readonly mount: Mount;
  readonly path: string;
}

/** `bytes` once somebody asked for them. */
interface Door {
  readonly bytes: Uint8Array;
  /** Undefined when `bytes` is an alias of the media's own memory. */
  readonly stitched: Stitched | undefined;
}

/** A range of a file as memory; read-only. Made by `OpenFile.map`; it outlives the open file. */
export class Mapping implements MountUser {
  readonly path: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly length: number;
  readonly #inode: Inode;
  readonly #mount: Mount;
  readonly #revocable: boolean;
  readonly #spans: readonly FileRun[];
  readonly #pinned: ReadonlySet<DaxDevice>;
  /** Scratch for scalar loads; a load never crosses it. */
  readonly #word = new DataView(new ArrayBuffer(8));
  #state: "mapped" | "unmapped" | "revoked" = "mapped";
  #door: Door | undefined;

  /** @throws EINVAL for an empty range or one that leaves the file; EUCLEAN, ENXIO */
  constructor(file: MappedFile, options: MapOptions = {}) {
    const { inode, mount, path } = file;
    const { size } = inode;
    const { offset = 0, length = size - offset, revocable = false } = options;
    if (!isRange(offset, length) || offset + length > size) {
      const detail = `bytes ${offset}+${length} of a file of ${size}; map at least one byte inside`;
      throw new DaxError("EINVAL", { syscall: "mmap", path, detail });
    }
    this.path = path;
    this.offset = offset;
    this.length = length;
    this.#inode = inode;
    this.#mount = mount;
    this.#revocable = revocable;
    this.#spans = [...runsOf(inode, offset, length)];
    this.#pinned = new Set(this.#spans.flatMap(({ device }) => device ?? []));
    for (const device of this.#pinned) device.enter();
    mount.join(this);
  }

  /** Aliases the media: an entry for each contiguous run; holes and inline bytes have none. */
  get spans(): readonly FileRun[] {
    this.#assertMapped("mmap");
    return this.#spans;
  }

  /**
   * Aliases the media: the whole range as one array, zero-copy. A range that is fragmented on media
   * or has holes is stitched into one, where the media is a mapping of this process.
   * @throws ENOTSUP with the reason when there are no such bytes (inline data, no dax, media that
   * cannot join fragments and holes); EHWPOISON over poison; ENXIO, EFAULT
   */
  get bytes(): Uint8Array {
    this.#assertMapped("mmap");
    for (const device of this.#pinned) if (!device.alive) throw this.#removed(device);
    this.#door ??= this.#openDoor();
    return this.#door.bytes;
  }

  /**
   * Copies from byte `at` of the mapping; returns the bytes copied, fewer at the end.
   * @throws EFAULT, ENXIO, EHWPOISON, EINVAL
   */
  read(target: Uint8Array, at = 0): number {
    const length = Math.max(0, Math.min(target.length, this.length - at));
    this.#load(at, length === target.length ? target : target.subarray(0, length));
    return length;
  }

  /** Fills all of `target` from byte `at`. @throws EINVAL past the end, EFAULT, ENXIO, EHWPOISON */
  copyOut(at: number, target: Uint8Array): void {
    this.#load(at, target);
  }

  /** Loads a byte. @throws as {@link copyOut} */
  getUint8(at: number): number {
    return this.#scalar(at, 1).getUint8(0);
  }

  /** Loads 2 bytes, unsigned; big-endian unless told otherwise. @throws as {@link copyOut} */
  getUint16(at: number, littleEndian = false): number {
    return this.#scalar(at, 2).getUint16(0, littleEndian);
  }

  /** Loads 4 bytes, unsigned; big-endian unless told otherwise. @throws as {@link copyOut} */
  getUint32(at: number, littleEndian = false): number {
    return this.#scalar(at, 4).getUint32(0, littleEndian);
  }

  /** Loads 4 bytes, signed; big-endian unless told otherwise. @throws as {@link copyOut} */
  getInt32(at: number, littleEndian = false): number {
    return this.#scalar(at, 4).getInt32(0, littleEndian);
  }

  /** Loads 8 bytes, unsigned; big-endian unless told otherwise. @throws as {@link copyOut} */
  getBigUint64(at: number, littleEndian = false): bigint {
    return this.#scalar(at, 8).getBigUint64(0, littleEndian);
  }

  describe(): string {
    return `mapping of ${this.path}`;
  }

  /**
   * Ends the mapping. An alias that `bytes` handed out stays readable until the media is closed; a
   * stitched array is detached now. Idempotent.
   */
  unmap(): void {
    if (this.#state === "mapped") this.#end("unmapped");
  }

  /** @throws EBUSY when `bytes` was handed out as an alias, unless the media closes next */
  revoke(mediaCloses = false): void {
    if (this.#state !== "mapped") return;
    if (this.#door !== undefined && this.#door.stitched === undefined && !mediaCloses) {
      throw new DaxError("EBUSY", {
        syscall: "umount",
        path: this.path,
        detail: "its bytes alias the media and cannot be taken back; unmap it, or map `revocable`",
      });
    }
    this.#end("revoked");
  }

  #end(state: "unmapped" | "revoked"): void {
    this.#state = state;
    this.#door?.stitched?.release();
    this.#door = undefined;
    for (const device of this.#pinned) device.exit();
    this.#mount.leave(this);
  }

  #scalar(at: number, size: number): DataView {
    this.#load(at, new Uint8Array(this.#word.buffer, 0, size));
    return this.#word;
  }

  #load(at: number, target: Uint8Array): void {
    this.#assertMapped("load");
    this.#assertInside(at, target.length);
    let index = this.#spanAt(this.offset + at);
    for (let done = 0; done < target.length; index++) {
      const span = this.#spans[index] as FileRun;
      const from = this.offset + at + done;
      const run = Math.min(target.length - done, span.offset + span.length - from);
      const part = run === target.length ? target : target.subarray(done, done + run);
      this.#loadFrom(span, from, part);
      done += run;
    }
  }

  #loadFrom(span: FileRun, from: number, target: Uint8Array): void {
    const { device, memory } = span;
    if (device !== undefined)
      this.#translate(device, span.deviceStart + from - span.offset, target);
    if (memory !== undefined) {
      copyOut(memory, span.start + from - span.offset, target);
      device?.checkFault();
    } else if (isZeros(span.type)) target.fill(0);
    else this.#readThrough(target, from);
  }

  /** Bytes without dax, or kept among metadata: a copy, all of it or an error. */
  #readThrough(target: Uint8Array, from: number): void {
    for (let done = 0; done < target.length;) {
      const count = daxRead(this.#inode, target.subarray(done), from + done);
      if (count > 0) done += count;
      else done += target.fill(0, done).length;
    }
  }

  /** The page-table walk: asks the device about every page, so that what happened to it is seen. */
  #translate(device: DaxDevice, at: number, target: Uint8Array): void {
    const last = Math.floor((at + target.length - 1) / PAGE_SIZE);
    try {
      for (let page = Math.floor(at / PAGE_SIZE); page <= last;) {
        page += device.directAccess(page, last - page + 1).pages;
      }
    } catch (error) {
      if (error instanceof DaxError) throw error.at({ syscall: "load", path: this.path });
      throw error;
    }
  }

  /** Spans are sorted: the one that holds a byte of the file, by halving. */
  #spanAt(offset: number): number {
    let low = 0;
    let high = this.#spans.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#spans[middle] as FileRun).offset <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #openDoor(): Door {
    const [first] = this.#spans;
    for (const { type, absence } of this.#spans) {
      if (absence !== undefined && !isZeros(type)) throw absence.at({ path: this.path });
    }
    if (this.#spans.length === 1 && first?.memory !== undefined && !this.#revocable) {
      return { bytes: aliasOf(first.memory, first.start, this.length), stitched: undefined };
    }
    return this.#stitch();
  }

  #stitch(): Door {
    const [device, other] = this.#pinned;
    const hole = this.#spans.find(({ type }) => isZeros(type))?.absence;
    if (device === undefined) throw hole?.at({ path: this.path });
    if (other !== undefined) throw this.#unavailable("the range lies on two devices");
    const pieces = piecesOf(this.#spans);
    const stitched = pieces === undefined ? undefined : device.stitch(pieces);
    if (stitched === undefined) {
      if (hole !== undefined) throw hole.at({ path: this.path });
      const why = pieces === undefined ? "they are not whole pages" : `${device.name} cannot`;
      throw this.#unavailable(`${this.#spans.length} fragments, and no way to join them: ${why}`);
    }
    const head = withinPage(this.#spans[0] as FileRun);
    return { bytes: stitched.bytes.subarray(head, head + this.length), stitched };
  }

  #unavailable(why: string): DaxError {
    const detail = `${why}; use spans or read`;
    return new DaxError("ENOTSUP", { syscall: "mmap", path: this.path, detail });
  }

  #assertMapped(syscall: string): void {
    if (this.#state === "mapped") return;
    const revoked = this.#state === "revoked";
    throw new DaxError(revoked ? "ENXIO" : "EFAULT", {
      syscall,
      path: this.path,
      detail: revoked ? "the mapping was revoked by an unmount" : "the mapping was unmapped",
    });
  }

  #assertInside(at: number, length: number): void {
    const { path } = this;
    if (!(at >= 0 && Number.isSafeInteger(at)) || at + length > this.length) {
      const detail = `bytes ${at}+${length} of a mapping of ${this.length}`;
      throw new DaxError("EINVAL", { syscall: "load", path, detail });
    }
    const pages = Math.ceil(this.#inode.size / PAGE_SIZE);
    if (this.offset + at + length <= pages * PAGE_SIZE) return;
    const detail = `truncated to ${this.#inode.size} bytes under the mapping; Linux sends SIGBUS`;
    throw new DaxError("EFAULT", { syscall: "load", path, detail });
  }

  #removed(device: DaxDevice): DaxError {
    return new DaxError("ENXIO", {
      syscall: "mmap",
      path: this.path,
      detail: `${device.name} was removed`,
    });
  }
}

function isRange(offset: number, length: number): boolean {
  return Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(length) && length > 0;
}

/** What reads as zeros, whatever its media holds. */
function isZeros(type: FileRun["type"]): boolean {
  return type === "hole" || type === "unwritten";
}

/** Where in its first page a run starts: on media, or for zeros in the file. */
function withinPage({ type, offset, deviceStart }: FileRun): number {
  return (isZeros(type) ? offset : deviceStart) % PAGE_SIZE;
}

/** The runs as whole pages; undefined when a run starts or ends inside a page of another. */
function piecesOf(runs: readonly FileRun[]): readonly PagePiece[] | undefined {
  const pieces: PagePiece[] = [];
  for (const [index, run] of runs.entries()) {
    const within = withinPage(run);
    const bytes = within + run.length;
    if (index > 0 && within !== 0) return undefined;
    if (index < runs.length - 1 && bytes % PAGE_SIZE !== 0) return undefined;
    const pages = Math.ceil(bytes / PAGE_SIZE);
    if (isZeros(run.type)) pieces.push({ hole: true, length: pages * PAGE_SIZE });
    else pieces.push({ pgoff: Math.floor(run.deviceStart / PAGE_SIZE), pages });
  }
  return pieces;
}
