/**
 * Page descriptors of a dax device (Linux: `struct page` of a `dev_pagemap`): a cache line for each
 * page, which says who uses it. A device has them or it has not, as whoever made it chose; without
 * them its memory can be read, written and mapped, but nobody can be given a page of it.
 *
 * The descriptors are real: 64 bytes each in memory that is handed in, so that those which lie on
 * the device wear it. They are made anew whenever a device gets them, and what lay there before is
 * never believed.
 *
 * @module
 */
import { DaxError, assert } from "../lib/errno.ts";
import { type Memory, fill } from "../lib/memory.ts";
import type { DaxDevice } from "./dax-device.ts";
import { absenceOf } from "./old-devices.ts";

/** Bytes of a descriptor. */
const DESCRIPTOR = 64;
/** Where the number of the file lies, the page of the file, and the count of users. */
const [MAPPING, INDEX, REFCOUNT] = [24, 32, 52];
/** A page of device memory that nobody uses has one reference: the driver's. */
const IDLE = 1;
/** A pin counts as so many references (`GUP_PIN_COUNTING_BIAS`), so that it can be told apart. */
const PIN = 1024;

const MAPS = new WeakMap<DaxDevice, PageMap>();
/** Of devices that have no memory of their own: where each of their pages is. */
const ROUTES = new WeakMap<DaxDevice, (pgoff: number) => DevicePage>();

/** A page of a device. */
export interface DevicePage {
  readonly device: DaxDevice;
  readonly pgoff: number;
}

/** A page that has a descriptor, and where that is. */
export interface DescribedPage {
  readonly map: PageMap;
  readonly pgoff: number;
}

/** What the descriptor of a page says. */
export interface PageState {
  /** Page frame number: the page's physical address divided by 4096. */
  readonly pfn: number;
  /** References; 1 while nobody uses the page. */
  readonly references: number;
  readonly pins: number;
  /** The number of the file and the page of it whose page this was last; 0 for none. */
  readonly ino: number;
  readonly index: number;
}

/** The descriptors of all pages of a device: use {@link attachPageMap}. */
export class PageMap {
  readonly device: DaxDevice;
  /** Pages. */
  readonly pages: number;
  readonly #memory: Memory;
  readonly #start: number;

  constructor(device: DaxDevice, memory: Memory, start: number) {
    this.device = device;
    this.pages = device.pages;
    this.#memory = memory;
    this.#start = start;
    fill(memory, start, device.pages * DESCRIPTOR, 0);
    for (let pgoff = 0; pgoff < device.pages; pgoff++) {
      memory.setUint32(this.#at(pgoff) + REFCOUNT, IDLE, true);
    }
  }

  /** What is known of a page. @throws ERANGE */
  state(pgoff: number): PageState {
    const at = this.#at(this.#checked(pgoff));
    const references = this.#memory.getUint32(at + REFCOUNT, true);
    return {
      pfn: this.device.directAccess(pgoff, 1, "recovery-write").pfn,
      references,
      pins: Math.floor(references / PIN),
      ino: Number(this.#memory.getBigUint64(at + MAPPING, true)),
      index: Number(this.#memory.getBigUint64(at + INDEX, true)),
    };
  }

  /** Counts a pin in, of a page of a file. @throws ERANGE */
  pin(pgoff: number, ino: number, index: number): void {
    const at = this.#at(this.#checked(pgoff));
    const references = this.#memory.getUint32(at + REFCOUNT, true);
    this.#memory.setBigUint64(at + MAPPING, BigInt(ino), true);
    this.#memory.setBigUint64(at + INDEX, BigInt(index), true);
    this.#memory.setUint32(at + REFCOUNT, references + PIN, true);
  }

  /** Counts a pin out. */
  unpin(pgoff: number): void {
    const at = this.#at(this.#checked(pgoff));
    const references = this.#memory.getUint32(at + REFCOUNT, true);
    assert(references >= IDLE + PIN, () => `${this.device.name}: page ${pgoff} is not pinned`);
    this.#memory.setUint32(at + REFCOUNT, references - PIN, true);
  }

  /** Whether somebody besides the driver uses one of the pages. @throws ERANGE */
  isBusy(pgoff: number, pages: number): boolean {
    for (let page = pgoff; page < pgoff + pages; page++) {
      const at = this.#at(this.#checked(page));
      if (this.#memory.getUint32(at + REFCOUNT, true) > IDLE) return true;
    }
    return false;
  }

  #at(pgoff: number): number {
    return this.#start + pgoff * DESCRIPTOR;
  }

  #checked(pgoff: number): number {
    if (Number.isInteger(pgoff) && pgoff >= 0 && pgoff < this.pages) return pgoff;
    throw new DaxError("ERANGE", {
      syscall: "pfn_to_page",
      detail: `${this.device.name}: page ${pgoff} of ${this.pages} has no descriptor`,
    });
  }
}

/** Where descriptors lie. */
export interface PageMapMemory {
  readonly memory: Memory;
  /** Bytes. */
  readonly start: number;
}

/**
 * Gives a device descriptors, all of them new: in ordinary memory unless other memory is handed in.
 * @throws EBUSY when it has some already, EINVAL where there is no room for them, EOPNOTSUPP for a
 *   device of Linux 4.1
 */
export function attachPageMap(device: DaxDevice, where?: PageMapMemory): PageMap {
  if (MAPS.has(device)) {
    const detail = `${device.name} has page descriptors`;
    throw new DaxError("EBUSY", { syscall: "memremap_pages", detail });
  }
  const absence = absenceOf(device, "page descriptors of device memory");
  if (absence !== undefined) {
    throw new DaxError("EOPNOTSUPP", { syscall: "memremap_pages", detail: absence });
  }
  const bytes = device.pages * DESCRIPTOR;
  const { memory, start } = where ?? { memory: new DataView(new ArrayBuffer(bytes)), start: 0 };
  if (start < 0 || start + bytes > memory.byteLength) {
    const detail = `${bytes} bytes of descriptors at ${start} of ${memory.byteLength}`;
    throw new DaxError("EINVAL", { syscall: "memremap_pages", detail });
  }
  const map = new PageMap(device, memory, start);
  MAPS.set(device, map);
  return map;
}

/** The descriptors of a device; undefined for one that has none. */
export function pageMapOf(device: DaxDevice): PageMap | undefined {
  return MAPS.get(device);
}

/** A device's pages are those of devices below: `below` says which. */
export function routePages(device: DaxDevice, below: (pgoff: number) => DevicePage): void {
  ROUTES.set(device, below);
}

/**
 * The descriptor of a page, through whatever lies between (Linux has it in flags of each page frame
 * number: memory of a device, and mapped). Undefined where the page has none.
 */
export function pageAt(device: DaxDevice, pgoff: number): DescribedPage | undefined {
  let page: DevicePage = { device, pgoff };
  for (;;) {
    const map = MAPS.get(page.device);
    if (map !== undefined) return { map, pgoff: page.pgoff };
    const below = ROUTES.get(page.device);
    if (below === undefined) return undefined;
    page = below(page.pgoff);
  }
}

/**
 * Takes a device's descriptors away; they go with their memory. Nothing to do where there are none.
 * @throws EBUSY while one of its pages is in use
 */
export function detachPageMap(device: DaxDevice): void {
  const map = MAPS.get(device);
  if (map === undefined) return;
  if (map.isBusy(0, map.pages)) {
    const detail = `a page of ${device.name} is in use; release its pins first`;
    throw new DaxError("EBUSY", { syscall: "memunmap_pages", detail });
  }
  MAPS.delete(device);
}
