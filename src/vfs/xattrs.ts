/**
 * All extended attributes of an inode, as a tool that lists them with their values wants them.
 *
 * @module
 */
import { type DaxError, isDaxError } from "../lib/errno.ts";
import type { Inode } from "./filesystem.ts";

/** An attribute; a value that nobody hands out is absent, and it is said why. */
export interface Xattr {
  readonly name: string;
  readonly value: Uint8Array | undefined;
  /** E2BIG; undefined for an ACL that says nothing. */
  readonly absence: DaxError | undefined;
}

/** The attributes in media order, one value at a time. @throws EUCLEAN, EBADMSG, EIO */
export function* xattrsOf(inode: Inode): Generator<Xattr> {
  for (const name of inode.listxattr()) {
    let value: Uint8Array | undefined;
    let absence: DaxError | undefined;
    try {
      value = inode.getxattr(name);
    } catch (error) {
      if (!isDaxError(error, "E2BIG")) throw error;
      absence = error;
    }
    yield { name, value, absence };
  }
}
