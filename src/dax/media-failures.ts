/**
 * How a failure of memory finds its way upwards: from a dax device to everybody who stands on it. A
 * dax device has one holder; filesystems on its partitions and tables of device-mapper share that
 * one, which tells each of them. In Linux only XFS claims the device it is on, alone; ext4 and
 * device-mapper open theirs without any holder, and so a failure ends there.
 *
 * @module
 */
import type { Range } from "../lib/range-set.ts";
import type { DaxDevice } from "./dax-device.ts";
import type { DaxHolder } from "./operations.ts";

/** Memory cannot be read any more, or the whole device is about to go. */
export type FailureReason = "poison" | "pre-remove";

/** Told of bytes of a dax device that are gone: at least one run, in their order. */
export type FailureListener = (
  device: DaxDevice,
  ranges: readonly Range[],
  reason: FailureReason,
) => void;

/** What some bytes of a filesystem's device hold. */
export interface BytesOwner {
  readonly kind: "file" | "metadata" | "free";
  /** Bytes of the filesystem's device. */
  readonly start: number;
  readonly length: number;
  /** `inode 12`, `group 3 block bitmap`, `free blocks` */
  readonly what: string;
  /** The inode whose bytes these are, or whose map, attributes or names; of others undefined. */
  readonly ino?: number;
  /** Files: of the byte at `start`, from the start of the file. */
  readonly offset?: number;
}

/** What a failure came to at one place on its way up. */
export interface MediaFailure {
  readonly reason: FailureReason;
  /** `pmem0`, `ext4 on pmem0p1`. */
  readonly by: string;
  /** Bytes of what `by` names. */
  readonly start: number;
  readonly length: number;
  /** The bytes that failed, in their order, where that is not all of them. */
  readonly ranges?: readonly Range[];
  /** Filesystems: what these bytes were, in their order. Empty elsewhere. */
  readonly owners: readonly BytesOwner[];
}

/** Who listens, and how often: a table once for each of its legs there. */
interface Listening {
  readonly who: Pick<DaxHolder, "name">;
  count: number;
}

/** The holder that all who stand on one dax device share. */
class SharedHolder implements DaxHolder {
  readonly listeners = new Map<FailureListener, Listening>();
  readonly #device: DaxDevice;

  constructor(device: DaxDevice) {
    this.#device = device;
  }

  /** Of all of them. */
  get name(): string {
    return [...new Set(Array.from(this.listeners.values(), ({ who }) => who.name))].join(" and ");
  }

  notifyFailure(
    start: number,
    length: number,
    reason: FailureReason,
    ranges: readonly Range[] = [{ start, length }],
  ): void {
    // A listener may well close its leg.
    const listeners = Array.from(this.listeners.keys());
    for (const listener of listeners) listener(this.#device, ranges, reason);
  }
}

/**
 * Whether a holder is the one that filesystems and tables share, each of which keeps the device in
 * use by other means, too.
 */
export function isShared(holder: DaxHolder): boolean {
  return holder instanceof SharedHolder;
}

const HOLDERS = new WeakMap<DaxDevice, SharedHolder>();

/**
 * Claims a device for everybody who shares it, and listens; `who` is for the EBUSY of others.
 * @throws EBUSY, ENXIO as `DaxDevice.claim`
 */
export function listen(
  device: DaxDevice,
  listener: FailureListener,
  who: Pick<DaxHolder, "name">,
): void {
  const holder = HOLDERS.get(device) ?? new SharedHolder(device);
  device.claim(holder);
  HOLDERS.set(device, holder);
  const known = holder.listeners.get(listener);
  if (known === undefined) holder.listeners.set(listener, { who, count: 1 });
  else known.count++;
}

/** Ends what {@link listen} began; the last one gives the device back. */
export function forget(device: DaxDevice, listener: FailureListener): void {
  const holder = HOLDERS.get(device);
  const known = holder?.listeners.get(listener);
  if (holder === undefined || known === undefined || --known.count > 0) return;
  holder.listeners.delete(listener);
  if (holder.listeners.size > 0) return;
  device.release(holder);
  HOLDERS.delete(device);
}

/** Runs that follow each other, as one description of what failed. */
export function placeOf(
  ranges: readonly [Range, ...Range[]],
): Pick<MediaFailure, "start" | "length" | "ranges"> {
  const [{ start }] = ranges;
  const last = ranges.at(-1) as Range;
  const length = last.start + last.length - start;
  return { start, length, ...(ranges.length > 1 ? { ranges } : {}) };
}

let heard: MediaFailure[] | undefined;

/** What a failure that `body` tells a device of came to, everywhere on its way, in that order. */
export function hearFailures(body: () => void): readonly MediaFailure[] {
  const outer = heard;
  const own: MediaFailure[] = [];
  heard = own;
  try {
    body();
  } finally {
    heard = outer;
    outer?.push(...own);
  }
  return own;
}

/** Whoever was told of a failure says what it came to. */
export function noteFailure(failure: MediaFailure): void {
  heard?.push(failure);
}
