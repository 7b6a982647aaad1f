/**
 * Cache control: emits the instructions that this CPU has and makes them callable. Where executable
 * pages are refused (hardened hosts), libpmem does the same work if it is installed.
 *
 * @module
 */
import { assert } from "../lib/errno.ts";
import {
  arm64Drain,
  arm64Flush,
  arm64LineInstructions,
  type LineInstruction,
  lineInstructions,
  x86Copy,
  x86Cpuid,
  x86Drain,
  x86Flush,
} from "./instructions.ts";
import {
  functionAt,
  functionIn,
  libc,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
  viewOf,
} from "./libc.unsafe.ts";
import { systemError } from "./system-error.ts";

/**
 * Takes stored bytes from the CPU's caches to memory. Addresses must be mapped; a range is rounded
 * out to whole lines.
 */
export interface CacheControl {
  /** What does it: an instruction's name, or `libpmem`. */
  readonly name: string;
  /** Whether memory reached is memory kept: false where only coherency is reached (dc cvac). */
  readonly persistent: boolean;
  /** Writes back the lines of a range, at the latest at the next {@link drain}. */
  flush(address: number, length: number): void;
  /** Returns when all that was flushed or copied before has left the caches. */
  drain(): void;
  /** Copies around the cache, to any alignment and length; complete after {@link drain}. */
  readonly copy?: (address: number, source: Uint8Array) => void;
}

const CODE_PAGE = 4096;

/**
 * Makes code executable for as long as the process lives; returns its address. Pages are written
 * first and made executable then, never both at once.
 * @throws EACCES, EPERM or ENOMEM where the system refuses
 */
export function emit(code: readonly number[]): number {
  const c = libc();
  assert(c !== undefined && code.length <= CODE_PAGE, "code needs foreign calls and one page");
  const address = c.mmap(0, CODE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address === -1) throw systemError(c.errno(), { syscall: "mmap" });
  new Uint8Array(viewOf(address, CODE_PAGE)).set(code);
  if (c.mprotect(address, CODE_PAGE, PROT_READ | PROT_EXEC) === -1) {
    const errno = c.errno();
    c.munmap(address, CODE_PAGE);
    throw systemError(errno, { syscall: "mprotect", detail: "executable pages are refused here" });
  }
  return address;
}

/** Zeroed memory of our own at a fixed address, for as long as the process lives. */
export function fixedMemory(length: number): { readonly address: number; buffer: ArrayBuffer } {
  const c = libc();
  assert(c !== undefined, "fixed memory needs foreign calls");
  const address = c.mmap(0, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address === -1) throw systemError(c.errno(), { syscall: "mmap" });
  return { address, buffer: viewOf(address, length) };
}

/** Ranges that wait for one call: a call costs as much as several lines. */
const QUEUE_RANGES = 127;
/** Beyond this a range is written back at once, while the caller goes on. */
const QUEUE_BYTES = 16384;

/** Emitted code with a queue before it. */
class EmittedCacheControl implements CacheControl {
  readonly name: string;
  readonly persistent: boolean;
  declare readonly copy?: (address: number, source: Uint8Array) => void;
  readonly #flush: (address: number, length: number) => void;
  readonly #drain: () => void;
  /** Two doubles a range behind a head of two; see `x86Drain`. */
  readonly #block: Float64Array;
  #queued = 0;

  constructor(name: string, make: (block: number) => EmittedCode) {
    const { address, buffer } = fixedMemory(16 * (QUEUE_RANGES + 1));
    const code = make(address);
    this.name = name;
    this.persistent = code.persistent;
    this.#block = new Float64Array(buffer);
    this.#flush = functionAt(emit(code.flush), "void", ["uintptr_t", "size_t"]);
    this.#drain = functionAt(emit(code.drain), "void", []);
    if (code.copy === undefined) return;
    const copy = functionAt(emit(code.copy), "void", ["uintptr_t", "const void *", "size_t"]);
    this.copy = (target, source) => void copy(target, source, source.length);
  }

  flush(address: number, length: number): void {
    if (length === 0) return;
    if (length > QUEUE_BYTES) {
      this.#flush(address, length);
      return;
    }
    const at = 2 * this.#queued + 2;
    this.#block[at] = address;
    this.#block[at + 1] = length;
    this.#queued++;
    if (this.#queued === QUEUE_RANGES) this.drain();
  }

  drain(): void {
    this.#block[0] = this.#queued;
    this.#queued = 0;
    this.#drain();
  }
}

/** The routines of one strategy. */
interface EmittedCode {
  readonly persistent: boolean;
  readonly flush: readonly number[];
  readonly drain: readonly number[];
  readonly copy?: readonly number[];
}

function x86Code(instruction: LineInstruction) {
  return (block: number): EmittedCode => ({
    persistent: true,
    flush: x86Flush(instruction),
    drain: x86Drain(instruction, block),
    copy: x86Copy(instruction),
  });
}

/** Line write-back instructions of this x86-64 CPU, from CPUID leaves 1 and 7. */
function x86Features(): ReadonlySet<string> {
  const cpuid = functionAt(emit(x86Cpuid()), "void", ["uint32", "uint32", "void *"]);
  const out = new Uint8Array(16);
  const register = new DataView(out.buffer);
  const found = new Set<string>();
  cpuid(0, 0, out);
  const leaves = register.getUint32(0, true);
  cpuid(1, 0, out);
  // The loops step by 64: a CPU with other lines is left to libpmem.
  const lineBytes = ((register.getUint32(4, true) >>> 8) & 255) * 8;
  if (((register.getUint32(12, true) >>> 19) & 1) === 0 || lineBytes !== 64) return found;
  found.add("clflush");
  if (leaves < 7) return found;
  cpuid(7, 0, out);
  const ebx = register.getUint32(4, true);
  if ((ebx >>> 23) & 1) found.add("clflushopt");
  if ((ebx >>> 24) & 1) found.add("clwb");
  return found;
}

const AT_HWCAP = 16;
const HWCAP_DCPOP = 1 << 16;

/** What this CPU can do, best first. @throws EACCES, EPERM where executable pages are refused */
function emitted(): readonly string[] {
  if (process.arch === "x64") {
    const features = x86Features();
    return Object.keys(lineInstructions).filter((name) => features.has(name));
  }
  const persistent = (libc()!.getauxval(AT_HWCAP) & HWCAP_DCPOP) !== 0;
  return persistent ? ["dc cvap", "dc cvac"] : ["dc cvac"];
}

function makeEmitted(name: string): CacheControl {
  if (name in lineInstructions) {
    const instruction = lineInstructions[name as keyof typeof lineInstructions];
    return new EmittedCacheControl(name, x86Code(instruction));
  }
  const instruction = arm64LineInstructions[name as keyof typeof arm64LineInstructions];
  return new EmittedCacheControl(name, (block) => ({
    persistent: name === "dc cvap",
    flush: arm64Flush(instruction),
    drain: arm64Drain(instruction, block),
  }));
}

const PMEM_F_MEM_NODRAIN = 1;
const PMEM_F_MEM_NONTEMPORAL = 2;

function pmem(name: string, ...parameters: string[]) {
  return functionIn("libpmem.so.1", name, "void", parameters);
}

/** Cache control by libpmem; undefined where it is not installed. */
function libpmem(): CacheControl | undefined {
  const flush = pmem("pmem_flush", "uintptr_t", "size_t");
  const drain = pmem("pmem_drain");
  const copy = pmem("pmem_memcpy", "uintptr_t", "const void *", "size_t", "uint");
  if (flush === undefined || drain === undefined || copy === undefined) return undefined;
  return {
    name: "libpmem",
    persistent: true,
    flush: (address, length) => void flush(address, length),
    drain: () => void drain(),
    copy: (address, source) =>
      void copy(address, source, source.length, PMEM_F_MEM_NODRAIN | PMEM_F_MEM_NONTEMPORAL),
  };
}

/** What is possible in this process, best first, each with its maker. */
export function cacheControls(): readonly { name: string; make: () => CacheControl | undefined }[] {
  if (libc() === undefined) return [];
  let names: readonly string[] = [];
  try {
    names = emitted();
  } catch {
    // No executable pages: libpmem's are mapped from a file, which is still allowed.
  }
  const own = names.map((name) => ({ name, make: () => makeEmitted(name) }));
  return [...own, { name: "libpmem", make: libpmem }];
}

let chosen: CacheControl | undefined | "none";

/** The best cache control of this process, made once; undefined where there is none. */
export function cacheControl(): CacheControl | undefined {
  if (libc() === undefined) return undefined;
  chosen ??= cacheControls()[0]?.make() ?? "none";
  return chosen === "none" ? undefined : chosen;
}
