/**
 * Recording a workload on a volume in modelled memory.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import { RamDisk } from "../../block/ram-disk.ts";
import { wordsOf } from "../../crash/program.ts";
import { EXT4_FEATURE_COMPAT_HAS_JOURNAL } from "../../format/ext-superblock.ts";
import { type ExtMountOptions, ext, recoverExt } from "../../fs/ext/ext.ts";
import { hasCompat } from "../../fs/ext/features.ts";
import { makeExt } from "../../fs/ext/mkfs.ts";
import { readSuperblock } from "../../fs/ext/superblock.ts";
import { seededEnvironment } from "../../lib/environment.ts";
import { DaxError } from "../../lib/errno.ts";
import { perform } from "../../lib/memo.ts";
import { ModelledMedia } from "../../media/modelled.ts";
import type { Trace } from "../../media/trace.ts";
import { FileTree } from "../../vfs/file-tree.ts";
import { type VolumeFs, makeFacade } from "../facade/facade.ts";
import type { CallObserver } from "../facade/operation.ts";
import { CallLog, type CallNote, type CallPatch } from "./calls.ts";
import { FaultInjector } from "./fault-injector.ts";
import type { Fault } from "./faults.ts";
import { type History, type Sight, sightOf } from "./history.ts";
import { DEFAULT_SIZE, PRESETS } from "./presets.ts";
import type { PathHistory } from "./timeline.ts";
import type { Underlay } from "./underlay.ts";
import { CallTimeout } from "../watched-run.ts";
import { waitWatched } from "../watched-wait.ts";
import { DEFAULT_PATIENCE, tooLong } from "./waiting.ts";
import type { Schedule } from "./schedules.ts";
import type { VolumeProof, VolumeWork } from "./volume-proof.ts";

/** What a workload did. */
export interface VolumeRecording {
  /** What modelled memory holds after setup. */
  readonly initial: Uint8Array;
  readonly trace: Trace;
  readonly calls: readonly CallNote[];
  /** How many of them were patched. */
  readonly patched: number;
  readonly history: History;
  /** The same when the program ended, everything having arrived. */
  readonly final: Uint8Array;
  /** The same, had all been written that waits in memory: what it made without a power cut. */
  whole(): Uint8Array;
  /** The program changed nothing, and left nothing that waits to be written. */
  readonly idle: boolean;
  /** The call in which a planned fault came, by its index; -1: before any. */
  readonly struckIn?: number;
}

/** Thrown when setup or workload fail. */
export class WorkloadFault extends Error {
  override readonly name = "WorkloadFault";
  readonly phase: "setup" | "workload";

  constructor(phase: "setup" | "workload", message: string, cause?: unknown) {
    super(message, { cause });
    this.phase = phase;
  }
}

/** Permission bits that new files do not get, whoever runs the proof. */
const UMASK = 0o022;

/**
 * An empty volume, as bytes of a disk.
 * @throws what mkfs refuses; EINVAL where there is no room for the journal that the model has
 */
export function emptyVolume(proof: VolumeProof): Uint8Array<ArrayBuffer> {
  const { model = "ext4-dax", machine = {}, make = {} } = proof;
  const { size = DEFAULT_SIZE } = machine;
  const bytes = new Uint8Array(size);
  const disk = new RamDisk({ name: "ram0", bytes });
  const { make: usual } = PRESETS[model];
  makeExt(disk, { ...usual, zeroed: true, ...make }, seededEnvironment(7));
  const { type, features, blockSize } = make;
  const asIs = type === undefined && features === undefined && blockSize === undefined;
  if (asIs && usual.type === "ext4" && !hasJournal(disk)) {
    const detail = `${size} bytes are too small for the journal of ext4; take 9 MiB or more`;
    throw new DaxError("EINVAL", { detail });
  }
  return bytes;
}

function hasJournal(disk: BlockDevice): boolean {
  return hasCompat(readSuperblock(disk), EXT4_FEATURE_COMPAT_HAS_JOURNAL);
}

/** A volume that is mounted for writing. */
export interface MountedProof {
  readonly tree: FileTree;
  readonly fs: VolumeFs;
  /** Has time pass on the volume's clock, in whole seconds. */
  readonly pass: (seconds: number) => void;
}

/** Mounts what lies in modelled memory; its journal is recovered there. */
export function mountProof(
  media: ModelledMedia,
  underlay: Underlay,
  proof: VolumeProof,
  observer?: CallObserver,
  deviceOn: Underlay["deviceOn"] = (bare) => underlay.deviceOn(bare),
): MountedProof {
  const environment = seededEnvironment(proof.seed ?? 1);
  const volume = ext.mount(deviceOn(media), writingOptions(proof), environment);
  const tree = underlay.treeOf?.(volume) ?? new FileTree(volume);
  const { fs } = makeFacade(tree, { umask: UMASK, ...(observer && { observer }) });
  return { tree, fs, pass: (seconds) => environment.pass(seconds) };
}

/**
 * Recovers what lies on a device by mounting it, and leaves it at that. The journal comes first:
 * what a mount finds after that is mostly the same, and need not be done again.
 */
export function recoverByMount(device: BlockDevice, proof: VolumeProof): void {
  const { seed = 1 } = proof;
  const options = writingOptions(proof);
  recoverExt(device, options, seededEnvironment(seed));
  perform(device.memo, proof, "mount", () => {
    ext.mount(device, options, seededEnvironment(seed));
  });
}

function writingOptions({ model = "ext4-dax", mount = {} }: VolumeProof): ExtMountOptions {
  return { ...PRESETS[model].mount, ...mount, write: true };
}

/** Mounts what a recovery left, for reading. */
export function mountToLook(
  device: BlockDevice,
  { model = "ext4-dax", mount = {}, seed = 1 }: VolumeProof,
): FileTree {
  const { dax, minixdf } = { ...PRESETS[model].mount, ...mount };
  const options: ExtMountOptions = {
    ...(dax === undefined ? {} : { dax }),
    ...(minixdf === undefined ? {} : { minixdf }),
  };
  return new FileTree(ext.mount(device, options, seededEnvironment(seed)));
}

/** What a workload acts on. */
export interface Stage extends VolumeWork {
  readonly tree: FileTree;
  /** Notes calls; those of `fs` go there by themselves. */
  readonly log: CallLog;
}

/**
 * Does what the program did: `workload` of the proof itself, or, for programs that ran elsewhere,
 * what was written down of them. Each time the same.
 */
export type Act = (stage: Stage) => unknown;

/** Brings the volume to its first state, each time to the same. */
export type Prepare = (tree: FileTree) => unknown;

/** What is recorded. */
export interface Recordable {
  readonly proof: VolumeProof;
  readonly underlay: Underlay;
  /** An empty volume, as lines. */
  readonly empty: Uint8Array;
  readonly act?: Act | undefined;
  /** What is done before, beside `setup` of the proof; all of it is durable. */
  readonly prepare?: Prepare | undefined;
  readonly patches?: readonly CallPatch[];
  /** Sees what becomes of files with each call. */
  readonly paths?: PathHistory | undefined;
  /** What the filesystem does that nobody asks for. */
  readonly schedule?: Schedule | undefined;
  /** What is to fail. */
  readonly fault?: Fault | undefined;
  /** Told how much there was that might have failed. */
  readonly onCounts?: ((counts: FaultInjector["counts"]) => void) | undefined;
}

/**
 * Runs setup and workload on an empty volume.
 * @throws WorkloadFault when one of them throws, or does not end in time
 */
export async function recordVolume(what: Recordable): Promise<VolumeRecording> {
  const { proof, underlay, empty, patches = [], paths, fault, onCounts, schedule } = what;
  const { act = (stage: Stage) => proof.workload(workOf(stage)) } = what;
  const media = new ModelledMedia(empty.length, underlay.modelled);
  const { recorder } = media;
  recorder.image.set(empty);
  recorder.recording = false;
  let log: CallLog | undefined;
  let struckIn: number | undefined;
  const fails = fault !== undefined || onCounts !== undefined;
  const inject = fails
    ? new FaultInjector(fault, () => (struckIn = (log?.calls.length ?? 0) - 1))
    : undefined;
  const { tree, fs, pass } = mountProof(
    media,
    underlay,
    { ...proof, mount: { ...proof.mount, ...schedule?.mount } },
    (call) => (log === undefined ? call.work : log.observer(call)),
    (bare) => inject?.device(underlay.deviceOn(bare)) ?? underlay.deviceOn(bare),
  );
  await inTime(proof, "setup", async () => {
    await what.prepare?.(tree);
    await proof.setup?.({ fs });
  });
  tree.sync();
  // What was made before is older than a tick: a first write moves the times of its file.
  pass(1);
  recorder.settleAliases();
  const initial = recorder.image.slice();
  const sights: Sight[] = [];
  const promised: number[] = [];
  // A facade of its own: what the harness looks at is no call of the program's.
  const own = makeFacade(tree, { umask: UMASK }).fs;
  const look = (): void => void sights.push(sightOf(own));
  // What is looked at gets its blocks, and history is that of the program as it is.
  if (proof.check.wantsHistory === true && schedule === undefined) {
    look();
    // One call may be several steps, and power may go between any two of them.
    tree.mounts.root.watches.tap({ changed: look, renamed: look });
  }
  log = new CallLog({
    trace: media.trace,
    patches,
    sync: (path) => syncPath(own, path),
    exists: (path) => own.existsSync(path),
    inject,
    look: paths && {
      before: (call, number) => paths.before(own, call, number),
      after: (number) => paths.after(own, number),
    },
  });
  const calls = log;
  const ack = (label: unknown): void => {
    calls.acked(label);
    media.ack(label);
    promised.push(sights.length);
  };
  const { random, clock } = seededEnvironment((proof.seed ?? 1) + 1);
  const mapping = (path: string, options = {}) => {
    const file = tree.open(path, { access: "readwrite" });
    return calls.mapped(file.map({ sync: true, ...options, access: "write" }));
  };
  recorder.recording = true;
  if (inject !== undefined) inject.on = true;
  try {
    await inTime(proof, "workload", () =>
      act({ tree, log: calls, fs, ack, mapping, random, clock }),
    );
  } catch (error) {
    // A program that a fault ends has ended; what it promised before counts.
    const isProgram = struckIn !== undefined && what.act === undefined;
    if (!isProgram || (error as Error).cause === undefined) throw error;
  }
  if (inject !== undefined) onCounts?.(inject.counts);
  recorder.recording = false;
  log.end();
  const unseen = recorder.unobserved();
  if (unseen !== undefined) {
    const words =
      `bytes ${unseen.start}+${unseen.length} of the volume changed through a raw array, where ` +
      "stores are not observed; use the mapping's store, copyIn or fill";
    throw new WorkloadFault("workload", words);
  }
  const history = { sights, promised };
  const recording = {
    initial,
    trace: media.trace,
    calls: calls.calls,
    patched: calls.patched,
    history,
  };
  const final = recorder.image;
  let synced: Uint8Array | undefined;
  // Once: the tree believes afterwards that all is written.
  const whole = () => (synced ??= syncedImage(tree, final));
  const isWaiting = () => whole().some((byte, i) => byte !== final[i]);
  const idle = media.trace.stores === 0 && struckIn === undefined && !isWaiting();
  return { ...recording, final, whole, idle, ...(struckIn === undefined ? {} : { struckIn }) };
}

/** What the volume would be. Nothing is recorded any more, and the image stays as it is. */
function syncedImage(tree: FileTree, image: Uint8Array): Uint8Array {
  const before = image.slice();
  try {
    tree.sync();
    return image.slice();
  } finally {
    image.set(before);
  }
}

/** How a second run of the workload differs from the first. */
export function differenceOf(first: VolumeRecording, again: VolumeRecording): string | undefined {
  const event = first.trace.firstDifference(again.trace);
  if (event === undefined) return undefined;
  const call = first.calls.findLast(({ from }) => from <= event);
  const where = call === undefined ? "" : `, in or after ${call.name} ${call.path ?? ""}`.trimEnd();
  return (
    `the workload is not deterministic: run again, it stores something else${where}; ` +
    "make its state inside workload(), and take time and chance from clock and random"
  );
}

/** What a workload is shown of it. */
function workOf({ fs, ack, mapping, random, clock }: Stage): VolumeWork {
  return { fs, ack, mapping, random, clock };
}

function syncPath(fs: VolumeFs, path: string): void {
  const fd = fs.openSync(path, "r");
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

async function inTime(
  { patience = DEFAULT_PATIENCE }: VolumeProof,
  phase: "setup" | "workload",
  body: () => unknown,
): Promise<void> {
  try {
    await waitWatched(phase, patience, body);
  } catch (error) {
    if (error instanceof WorkloadFault) throw error;
    if (error instanceof CallTimeout) {
      throw new WorkloadFault(phase, tooLong(phase, patience).message);
    }
    throw new WorkloadFault(phase, `it threw: ${wordsOf(error)}`, error);
  }
}
