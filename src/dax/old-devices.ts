/**
 * Devices of a machine that is Linux 4.1: what later kernels made of their memory is not there.
 *
 * - Page descriptors of device memory came with Linux 4.5.
 * - Populating and mlock filled page tables from descriptors until 4.3, and failed without.
 * - dax went through device-mapper from 4.8 on.
 * - MAP_SYNC came with 4.15.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { DaxDevice } from "./dax-device.ts";

const OLD = new WeakSet<DaxDevice>();

/** What such a device has not, and the kernel that brought it. */
const CAME: Readonly<Record<OldAbsence, string>> = {
  "page descriptors of device memory": "4.5",
  "dax through device-mapper": "4.8",
  MAP_SYNC: "4.15",
};

/** Something that came later. */
export type OldAbsence =
  | "page descriptors of device memory"
  | "dax through device-mapper"
  | "MAP_SYNC";

/** To be called by a driver that behaves as that of Linux 4.1. */
export function makeOld(device: DaxDevice): void {
  OLD.add(device);
}

/** Why a device has not what came later; undefined for one of today's. */
export function absenceOf(device: DaxDevice, what: OldAbsence): string | undefined {
  if (!OLD.has(device)) return undefined;
  return `${device.name} is a device of Linux 4.1; ${what} came with ${CAME[what]}`;
}

/** Whether pages can be mapped ahead, which took their descriptors then. @throws EFAULT */
export function assertPopulates(device: DaxDevice): void {
  if (!OLD.has(device)) return;
  const detail = `${device.name} has no page descriptors, from which Linux 4.1 maps ahead`;
  throw new DaxError("EFAULT", { detail });
}
