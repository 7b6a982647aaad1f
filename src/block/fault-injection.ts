/**
 * Failure injection: a device that wraps a device and is a device. It stands above the driver, as
 * Linux's fail_make_request does, and is addressed by device: around a disk it sees the disk's
 * requests and those of its partitions, around a partition only the partition's.
 *
 * @module
 */
import type { DaxRange } from "../dax/iomap.ts";
import { DaxError } from "../lib/errno.ts";
import { Prng } from "../lib/prng.ts";
import {
  type BlockDevice,
  type DeviceUser,
  type QueueLimits,
  SECTOR_SIZE,
} from "./block-device.ts";
import type { DeviceFreeze } from "./device-freeze.ts";
import type { SectorRange } from "./device-users.ts";
import { checkBytes, checkRequest, checkSectors } from "./request.ts";

/** What a request does; `write` includes writeZeroes and discard. */
export type FaultOperation = "read" | "write" | "flush";

/** Which requests fail. Every condition that is given must hold. */
export interface FaultRule {
  /** All of them unless given. */
  readonly operations?: readonly FaultOperation[];
  /** The request touches one of these sectors of the wrapped device; a flush touches none. */
  readonly start?: number;
  /** To the end of the device unless given. */
  readonly sectors?: number;
  /** So many matching requests pass first. */
  readonly skip?: number;
  /** So many requests fail, then the rule is spent. Without end unless given. */
  readonly times?: number;
  /** The share of matching requests that fail, 0 to 1; all of them unless given. */
  readonly probability?: number;
}

/** How failures are injected. */
export interface FaultOptions {
  readonly rules?: readonly FaultRule[];
  /** Of the dice for `probability`; the same seed fails the same requests. */
  readonly seed?: number;
  /**
   * `all`: the device shows no dax, so every byte goes through requests. `metadata`: file data
   * still goes through dax and cannot fail here, metadata goes through requests: what Linux does to
   * a filesystem on pmem. `all` unless given.
   */
  readonly reach?: "all" | "metadata";
  /**
   * Told of each failure before its caller is: a harness stops its writers here, since what they go
   * on to do to a device that fails looks like corruption, and is none.
   */
  readonly onFailure?: (failed: FaultOperation, sector: number, sectors: number) => void;
}

/** A rule at work. */
interface ArmedRule {
  readonly rule: FaultRule;
  passed: number;
  failed: number;
}

/** A device of which some requests fail with EIO, with nothing transferred. */
export class FaultyDevice implements BlockDevice {
  readonly name: string;
  readonly sectors: number;
  readonly limits: QueueLimits;
  readonly readOnly: boolean;
  readonly dax: DaxRange | undefined;
  readonly metadataBySector = true;
  readonly inner: BlockDevice;
  readonly #prng: Prng;
  readonly #onFailure: FaultOptions["onFailure"];
  #rules: ArmedRule[] = [];
  #failed = 0;

  constructor(inner: BlockDevice, options: FaultOptions = {}) {
    this.inner = inner;
    this.name = inner.name;
    this.sectors = inner.sectors;
    this.limits = inner.limits;
    this.readOnly = inner.readOnly;
    this.dax = options.reach === "metadata" ? inner.dax : undefined;
    this.#prng = new Prng(options.seed ?? 0);
    this.#onFailure = options.onFailure;
    this.arm(options.rules ?? []);
  }

  /** Requests that failed by injection. */
  get failed(): number {
    return this.#failed;
  }

  /** Replaces all rules; none: nothing fails any more. */
  arm(rules: readonly FaultRule[]): void {
    this.#rules = rules.map((rule) => ({ rule, passed: 0, failed: 0 }));
  }

  get freezing(): DeviceFreeze | undefined {
    return this.inner.freezing;
  }

  hold(user: DeviceUser, range?: SectorRange): () => void {
    return this.inner.hold?.(user, range) ?? (() => {});
  }

  users(range?: SectorRange): readonly DeviceUser[] {
    return this.inner.users?.(range) ?? [];
  }

  read(sector: number, target: Uint8Array): void {
    checkRequest(this, "read", sector, target.length);
    this.#roll("read", sector, target.length / SECTOR_SIZE);
    this.inner.read(sector, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    checkRequest(this, "write", sector, source.length);
    this.#roll("write", sector, source.length / SECTOR_SIZE);
    this.inner.write(sector, source, flags);
  }

  writeZeroes(sector: number, sectors: number): void {
    checkSectors(this, "write_zeroes", sector, sectors);
    this.#roll("write", sector, sectors);
    this.inner.writeZeroes(sector, sectors);
  }

  discard(sector: number, sectors: number): void {
    checkSectors(this, "discard", sector, sectors);
    this.#roll("write", sector, sectors);
    this.inner.discard(sector, sectors);
  }

  flush(): void {
    this.#roll("flush", 0, 0);
    this.inner.flush();
  }

  readBytes(offset: number, target: Uint8Array): void {
    checkBytes(this, "read", offset, target.length);
    this.#rollBytes("read", offset, target.length);
    this.inner.readBytes(offset, target);
  }

  writeBytes(offset: number, source: Uint8Array): void {
    checkBytes(this, "write", offset, source.length);
    this.#rollBytes("write", offset, source.length);
    this.inner.writeBytes(offset, source);
  }

  #rollBytes(operation: FaultOperation, offset: number, length: number): void {
    const first = Math.floor(offset / SECTOR_SIZE);
    this.#roll(operation, first, Math.ceil((offset + length) / SECTOR_SIZE) - first);
  }

  /** @throws EIO when a rule says so */
  #roll(operation: FaultOperation, sector: number, sectors: number): void {
    for (const armed of this.#rules) {
      if (!matches(armed.rule, operation, sector, sectors)) continue;
      const { skip = 0, times = Infinity, probability = 1 } = armed.rule;
      if (armed.passed < skip) {
        armed.passed++;
        continue;
      }
      if (armed.failed >= times || !this.#hits(probability)) continue;
      armed.failed++;
      this.#failed++;
      this.#onFailure?.(operation, sector, sectors);
      throw new DaxError("EIO", {
        syscall: operation,
        path: this.name,
        detail: `injected failure at sectors ${sector}+${sectors}`,
      });
    }
  }

  /** Certain outcomes roll no dice, so that adding such a rule does not change the others' luck. */
  #hits(probability: number): boolean {
    if (probability >= 1) return true;
    return probability > 0 && this.#prng.u32() < probability * 0x1_0000_0000;
  }
}

function matches(
  rule: FaultRule,
  operation: FaultOperation,
  sector: number,
  sectors: number,
): boolean {
  if (rule.operations !== undefined && !rule.operations.includes(operation)) return false;
  if (rule.start === undefined && rule.sectors === undefined) return true;
  const { start = 0, sectors: length = Infinity } = rule;
  return sector < start + length && sector + sectors > start && sectors > 0;
}
