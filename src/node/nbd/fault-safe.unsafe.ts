/**
 * Copies to and from memory that may vanish: a file cut behind our back, a hole on a full disk. A
 * fault is an answer, for every thread of the process, and nothing is mapped over what is gone.
 *
 * @module
 */
import type { lineInstructions } from "../instructions.ts";
import { functionAt } from "../libc.unsafe.ts";
import { cacheControl, emit } from "../machine-code.unsafe.ts";
import { replaceBusHandler } from "../sigbus.unsafe.ts";
import { COPY_PAGE, copyPage } from "./copy-instructions.ts";

/** Routines whose faults are answers: false. Part may have been done then. */
export interface FaultSafe {
  /** Copies all of `source` to `address`. */
  store(address: number, source: Uint8Array): boolean;
  /** Copies `length` bytes from address to address. */
  copy(to: number, from: number, length: number): boolean;
  /** Fills all of `target` from `address`. */
  load(target: Uint8Array, address: number): boolean;
  /** Writes the cache lines of a range back to memory, and waits for it. */
  writeBack(address: number, length: number): boolean;
}

/** The address of the emitted page; the handler is one a process, so threads are told it. */
let page: number | undefined | "none";

/**
 * Installs the routines, once a process: where the page lies, for {@link faultSafe}. Undefined
 * where there are none: another CPU than x86-64, no foreign calls, executable pages refused.
 */
export function faultSafePage(): number | undefined {
  if (page === undefined) {
    page = "none";
    const line = cacheControl()?.name ?? "";
    if (process.arch === "x64" && ["clwb", "clflushopt", "clflush"].includes(line)) {
      page = installed(line as keyof typeof lineInstructions);
    }
  }
  return page === "none" ? undefined : page;
}

function installed(line: keyof typeof lineInstructions): number | "none" {
  let base = 0;
  try {
    replaceBusHandler((previous) => {
      base = emit(copyPage(line, previous));
      return base + COPY_PAGE.handler;
    });
    return base;
  } catch {
    // Hardened hosts refuse executable pages: stores then go by system calls.
    return "none";
  }
}

/** The routines of the page at `base`, for the thread that asks. */
export function faultSafe(base: number): FaultSafe {
  const copy = base + COPY_PAGE.copy;
  const store = functionAt(copy, "int", ["uintptr_t", "const void *", "size_t"]);
  const move = functionAt(copy, "int", ["uintptr_t", "uintptr_t", "size_t"]);
  const load = functionAt(copy, "int", ["void *", "uintptr_t", "size_t"]);
  const flush = functionAt(base + COPY_PAGE.flush, "int", ["uintptr_t", "size_t"]);
  return {
    store: (address, source) => store(address, source, source.length) === 0,
    copy: (to, from, length) => move(to, from, length) === 0,
    load: (target, address) => load(target, address, target.length) === 0,
    writeBack: (address, length) => flush(address, length) === 0,
  };
}
