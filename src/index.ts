/**
 * daxkit: persistent memory you can pull the plug on.
 *
 * @packageDocumentation
 */
export { AssertionError, assert, DaxError, Errno, isDaxError } from "./lib/errno.ts";
export type { ErrnoCode, ErrorContext } from "./lib/errno.ts";
export type { Memory } from "./lib/memory.ts";
export type { Environment, Timespec, Tracer } from "./lib/environment.ts";
export type {
  ByteRange,
  DomainRange,
  Durability,
  Hole,
  Media,
  PersistenceDomain,
  StitchPiece,
  Stitched,
  Window,
} from "./media/media.ts";
export { PoisonMedia } from "./media/poison.ts";
export type { PoisonOptions } from "./media/poison.ts";
export { RamMedia } from "./media/ram.ts";
export type { RamMediaOptions } from "./media/ram.ts";
export { DaxDevice } from "./dax/dax-device.ts";
export type { DaxCounters, DaxDeviceOptions } from "./dax/dax-device.ts";
export type { AccessMode, DaxHolder, DaxOperations, DaxSpan } from "./dax/operations.ts";
export type { DaxRange, Iomap, IomapIntent, Iomappable } from "./dax/iomap.ts";
export type { BlockDevice } from "./block/block-device.ts";
export type {
  Attributes,
  DirectoryEntry,
  Filesystem,
  FilesystemType,
  Finding,
  Inode,
  Statfs,
} from "./vfs/filesystem.ts";
export { FileTree } from "./vfs/file-tree.ts";
export type { OpenOptions } from "./vfs/file-tree.ts";
export type { FileExtent } from "./vfs/extents.ts";
export type { FileRun } from "./vfs/file-runs.ts";
export { Mapping } from "./vfs/mapping.ts";
export type { MapOptions } from "./vfs/mapping.ts";
export { formatMode, majorOf, minorOf } from "./vfs/modes.ts";
export { Mount, MountTable, pathOf } from "./vfs/mounts.ts";
export type { Location, UnmountOptions } from "./vfs/mounts.ts";
export { OpenFile } from "./vfs/open-file.ts";
export type { Whence } from "./vfs/open-file.ts";
export { ext } from "./fs/ext/ext.ts";
export type { ExtMountOptions } from "./fs/ext/ext.ts";
