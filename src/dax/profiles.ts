/**
 * Dax as kernels of other ages had it: which operations a driver may supply, and what the core did
 * where one was missing. A front over any device, so that programs and proofs can meet them.
 *
 * - `v4.1`: a driver has none; its disk has `direct_access(sector, size)`. Nothing is flushed, as
 *   memory is mapped uncached.
 * - `v4.13`: `direct_access`, `copy_from_iter`, `flush`; a flush goes to the leg of its first byte.
 * - `v4.14`: `direct_access` and `copy_from_iter`; the core flushes by address, on all legs.
 * - `modern`: `direct_access`, `zero_page_range`, `recovery_write`; it flushes by address as well.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { givenText } from "../lib/given.ts";
import { fill } from "../lib/memory.ts";
import { DaxDevice } from "./dax-device.ts";
import { type AccessMode, type DaxOperations, type DaxSpan, PAGE_SIZE } from "./operations.ts";

/** A kernel. */
export type DaxProfile = "v4.1" | "v4.13" | "v4.14" | "modern";

/** An operation of a driver, by our name. */
export type DaxOperationName =
  | "directAccess"
  | "zeroPageRange"
  | "recoveryWrite"
  | "copyFromIter"
  | "flush";

const TABLES: Readonly<Record<DaxProfile, readonly DaxOperationName[]>> = {
  "v4.1": [],
  "v4.13": ["directAccess", "copyFromIter", "flush"],
  "v4.14": ["directAccess", "copyFromIter"],
  modern: ["directAccess", "zeroPageRange", "recoveryWrite"],
};

/** What the table of operations held. @throws EINVAL naming the profiles that there are */
export function operationsIn(profile: DaxProfile): readonly DaxOperationName[] {
  if (Object.hasOwn(TABLES, profile)) return TABLES[profile];
  const known = Object.keys(TABLES).join(", ");
  const detail = `the profiles are ${known}; given was ${givenText(profile)}`;
  throw new DaxError("EINVAL", { syscall: "profile", detail });
}

/**
 * The same memory with the operations and the flush of a kernel. Its counters are its own; what it
 * flushes and copies is counted below, too. Refused for `v4.1`, which had no dax device.
 * @throws EOPNOTSUPP; EINVAL for another profile
 */
export function daxAsIn(profile: DaxProfile, device: DaxDevice): DaxDevice {
  operationsIn(profile);
  if (profile === "v4.1") {
    throw new DaxError("EOPNOTSUPP", {
      syscall: "dax_get_by_host",
      detail: "Linux 4.1 has no dax devices; ask its disks by sector",
    });
  }
  const { name, pages, writeCache, synchronous } = device;
  const operations = new HistoricOperations(profile, device);
  return new DaxDevice({ name, pages, writeCache, synchronous, operations });
}

/**
 * Linux 4.1's `direct_access` of a disk: which memory is at a sector, and how many bytes follow it
 * to the end of the device, whatever was asked for.
 * @throws EOPNOTSUPP in later kernels, EINVAL for no kernel or off page borders, ERANGE past the
 *   end (where 4.1 answered a negative length)
 */
export function directAccessBySector(
  profile: DaxProfile,
  device: DaxDevice,
  sector: number,
): { readonly span: DaxSpan; readonly bytes: number } {
  operationsIn(profile);
  if (profile !== "v4.1") {
    const detail = `Linux ${profile} asks the dax device, by pages`;
    throw new DaxError("EOPNOTSUPP", { syscall: "direct_access", detail });
  }
  const byte = sector * 512;
  if (byte % PAGE_SIZE !== 0) {
    throw new DaxError("EINVAL", { syscall: "direct_access", detail: `sector ${sector}` });
  }
  const pgoff = byte / PAGE_SIZE;
  const span = device.directAccess(pgoff, Math.max(1, device.pages - pgoff));
  return { span, bytes: device.pages * PAGE_SIZE - byte };
}

/** Operations of which some are switched off; what is left works as before. */
export function withoutOperations(
  operations: DaxOperations,
  off: readonly ("copyFromIter" | "flush" | "recoveryWrite" | "stitch" | "fence")[],
): DaxOperations {
  const left: Record<string, unknown> = {};
  for (const name of ["directAccess", "zeroPageRange", "checkFault"] as const) {
    left[name] = operations[name]?.bind(operations);
  }
  for (const name of ["copyFromIter", "flush", "recoveryWrite", "stitch", "fence"] as const) {
    if (!off.includes(name) && operations[name] !== undefined) {
      left[name] = operations[name].bind(operations);
    }
  }
  return left as unknown as DaxOperations;
}

class HistoricOperations implements DaxOperations {
  declare readonly recoveryWrite?: NonNullable<DaxOperations["recoveryWrite"]>;
  readonly #profile: DaxProfile;
  readonly #device: DaxDevice;

  constructor(profile: DaxProfile, device: DaxDevice) {
    this.#profile = profile;
    this.#device = device;
    if (operationsIn(profile).includes("recoveryWrite")) {
      this.recoveryWrite = (pgoff, start, source) => device.recoveryWrite(pgoff, start, source);
    }
  }

  directAccess(pgoff: number, pages: number, mode: AccessMode): DaxSpan {
    return this.#device.directAccess(pgoff, pages, mode);
  }

  /** Where there is no operation for it, memory is filled and flushed (`clear_pmem`). */
  zeroPageRange(pgoff: number, pages: number): void {
    if (operationsIn(this.#profile).includes("zeroPageRange")) {
      this.#device.zeroPageRange(pgoff, pages);
      return;
    }
    for (let page = pgoff; page < pgoff + pages;) {
      const span = this.#device.directAccess(page, pgoff + pages - page);
      fill(span.memory, span.start, span.pages * PAGE_SIZE, 0);
      page += span.pages;
    }
    this.flush(pgoff, 0, pages * PAGE_SIZE);
  }

  copyFromIter(pgoff: number, start: number, sources: readonly Uint8Array[]): number {
    return this.#device.copyFromIter(pgoff, start, sources);
  }

  flush(pgoff: number, start: number, length: number): void {
    const run = this.#profile === "v4.13" ? this.#firstRun(pgoff, start, length) : length;
    this.#device.flush(pgoff, start, run);
  }

  fence(): void {
    this.#device.fence();
  }

  checkFault(): void {
    this.#device.checkFault();
  }

  /** What the leg of the first byte has of a range. */
  #firstRun(pgoff: number, start: number, length: number): number {
    const first = pgoff + Math.floor(start / PAGE_SIZE);
    const within = start % PAGE_SIZE;
    const span = this.#device.directAccess(first, Math.ceil((within + length) / PAGE_SIZE));
    return Math.min(length, span.pages * PAGE_SIZE - within);
  }
}
