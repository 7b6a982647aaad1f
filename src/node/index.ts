/**
 * The parts of daxkit that need Node.
 *
 * @module
 */
export { systemEnvironment } from "./environment.ts";
export { makeFacade } from "./facade/facade.ts";
export type {
  Facade,
  FsReadingCall,
  FsSyncCall,
  FsValue,
  FsWatchingCall,
  FsWritingCall,
  NodeFs,
  VolumeFs,
  VolumePromises,
} from "./facade/facade.ts";
export type { FacadeOptions } from "./facade/context.ts";
export type { CallObserver, ObservedCall, ObservedContext } from "./facade/operation.ts";
export type { GlobCallback, GlobCalls, GlobOptions } from "./facade/glob.ts";
export type { Mmap, MmapOptions } from "./facade/mapping-files.ts";
export { openFileMedia } from "./file-media.ts";
export type { FileMedia, FileMediaCounters, OpenFileOptions } from "./media-file.ts";
export { copyInto } from "./image/copy-in.ts";
export type { CopyInOptions } from "./image/copy-in.ts";
export { copyOut } from "./image/copy-out.ts";
export { hostSource, volumeSource } from "./image/copy-source.ts";
export type { CopySource, OpenSource } from "./image/copy-source.ts";
export type { HostXattr } from "./host-xattrs.ts";
export type { CopyOptions, CopySummary } from "./image/copy-out.ts";
export { dfOf, extentsOf, listDirectory, statOf, treeOf } from "./image/listing.ts";
export type { FileStatus, NamedFile, VolumeSpace } from "./image/listing.ts";
export { tarSubtree, tarToDescriptor } from "./image/tar.ts";
export { NbdConnection, openNbdMedia } from "./nbd/client-media.ts";
export type { OpenNbdOptions } from "./nbd/client-media.ts";
export { hostTree } from "./host-tree.ts";
export { fill } from "./fill.ts";
export type { Fillable, TarSource } from "./fill.ts";
export { openTarTree } from "./tar-tree.ts";
export type { OpenTarTree, TarTreeWishes } from "./tar-tree.ts";
export { makeVolume, planVolume } from "./make-volume.ts";
export type { MakeVolumeOptions } from "./make-image.ts";
export { readStoredSuperblock, tuneVolume } from "./tune-volume.ts";
export type { StoredSuperblock, TuneVolumeOptions } from "./tune-volume.ts";
export type { DevicePlace } from "./on-device.ts";
export { resizeVolume } from "./resize-volume.ts";
export type { ResizeVolumeOptions } from "./resize-volume.ts";
export { checkVolume, openVolume } from "./volume.ts";
export type { OpenVolumeOptions, Volume, VolumeCounters } from "./volume.ts";
export type { PlaceOptions, VolumeSource } from "./volume-source.ts";
export { fileHost, loadMachine, parseMachineText, readMachineFile } from "./machine-file.ts";
export type { ConnectOptions } from "./nbd/blocking.ts";
export type { NbdClient } from "../nbd/client.ts";
export type { StatusExtent } from "../nbd/client-requests.ts";
export type { Agreement, ClientBlockSizes, ClientWishes } from "../nbd/client-handshake.ts";
export type { Ask, Talk } from "../nbd/talk.ts";
export type { NbdAddress, NbdUri, NbdUriTls } from "../nbd/uri.ts";
export type { MappedRun, MappedShare, SharedMapping } from "./shares.ts";
export { redirectFs } from "./redirect-fs.ts";
export type { RedirectOptions } from "./redirect-fs.ts";
export { serveNbd } from "./nbd/server.ts";
export type { NbdServer, NbdServerOptions } from "./nbd/server.ts";
export type { NbdListen } from "./nbd/addresses.ts";
export type { NbdTlsOptions } from "./nbd/tls-settings.ts";
export { openExport } from "./nbd/open-export.ts";
export type { OpenExport, OpenExportOptions } from "./nbd/open-export.ts";
export { recordExport } from "./nbd/record-export.ts";
export type { RecordOptions, Recording } from "./nbd/record-export.ts";
export { replayStates } from "./replay/replay.ts";
export type { ReplayOptions, ReplayProgress, ReplayResult } from "./replay/replay.ts";
export { checkState, saveReplayed, saveState } from "./replay/one-state.ts";
export type { ReplayCheck, ReplaySettings, ReplaySource } from "./replay/settings.ts";
export { findEntry, summarizeLog } from "./replay/summary.ts";
export type { LogSummary } from "./replay/summary.ts";
export { createWriteLog, openWriteLog } from "./write-log-file.ts";
export type { OpenLogWriter, OpenWriteLog } from "./write-log-file.ts";
export { serveMachine } from "./nbd/machine-exports.ts";
export type { ServedMachine, ServeMachineOptions } from "./nbd/machine-exports.ts";
export type { EngineOptions } from "./nbd/engine.ts";
export type { ExportList } from "./nbd/export-list.ts";
export { exportVolume } from "./nbd/volume-export.ts";
export type { ExportVolumeOptions } from "./nbd/volume-export.ts";
export { mountFuse } from "./fuse/mount.ts";
export type { FuseMountOptions } from "./fuse/mount.ts";
export { mountServer, unmountAll } from "./fuse/mount-server.ts";
export type { FuseMount } from "./fuse/mount-server.ts";
export type { MountServerOptions } from "./fuse/mount-options.ts";
export type { UnmountOptions } from "./fuse/unmounting.ts";
export type { FrameSink } from "./fuse/channel.ts";
export type { FuseEngineKind } from "./fuse/engine.ts";
export type { FuseReply, FuseServer } from "../fuse/server.ts";
export { traceDaxToFile } from "./dax-trace-file.ts";
export type { DaxTraceFile } from "./dax-trace-file.ts";
