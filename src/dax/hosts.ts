/**
 * Which dax device stands behind a disk, by the disk's name: Linux's host table
 * (`dax_get_by_host`). A machine owns one.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { DaxDevice } from "./dax-device.ts";

/** Disk names and their dax devices. */
export class DaxHosts {
  readonly #devices = new Map<string, DaxDevice>();

  /** @throws EBUSY when the name has a living device already */
  register(host: string, device: DaxDevice): void {
    const known = this.find(host);
    if (known !== undefined && known !== device) {
      throw new DaxError("EBUSY", {
        syscall: "dax_add_host",
        path: host,
        detail: `the disk already has the dax device ${known.name}; remove that first`,
      });
    }
    this.#devices.set(host, device);
  }

  /** The living device of a disk; undefined for an unknown name and for a killed device. */
  find(host: string): DaxDevice | undefined {
    const device = this.#devices.get(host);
    return device?.alive === true ? device : undefined;
  }

  /** Forgets a disk, if `device` is what it has. */
  unregister(host: string, device: DaxDevice): void {
    if (this.#devices.get(host) === device) this.#devices.delete(host);
  }

  /** Names with living devices, in the order of registration. */
  *hosts(): IterableIterator<string> {
    for (const [host, device] of this.#devices) if (device.alive) yield host;
  }
}
