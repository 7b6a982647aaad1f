/**
 * Makes one thing fail while a workload runs, and counts what might.
 *
 * @module
 */
import { type BlockDevice, type QueueLimits, SECTOR_SIZE } from "../../block/block-device.ts";
import type { DaxRange } from "../../dax/iomap.ts";
import { DaxError } from "../../lib/errno.ts";
import type { OpenFile } from "../../vfs/open-file.ts";
import type { ObservedCall } from "../facade/operation.ts";
import type { Fault, FaultKind } from "./faults.ts";

/** Calls that may find no room. */
const NEEDS_ROOM =
  /^(?:write|writev|writeFile|appendFile|copyFile|cp|mkdir|mkdtemp|symlink|link|rename)$/u;

type Counted = Exclude<FaultKind, "poison">;

/** Counts what may fail, and fails the one that its fault names. */
export class FaultInjector {
  readonly fault: Fault | undefined;
  readonly counts: Record<Counted, number> = { write: 0, flush: 0, enospc: 0, "short-read": 0 };
  /** Whether something failed. */
  struck = false;
  /** Nothing is counted before it is on. */
  on = false;
  readonly #onStrike: () => void;

  /** `onStrike` is told when something fails, before its caller is. */
  constructor(fault?: Fault, onStrike: () => void = () => {}) {
    this.fault = fault;
    this.#onStrike = onStrike;
  }

  /** The same device, of which some requests fail. */
  device(inner: BlockDevice): BlockDevice {
    return new FailingDevice(inner, (kind) => {
      if (this.#strikes(kind)) {
        if (kind === "flush") forgetIn(inner);
        throw new DaxError("EIO", { syscall: kind, path: inner.name, detail: "a planned fault" });
      }
    });
  }

  /** What a call does instead; undefined: nothing else. `isNew`: nothing is at its path yet. */
  instead(
    { name, args, context, work }: ObservedCall,
    isNew: () => boolean,
  ): (() => unknown) | undefined {
    const creates = name === "open" && isCreating(args[1]) && isNew();
    if (NEEDS_ROOM.test(name) || creates) {
      if (!this.#strikes("enospc")) return undefined;
      return () => {
        throw new DaxError("ENOSPC", { syscall: name, detail: "a planned fault" });
      };
    }
    const file = isRead(name) ? context.openFile(Number(args[0])) : undefined;
    if (file === undefined) return undefined;
    return () => this.#read(file, work);
  }

  /** A read may give less than was asked for only if there are two bytes. */
  #read(file: OpenFile, work: () => unknown): unknown {
    const pread = file.pread.bind(file);
    let asked = false;
    const half = (target: Uint8Array, offset: number): number => {
      const before = Uint8Array.from(target);
      const there = pread(target, offset);
      if (there < 2 || asked) return there;
      asked = true;
      if (!this.#strikes("short-read")) return there;
      // What was not given was not read.
      const given = Math.floor(there / 2);
      target.set(before.subarray(given), given);
      return given;
    };
    Object.defineProperty(file, "pread", { configurable: true, value: half });
    try {
      return work();
    } finally {
      Reflect.deleteProperty(file, "pread");
    }
  }

  #strikes(kind: Counted): boolean {
    if (!this.on) return false;
    const number = ++this.counts[kind];
    if (this.struck || this.fault?.kind !== kind || this.fault.at !== number) return false;
    this.struck = true;
    this.#onStrike();
    return true;
  }
}

function isRead(name: string): boolean {
  return name === "read" || name === "readv";
}

function isCreating(flags: unknown): boolean {
  if (typeof flags === "number") return (flags & 0o100) !== 0;
  return typeof flags === "string" && /[wa]/u.test(flags);
}

/** A disk whose flush failed does not know any more what it was to flush. */
function forgetIn(device: BlockDevice): void {
  (device as { forget?: () => void }).forget?.();
}

/** A device that is asked before each write and flush. Contents of files still go through dax. */
class FailingDevice implements BlockDevice {
  readonly name: string;
  readonly sectors: number;
  readonly limits: QueueLimits;
  readonly readOnly: boolean;
  readonly dax: DaxRange | undefined;
  readonly metadataBySector = true;
  readonly #inner: BlockDevice;
  readonly #ask: (kind: "write" | "flush") => void;

  constructor(inner: BlockDevice, ask: (kind: "write" | "flush") => void) {
    this.#inner = inner;
    this.#ask = ask;
    this.name = inner.name;
    this.sectors = inner.sectors;
    this.limits = inner.limits;
    this.readOnly = inner.readOnly;
    this.dax = inner.dax;
  }

  read(sector: number, target: Uint8Array): void {
    this.#inner.read(sector, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    this.#ask("write");
    this.#inner.write(sector, source, flags);
  }

  writeZeroes(sector: number, sectors: number): void {
    this.#ask("write");
    this.#inner.writeZeroes(sector, sectors);
  }

  discard(sector: number, sectors: number): void {
    this.#inner.discard(sector, sectors);
  }

  flush(): void {
    this.#ask("flush");
    this.#inner.flush();
  }

  readBytes(offset: number, target: Uint8Array): void {
    this.#inner.readBytes(offset, target);
  }

  writeBytes(offset: number, source: Uint8Array): void {
    this.#ask("write");
    this.#inner.writeBytes(offset, source);
  }
}

/** A disk of which some sectors cannot be read until they are written. */
export class PoisonedDevice implements BlockDevice {
  readonly name: string;
  readonly sectors: number;
  readonly limits: QueueLimits;
  readonly readOnly: boolean;
  readonly dax: undefined;
  readonly metadataBySector = true;
  readonly #inner: BlockDevice;
  readonly #bad: Set<number>;
  readonly #onHit: () => void;

  constructor(inner: BlockDevice, bad: readonly number[], onHit: () => void) {
    this.#inner = inner;
    this.#bad = new Set(bad);
    this.#onHit = onHit;
    this.name = inner.name;
    this.sectors = inner.sectors;
    this.limits = inner.limits;
    this.readOnly = inner.readOnly;
  }

  read(sector: number, target: Uint8Array): void {
    this.#refuse(sector * SECTOR_SIZE, target.length);
    this.#inner.read(sector, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    this.#inner.write(sector, source, flags);
    this.#heal(sector * SECTOR_SIZE, source.length);
  }

  writeZeroes(sector: number, sectors: number): void {
    this.#inner.writeZeroes(sector, sectors);
    this.#heal(sector * SECTOR_SIZE, sectors * SECTOR_SIZE);
  }

  discard(sector: number, sectors: number): void {
    this.#inner.discard(sector, sectors);
  }

  flush(): void {
    this.#inner.flush();
  }

  readBytes(offset: number, target: Uint8Array): void {
    this.#refuse(offset, target.length);
    this.#inner.readBytes(offset, target);
  }

  writeBytes(offset: number, source: Uint8Array): void {
    this.#inner.writeBytes(offset, source);
    this.#heal(offset, source.length);
  }

  #refuse(offset: number, length: number): void {
    for (const sector of this.#bad) {
      const at = sector * SECTOR_SIZE;
      if (offset >= at + SECTOR_SIZE || offset + length <= at) continue;
      this.#onHit();
      throw new DaxError("EIO", { syscall: "read", path: this.name, detail: `sector ${sector}` });
    }
  }

  /** Sectors that were written whole can be read again. */
  #heal(offset: number, length: number): void {
    for (const sector of this.#bad) {
      const at = sector * SECTOR_SIZE;
      if (at >= offset && at + SECTOR_SIZE <= offset + length) this.#bad.delete(sector);
    }
  }
}
