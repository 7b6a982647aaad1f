/**
 * SIGBUS, survived. A load from a mapped file that was truncated behind our back, a store into a
 * sparse file on a full disk, or a failing DIMM raises SIGBUS, which JavaScript cannot catch. An
 * emitted handler maps a private zero page over the page of our own that failed and logs its
 * address; here the log is read and each mapping is told which of its pages are gone.
 *
 * One handler for each thread that maps, each with its own table: a handler passes what is not in
 * its table to the one that was installed before it.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { arm64BusHandler, FAULT_TABLE, x86BusHandler } from "./instructions.ts";
import { libc } from "./libc.unsafe.ts";
import { emit, fixedMemory } from "./machine-code.unsafe.ts";
import { systemError } from "./system-error.ts";

/** Is told the addresses of its pages that failed. Must not keep its mapping alive. */
export interface FaultSink {
  faulted(address: number): void;
  /** More faults came than the log holds: any page may be gone. */
  overflowed(): void;
}

/** A range of memory that faults may hit; give it back before the range is unmapped. */
export interface FaultGuard {
  release(): void;
}

const SIGBUS = 7;
/** The kernel does not let a fault be ignored: it kills. */
const SIG_IGN = 1n;
const SA_SIGINFO = 4;
const SA_NODEFER = 0x40000000;
const SA_ONSTACK = 0x08000000;
/** libc's struct sigaction on 64-bit Linux: handler, 128 bytes of mask, flags, restorer. */
const SIGACTION = { bytes: 152, flags: 136 } as const;

interface Slot {
  readonly sink: FaultSink;
  readonly start: number;
  readonly end: number;
}

class FaultTable {
  readonly #words: BigUint64Array;
  readonly #hits: Uint32Array;
  readonly #slots: (Slot | undefined)[] = [];
  #seen = 0;

  constructor(buffer: ArrayBuffer) {
    this.#words = new BigUint64Array(buffer);
    this.#hits = new Uint32Array(buffer);
  }

  /** Whether faults were logged that no sink has heard of. One load. */
  get pending(): boolean {
    return this.#hits[0] !== this.#seen;
  }

  /** @throws ENOMEM when every slot is taken */
  guard(start: number, length: number, granule: number, sink: FaultSink): FaultGuard {
    let index = this.#slots.findIndex((slot) => slot === undefined);
    if (index === -1) index = this.#slots.length;
    if (index === FAULT_TABLE.slotCount) {
      throw new DaxError("ENOMEM", {
        syscall: "mmap",
        detail: `${index} mappings are open; release some, or join them`,
      });
    }
    const end = start + length;
    this.#slots[index] = { sink, start, end };
    const word = (FAULT_TABLE.firstSlot + index * FAULT_TABLE.slotBytes) / 8;
    // The handler may run between any two of these: the slot matches nothing until its end is set.
    Atomics.store(this.#words, word, BigInt(start));
    Atomics.store(this.#words, word + 2, BigInt(granule));
    Atomics.store(this.#words, word + 1, BigInt(end));
    Atomics.store(this.#words, FAULT_TABLE.slots / 8, BigInt(this.#slots.length));
    return {
      release: () => {
        this.deliver();
        Atomics.store(this.#words, word + 1, 0n);
        this.#slots[index] = undefined;
      },
    };
  }

  /** Tells every sink about the faults logged since the last time. */
  deliver(): void {
    const hits = this.#hits[0]!;
    const fresh = (hits - this.#seen) >>> 0;
    this.#seen = hits;
    if (fresh > FAULT_TABLE.logCount) {
      for (const slot of this.#slots) slot?.sink.overflowed();
      return;
    }
    for (let number = hits - fresh; number < hits; number++) {
      const entry = FAULT_TABLE.log / 8 + ((number >>> 0) % FAULT_TABLE.logCount);
      const address = Number(this.#words[entry]);
      const slot = this.#slots.find(
        (each) => each !== undefined && address >= each.start && address < each.end,
      );
      slot?.sink.faulted(address);
    }
  }
}

let table: FaultTable | undefined;
let refused = false;

/**
 * Installs the handler once a thread. Undefined where it cannot be: no foreign calls, or no
 * executable pages.
 */
function install(): FaultTable | undefined {
  if (table === undefined && !refused) {
    try {
      table = installed();
    } catch {
      refused = true;
    }
  }
  return table;
}

function installed(): FaultTable {
  const { address, buffer } = fixedMemory(FAULT_TABLE.bytes);
  replaceBusHandler((previous) => {
    new DataView(buffer).setBigUint64(FAULT_TABLE.previous, BigInt(previous), true);
    return emit(process.arch === "x64" ? x86BusHandler(address) : arm64BusHandler(address));
  });
  return new FaultTable(buffer);
}

/**
 * Puts a handler of SIGBUS before the one that is installed. `make` is told that one (0 for the
 * default) before its own can run, and returns the address of its own.
 * @throws ENOTSUP without foreign calls, and what sigaction or `make` says
 */
export function replaceBusHandler(make: (previous: number) => number): void {
  const c = libc();
  if (c === undefined) throw new DaxError("ENOTSUP");
  const action = new Uint8Array(SIGACTION.bytes);
  const before = new Uint8Array(SIGACTION.bytes);
  if (c.sigaction(SIGBUS, null, before) === -1) {
    throw systemError(c.errno(), { syscall: "sigaction" });
  }
  const handler = new DataView(before.buffer).getBigUint64(0, true);
  const fields = new DataView(action.buffer);
  fields.setBigUint64(0, BigInt(make(handler === SIG_IGN ? 0 : Number(handler))), true);
  fields.setUint32(SIGACTION.flags, SA_SIGINFO | SA_NODEFER | SA_ONSTACK, true);
  if (c.sigaction(SIGBUS, action, before) === -1) {
    throw systemError(c.errno(), { syscall: "sigaction" });
  }
}

/**
 * Guards `[start, start + length)`: a fault inside replaces `granule` bytes (a power of two, the
 * size of a page of the mapping) by zeros and is told to `sink`. Undefined where no handler could
 * be installed; such a fault ends the process then.
 * @throws ENOMEM when 4096 ranges are guarded already
 */
export function guardRange(
  start: number,
  length: number,
  granule: number,
  sink: FaultSink,
): FaultGuard | undefined {
  return install()?.guard(start, length, granule, sink);
}

/** Tells the sinks about new faults, if there are any. A few nanoseconds when there are none. */
export function deliverFaults(): void {
  if (table !== undefined && table.pending) table.deliver();
}
