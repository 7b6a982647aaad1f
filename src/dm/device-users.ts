/**
 * Who stands still while a mapped device is suspended: filesystems that are mounted on it, and
 * programs that have mapped its memory raw.
 *
 * @module
 */
import type { DeviceUser } from "../block/block-device.ts";
import type { DaxDevice } from "../dax/dax-device.ts";
import { RawFreeze } from "../dax/raw-freeze.ts";

/** See the module. */
export class DeviceUsers {
  /** How often each has joined: a filesystem may be in several trees. */
  readonly #users = new Map<DeviceUser, number>();
  #frozen: DeviceUser[] = [];
  #raw: RawFreeze | undefined;

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

  /**
   * Freezes filesystems, if that is wanted, and stores through raw mappings of `dax`: all of them,
   * or none. @throws what one of them says
   */
  freeze(filesystems: boolean, dax: DaxDevice | undefined): void {
    try {
      for (const user of filesystems ? this.#users.keys() : []) {
        user.freezing?.freeze({ by: "device" });
        this.#frozen.push(user);
      }
      if (dax === undefined) return;
      RawFreeze.of(dax).freeze();
      this.#raw = RawFreeze.of(dax);
    } catch (error) {
      this.thaw();
      throw error;
    }
  }

  /** Ends what {@link freeze} began; nothing happens to who came later. @throws EIO */
  thaw(): void {
    const [frozen, raw] = [this.#frozen, this.#raw];
    [this.#frozen, this.#raw] = [[], undefined];
    raw?.thaw();
    for (const user of frozen) user.freezing?.thaw("device");
  }
}
