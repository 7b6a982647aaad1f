/**
 * Random streams of calls through FUSE, and the same on a second volume without it: each gives the
 * same, the trees are the same at every look, and e2fsck finds nothing in the end.
 */
import { expect, test } from "vitest";
import { ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { FuseSession } from "../../src/fuse/session.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import { RamMedia } from "../../src/media/ram.ts";
import type { MakeVolumeOptions } from "../../src/node/index.ts";
import { makeVolume } from "../../src/node/index.ts";
import { FuseClient } from "../support/fuse-client.ts";
import { FuseUser } from "../support/fuse-user.ts";
import { BEGINNING, MixedStream } from "../support/mixed-stream.ts";
import { callOurs, linesOfOurs, placeOf } from "../support/namespace-ours.ts";
import { WHOLE } from "../support/slices.ts";
import { ToyDisk } from "../support/toy-disk.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";

const e2fsck = programs(["e2fsck"], "apt-get install e2fsprogs");

const CALLS = Number(process.env["DAXKIT_FUSE_CALLS"] ?? (WHOLE ? 4000 : 400));
const SEED = Number(process.env["DAXKIT_FUSE_SEED"] ?? 5);
const LOOKS = 4;
const PAGES = 4096;

const KINDS: Readonly<Record<string, MakeVolumeOptions>> = {
  "ext2, 1k": { type: "ext2", blockSize: 1024 },
  "ext4, 1k": { blockSize: 1024 },
  "ext4, 4k": { blockSize: 4096 },
  "ext4, inline data": { features: "inline_data" },
};

interface Side {
  readonly toy: ToyDisk;
  readonly filesystem: ExtFilesystem;
}

function side(make: MakeVolumeOptions, dax: boolean): Side {
  const toy = new ToyDisk({ pages: PAGES, dax });
  makeVolume(RamMedia.over(toy.bytes), { ...make, environment: seededEnvironment(SEED) });
  const mounted = ext.mount(toy.disk, { write: true }, seededEnvironment(SEED + 1));
  return { toy, filesystem: mounted as ExtFilesystem };
}

test.each(
  Object.entries(KINDS).flatMap(([kind, make]) => [
    [`${kind}, memory`, make, true] as const,
    [`${kind}, sectors`, make, false] as const,
  ]),
)(`%s${e2fsck.hint}`, { timeout: 300_000 }, (kind, make, dax) => {
  const [ours, served] = [side(make, dax), side(make, dax)];
  const { tree } = placeOf(served.filesystem);
  const session = new FuseSession(tree, { maxWrite: 2 ** 20 });
  const kernel = new FuseClient(session);
  kernel.init();
  const user = new FuseUser(kernel);
  const blockSize = ours.filesystem.statfs().blockSize;
  const options = { blockSize, clusterSize: blockSize, most: 60_000, far: true, protect: true };
  const stream = new MixedStream(new Prng(SEED + kind.length), options);
  let done = 0;
  for (let n = 0; n < CALLS; n++) {
    const call = BEGINNING[n] ?? stream.next();
    // A FUSE server is not asked where blocks lie.
    if (call.op === "extents") continue;
    const story = { n, call, gives: user.call(call) };
    expect(story).toEqual({ n, call, gives: callOurs(ours.filesystem, call) });
    if (!/^E[A-Z]/u.test(story.gives)) done++;
    if ((n + 1) % Math.ceil(CALLS / LOOKS) > 0) continue;
    expect(linesOfOurs(served.filesystem)).toEqual(linesOfOurs(ours.filesystem));
  }
  expect(done).toBeGreaterThan(CALLS / 3);
  user.end();
  session.end();
  tree.close();
  const { slots, tree: direct } = placeOf(ours.filesystem);
  for (const file of slots.values()) file.close();
  direct.close();
  expect(e2fsck.missing ? [] : e2fsckSays(served.toy.bytes)).toEqual([]);
});
