/**
 * A mounted filesystem and the memory that it stands on: while it is mounted the device is in use,
 * and what becomes of its memory is told to whoever has files there.
 *
 * @module
 */
import { ALL_PAGES } from "../dax/address-space.ts";
import { AddressSpaces } from "../dax/address-spaces.ts";
import type { DaxRange } from "../dax/iomap.ts";
import {
  type FailureListener,
  type MediaFailure,
  forget,
  listen,
  noteFailure,
} from "../dax/media-failures.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { useRange } from "../dax/range-users.ts";
import { isDaxError } from "../lib/errno.ts";
import { mountsOf } from "./filesystem-mounts.ts";
import type { Filesystem } from "./filesystem.ts";
import type { Mount } from "./mounts.ts";

/** Told of what failed of one filesystem. */
export type FilesystemFailureListener = (failure: MediaFailure) => void;

/** One filesystem that is mounted somewhere. */
class Standing {
  readonly listeners = new Set<FilesystemFailureListener>();
  readonly #filesystem: Filesystem;
  readonly #name: string;
  readonly #range: DaxRange | undefined;
  readonly #listener: FailureListener = (_device, start, length, reason) => {
    const { start: first = 0, length: size = 0 } = this.#range ?? {};
    const from = Math.max(start, first);
    const run = Math.min(start + length, first + size) - from;
    if (run > 0) this.#failed(from - first, run, reason);
  };

  constructor(filesystem: Filesystem) {
    this.#filesystem = filesystem;
    this.#name = `${filesystem.type} on ${filesystem.device.name}`;
    this.#range = filesystem.device.dax;
  }

  /** @throws EBUSY, ENXIO */
  begin(): void {
    const use = { name: this.#name, uses: "range" } as const;
    if (this.#range !== undefined) listen(this.#range.device, this.#listener, use);
  }

  end(): void {
    if (this.#range !== undefined) forget(this.#range.device, this.#listener);
  }

  #failed(start: number, length: number, reason: MediaFailure["reason"]): void {
    const gone = reason === "pre-remove";
    const owners = gone ? [] : (this.#filesystem.ownersOf?.(start, length) ?? []);
    const failure: MediaFailure = { reason, by: this.#name, start, length, owners };
    noteFailure(failure);
    if (gone) this.#tearDown();
    else this.#poisoned(failure);
    for (const listener of this.listeners) listener(failure);
  }

  /** Who has mapped the file asks again at the next access, and is told then. */
  #poisoned({ owners }: MediaFailure): void {
    const spaces = AddressSpaces.of(this.#filesystem);
    for (const { kind, ino, offset = 0, length } of owners) {
      if (kind !== "file" || ino === undefined) continue;
      const first = Math.floor(offset / PAGE_SIZE);
      spaces.get(ino)?.unmap(first, Math.ceil((offset + length) / PAGE_SIZE) - first);
    }
    this.#filesystem.failed?.(owners);
  }

  /** What was stored is brought home, and then nobody reaches the memory any more. */
  #tearDown(): void {
    const reason = `${this.#filesystem.device.name} was removed`;
    const spaces = AddressSpaces.of(this.#filesystem);
    quietly(() => spaces.writeBack());
    quietly(() => this.#filesystem.shutDown?.(reason));
    for (const space of Array.from(spaces)) {
      // Of memory that cannot be taken back the device waits for the end.
      quietly(() => space.revoke(reason));
      space.unmap(0, ALL_PAGES);
    }
  }
}

const known = new WeakMap<Filesystem, Standing>();

function standingOf(filesystem: Filesystem): Standing {
  const standing = known.get(filesystem) ?? new Standing(filesystem);
  known.set(filesystem, standing);
  return standing;
}

/**
 * A mount begins to use the device: removing that answers EBUSY, or waits, until the returned
 * function is called.
 * @throws ENXIO when it is gone, EBUSY when it is claimed, or mapped raw
 */
export function joinDevice(filesystem: Filesystem, mount: Mount): () => void {
  const { device } = filesystem;
  const mounts = mountsOf(filesystem);
  const { dax } = device;
  const undo: (() => void)[] = [];
  const leave = (): void => {
    for (const step of undo.toReversed()) step();
  };
  try {
    dax?.device.enter();
    undo.push(() => dax?.device.exit());
    if (dax !== undefined) undo.push(useRange(dax, "filesystem", device.name));
    const standing = standingOf(filesystem);
    if (mounts.size === 0) standing.begin();
    mounts.add(mount);
    undo.push(() => {
      mounts.delete(mount);
      if (mounts.size === 0) standing.end();
    });
    const release = device.hold?.(filesystem);
    if (release !== undefined) undo.push(release);
  } catch (error) {
    leave();
    throw error;
  }
  return leave;
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
