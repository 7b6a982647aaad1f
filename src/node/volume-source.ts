/**
 * Where a volume's filesystem is: the media behind a source, and the disk, partition or part of it
 * that holds a filesystem of a known kind.
 *
 * @module
 */
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type BlockDevice, SECTOR_SIZE } from "../block/block-device.ts";
import { describePartitions, openPartition, readPartitionTable } from "../block/partition-table.ts";
import { Partition } from "../block/partition.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { type Pmem, createPmem } from "../drivers/pmem.ts";
import { type ExtMountOptions, ext } from "../fs/ext/ext.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { Media } from "../media/media.ts";
import { isNbdUri } from "../nbd/uri.ts";
import type { FilesystemType } from "../vfs/filesystem.ts";
import { openFileMedia } from "./file-media.ts";
import { copyHint, foreignHint } from "./foreign-image.ts";
import { loopMountOf } from "./loop-mounts.ts";
import { openNbdMedia } from "./nbd/client-media.ts";

/** Filesystems that can be found on a volume, in the order of asking. */
const TYPES: readonly FilesystemType<ExtMountOptions>[] = [ext];

/** As people call them: one driver reads three. */
const KNOWN = "ext2, ext3, ext4";

/** The device over a source; partitions are called after it. */
const DISK_NAME = "pmem0";

/** Bytes of an export that stay in memory. */
const NBD_BUFFER_BYTES = 2 ** 28;

/** What a filesystem is looked for in. */
export type VolumeSource = string | URL | Media;

/** Where the filesystem is. */
export interface PlaceOptions {
  /** Byte at which the filesystem starts; a multiple of 512. Not together with `partition`. */
  readonly offset?: number;
  /** Number of the partition that holds the filesystem. */
  readonly partition?: number;
}

/** A device on which a filesystem of a known kind was found. */
export interface Found {
  readonly device: BlockDevice;
  readonly type: FilesystemType<ExtMountOptions>;
  readonly pmem: Pmem;
  /** Closed with the volume; undefined for media of the caller's. */
  readonly ownMedia: Media | undefined;
}

/** Finds a filesystem, to be read or to be written as well. @throws as `openVolume` */
export function findVolume(source: VolumeSource, options: PlaceOptions, write: boolean): Found {
  checkPlace(options, source);
  const own = typeof source === "string" || source instanceof URL;
  const media = own ? openSource(pathOf(source), write) : source;
  const ownMedia = own ? media : undefined;
  let pmem: Pmem | undefined;
  try {
    checkLength(media.size, nameOf(source));
    pmem = createPmem({
      media,
      name: DISK_NAME,
      start: 0,
      length: media.size,
      physicalStart: 0,
      readOnly: !write,
    });
    const name = nameOf(source);
    const device = deviceFor(pmem.disk, name, options);
    return { device, type: typeOf(device, pmem.disk, name, options), pmem, ownMedia };
  } catch (error) {
    release({ pmem, ownMedia });
    throw named(error, source);
  }
}

/** Devices come in pages, and no filesystem is smaller. */
function checkLength(bytes: number, path: string): void {
  if (bytes >= PAGE_SIZE) return;
  const size = bytes === 1 ? "1 byte" : `${bytes} bytes`;
  const detail = `${size}: too short for a filesystem (${KNOWN}), which has ${PAGE_SIZE} or more`;
  throw new DaxError("EINVAL", { syscall: "mount", path, detail });
}

/** What is closed together. */
interface Closable {
  readonly pmem: Pmem | undefined;
  readonly ownMedia: Media | undefined;
}

/** Lets go of what was found. */
export function release({ pmem, ownMedia }: Closable): void {
  pmem?.remove();
  ownMedia?.close();
}

/** Nothing can be said of a superblock on memory that is gone. @throws EIO naming its copy */
function assertReadable(device: BlockDevice, path: string): void {
  const bytes = new Uint8Array(1024);
  if (device.sectors * 512 < 2 * bytes.length) return;
  try {
    device.readBytes(bytes.length, bytes);
  } catch (error) {
    if (!isDaxError(error, "EIO")) throw error;
    const why = `the superblock cannot be read: ${error.detail ?? error.message}`;
    throw new DaxError("EIO", { syscall: "mount", path, detail: why + behind(copyHint(device)) });
  }
}

/** The floors below know the device by a name that nobody outside has heard of. */
export function named(error: unknown, source: VolumeSource): unknown {
  if (!isDaxError(error) || error.path?.startsWith(DISK_NAME) === false) return error;
  return error.at({ path: nameOf(source) });
}

export function nameOf(source: VolumeSource): string {
  return typeof source === "string" || source instanceof URL ? pathOf(source) : "media";
}

function pathOf(source: string | URL): string {
  if (typeof source === "string") return source;
  return isNbdUri(source.href) ? source.href : fileURLToPath(source);
}

/** Who only looks: of an export, what was looked at long ago can be fetched again. */
function openSource(path: string, write: boolean): Media {
  if (isNbdUri(path)) {
    const keep = write ? {} : { mostBytes: NBD_BUFFER_BYTES, forget: true };
    return openNbdMedia(path, { readOnly: !write, ...keep });
  }
  // A mount through a loop device sees no lock.
  const mount = write && isFile(path) ? loopMountOf(path) : undefined;
  if (mount === undefined) return openFileMedia(path, { readOnly: !write });
  const detail = `it is ${mount}; unmount it first, or open it for reading`;
  throw new DaxError("EBUSY", { syscall: "open", path, detail });
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function checkPlace({ offset, partition }: PlaceOptions, source: VolumeSource): void {
  const refuse = (detail: string): never => {
    throw new DaxError("EINVAL", { syscall: "mount", path: nameOf(source), detail });
  };
  if (offset !== undefined && partition !== undefined) {
    refuse("give an offset or a partition, not both");
  }
  if (offset !== undefined && !(offset >= 0 && Number.isSafeInteger(offset))) {
    refuse(`offset ${offset}; give bytes, a multiple of ${SECTOR_SIZE}`);
  }
  if (partition !== undefined && !(partition > 0 && Number.isSafeInteger(partition))) {
    refuse(`partition ${partition}; they count from 1`);
  }
}

function deviceFor(
  disk: BlockDevice,
  name: string,
  { offset = 0, partition }: PlaceOptions,
): BlockDevice {
  if (partition !== undefined) return openPartition(disk, partition);
  if (offset === 0) return disk;
  const start = offset / SECTOR_SIZE;
  if (!Number.isInteger(start) || start >= disk.sectors) {
    const bytes = disk.sectors * SECTOR_SIZE;
    const rule = `give a multiple of ${SECTOR_SIZE} below its size, ${bytes}`;
    const detail = `offset ${offset}: ${rule}${behind(tableHint(disk))}`;
    throw new DaxError("EINVAL", { syscall: "mount", path: name, detail });
  }
  // Whole pages from a page on keep dax; the filesystem says itself where it ends.
  const page = PAGE_SIZE / SECTOR_SIZE;
  const rest = disk.sectors - start;
  const sectors = start % page === 0 && rest >= page ? rest - (rest % page) : rest;
  return new Partition(disk, { name: `${disk.name}@${offset}`, start, sectors });
}

function typeOf(
  device: BlockDevice,
  disk: BlockDevice,
  name: string,
  { partition, offset }: PlaceOptions,
): FilesystemType<ExtMountOptions> {
  const type = TYPES.find((candidate) => candidate.probe(device));
  if (type !== undefined) return type;
  assertReadable(device, name);
  const where =
    partition !== undefined
      ? `in partition ${partition}`
      : offset === undefined
        ? "here"
        : `at offset ${offset}`;
  const hint = foreignHint(device) ?? tableHint(disk) ?? copyHint(device);
  throw new DaxError("EINVAL", {
    syscall: "mount",
    path: name,
    detail: `no filesystem of a known kind (${KNOWN}) starts ${where}${behind(hint)}`,
  });
}

function behind(hint: string | undefined): string {
  return hint === undefined ? "" : `; ${hint}`;
}

/** Which partitions there are to choose from, if that is what is missing. */
function tableHint(disk: BlockDevice): string | undefined {
  try {
    const table = readPartitionTable(disk);
    if (table === undefined) return undefined;
    const choose = table.entries.length > 0 ? "choose a partition: " : "";
    return `${choose}${describePartitions(disk, table)}`;
  } catch (error) {
    if (isDaxError(error)) return `its partition table cannot be read: ${error.message}`;
    throw error;
  }
}
