/** Work of tools and mounts on a device that is cut wherever that makes a difference. */
import type { BlockDevice } from "../../../src/block/block-device.ts";
import { RamDisk } from "../../../src/block/ram-disk.ts";
import { explore } from "../../../src/crash/explorer.ts";
import { createPmem } from "../../../src/drivers/pmem.ts";
import { ext } from "../../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../../src/fs/ext/filesystem.ts";
import { makeExt } from "../../../src/fs/ext/mkfs.ts";
import type { MakeExtOptions } from "../../../src/fs/ext/mkfs-options.ts";
import { seededEnvironment } from "../../../src/lib/environment.ts";
import { isDaxError } from "../../../src/lib/errno.ts";
import { ModelledMedia } from "../../../src/media/modelled.ts";
import { FileTree } from "../../../src/vfs/file-tree.ts";
import { noise } from "../bytes.ts";
import { needOf } from "../ext-flushes.ts";
import { type Story, objectionOf } from "./story.ts";

/** Work on a device, and what has to hold of it afterwards. */
export interface Work {
  readonly name: string;
  readonly initial: () => Uint8Array<ArrayBuffer>;
  readonly run: (device: BlockDevice, ack: (label: string) => void) => void;
  /** What is wrong; errors of the driver are, too. */
  readonly check: (device: BlockDevice, acked: readonly string[]) => string | undefined;
  /** Whether a mount for writing comes before the check. */
  readonly recover?: boolean;
  readonly leaves?: number;
}

/** What `/f` of an image holds. */
export const FILE = noise(5, 2500);
export const ENVIRONMENT = () => seededEnvironment(4);

/** A filesystem with a file, on a device that may be larger. */
export function imageOf(
  make: MakeExtOptions,
  kilobytes: number,
  room = kilobytes,
): Uint8Array<ArrayBuffer> {
  const image = new Uint8Array(room << 10);
  const disk = new RamDisk({ name: "ram0", bytes: image });
  makeExt(
    disk,
    { inodes: 32, blockSize: 1024, ...make, size: { blocks: kilobytes } },
    ENVIRONMENT(),
  );
  const tree = new FileTree(ext.mount(disk, { write: true }, ENVIRONMENT()));
  const file = tree.open("/f", { create: true, access: "write" });
  file.write(FILE);
  file.close();
  tree.close();
  return image;
}

/** A disk over all of it. */
export function pmemOn(media: ModelledMedia): BlockDevice {
  const { size: length } = media;
  return createPmem({ name: "pmem0", media, start: 0, length, physicalStart: 2 ** 32 }).disk;
}

/** The filesystem on a device. */
export function mountOn(device: BlockDevice, write = false): ExtFilesystem {
  return ext.mount(device, { write }, ENVIRONMENT()) as ExtFilesystem;
}

/** It, as a story. */
export function storyOf(work: Work): Story {
  return { name: work.name, run: (patience) => objectionOf(cut(work, patience)) };
}

function cut({ initial: make, run, check, recover = false, leaves }: Work, patience: 0 | 1) {
  const initial = make();
  const media = new ModelledMedia(initial.length);
  media.recorder.image.set(initial);
  run(pmemOn(media), (label) => media.ack(label));
  return explore({
    initial,
    modelled: {},
    trace: media.trace,
    torn: "line",
    depth: 1,
    budget: { leaves: leaves ?? [300, 3000][patience] ?? 300, steps: 50_000_000 },
    stopAtFirst: true,
    program: {
      ...(recover && {
        recover: (found) => {
          const need = needOf(pmemOn(found));
          mountOn(pmemOn(found), true).unmount();
          return need;
        },
      }),
      check: (found, acked, need) => {
        if (need === "unasked") return "the log holds something, and e2fsck -p was not asked";
        if (need === "asked" && acked.length > 0) return "it has to be recovered";
        try {
          return check(pmemOn(found), acked as readonly string[]);
        } catch (error) {
          if (isDaxError(error)) return error.message;
          throw error;
        }
      },
    },
  });
}

/** What a tool that repairs would do in the dark: a log with something, and nobody asks for it. */
export function unasked(device: BlockDevice): string | undefined {
  return needOf(device) === "unasked"
    ? "the log holds something, and nobody asks for it"
    : undefined;
}
