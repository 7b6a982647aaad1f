/**
 * One mapping of a file into this process: its pages, the views handed out over them, and its end.
 *
 * The order of an end is fixed: detach every view, then unmap. A view of unmapped memory is a crash
 * or, worse, somebody else's memory.
 *
 * @module
 */
import { type DaxError, assert } from "../lib/errno.ts";
import {
  detach,
  type Libc,
  LONGEST_VIEW,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_SYNC,
  MS_SYNC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  viewOf,
} from "./libc.unsafe.ts";
import { type FaultGuard, type FaultSink, guardRange } from "./sigbus.unsafe.ts";
import { systemError } from "./system-error.ts";

/** A run of a file, or of zeros where `start` is undefined; whole pages but for the last one. */
export interface MappedPiece {
  readonly start: number | undefined;
  readonly length: number;
}

/** What to map. */
export interface MappingRequest {
  readonly fd: number;
  readonly path: string;
  /** At least one; not empty. */
  readonly pieces: readonly MappedPiece[];
  /** Stores reach the file. Without it they are private to the mapping. */
  readonly shared: boolean;
  /** Ask for MAP_SYNC, and do without it where it is refused. */
  readonly sync: boolean;
  /** Who hears of SIGBUS; without one it ends the process. Must not keep the mapping alive. */
  readonly faults: FaultSink | undefined;
}

/** Where a piece ended up. */
interface PlacedPiece extends MappedPiece {
  readonly address: number;
}

/** What is unmapped when nobody can reach it any more. */
interface Lease {
  readonly libc: Libc;
  readonly address: number;
  readonly length: number;
  guard: FaultGuard | undefined;
  holders: number;
}

/**
 * The backstop for mappings that nobody closed: unmaps when the mapping and every buffer over it
 * were collected. Views keep their buffer alive, so no view can outlive the memory.
 */
const backstop = new FinalizationRegistry<Lease>((lease) => {
  lease.holders--;
  if (lease.holders > 0) return;
  lease.guard?.release();
  lease.libc.munmap(lease.address, lease.length);
});

const READ_WRITE = PROT_READ | PROT_WRITE;
const EOPNOTSUPP = 95;
const EINVAL = 22;

/** See the module. */
export class HostMapping {
  readonly path: string;
  readonly address: number;
  readonly length: number;
  /** MAP_SYNC was granted: what is flushed to memory survives, metadata included. */
  readonly synchronous: boolean;
  readonly #libc: Libc;
  readonly #request: MappingRequest;
  readonly #pieces: readonly PlacedPiece[];
  readonly #lease: Lease;
  #buffers: ArrayBuffer[] = [];
  #mapped = true;

  /** @throws ENOMEM when there is no room, ENOTSUP, EACCES and whatever else mmap says */
  constructor(libc: Libc, request: MappingRequest) {
    const pieces = coalesce(request.pieces);
    const { path, faults } = request;
    const placed = pieces.length === 1 ? mapOne(libc, request) : mapMany(libc, request, pieces);
    const last = pieces.at(-1)!;
    const total = pieces.reduce((sum, piece) => sum + piece.length, 0);
    this.path = path;
    this.address = placed.address;
    this.length = total;
    this.synchronous = placed.synchronous;
    this.#libc = libc;
    this.#request = request;
    let at = placed.address;
    this.#pieces = pieces.map(({ start, length }) => {
      const address = at;
      at += length;
      return { start, length, address };
    });
    assert(last.length > 0, "a mapping has no empty pieces");
    const length = roundUp(total, libc.pageSize);
    this.#lease = { libc, address: placed.address, length, guard: undefined, holders: 1 };
    backstop.register(this, this.#lease, this.#lease);
    if (faults !== undefined) this.#lease.guard = this.#guarded(length, faults);
  }

  /** Whether SIGBUS inside the mapping is survived. */
  get guarded(): boolean {
    return this.#lease.guard !== undefined;
  }

  /** Aliases the mapping: one array buffer over `length` bytes from byte `at`. */
  view(at: number, length: number): ArrayBuffer {
    assert(this.#mapped && at >= 0 && at + length <= this.length, "view of no mapping");
    const buffer = viewOf(this.address + at, length);
    this.#buffers.push(buffer);
    this.#lease.holders++;
    backstop.register(buffer, this.#lease, this.#lease);
    return buffer;
  }

  /** Writes `length` bytes from byte `at` to the file's device. @throws EIO, ENOSPC, ENXIO */
  msync(at: number, length: number): void {
    const { pageSize } = this.#libc;
    const start = at - (at % pageSize);
    const bytes = at + length - start;
    if (this.#libc.msync(this.address + start, bytes, MS_SYNC) === -1) {
      throw systemError(this.#libc.errno(), {
        syscall: "msync",
        path: this.path,
        detail: `${bytes} bytes at ${start}`,
      });
    }
  }

  /** The byte of the file at `address`; undefined outside the mapping and in its zeros. */
  offsetAt(address: number): number | undefined {
    if (address < this.address || address >= this.address + this.#lease.length) return undefined;
    const piece = this.#pieces.findLast((each) => each.address <= address);
    return piece?.start === undefined ? undefined : piece.start + (address - piece.address);
  }

  /** Maps the file anew over its pages `[start, start + length)`, after they failed. */
  repair(start: number, length: number): void {
    for (const piece of this.#pieces) {
      if (piece.start === undefined) continue;
      const from = Math.max(start, piece.start);
      const to = Math.min(start + length, piece.start + piece.length);
      if (to <= from) continue;
      const address = piece.address + (from - piece.start);
      mapAt(this.#libc, this.#request, address, from, to - from, this.synchronous);
    }
  }

  /** Detaches every view, then unmaps. Idempotent. */
  release(): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    for (const buffer of this.#buffers) detach(buffer);
    this.#buffers = [];
    backstop.unregister(this.#lease);
    this.#lease.guard?.release();
    const { address, length } = this.#lease;
    if (this.#libc.munmap(address, length) === -1) {
      throw systemError(this.#libc.errno(), { syscall: "munmap", path: this.path });
    }
  }

  /** @throws ENOMEM after unmapping, when too many mappings are guarded */
  #guarded(length: number, faults: FaultSink): FaultGuard | undefined {
    try {
      return guardRange(this.address, length, this.#libc.pageSize, faults);
    } catch (error) {
      this.release();
      throw error;
    }
  }
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step;
}

/** Joins pieces that continue each other: each one left costs a mapping of the kernel. */
function coalesce(pieces: readonly MappedPiece[]): MappedPiece[] {
  const joined: MappedPiece[] = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    const continues =
      last !== undefined &&
      (last.start === undefined
        ? piece.start === undefined
        : piece.start === last.start + last.length);
    if (continues) joined[joined.length - 1] = { ...last, length: last.length + piece.length };
    else joined.push(piece);
  }
  return joined;
}

function refused(libc: Libc, path: string, detail: string): DaxError {
  return systemError(libc.errno(), { syscall: "mmap", path, detail });
}

/** Flags for a part of the file; a private mapping may be stored to, and keeps that to itself. */
function flagsOf(shared: boolean, sync: boolean): number {
  if (!shared) return MAP_PRIVATE | MAP_NORESERVE;
  return sync ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
}

/** A single piece: the kernel chooses where. MAP_SYNC is tried first, for it may be refused. */
function mapOne(libc: Libc, request: MappingRequest): { address: number; synchronous: boolean } {
  const { fd, path, shared, pieces } = request;
  const joined = coalesce(pieces)[0]!;
  const { start, length } = joined;
  const trySync = request.sync && shared && start !== undefined;
  for (const sync of trySync ? [true, false] : [false]) {
    const flags =
      start === undefined ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : flagsOf(shared, sync);
    const file = start === undefined ? -1 : fd;
    const address = libc.mmap(0, length, READ_WRITE, flags, file, start ?? 0);
    if (address !== -1) return { address, synchronous: sync };
    const errno = libc.errno();
    // Kernels before 4.15 know no MAP_SHARED_VALIDATE and say EINVAL.
    if (!sync || (errno !== EOPNOTSUPP && errno !== EINVAL)) break;
  }
  throw refused(libc, path, `mapping ${length} bytes at ${start ?? "no place"}`);
}

/** Several pieces: address space is reserved, then each piece takes its place in it. */
function mapMany(
  libc: Libc,
  request: MappingRequest,
  pieces: readonly MappedPiece[],
): { address: number; synchronous: boolean } {
  const total = pieces.reduce((sum, piece) => sum + roundUp(piece.length, libc.pageSize), 0);
  // A fixed mapping that is refused may leave a hole, so MAP_SYNC is settled before, elsewhere.
  const synchronous = request.sync && request.shared && grantsSync(libc, request);
  const none = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const base = libc.mmap(0, total, PROT_NONE, none, -1, 0);
  if (base === -1) throw refused(libc, request.path, `reserving ${total} bytes of address space`);
  let at = base;
  for (const { start, length } of pieces) {
    try {
      mapAt(libc, request, at, start, length, synchronous);
    } catch (error) {
      // The place of the refused piece may be a hole by now, or another thread's: it stays.
      if (at > base) libc.munmap(base, at - base);
      const next = at + roundUp(length, libc.pageSize);
      if (next < base + total) libc.munmap(next, base + total - next);
      throw error;
    }
    at += roundUp(length, libc.pageSize);
  }
  return { address: base, synchronous };
}

function grantsSync(libc: Libc, request: MappingRequest): boolean {
  const piece = request.pieces.find((each) => each.start !== undefined);
  if (piece?.start === undefined) return false;
  const flags = MAP_SHARED_VALIDATE | MAP_SYNC;
  const probe = libc.mmap(0, libc.pageSize, READ_WRITE, flags, request.fd, piece.start);
  if (probe === -1) return false;
  libc.munmap(probe, libc.pageSize);
  return true;
}

/** Maps a piece over address space that is ours. */
function mapAt(
  libc: Libc,
  request: MappingRequest,
  address: number,
  start: number | undefined,
  length: number,
  sync: boolean,
): void {
  const flags =
    start === undefined
      ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
      : flagsOf(request.shared, sync);
  const fd = start === undefined ? -1 : request.fd;
  const got = libc.mmap(address, length, READ_WRITE, flags | MAP_FIXED, fd, start ?? 0);
  if (got !== -1) return;
  throw refused(
    libc,
    request.path,
    `mapping ${length} bytes at ${start ?? "a hole"}; vm.max_map_count limits mappings`,
  );
}

/** Bytes in the longest array that {@link HostMapping.view} can make here. */
export const longestView = LONGEST_VIEW;
