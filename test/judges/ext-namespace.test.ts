/**
 * Names and attributes: one stream of calls, errors included, made by us and by this machine's
 * kernel on images that are the same. Every result and both trees have to agree; e2fsck and our own
 * check have nothing to say.
 */
import { describe, expect, test } from "vitest";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import { S_IFDIR } from "../../src/vfs/modes.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { madeImage } from "../support/made-images.ts";
import { callOurs, linesOfOurs } from "../support/namespace-ours.ts";
import { type Call, LARGE, NamespaceStream } from "../support/namespace-stream.ts";
import { inSlices } from "../support/slices.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts } from "./loop-mount.ts";
import { callKernel } from "./namespace-kernel.ts";

const tools = programs(["mke2fs", "e2fsck", "python3"], "apt-get install e2fsprogs python3");
const judge = tools.missing ? tools : loopMounts();
/** Calls of each stream; the long run has more. */
const CALLS = Number(process.env["DAXKIT_NAMESPACE_CALLS"] ?? 2500);
const SEED = Number(process.env["DAXKIT_NAMESPACE_SEED"] ?? 0);

const IMAGES: Readonly<Record<string, string>> = {
  "ext2, 1k": "-t ext2 -b 1024",
  "ext4, orphan file, too few inodes": "-t ext4 -b 1024 -N 240 -O orphan_file",
  "ext2, 4k, short inodes, linear": "-t ext2 -b 4096 -I 128 -O ^dir_index",
  "ext3, 1k": "-t ext3 -b 1024",
  "ext4, 1k": "-t ext4 -b 1024",
  "ext4, 4k": "-t ext4 -b 4096",
  "ext4, 4k, no checksums": "-t ext4 -b 4096 -O ^metadata_csum,^64bit",
  "ext4, bigalloc": "-t ext4 -b 1024 -C 4096 -O bigalloc",
  "ext4, inline data": "-t ext4 -b 1024 -I 256 -O inline_data",
  "ext4, inline data, long inodes": "-t ext4 -b 4096 -I 1024 -O inline_data",
  "ext4, no journal": "-t ext4 -b 1024 -O ^has_journal",
  "ext4, large_dir, seed, meta_bg":
    "-t ext4 -b 1024 -O large_dir,metadata_csum_seed,meta_bg,^resize_inode",
};

function callsOf(seed: number): Call[] {
  const stream = new NamespaceStream(new Prng(seed), 1200);
  return [LARGE, ...Array.from({ length: CALLS }, () => stream.next())];
}

/** A file that loses its name and stays open. */
const ORPHAN: readonly Call[] = [
  { op: "make", path: "kept", mode: S_IFDIR | 0o755, rdev: 0, target: "" },
  { op: "hold", path: "kept", slot: 100 },
  { op: "rmdir", path: "kept" },
];

describe.skipIf(judge.missing)(`the kernel${judge.hint}`, () => {
  test.each(inSlices(Object.entries(IMAGES), 4, 2))("%s", { timeout: 120_000 }, (_, options) => {
    const calls = callsOf(SEED + options.length);
    const image = madeImage(options, 24, ...(options.includes("-N") ? [] : ["-N", "4096"]));
    const kernel = callKernel(image, calls);
    const filesystem = mountToWrite(image);
    const differences: unknown[] = [];
    for (const [i, call] of calls.entries()) {
      const ours = callOurs(filesystem, call);
      const theirs = kernel.results[i];
      if (ours !== theirs) differences.push({ i, ours, theirs, call });
    }
    expect(differences.slice(0, 5)).toEqual([]);
    expect(linesOfOurs(filesystem)).toEqual(kernel.lines);
    filesystem.unmount();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
    expect(callKernel(image, []).lines).toEqual(kernel.lines);
  });

  const journalled = Object.entries(IMAGES).filter(([, options]) => !/ext2|\^has_j/u.test(options));
  test.each(inSlices(journalled, 4, 2))(
    "%s: what it leaves in a crash",
    { timeout: 120_000 },
    (_, options) => {
      const calls = [...ORPHAN, ...callsOf(SEED + options.length + 50)];
      const image = madeImage(options, 24, ...(options.includes("-N") ? [] : ["-N", "4096"]));
      const kernel = callKernel(image, calls, { crash: "committed" });
      const points: string[] = [];
      const trace = { event: (point: string) => points.push(point) };
      const filesystem = mountToWrite(kernel.image, {}, seededEnvironment(1, trace));
      expect(points.slice(0, 2)).toEqual(["ext.recovery", "ext.orphans"]);
      expect(linesOfOurs(filesystem)).toEqual(kernel.lines);
      filesystem.unmount();
      expect(e2fsckSays(kernel.image)).toEqual([]);
      expect(complaints(kernel.image)).toEqual([]);
    },
  );
});
