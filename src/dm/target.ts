/**
 * Targets: what a line of a table becomes. A target serves a run of sectors of the mapped device
 * and counts from its own beginning; it never sees a request that crosses its end.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import type { Environment } from "../lib/environment.ts";
import type { ErrnoCode } from "../lib/errno.ts";
import type { Range } from "../lib/range-set.ts";
import type { Leg } from "./leg.ts";

/** A run of sectors of a leg that a target uses. */
export interface LegRange {
  readonly leg: Leg;
  readonly start: number;
  readonly sectors: number;
}

/** Where bytes of a target lie in the memory of a leg. */
export interface DaxPlace {
  device: DaxDevice;
  /** Bytes from the start of that device. */
  byte: number;
  /** Bytes that lie there in one piece. */
  run: number;
}

/** How a target routes dax. Bytes count from the target's beginning. */
export interface DaxRoute {
  /** All of the target is one run. */
  readonly whole?: boolean;
  /** Fills `place` for byte `at`; `run` may reach beyond the target. */
  locate(at: number, place: DaxPlace): void;
  /**
   * Which bytes of the target a range of a leg's dax memory is. Where these are more than `most`
   * runs for a leg, one that has all of them.
   */
  trace(device: DaxDevice, range: Range, most: number, found: FoundRange): void;
  /** Lines of the range were written back, or written around the cache. */
  flushed?(at: number, length: number): void;
  /** All legs were fenced. */
  ordered?(): void;
}

/** Told of bytes of a target. */
export type FoundRange = (at: number, length: number) => void;

/** The answer to "can you be reached by dax?". */
export type DaxAnswer =
  | { readonly route: DaxRoute }
  /** In words that begin with who is to blame. */
  | { readonly reason: string };

/** What a message gets: an answer, if it asks for one. */
export type MessageAnswer = string | undefined;

/** A target at work. */
export interface Target {
  /** What it uses; in the order of its arguments. */
  readonly uses: readonly LegRange[];
  /** Sectors; requests are split where a multiple of these from the target's beginning ends. */
  readonly maxIoLength?: number;
  /** Bytes that requests should come in, where these are more than the legs ask for. */
  readonly blockSize?: number;
  /** @throws EIO */
  read(sector: number, target: Uint8Array): void;
  /** @throws EIO */
  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void;
  writeZeroes(sector: number, sectors: number): void;
  /** Not split at `maxIoLength`. @throws ENOTSUP */
  discard(sector: number, sectors: number): void;
  /** Absent: each leg is to be flushed, once for all targets of the table. */
  flush?(): void;
  /** Bytes, where no sector has to be read before it is written. Absent: whole sectors only. */
  readBytes?(offset: number, target: Uint8Array): void;
  writeBytes?(offset: number, source: Uint8Array): void;
  dax(): DaxAnswer;
  /** Its arguments, as `dmsetup table` prints them. */
  table(): string;
  /** As `dmsetup status` prints it. */
  status(): string;
  /** @throws EINVAL for what it does not know */
  message?(words: readonly string[]): MessageAnswer;
  /** No new requests come after this, until `resume`. */
  presuspend?(): void;
  /** Everything that was sent is there. */
  postsuspend?(): void;
  /** Before the first request, and after each suspension. @throws what makes it unusable */
  preresume?(): void;
  resume?(): void;
  /** Its table is gone. */
  destroy?(): void;
}

/** What a target is made in. */
export interface TargetContext {
  /** The mapped device: its name. */
  readonly name: string;
  /** The first sector on the mapped device. */
  readonly begin: number;
  /** Sectors. */
  readonly length: number;
  readonly readOnly: boolean;
  readonly environment: Environment;
  /** So many milliseconds have to pass before a request goes on. */
  readonly wait: (milliseconds: number) => void;
  /** Something happened that `dmsetup wait` waits for. */
  readonly event: () => void;
  /**
   * Opens a device by path or `major:minor`.
   * @throws what `refuse` makes of `error` and the cause
   */
  open(word: string | undefined, error: string): Leg;
  /** As the kernel's `ti->error`, with the cause behind it. */
  readonly refuse: (code: ErrnoCode, error: string, cause: string) => never;
}

/** A kind of targets. */
export interface TargetType {
  readonly name: string;
  readonly version: readonly [number, number, number];
  /** Takes the place of any other in a table (error). */
  readonly wildcard?: boolean;
  /** Must be alone in its table. */
  readonly singleton?: boolean;
  make(words: readonly string[], context: TargetContext): Target;
}
