/**
 * The pages under a mapping, for somebody who works on them by their address (Linux: `gup`): direct
 * I/O of another file, a pipe that is given them, a network card. That takes a descriptor for each
 * page. A file behind a page cache has them, since its pages are ordinary memory; a file on dax has
 * them where its device does.
 *
 * @module
 */
import { PageCache } from "../block/page-cache.ts";
import type { AddressSpace, Area } from "../dax/address-space.ts";
import type { DaxDevice } from "../dax/dax-device.ts";
import { AddressSpaces } from "../dax/address-spaces.ts";
import type { Iomap } from "../dax/iomap.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { pageAt } from "../dax/pages.ts";
import { RAW_INO } from "../dax/raw-freeze.ts";
import { RawMapping } from "../dax/raw-mapping.ts";
import { DaxError } from "../lib/errno.ts";
import { type Memory, copyOut } from "../lib/memory.ts";
import { Mapping } from "./mapping.ts";

/** What has pages: a mapping of a file, or of a device. */
export type Pinnable = Mapping | RawMapping;

/** A page, or the part of one that was asked for. */
export interface UserPage {
  /** Aliases the page. */
  readonly memory: Memory;
  /** The byte of `memory` at which it starts. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** Puts bytes there as a device does, around the CPU's caches: durable after the next fence. */
  readonly deposit: (bytes: Uint8Array) => void;
  /** What names it among all pages: the file (0: the device itself), and the page of it. */
  readonly ino: number;
  readonly index: number;
}

/** Pages that stay where they are until they are released. */
export interface PinnedPages {
  readonly pages: readonly UserPage[];
  /** Loads from the pages, in their order; returns the bytes. @throws EFAULT once released */
  load(target: Uint8Array): number;
  /** Puts bytes there, in their order, as a device does; returns how many. @throws as `load` */
  store(source: Uint8Array): number;
  /** Idempotent. */
  release(): void;
}

/** Why pages are wanted. */
export interface PinPagesOptions {
  /** For messages: `direct I/O`. */
  readonly name: string;
  /** For as long as somebody likes, as RDMA pins. */
  readonly longTerm?: boolean;
}

/** A page, and how to let it go. */
interface Held {
  readonly page: UserPage;
  /** It is the file's own memory, and not a copy. */
  readonly isMedia: boolean;
  readonly release: () => void;
}

/**
 * Pins `length` bytes from byte `at` of a mapping.
 * @throws EFAULT where there are no descriptors (Linux: `VM_PFNMAP` and `VM_MIXEDMAP`), or no
 *   memory because of a hole; EOPNOTSUPP for long-term pins of a file, and for private mappings;
 *   EINVAL; ENXIO, EHWPOISON
 */
export function pinPages(
  mapping: Pinnable,
  at: number,
  length: number,
  { name, longTerm = false }: PinPagesOptions,
): PinnedPages {
  if (!(at >= 0 && length > 0 && at + length <= mapping.length)) {
    const detail = `bytes ${at}+${length} of a mapping of ${mapping.length}`;
    throw new DaxError("EINVAL", { syscall: "pin_user_pages", path: nameOf(mapping), detail });
  }
  if (mapping instanceof Mapping && mapping.isPrivate) {
    const detail = "a private mapping has pages of its own; map the file shared";
    throw new DaxError("EOPNOTSUPP", { syscall: "pin_user_pages", path: mapping.path, detail });
  }
  // Unmapped, revoked or cut: asked before a page is held.
  mapping.copyOut(at, new Uint8Array(1));
  const held: Held[] = [];
  try {
    const stop = mapping.offset + at + length;
    for (let from = mapping.offset + at; from < stop;) {
      const run = Math.min(PAGE_SIZE - (from % PAGE_SIZE), stop - from);
      held.push(hold(mapping, from, run));
      from += run;
    }
    const stays = held.some(({ isMedia }) => isMedia);
    const release = stays ? pinInSpace(mapping, at, length, { name, longTerm }) : () => {};
    return pinned(held, release);
  } catch (error) {
    for (const { release } of held) release();
    throw error;
  }
}

function pinned(held: readonly Held[], releaseFile: () => void): PinnedPages {
  const pages = held.map(({ page }) => page);
  let live = true;
  const each = (bytes: Uint8Array, move: (page: UserPage, part: Uint8Array) => void): number => {
    if (!live) throw released();
    let done = 0;
    for (const page of pages) {
      const part = bytes.subarray(done, done + page.length);
      if (part.length > 0) move(page, part);
      done += part.length;
    }
    return done;
  };
  return {
    pages,
    load: (target) => each(target, ({ memory, start }, part) => copyOut(memory, start, part)),
    store: (source) => each(source, (page, part) => page.deposit(part)),
    release: () => {
      if (!live) return;
      live = false;
      releaseFile();
      for (const { release } of held) release();
    },
  };
}

/** The pages may be somebody else's by now. */
function released(): DaxError {
  return new DaxError("EFAULT", { syscall: "pin_user_pages", detail: "the pin was released" });
}

/**
 * Among the pages of the file, or of the device: what moves its blocks finds them busy. Pages of a
 * cache may go their own way. Whether the file was opened for dax (S_DAX) says nothing of that: a
 * device with dax has no cache in front of it.
 */
function pinInSpace(
  mapping: Pinnable,
  at: number,
  length: number,
  options: Required<PinPagesOptions>,
): () => void {
  const space = spaceOf(mapping);
  const start = mapping instanceof RawMapping ? mapping.deviceStart : mapping.offset;
  const first = Math.floor((start + at) / PAGE_SIZE);
  const pages = Math.floor((start + at + length - 1) / PAGE_SIZE) - first + 1;
  const pin = space.pins.pin({ first, pages, ...options });
  // It outlives the mapping: as long as it lasts, the file's address space does.
  const area = keeper(options.name, first * PAGE_SIZE, pages * PAGE_SIZE);
  space.attach(area);
  return () => {
    pin.release();
    space.leave(area);
  };
}

function spaceOf(mapping: Pinnable): AddressSpace {
  if (mapping instanceof RawMapping) {
    const { device } = mapping;
    const of = { owner: device.name, ino: RAW_INO, longTermPins: true };
    return AddressSpaces.of(device).open(of);
  }
  const { filesystem, ino } = mapping.inode;
  return AddressSpaces.of(filesystem).open({ owner: filesystem.device.name, ino });
}

function nameOf(mapping: Pinnable): string {
  return mapping instanceof RawMapping ? mapping.name : mapping.path;
}

function keeper(name: string, offset: number, length: number): Area {
  return {
    offset,
    length,
    pinsBlocks: false,
    describe: () => name,
    writeProtect: () => 0,
    unmap: () => 0,
    writeBack: () => {},
    detach: () => {},
  };
}

/** The page that holds byte `from` of the file, or of the device. */
function hold(mapping: Pinnable, from: number, length: number): Held {
  if (mapping instanceof RawMapping) {
    const byte = mapping.deviceStart - mapping.offset + from;
    const index = Math.floor(byte / PAGE_SIZE);
    return holdDax(mapping, mapping.device, byte, { length, ino: RAW_INO, index });
  }
  const { inode } = mapping;
  const map = inode.iomapBegin(from, length, "report");
  const byte = map.addr + (from - map.offset);
  const named = { length, ino: inode.ino, index: Math.floor(from / PAGE_SIZE) };
  if (map.type !== "mapped") throw refused(mapping, `page ${named.index} has no memory`);
  const { range, store } = map;
  if (range !== undefined) return holdDax(mapping, range.device, range.start + byte, named);
  return holdCached(mapping, store, byte, named);
}

type Named = Pick<UserPage, "length" | "ino" | "index">;

function holdDax(mapping: Pinnable, device: DaxDevice, byte: number, named: Named): Held {
  const pgoff = Math.floor(byte / PAGE_SIZE);
  const described = pageAt(device, pgoff);
  if (described === undefined) {
    throw refused(mapping, `${device.name} has no page descriptors, for page ${pgoff}`);
  }
  const { map, pgoff: own } = described;
  const span = device.directAccess(pgoff, 1);
  map.pin(own, named.ino, named.index);
  // Neither the device nor the one whose page it is goes while somebody has it.
  const kept = new Set([device, map.device]);
  for (const one of kept) one.enter();
  const within = byte % PAGE_SIZE;
  const deposit = (bytes: Uint8Array): void => void device.copyFromIter(pgoff, within, [bytes]);
  const page = { memory: span.memory, start: span.start + within, deposit, ...named };
  const release = (): void => {
    map.unpin(own);
    for (const one of kept) one.exit();
  };
  return { page, isMedia: true, release };
}

function holdCached(mapping: Mapping, store: Iomap["store"], byte: number, named: Named): Held {
  if (!(store instanceof PageCache)) throw refused(mapping, "its device has no page cache");
  const bytes = store.lend(Math.floor(byte / PAGE_SIZE), mapping.isWritable);
  const memory = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const start = byte % PAGE_SIZE;
  const deposit = (part: Uint8Array): void => bytes.set(part, start);
  return { page: { memory, start, deposit, ...named }, isMedia: false, release: () => {} };
}

function refused(mapping: Pinnable, why: string): DaxError {
  const path = nameOf(mapping);
  return new DaxError("EFAULT", { syscall: "pin_user_pages", path, detail: why });
}
