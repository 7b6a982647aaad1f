/**
 * Legs: the devices below a table, opened once however many targets of it use them.
 *
 * @module
 */
import type { BlockDevice, DeviceUser } from "../block/block-device.ts";
import type { DeviceFreeze } from "../block/device-freeze.ts";
import { reachesFilesystem } from "../block/device-users.ts";
import type { DaxRange } from "../dax/iomap.ts";
import { type FailureListener, forget, listen } from "../dax/media-failures.ts";
import { type KnownDevice, numberText } from "./device-directory.ts";

/** What the tables of a mapped device are to its legs; `settle` brings home what targets hold. */
export function tableUser(
  owner: { readonly name: string },
  standing: DeviceFreeze,
  settle: () => void,
): DeviceUser {
  const thaws: (() => void)[] = [];
  const freeze = (): void => {
    thaws.push(standing.begin());
    settle();
  };
  return {
    get name() {
      return `the mapped device ${owner.name}`;
    },
    use: "table",
    freezing: { freeze, thaw: () => thaws.pop()?.() },
    above: () => standing.users.of(),
  };
}

/**
 * A filesystem on a mapped device uses what lies in its legs as well; where it cannot, `leave` is
 * called.
 * @throws EBUSY naming a raw mapping there
 */
export function reachThrough(
  user: DeviceUser,
  legs: readonly BlockDevice[],
  leave: () => void,
): void {
  if (!reachesFilesystem(user)) return;
  const { name, syscall = "mount" } = user;
  try {
    for (const leg of legs) leg.hold?.({ name, syscall, use: "through" })();
  } catch (error) {
    leave();
    throw error;
  }
}

/** A device that a table has open. */
export class Leg {
  readonly known: KnownDevice;
  readonly device: BlockDevice;
  readonly #listener: FailureListener;
  readonly #user: DeviceUser;
  #dax: DaxRange | undefined;
  /** Ends the use of a device that wants to know who stands on it. */
  readonly #release: (() => void) | undefined;
  #closed = false;

  /**
   * @throws EBUSY when somebody has the device, or has claimed its dax memory; ENXIO when it is
   *   gone
   */
  constructor(known: KnownDevice, listener: FailureListener, user: DeviceUser) {
    this.known = known;
    this.device = known.device;
    this.#listener = listener;
    this.#user = user;
    this.#dax = known.device.dax;
    this.#release = known.device.hold?.(user);
    try {
      if (this.#dax !== undefined) listen(this.#dax.device, listener, user);
    } catch (error) {
      this.#release?.();
      throw error;
    }
    known.opened?.(1);
  }

  /** `MAJOR:MINOR`. */
  get text(): string {
    return numberText(this.known.number);
  }

  /** The memory of the device when it was opened, and of one that has got some since. */
  get dax(): DaxRange | undefined {
    const now = this.device.dax;
    if (now?.device !== this.#dax?.device) {
      if (this.#dax !== undefined) forget(this.#dax.device, this.#listener);
      if (now !== undefined) listen(now.device, this.#listener, this.#user);
      this.#dax = now;
    }
    return now;
  }

  /** Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#dax !== undefined) forget(this.#dax.device, this.#listener);
    this.#release?.();
    this.known.opened?.(-1);
  }
}
