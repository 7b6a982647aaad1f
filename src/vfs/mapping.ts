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
import type { AddressSpace, Area } from "../dax/address-space.ts";
import { AddressSpaces } from "../dax/address-spaces.ts";
import { CheckedMemory } from "../dax/checked-memory.ts";
import type { DaxDevice } from "../dax/dax-device.ts";
import { daxRead } from "../dax/file-io.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import { copyIn, copyOut } from "../lib/memory.ts";
import { writingOf } from "./calls.ts";
import type { FileRun } from "./file-runs.ts";
import type { Inode } from "./filesystem.ts";
import type { MapOptions, MappedFile } from "./map-options.ts";
import { MappedPages, makePages } from "./mapped-pages.ts";
import { MappedSpans } from "./mapped-spans.ts";
import { type Door, isZeros, openDoor } from "./mapping-door.ts";
import type { Mount, MountUser } from "./mounts.ts";
import type { InodeWriting } from "./writing.ts";

/** A range of a file as memory. Made by `OpenFile.map`; it outlives the open file. */
export class Mapping extends CheckedMemory implements MountUser {
  readonly path: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly length: number;
  readonly inode: Inode;
  readonly #mount: Mount;
  readonly #space: AddressSpace;
  readonly #area: Area;
  readonly #revocable: boolean;
  /** What changes the file; undefined when the mapping is read-only. */
  readonly #writing: InodeWriting | undefined;
  readonly #isSync: boolean;
  readonly #pages = new MappedPages();
  readonly #spans: MappedSpans;
  #state: "mapped" | "unmapped" | "revoked" = "mapped";
  /** Why it was revoked. */
  #reason = "";
  #door: Door | undefined;

  /**
   * @throws EINVAL for an empty range or one that leaves the file; EROFS, ENOSPC for one to be
   *   written; EOPNOTSUPP for `sync` where a flush does not make durable; EUCLEAN, ENXIO
   */
  constructor(file: MappedFile, options: MapOptions = {}) {
    super();
    const { inode, mount, path } = file;
    const { size } = inode;
    const { offset = 0, length = size - offset, revocable = false, sync = false } = options;
    if (!isRange(offset, length) || offset + length > size) {
      const detail = `bytes ${offset}+${length} of a file of ${size}; map at least one byte inside`;
      throw new DaxError("EINVAL", { syscall: "mmap", path, detail });
    }
    this.path = path;
    this.offset = offset;
    this.length = length;
    this.inode = inode;
    this.#mount = mount;
    this.#revocable = revocable;
    this.#isSync = sync;
    this.#writing = options.access === "write" ? writingOf(inode) : undefined;
    const dirty = this.#writing !== undefined && makePages(inode, offset, length);
    this.#spans = new MappedSpans(inode, offset, length);
    if (sync) this.#beSync(dirty);
    inode.writing?.hold();
    mount.join(this);
    const { filesystem, ino } = inode;
    this.#space = AddressSpaces.of(filesystem).open({ owner: filesystem.device.name, ino });
    this.#area = this.#makeArea();
    this.#space.attach(this.#area);
  }

  /** Whether stores go to the file. */
  get isWritable(): boolean {
    return this.#writing !== undefined;
  }

  /** Aliases the media: an entry for each contiguous run; holes and inline bytes have none. */
  get spans(): readonly FileRun[] {
    this.#assertMapped("mmap");
    this.#refresh();
    return this.#spans.runs;
  }

  /**
   * Aliases the media: the whole range as one array, zero-copy. A range that is fragmented on media
   * or has holes is stitched into one, where the media is a mapping of this process.
   * @throws ENOTSUP with the reason when there are no such bytes (inline data, no dax, media that
   * cannot join fragments and holes); EHWPOISON over poison; ENXIO, EFAULT
   */
  get bytes(): Uint8Array {
    this.#assertMapped("mmap");
    this.#refresh();
    for (const device of this.#spans.devices) if (!device.alive) throw this.#removed(device);
    if (this.isWritable) this.inode.filesystem.freezing?.pass("mmap");
    this.#door ??= this.#openDoor();
    return this.#door.bytes;
  }

  /**
   * Whether a raw array of it may be stored to, which nobody can take back: then the file's blocks
   * must stay where they are.
   */
  get #pinsBlocks(): boolean {
    return this.isWritable && this.#door !== undefined && this.#door.stitched === undefined;
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
  override copyOut(at: number, target: Uint8Array): void {
    this.#load(at, target);
  }

  /** Stores all of `source` at byte `at`. @throws EACCES when read-only, and as {@link copyOut} */
  override copyIn(at: number, source: Uint8Array): void {
    this.#store(at, source);
  }

  /**
   * Makes durable what was stored to `length` bytes from byte `at`, by either door: msync(2). The
   * cache lines are written back, and unless the mapping is `sync` the filesystem commits what
   * leads to them. Nothing to do for a read-only mapping.
   * @throws EINVAL, EFAULT, ENXIO, EIO, EROFS after an error of the filesystem
   */
  flush(at = 0, length = this.length - at): void {
    this.#assertMapped("msync");
    if (!isRange(at, length) || at + length > this.length) {
      if (length === 0) return;
      const detail = `bytes ${at}+${length} of a mapping of ${this.length}`;
      throw new DaxError("EINVAL", { syscall: "msync", path: this.path, detail });
    }
    if (this.#writing === undefined) return;
    this.#refresh();
    this.#pages.writeBack(this.#spans.runs, this.offset + at, length);
    for (const device of this.#spans.devices) device.fence();
    if (!this.#isSync) this.#writing.sync("data");
  }

  /** Writes the cache lines back that may have been stored to. @throws EIO */
  #writeBack(): void {
    if (this.#state !== "mapped" || !this.#pages.isDirty) return;
    this.#refresh();
    this.#pages.writeBack(this.#spans.runs, this.offset, this.length);
    for (const device of this.#spans.devices) device.fence();
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
  revoke(mediaCloses = false, reason = "the mapping was revoked by an unmount"): void {
    if (this.#state !== "mapped") return;
    this.#reason = reason;
    if (this.#door !== undefined && this.#door.stitched === undefined && !mediaCloses) {
      throw new DaxError("EBUSY", {
        syscall: "umount",
        path: this.path,
        detail: "its bytes alias the media and cannot be taken back; unmap it, or map `revocable`",
      });
    }
    this.#end("revoked");
  }

  #makeArea(): Area {
    const pinsBlocks = (): boolean => this.#pinsBlocks;
    return {
      offset: this.offset,
      length: this.length,
      get pinsBlocks() {
        return pinsBlocks();
      },
      describe: () => this.describe(),
      // Each access asks for itself, so there is nothing to take away.
      writeProtect: () => 0,
      unmap: () => 0,
      writeBack: () => this.#writeBack(),
      takeBack: () => this.#takeBack(),
      detach: (reason) => this.revoke(false, reason),
    };
  }

  #takeBack(): void {
    if (this.#door?.stitched === undefined) return;
    this.#door.stitched.release();
    this.#door = undefined;
    this.#pages.closed();
  }

  #end(state: "unmapped" | "revoked"): void {
    try {
      // A later fsync cannot find what was stored through a mapping that is gone.
      this.#writeBack();
    } finally {
      this.#state = state;
      this.#door?.stitched?.release();
      this.#door = undefined;
      this.#spans.leave();
      this.#space.leave(this.#area);
      this.#mount.leave(this);
      this.inode.writing?.release();
    }
  }

  /** MAP_SYNC: metadata first, and a device on which flushing is enough. */
  #beSync(dirty: boolean): void {
    const volatile = [...this.#spans.devices].find((device) => !device.synchronous);
    if (volatile !== undefined || this.#spans.runs.some(({ memory }) => memory === undefined)) {
      this.#spans.leave();
      const detail = `${volatile?.name ?? "a part of the range"} has no flush that makes durable`;
      throw new DaxError("EOPNOTSUPP", { syscall: "mmap", path: this.path, detail });
    }
    if (dirty) this.#writing?.sync("data");
  }

  /** Asks anew where the bytes are when the file was cut, or its blocks have moved. */
  #refresh(): void {
    if (!this.#spans.refresh()) return;
    this.#door?.stitched?.release();
    this.#door = undefined;
  }

  #store(at: number, source: Uint8Array): void {
    this.#assertMapped("store");
    const writing = this.#writing;
    if (writing === undefined) {
      const detail = "the mapping is read-only; map it with access: write";
      throw new DaxError("EACCES", { syscall: "store", path: this.path, detail });
    }
    this.#assertInside(at, source.length);
    if (source.length === 0) return;
    this.inode.filesystem.freezing?.pass("store");
    this.#refresh();
    if (!this.#pages.isDirty) this.#touch(writing);
    let index = this.#spans.indexOf(this.offset + at);
    for (let done = 0; done < source.length; index++) {
      const span = this.#spans.runs[index] as FileRun;
      const from = this.offset + at + done;
      const run = Math.min(source.length - done, span.offset + span.length - from);
      this.#storeTo(span, from, source.subarray(done, done + run), writing);
      done += run;
    }
    this.#pages.stored(this.offset + at, source.length);
  }

  #storeTo(span: FileRun, from: number, source: Uint8Array, writing: InodeWriting): void {
    const { device, memory } = span;
    if (device !== undefined && memory !== undefined) {
      this.#translate(device, span.deviceStart + from - span.offset, source);
      copyIn(memory, span.start + from - span.offset, source);
      device.checkFault();
      return;
    }
    // Bytes without dax, and holes that were punched since.
    for (let done = 0; done < source.length;) {
      const count = writing.write(source.subarray(done), from + done);
      if (count === 0) throw new DaxError("EIO", { syscall: "store", path: this.path });
      done += count;
    }
  }

  /** The first store since the last flush: Linux notes the time at such a fault. */
  #touch(writing: InodeWriting): void {
    try {
      writing.change({ mtime: "now" });
    } catch (error) {
      throw isDaxError(error) ? error.at({ syscall: "store", path: this.path }) : error;
    }
  }

  #load(at: number, target: Uint8Array): void {
    this.#assertMapped("load");
    this.#assertInside(at, target.length);
    this.#refresh();
    let index = this.#spans.indexOf(this.offset + at);
    for (let done = 0; done < target.length; index++) {
      const span = this.#spans.runs[index] as FileRun;
      const from = this.offset + at + done;
      const run = Math.min(target.length - done, span.offset + span.length - from);
      const part = run === target.length ? target : target.subarray(done, done + run);
      this.#loadFrom(span, from, part);
      done += run;
    }
    // In the page that the file ends in there is nothing but zeros behind the end.
    const past = this.offset + at + target.length - this.inode.size;
    if (past > 0) target.fill(0, Math.max(0, target.length - past));
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
      const count = daxRead(this.inode, target.subarray(done), from + done);
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

  #openDoor(): Door {
    const door = openDoor({
      path: this.path,
      spans: this.#spans.runs,
      devices: this.#spans.devices,
      length: this.length,
      revocable: this.#revocable,
      writable: this.isWritable,
    });
    if (this.#writing !== undefined) {
      this.#touch(this.#writing);
      this.#pages.opened();
    }
    return door;
  }

  #assertMapped(syscall: string): void {
    if (this.#state === "mapped") return;
    const revoked = this.#state === "revoked";
    throw new DaxError(revoked ? "ENXIO" : "EFAULT", {
      syscall,
      path: this.path,
      detail: revoked ? this.#reason : "the mapping was unmapped",
    });
  }

  #assertInside(at: number, length: number): void {
    const { path } = this;
    if (!(at >= 0 && Number.isSafeInteger(at)) || at + length > this.length) {
      const detail = `bytes ${at}+${length} of a mapping of ${this.length}`;
      throw new DaxError("EINVAL", { syscall: "load", path, detail });
    }
    const pages = Math.ceil(this.inode.size / PAGE_SIZE);
    if (this.offset + at + length <= pages * PAGE_SIZE) return;
    const detail = `truncated to ${this.inode.size} bytes under the mapping; Linux sends SIGBUS`;
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
