/**
 * Ways to use a file, each of them tried for real: what does not do what it says is an assertion
 * that fails, and no answer.
 *
 * @module
 */
import { assert } from "../lib/errno.ts";
import type { Mapping } from "../vfs/mapping.ts";
import type { OpenFile } from "../vfs/open-file.ts";
import {
  Pipe,
  directRead,
  directWrite,
  futexKey,
  isSameFutex,
  peek,
  spliceFrom,
  spliceTo,
  vmsplice,
} from "../vfs/page-calls.ts";
import { pinPages } from "../vfs/user-pages.ts";

/** Bytes that an attempt moves. */
export const ATTEMPT_BYTES = 128 * 1024;

/** A machine, and files on it to try things on. */
export interface Stage {
  /** `ATTEMPT_BYTES` of noise, open for reading and writing. */
  readonly file: OpenFile;
  /** As long, on another device with dax. */
  readonly otherDax: OpenFile;
  /** As long, on a disk that has no dax. */
  readonly onDisk: OpenFile;
}

/** What is left to say of an attempt that was not refused. */
export interface Attempted {
  /** Bytes among those counted as copied that a device moved by itself. */
  readonly moved?: number;
  /** Asserts that it did what it should; what it copies is not counted. */
  readonly check?: () => void;
}

/** One way to use a file. */
export interface Attempt {
  readonly api: string;
  /** Linux 4.1 does not know it. */
  readonly isNew?: true;
  /** @throws DaxError when it is refused */
  readonly run: (stage: Stage) => Attempted;
}

/** All of them, in the order of a table. */
export const ATTEMPTS: readonly Attempt[] = [
  { api: "read", run: ({ file }) => isData(readAll(file)) },
  { api: "write and fsync", run: writeAndSync },
  { api: "mmap shared, load", run: ({ file }) => isData(loaded(file.map())) },
  { api: "mmap shared, store and msync", run: storeAndSync },
  { api: "mmap with MAP_SYNC", isNew: true, run: mapSync },
  { api: "splice to a pipe", run: spliceToPipe },
  { api: "splice from a pipe", run: spliceFromPipe },
  { api: "sendfile", run: spliceToPipe },
  { api: "vmsplice of a mapping", run: giveToPipe },
  { api: "O_DIRECT from a disk to a mapping", run: ({ file, onDisk }) => readInto(file, onDisk) },
  { api: "O_DIRECT from a mapping to a disk", run: ({ file, onDisk }) => writeFrom(file, onDisk) },
  { api: "O_DIRECT from dax to a mapping", run: ({ file, otherDax }) => readInto(file, otherDax) },
  { api: "O_DIRECT from a mapping to dax", run: ({ file, otherDax }) => writeFrom(file, otherDax) },
  { api: "pin for one transfer", run: ({ file }) => pinned(file, false) },
  { api: "pin for RDMA", run: ({ file }) => pinned(file, true) },
  { api: "truncate under a pin", run: truncateUnderPin },
  { api: "futex in two mappings", run: futexes },
  { api: "ptrace", run: ({ file }) => isData(peek(file.map(), 0, ATTEMPT_BYTES)) },
];

/** What every file holds. */
export function patterned(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(ATTEMPT_BYTES);
  for (let at = 0; at < bytes.length; at++) bytes[at] = at % 251;
  return bytes;
}

function isData(bytes: Uint8Array): Attempted {
  return { check: () => expectBytes(bytes) };
}

function expectBytes(bytes: Uint8Array): void {
  assert(bytes.length === ATTEMPT_BYTES, () => `${bytes.length} bytes came`);
  const wrong = bytes.findIndex((byte, at) => byte !== at % 251);
  assert(wrong === -1, () => `byte ${wrong} is ${bytes[wrong]}`);
}

function readAll(file: OpenFile): Uint8Array {
  const bytes = new Uint8Array(ATTEMPT_BYTES);
  file.pread(bytes, 0);
  return bytes;
}

function writeAndSync({ file }: Stage): Attempted {
  file.pwrite(patterned(), 0);
  file.sync("data");
  return {};
}

/** All bytes of a mapping: the memory itself, or by checked loads where there is none to show. */
function loaded(mapping: Mapping): Uint8Array {
  if (mapping.inode.isDax) return mapping.bytes;
  const bytes = new Uint8Array(mapping.length);
  mapping.copyOut(0, bytes);
  return bytes;
}

function storeAndSync({ file }: Stage): Attempted {
  const mapping = file.map({ access: "write" });
  mapping.copyIn(0, patterned());
  mapping.flush();
  mapping.unmap();
  return {};
}

function mapSync({ file }: Stage): Attempted {
  file.map({ access: "write", sync: true }).unmap();
  return {};
}

function spliceToPipe({ file }: Stage): Attempted {
  const pipe = new Pipe();
  spliceFrom(file, 0, ATTEMPT_BYTES, pipe);
  return { check: () => expectBytes(pipe.takeAll()) };
}

function spliceFromPipe({ file }: Stage): Attempted {
  const pipe = new Pipe();
  pipe.copy(patterned());
  assert(spliceTo(pipe, file, 0) === ATTEMPT_BYTES, "the pipe was written whole");
  return { check: () => expectBytes(readAll(file)) };
}

function giveToPipe({ file }: Stage): Attempted {
  const pipe = new Pipe();
  vmsplice(file.map({ access: "write" }), 0, ATTEMPT_BYTES, pipe);
  assert(pipe.copied === 0, "pages were given, and no copies");
  return { check: () => expectBytes(pipe.takeAll()) };
}

function readInto(file: OpenFile, source: OpenFile): Attempted {
  const mapping = file.map({ access: "write" });
  mapping.copyIn(0, new Uint8Array(ATTEMPT_BYTES));
  directRead({ file: source, offset: 0, mapping, at: 0, length: ATTEMPT_BYTES });
  // A device stores into pages by itself; another file on dax is copied by the CPU.
  const moved = file.inode.isDax && !source.inode.isDax ? ATTEMPT_BYTES : 0;
  return { moved, check: () => expectBytes(readAll(file)) };
}

function writeFrom(file: OpenFile, target: OpenFile): Attempted {
  const mapping = file.map();
  directWrite({ file: target, offset: 0, mapping, at: 0, length: ATTEMPT_BYTES });
  return { check: () => expectBytes(readAll(target)) };
}

function pinned(file: OpenFile, longTerm: boolean): Attempted {
  const mapping = file.map({ access: "write" });
  const pages = pinPages(mapping, 0, ATTEMPT_BYTES, { name: "a network card", longTerm });
  const bytes = new Uint8Array(ATTEMPT_BYTES);
  pages.load(bytes);
  pages.release();
  return isData(bytes);
}

/** Works where pages need not be the file's: those of a cache live on without it. */
function truncateUnderPin({ file }: Stage): Attempted {
  const pages = pinPages(file.map(), 0, ATTEMPT_BYTES, { name: "a network card" });
  try {
    file.truncate(0);
  } finally {
    pages.release();
  }
  return {};
}

function futexes({ file }: Stage): Attempted {
  const [one, other] = [file.map(), file.map({ offset: 4096 })];
  const key = futexKey(one, 4096 + 8);
  assert(isSameFutex(key, futexKey(other, 8)), "a word of the file is one futex");
  assert(!isSameFutex(key, futexKey(other, 12)), "another word is another one");
  return {};
}
