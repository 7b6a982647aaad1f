/**
 * What is stored to files without a call, through mappings and views, held against the crash model:
 * once a flush or an fsync has returned it is there, in every state that a power cut can leave.
 */
import { expect, test } from "vitest";
import { type Findings, explore } from "../../src/crash/explorer.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { noise, same } from "../support/bytes.ts";
import { emptyImage } from "../support/ext-cut-work.ts";

/** Stores something to a file, and promises bytes of it. */
type Workload = (file: OpenFile, promise: (offset: number, bytes: Uint8Array) => void) => void;

interface Promised {
  readonly at: number;
  readonly bytes: Uint8Array;
}

const PAGE = 4096;
const STORED = noise(7, 300);

/** An image with a file of eight pages. */
function imageWithFile(): Uint8Array {
  const image = emptyImage({ type: "ext2", blockSize: PAGE, inodes: 16 }, 1);
  const disk = new RamDisk({ name: "ram0", bytes: image });
  const tree = new FileTree(ext.mount(disk, { write: true }, seededEnvironment(1)));
  const file = tree.open("/f", { create: true, access: "write" });
  file.write(noise(1, 8 * PAGE));
  file.close();
  tree.close();
  return image;
}

/** Whether the last promise is kept. */
function check(cut: ModelledMedia, acked: readonly unknown[]): string | undefined {
  const [last] = (acked as readonly Promised[]).slice(-1);
  if (last === undefined) return undefined;
  const found = copyOf(cut.window(last.at).memory, last.at, last.bytes.length);
  return same(found, last.bytes) ? undefined : `bytes at ${last.at} are not what was promised`;
}

function cutEverywhere(workload: Workload): Findings {
  const initial = imageWithFile();
  const media = new ModelledMedia(initial.length);
  media.recorder.image.set(initial);
  const { length } = initial;
  const pmem = createPmem({ name: "pmem0", media, start: 0, length, physicalStart: 0 });
  const tree = new FileTree(ext.mount(pmem.disk, { write: true }, seededEnvironment(2)));
  const file = tree.open("/f", { access: "readwrite" });
  const [extent] = file.extents();
  const start = extent?.addr ?? Number.NaN;
  workload(file, (offset, bytes) => media.ack({ at: start + offset, bytes }));
  const budget = { leaves: 100_000, steps: 1_000_000 };
  const { trace } = media;
  const program = { check };
  const options = { modelled: {}, torn: "atoms", depth: 1, budget } as const;
  const found = explore({ initial, trace, program, ...options });
  expect(found.unmeasurable).toBe(undefined);
  expect(found.cut).toBe(false);
  return found;
}

const WORKLOADS: Readonly<Record<string, Workload>> = {
  "a mapping's flush": (file, promise) => {
    const mapping = file.map({ access: "write" });
    mapping.copyIn(PAGE - 50, STORED);
    mapping.flush();
    promise(PAGE - 50, STORED);
  },
  "the flush of a part of a mapping of its own offset": (file, promise) => {
    const mapping = file.map({ access: "write", sync: true, offset: 100, length: 5 * PAGE });
    mapping.copyIn(PAGE - 50, STORED);
    mapping.flush(PAGE - 50, STORED.length);
    promise(PAGE + 50, STORED);
  },
  fdatasync: (file, promise) => {
    file.map({ access: "write" }).copyIn(2 * PAGE, STORED);
    file.sync("data");
    promise(2 * PAGE, STORED);
  },
  "unmap, and then fsync": (file, promise) => {
    const mapping = file.map({ access: "write" });
    mapping.copyIn(3 * PAGE, STORED);
    mapping.unmap();
    file.sync();
    promise(3 * PAGE, STORED);
  },
  "pages that fault in one by one, and msync": (file, promise) => {
    const mapping = file.map({ access: "write", lazy: true });
    mapping.copyIn(PAGE - 50, STORED);
    mapping.flush();
    promise(PAGE - 50, STORED);
    mapping.copyIn(5 * PAGE, STORED);
    file.sync("data");
    promise(5 * PAGE, STORED);
  },
  "MAP_SYNC, page by page, and a flush of the bytes": (file, promise) => {
    const mapping = file.map({ access: "write", lazy: true, sync: true });
    mapping.copyIn(PAGE - 50, STORED);
    mapping.flush(PAGE - 50, STORED.length);
    promise(PAGE - 50, STORED);
  },
  "syncfs, of what was overwritten and of what was stored": (file, promise) => {
    file.pwrite(STORED, 10);
    file.map({ access: "write" }).copyIn(10 + STORED.length, STORED);
    file.mount.sync();
    promise(10, Uint8Array.of(...STORED, ...STORED));
  },
};

test.each(Object.entries(WORKLOADS))("%s", (_, workload) => {
  const found = cutEverywhere(workload);
  expect(found.failure).toBe(undefined);
  expect(found.tallies[0]?.crashPoints).toBeGreaterThan(0);
});

test("without a flush a store may be lost", () => {
  const found = cutEverywhere((file, promise) => {
    file.map({ access: "write" }).copyIn(PAGE, STORED.subarray(0, 20));
    promise(PAGE, STORED.subarray(0, 20));
  });
  expect(found.failure).not.toBe(undefined);
});
