/**
 * ext2, ext3 and ext4: finding and mounting their images. Mounting reads the superblock and the
 * root, never a group more, so it costs the same for any size of image.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import { Buffers } from "../../block/buffers.ts";
import { holdAlone } from "../../block/device-users.ts";
import type { Environment } from "../../lib/environment.ts";
import { isDaxError } from "../../lib/errno.ts";
import { Standing } from "../../vfs/mounted-device.ts";
import type { FilesystemType, Finding } from "../../vfs/filesystem.ts";
import { checkExt } from "./check.ts";
import { daxPolicyFor } from "./dax-policy.ts";
import { ExtFilesystem } from "./filesystem.ts";
import type { DaxPolicy } from "./inode.ts";
import { type MountedParts, mountForWriting, recoverForWriting } from "./mount-writing.ts";
import { labelOf } from "./name-bytes.ts";
import { recover } from "./recovery.ts";
import { SharedReads } from "./shared-reads.ts";
import { probeSuperblock, readSuperblock, readSuperblockToRecover } from "./superblock.ts";
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
   * dirty journal is replayed in memory. A mount for writing replays it on the device, and deletes
   * what an earlier mount left to be deleted. Until it is unmounted the device is in use: others
   * may mount it too, where all of them only read.
   * @throws EUCLEAN, EBADMSG for a damaged image, ENOTSUP for a feature that is not read, or not
   *   kept right by writing; EINVAL for an option that cannot be granted, EROFS for a device that
   *   cannot be written, EBUSY while the device is mounted and one of both mounts writes, mapped
   *   raw, or a leg of a mapped device; EIO
   */
  mount(device: BlockDevice, options: ExtMountOptions, environment: Environment): ExtFilesystem {
    const { minixdf = false, write = false, dax = "inode" } = options;
    const standing = new Standing(device, { type: "ext4", write });
    // Before a journal is replayed: somebody may have the bytes in his hands.
    const leaveDevice = standing.hold();
    try {
      if (write) checkDax(device, options);
      const open = write ? mountForWriting : mountForReading;
      const { volume, writing } = open(device, options, environment);
      const daxPolicy = daxPolicyFor(device, volume.superblock, dax);
      const behaviour = { daxPolicy, minixdf, writing, leaveDevice };
      const filesystem = new ExtFilesystem(volume, behaviour);
      standing.carry(filesystem);
      standing.label = labelOf(volume.superblock);
      const { type } = filesystem;
      environment.trace.event("ext.mount", { device: device.name, type, dax: daxPolicy });
      return filesystem;
    } catch (error) {
      leaveDevice();
      throw error;
    }
  },

  check(device: BlockDevice, env: Environment): Iterable<Finding> {
    return checkExt(device, env);
  },
};

/**
 * Does what a mount for writing does first: the journal is replayed on the device. What is left for
 * the mount depends on that alone, which those make use of who mount again and again.
 * @throws as a mount for writing
 */
export function recoverExt(
  device: BlockDevice,
  options: ExtMountOptions,
  environment: Environment,
): void {
  holdAlone(device, "mount", () => {
    checkDax(device, options);
    recoverForWriting(device, options, environment);
  });
}

/** Before anything is written; a mount asks again, as the journal may hold another superblock. */
function checkDax(device: BlockDevice, { dax = "inode" }: ExtMountOptions): void {
  daxPolicyFor(device, readSuperblockToRecover(device), dax);
}

function mountForReading(
  device: BlockDevice,
  { noload = false }: ExtMountOptions,
  { trace }: Environment,
): MountedParts {
  const found = noload ? readSuperblock(device) : readSuperblockToRecover(device);
  const buffers = new Buffers(device, found.blockSize);
  const superblock = noload ? found : recover(found, buffers, trace);
  const shared = SharedReads.of(superblock, buffers);
  return { volume: new Volume(superblock, buffers, trace, { shared }), writing: undefined };
}
