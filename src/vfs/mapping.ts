/**
 * Mappings: a range of a file as memory, behind two doors.
 *
 * - The checked door (`read`, `copyOut`, `getUint32`, …) looks at every access, through a page
 *   table and with page faults: unmapped, revoked, truncated, poisoned or removed memory gives a
 *   typed error, and a store to a page that may only be read makes it one that may be stored to.
 * - `bytes` is the memory itself. JavaScript has no fault to catch there, so the mapping pins what
 *   it shows for as long as it lives: unmounting answers EBUSY, and removal of the device waits.
 *
 * A store through `bytes` cannot be forbidden in JavaScript. On media opened read-only it never
 * reaches the file: the media maps itself privately, and a store changes what this process reads
 * until the media is closed.
 *
 * @module
 */
import { type AddressSpace, pagesAround } from "../dax/address-space.ts";
import { AddressSpaces } from "../dax/address-spaces.ts";
import { CheckedMemory } from "../dax/checked-memory.ts";
import type { DaxDevice } from "../dax/dax-device.ts";
import type { FaultCounters } from "../dax/fault-counters.ts";
import { daxRead } from "../dax/file-io.ts";
import { MappedArea } from "../dax/mapped-area.ts";
import { absenceOf, assertPopulates } from "../dax/old-devices.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import { inCall, writingOf } from "./calls.ts";
import type { FileRun } from "./file-runs.ts";
import type { Inode } from "./filesystem.ts";
import type { MapOptions, MappedFile } from "./map-options.ts";
import { makePages } from "./mapped-pages.ts";
import type { Mount, MountUser } from "./mounts.ts";
import { RawDoor } from "./raw-door.ts";
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
  readonly #area: MappedArea;
  readonly #raw: RawDoor;
  readonly #device: DaxDevice | undefined;
  readonly #options: MapOptions;
  /** What changes the file; undefined when no store goes there. */
  readonly #writing: InodeWriting | undefined;
  /** Up to where all pages were the file's own blocks, and what it said of its mapping then. */
  #made: { readonly stop: number; readonly generation: number | undefined } | undefined;
  #state: "mapped" | "unmapped" | "revoked" = "mapped";
  /** Why it was revoked. */
  #reason = "";

  /**
   * What lies behind the end of the file may be mapped before it is there.
   * @throws EINVAL for an empty range; EROFS, ENOSPC for one to be
   *   written; EOPNOTSUPP for `sync` where a flush does not make durable; EUCLEAN, ENXIO
   */
  constructor(file: MappedFile, options: MapOptions = {}) {
    super();
    const { inode, mount, path } = file;
    const { size, filesystem, ino } = inode;
    const { offset = 0, length = size - offset, revocable = false } = options;
    if (!isRange(offset, length)) {
      const detail = `bytes ${offset}+${length} of a file of ${size}; map at least one byte`;
      throw new DaxError("EINVAL", { syscall: "mmap", path, detail });
    }
    this.path = path;
    this.offset = offset;
    this.length = length;
    this.inode = inode;
    this.#mount = mount;
    this.#options = options;
    const shared = options.private !== true;
    this.#writing = shared && options.access === "write" ? writingOf(inode) : undefined;
    const writable = this.#writing !== undefined;
    this.#raw = new RawDoor({ inode, path, offset, length, revocable, writable });
    if (options.lazy !== true && shared) this.#make();
    if (options.sync === true) this.#assertSync();
    this.#device = filesystem.device.dax?.device;
    this.#device?.enter();
    inode.writing?.hold();
    mount.join(this);
    this.#space = AddressSpaces.of(filesystem).open({ owner: filesystem.device.name, ino });
    this.#area = this.#makeArea();
    this.#space.attach(this.#area);
    if (options.populate !== undefined) this.#populateFirst(options.populate === "write");
  }

  /** Whether it may be stored to. */
  get isWritable(): boolean {
    return this.#options.access === "write";
  }

  /** Whether stores are its own, and never the file's. */
  get isPrivate(): boolean {
    return this.#options.private === true;
  }

  /** What faults and write-backs of the file came to, through this mapping and all others. */
  get counters(): Readonly<FaultCounters> {
    return this.#space.counters;
  }

  /** Aliases the media: an entry for each contiguous run; holes and inline bytes have none. */
  get spans(): readonly FileRun[] {
    this.#assertMapped("mmap");
    return this.#raw.runs;
  }

  /**
   * Aliases the media: the whole range as one array, zero-copy. A range that is fragmented on media
   * or has holes is stitched into one, where the media is a mapping of this process.
   * @throws ENOTSUP with the reason when there are no such bytes (inline data, no dax, media that
   * cannot join fragments and holes, a private mapping); EHWPOISON over poison; ENXIO, EFAULT;
   * ENOSPC of a lazy mapping
   */
  get bytes(): Uint8Array {
    this.#assertMapped("mmap");
    if (this.#options.private === true) {
      const detail = "a private mapping has pages of its own; use read and copyIn";
      throw new DaxError("ENOTSUP", { syscall: "mmap", path: this.path, detail });
    }
    if (this.#writing !== undefined) this.inode.filesystem.freezing?.pass("mmap");
    this.#assertInFile("mmap", this.offset + this.length);
    this.#make();
    const isNew = !this.#raw.isOpen;
    const bytes = this.#raw.open();
    if (isNew && this.#writing !== undefined) this.#touch(this.#writing);
    return bytes;
  }

  /**
   * Copies from byte `at` of the mapping; returns the bytes copied, fewer at the end.
   * @throws EFAULT, ENXIO, EHWPOISON, EINVAL
   */
  read(target: Uint8Array, at = 0): number {
    const length = Math.max(0, Math.min(target.length, this.length - at));
    this.copyOut(at, length === target.length ? target : target.subarray(0, length));
    return length;
  }

  /** Fills all of `target` from byte `at`. @throws EINVAL past the end, EFAULT, ENXIO, EHWPOISON */
  override copyOut(at: number, target: Uint8Array): void {
    if (this.#state !== "mapped") this.#assertMapped("load");
    this.#assertInside("load", at, target.length);
    try {
      this.#area.load(this.offset + at, target);
    } catch (error) {
      throw this.#placed(error, "load");
    }
  }

  /**
   * Stores all of `source` at byte `at`. @throws EACCES when read-only, and as {@link copyOut};
   * ENOSPC of a lazy mapping, EROFS after an error of the filesystem
   */
  override copyIn(at: number, source: Uint8Array): void {
    if (this.#state !== "mapped") this.#assertMapped("store");
    if (this.#options.access !== "write") {
      const detail = "the mapping is read-only; map it with access: write";
      throw new DaxError("EACCES", { syscall: "store", path: this.path, detail });
    }
    this.#assertInside("store", at, source.length);
    try {
      this.#area.store(this.offset + at, source);
    } catch (error) {
      throw this.#placed(error, "store");
    }
  }

  /**
   * mlock(2), as Linux does it for dax: the pages are there, for loads, and nothing is accounted
   * for. With `write` they are there for stores, too: the first store takes no fault either; of a
   * private mapping that may be stored to they always are, so all of it is copied. It keeps nobody
   * from cutting the file.
   * @throws ENOMEM behind the end of the file; as a load, or a store, to all of the mapping
   */
  mlock({ write = false }: { readonly write?: boolean } = {}): void {
    this.#assertMapped("mlock");
    if (write && !this.isWritable) {
      const detail = "the mapping is read-only; map it with access: write";
      throw new DaxError("EACCES", { syscall: "mlock", path: this.path, detail });
    }
    inCall({ syscall: "mlock", path: this.path }, () => {
      try {
        this.#populate(write);
      } catch (error) {
        if (!isDaxError(error, "EFAULT")) throw error;
        throw new DaxError("ENOMEM", { detail: error.detail ?? "not all pages are there" });
      }
    });
  }

  /**
   * Makes durable what was stored to `length` bytes from byte `at`, by either door: msync(2). The
   * cache lines are written back, and unless the mapping is `sync` the filesystem commits what
   * leads to them. Nothing to do for a mapping that is read-only or private.
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
    const from = this.offset + at;
    this.#raw.writeBack(from, length);
    if (this.#options.sync === true) this.#space.persist(from, length);
    else {
      this.#space.writeBackEntries(...pagesAround(from, length));
      this.#writing.sync("data", { offset: from, length });
    }
  }

  describe(): string {
    return `mapping of ${this.path}`;
  }

  /**
   * Ends the mapping; what was stored is written back first. An alias that `bytes` handed out stays
   * readable until the media is closed; a stitched array is detached now. Idempotent.
   */
  unmap(): void {
    if (this.#state === "mapped") this.#end("unmapped");
  }

  /** @throws EBUSY when `bytes` was handed out as an alias, unless the media closes next */
  revoke(mediaCloses = false, reason = "the mapping was revoked by an unmount"): void {
    if (this.#state !== "mapped") return;
    if (this.#raw.isAlias && !mediaCloses) {
      throw new DaxError("EBUSY", {
        syscall: "umount",
        path: this.path,
        detail: "its bytes alias the media and cannot be taken back; unmap it, or map `revocable`",
      });
    }
    this.#reason = reason;
    this.#end("revoked");
  }

  #makeArea(): MappedArea {
    const { inode, offset, length } = this;
    const { private: isPrivate = false, sync: isSync = false, huge = false } = this.#options;
    const space = this.#space;
    const area = { space, file: inode, offset, length, isPrivate, isSync, huge };
    return new MappedArea(area, {
      describe: () => this.describe(),
      pinsBlocks: () => this.#raw.isAlias && this.#writing !== undefined,
      beforeStore: () => {
        inode.filesystem.freezing?.pass("store");
        // The first store since all was written back: Linux notes the time at such a fault.
        if (space.dirty === 0 && !this.#raw.isStored && this.#writing !== undefined)
          this.#touch(this.#writing);
      },
      syncData: () => this.#writing?.sync("data"),
      readByCall: (target, from) => readByCall(inode, target, from),
      writeByCall: (source, from) => this.#writeByCall(source, from),
      writeBack: () => this.#raw.writeBack(offset, length),
      unmapped: () => this.#raw.detach(),
      takeBack: () => this.#raw.takeBack(),
      detach: (reason) => this.revoke(false, reason),
    });
  }

  /** All pages get blocks of their own, as far as they may be stored to. */
  #make(): void {
    if (this.#writing === undefined) return;
    const { inode, offset } = this;
    const stop = Math.min(offset + this.length, inode.size);
    if (this.#made?.stop === stop && this.#made.generation === inode.mapGeneration) return;
    const dirty = makePages(inode, offset, stop - offset);
    if (this.#options.sync === true && dirty) this.#writing.sync("data");
    this.#made = { stop, generation: inode.mapGeneration };
  }

  /** MAP_SYNC needs pages that are the media, on a device on which flushing is enough. */
  #assertSync(): void {
    const { device } = this.inode.filesystem;
    const refuse = (detail: string): never => {
      this.#raw.close();
      throw new DaxError("EOPNOTSUPP", { syscall: "mmap", path: this.path, detail });
    };
    const dax = device.dax?.device;
    if (dax === undefined) return refuse(`MAP_SYNC wants dax, and ${device.name} has none`);
    const absence = absenceOf(dax, "MAP_SYNC");
    if (absence !== undefined) refuse(absence);
    if (!dax.synchronous) refuse(`MAP_SYNC: ${dax.name} has no flush that makes durable`);
    const runs = this.#options.lazy === true ? [] : this.#raw.runs;
    // Poison is met by whoever loads it.
    const copied = runs.find((run) => run.device === undefined);
    if (copied !== undefined) refuse(`MAP_SYNC: ${copied.absence?.detail ?? "no memory"}`);
  }

  #populate(write: boolean, length = this.length): void {
    const dax = this.inode.filesystem.device.dax?.device;
    if (dax !== undefined && this.inode.isDax) assertPopulates(dax);
    if (write && this.#writing !== undefined) {
      // All blocks are asked for at once, which is sooner done, or sooner refused, than by pages.
      this.inode.filesystem.freezing?.pass("mlock");
      this.#make();
    }
    // Linux breaks copy-on-write ahead, too (FOLL_WRITE for what is writable and private).
    this.#area.populate(this.offset, length, this.isWritable && (write || this.isPrivate));
  }

  /** Of a new mapping, which ends where that fails; what lies behind the file is passed over. */
  #populateFirst(write: boolean): void {
    const inside = Math.min(this.length, this.inode.size - this.offset);
    try {
      if (inside > 0) this.#populate(write, inside);
    } catch (error) {
      this.unmap();
      throw error;
    }
  }

  #end(state: "unmapped" | "revoked"): void {
    const { first, pages, table } = this.#area;
    this.#state = state;
    table.unmap(first, pages, true);
    try {
      this.#space.leave(this.#area);
    } finally {
      this.#endRaw();
    }
  }

  #endRaw(): void {
    try {
      // A later fsync cannot find what was stored through a mapping that is gone.
      this.#raw.writeBack(this.offset, this.length);
    } finally {
      this.#raw.close();
      this.#mount.leave(this);
      this.#device?.exit();
      this.inode.writing?.release();
    }
  }

  #touch(writing: InodeWriting): void {
    inCall({ syscall: "store", path: this.path }, () => writing.change({ mtime: "now" }));
  }

  #writeByCall(source: Uint8Array, from: number): void {
    for (let done = 0; done < source.length;) {
      const count = this.#writing?.write(source.subarray(done), from + done) ?? 0;
      if (count === 0) throw new DaxError("EIO", { syscall: "store", path: this.path });
      done += count;
    }
  }

  #placed(error: unknown, syscall: string): unknown {
    return error instanceof DaxError ? error.at({ syscall, path: this.path }) : error;
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

  #assertInside(syscall: "load" | "store", at: number, length: number): void {
    const { path } = this;
    if (!(at >= 0 && Number.isSafeInteger(at)) || at + length > this.length) {
      const detail = `bytes ${at}+${length} of a mapping of ${this.length}`;
      throw new DaxError("EINVAL", { syscall, path, detail });
    }
    this.#assertInFile(syscall, this.offset + at + length);
  }

  #assertInFile(syscall: string, end: number): void {
    const { path } = this;
    const { size } = this.inode;
    if (end <= size || end <= Math.ceil(size / PAGE_SIZE) * PAGE_SIZE) return;
    const detail = `the file ends at byte ${size}; Linux sends SIGBUS`;
    throw new DaxError("EFAULT", { syscall, path, detail });
  }
}

/** Bytes without dax, or kept among metadata: a copy, all of it or an error. */
function readByCall(inode: Inode, target: Uint8Array, from: number): void {
  for (let done = 0; done < target.length;) {
    const count = daxRead(inode, target.subarray(done), from + done);
    if (count > 0) done += count;
    else done += target.fill(0, done).length;
  }
}

function isRange(offset: number, length: number): boolean {
  return Number.isSafeInteger(offset) && offset >= 0 && Number.isSafeInteger(length) && length > 0;
}
