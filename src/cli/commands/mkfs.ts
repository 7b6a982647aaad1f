/**
 * `daxkit mkfs.ext2`, `daxkit mkfs.ext3` and `daxkit mkfs.ext4`.
 *
 * @module
 */
import { makeCommand } from "../make.ts";

export const mkfsExt2 = makeCommand("ext2");
export const mkfsExt3 = makeCommand("ext3");
export const mkfsExt4 = makeCommand("ext4");
