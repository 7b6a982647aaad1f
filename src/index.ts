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
export { newDaxCounters } from "./dax/dax-device.ts";
export { DaxHosts } from "./dax/hosts.ts";
export { daxRead, daxWrite, daxZero } from "./dax/file-io.ts";
export { MediaRange } from "./dax/media-range.ts";
export type { MediaRangeOptions } from "./dax/media-range.ts";
export { PageTags } from "./dax/page-tags.ts";
export { BadBlocks } from "./block/badblocks.ts";
export { Buffers } from "./block/buffers.ts";
export type { BlockBuffer, BuffersOptions } from "./block/buffers.ts";
export { daxCapability, daxRangeOf } from "./block/dax-capability.ts";
export type { DaxCapability } from "./block/dax-capability.ts";
export { DeviceNumbers } from "./block/device-numbers.ts";
export type { DeviceNumber, KernelProfile } from "./block/device-numbers.ts";
export { FaultyDevice } from "./block/fault-injection.ts";
export type { FaultOperation, FaultOptions, FaultRule } from "./block/fault-injection.ts";
export { Partition } from "./block/partition.ts";
export type { PartitionOptions } from "./block/partition.ts";
export {
  openPartition,
  openPartitions,
  partitionName,
  readPartitionTable,
} from "./block/partition-table.ts";
export type { OpenedPartitions, PartitionEntry, PartitionTable } from "./block/partition-table.ts";
export { RamDisk } from "./block/ram-disk.ts";
export type { RamDiskOptions } from "./block/ram-disk.ts";
export { createBrd } from "./drivers/brd.ts";
export type { Brd, BrdOptions } from "./drivers/brd.ts";
export { createAxonram } from "./drivers/axonram.ts";
export type { AxonramOptions } from "./drivers/axonram.ts";
export { createDcssblk } from "./drivers/dcssblk.ts";
export type { Dcssblk, DcssblkOptions, Segment, SegmentType } from "./drivers/dcssblk.ts";
export type { RamDevice, RamDeviceOptions } from "./drivers/ram-device.ts";
export { DaxDisk } from "./block/dax-disk.ts";
export type { DaxDiskOptions } from "./block/dax-disk.ts";
export { TracedOperations } from "./dax/traced-operations.ts";
export { createPmem } from "./drivers/pmem.ts";
export type { Pmem, PmemOptions, RegionClaims, RemoveOptions } from "./drivers/pmem.ts";
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
export { walkSubtree } from "./vfs/subtree.ts";
export type { Visit } from "./vfs/subtree.ts";
export { writeTar } from "./vfs/tar.ts";
export type { TarOptions, TarSink, TarSummary } from "./vfs/tar.ts";
