/**
 * Raw mappings: a whole dax device, a partition or a device-dax instance as memory, without a
 * filesystem. There is no file that could be cut and nothing to allocate, so a fault is a look at
 * the device; but a device may shrink, freeze and go, and every access sees that.
 *
 * The doors are those of a file's mapping: checked access, `bytes`, `flush`.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { aliasOf, copyIn, copyOut } from "../lib/memory.ts";
import type { Stitched } from "../media/media.ts";
import { ALL_PAGES, type AddressSpace, type Area } from "./address-space.ts";
import { AddressSpaces } from "./address-spaces.ts";
import { CheckedMemory } from "./checked-memory.ts";
import type { DaxDevice } from "./dax-device.ts";
import { PAGE_SIZE } from "./operations.ts";
import { RAW_INO, RawFreeze } from "./raw-freeze.ts";
import { RawPages } from "./raw-pages.ts";

/** What is mapped. */
export interface RawTarget {
  /** `pmem0p1`, `dax0.0` */
  readonly name: string;
  /** Whose pages are mapped. */
  readonly device: DaxDevice;
  /** Bytes of the device at which it begins; a page. */
  readonly start: number;
  readonly readOnly: boolean;
  /** Bytes that a fault maps at once. */
  readonly align: number;
  /** Whether a mapping must consist of whole such units. */
  readonly wholeUnits: boolean;
  /** Bytes that there are now: a device may shrink. */
  size(): number;
  /** Whether the device is there. */
  isAlive(): boolean;
  /** Whether a unit can be mapped as one. */
  hasUnit(offset: number): boolean;
}

/** How a device is mapped. */
export interface RawMapOptions {
  /** Bytes from the start of the device; 0 unless given. */
  readonly offset?: number;
  /** Up to the end of the device unless given; what lies behind it is EFAULT to touch. */
  readonly length?: number;
  /** `read` unless given. */
  readonly access?: "read" | "write";
  /** Not to be had: a raw mapping is shared. */
  readonly private?: boolean;
  /** `bytes` can be taken back, by teardown and freeze. */
  readonly revocable?: boolean;
}

/** A range of a device as memory. */
export class RawMapping extends CheckedMemory {
  readonly name: string;
  /** Bytes from the start of what is mapped. */
  readonly offset: number;
  readonly length: number;
  readonly isWritable: boolean;
  readonly #target: RawTarget;
  readonly #space: AddressSpace;
  readonly #area: Area;
  readonly #pages: RawPages;
  readonly #revocable: boolean;
  readonly #whenGone: () => void;
  #door: { readonly bytes: Uint8Array; readonly stitched: Stitched | undefined } | undefined;
  #ended: "unmapped" | "revoked" | undefined;
  #reason = "";

  /**
   * `whenGone` is called when it ends.
   * @throws ENXIO when the device is gone, EINVAL for a private mapping, an empty one, or one that
   *   does not keep the alignment, EROFS for one to be written of a read-only device
   */
  constructor(target: RawTarget, options: RawMapOptions = {}, whenGone: () => void = () => {}) {
    super();
    const { name, device, start } = target;
    checkOptions(target, options);
    this.name = name;
    this.offset = options.offset ?? 0;
    this.length = options.length ?? target.size() - this.offset;
    this.isWritable = options.access === "write";
    this.#target = target;
    this.#revocable = options.revocable ?? false;
    this.#whenGone = whenGone;
    this.#space = AddressSpaces.of(device).open({
      owner: device.name,
      ino: RAW_INO,
      longTermPins: true,
    });
    this.#pages = new RawPages(this.#space, device, target.align);
    this.#area = this.#makeArea(start + this.offset);
    this.#space.attach(this.#area);
  }

  /** The dax device that it shows. */
  get device(): DaxDevice {
    return this.#target.device;
  }

  /** Bytes of the device at which it begins. */
  get deviceStart(): number {
    return this.#start;
  }

  /** Aliases the device: the whole range as one array, zero-copy. It pins the device.
   * @throws ENOTSUP when its ranges cannot be joined; EFAULT past the end, EHWPOISON, ENXIO,
   *   EAGAIN while it is frozen
   */
  get bytes(): Uint8Array {
    this.#check("mmap", 0, this.length);
    this.#door ??= this.#open();
    return this.#door.bytes;
  }

  /** Copies from byte `at`; returns the bytes copied, fewer at the end. @throws as `copyOut` */
  read(target: Uint8Array, at = 0): number {
    const length = Math.max(0, Math.min(target.length, this.length - at));
    this.copyOut(at, target.subarray(0, length));
    return length;
  }

  override copyOut(at: number, target: Uint8Array): void {
    this.#access("load", at, target, (memory, from, part) => copyOut(memory, from, part));
  }

  override copyIn(at: number, source: Uint8Array): void {
    if (!this.isWritable) {
      const detail = "the mapping is read-only; map it with access: write";
      throw new DaxError("EACCES", { syscall: "store", path: this.name, detail });
    }
    this.#access("store", at, source, (memory, from, part) => copyIn(memory, from, part));
  }

  /**
   * Faults the unit at byte `at` in, as an access of `size` bytes' page would: `fallback` where
   * only smaller ones are to be had.
   * @throws EFAULT where Linux sends SIGBUS: past the end, for smaller pages than the device has,
   *   and where a unit lies in more than one range; EAGAIN while the device is frozen, ENXIO
   */
  fault(at: number, size: number, write = false): "mapped" | "fallback" {
    this.#check("fault", at, 1);
    const { align, name } = this.#target;
    if (size > align) return "fallback";
    if (size < align) {
      const detail = `a page of ${size} bytes of a device with pages of ${align}`;
      throw new DaxError("EFAULT", { syscall: "fault", path: name, detail });
    }
    this.#fault(this.#unitOf(at), write && this.isWritable);
    return "mapped";
  }

  /**
   * Writes back the cache lines of `length` bytes from byte `at`, by either door stored to, and
   * waits for them. A page of which they are all is clean then: the next store to it is a fault.
   * @throws EINVAL, EFAULT, ENXIO
   */
  flush(at = 0, length = this.length - at): void {
    if (length === 0) return;
    this.#check("msync", at, length);
    if (this.isWritable && this.#door !== undefined) this.#flush(this.#start + at, length);
    this.#space.persist(this.#start + at, length);
  }

  /** Ends it. An alias that `bytes` handed out stays readable. Idempotent. */
  unmap(): void {
    if (this.#ended === undefined) this.#end("unmapped");
  }

  get #start(): number {
    return this.#target.start + this.offset;
  }

  /** The number of the unit of the device that holds byte `at`. */
  #unitOf(at: number): number {
    return Math.floor((this.#start + at) / this.#target.align);
  }

  #access(
    syscall: string,
    at: number,
    bytes: Uint8Array,
    copy: (memory: Parameters<typeof copyIn>[0], from: number, part: Uint8Array) => void,
  ): void {
    this.#check(syscall, at, bytes.length);
    const { device } = this.#target;
    this.#faultAll(at, bytes.length, syscall === "store");
    for (let done = 0; done < bytes.length;) {
      const from = this.#start + at + done;
      const within = from % PAGE_SIZE;
      const pages = Math.ceil((within + bytes.length - done) / PAGE_SIZE);
      const span = this.#translate(syscall, Math.floor(from / PAGE_SIZE), pages);
      const run = Math.min(bytes.length - done, span.pages * PAGE_SIZE - within);
      copy(span.memory, span.start + within, bytes.subarray(done, done + run));
      done += run;
    }
    device.checkFault();
  }

  #translate(syscall: string, pgoff: number, pages: number): ReturnType<DaxDevice["directAccess"]> {
    try {
      return this.#target.device.directAccess(pgoff, pages);
    } catch (error) {
      throw error instanceof DaxError ? error.at({ syscall, path: this.name }) : error;
    }
  }

  #faultAll(at: number, length: number, write: boolean): void {
    if (length === 0) return;
    const last = this.#unitOf(at + length - 1);
    for (let unit = this.#unitOf(at); unit <= last; unit++) this.#fault(unit, write);
  }

  #fault(unit: number, write: boolean): void {
    if (this.#pages.has(unit, write)) return;
    const { device, start, align, name } = this.#target;
    if (!this.#target.hasUnit(unit * align - start)) {
      const detail = `${align} bytes at ${unit * align} lie in more than one range, or none`;
      throw new DaxError("EFAULT", { syscall: "fault", path: name, detail });
    }
    if (write) RawFreeze.of(device).pass(unit * align, align);
    this.#pages.map(unit, write);
  }

  #open(): { readonly bytes: Uint8Array; readonly stitched: Stitched | undefined } {
    const { device } = this.#target;
    this.#faultAll(0, this.length, this.isWritable);
    const pgoff = Math.floor(this.#start / PAGE_SIZE);
    const pages = Math.ceil(this.length / PAGE_SIZE);
    const span = this.#translate("mmap", pgoff, pages);
    if (span.pages === pages && !this.#revocable) {
      device.enter();
      return { bytes: aliasOf(span.memory, span.start, this.length), stitched: undefined };
    }
    const stitched = device.stitch([{ pgoff, pages }], this.isWritable);
    if (stitched === undefined) {
      const why = this.#revocable ? "cannot map it a second time" : "cannot join its ranges";
      const detail = `${device.name} ${why}; use read and copyIn`;
      throw new DaxError("ENOTSUP", { syscall: "mmap", path: this.name, detail });
    }
    device.enter();
    return { bytes: stitched.bytes.subarray(0, this.length), stitched };
  }

  #flush(start: number, length: number): void {
    const { device } = this.#target;
    device.flush(Math.floor(start / PAGE_SIZE), start % PAGE_SIZE, length);
    device.fence();
  }

  /** What every access asks first. */
  #check(syscall: string, at: number, length: number): void {
    const { name } = this;
    if (this.#ended !== undefined) {
      const revoked = this.#ended === "revoked";
      const detail = revoked ? this.#reason : "the mapping was unmapped";
      throw new DaxError(revoked ? "ENXIO" : "EFAULT", { syscall, path: name, detail });
    }
    if (!this.#target.isAlive()) {
      throw new DaxError("ENXIO", { syscall, path: name, detail: "the device was removed" });
    }
    if (!(Number.isSafeInteger(at) && at >= 0) || at + length > this.length) {
      const detail = `bytes ${at}+${length} of a mapping of ${this.length}`;
      throw new DaxError("EINVAL", { syscall, path: name, detail });
    }
    const size = this.#target.size();
    if (this.offset + at + length <= size) return;
    this.#shrink(size);
    const detail = `the device ends at byte ${size}; Linux sends SIGBUS`;
    throw new DaxError("EFAULT", { syscall, path: name, detail });
  }

  /** What lies behind the end of the device is mapped no more, by anybody. */
  #shrink(size: number): void {
    const { start, align } = this.#target;
    const first = (Math.ceil((start + size) / align) * align) / PAGE_SIZE;
    this.#space.remove(first, ALL_PAGES - first);
    if (this.#door?.stitched !== undefined) this.#closeDoor();
  }

  #closeDoor(): void {
    if (this.#door === undefined) return;
    this.#door.stitched?.release();
    this.#door = undefined;
    this.#target.device.exit();
  }

  #end(how: "unmapped" | "revoked"): void {
    this.#ended = how;
    const size = this.#target.size();
    if (this.offset + this.length > size) this.#shrink(size);
    try {
      this.#writeBackDoor(0, ALL_PAGES);
    } finally {
      this.#leave();
    }
  }

  #leave(): void {
    try {
      this.#space.leave(this.#area);
    } finally {
      this.#closeDoor();
      this.#whenGone();
    }
  }

  #makeArea(offset: number): Area {
    const pinsBlocks = (): boolean =>
      this.isWritable && this.#door !== undefined && this.#door.stitched === undefined;
    return {
      offset,
      length: this.length,
      get pinsBlocks() {
        return pinsBlocks();
      },
      describe: () => `raw mapping of ${this.name}`,
      writeProtect: (first, pages) => this.#pages.protect(first, pages),
      unmap: (first, pages) => this.#pages.unmap(first, pages),
      writeBack: (first, pages) => this.#writeBackDoor(first, pages),
      takeBack: () => {
        if (this.isWritable && this.#door?.stitched !== undefined) this.#closeDoor();
      },
      detach: (reason) => this.#detach(reason),
    };
  }

  /** What was stored through `bytes` nobody saw: all of it counts as stored to. */
  #writeBackDoor(first: number, pages: number): void {
    if (this.#door === undefined || !this.isWritable) return;
    const from = Math.max(first * PAGE_SIZE, this.#start);
    const to = Math.min((first + pages) * PAGE_SIZE, this.#start + this.length);
    if (to > from) this.#flush(from, to - from);
  }

  #detach(reason: string): void {
    if (this.#door !== undefined && this.#door.stitched === undefined) {
      const detail = "its bytes alias the media and cannot be taken back; map it revocable";
      throw new DaxError("EBUSY", { syscall: "revoke", path: this.name, detail });
    }
    this.#reason = reason;
    this.#end("revoked");
  }
}

function checkOptions(target: RawTarget, options: RawMapOptions): void {
  const { name, align } = target;
  const refuse = (code: "EINVAL" | "ENXIO" | "EROFS", detail: string): never => {
    throw new DaxError(code, { syscall: "mmap", path: name, detail });
  };
  if (!target.isAlive()) refuse("ENXIO", "the device was removed");
  if (options.private === true) refuse("EINVAL", "a raw mapping is shared; leave private out");
  const { offset = 0, length = target.size() - offset } = options;
  const sane = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0;
  const isAligned = offset % align === 0 && (!target.wholeUnits || length % align === 0);
  if (!sane || !isAligned || length <= 0 || !Number.isSafeInteger(offset + length)) {
    refuse("EINVAL", `bytes ${offset}+${length}; they start and end at multiples of ${align}`);
  }
  if (options.access === "write" && target.readOnly) refuse("EROFS", "the device is read-only");
}
