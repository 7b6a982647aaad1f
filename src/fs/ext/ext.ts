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
import { type MountedParts, mountForWriting } from "./mount-writing.ts";
import { recover } from "./recovery.ts";
import {
  type Superblock,
  probeSuperblock,
  readSuperblock,
  readSuperblockToRecover,
} from "./superblock.ts";
import { Volume } from "./volume.ts";
import type { ExtWriteOptions } from "./writing-options.ts";

/** Options of ext4(5) that mean something here. */
export interface ExtMountOptions extends ExtWriteOptions {
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
   * Mounts for reading unless told to `write`: then nothing is ever written to the device, and a
   * dirty journal is replayed in memory. A mount for writing replays it on the device, deletes what
   * an earlier mount left to be deleted, and is to be unmounted.
   * @throws EUCLEAN, EBADMSG for a damaged image, ENOTSUP for a feature that is not read, or not
   *   kept right by writing; EINVAL for an option that cannot be granted, EROFS for a device that
   *   cannot be written, EIO
   */
  mount(device: BlockDevice, options: ExtMountOptions, environment: Environment): ExtFilesystem {
    const { minixdf = false, write = false } = options;
    const open = write ? mountForWriting : mountForReading;
    const { volume, writing } = open(device, options, environment);
    const daxPolicy = daxPolicyFor(device, volume.superblock, options.dax ?? "inode");
    const filesystem = new ExtFilesystem(volume, { daxPolicy, minixdf, writing });
    const { type } = filesystem;
    environment.trace.event("ext.mount", { device: device.name, type, dax: daxPolicy });
    return filesystem;
  },

  check(device: BlockDevice, env: Environment): Iterable<Finding> {
    return checkExt(device, env);
  },
};

function mountForReading(
  device: BlockDevice,
  { noload = false }: ExtMountOptions,
  { trace }: Environment,
): MountedParts {
  const found = noload ? readSuperblock(device) : readSuperblockToRecover(device);
  const buffers = new Buffers(device, found.blockSize);
  const superblock = noload ? found : recover(found, buffers, trace);
  return { volume: new Volume(superblock, buffers, trace), writing: undefined };
}

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
