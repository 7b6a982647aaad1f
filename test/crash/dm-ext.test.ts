/**
 * ext4 over mapped devices in modelled memory: what was synced is there, wherever its pieces lie;
 * and it is not when flushes reach the first leg only, as Linux 4.13 sent them.
 */
import { describe, expect, test } from "vitest";
import { type Findings, explore } from "../../src/crash/explorer.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import type { MappedDevice } from "../../src/dm/mapped-device.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { noise, same } from "../support/bytes.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mapperOver } from "../support/mapped.ts";

const image = emptyImage({ type: "ext4", blockSize: 1024, inodes: 64 }, 4);
const SECTORS = image.length / 512;
/** Bytes of the two legs, and of the log of a mirror. */
const LEG = image.length;
const LOG = 4096;

/** How a device is put together. */
interface Stack {
  readonly table: string;
  /** Whether the filesystem was on the first leg before the device was made. */
  readonly before?: boolean;
  /** Whether flushes reach the second leg. */
  readonly both: boolean;
}

function deviceOn(media: ModelledMedia, { table, both }: Stack): MappedDevice {
  const leg = (name: string, start: number, length: number, writeCache = true) =>
    createPmem({ name, media, start, length, physicalStart: start, writeCache }).disk;
  const disks = { p: leg("p", 0, LEG), q: leg("q", LEG, LEG, both), d: leg("d", 2 * LEG, LOG) };
  return mapperOver(disks).mapper.create("x", table);
}

/** What the filesystem looks like in the media before anything is done to it. */
function spread(stack: Stack): Uint8Array<ArrayBuffer> {
  const media = new ModelledMedia(2 * LEG + LOG);
  if (stack.before === true) {
    media.recorder.image.set(image);
    return media.recorder.image.slice();
  }
  const device = deviceOn(media, stack);
  device.write(0, image);
  device.flush();
  return media.recorder.image.slice();
}

function mountOn(media: ModelledMedia, stack: Stack): FileTree {
  const device = deviceOn(media, stack);
  return new FileTree(ext.mount(device, { write: true }, seededEnvironment(1)));
}

const contents: Readonly<Record<string, Uint8Array>> = {
  "/one": noise(1, 9000),
  "/two": noise(2, 700),
};

/** Two files, each synced; promises by name. */
function work(tree: FileTree, promise: (path: string) => void): void {
  for (const [path, bytes] of Object.entries(contents)) {
    const file = tree.open(path, { create: true, access: "write" });
    file.pwrite(bytes, 0);
    file.sync();
    promise(path);
  }
}

function missing(tree: FileTree, promised: readonly unknown[]): string | undefined {
  for (const path of promised as readonly string[]) {
    const bytes = contents[path]!;
    const found = new Uint8Array(bytes.length);
    if (tree.open(path).pread(found, 0) < found.length) return `${path} is too short`;
    if (!same(found, bytes)) return `${path} holds something else`;
  }
  return undefined;
}

function cutEverywhere(stack: Stack): Findings {
  const initial = spread(stack);
  const media = new ModelledMedia(initial.length);
  media.recorder.image.set(initial);
  work(mountOn(media, stack), (path) => media.ack(path));
  return explore({
    initial,
    modelled: {},
    trace: media.trace,
    torn: "line",
    depth: 1,
    budget: { leaves: 150, steps: 20_000_000 },
    stopAtFirst: true,
    program: { check: (found, acked) => missing(mountOn(found, stack), acked) },
  });
}

const STRIPED = `0 ${SECTORS} striped 2 8 p 0 q 0`;
const HALVES = `0 ${SECTORS / 2} linear p 0\n${SECTORS / 2} ${SECTORS / 2} linear q 0`;
const SNAPSHOT = `0 ${SECTORS} snapshot p q P 8`;
const writecache = (mode: "p" | "s"): string =>
  `0 ${SECTORS} writecache ${mode} p q 1024 2 autocommit_blocks 3`;
const MIRROR = `0 ${SECTORS} mirror disk 3 d 512 nosync 2 p 0 q 0`;

/** By what they are: a table, and whether the filesystem was there before the device. */
const STACKS: Readonly<Record<string, Omit<Stack, "both">>> = {
  "stripes of a page": { table: STRIPED },
  "two halves": { table: HALVES },
  "a mirror": { table: MIRROR },
  "a snapshot": { table: SNAPSHOT, before: true },
  "a cache of pmem": { table: writecache("p"), before: true },
  "a cache on a disk": { table: writecache("s"), before: true },
};

describe("[X7] ext4 over", () => {
  test.each(Object.entries(STACKS))("%s keeps what was synced", (_, stack) => {
    const { failure, tallies } = cutEverywhere({ ...stack, both: true });
    expect(failure).toBe(undefined);
    expect(tallies[0]?.crashPoints).toBeGreaterThan(5);
  });

  test.each(["stripes of a page", "a snapshot", "a cache of pmem", "a cache on a disk"])(
    "[4.1] %s loses it when flushes reach the first leg only",
    (name) => {
      const { failure } = cutEverywhere({ ...STACKS[name]!, both: false });
      expect(failure?.objection.said).toMatch(/one|two|ENOENT|EUCLEAN|EBADMSG/u);
    },
  );
});
