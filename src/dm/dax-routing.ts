/**
 * The dax operations of a mapped device: every one is routed to each leg whose pages it touches,
 * split where a target, a chunk or a leg's answer ends.
 *
 * Linux 4.13 sent a flush to the leg of the first page only (its `dm_dax_flush`), and lost what lay
 * on the others; 4.14 gave up the routing altogether.
 *
 * @module
 */
import { SECTOR_SIZE } from "../block/block-device.ts";
import { DaxDevice, type DaxDeviceOptions } from "../dax/dax-device.ts";
import {
  type AccessMode,
  type DaxOperations,
  type DaxSpan,
  PAGE_SIZE,
  type PagePiece,
} from "../dax/operations.ts";
import { type DevicePage, routePages } from "../dax/pages.ts";
import { DaxError } from "../lib/errno.ts";
import type { Stitched } from "../media/media.ts";
import type { Table, TableDax } from "./table.ts";
import type { DaxPlace, DaxRoute } from "./target.ts";

/** What routing needs of a mapped device. */
export interface DaxFront {
  readonly name: string;
  /** The table that is live. */
  readonly active: Table | undefined;
  /** Stores may not go on now. */
  readonly suspended: boolean;
}

/** The routing of each mapped device's dax device. */
const ROUTINGS = new WeakMap<DaxDevice, DaxRouting>();

/** How often a mapped device got another table, stood still or went: what was found is old then. */
let generation = 0;

/** To be called before and after everything that changes how bytes are routed. */
export function routesChange(): void {
  generation++;
}

/** The dax device of a mapped device. */
export function routedDax(
  front: DaxFront,
  options: Omit<DaxDeviceOptions, "operations">,
): DaxDevice {
  const operations = new DaxRouting(front);
  const device = new DaxDevice({ ...options, operations });
  ROUTINGS.set(device, operations);
  routePages(device, (pgoff) => operations.pageBelow(pgoff));
  return device;
}

/** Nowhere; the place of a device that has located nothing yet. */
const NOWHERE = {} as DaxDevice;

/** Routes by the live table. */
class DaxRouting implements DaxOperations {
  readonly #front: DaxFront;
  /** Where the last look led: one object, since the shortest operations take nanoseconds. */
  readonly #place: DaxPlace = { device: NOWHERE, byte: 0, run: 0 };

  #route: DaxRoute | undefined;
  /** Byte of the last look, from the beginning of its target. */
  #at = 0;
  /** Byte of the device that it was for, and the bytes that lie in the same run. */
  #seen = 0;
  #from = 0;
  #stop = 0;
  #table: Table | undefined;
  #generation = -1;
  /**
   * The way that is the same for all of a range of the device's bytes: through everything that only
   * moves them, to the route that parts them or leads to the bottom.
   */
  #way: DaxRoute | undefined;
  /** What is to be added to a byte of the device, to have one of that route's target. */
  #wayMove = 0;
  #wayFrom = 0;
  #wayStop = 0;
  /** No leg of that route's table is a mapped device. */
  #wayEnds = false;

  constructor(front: DaxFront) {
    this.#front = front;
  }

  directAccess(pgoff: number, pages: number, mode: AccessMode): DaxSpan {
    const run = this.#locate(pgoff * PAGE_SIZE, pages * PAGE_SIZE);
    const { device, byte } = this.#place;
    const most = run >= pages * PAGE_SIZE ? pages : Math.floor(run / PAGE_SIZE);
    return device.directAccess(byte / PAGE_SIZE, most, mode);
  }

  zeroPageRange(pgoff: number, pages: number): void {
    this.#assertRunning("zero_page_range");
    const stop = (pgoff + pages) * PAGE_SIZE;
    for (let at = pgoff * PAGE_SIZE; at < stop;) {
      const run = this.#locate(at, stop - at);
      const [route, from] = [this.#route, this.#at];
      this.#place.device.zeroPageRange(this.#place.byte / PAGE_SIZE, run / PAGE_SIZE);
      route?.flushed?.(from, run);
      at += run;
    }
  }

  recoveryWrite(pgoff: number, start: number, source: Uint8Array): number {
    this.#assertRunning("recovery_write");
    const first = pgoff * PAGE_SIZE + start;
    for (let done = 0; done < source.length;) {
      const run = this.#locate(first + done, source.length - done);
      const { device, byte } = this.#place;
      const page = Math.floor(byte / PAGE_SIZE);
      const part = source.subarray(done, done + run);
      const [route, from] = [this.#route, this.#at];
      const written = device.recoveryWrite(page, byte - page * PAGE_SIZE, part);
      if (written > 0) route?.flushed?.(from, written);
      done += written;
      if (written < run) return done;
    }
    return source.length;
  }

  copyFromIter(pgoff: number, start: number, sources: readonly Uint8Array[]): number {
    this.#assertRunning("copy_from_iter");
    let length = 0;
    for (let i = 0; i < sources.length; i++) length += (sources[i] as Uint8Array).length;
    const first = pgoff * PAGE_SIZE + start;
    if (length === 0) return 0;
    const run = this.#locate(first, length);
    if (run === length) return this.#copy(sources);
    let done = this.#copy(slice(sources, 0, run));
    while (done < length) {
      const next = this.#locate(first + done, length - done);
      done += this.#copy(slice(sources, done, next));
    }
    return done;
  }

  flush(pgoff: number, start: number, length: number): void {
    let at = pgoff * PAGE_SIZE + start;
    const stop = at + length;
    while (at < stop) {
      const run = this.#locate(at, stop - at);
      const { device, byte } = this.#place;
      const page = Math.floor(byte / PAGE_SIZE);
      const route = this.#route;
      const from = this.#at;
      device.flush(page, byte - page * PAGE_SIZE, run);
      if (route?.flushed !== undefined) route.flushed(from, run);
      at += run;
    }
  }

  fence(): void {
    const dax = this.#front.active?.dax;
    if (dax === undefined) return;
    for (const device of dax.devices) if (device.writeCache) device.fence();
    for (const route of dax.routes) route.ordered?.();
  }

  checkFault(): void {
    for (const device of this.#dax("load").devices) device.checkFault();
  }

  /** Pages of several devices cannot be joined: no media knows them all. */
  stitch(pieces: readonly PagePiece[], writable: boolean): Stitched | undefined {
    const joined: PagePiece[] = [];
    let only: DaxDevice | undefined;
    for (const piece of pieces) {
      if ("hole" in piece) {
        joined.push(piece);
        continue;
      }
      for (let done = 0; done < piece.pages;) {
        const left = (piece.pages - done) * PAGE_SIZE;
        const run = this.#locate((piece.pgoff + done) * PAGE_SIZE, left);
        const { device, byte } = this.#place;
        if (only !== undefined && only !== device) return undefined;
        only = device;
        joined.push({ pgoff: byte / PAGE_SIZE, pages: run / PAGE_SIZE });
        done += run / PAGE_SIZE;
      }
    }
    return only?.stitch(joined, writable);
  }

  /** Whose page that is, one or more devices below. */
  pageBelow(pgoff: number): DevicePage {
    this.#locate(pgoff * PAGE_SIZE, PAGE_SIZE);
    const { device, byte } = this.#place;
    return { device, pgoff: byte / PAGE_SIZE };
  }

  #copy(sources: readonly Uint8Array[]): number {
    const { device, byte } = this.#place;
    const page = Math.floor(byte / PAGE_SIZE);
    const [route, from] = [this.#route, this.#at];
    const copied = device.copyFromIter(page, byte - page * PAGE_SIZE, sources);
    if (copied > 0) route?.flushed?.(from, copied);
    return copied;
  }

  /** Finds byte `at` of the device, and returns how many of `length` bytes lie there in one run. */
  #locate(at: number, length: number): number {
    const { active } = this.#front;
    if (this.#generation !== generation || active !== this.#table) this.#find(at, active);
    else if (at < this.#from || at >= this.#stop) this.#turn(at, active);
    const place = this.#place;
    place.byte += at - this.#seen;
    this.#at += at - this.#seen;
    this.#seen = at;
    const left = this.#stop - at;
    return left < length ? left : length;
  }

  /** Finds the run around byte `at`, whose way may be known. */
  #turn(at: number, active: Table | undefined): void {
    if (at < this.#wayFrom || at >= this.#wayStop) {
      this.#find(at, active);
      return;
    }
    this.#at += at - this.#seen;
    this.#look(at);
  }

  /** Finds the way of byte `at`, and the run around it: the next looks will be for neighbours. */
  #find(at: number, active: Table | undefined): void {
    if (active?.dax === undefined) this.#refuse("direct_access");
    const index = active.index(Math.floor(at / SECTOR_SIZE));
    const placed = active.placed[index] as (typeof active.placed)[number];
    const route = active.dax.routes[index] as DaxRoute;
    const begin = placed.begin * SECTOR_SIZE;
    this.#table = active;
    this.#generation = generation;
    this.#route = route;
    this.#at = at - begin;
    this.#way = route;
    this.#wayMove = -begin;
    this.#wayFrom = begin;
    this.#wayStop = begin + placed.length * SECTOR_SIZE;
    this.#wayEnds = !active.dax.devices.some((device) => ROUTINGS.has(device));
    if (!this.#wayEnds && route.whole === true && route.flushed === undefined) this.#lead(at);
    this.#look(at);
  }

  /** What only moves bytes into a mapped device below is passed by: its way is taken. */
  #lead(at: number): void {
    const place = this.#place;
    this.#way?.locate(at + this.#wayMove, place);
    const lower = this.#below(place.device);
    if (lower === undefined) return;
    const moved = place.byte - at;
    lower.#locate(place.byte, 1);
    if (lower.#route?.flushed !== undefined) return;
    this.#wayFrom = Math.max(this.#wayFrom, lower.#wayFrom - moved);
    this.#wayStop = Math.min(this.#wayStop, lower.#wayStop - moved);
    this.#way = lower.#way;
    this.#wayMove = moved + lower.#wayMove;
    this.#wayEnds = lower.#wayEnds;
  }

  /** Finds the run around byte `at`, which the known way serves. */
  #look(at: number): void {
    const place = this.#place;
    const within = at + this.#wayMove;
    this.#way?.locate(within, place);
    this.#seen = at;
    this.#from = at;
    const stop = at + place.run;
    this.#stop = stop < this.#wayStop ? stop : this.#wayStop;
    if (!this.#wayEnds && this.#way?.flushed === undefined) this.#descend();
  }

  /** Through mapped devices below: the next looks go to the bottom of the stack at once. */
  #descend(): void {
    const place = this.#place;
    const lower = this.#below(place.device);
    if (lower === undefined) return;
    const run = lower.#locate(place.byte, this.#stop - this.#seen);
    // Who wants to know of what is written back is not passed by.
    if (lower.#route?.flushed !== undefined) return;
    place.device = lower.#place.device;
    place.byte = lower.#place.byte;
    this.#stop = this.#seen + run;
  }

  /** The routing of a mapped device that requests may go on to. */
  #below(device: DaxDevice): DaxRouting | undefined {
    const lower = ROUTINGS.get(device);
    return lower === undefined || lower.#front.suspended ? undefined : lower;
  }

  #dax(syscall: string): TableDax {
    return this.#front.active?.dax ?? this.#refuse(syscall);
  }

  #assertRunning(syscall: string): void {
    if (!this.#front.suspended) return;
    throw new DaxError("EAGAIN", {
      syscall,
      path: this.#front.name,
      detail: "the device is suspended; resume it first",
    });
  }

  #refuse(syscall: string): never {
    const { active, name } = this.#front;
    const reason = active === undefined ? "it has no table" : (active.daxReason ?? "");
    const detail = `the device offers no dax any more: ${reason}`;
    throw new DaxError("EOPNOTSUPP", { syscall, path: name, detail });
  }
}

/** `length` bytes from byte `start` of several sources that follow each other. */
function slice(sources: readonly Uint8Array[], start: number, length: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const source of sources) {
    const from = Math.max(start - at, 0);
    const to = Math.min(start + length - at, source.length);
    if (to > from) parts.push(source.subarray(from, to));
    at += source.length;
  }
  return parts;
}
