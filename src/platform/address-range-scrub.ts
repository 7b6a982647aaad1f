/**
 * Address range scrub: the commands of ACPI by which an operating system asks the memory itself
 * what of it is bad, and has it cleared (ND_CMD_ARS_CAP, _START, _STATUS, ND_CMD_CLEAR_ERROR).
 * Firmware works through a range while others go on; here it does so when it is told to proceed.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { ByteRange } from "../media/media.ts";

/** A range of physical memory that can be scrubbed. */
export interface ScrubTarget {
  /** Physical address of the first byte. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  readonly persistent: boolean;
  /** What is bad of it, by offsets into it. */
  readonly bad: readonly ByteRange[];
  /** Clears whole blocks; returns how many bytes from `offset` on are good now. */
  clear(offset: number, length: number): number;
}

/** What can be done with a range: the answer of ND_CMD_ARS_CAP. */
export interface ScrubCapabilities {
  /** Whether there is such memory to be scrubbed. */
  readonly persistent: boolean;
  readonly volatile: boolean;
  /** Errors that one status tells of, at most. */
  readonly mostRecords: number;
  /** Bytes; what is cleared are multiples of it. */
  readonly clearErrorUnit: number;
}

/**
 * The answer of ND_CMD_ARS_STATUS. `overflow`: there is no room for more records; start again at
 * `restart`. `none`: there was no scrub.
 */
export interface ScrubStatus {
  readonly state: "done" | "in progress" | "none" | "overflow";
  /** Physical addresses, ascending. */
  readonly records: readonly ByteRange[];
  /** What was not looked at. */
  readonly restart: ByteRange | undefined;
}

/** What the firmware is like. */
export interface ScrubOptions {
  /** 128 unless given. */
  readonly mostRecords?: number;
  /** Bytes, a power of two; 256 unless given. */
  readonly clearErrorUnit?: number;
}

/** The firmware's side. */
export class AddressRangeScrub {
  readonly #targets: () => Iterable<ScrubTarget>;
  readonly #most: number;
  readonly #unit: number;
  #left: ByteRange | undefined;
  #state: ScrubStatus["state"] = "none";
  #records: ByteRange[] = [];

  /** @throws EINVAL for a unit that is no power of two, or no records */
  constructor(targets: () => Iterable<ScrubTarget>, options: ScrubOptions = {}) {
    const { mostRecords = 128, clearErrorUnit = 256 } = options;
    if (!Number.isInteger(Math.log2(clearErrorUnit)) || !(mostRecords >= 1)) {
      const detail = `a unit of ${clearErrorUnit} bytes, ${mostRecords} records`;
      throw new DaxError("EINVAL", { syscall: "ars", detail });
    }
    this.#targets = targets;
    this.#most = mostRecords;
    this.#unit = clearErrorUnit;
  }

  /** What can be scrubbed of a range. */
  capabilities(address: number, length: number): ScrubCapabilities {
    const kinds = new Set<boolean>();
    for (const { target } of this.#within(address, length)) kinds.add(target.persistent);
    const [persistent, volatile] = [kinds.has(true), kinds.has(false)];
    return { persistent, volatile, mostRecords: this.#most, clearErrorUnit: this.#unit };
  }

  /** Begins a scrub. @throws EBUSY while one goes on, ENXIO where no memory can be scrubbed */
  start(address: number, length: number): void {
    if (this.#state === "in progress") {
      const detail = "a scrub is going on; wait for its status";
      throw new DaxError("EBUSY", { syscall: "ars_start", detail });
    }
    if (this.#within(address, length).next().done === true) refuse("ars_start", address, length);
    this.#left = { start: address, length };
    this.#records = [];
    this.#state = "in progress";
  }

  /** The firmware goes on for so many bytes; to the end unless given. */
  proceed(bytes = Number.POSITIVE_INFINITY): void {
    const left = this.#left;
    if (this.#state !== "in progress" || left === undefined) return;
    const length = Math.min(bytes, left.length);
    for (const found of this.#errors(left.start, length)) {
      if (this.#records.length === this.#most) {
        this.#stop("overflow", found.start, left.start + left.length);
        return;
      }
      this.#records.push(found);
    }
    this.#stop("in progress", left.start + length, left.start + left.length);
  }

  /** How far it is, and what was found; made anew by each call. */
  status(): ScrubStatus {
    return { state: this.#state, records: [...this.#records], restart: this.#left };
  }

  /**
   * Has bad memory cleared: what it held is lost. Returns how many bytes from `address` are good.
   * @throws ENXIO for what is no multiple of the unit, or no such memory
   */
  clearError(address: number, length: number): number {
    const whole = address % this.#unit === 0 && length % this.#unit === 0 && length > 0;
    if (!whole) {
      const detail = `bytes ${address}+${length} are no multiple of ${this.#unit}`;
      throw new DaxError("ENXIO", { syscall: "clear_error", detail });
    }
    let cleared = 0;
    for (const { target, offset, run } of this.#within(address, length)) {
      if (target.start + offset !== address + cleared) break;
      const good = target.clear(offset, run);
      cleared += good;
      if (good < run) break;
    }
    if (cleared === 0 && this.#within(address, length).next().done === true) {
      refuse("clear_error", address, length);
    }
    return cleared;
  }

  #stop(state: ScrubStatus["state"], from: number, stop: number): void {
    this.#left = stop > from ? { start: from, length: stop - from } : undefined;
    this.#state = this.#left === undefined ? "done" : state;
  }

  *#errors(address: number, length: number): Generator<ByteRange> {
    for (const { target, offset, run } of this.#within(address, length)) {
      for (const bad of target.bad) {
        const from = Math.max(bad.start, offset);
        const stop = Math.min(bad.start + bad.length, offset + run);
        if (stop > from) yield { start: target.start + from, length: stop - from };
      }
    }
  }

  /** The parts of targets that lie in a range, by address. */
  *#within(
    address: number,
    length: number,
  ): Generator<{ readonly target: ScrubTarget; readonly offset: number; readonly run: number }> {
    for (const target of Array.from(this.#targets()).toSorted((a, b) => a.start - b.start)) {
      const from = Math.max(address, target.start);
      const run = Math.min(address + length, target.start + target.length) - from;
      if (run > 0) yield { target, offset: from - target.start, run };
    }
  }
}

function refuse(syscall: string, address: number, length: number): never {
  const detail = `no memory at 0x${address.toString(16)}+${length} can be scrubbed`;
  throw new DaxError("ENXIO", { syscall, detail });
}
