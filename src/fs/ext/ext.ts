/**
 * ext2, ext3 and ext4: finding and mounting their images. Mounting reads the superblock and the
 * root, never a group more, so it costs the same for any size of image.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import { Buffers } from "../../block/buffers.ts";
import { PAGE_SIZE } from "../../dax/operations.ts";
import { EXT4_FEATURE_INCOMPAT_INLINE_DATA } from "../../format/ext-superblock.ts";
import type { Environment } from "../../lib/environment.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import type { FilesystemType, Finding } from "../../vfs/filesystem.ts";
import { checkExt } from "./check.ts";
import { hasIncompat } from "./features.ts";
import { ExtFilesystem } from "./filesystem.ts";
import type { DaxPolicy } from "./inode.ts";
import { recover } from "./recovery.ts";
import {
  type Superblock,
  probeSuperblock,
  readSuperblock,
  readSuperblockToRecover,
} from "./superblock.ts";
import { Volume } from "./volume.ts";

/** Options of ext4(5) that mean something to a reader. */
export interface ExtMountOptions {
  /** Leaves a dirty journal alone, and shows what is on the media without it. */
  readonly noload?: boolean;
  /** `inode`, the default, goes by each inode's flag. */
  readonly dax?: DaxPolicy;
  /** statfs counts the filesystem's own blocks too. */
  readonly minixdf?: boolean;
}

const DAX_POLICIES: ReadonlySet<unknown> = new Set(["always", "inode", "never"]);

/** The ext family. */
export const ext: FilesystemType<ExtMountOptions> = {
  name: "ext4",

  probe(device: BlockDevice): boolean {
    try {
      return probeSuperblock(device);
    } catch (error) {
      if (isDaxError(error)) return false;
      throw error;
    }
  },

  /**
   * Mounts read-only: nothing is ever written to the device, a dirty journal is replayed in memory.
   * @throws EUCLEAN, EBADMSG for a damaged image, ENOTSUP for a feature that is not read, EINVAL
   *   for an option that cannot be granted, EIO
   */
  mount(device: BlockDevice, options: ExtMountOptions, { trace }: Environment): ExtFilesystem {
    const { noload = false, minixdf = false } = options;
    const found = noload ? readSuperblock(device) : readSuperblockToRecover(device);
    const buffers = new Buffers(device, found.blockSize);
    const superblock = noload ? found : recover(found, buffers, trace);
    const daxPolicy = daxPolicyFor(device, superblock, options.dax ?? "inode");
    const volume = new Volume(superblock, buffers, trace);
    const filesystem = new ExtFilesystem(volume, { daxPolicy, minixdf });
    const { type } = filesystem;
    trace.event("ext.mount", { device: device.name, type, dax: daxPolicy });
    return filesystem;
  },

  check(device: BlockDevice, env: Environment): Iterable<Finding> {
    return checkExt(device, env);
  },
};

/** As ext4 decides at mount (fs-dax policy): `always` is refused where it cannot be kept. */
function daxPolicyFor(device: BlockDevice, superblock: Superblock, asked: DaxPolicy): DaxPolicy {
  if (!DAX_POLICIES.has(asked)) refuse(`dax=${asked}; it is always, inode or never`);
  const sized = superblock.blockSize === PAGE_SIZE;
  const possible = device.dax !== undefined && sized;
  if (asked !== "always") return possible ? asked : "never";
  if (device.dax === undefined) refuse("dax=always: DAX unsupported by block device");
  if (!sized) {
    refuse(`dax=always: unsupported blocksize for DAX (${superblock.blockSize}, not ${PAGE_SIZE})`);
  }
  if (hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_INLINE_DATA)) {
    refuse("dax=always: cannot use DAX on a filesystem that may contain inline data");
  }
  return "always";
}

function refuse(detail: string): never {
  throw new DaxError("EINVAL", { syscall: "mount", detail });
}
