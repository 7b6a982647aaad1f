/**
 * System calls that hand pages around instead of bytes: splice, vmsplice, sendfile, direct I/O to
 * and from a mapping, futexes, and a debugger's look. What each needs decides where it works: some
 * copy where they cannot be given a page, others are refused.
 *
 * @module
 */
import { PageCache } from "../block/page-cache.ts";
import { daxRead } from "../dax/file-io.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { RawMapping } from "../dax/raw-mapping.ts";
import { DaxError } from "../lib/errno.ts";
import { type Memory, copyOut } from "../lib/memory.ts";
import type { Inode } from "./filesystem.ts";
import type { OpenFile } from "./open-file.ts";
import { type Pinnable, type UserPage, pinPages } from "./user-pages.ts";

/** Bytes in a pipe: a page of somebody else's, or a copy of the pipe's own. */
export interface PipeBuffer {
  readonly memory: Memory;
  /** The byte of `memory` at which it starts. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** Lets the page go. */
  readonly release: () => void;
}

/** A pipe, as splice(2) knows it: a queue of pages. */
export class Pipe {
  readonly #buffers: PipeBuffer[] = [];
  #copied = 0;

  /** Bytes in the queue. */
  get length(): number {
    return this.#buffers.reduce((sum, { length }) => sum + length, 0);
  }

  /** Bytes that were copied to get them into the queue. */
  get copied(): number {
    return this.#copied;
  }

  /** Queues bytes of a page that stays its owner's. */
  lend(buffer: PipeBuffer): void {
    this.#buffers.push(buffer);
  }

  /** Queues a copy. */
  copy(bytes: Uint8Array<ArrayBuffer>): void {
    const memory = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#copied += bytes.length;
    this.#buffers.push({ memory, start: 0, length: bytes.length, release: () => {} });
  }

  /** Takes everything out, as a reader or a socket gets it. */
  takeAll(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.length);
    let done = 0;
    for (const { memory, start, length, release } of this.#buffers) {
      copyOut(memory, start, bytes.subarray(done, done + length));
      done += length;
      release();
    }
    this.#buffers.length = 0;
    return bytes;
  }
}

/**
 * splice(2) from a file: a page of the page cache is lent to the pipe; of a file on dax the bytes
 * are copied to pages of the pipe's own. Returns the bytes, fewer at the end of the file.
 * @throws as `daxRead`
 */
export function spliceFrom({ inode }: OpenFile, offset: number, length: number, to: Pipe): number {
  const stop = Math.min(offset + length, inode.size);
  for (let at = offset; at < stop;) {
    const run = Math.min(PAGE_SIZE - (at % PAGE_SIZE), stop - at);
    const page = cachedPage(inode, at, run);
    if (page === undefined) {
      const bytes = new Uint8Array(run);
      daxRead(inode, bytes, at);
      to.copy(bytes);
    } else to.lend({ ...page, length: run, release: () => {} });
    at += run;
  }
  return Math.max(0, stop - offset);
}

/** The page of a page cache that holds a byte of a file; undefined where there is none. */
function cachedPage(inode: Inode, at: number, run: number) {
  const map = inode.iomapBegin(at, run, "report");
  if (map.type !== "mapped" || map.range !== undefined) return undefined;
  if (!(map.store instanceof PageCache)) return undefined;
  const byte = map.addr + (at - map.offset);
  const bytes = map.store.lend(Math.floor(byte / PAGE_SIZE));
  const memory = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return { memory, start: byte % PAGE_SIZE };
}

/** splice(2) to a file: what is in the pipe is written. Returns the bytes. @throws as `pwrite` */
export function spliceTo(from: Pipe, file: OpenFile, offset: number): number {
  return file.pwrite(from.takeAll(), offset);
}

/**
 * vmsplice(2): pages of a mapping are given to a pipe, without a copy; they are pinned until
 * somebody has taken them out. @throws EFAULT where there are no pages to give, and as `pinPages`
 */
export function vmsplice(mapping: Pinnable, at: number, length: number, to: Pipe): void {
  const pins = pinPages(mapping, at, length, { name: "vmsplice" });
  const last = pins.pages.length - 1;
  for (const [index, { memory, start, length: bytes }] of pins.pages.entries()) {
    const release = index === last ? () => pins.release() : () => {};
    to.lend({ memory, start, length: bytes, release });
  }
}

/** What direct I/O moves. */
export interface DirectTransfer {
  /** The file that is open with O_DIRECT; it is read and written around its cache. */
  readonly file: OpenFile;
  readonly offset: number;
  /** The user's buffer. */
  readonly mapping: Pinnable;
  readonly at: number;
  readonly length: number;
}

/**
 * O_DIRECT read(2) with a mapping as its buffer: the device stores into the mapping's pages, so
 * that takes pages. A file on dax is copied by the CPU, which takes none.
 * @throws EFAULT where there are no pages, EACCES for a read-only mapping, and as `pread`
 */
export function directRead(transfer: DirectTransfer): number {
  const { file, offset, mapping, at, length } = transfer;
  const bytes = new Uint8Array(length);
  if (file.inode.isDax) {
    const count = file.pread(bytes, offset);
    mapping.copyIn(at, bytes.subarray(0, count));
    return count;
  }
  if (!mapping.isWritable) {
    throw new DaxError("EACCES", { syscall: "read", detail: "the mapping is read-only" });
  }
  return withPages(transfer, (pages) => {
    const count = file.pread(bytes, offset);
    return pages.store(bytes.subarray(0, count));
  });
}

/** O_DIRECT write(2) from a mapping. @throws EFAULT where there are no pages, and as `pwrite` */
export function directWrite(transfer: DirectTransfer): number {
  const { file, offset, mapping, at, length } = transfer;
  const bytes = new Uint8Array(length);
  if (file.inode.isDax) {
    mapping.copyOut(at, bytes);
    return file.pwrite(bytes, offset);
  }
  return withPages(transfer, (pages) => {
    pages.load(bytes);
    return file.pwrite(bytes, offset);
  });
}

function withPages<T>(
  { mapping, at, length }: DirectTransfer,
  body: (pages: ReturnType<typeof pinPages>) => T,
): T {
  const pages = pinPages(mapping, at, length, { name: "direct I/O" });
  try {
    return body(pages);
  } finally {
    pages.release();
  }
}

/** What a futex is known by: the same word of a file, whoever maps it, is the same futex. */
export interface FutexKey {
  /** The filesystem, or the device. */
  readonly owner: object;
  readonly ino: number;
  readonly index: number;
  /** Bytes within the page. */
  readonly within: number;
}

/**
 * The key of the word at byte `at` of a shared mapping, found by its page, as futex(2) does.
 * @throws EINVAL for a word that is not aligned, EFAULT where there is no page to ask
 */
export function futexKey(mapping: Pinnable, at: number): FutexKey {
  const byte = mapping.offset + at;
  if (byte % 4 !== 0) {
    const detail = `byte ${byte} of the file is no multiple of 4`;
    throw new DaxError("EINVAL", { syscall: "futex", detail });
  }
  const pins = pinPages(mapping, at, 4, { name: "futex" });
  const { ino, index } = pins.pages[0] as UserPage;
  pins.release();
  const owner = mapping instanceof RawMapping ? mapping.device : mapping.inode.filesystem;
  return { owner, ino, index, within: byte % PAGE_SIZE };
}

/** Whether two keys are of the same futex. */
export function isSameFutex(one: FutexKey, other: FutexKey): boolean {
  if (one.owner !== other.owner || one.ino !== other.ino) return false;
  return one.index === other.index && one.within === other.within;
}

/**
 * A look into somebody's memory from outside, as ptrace(2) and `/proc/PID/mem` take it.
 * @throws EFAULT where there are no pages
 */
export function peek(mapping: Pinnable, at: number, length: number): Uint8Array {
  const pages = pinPages(mapping, at, length, { name: "ptrace" });
  const bytes = new Uint8Array(length);
  pages.load(bytes);
  pages.release();
  return bytes;
}
