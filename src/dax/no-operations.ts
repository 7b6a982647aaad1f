/**
 * The operations of a dax device that has none: plain device-dax, which is mapped and nothing else.
 * Everybody who asks hears so, instead of finding memory that nobody meant for them.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { DaxOperations } from "./operations.ts";

function refuse(syscall: string): never {
  throw new DaxError("EOPNOTSUPP", {
    syscall,
    detail: "device-dax has no operations for filesystems; bind the device to fsdev_dax",
  });
}

/** EOPNOTSUPP to every question. */
export const NO_OPERATIONS: DaxOperations = {
  directAccess: () => refuse("direct_access"),
  zeroPageRange: () => refuse("zero_page_range"),
  recoveryWrite: () => refuse("recovery_write"),
  copyFromIter: () => refuse("copy_from_iter"),
  flush: () => refuse("flush"),
  stitch: () => refuse("stitch"),
};
