/**
 * Commands of dmsetup for the mapped devices of a machine that is up.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import type { Machine } from "../../machine/machine.ts";
import { checkSocketPath } from "../nbd/addresses.ts";
import { MapperControl } from "./mapper-control.ts";
import { lockMapper } from "./mapper-lock.ts";
import { clearSocket, mapperPlaces } from "./mapper-places.ts";

/** Commands are taken until it is closed. */
export interface MachineControl {
  readonly path: string;
  /** Idempotent. */
  close(): void;
}

/**
 * Takes commands for a machine's mapper at a socket; `uri` says where a device is served.
 * @throws EBUSY where another mapper has that place, and what listening says
 */
export async function controlMachine(
  machine: Machine,
  path: string,
  uri: (device: string) => string,
): Promise<MachineControl> {
  const { control: place, lock } = mapperPlaces(checkSocketPath(path));
  const held = lockMapper(lock);
  if (held === undefined) {
    const detail = "another mapper takes commands there; give another place";
    throw new DaxError("EBUSY", { syscall: "listen", path: place, detail });
  }
  const control = new MapperControl({ mapper: machine.mapper, uri });
  try {
    clearSocket(place);
    await control.listen(place);
  } catch (error) {
    held.release();
    throw error;
  }
  let open = true;
  const close = (): void => {
    if (!open) return;
    open = false;
    control.close();
    held.release();
  };
  return { path: place, close };
}
