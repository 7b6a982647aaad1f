/**
 * daxkit: persistent memory you can pull the plug on.
 *
 * @packageDocumentation
 */
export { AssertionError, assert, DaxError, Errno, isDaxError } from "./lib/errno.ts";
export type { ErrnoCode, ErrorContext } from "./lib/errno.ts";
export type { CallSite, CallSites, Frame } from "./lib/call-site.ts";
export { Bitmap } from "./lib/bitmap.ts";
export { crc32c, crc32cLe32 } from "./lib/crc32c.ts";
export { Prng } from "./lib/prng.ts";
export { RadixTree } from "./lib/radix-tree.ts";
export type { Tag } from "./lib/radix-tree.ts";
export { RangeSet } from "./lib/range-set.ts";
export { decode, shapeOf, sizeof, struct } from "./lib/struct.ts";
export type { Cursor, Decoded, Field, Fields, Shape } from "./lib/struct.ts";
export { copyIn, copyOf, copyOut, fill } from "./lib/memory.ts";
export type { Memory, RecordedMemory } from "./lib/memory.ts";
export type { Environment, Timespec, Tracer } from "./lib/environment.ts";
export type {
  ByteRange,
  CachedRange,
  Caching,
  DomainRange,
  Durability,
  Hole,
  Media,
  PersistenceDomain,
  StitchPiece,
  Stitched,
  Window,
} from "./media/media.ts";
export { LineClass, ModelledMedia } from "./media/modelled.ts";
export type { Memo } from "./lib/memo.ts";
export type { ModelledOptions } from "./media/modelled.ts";
export type { Observer, Recorder, Witness } from "./media/recorder.ts";
export { type TraceMark, type Trace, TraceKind } from "./media/trace.ts";
export { Mapping as MediaMapping, mapMedia } from "./media/mapping.ts";
export { healMedia } from "./media/heal.ts";
export { PoisonMedia } from "./media/poison.ts";
export type { PoisonOptions } from "./media/poison.ts";
export { WearMedia } from "./media/wear-media.ts";
export type { WearOfRange, WearOptions } from "./media/wear-media.ts";
export { RamMedia } from "./media/ram.ts";
export type { RamMediaOptions } from "./media/ram.ts";
export { DaxDevice } from "./dax/dax-device.ts";
export type { DaxCounters, DaxDeviceOptions } from "./dax/dax-device.ts";
export type {
  AccessMode,
  DaxHolder,
  DaxOperations,
  DaxSpan,
  PagePiece,
  PageRange,
} from "./dax/operations.ts";
export type { DiskPartitions, WrapDevice } from "./block/disk-partitions.ts";
export type { PoisonMap } from "./block/poison-map.ts";
export type { Range } from "./lib/range-set.ts";
export type { ByteStore, DaxRange, Iomap, IomapIntent, Iomappable } from "./dax/iomap.ts";
export type { BlockDevice, DeviceUser, QueueLimits, Standstill } from "./block/block-device.ts";
export { newDaxCounters } from "./dax/dax-device.ts";
export { DaxHosts } from "./dax/hosts.ts";
export { daxRead, daxWrite, daxZero } from "./dax/file-io.ts";
export { MediaRange } from "./dax/media-range.ts";
export type { MediaRangeOptions } from "./dax/media-range.ts";
export { RawFreeze } from "./dax/raw-freeze.ts";
export { RawMapping } from "./dax/raw-mapping.ts";
export type { RawMapOptions, RawTarget } from "./dax/raw-mapping.ts";
export { ALL_PAGES, AddressSpace } from "./dax/address-space.ts";
export type { AddressSpaceOptions, Area, StandStill } from "./dax/address-space.ts";
export { DeviceFreeze, freezeDevice, thawDevice } from "./block/device-freeze.ts";
export { type DeviceUse, DeviceUsers, type SectorRange } from "./block/device-users.ts";
export { AddressRangeScrub } from "./platform/address-range-scrub.ts";
export type {
  ScrubCapabilities,
  ScrubOptions,
  ScrubStatus,
  ScrubTarget,
} from "./platform/address-range-scrub.ts";
export type { MemoryFailure } from "./machine/memory-failure.ts";
export { hearFailures } from "./dax/media-failures.ts";
export type { BytesOwner, FailureReason, MediaFailure } from "./dax/media-failures.ts";
export { AddressSpaces } from "./dax/address-spaces.ts";
export { CheckedMemory } from "./dax/checked-memory.ts";
export { newFaultCounters } from "./dax/fault-counters.ts";
export type { FallbackReason, FaultCounters } from "./dax/fault-counters.ts";
export { ZERO_FRAME } from "./dax/frames.ts";
export type { PageFrame, PageOrder } from "./dax/frames.ts";
export type { AreaOwner, MappedAreaOptions } from "./dax/mapped-area.ts";
export { MappedArea } from "./dax/mapped-area.ts";
export { handleFault } from "./dax/fault.ts";
export type { FaultArea, Faulted } from "./dax/fault-area.ts";
export type { FaultedFile } from "./dax/fault-backing.ts";
export { changingLayout } from "./dax/layout-change.ts";
export type { LayoutRange, WhenBusy } from "./dax/layout-change.ts";
export type { LayoutOptions } from "./vfs/layout-changes.ts";
export { PageTable } from "./dax/page-table.ts";
export type { Translation } from "./dax/page-table.ts";
export { MappingEntries } from "./dax/mapping-entries.ts";
export type { EntryKind, Grabbed, MappingEntry, UnmapRange } from "./dax/mapping-entries.ts";
export { PagePins } from "./dax/page-pins.ts";
export type { Pin, PinRequest } from "./dax/page-pins.ts";
export { SharedLock, WaitQueue, runToEnd } from "./dax/steps.ts";
export type { Steps, Waiter } from "./dax/steps.ts";
export { daxTraceText } from "./dax/trace-text.ts";
export type { DaxTraceFormat, DaxTraceText } from "./dax/trace-text.ts";
export { daxTrace, traceDaxTo } from "./dax/trace-events.ts";
export type { DaxTraceEvent, DaxTracePoint, DaxTraceSink } from "./dax/trace-events.ts";
export { BadBlocks } from "./block/badblocks.ts";
export { Buffers } from "./block/buffers.ts";
export type { BlockBuffer, BuffersOptions } from "./block/buffers.ts";
export { daxCapability, daxRangeOf } from "./block/dax-capability.ts";
export type { DaxCapability } from "./block/dax-capability.ts";
export { DeviceNumbers } from "./block/device-numbers.ts";
export type { DeviceNumber, KernelProfile } from "./block/device-numbers.ts";
export { FaultyDevice } from "./block/fault-injection.ts";
export type { FaultOperation, FaultOptions, FaultRule } from "./block/fault-injection.ts";
export { PageCache } from "./block/page-cache.ts";
export type { PageCacheCounters } from "./block/page-cache.ts";
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
export { mapRaw } from "./block/raw-device.ts";
export { RecordedDevice } from "./block/recorded-device.ts";
export { RecordedMedia } from "./block/recorded-media.ts";
export { WriteLog } from "./block/write-log.ts";
export type { LogBytes, LogEntry } from "./block/write-log.ts";
export { LogWriter } from "./block/write-log-writer.ts";
export type { LogSink, LogWriterOptions } from "./block/write-log-writer.ts";
export type { RamDiskOptions } from "./block/ram-disk.ts";
export { describeMapped } from "./dm/description.ts";
export type { DescribedLine, MappedDescription } from "./dm/description.ts";
export { DeviceDirectory } from "./dm/device-directory.ts";
export type { DeviceLookup, KnownDevice } from "./dm/device-directory.ts";
export { DeviceMapper } from "./dm/device-mapper.ts";
export type {
  CreateOptions,
  DeviceMapperOptions,
  RemoveMappedOptions,
} from "./dm/device-mapper.ts";
export { dmsetup } from "./dm/dmsetup.ts";
export type { DmsetupResult } from "./dm/dmsetup.ts";
export type { DmsetupInput } from "./dm/dmsetup-ioctl.ts";
export { MappedDevice } from "./dm/mapped-device.ts";
export type { SuspendOptions } from "./dm/mapped-options.ts";
export { formatTable, parseTable } from "./dm/words.ts";
export type { TableLine } from "./dm/words.ts";
export { createBrd } from "./drivers/brd.ts";
export type { Brd, BrdOptions } from "./drivers/brd.ts";
export { createAxonram } from "./drivers/axonram.ts";
export type { AxonramOptions } from "./drivers/axonram.ts";
export { createDcssblk } from "./drivers/dcssblk.ts";
export type { Dcssblk, DcssblkOptions, Segment, SegmentType } from "./drivers/dcssblk.ts";
export type { RamDevice, RamDeviceOptions } from "./drivers/ram-device.ts";
export { DaxRegion } from "./drivers/dax-region.ts";
export type { DaxRegionOptions } from "./drivers/dax-region.ts";
export type { DeviceRange } from "./drivers/dax-ranges.ts";
export type { PhysicalRange } from "./drivers/dax-space.ts";
export { DaxFile } from "./drivers/dax-file.ts";
export { DevDax } from "./drivers/device-dax.ts";
export type { BindOptions, DaxDriver, ResizeOptions } from "./drivers/device-dax.ts";
export { fsDaxGet, fsDaxPut } from "./drivers/fsdev.ts";
export type { Addressing, FilesystemDax } from "./drivers/fsdev.ts";
export { KmemMemory, memoryBlockSize } from "./drivers/kmem.ts";
export type { KmemOptions } from "./drivers/kmem.ts";
export type { PmemOperations } from "./drivers/pmem-operations.ts";
export type { ServedRange } from "./drivers/served-range.ts";
export { DaxDisk } from "./block/dax-disk.ts";
export type { DaxDiskOptions } from "./block/dax-disk.ts";
export { PageMap, attachPageMap, detachPageMap, pageMapOf } from "./dax/pages.ts";
export type { PageMapMemory, PageState } from "./dax/pages.ts";
export { daxAsIn, directAccessBySector, operationsIn, withoutOperations } from "./dax/profiles.ts";
export type { DaxOperationName, DaxProfile } from "./dax/profiles.ts";
export { TracedOperations } from "./dax/traced-operations.ts";
export { createPmem } from "./drivers/pmem.ts";
export type { Pmem, PmemOptions, RegionClaims, RemoveOptions } from "./drivers/pmem.ts";
export { advisePageMap, planPageMap } from "./platform/pfn-layout.ts";
export type {
  MediaKind,
  PageMapAdvice,
  PageMapPlace,
  PageMapPlan,
  PageMapRequest,
} from "./platform/pfn-layout.ts";
export { decodePfnSuperblock, encodePfnSuperblock } from "./platform/pfn-superblock.ts";
export type { PfnIdentity, PfnInfo, PfnNamespace } from "./platform/pfn-superblock.ts";
export { memoryHost } from "./machine/backing.ts";
export type { Backing, HostMediaOptions, MachineHost, PlacedBacking } from "./machine/backing.ts";
export { CAPABILITY_MODES, daxCapabilities } from "./machine/capabilities.ts";
export type { CapabilityCell, CapabilityMode, CapabilityRow } from "./machine/capabilities.ts";
export { reportWear } from "./machine/wear-report.ts";
export type { WearReport, WearWork, WornRange } from "./machine/wear-report.ts";
export { bootMachine } from "./machine/boot.ts";
export { describeMachine } from "./machine/describe.ts";
export type { BackingDescription, DescribedDomain } from "./machine/describe-backing.ts";
export type {
  AxonramDescription,
  DaxMode,
  DaxRegionDescription,
  DcssblkDescription,
  DevDaxDescription,
  SpecialDescription,
} from "./machine/describe-special.ts";
export type { MachineDescription, MemmapDescription, PmemDescription } from "./machine/describe.ts";
export type { DmDescription } from "./machine/mapped.ts";
export type { ExportDescription, NbdDescription } from "./machine/exports.ts";
export { machineFromFlags } from "./machine/flags.ts";
export type { MachineFlags } from "./machine/flags.ts";
export type {
  AddressInput,
  BackingInput,
  DaxRegionInput,
  DcssblkInput,
  DevDaxInput,
  ExportInput,
  MachineInput,
  MappedInput,
  MarkedRangeInput,
  NbdInput,
  OneOrMore,
  PmemInput,
  SizeInput,
} from "./machine/input.ts";
export { daxctlList } from "./machine/daxctl-list.ts";
export type { DaxctlListOptions } from "./machine/daxctl-list.ts";
export { listText, ndctlList, ndctlSize } from "./machine/list.ts";
export type { Json, NdctlListOptions } from "./machine/list.ts";
export { Machine } from "./machine/machine.ts";
export type { MachineDevice, MachineParts } from "./machine/machine.ts";
export { DescriptionError } from "./machine/shape.ts";
export type { KeyPath } from "./machine/shape.ts";
export { SpecialDevices } from "./machine/special-devices.ts";
export type { PlacedSpecial, SpecialContext } from "./machine/special-devices.ts";
export { Slot } from "./machine/slot.ts";
export type { SlotContext } from "./machine/slot.ts";
export { claimRange } from "./platform/claim.ts";
export type { ClaimedRange, ClaimOptions } from "./platform/claim.ts";
export {
  bootLogLines,
  bootLogWord,
  E820_MAX_ENTRIES,
  maxPfn,
  nosaveRanges,
  resourceName,
} from "./platform/e820.ts";
export type { E820Entry, PfnRange, PlatformProfile } from "./platform/e820.ts";
export { addRange, removeRange, retypeRange } from "./platform/editing.ts";
export type { Edited } from "./platform/editing.ts";
export { iomemText, reserveEarly, reserveLate } from "./platform/iomem.ts";
export type { IomemOptions } from "./platform/iomem.ts";
export { applyMem, applyMemmap, finishUserMap, parseMemmap } from "./platform/memmap.ts";
export type { MemmapEffect, MemmapElement, MemmapResult } from "./platform/memmap.ts";
export {
  checkAlign,
  checkAttach,
  createRegion,
  defaultAlign,
  legacyRanges,
  namespaceDisk,
  RegionIds,
} from "./platform/regions.ts";
export type {
  Namespace,
  NamespaceMode,
  Region,
  RegionPersistence,
  RegionProvider,
  ReportedRange,
} from "./platform/regions.ts";
export { BlockStore } from "./nbd/block-store.ts";
export { DirtyMap } from "./nbd/dirty-map.ts";
export type { DirtyExtent, DirtyGrain } from "./nbd/dirty-map.ts";
export type { ExportDirectory, ExportGate, NbdExport } from "./nbd/export.ts";
export type { TlsMode } from "./nbd/handshake.ts";
export { MediaStore } from "./nbd/media-store.ts";
export { SliceStore } from "./nbd/slice-store.ts";
export type { SliceOptions } from "./nbd/slice-store.ts";
export type { MediaStoreOptions } from "./nbd/media-store.ts";
export { ObservedExplorer, StopExplorer, WholeDiskExplorer } from "./crash/block-explorer.ts";
export type { DiskCheck } from "./crash/block-explorer.ts";
export type {
  BlockFailure,
  LostPlace,
  LostRequest,
  RecoveryFindings,
  StopBudget,
  StopFindings,
  StopProgress,
  StopRest,
  StopWatch,
} from "./crash/stop-findings.ts";
export { BlockFrontier } from "./crash/block-frontier.ts";
export type { BlockModel, Versions } from "./crash/block-frontier.ts";
export { BlockImage } from "./crash/block-image.ts";
export { DiskMap } from "./crash/disk-map.ts";
export type { HeldBytes, HeldRun } from "./crash/disk-map.ts";
export { nameOfState, parseState, stopName } from "./crash/block-states.ts";
export type { Assignment, StateName, Stop } from "./crash/block-states.ts";
export { countStops, stopsOf } from "./crash/block-stops.ts";
export type { ReplayAt, StopPlan } from "./crash/block-stops.ts";
export { traceOfLog } from "./crash/block-trace.ts";
export type {
  BlockDiscard,
  BlockEvent,
  BlockFlush,
  BlockMark,
  BlockTrace,
  BlockWrite,
  LogTraceOptions,
} from "./crash/block-trace.ts";
export { RecordedStore } from "./nbd/recorded-store.ts";
export { ReplyQueue } from "./nbd/reply-queue.ts";
export type { Piece } from "./nbd/reply-queue.ts";
export { openSession, resumeSession } from "./nbd/session.ts";
export type { SessionOptions } from "./nbd/session.ts";
export type { Landing, ServerSession, SessionState, SessionTerms } from "./nbd/session-contract.ts";
export type {
  DirectMemory,
  NbdStore,
  StoreAbilities,
  StoreBlockSizes,
  StoreExtent,
  ZeroFlags,
} from "./nbd/store.ts";
export { ResourceTree } from "./platform/resources.ts";
export type {
  AddressRange,
  Intersection,
  Resource,
  ResourceAttributes,
  ResourceDescriptor,
  ResourceMatch,
} from "./platform/resources.ts";
export * from "./platform/nfit.ts";
export { sanitise } from "./platform/sanitise.ts";
export type { SanitiseOptions } from "./platform/sanitise.ts";
export { formatSize, parseSize } from "./lib/size.ts";
export { formatGuid, formatUuid, parseGuid, parseUuid, randomUuid } from "./lib/uuid.ts";
export { type SeededEnvironment, seededEnvironment } from "./lib/environment.ts";
export type {
  Attributes,
  DirectoryEntry,
  Filesystem,
  FilesystemType,
  Finding,
  Inode,
  Statfs,
} from "./vfs/filesystem.ts";
export { noteAccess } from "./vfs/access-times.ts";
export type { AccessRule, AccessTimes } from "./vfs/access-times.ts";
export { FileTree } from "./vfs/file-tree.ts";
export type { SetXattrOptions } from "./vfs/file-tree.ts";
export type { TimeChange } from "./vfs/attribute-changes.ts";
export type { CallOptions, FileOwner, FollowOptions, TwoPathOptions } from "./vfs/calls.ts";
export type { MakeOptions, MknodOptions } from "./vfs/making.ts";
export type { OpenOptions } from "./vfs/opening.ts";
export { MAY_EXEC, MAY_READ, MAY_WRITE, permits } from "./vfs/permissions.ts";
export type { Credentials } from "./vfs/permissions.ts";
export type { RenameCallOptions } from "./vfs/renaming.ts";
export { Watches } from "./vfs/watches.ts";
export type {
  ChangeKind,
  Subject,
  Tap,
  Watch,
  WatchEvent,
  WatchListener,
  WatchOptions,
} from "./vfs/watches.ts";
export type { FileExtent } from "./vfs/extents.ts";
export type { FileRun } from "./vfs/file-runs.ts";
export {
  Pipe,
  directRead,
  directWrite,
  futexKey,
  isSameFutex,
  peek,
  spliceFrom,
  spliceTo,
  vmsplice,
} from "./vfs/page-calls.ts";
export type { DirectTransfer, FutexKey, PipeBuffer } from "./vfs/page-calls.ts";
export { pinPages } from "./vfs/user-pages.ts";
export type { Pinnable, PinPagesOptions, PinnedPages, UserPage } from "./vfs/user-pages.ts";
export { Mapping } from "./vfs/mapping.ts";
export type { MapOptions, MappedFile } from "./vfs/map-options.ts";
export { formatMode, majorOf, minorOf } from "./vfs/modes.ts";
export { onFailure } from "./vfs/mounted-device.ts";
export type { FilesystemFailureListener } from "./vfs/mounted-device.ts";
export { Freezing, freezeFilesystem, thawFilesystem } from "./vfs/freezing.ts";
export type { FreezeHolder, FreezeOptions, FreezeSteps } from "./vfs/freezing.ts";
export { Mount, MountTable, pathOf } from "./vfs/mounts.ts";
export type { Location, MountUser, UnmountOptions } from "./vfs/mounts.ts";
export type { NameCache } from "./vfs/name-cache.ts";
export { OpenFile } from "./vfs/open-file.ts";
export type { Whence } from "./vfs/open-file.ts";
export type { OpenMode } from "./vfs/open-mode.ts";
export type { WalkOptions } from "./vfs/path-walk.ts";
export { ext } from "./fs/ext/ext.ts";
export { makeExt } from "./fs/ext/mkfs.ts";
export type { ExtSummary } from "./fs/ext/mkfs.ts";
export { tuneExt } from "./fs/ext/tune.ts";
export type { TuneMount } from "./fs/ext/tune.ts";
export { parseTuneList } from "./fs/ext/tune-lists.ts";
export type { HashName, TuneExtOptions } from "./fs/ext/tune-options.ts";
export type { TuneSummary } from "./fs/ext/tune-summary.ts";
export { resizeExt } from "./fs/ext/resize-grow.ts";
export type { ResizeExtOptions, ResizeSummary } from "./fs/ext/resize-grow.ts";
export { parseBlockCount, parseExtended, parseJournal } from "./fs/ext/mkfs-extended.ts";
export { attributeOf } from "./fs/ext/mkfs-attributes.ts";
export type { CopiedTimes } from "./fs/ext/mkfs-inode.ts";
export type { NewChild, NewNode } from "./fs/ext/mkfs-tree.ts";
export type { Attribute, KeptAttribute } from "./fs/ext/xattr-layout.ts";
export type { DeviceWishes } from "./fs/ext/mkfs-extended.ts";
export type {
  BlockCount,
  CreatorOs,
  ExtKind,
  MakeExtOptions,
  Owner,
  QuotaType,
} from "./fs/ext/mkfs-options.ts";
export type { ExtMountOptions } from "./fs/ext/ext.ts";
export type { MultiMountOptions } from "./fs/ext/multi-mount.ts";
export type { DataMode, ExtWriteOptions, OnErrors } from "./fs/ext/writing-options.ts";
export type {
  AttributeChange,
  FallocateMode,
  InodeWriting,
  NewFile,
  RenameOptions,
} from "./vfs/writing.ts";
export type { DaxPolicy } from "./fs/ext/inode.ts";
export { walkSubtree } from "./vfs/subtree.ts";
export type { OnDamage, Visit } from "./vfs/subtree.ts";
export { writeTar } from "./vfs/tar.ts";
export type { TarOptions, TarSink, TarSummary } from "./vfs/tar.ts";
export { TarReader } from "./vfs/tar-reader.ts";
export type { TarHandler, TarReadSummary } from "./vfs/tar-reader.ts";
export { TreeFiller } from "./vfs/tree-filler.ts";
export type { FillOptions, FillSummary } from "./vfs/tree-filler.ts";
export type { TarKind, TarMember, TarXattr } from "./vfs/tar-members.ts";
