/**
 * Changing a filesystem's superblock while nobody has it mounted, as tune2fs does: the same changes
 * make the same bytes.
 *
 * The copies in other groups are written and made durable before the first one, so that there is a
 * whole superblock whenever power goes: e2fsck takes a copy when it finds the first one torn.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../../block/block-device.ts";
import { Buffers } from "../../block/buffers.ts";
import { holdAlone } from "../../block/device-users.ts";
import {
  EXT4_FEATURE_INCOMPAT_MMP,
  EXT4_FEATURE_INCOMPAT_RECOVER,
  EXT4_SUPERBLOCK_OFFSET,
  EXT4_VALID_FS,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import type { Environment } from "../../lib/environment.ts";
import { DaxError, assert } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";
import { hasIncompat } from "./features.ts";
import { groupStart, superGroups } from "./geometry.ts";
import { type MultiMountOptions, MultiMountGuard, clearMultiMount } from "./multi-mount.ts";
import { superblockChecksumOf } from "./recover-flag.ts";
import { type Superblock, parseSuperblock, readSuperblock } from "./superblock.ts";
import { TunedSuperblock } from "./tune-apply.ts";
import { tunedDescriptors } from "./tune-descriptors.ts";
import { type TuneExtOptions, refuse } from "./tune-options.ts";
import { type TuneSummary, summaryOf } from "./tune-summary.ts";
import { Volume } from "./volume.ts";

/** How another machine that has the filesystem is noticed. */
export type TuneMount = Pick<MultiMountOptions, "nodename" | "wait">;

/**
 * Changes what `options` say, and nothing when they change nothing. Nobody may have the filesystem
 * mounted.
 * @throws EINVAL for options that make no sense, ENOTSUP for what is not changed here and for
 *   features that are not read, EROFS, EBUSY while the device is in use or for a multi-mount claim,
 *   EUCLEAN for a journal that has to be replayed or a superblock that is damaged, EBADMSG: all
 *   with nothing written; EIO
 */
export function tuneExt(
  device: BlockDevice,
  options: TuneExtOptions,
  environment: Environment,
  mount?: TuneMount,
): TuneSummary {
  if (device.readOnly) {
    throw new DaxError("EROFS", { syscall: "tune", detail: `${device.name} is read-only` });
  }
  const superblock = readSuperblock(device);
  checkReplayed(superblock);
  const tuned = new TunedSuperblock(bytesOf(device), superblock, environment);
  tuned.apply(options);
  const multiMount = hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_MMP);
  const forced = options.clearMultiMount === true;
  if (!forced && !tuned.changed) return summaryOf(tuned);
  holdAlone(device, "tune", () => {
    if (forced) forceClaim(superblock, device, options, environment);
    if (!tuned.changed) return;
    const after = parsedAfter(tuned, device);
    const guard = multiMount ? claim(superblock, device, environment, mount) : undefined;
    write(device, superblock, after, tuned);
    guard?.release();
  });
  return summaryOf(tuned);
}

function bytesOf(device: BlockDevice): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeof(SB));
  device.readBytes(EXT4_SUPERBLOCK_OFFSET, bytes);
  return bytes;
}

/** A replay brings back the superblock that the journal holds. */
function checkReplayed(superblock: Superblock): void {
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_RECOVER)) return;
  const detail =
    "its journal has to be replayed first, which would take the changes back: " +
    "open it for writing and close it (daxkit sync), or run e2fsck -p";
  throw new DaxError("EUCLEAN", { syscall: "tune", detail });
}

/** What would be read afterwards; features that the driver does not read are passed over. */
function parsedAfter(tuned: TunedSuperblock, device: BlockDevice): Superblock {
  const readable = tuned.readable();
  return parseSuperblock(new DataView(readable.buffer), 0, device.sectors * SECTOR_SIZE);
}

function claim(
  superblock: Superblock,
  device: BlockDevice,
  { clock, random, trace }: Environment,
  mount: TuneMount | undefined,
): MultiMountGuard {
  const buffers = new Buffers(device, superblock.blockSize);
  const word = new Uint8Array(4);
  return new MultiMountGuard(new Volume(superblock, buffers, trace), {
    nodename: "daxkit",
    ...mount,
    now: () => clock.now(),
    random: () => {
      // oxlint-disable-next-line unicorn/no-array-fill-with-reference-type -- not an array's fill
      random.fill(word);
      return new DataView(word.buffer).getUint32(0);
    },
  });
}

function forceClaim(
  superblock: Superblock,
  device: BlockDevice,
  { force }: TuneExtOptions,
  { trace }: Environment,
): void {
  if (force !== true) refuse("clear_mmp takes a claim away from whoever has it; say -f as well");
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_MMP)) return;
  clearMultiMount(new Volume(superblock, new Buffers(device, superblock.blockSize), trace));
}

/** Copies first, then the first one; each half durable before the other. */
function write(
  device: BlockDevice,
  before: Superblock,
  after: Superblock,
  tuned: TunedSuperblock,
): void {
  const descriptors = tuned.uuidChanged ? tunedDescriptors(device, before, after) : undefined;
  for (const group of superGroups(before)) {
    if (group === 0) continue;
    const at = groupStart(before, group) * before.blockSize;
    device.write(at / SECTOR_SIZE, copyFor(tuned.bytes, group, after.metadataCsum));
  }
  descriptors?.writeCopies();
  device.flush();
  descriptors?.writeFirst();
  device.write(EXT4_SUPERBLOCK_OFFSET / SECTOR_SIZE, sealed(tuned.bytes, after.metadataCsum));
  device.flush();
}

/** A copy does not call itself whole, and asks for no replay. */
function copyFor(
  bytes: Uint8Array<ArrayBuffer>,
  group: number,
  checksummed: boolean,
): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  SB.blockGroupNr.set(view, 0, Math.min(group, 0xffff));
  SB.state.set(view, 0, SB.state.get(view, 0) & ~EXT4_VALID_FS);
  return sealed(copy, checksummed);
}

function sealed(bytes: Uint8Array<ArrayBuffer>, checksummed: boolean): Uint8Array<ArrayBuffer> {
  assert(bytes.length === sizeof(SB), "a superblock of another size");
  if (checksummed) SB.checksum.set(new DataView(bytes.buffer), 0, superblockChecksumOf(bytes));
  return bytes;
}
