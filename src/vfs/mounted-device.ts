/**
 * A mounted filesystem and the memory that it stands on: while it is mounted the device is in use,
 * and what becomes of its memory is told to whoever has files there.
 *
 * @module
 */
import type { BlockDevice, DeviceUser, Standstill } from "../block/block-device.ts";
import { ALL_PAGES } from "../dax/address-space.ts";
import { AddressSpaces } from "../dax/address-spaces.ts";
import type { DaxRange } from "../dax/iomap.ts";
import {
  type FailureListener,
  type MediaFailure,
  forget,
  listen,
  noteFailure,
  placeOf,
} from "../dax/media-failures.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { isDaxError } from "../lib/errno.ts";
import type { Range } from "../lib/range-set.ts";
import { mountsOf } from "./filesystem-mounts.ts";
import type { Filesystem } from "./filesystem.ts";
import type { Mount } from "./mounts.ts";

/** Told of what failed of one filesystem. */
export type FilesystemFailureListener = (failure: MediaFailure) => void;

/** What stands on a device: of a filesystem that is to be, for that has to look at it first. */
export interface StandingOptions {
  /** `ext4` */
  readonly type: string;
  readonly write: boolean;
}

/** A filesystem that has a device in use: one that is being mounted, or is. */
export class Standing implements DeviceUser {
  readonly use: "read" | "write";
  readonly listeners = new Set<FilesystemFailureListener>();
  /** What the filesystem calls itself. */
  label = "";
  readonly #device: BlockDevice;
  readonly #range: DaxRange | undefined;
  #type: string;
  #filesystem: Filesystem | undefined;
  #holds = 0;
  #leave: (() => void) | undefined;
  #gone = false;
  readonly #listener: FailureListener = (_device, ranges, reason) => {
    const { start: first = 0, length: size = 0 } = this.#range ?? {};
    const own: Range[] = [];
    for (const { start, length } of ranges) {
      const from = Math.max(start, first);
      const run = Math.min(start + length, first + size) - from;
      if (run > 0) own.push({ start: from - first, length: run });
    }
    const [one, ...more] = own;
    if (one !== undefined) this.#failed([one, ...more], reason);
  };

  constructor(device: BlockDevice, { type, write }: StandingOptions) {
    this.use = write ? "write" : "read";
    this.#device = device;
    this.#type = type;
    this.#range = device.dax;
  }

  /** `ext4 on pmem0p1, labelled "data", mounted at /a` */
  get name(): string {
    const label = this.label === "" ? "" : `, labelled ${JSON.stringify(this.label)}`;
    const mounts = this.#filesystem === undefined ? [] : [...mountsOf(this.#filesystem)];
    const places = mounts.map(({ path }) => path).join(" and ");
    return `${this.#plain}${label}${places === "" ? "" : `, mounted at ${places}`}`;
  }

  get freezing(): Standstill | undefined {
    return this.#filesystem?.freezing;
  }

  /**
   * It uses the device until the returned function is called; that may be called again.
   * @throws EBUSY when somebody has the device in another way, ENXIO when it is gone
   */
  hold(): () => void {
    if (this.#holds === 0) this.#leave = this.#join();
    this.#holds++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holds--;
      if (this.#holds === 0) this.#leave?.();
    };
  }

  /** From now on it is this filesystem that stands there. */
  carry(filesystem: Filesystem): void {
    this.#type = filesystem.type;
    this.#filesystem = filesystem;
    known.set(filesystem, this);
  }

  get #plain(): string {
    return `${this.#type} on ${this.#device.name}`;
  }

  /** @throws EBUSY, ENXIO */
  #join(): () => void {
    const undo: (() => void)[] = [];
    const leave = (): void => {
      for (const step of undo.toReversed()) step();
    };
    const dax = this.#range?.device;
    try {
      const release = this.#device.hold?.(this);
      if (release !== undefined) undo.push(release);
      dax?.enter();
      undo.push(() => dax?.exit());
      if (dax !== undefined) listen(dax, this.#listener, this);
      undo.push(() => {
        if (dax !== undefined) forget(dax, this.#listener);
      });
    } catch (error) {
      leave();
      throw error;
    }
    return leave;
  }

  /** What stands on several devices has gone with the first of them. */
  #failed(ranges: readonly [Range, ...Range[]], reason: MediaFailure["reason"]): void {
    if (this.#gone) return;
    const gone = reason === "pre-remove";
    this.#gone = gone;
    const place = placeOf(ranges);
    const { start, length } = place;
    const owners = gone ? [] : (this.#filesystem?.ownersOf?.(start, length, ranges) ?? []);
    const failure: MediaFailure = { reason, by: this.#plain, ...place, owners };
    noteFailure(failure);
    if (gone) this.#tearDown();
    else this.#poisoned(failure);
    for (const listener of this.listeners) listener(failure);
  }

  /** Who has mapped the file asks again at the next access, and is told then. */
  #poisoned({ owners }: MediaFailure): void {
    const filesystem = this.#filesystem;
    if (filesystem === undefined) return;
    const spaces = AddressSpaces.of(filesystem);
    for (const { kind, ino, offset = 0, length } of owners) {
      if (kind !== "file" || ino === undefined) continue;
      const first = Math.floor(offset / PAGE_SIZE);
      spaces.get(ino)?.unmap(first, Math.ceil((offset + length) / PAGE_SIZE) - first);
    }
    filesystem.failed?.(owners);
  }

  /** What was stored is brought home, and then nobody reaches the memory any more. */
  #tearDown(): void {
    const filesystem = this.#filesystem;
    if (filesystem === undefined) return;
    const reason = `${filesystem.device.name} was removed`;
    const spaces = AddressSpaces.of(filesystem);
    quietly(() => spaces.writeBack());
    quietly(() => filesystem.shutDown?.(reason));
    for (const space of Array.from(spaces)) {
      // Of memory that cannot be taken back the device waits for the end.
      quietly(() => space.revoke(reason));
      space.unmap(0, ALL_PAGES);
    }
  }
}

const known = new WeakMap<Filesystem, Standing>();

/** Of one that did not say so itself: whether it is written shows in its root. */
function standingOf(filesystem: Filesystem): Standing {
  const found = known.get(filesystem);
  if (found !== undefined) return found;
  const { device, type, root } = filesystem;
  const standing = new Standing(device, { type, write: root.writing !== undefined });
  standing.carry(filesystem);
  return standing;
}

/**
 * A mount begins to use the device: removing that answers EBUSY, or waits, until the returned
 * function is called.
 * @throws ENXIO when it is gone, EBUSY when somebody has it in another way
 */
export function joinDevice(filesystem: Filesystem, mount: Mount): () => void {
  const release = standingOf(filesystem).hold();
  const mounts = mountsOf(filesystem);
  mounts.add(mount);
  return () => {
    mounts.delete(mount);
    release();
  };
}

/**
 * Calls `listener` when memory under a mounted filesystem fails, with the files that were there;
 * the returned function ends that.
 */
export function onFailure(filesystem: Filesystem, listener: FilesystemFailureListener): () => void {
  const { listeners } = standingOf(filesystem);
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** A device that goes away waits for nobody's troubles. */
function quietly(body: () => void): void {
  try {
    body();
  } catch (error) {
    if (!isDaxError(error)) throw error;
  }
}
