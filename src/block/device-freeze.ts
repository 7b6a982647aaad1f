/**
 * Freezing a device: nothing of its media changes until it is thawed, whoever stands on it. In
 * Linux `bdev_freeze` freezes the filesystem, and a queue that is stopped holds back requests; but
 * loads and stores never enter the queue (Jan Kara, October 2015), so every mapping has to lose the
 * right to store: those of files with their filesystem, raw ones here. Reading goes on.
 *
 * @module
 */
import { isShared } from "../dax/media-failures.ts";
import { RawFreeze } from "../dax/raw-freeze.ts";
import { DaxError } from "../lib/errno.ts";
import { forEvery } from "../lib/for-every.ts";
import type { BlockDevice, DeviceUser } from "./block-device.ts";
import { DeviceUsers } from "./device-users.ts";

/** Whether one device stands still, and who stands on it. */
export class DeviceFreeze {
  /**
   * Called for a write to the frozen device with the name of the request: it may thaw it, and then
   * the write goes on, as one that has waited. Otherwise it fails with EAGAIN.
   */
  whenFrozen: ((syscall: string) => void) | undefined;
  /** Who stands on it. */
  readonly users: DeviceUsers;
  readonly #device: Pick<BlockDevice, "name" | "dax">;
  /** What ends each freeze. */
  readonly #thaws = new Set<() => void>();
  /** What ends those that nobody keeps the end of, the last one last. */
  readonly #own: (() => void)[] = [];

  constructor(device: Pick<BlockDevice, "name" | "dax">) {
    this.#device = device;
    this.users = new DeviceUsers(device);
  }

  get frozen(): boolean {
    return this.#thaws.size > 0;
  }

  /** As {@link begin}, until {@link thaw}. */
  freeze(): void {
    this.#own.push(this.begin());
  }

  /**
   * Filesystems, unless told otherwise, and raw mappings come to a stand, or nobody does; then
   * writes are refused. Nests; the returned function ends it, once.
   * @throws EBUSY when memory was handed out that may be stored to and cannot be taken back, or the
   *   device is claimed by somebody who stores by himself; EIO
   */
  begin(filesystems = true): () => void {
    const frozen: DeviceUser[] = [];
    const undo: (() => void)[] = [];
    const thaw = (): void => {
      for (const step of undo.splice(0)) step();
      // Who has gone meanwhile is not thawed; a mapped device may be there with another table.
      const there = frozen.splice(0).filter((user) => user.use === "table" || this.users.has(user));
      const [error] = forEvery(there, (user) => user.freezing?.thaw("device"));
      if (error !== undefined) throw error;
    };
    try {
      for (const user of filesystems ? this.users.of() : []) {
        user.freezing?.freeze({ by: "device" });
        frozen.push(user);
      }
      const { dax, name } = this.#device;
      if (dax !== undefined) {
        const { holder } = dax.device;
        if (holder !== undefined && !isShared(holder)) {
          const detail = `${holder.name} has claimed its memory, and stores by itself`;
          throw new DaxError("EBUSY", { syscall: "freeze", path: name, detail });
        }
        const { start, length } = dax;
        const raw = RawFreeze.of(dax.device);
        raw.freeze(start, length);
        undo.push(() => raw.thaw(start, length));
      }
    } catch (error) {
      thaw();
      throw error;
    }
    this.#thaws.add(thaw);
    return () => void (this.#thaws.delete(thaw) && thaw());
  }

  /**
   * Ends the last {@link freeze}, for all of them.
   * @throws EINVAL when there is none; EIO of a filesystem that cannot be changed any more
   */
  thaw(): void {
    const thaw = this.#own.pop();
    if (thaw === undefined) {
      const detail = "it is not frozen";
      throw new DaxError("EINVAL", { syscall: "thaw", path: this.#device.name, detail });
    }
    thaw();
  }

  /** Every write passes here. @throws EAGAIN while the device is frozen */
  pass(syscall: string): void {
    if (this.#thaws.size === 0) return;
    this.whenFrozen?.(syscall);
    if (!this.frozen) return;
    const detail = "the device is frozen; the request waits for thaw";
    throw new DaxError("EAGAIN", { syscall, path: this.#device.name, detail });
  }
}

/**
 * Freezes a disk, a partition or a mapped device.
 * @throws EOPNOTSUPP where that is not to be had, as `freeze`
 */
export function freezeDevice(device: BlockDevice): void {
  freezeOf(device).freeze();
}

/** Ends what {@link freezeDevice} began. @throws EINVAL, EIO */
export function thawDevice(device: BlockDevice): void {
  freezeOf(device).thaw();
}

function freezeOf({ name, freezing }: BlockDevice): DeviceFreeze {
  if (freezing !== undefined) return freezing;
  const detail = "it cannot be frozen; freeze the device below it";
  throw new DaxError("EOPNOTSUPP", { syscall: "freeze", path: name, detail });
}
