/**
 * Ways to use a file, each of them tried for real: what does not do what it says is an assertion
 * that fails, and no answer.
 *
 * @module
 */
import type { RawMapping } from "../dax/raw-mapping.ts";
import type { DaxFile } from "../drivers/dax-file.ts";
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
import { type Pinnable, pinPages } from "../vfs/user-pages.ts";

/** A device of device-dax that holds what every file holds, and a disk. */
export interface DeviceStage {
  readonly device: DaxFile;
  readonly onDisk: OpenFile;
}

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

/** Of a device, as much as a file has. */
const PART = { offset: 0, length: ATTEMPT_BYTES };

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
  /** The same on the character device of device-dax, where there is such a thing. */
  readonly onDevice?: (stage: DeviceStage) => Attempted;
}

/** All of them, in the order of a table. */
export const ATTEMPTS: readonly Attempt[] = [
  {
    api: "read",
    run: ({ file }) => isData(readAll(file)),
    onDevice: ({ device }) => device.read(),
  },
  { api: "write and fsync", run: writeAndSync, onDevice: ({ device }) => device.write() },
  {
    api: "mmap shared, load",
    run: ({ file }) => isData(loaded(file.map())),
    onDevice: ({ device }) => isData(device.map(PART).bytes),
  },
  {
    api: "mmap shared, store and flush",
    run: storeAndSync,
    onDevice: ({ device }) => storeTo(device.map({ ...PART, access: "write" })),
  },
  {
    api: "mmap private, store",
    run: storePrivately,
    onDevice: ({ device }) => isData(device.map({ ...PART, private: true }).bytes),
  },
  { api: "mmap with MAP_SYNC", isNew: true, run: mapSync },
  { api: "MAP_POPULATE", run: populate },
  { api: "mlock", run: lock },
  { api: "load after truncation, locked", run: truncateUnderLock },
  { api: "splice to a pipe", run: spliceToPipe },
  { api: "splice from a pipe", run: spliceFromPipe },
  { api: "sendfile", run: spliceToPipe },
  {
    api: "vmsplice of a mapping",
    run: ({ file }) => giveToPipe(file.map()),
    onDevice: ({ device }) => giveToPipe(device.map(PART)),
  },
  {
    api: "O_DIRECT from a disk to a mapping",
    run: ({ file, onDisk }) => readInto(file, onDisk),
    onDevice: ({ device, onDisk }) => readToDevice(device, onDisk),
  },
  {
    api: "O_DIRECT from a mapping to a disk",
    run: ({ file, onDisk }) => writeFrom(file.map(), onDisk),
    onDevice: ({ device, onDisk }) => writeFrom(device.map(PART), onDisk),
  },
  { api: "O_DIRECT from dax to a mapping", run: ({ file, otherDax }) => readInto(file, otherDax) },
  {
    api: "O_DIRECT from a mapping to dax",
    run: ({ file, otherDax }) => writeFrom(file.map(), otherDax),
  },
  {
    api: "pin for one transfer",
    run: ({ file }) => pinned(file.map(), false),
    onDevice: ({ device }) => pinned(device.map(PART), false),
  },
  {
    api: "pin for RDMA",
    run: ({ file }) => pinned(file.map(), true),
    onDevice: ({ device }) => pinned(device.map(PART), true),
  },
  { api: "truncate under a pin", run: truncateUnderPin },
  {
    api: "futex in two mappings",
    run: ({ file }) => futexes(file.map(), file.map({ offset: 4096 })),
    onDevice: ({ device }) => futexes(device.map(PART), device.map({ offset: 4096, length: 4096 })),
  },
  {
    api: "ptrace",
    run: ({ file }) => isData(peek(file.map(), 0, ATTEMPT_BYTES)),
    onDevice: ({ device }) => isData(peek(device.map(PART), 0, ATTEMPT_BYTES)),
  },
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
  return storeTo(file.map({ access: "write" }));
}

function storeTo(mapping: Mapping | RawMapping): Attempted {
  mapping.copyIn(0, patterned());
  mapping.flush();
  mapping.unmap();
  return {};
}

function storePrivately({ file }: Stage): Attempted {
  const mapping = file.map({ private: true, access: "write" });
  mapping.setUint8(0, 0xff);
  assert(mapping.getUint8(0) === 0xff, "the store is there");
  return { check: () => expectBytes(readAll(file)) };
}

function populate({ file }: Stage): Attempted {
  const mapping = file.map({ populate: "read" });
  return { check: () => expectBytes(loaded(mapping)) };
}

function lock({ file }: Stage): Attempted {
  const mapping = file.map();
  mapping.mlock();
  return { check: () => expectBytes(loaded(mapping)) };
}

/** No lock keeps anybody from cutting the file. */
function truncateUnderLock({ file }: Stage): Attempted {
  const mapping = file.map();
  mapping.mlock();
  file.truncate(0);
  mapping.getUint8(0);
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

function giveToPipe(mapping: Pinnable): Attempted {
  const pipe = new Pipe();
  vmsplice(mapping, 0, ATTEMPT_BYTES, pipe);
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

function readToDevice(device: DaxFile, source: OpenFile): Attempted {
  const mapping = device.map({ ...PART, access: "write" });
  mapping.copyIn(0, new Uint8Array(ATTEMPT_BYTES));
  directRead({ file: source, offset: 0, mapping, at: 0, length: ATTEMPT_BYTES });
  return { moved: ATTEMPT_BYTES, check: () => expectBytes(mapping.bytes) };
}

function writeFrom(mapping: Pinnable, target: OpenFile): Attempted {
  directWrite({ file: target, offset: 0, mapping, at: 0, length: ATTEMPT_BYTES });
  return { check: () => expectBytes(readAll(target)) };
}

function pinned(mapping: Pinnable, longTerm: boolean): Attempted {
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

/** The other mapping begins a page behind the first. */
function futexes(one: Pinnable, other: Pinnable): Attempted {
  const key = futexKey(one, 4096 + 8);
  assert(isSameFutex(key, futexKey(other, 8)), "a word of the file is one futex");
  assert(!isSameFutex(key, futexKey(other, 12)), "another word is another one");
  return {};
}
