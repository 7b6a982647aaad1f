/**
 * What a mount by FUSE has answered, held against the crash model: what a request made durable is
 * there in every state that a power cut can leave, and each of these requests is what does it.
 */
import { expect, test } from "vitest";
import { type Findings, explore } from "../../src/crash/explorer.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { FuseSession } from "../../src/fuse/session.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { noise, same } from "../support/bytes.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { FuseClient } from "../support/fuse-client.ts";
import { ask, did, nodeOf } from "../support/fuse-requests.ts";

const O_RDWR = 0o2;
const O_DSYNC = 0o10000;
const O_SYNC = 0o4010000;
const BYTES = noise(3, 200);

/** Asks for something, and promises what is to be there under `/f`: bytes, or a directory. */
type Workload = (kernel: FuseClient, promise: () => void) => void;

function treeOn(media: ModelledMedia, write: boolean): FileTree {
  const { size: length } = media;
  const pmem = createPmem({ name: "pmem0", media, start: 0, length, physicalStart: 0 });
  return new FileTree(ext.mount(pmem.disk, { write }, seededEnvironment(2)));
}

/** Whether the last promise is kept. */
function check(cut: ModelledMedia, acked: readonly unknown[]): string | undefined {
  const wanted = acked.at(-1) as "bytes" | "directory" | undefined;
  if (wanted === undefined) return undefined;
  try {
    const tree = treeOn(cut, false);
    if (wanted === "directory") return void tree.open("/f", { directory: true });
    const found = new Uint8Array(BYTES.length);
    tree.open("/f").pread(found, 0);
    return same(found, BYTES) ? undefined : "/f has other bytes than were promised";
  } catch (error) {
    if (isDaxError(error)) return error.message;
    throw error;
  }
}

function cutEverywhere(workload: Workload, wanted: "bytes" | "directory"): Findings {
  const initial = emptyImage({ type: "ext2", blockSize: 4096, inodes: 16 }, 1);
  const media = new ModelledMedia(initial.length);
  media.recorder.image.set(initial);
  const kernel = new FuseClient(new FuseSession(treeOn(media, true)));
  kernel.init();
  workload(kernel, () => media.ack(wanted));
  const budget = { leaves: 20_000, steps: 1_000_000 };
  const { trace } = media;
  const options = { modelled: {}, torn: "line", depth: 1, budget } as const;
  const found = explore({ initial, trace, program: { check }, ...options });
  expect(found.unmeasurable).toBe(undefined);
  return found;
}

/** Writes `/f`, and asks for what makes it durable. */
function written(durable: (kernel: FuseClient, node: number) => void, flags = O_RDWR): Workload {
  return (kernel, promise) => {
    const node = nodeOf(did(kernel, 1, ask.create("f")));
    did(kernel, node, ask.write(node, 0, BYTES, 0, flags));
    durable(kernel, node);
    promise();
  };
}

/** Makes `/f` a directory. */
function made(durable: (kernel: FuseClient) => void): Workload {
  return (kernel, promise) => {
    did(kernel, 1, ask.mkdir("f"));
    durable(kernel);
    promise();
  };
}

const nothing = (): void => {};

test.each([
  ["FUSE_FSYNC", written((kernel, node) => void did(kernel, node, ask.fsync())), "bytes"],
  [
    "FUSE_FSYNC of data",
    written((kernel, node) => void did(kernel, node, ask.fsync(true))),
    "bytes",
  ],
  ["FUSE_SYNCFS", written((kernel) => void did(kernel, 1, ask.syncfs())), "bytes"],
  ["FUSE_WRITE with O_DSYNC", written(nothing, O_RDWR | O_DSYNC), "bytes"],
  ["FUSE_WRITE with O_SYNC", written(nothing, O_RDWR | O_SYNC), "bytes"],
  ["FUSE_FSYNCDIR", made((kernel) => void did(kernel, 1, ask.fsyncdir())), "directory"],
] as const)("%s: what it was asked for is there", (_, workload, wanted) => {
  const found = cutEverywhere(workload, wanted);
  expect(found.failure).toBe(undefined);
  expect(found.cut).toBe(false);
  expect(found.tallies[0]?.crashPoints).toBeGreaterThan(0);
});

test.each([
  ["bytes", written(nothing)],
  ["directory", made(nothing)],
] as const)("and without any of these a cut may take it: %s", (wanted, workload) => {
  expect(cutEverywhere(workload, wanted).failure).toBeDefined();
});
