/**
 * The filesystems that are mounted on a mapped device: they stand still while it is suspended.
 *
 * @module
 */
import type { DeviceUser } from "../block/block-device.ts";

/** See the module. */
export class DeviceUsers {
  /** How often each has joined: a filesystem may be in several trees. */
  readonly #users = new Map<DeviceUser, number>();
  #frozen: DeviceUser[] = [];

  /** Counts a user in. */
  join(user: DeviceUser): void {
    this.#users.set(user, (this.#users.get(user) ?? 0) + 1);
  }

  /** Counts a user out; one that is gone is not thawed. */
  leave(user: DeviceUser): void {
    const left = (this.#users.get(user) ?? 0) - 1;
    if (left > 0) {
      this.#users.set(user, left);
      return;
    }
    this.#users.delete(user);
    this.#frozen = this.#frozen.filter((each) => each !== user);
  }

  /** Freezes all of them, or none. @throws what one of them says */
  freeze(): void {
    try {
      for (const user of this.#users.keys()) {
        user.freezing?.freeze({ by: "device" });
        this.#frozen.push(user);
      }
    } catch (error) {
      this.thaw();
      throw error;
    }
  }

  /** Ends what {@link freeze} began; nothing happens to who came later. @throws EIO */
  thaw(): void {
    const frozen = this.#frozen;
    this.#frozen = [];
    for (const user of frozen) user.freezing?.thaw("device");
  }
}
