/**
 * The checked door of a mapping: loads and stores of a part of a file through a page table, with a
 * fault wherever a page is not there, or may not be stored to. Each access asks the device for its
 * memory, so that what happened to that (poison, removal, another table) is met as a typed error.
 *
 * @module
 */
import { copyIn, copyOut } from "../lib/memory.ts";
import type { AddressSpace, Area } from "./address-space.ts";
import type { DaxDevice } from "./dax-device.ts";
import type { FaultedFile } from "./fault-backing.ts";
import type { FaultArea } from "./fault-area.ts";
import { handleFault } from "./fault.ts";
import { PAGE_SIZE } from "./operations.ts";
import { PageTable, type Translation } from "./page-table.ts";
import { populating } from "./populate.ts";
import { runToEnd } from "./steps.ts";

/** Whose memory it is: what an area cannot do by itself. */
export interface AreaOwner {
  /** For EBUSY messages: `mapping of /a/b`. */
  describe(): string;
  /** As {@link Area.pinsBlocks}. */
  pinsBlocks(): boolean;
  /** As {@link FaultArea.beforeStore}. */
  beforeStore(): void;
  /** As {@link FaultArea.syncData}. */
  syncData(): void;
  /** Reads bytes of pages that have no memory, all of them; holes and the end are zeros. */
  readByCall(target: Uint8Array, offset: number): void;
  /** Writes them, all or an error. */
  writeByCall(source: Uint8Array, offset: number): void;
  /** Makes durable what may have been stored to memory that was handed out. */
  writeBack(first: number, pages: number): void;
  /** Pages of the range were taken away. */
  unmapped(first: number, pages: number): void;
  /** As {@link Area.takeBack}. */
  takeBack(): void;
  /** As {@link Area.detach}. */
  detach(reason: string): void;
}

/** What is mapped, and how. */
export interface MappedAreaOptions {
  readonly space: AddressSpace;
  readonly file: FaultedFile;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly length: number;
  /** Stores copy their page, and never reach the file (MAP_PRIVATE). */
  readonly isPrivate?: boolean;
  /** A page may be stored to only when what leads to it is durable (MAP_SYNC). */
  readonly isSync?: boolean;
  /** Whether 2 MiB are mapped at once where they can be. */
  readonly huge?: boolean;
  /** Whether there is a huge page of zeros; there is, unless told. */
  readonly hugeZero?: boolean;
  /** The page of the process's address space; one that suits huge pages unless given. */
  readonly address?: number;
}

/** A part of a file as memory. Offsets are bytes from the start of the file. */
export class MappedArea implements Area, FaultArea {
  readonly space: AddressSpace;
  readonly file: FaultedFile;
  readonly offset: number;
  readonly length: number;
  readonly first: number;
  readonly pages: number;
  readonly address: number;
  readonly isPrivate: boolean;
  readonly isSync: boolean;
  readonly huge: boolean;
  readonly hugeZero: boolean;
  readonly table = new PageTable();
  readonly #owner: AreaOwner;
  /** The page of the last access. */
  readonly #last: Translation = { index: -1, frame: undefined, start: 0, writable: false };
  #changes = -1;

  constructor(options: MappedAreaOptions, owner: AreaOwner) {
    const { space, file, offset, length, isPrivate = false, isSync = false } = options;
    this.space = space;
    this.file = file;
    this.offset = offset;
    this.length = length;
    this.first = Math.floor(offset / PAGE_SIZE);
    this.pages = Math.ceil((offset + length) / PAGE_SIZE) - this.first;
    this.address = options.address ?? this.first;
    this.isPrivate = isPrivate;
    this.isSync = isSync;
    this.huge = options.huge ?? false;
    this.hugeZero = options.hugeZero ?? true;
    this.#owner = owner;
  }

  get pinsBlocks(): boolean {
    return this.#owner.pinsBlocks();
  }

  /** Fills all of `target` from byte `from`. @throws EFAULT, ENXIO, EHWPOISON, EIO */
  load(from: number, target: Uint8Array): void {
    const { length } = target;
    for (let done = 0; done < length;) {
      const at = from + done;
      const within = at % PAGE_SIZE;
      const here = this.#walk((at - within) / PAGE_SIZE, false);
      const run = this.#reach(here, within, length - done, false);
      const part = run === length ? target : target.subarray(done, done + run);
      if (here) this.#loadFrom(within, part);
      else this.#owner.readByCall(part, at);
      done += run;
    }
    // In the page that the file ends in there is nothing but zeros behind the end.
    const past = from + length - this.file.size;
    if (past > 0 && this.#last.frame?.copy === undefined)
      target.fill(0, Math.max(0, length - past));
  }

  /** Stores all of `source` at byte `from`. @throws as {@link load}; ENOSPC, EROFS */
  store(from: number, source: Uint8Array): void {
    const { length } = source;
    for (let done = 0; done < length;) {
      const at = from + done;
      const within = at % PAGE_SIZE;
      const here = this.#walk((at - within) / PAGE_SIZE, true);
      const run = this.#reach(here, within, length - done, true);
      const part = run === length ? source : source.subarray(done, done + run);
      if (here) this.#storeTo(within, part);
      else this.#owner.writeByCall(part, at);
      done += run;
    }
  }

  /** Has the faults of all pages of a range of bytes now: later accesses take none. */
  populate(from: number, length: number, write: boolean): void {
    const stop = Math.ceil((from + length) / PAGE_SIZE);
    runToEnd(populating(this, Math.floor(from / PAGE_SIZE), stop, write));
  }

  writeProtect(first: number, pages: number): number {
    return this.table.protect(first, pages);
  }

  unmap(first: number, pages: number, copies: boolean): number {
    this.#owner.unmapped(first, pages);
    return this.table.unmap(first, pages, copies);
  }

  writeBack(first: number, pages: number): void {
    this.#owner.writeBack(first, pages);
  }

  takeBack(): void {
    this.#owner.takeBack();
  }

  detach(reason: string): void {
    this.#owner.detach(reason);
  }

  describe(): string {
    return this.#owner.describe();
  }

  beforeStore(): void {
    this.#owner.beforeStore();
  }

  syncData(): void {
    this.#owner.syncData();
  }

  copyOf(index: number): DataView<ArrayBuffer> {
    const copy = new Uint8Array(PAGE_SIZE);
    const at = index * PAGE_SIZE;
    this.load(at, copy);
    const left = this.file.size - at;
    if (left < PAGE_SIZE) copy.fill(0, Math.max(0, left));
    return new DataView(copy.buffer);
  }

  /** Brings a page to `#last`; false when it has no memory. */
  #walk(index: number, write: boolean): boolean {
    const last = this.#last;
    const { space, table } = this;
    space.follow(this.file);
    if (last.index === index && this.#changes === table.changes && (last.writable || !write)) {
      return true;
    }
    for (;;) {
      this.#changes = table.changes;
      if (table.resolve(index, last) && (last.writable || !write)) return true;
      last.index = -1;
      if (runToEnd(handleFault(this, index, write)) === "through") return false;
    }
  }

  /** Of `most` bytes from `within` the walked page, those that lie in one piece without a fault. */
  #reach(here: boolean, within: number, most: number, write: boolean): number {
    if (within + most <= PAGE_SIZE) return most;
    const { index } = this.#last;
    const wanted = Math.ceil((within + most) / PAGE_SIZE);
    const pages = here ? this.table.runFrom(index, wanted, write) : 1;
    return Math.min(pages * PAGE_SIZE - within, most);
  }

  #loadFrom(within: number, target: Uint8Array): void {
    const { frame, start } = this.#last;
    const device = frame?.device;
    if (device !== undefined) loadFrom(device, start + within, target);
    else if (frame?.copy === undefined) target.fill(0);
    else copyOut(frame.copy, within, target);
  }

  #storeTo(within: number, source: Uint8Array): void {
    const { frame, start } = this.#last;
    const device = frame?.device;
    if (device !== undefined) storeTo(device, start + within, source);
    else if (frame?.copy !== undefined) copyIn(frame.copy, within, source);
  }
}

function loadFrom(device: DaxDevice, start: number, target: Uint8Array): void {
  for (let done = 0; done < target.length;) {
    const pgoff = Math.floor((start + done) / PAGE_SIZE);
    const within = start + done - pgoff * PAGE_SIZE;
    const wanted = Math.ceil((within + target.length - done) / PAGE_SIZE);
    const span = device.directAccess(pgoff, wanted);
    const run = Math.min(span.pages * PAGE_SIZE - within, target.length - done);
    const part = run === target.length ? target : target.subarray(done, done + run);
    copyOut(span.memory, span.start + within, part);
    done += run;
  }
  device.checkFault();
}

function storeTo(device: DaxDevice, start: number, source: Uint8Array): void {
  for (let done = 0; done < source.length;) {
    const pgoff = Math.floor((start + done) / PAGE_SIZE);
    const within = start + done - pgoff * PAGE_SIZE;
    const wanted = Math.ceil((within + source.length - done) / PAGE_SIZE);
    const span = device.directAccess(pgoff, wanted);
    const run = Math.min(span.pages * PAGE_SIZE - within, source.length - done);
    const part = run === source.length ? source : source.subarray(done, done + run);
    copyIn(span.memory, span.start + within, part);
    done += run;
  }
  device.checkFault();
}
