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
const MIRROR = `0 ${SECTORS} mirror disk 3 d 512 nosync 2 p 0 q 0`;

describe("[X7] ext4 over", () => {
  test.each([
    ["stripes of a page", STRIPED],
    ["two halves", HALVES],
    ["a mirror", MIRROR],
  ])("%s keeps what was synced", (_, table) => {
    const { failure, tallies } = cutEverywhere({ table, both: true });
    expect(failure).toBe(undefined);
    expect(tallies[0]?.crashPoints).toBeGreaterThan(5);
  });

  test("[4.1] stripes loses it when flushes reach the first leg only", () => {
    const { failure } = cutEverywhere({ table: STRIPED, both: false });
    expect(failure?.objection.said).toMatch(/one|two|ENOENT|EUCLEAN|EBADMSG/u);
  });
});
