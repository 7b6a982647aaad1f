/**
 * Making filesystems in files, on block devices and on any media. Exports are left to
 * `make-volume.ts`: whoever makes an image need not load what speaks to servers.
 *
 * @module
 */
import { type Stats, closeSync, ftruncateSync, openSync, statSync, unlinkSync } from "node:fs";
import { type BlockDevice, SECTOR_SIZE } from "../block/block-device.ts";
import { type ExtPlan, type ExtSummary, planExt } from "../fs/ext/mkfs.ts";
import type { MakeExtOptions } from "../fs/ext/mkfs-options.ts";
import { findSignature } from "../fs/ext/mkfs-signature.ts";
import type { Environment } from "../lib/environment.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { Media } from "../media/media.ts";
import { systemEnvironment } from "./environment.ts";
import { closeUnlocked, lockExclusively } from "./file-lock.ts";
import { openFileMedia } from "./file-media.ts";
import { loopMountOf } from "./loop-mounts.ts";
import { DISK_NAME, onDevice } from "./on-device.ts";
import { typed } from "./system-error.ts";

/** Where a filesystem is made, and how. */
export interface MakeVolumeOptions extends MakeExtOptions {
  /** Byte at which it starts; a multiple of 512. Not together with `partition`. */
  readonly offset?: number;
  /** Number of the partition that gets it. */
  readonly partition?: number;
  /** Whether an ordinary file is emptied first, so that it stays sparse; true unless given. */
  readonly discard?: boolean;
  /**
   * Asked before something that is known by sight is overwritten, such as `an ext4 filesystem`;
   * unless it says true, EEXIST. Not asked with `force`.
   */
  readonly mayOverwrite?: (what: string) => boolean;
  /** Clock and randomness: a seeded one makes the same bytes again. The system's unless given. */
  readonly environment?: Environment;
}

const DEFAULT_UNIT = 1024;
/** A little is written to many places far apart, and the engine pays by the length of a window. */
const WINDOW_BYTES = 2 ** 20;

/** Makes a filesystem on media, or at a path that is no URI. @throws as `makeVolume` */
export function makeImage(source: string | Media, options: MakeVolumeOptions = {}): ExtSummary {
  if (typeof source !== "string") return makeOn(source, options);
  try {
    return makeAtPath(source, options);
  } catch (error) {
    throw named(error, source);
  }
}

/** What would be made at a path that is no URI, with nothing written. @throws as `makeVolume` */
export function planImage(path: string, options: MakeVolumeOptions = {}): ExtSummary {
  try {
    return planFor(deviceBytes(statOf(path), options, path), options).summary();
  } catch (error) {
    throw named(error, path);
  }
}

/** The floors below know no path, or a device by a name that nobody outside has heard of. */
export function named(error: unknown, path: string): unknown {
  if (!isDaxError(error)) return error;
  const ours = error.path === undefined || error.path.startsWith(DISK_NAME);
  return ours ? error.at({ path }) : error;
}

/** A plan for so many bytes. @throws EINVAL, ENOSPC */
export function planFor(bytes: number, options: MakeVolumeOptions): ExtPlan {
  return planExt(bytes, options, options.environment ?? systemEnvironment);
}

function statOf(path: string): Stats | undefined {
  return typed(path, () => statSync(path, { throwIfNoEntry: false }));
}

/** Bytes that the options ask for; undefined when all of the device is meant. */
function wantedBytes({ size, blockSize = 0 }: MakeVolumeOptions): number | undefined {
  if (size === undefined) return undefined;
  if (typeof size !== "object" || size === null) {
    const detail = `size is ${String(size)}; write { bytes } or { blocks }`;
    throw new DaxError("EINVAL", { syscall: "mkfs", detail });
  }
  if ("bytes" in size) return size.bytes;
  return size.blocks * (blockSize > 0 ? blockSize : DEFAULT_UNIT);
}

function deviceBytes(stat: Stats | undefined, options: MakeVolumeOptions, path: string): number {
  const wanted = wantedBytes(options);
  if (wanted !== undefined) return wanted;
  if (stat === undefined) {
    const detail = "it is not there; give a size to have it made";
    throw new DaxError("ENOENT", { syscall: "mkfs", path, detail });
  }
  return withReading(path, options, (device) => device.sectors * SECTOR_SIZE);
}

/** Looks at the device that options mean, without a lock. */
function withReading<T>(
  path: string,
  options: MakeVolumeOptions,
  body: (device: BlockDevice) => T,
): T {
  const media = openFileMedia(path, { readOnly: true });
  try {
    return onDevice(media, { ...options, readOnly: true, syscall: "mkfs" }, body);
  } finally {
    media.close();
  }
}

function checkOverwrite(device: BlockDevice, options: MakeVolumeOptions): void {
  if (options.force === true) return;
  const what = findSignature(device);
  if (what === undefined || options.mayOverwrite?.(what) === true) return;
  const detail = `it holds ${what}; force (-F) overwrites it`;
  throw new DaxError("EEXIST", { syscall: "mkfs", detail });
}

/** A mount sees no lock; block devices that are mounted refuse to be opened. */
export function checkMounted(path: string, stat: Stats): void {
  const mount = stat.isFile() ? loopMountOf(path) : undefined;
  if (mount === undefined) return;
  throw new DaxError("EBUSY", {
    syscall: "mkfs",
    path,
    detail: `it is ${mount}; unmount it first`,
  });
}

/** Media of the caller's keep their size, and whatever is on them. */
function makeOn(media: Media, options: MakeVolumeOptions): ExtSummary {
  if (media.readOnly) {
    const detail = "it was opened for reading only";
    throw new DaxError("EROFS", { syscall: "mkfs", detail });
  }
  return onDevice(media, { ...options, readOnly: false, syscall: "mkfs" }, (device) => {
    const plan = planFor(device.sectors * SECTOR_SIZE, options);
    checkOverwrite(device, options);
    plan.write(device);
    return plan.summary();
  });
}

function makeAtPath(path: string, options: MakeVolumeOptions): ExtSummary {
  const stat = statOf(path);
  if (stat === undefined) return makeFile(path, options);
  const { offset = 0, partition } = options;
  const bytes = deviceBytes(stat, options, path);
  const whole = stat.isFile() && offset === 0 && partition === undefined && bytes >= stat.size;
  const emptied = whole && options.discard !== false;
  const told = { ...options, zeroed: options.zeroed === true || emptied };
  const plan = planFor(bytes, told);
  if (stat.size > 0 || stat.isBlockDevice()) {
    withReading(path, options, (device) => checkOverwrite(device, options));
  }
  checkMounted(path, stat);
  if (stat.isFile())
    setFileSize(
      path,
      stat.size,
      Math.max(stat.size, partition === undefined ? offset + bytes : 0),
      emptied,
    );
  return writePlan(path, plan, told);
}

function makeFile(path: string, options: MakeVolumeOptions): ExtSummary {
  const bytes = deviceBytes(undefined, options, path);
  const told = { ...options, zeroed: true };
  const plan = planFor(bytes, told);
  closeSync(typed(path, () => openSync(path, "wx", 0o666)));
  try {
    setFileSize(path, 0, (options.offset ?? 0) + bytes, true);
    return writePlan(path, plan, told);
  } catch (error) {
    unlinkSync(path);
    throw error;
  }
}

/**
 * Makes a file `size` bytes long, under a writer's lock; an emptied one reads as zeros. It grows
 * first and is opened on trial: a size that cannot be had leaves it as it was.
 */
export function setFileSize(path: string, before: number, size: number, empty: boolean): void {
  const fd = typed(path, () => openSync(path, "r+"));
  try {
    lockExclusively(fd, path);
    typed(path, () => ftruncateSync(fd, size));
    try {
      openFileMedia(path, { segmentBytes: WINDOW_BYTES, lock: false }).close();
    } catch (error) {
      ftruncateSync(fd, before);
      throw error;
    }
    if (!empty) return;
    typed(path, () => ftruncateSync(fd, 0));
    typed(path, () => ftruncateSync(fd, size));
  } finally {
    closeUnlocked(fd);
  }
}

function writePlan(path: string, plan: ExtPlan, options: MakeVolumeOptions): ExtSummary {
  const media = openFileMedia(path, { segmentBytes: WINDOW_BYTES });
  try {
    const use = { ...options, readOnly: false, syscall: "mkfs" };
    onDevice(media, use, (device) => plan.write(device));
    return plan.summary();
  } finally {
    media.close();
  }
}
