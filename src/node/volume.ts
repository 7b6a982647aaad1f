/**
 * Volumes: a filesystem image, from a path to something that can be read, in one call.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { type BlockDevice, SECTOR_SIZE } from "../block/block-device.ts";
import { describePartitions, openPartition, readPartitionTable } from "../block/partition-table.ts";
import { Partition } from "../block/partition.ts";
import type { DaxCounters } from "../dax/dax-device.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { type Pmem, createPmem } from "../drivers/pmem.ts";
import { type ExtMountOptions, ext } from "../fs/ext/ext.ts";
import type { Environment } from "../lib/environment.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { Media } from "../media/media.ts";
import { isNbdUri } from "../nbd/uri.ts";
import { FileTree } from "../vfs/file-tree.ts";
import type { Filesystem, FilesystemType, Finding, Statfs } from "../vfs/filesystem.ts";
import type { UnmountOptions } from "../vfs/mounts.ts";
import type { OpenFile } from "../vfs/open-file.ts";
import type { OpenOptions } from "../vfs/opening.ts";
import { systemEnvironment } from "./environment.ts";
import { type Facade, type VolumeFs, makeFacade } from "./facade/facade.ts";
import { openFileMedia } from "./file-media.ts";
import { copyHint, foreignHint } from "./foreign-image.ts";
import { openNbdMedia } from "./nbd/client-media.ts";

/** Filesystems that can be found on a volume, in the order of asking. */
const TYPES: readonly FilesystemType<ExtMountOptions>[] = [ext];

/** As people call them: one driver reads three. */
const KNOWN = "ext2, ext3, ext4";

/** The device over a source; partitions are called after it. */
const DISK_NAME = "pmem0";

/** Bytes of an export that stay in memory. */
const NBD_BUFFER_BYTES = 2 ** 28;

/** Where the filesystem is, and how it is mounted. */
export interface OpenVolumeOptions extends ExtMountOptions {
  /** Byte at which the filesystem starts; a multiple of 512. Not together with `partition`. */
  readonly offset?: number;
  /** Number of the partition that holds the filesystem. */
  readonly partition?: number;
  /** Volumes are for reading: true, and it may be left out. */
  readonly readOnly?: true;
  /** Clock and tracer; the system's, silent, unless given. */
  readonly environment?: Environment;
}

/** What can be counted on a volume. */
export interface VolumeCounters {
  /** Of the device: translations, bytes copied, lines flushed. */
  readonly dax: DaxCounters;
  /** How file bytes are reached: in place, or through requests to the block device. */
  readonly dataPath: "dax" | "block";
}

/** A filesystem that is open for reading. Made by {@link openVolume}. */
export class Volume {
  /** The reading half of `node:fs` over this volume; what writes gives EROFS. */
  readonly fs: VolumeFs;
  readonly filesystem: Filesystem;
  /** The tree of the volume; other filesystems can be mounted into it. */
  readonly tree: FileTree;
  /** The disk, partition or part of it that holds the filesystem. */
  readonly device: BlockDevice;
  readonly #facade: Facade;
  readonly #pmem: Pmem;
  readonly #type: FilesystemType<ExtMountOptions>;
  readonly #environment: Environment;
  readonly #ownMedia: Media | undefined;
  #open = true;

  constructor(mounted: MountedVolume) {
    const { filesystem, pmem, type, environment, ownMedia } = mounted;
    this.filesystem = filesystem;
    this.device = filesystem.device;
    this.tree = new FileTree(filesystem);
    this.#facade = makeFacade(this.tree);
    this.fs = this.#facade.fs;
    this.#pmem = pmem;
    this.#type = type;
    this.#environment = environment;
    this.#ownMedia = ownMedia;
  }

  /** `ext2`, `ext3`, `ext4`. */
  get type(): string {
    return this.filesystem.type;
  }

  get closed(): boolean {
    return !this.#open;
  }

  get counters(): VolumeCounters {
    const dataPath = this.device.dax === undefined ? "block" : "dax";
    return { dax: this.#pmem.dax.counters, dataPath };
  }

  /** Opens a file: reads without copies in between, views, mappings. @throws as `FileTree.open` */
  open(path: string, options?: OpenOptions): OpenFile {
    return this.tree.open(path, options);
  }

  /** What is used and what is free. */
  statfs(): Statfs {
    return this.filesystem.statfs();
  }

  /** Checks all of the filesystem; nothing comes of a clean one. @throws ENXIO when closed */
  check(): Iterable<Finding> {
    if (!this.#open) {
      const detail = "the volume was closed; open it again";
      throw new DaxError("ENXIO", { syscall: "check", detail });
    }
    return this.#type.check(this.device, this.#environment);
  }

  /**
   * Unmounts, and closes the file if this volume opened it. Idempotent.
   * @throws EBUSY while files or mappings are open, unless `revoke` ends them
   */
  close(options: UnmountOptions = {}): void {
    if (!this.#open) return;
    if (options.revoke === true) this.#facade.closeAll();
    const mediaCloses = options.mediaCloses ?? this.#ownMedia !== undefined;
    this.tree.close({ ...options, mediaCloses });
    this.#open = false;
    this.#pmem.remove();
    this.#ownMedia?.close();
  }

  /** As `close`, ending whatever is open. */
  [Symbol.dispose](): void {
    this.close({ revoke: true });
  }
}

/** A device on which a filesystem of a known kind was found. */
interface Found {
  readonly device: BlockDevice;
  readonly type: FilesystemType<ExtMountOptions>;
  readonly pmem: Pmem;
  /** Closed with the volume; undefined for media of the caller's. */
  readonly ownMedia: Media | undefined;
}

/** The parts of a volume. */
interface MountedVolume extends Omit<Found, "device"> {
  readonly filesystem: Filesystem;
  readonly environment: Environment;
}

/**
 * Opens the filesystem in a file, a block device, an export (`nbd://host/export`,
 * `nbd+unix:///export?socket=PATH`) or any media: as persistent memory, through dax where it starts
 * and ends on pages. Nothing is ever written.
 * @throws ENOENT and whatever opening the file says; EINVAL when there is no known filesystem, or
 *   for an offset that cannot be; ENXIO for a partition that is not there; EUCLEAN, EBADMSG for an
 *   image that is damaged, ENOTSUP for one of a kind that is not read
 */
export function openVolume(source: string | URL | Media, options: OpenVolumeOptions = {}): Volume {
  const { environment = systemEnvironment } = options;
  const { device, ...found } = find(source, options);
  try {
    const filesystem = found.type.mount(device, options, environment);
    return new Volume({ ...found, filesystem, environment });
  } catch (error) {
    close(found);
    throw named(error, source);
  }
}

/**
 * Checks the filesystem in a file, a block device, an export or any media without mounting it, so
 * that damage which keeps it from being mounted is a finding like any other. Nothing is ever
 * written.
 * @throws as {@link openVolume}, but not for damage
 */
export function* checkVolume(
  source: string | URL | Media,
  options: Omit<OpenVolumeOptions, keyof ExtMountOptions> = {},
): Generator<Finding, void> {
  const { environment = systemEnvironment } = options;
  const { device, ...found } = find(source, options);
  try {
    yield* found.type.check(device, environment);
  } catch (error) {
    throw named(error, source);
  } finally {
    close(found);
  }
}

function find(source: string | URL | Media, options: OpenVolumeOptions): Found {
  checkOptions(options, source);
  const own = typeof source === "string" || source instanceof URL;
  const media = own ? openSource(pathOf(source)) : source;
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
      readOnly: true,
    });
    const name = nameOf(source);
    const device = deviceFor(pmem.disk, name, options);
    return { device, type: typeOf(device, pmem.disk, name, options), pmem, ownMedia };
  } catch (error) {
    close({ pmem, ownMedia });
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

function close({ pmem, ownMedia }: Closable): void {
  pmem?.remove();
  ownMedia?.close();
}

/** The floors below know the device by a name that nobody outside has heard of. */
function named(error: unknown, source: string | URL | Media): unknown {
  if (!isDaxError(error) || error.path?.startsWith(DISK_NAME) === false) return error;
  return error.at({ path: nameOf(source) });
}

function nameOf(source: string | URL | Media): string {
  return typeof source === "string" || source instanceof URL ? pathOf(source) : "media";
}

function pathOf(source: string | URL): string {
  if (typeof source === "string") return source;
  return isNbdUri(source.href) ? source.href : fileURLToPath(source);
}

/** A volume only looks: of an export, what was looked at long ago can be fetched again. */
function openSource(path: string): Media {
  return isNbdUri(path)
    ? openNbdMedia(path, { readOnly: true, mostBytes: NBD_BUFFER_BYTES, forget: true })
    : openFileMedia(path, { readOnly: true });
}

function checkOptions(
  { offset, partition, readOnly }: OpenVolumeOptions,
  source: string | URL | Media,
): void {
  const refuse = (code: "EINVAL" | "ENOTSUP", detail: string): never => {
    throw new DaxError(code, { syscall: "mount", path: nameOf(source), detail });
  };
  if ((readOnly as boolean | undefined) === false) {
    refuse("ENOTSUP", "volumes are for reading; leave readOnly out");
  }
  if (offset !== undefined && partition !== undefined) {
    refuse("EINVAL", "give an offset or a partition, not both");
  }
  if (offset !== undefined && !(offset >= 0 && Number.isSafeInteger(offset))) {
    refuse("EINVAL", `offset ${offset}; give bytes, a multiple of ${SECTOR_SIZE}`);
  }
  if (partition !== undefined && !(partition > 0 && Number.isSafeInteger(partition))) {
    refuse("EINVAL", `partition ${partition}; they count from 1`);
  }
}

function deviceFor(
  disk: BlockDevice,
  name: string,
  { offset = 0, partition }: OpenVolumeOptions,
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
  { partition, offset }: OpenVolumeOptions,
): FilesystemType<ExtMountOptions> {
  const type = TYPES.find((candidate) => candidate.probe(device));
  if (type !== undefined) return type;
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
