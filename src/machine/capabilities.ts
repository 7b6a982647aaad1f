/**
 * What works on dax, by how a machine serves its memory: each answer is an attempt on a machine
 * that was booted for it, with what was copied counted. There is no table of answers.
 *
 * @module
 */
import type { BlockDevice } from "../block/block-device.ts";
import type { KernelProfile } from "../block/device-numbers.ts";
import { PageCache } from "../block/page-cache.ts";
import { RamDisk } from "../block/ram-disk.ts";
import type { DaxDevice } from "../dax/dax-device.ts";
import { attachPageMap } from "../dax/pages.ts";
import { DaxRegion } from "../drivers/dax-region.ts";
import { ext } from "../fs/ext/ext.ts";
import { makeExt } from "../fs/ext/mkfs.ts";
import { seededEnvironment } from "../lib/environment.ts";
import { type ErrnoCode, isDaxError } from "../lib/errno.ts";
import { RamMedia } from "../media/ram.ts";
import { FileTree } from "../vfs/file-tree.ts";
import type { OpenFile } from "../vfs/open-file.ts";
import { bootMachine } from "./boot.ts";
import {
  ATTEMPTS,
  ATTEMPT_BYTES,
  type Attempt,
  type Attempted,
  type DeviceStage,
  patterned,
} from "./capability-attempts.ts";
import type { Machine } from "./machine.ts";

/**
 * How memory is served: as a disk behind the page cache, by dax without page descriptors, by dax
 * with them, or as a character device without a filesystem.
 */
export type CapabilityMode = "page-cache" | "page-less" | "page-backed" | "device-dax";

/** Every mode, in the order of a table. */
export const CAPABILITY_MODES: readonly CapabilityMode[] = [
  "page-cache",
  "page-less",
  "page-backed",
  "device-dax",
];

/** What came of an attempt. */
export interface CapabilityCell {
  readonly outcome: "works" | "refused";
  /** Times that each byte was copied; 0 where memory itself was handed on. */
  readonly copies?: number;
  /** Why it was refused. */
  readonly code?: ErrnoCode;
  readonly why?: string;
}

/** One way to use a file, and what comes of it in each mode. */
export interface CapabilityRow {
  readonly api: string;
  readonly cells: Readonly<Partial<Record<CapabilityMode, CapabilityCell>>>;
}

const DISK = 4 << 20;

/** Tries everything in every mode that a kernel has. */
export function daxCapabilities(profile: KernelProfile = "modern"): CapabilityRow[] {
  // Page descriptors for device memory came with Linux 4.5, device-dax with 4.7.
  const modes = CAPABILITY_MODES.slice(0, profile === "modern" ? CAPABILITY_MODES.length : 2);
  const known = ATTEMPTS.filter(({ isNew }) => profile === "modern" || isNew !== true);
  return known.map((attempt) => ({
    api: attempt.api,
    cells: Object.fromEntries(
      modes.flatMap((mode) => {
        const cell = tryIn(mode, profile, attempt);
        return cell === undefined ? [] : [[mode, cell]];
      }),
    ),
  }));
}

function tryIn(
  mode: CapabilityMode,
  profile: KernelProfile,
  attempt: Attempt,
): CapabilityCell | undefined {
  if (mode === "device-dax") {
    const { onDevice } = attempt;
    return onDevice === undefined ? undefined : tryOnDevice(onDevice);
  }
  const machine = bootMachine({ profile, ram: "64M", pmem: [{ size: DISK }, { size: DISK }] });
  try {
    return tryOn(machine, mode, attempt);
  } finally {
    machine.shutdown();
  }
}

function tryOn(machine: Machine, mode: CapabilityMode, attempt: Attempt): CapabilityCell {
  const [first, second] = machine.devices();
  const dax = machine.dax(first!.name);
  if (mode === "page-backed") attachPageMap(dax);
  const disk = machine.disk(first!.name);
  const cache = mode === "page-cache" ? new PageCache(disk) : undefined;
  const plain = new RamDisk({ name: "sda", bytes: new Uint8Array(DISK) });
  const trees = [cache ?? disk, machine.disk(second!.name), plain].map((each) => treeOn(each));
  try {
    const [file, otherDax, onDisk] = trees.map((tree) => filled(tree)) as [
      OpenFile,
      OpenFile,
      OpenFile,
    ];
    cache?.invalidate(0, DISK);
    const other = machine.dax(second!.name);
    const copied = (): number => {
      const here = cache === undefined ? copiedBy(dax) : copiedThrough(cache);
      return here + copiedBy(other);
    };
    return outcomeOf(copied, () => attempt.run({ file, otherDax, onDisk }));
  } finally {
    for (const tree of trees) tree.close({ revoke: true, mediaCloses: true });
  }
}

/** A device-dax instance of one range, whose pages have descriptors. */
function tryOnDevice(attempt: (stage: DeviceStage) => Attempted): CapabilityCell {
  const media = new RamMedia(DISK);
  const place = { id: 0, media, start: 0, physicalStart: 2 ** 32, length: DISK };
  const layout = [{ pgoff: 0, start: 2 ** 32, length: DISK }];
  const instance = new DaxRegion({ ...place, align: 4096, layout }).device("dax0.0");
  instance.bind("device_dax");
  const device = instance.open();
  const mapping = device.map({ access: "write" });
  mapping.copyIn(0, patterned());
  const { device: dax } = mapping;
  mapping.unmap();
  attachPageMap(dax);
  const onDisk = filled(treeOn(new RamDisk({ name: "sda", bytes: new Uint8Array(DISK) })));
  return outcomeOf(
    () => copiedBy(dax),
    () => attempt({ device, onDisk }),
  );
}

/** What came of an attempt, with what was copied meanwhile. */
function outcomeOf(copied: () => number, attempt: () => Attempted): CapabilityCell {
  try {
    const before = copied();
    const { moved = 0, check } = attempt();
    const copies = Math.round((copied() - before - moved) / ATTEMPT_BYTES);
    check?.();
    return { outcome: "works", copies };
  } catch (error) {
    if (!isDaxError(error)) throw error;
    const { code, detail: why } = error;
    return { outcome: "refused", code, ...(why === undefined ? {} : { why }) };
  }
}

function copiedBy({ counters }: DaxDevice): number {
  return counters.copiedIn + counters.copiedOut;
}

function copiedThrough({ counters }: PageCache): number {
  const { filled: into, copiedIn, copiedOut, writtenBack } = counters;
  return into + copiedIn + copiedOut + writtenBack;
}

function treeOn(device: BlockDevice): FileTree {
  const environment = seededEnvironment(5);
  makeExt(device, { type: "ext4", blockSize: 4096, inodes: 64 }, environment);
  const dax = device.dax === undefined ? "never" : "always";
  return new FileTree(ext.mount(device, { write: true, dax }, environment));
}

function filled(tree: FileTree): OpenFile {
  const file = tree.open("/data", { create: true, access: "readwrite" });
  file.pwrite(patterned(), 0);
  return file;
}
