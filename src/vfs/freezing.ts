/**
 * Freezing a filesystem (FIFREEZE, and what a device does to the one on it): everything is brought
 * to its place, and from then on the media does not change by one bit until the filesystem is
 * thawed. Reading goes on.
 *
 * Stores through mappings are no calls, so freezing has to take the right to store away from them.
 * Linux forgot that for years: pages that were mapped to be written stayed so, and a snapshot that
 * was taken of the device meanwhile had half of what a program stored (Jan Kara, October 2015).
 *
 * @module
 */
import type { StandStill } from "../dax/address-space.ts";
import { AddressSpaces } from "../dax/address-spaces.ts";
import { DaxError } from "../lib/errno.ts";
import type { Filesystem } from "./filesystem.ts";
import { mountsOf } from "./filesystem-mounts.ts";

/**
 * On whose behalf: `user` is FIFREEZE, of which there is one at a time; `device` freezes nest, as a
 * snapshot above a snapshot makes them. The filesystem goes on when all of them have thawed.
 */
export type FreezeHolder = "user" | "device";

/** How a filesystem is frozen. */
export interface FreezeOptions {
  /** `user` unless given. */
  readonly by?: FreezeHolder;
  /** `write-protect` unless given, which is less intrusive. */
  readonly strategy?: StandStill;
}

/** What a filesystem does itself. */
export interface FreezeSteps {
  /** Everything that was done is durable and in its place, as if it were unmounted. @throws EIO */
  quiesce(): void;
  /** It is written to again. @throws EIO */
  resume(): void;
}

/** Whether one filesystem stands still, and who wants it to. */
export class Freezing {
  /**
   * Called for whatever would change a frozen filesystem, with the name of the call: it may thaw
   * it, and then the call goes on, as one that has waited. Otherwise the call fails with EAGAIN.
   */
  whenFrozen: ((syscall: string) => void) | undefined;
  readonly #filesystem: Filesystem;
  readonly #steps: FreezeSteps;
  #byUser = false;
  #byDevices = 0;
  #frozen = false;

  constructor(filesystem: Filesystem, steps: FreezeSteps) {
    this.#filesystem = filesystem;
    this.#steps = steps;
  }

  get frozen(): boolean {
    return this.#frozen;
  }

  /**
   * Brings everything to its place and stands still. What it costs follows from what is dirty, not
   * from what is mapped.
   * @throws EBUSY when a user has frozen it already, or memory was handed out that may be stored to
   *   and cannot be taken back; EIO, ENOSPC when not everything could be written. Then it is not
   *   frozen
   */
  freeze({ by = "user", strategy = "write-protect" }: FreezeOptions = {}): void {
    if (by === "user" && this.#byUser) {
      const detail = "a user has frozen it already; thaw it first";
      throw new DaxError("EBUSY", { syscall: "FIFREEZE", detail });
    }
    if (!this.#frozen) this.#standStill(strategy);
    this.#frozen = true;
    if (by === "user") this.#byUser = true;
    else this.#byDevices++;
  }

  /**
   * Ends one freeze; the last one lets the filesystem go on.
   * @throws EINVAL when `by` has not frozen it; EIO when it cannot go on: then it is read-only
   */
  thaw(by: FreezeHolder = "user"): void {
    if (by === "user" ? !this.#byUser : this.#byDevices === 0) {
      const detail = `no ${by} has frozen it`;
      throw new DaxError("EINVAL", { syscall: "FITHAW", detail });
    }
    if (by === "user") this.#byUser = false;
    else this.#byDevices--;
    if (this.#byUser || this.#byDevices > 0) return;
    this.#frozen = false;
    this.#steps.resume();
  }

  /** Whatever would change the filesystem passes here. @throws EAGAIN while it is frozen */
  pass(syscall: string): void {
    if (this.#frozen) this.#wait(syscall);
  }

  #wait(syscall: string): void {
    this.whenFrozen?.(syscall);
    if (!this.#frozen) return;
    const detail = `${this.#filesystem.device.name} is frozen; it waits for thaw`;
    throw new DaxError("EAGAIN", { syscall, detail });
  }

  #standStill(strategy: StandStill): void {
    const spaces = [...AddressSpaces.of(this.#filesystem)];
    const raw = this.#rawStorer() ?? spaces.map((space) => space.holderOf(0)).find(Boolean);
    if (raw !== undefined) {
      const detail = `${raw}, and may be stored to; release that first, or map it revocable`;
      throw new DaxError("EBUSY", { syscall: "FIFREEZE", detail });
    }
    for (const space of spaces) space.standStill(strategy);
    this.#steps.quiesce();
  }

  #rawStorer(): string | undefined {
    for (const mount of mountsOf(this.#filesystem)) {
      const user = mount.rawStorer();
      if (user !== undefined) return `bytes of an ${user.describe()} were handed out`;
    }
    return undefined;
  }
}

/** Freezes a filesystem. @throws EOPNOTSUPP for one that cannot stand still, as `freeze` */
export function freezeFilesystem({ freezing, type }: Filesystem, options?: FreezeOptions): void {
  if (freezing === undefined) refuse("FIFREEZE", type);
  freezing.freeze(options);
}

/** Ends what {@link freezeFilesystem} began. @throws as `thaw` */
export function thawFilesystem({ freezing, type }: Filesystem, by?: FreezeHolder): void {
  if (freezing === undefined) refuse("FITHAW", type);
  freezing.thaw(by);
}

function refuse(syscall: string, type: string): never {
  throw new DaxError("EOPNOTSUPP", { syscall, detail: `${type} cannot be frozen` });
}
