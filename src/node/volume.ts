/**
 * Volumes: a filesystem image, from a path to something that can be read, and written, in one call.
 *
 * @module
 */
import { hostname } from "node:os";
import type { BlockDevice } from "../block/block-device.ts";
import type { DaxCounters } from "../dax/dax-device.ts";
import type { Pmem } from "../drivers/pmem.ts";
import type { ExtMountOptions } from "../fs/ext/ext.ts";
import type { Environment } from "../lib/environment.ts";
import { DaxError } from "../lib/errno.ts";
import type { Media } from "../media/media.ts";
import type { AccessTimes } from "../vfs/access-times.ts";
import { FileTree } from "../vfs/file-tree.ts";
import type { Filesystem, FilesystemType, Finding, Statfs } from "../vfs/filesystem.ts";
import { type FreezeOptions, freezeFilesystem, thawFilesystem } from "../vfs/freezing.ts";
import type { UnmountOptions } from "../vfs/mounts.ts";
import type { OpenFile } from "../vfs/open-file.ts";
import type { OpenOptions } from "../vfs/opening.ts";
import type { Credentials } from "../vfs/permissions.ts";
import { systemEnvironment } from "./environment.ts";
import { type Facade, type VolumeFs, makeFacade } from "./facade/facade.ts";
import { assertOptionNames } from "./option-names.ts";
import { Upkeep, sleepSeconds } from "./upkeep.ts";
import {
  type Found,
  type PlaceOptions,
  type VolumeSource,
  findVolume,
  nameOf,
  named,
  release,
} from "./volume-source.ts";

/** Where the filesystem is, and how it is mounted. */
export interface OpenVolumeOptions
  extends Omit<ExtMountOptions, "commitSteps" | "flusherAtWork" | "ownSyncs">, PlaceOptions {
  /**
   * Mount for writing: nobody else on this machine can open it for writing until it is closed.
   * False unless given; then nothing is ever written.
   */
  readonly write?: boolean;
  /** The opposite of `write`, for those who want to say so; it opens nothing for writing. */
  readonly readOnly?: boolean;
  /**
   * As whom `volume.fs` and `volume.open` act: modes and ACLs are checked, and what is made is
   * owned so. Without, nothing is checked, as for root.
   */
  readonly credentials?: Credentials;
  /** Permission bits that `volume.fs` keeps from new files; the process's own mask unless given. */
  readonly umask?: number;
  /** Where relative paths of `volume.fs` start; its root unless given. */
  readonly workingDirectory?: () => string;
  /**
   * Whether reading through `volume.fs`, `volume.open` and `volume.tree` sets atime on a volume
   * that is open for writing; `none` unless given.
   */
  readonly atime?: AccessTimes;
  /** With `atime`: reading directories sets nothing. */
  readonly nodiratime?: boolean;
  /** Clock and tracer; the system's, silent, unless given. */
  readonly environment?: Environment;
}

/** Every name of {@link OpenVolumeOptions}: a misspelt one would be silently without effect. */
const OPTION_NAMES: Readonly<Record<keyof OpenVolumeOptions, true>> = {
  write: true,
  readOnly: true,
  credentials: true,
  umask: true,
  workingDirectory: true,
  atime: true,
  nodiratime: true,
  environment: true,
  offset: true,
  partition: true,
  noload: true,
  dax: true,
  minixdf: true,
  commit: true,
  data: true,
  errors: true,
  delalloc: true,
  dioreadNolock: true,
  nodelalloc: true,
  multiMount: true,
};

/** What can be counted on a volume. */
export interface VolumeCounters {
  /** Of the device: translations, bytes copied, lines flushed. */
  readonly dax: DaxCounters;
  /** How file bytes are reached: in place, or through requests to the block device. */
  readonly dataPath: "dax" | "block";
}

/** A filesystem that is open. Made by {@link openVolume}. */
export class Volume {
  /** `node:fs` over this volume; what writes gives EROFS where it is open for reading. */
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
  readonly #credentials: Credentials | undefined;
  readonly #upkeep: Upkeep | undefined;
  #open = true;

  constructor(mounted: MountedVolume) {
    const { filesystem, pmem, type, environment, ownMedia, options } = mounted;
    this.filesystem = filesystem;
    this.device = filesystem.device;
    this.tree = new FileTree(filesystem);
    const { atime: times = "none", nodiratime = false } = options;
    if (times !== "none") this.tree.mounts.root.accessRule = { times, directories: !nodiratime };
    this.#facade = makeFacade(this.tree, options);
    this.fs = this.#facade.fs;
    this.#pmem = pmem;
    this.#type = type;
    this.#environment = environment;
    this.#ownMedia = ownMedia;
    this.#credentials = options.credentials;
    this.#upkeep = options.write === true ? new Upkeep(filesystem) : undefined;
  }

  /** `ext2`, `ext3`, `ext4`. */
  get type(): string {
    return this.filesystem.type;
  }

  get closed(): boolean {
    return !this.#open;
  }

  /** Whether it was opened for writing. */
  get writable(): boolean {
    return this.#upkeep !== undefined;
  }

  get counters(): VolumeCounters {
    const dataPath = this.device.dax === undefined ? "block" : "dax";
    return { dax: this.#pmem.dax.counters, dataPath };
  }

  /** Opens a file: reads without copies in between, views, mappings. @throws as `FileTree.open` */
  open(path: string, options: OpenOptions = {}): OpenFile {
    const credentials = this.#credentials;
    return this.tree.open(path, credentials === undefined ? options : { credentials, ...options });
  }

  /**
   * Makes everything durable that was done so far, as `sync` does.
   * @throws EIO when that fails, EROFS after an error ended writing, ENXIO when closed
   */
  sync(): void {
    this.#assertOpen("syncfs");
    this.tree.sync();
  }

  /**
   * Brings everything to its place, and keeps the image as it is from then on, to the bit: it can
   * be copied, checked and mounted elsewhere. Reading goes on; what would change something fails
   * with EAGAIN until `thaw`, stores through mappings included.
   * @throws EBUSY when it is frozen already, or memory was handed out that may be stored to (a
   *   writable mapping's `bytes` that is not `revocable`); EIO, ENOSPC; ENXIO when closed
   */
  freeze(options: Pick<FreezeOptions, "strategy"> = {}): void {
    this.#assertOpen("FIFREEZE");
    freezeFilesystem(this.filesystem, { ...options, by: "user" });
  }

  /** Ends what `freeze` began. @throws EINVAL when it is not frozen; EIO; ENXIO when closed */
  thaw(): void {
    this.#assertOpen("FITHAW");
    thawFilesystem(this.filesystem);
  }

  /** Whether it stands still, by `freeze` or by its device. */
  get frozen(): boolean {
    return this.filesystem.freezing?.frozen === true;
  }

  /** What is used and what is free. */
  statfs(): Statfs {
    return this.filesystem.statfs();
  }

  /** Checks all of the filesystem; nothing comes of a clean one. @throws ENXIO when closed */
  check(): Iterable<Finding> {
    this.#assertOpen("check");
    return this.#type.check(this.device, this.#environment);
  }

  /**
   * Unmounts, and closes the file if this volume opened it. Idempotent: an error is told once.
   * @throws EBUSY while files or mappings are open, unless `revoke` ends them; EIO when what was
   *   written last could not be made durable: then it is closed all the same
   */
  close(options: UnmountOptions = {}): void {
    if (!this.#open) return;
    if (options.revoke === true) this.#facade.closeAll();
    const mediaCloses = options.mediaCloses ?? this.#ownMedia !== undefined;
    try {
      this.tree.close({ ...options, mediaCloses });
    } finally {
      if (!this.tree.mounts.root.live) this.#end();
    }
  }

  /** As `close`, ending whatever is open. */
  [Symbol.dispose](): void {
    this.close({ revoke: true });
  }

  #end(): void {
    this.#open = false;
    this.#upkeep?.end();
    this.#facade.closeAll();
    release({ pmem: this.#pmem, ownMedia: this.#ownMedia });
  }

  #assertOpen(syscall: string): void {
    if (this.#open) return;
    throw new DaxError("ENXIO", { syscall, detail: "the volume was closed; open it again" });
  }
}

/** The parts of a volume. */
interface MountedVolume extends Omit<Found, "device"> {
  readonly filesystem: Filesystem;
  readonly environment: Environment;
  readonly options: OpenVolumeOptions;
}

/**
 * Opens the filesystem in a file, a block device, an export (`nbd://host/export`,
 * `nbd+unix:///export?socket=PATH`) or any media: as persistent memory, through dax where it starts
 * and ends on pages. For reading unless told to `write`.
 *
 * Written to, a volume commits by itself what is older than `commit` seconds, in turns of the event
 * loop; `sync`, fsync and `close` do at once. A process that ends without closing it loses nothing
 * that was synced, and the next mount finishes what is in the journal.
 * @throws ENOENT and whatever opening the file says; EINVAL when there is no known filesystem, for
 *   an offset that cannot be, or options that contradict each other; ENXIO for a partition that is
 *   not there; EUCLEAN, EBADMSG for an image that is damaged, ENOTSUP for one of a kind that is not
 *   read, or not written; EBUSY when somebody else writes to it, or has it mounted
 */
export function openVolume(source: VolumeSource, options: OpenVolumeOptions = {}): Volume {
  const { environment = systemEnvironment } = options;
  assertOptionNames(options, OPTION_NAMES, { syscall: "mount", path: nameOf(source) });
  const write = wantsToWrite(options, source);
  checkCredentials(options, source);
  checkAtime(options, source);
  const { device, ...found } = findVolume(source, options, write);
  try {
    const how = write ? { ...options, write, multiMount: multiMountOf(options) } : options;
    const filesystem = found.type.mount(device, how, environment);
    return new Volume({ ...found, filesystem, environment, options: { ...options, write } });
  } catch (error) {
    release(found);
    throw named(error, source);
  }
}

/** @throws EINVAL when it is to be both, or neither */
function wantsToWrite(options: OpenVolumeOptions, source: VolumeSource): boolean {
  const { write = false, readOnly = !write } = options;
  if (write !== readOnly) return write;
  const detail = `write is ${write} and readOnly is ${readOnly}; write: true opens it for writing`;
  throw new DaxError("EINVAL", { syscall: "mount", path: nameOf(source), detail });
}

/** @throws EINVAL */
function checkAtime({ atime = "none" }: OpenVolumeOptions, source: VolumeSource): void {
  if (["none", "relative", "strict"].includes(atime)) return;
  const detail = `atime is ${JSON.stringify(atime)}; it is "none", "relative" or "strict"`;
  throw new DaxError("EINVAL", { syscall: "mount", path: nameOf(source), detail });
}

/**
 * A group that was forgotten would be that of root, as 0 is what an inode keeps in its place.
 * @throws EINVAL
 */
function checkCredentials({ credentials }: OpenVolumeOptions, source: VolumeSource): void {
  if (credentials === undefined) return;
  const { uid, gid, groups = [] } = credentials;
  const ids: unknown[] = Array.isArray(groups) ? [uid, gid, ...groups] : [undefined];
  // The last number of 32 bits is how chown(2) says "as it is".
  if (ids.every((id) => Number.isInteger(id) && Number(id) >= 0 && Number(id) < 2 ** 32 - 1))
    return;
  const detail = `credentials are ${uid}:${gid}; uid, gid and groups are numbers from 0 on`;
  throw new DaxError("EINVAL", { syscall: "mount", path: nameOf(source), detail });
}

/** What multi-mount protection needs of this machine: its name, and time to wait for others. */
function multiMountOf({ multiMount }: ExtMountOptions): NonNullable<ExtMountOptions["multiMount"]> {
  return { nodename: hostname(), wait: sleepSeconds, ...multiMount };
}

/**
 * Checks the filesystem in a file, a block device, an export or any media without mounting it, so
 * that damage which keeps it from being mounted is a finding like any other. Nothing is ever
 * written.
 * @throws as {@link openVolume}, but not for damage
 */
export function* checkVolume(
  source: VolumeSource,
  options: Omit<OpenVolumeOptions, keyof ExtMountOptions> = {},
): Generator<Finding, void> {
  const { environment = systemEnvironment } = options;
  const { device, ...found } = findVolume(source, options, false);
  try {
    yield* found.type.check(device, environment);
  } catch (error) {
    throw named(error, source);
  } finally {
    release(found);
  }
}
