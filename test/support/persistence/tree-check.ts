/** A tree in modelled memory: power is cut everywhere, and what was promised is looked for. */
import { RamDisk } from "../../../src/block/ram-disk.ts";
import { explore } from "../../../src/crash/explorer.ts";
import { createPmem } from "../../../src/drivers/pmem.ts";
import { type ExtMountOptions, ext } from "../../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../../src/fs/ext/filesystem.ts";
import type { MakeExtOptions } from "../../../src/fs/ext/mkfs-options.ts";
import { type Environment, seededEnvironment } from "../../../src/lib/environment.ts";
import { isDaxError } from "../../../src/lib/errno.ts";
import { copyOf } from "../../../src/lib/memory.ts";
import { ModelledMedia } from "../../../src/media/modelled.ts";
import { FileTree } from "../../../src/vfs/file-tree.ts";
import { same } from "../bytes.ts";
import { emptyImage } from "../ext-cut-work.ts";
import { fillFree } from "../fill-free.ts";
import { objectionOf } from "./story.ts";

/** What is there from some moment on; `raw`: at this byte of the device, whoever has it. */
export type Kept =
  | { readonly path: string; readonly bytes: Uint8Array; readonly at?: number }
  | { readonly raw: number; readonly bytes: Uint8Array }
  | { readonly path: string; readonly mode: number }
  | { readonly path: string; readonly is: "directory" | "gone" | "there" };

/** What a workload has at hand. */
export interface World {
  readonly tree: FileTree;
  readonly filesystem: ExtFilesystem;
  readonly media: ModelledMedia;
  /** Seconds that have passed. */
  readonly pass: (seconds: number) => void;
  /** From here on this is so, instead of all that was promised before. */
  readonly promise: (...kept: readonly Kept[]) => void;
}

/** A filesystem that is worked on. */
export interface Ground {
  readonly make: MakeExtOptions;
  readonly megabytes?: number;
  readonly mount?: ExtMountOptions;
  /** Made before anything is cut, and synced. */
  readonly prepare?: (tree: FileTree) => void;
  /** Free blocks hold what somebody else left there. */
  readonly stale?: boolean;
  /** What no state may show; called with the tree that a mount shows. */
  readonly never?: (tree: FileTree) => string | undefined;
}

/** Runs of recovery and check, at most. */
const LEAVES = [300, 3000] as const;

/** Small, and without a journal: what is asked for is all that makes anything durable. */
export const EXT2: Ground = { make: { type: "ext2", blockSize: 1024, inodes: 32 }, megabytes: 1 };
/** With a journal. */
export const EXT4: Ground = {
  make: { type: "ext4", blockSize: 1024, inodes: 32, journalMegabytes: 1 },
  megabytes: 3,
};

function mounted(
  media: ModelledMedia,
  options: ExtMountOptions,
  environment: Environment,
): ExtFilesystem {
  const { size: length } = media;
  const pmem = createPmem({ name: "pmem0", media, start: 0, length, physicalStart: 2 ** 32 });
  return ext.mount(pmem.disk, options, environment) as ExtFilesystem;
}

/** Its bytes. */
export function imageOf({ make, megabytes, prepare, stale }: Ground): Uint8Array<ArrayBuffer> {
  const image = emptyImage(make, megabytes);
  if (stale === true) fillFree(image, 0xee);
  const disk = new RamDisk({ name: "ram0", bytes: image });
  const tree = new FileTree(ext.mount(disk, { write: true }, seededEnvironment(1)));
  prepare?.(tree);
  tree.close();
  return image;
}

function isThere(tree: FileTree, path: string): boolean {
  try {
    tree.stat(path);
    return true;
  } catch (error) {
    if (isDaxError(error, "ENOENT")) return false;
    throw error;
  }
}

/** What is wrong with a tree; undefined: nothing. */
function missing(tree: FileTree, media: ModelledMedia, kept: readonly Kept[]): string | undefined {
  for (const one of kept) {
    if ("raw" in one) {
      const found = copyOf(media.window(one.raw).memory, one.raw, one.bytes.length);
      if (!same(found, one.bytes)) return `byte ${one.raw} of the device is another`;
    } else if ("bytes" in one) {
      const found = new Uint8Array(one.bytes.length);
      tree.open(one.path).pread(found, one.at ?? 0);
      if (!same(found, one.bytes)) return `${one.path} has other bytes than were promised`;
    } else if ("mode" in one) {
      const mode = tree.stat(one.path).mode & 0o7777;
      if (mode !== one.mode) return `${one.path} has mode 0o${mode.toString(8)}`;
    } else if (one.is === "gone") {
      if (isThere(tree, one.path)) return `${one.path} is there again`;
    } else if (!isThere(tree, one.path)) return `${one.path} is not there`;
  }
  return undefined;
}

/** Where somebody mounts by himself. */
export interface Bare {
  readonly media: ModelledMedia;
  readonly promise: World["promise"];
}

/** Runs a workload; what is wrong with a state that a power cut may leave, undefined: nothing. */
export async function brokenTree(
  ground: Ground,
  workload: (world: World) => void | Promise<void>,
  patience: 0 | 1,
): Promise<string | undefined> {
  const told = async ({ media, promise }: Bare): Promise<void> => {
    let now = 1_700_000_000;
    const environment = { ...seededEnvironment(2), clock: { now: () => ({ sec: now, nsec: 0 }) } };
    const filesystem = mounted(media, { ...ground.mount, write: true }, environment);
    const tree = new FileTree(filesystem);
    const pass = (seconds: number): void => void (now += seconds);
    await workload({ tree, filesystem, media, pass, promise });
  };
  return brokenMedia(ground, told, patience);
}

/** The same where the workload mounts what lies on the media. */
export async function brokenMedia(
  ground: Ground,
  workload: (bare: Bare) => void | Promise<void>,
  patience: 0 | 1,
): Promise<string | undefined> {
  const initial = imageOf(ground);
  const media = new ModelledMedia(initial.length);
  media.recorder.image.set(initial);
  await workload({ media, promise: (...kept) => media.ack(kept) });
  const check = (cut: ModelledMedia, acked: readonly unknown[]): string | undefined => {
    try {
      const seen = new FileTree(mounted(cut, {}, seededEnvironment(3)));
      const objection = ground.never?.(seen);
      return objection ?? missing(seen, cut, (acked.at(-1) ?? []) as readonly Kept[]);
    } catch (error) {
      // Without a journal a filesystem may be torn until something was promised.
      if (isDaxError(error)) return acked.length > 0 ? error.message : undefined;
      throw error;
    }
  };
  const findings = explore({
    initial,
    modelled: {},
    trace: media.trace,
    program: { check },
    torn: "line",
    depth: 1,
    budget: { leaves: LEAVES[patience], steps: 20_000_000 },
    stopAtFirst: true,
  });
  return objectionOf(findings);
}
