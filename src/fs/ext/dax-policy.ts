/**
 * Which regular files reach the media without a page cache: what a mount asks for, and whether the
 * device and the filesystem can grant it, as ext4 decides (`dax=`, `ext4_fill_super`,
 * `fs_dax_get_by_bdev`).
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import { daxCapability } from "../../block/dax-capability.ts";
import { EXT4_FEATURE_INCOMPAT_INLINE_DATA } from "../../format/ext-superblock.ts";
import { DaxError } from "../../lib/errno.ts";
import { hasIncompat } from "./features.ts";
import type { DaxPolicy } from "./inode.ts";
import type { Superblock } from "./superblock.ts";

const DAX_POLICIES: ReadonlySet<unknown> = new Set(["always", "inode", "never"]);

/**
 * The policy of a mount. Where dax is impossible `inode` is as good as `never`; `always` is refused
 * where it cannot be kept. @throws EINVAL that says why
 */
export function daxPolicyFor(
  device: BlockDevice,
  superblock: Superblock,
  asked: DaxPolicy,
): DaxPolicy {
  if (!DAX_POLICIES.has(asked)) refuse(`dax=${asked}; it is always, inode or never`);
  if (asked === "never") return "never";
  const found = daxCapability(device, superblock.blockSize);
  if (asked === "inode") return found.capable ? "inode" : "never";
  if (!found.capable) refuse(`dax=always: DAX unsupported by block device: ${found.reason}`);
  if (hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_INLINE_DATA)) {
    refuse("dax=always: cannot use DAX on a filesystem that may contain inline data");
  }
  return "always";
}

function refuse(detail: string): never {
  throw new DaxError("EINVAL", { syscall: "mount", detail });
}
