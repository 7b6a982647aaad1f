/**
 * Disks that are full most of the time: calls on contents, made by us and by this machine's kernel
 * on images that are the same. Where one of the two finds no room, or less than asked, the file is
 * emptied on both sides, and all goes on; all other results agree. e2fsck has nothing to say.
 *
 * What differs on purpose:
 * - Which call it is that finds no room, by a few blocks: the kernel keeps preallocated space
 *   apart, and counts blocks of maps before it needs them.
 * - The kernel cuts a file to its size when a write finds no room at first, though it then
 *   succeeds: space that was allocated behind the end is gone. We keep it.
 * - Where it finds no block to split an unwritten extent with, it writes zeros to some of it.
 * So data, holes and extents are asked for but not compared here, unlike the bytes that are read;
 * `ext-contents.test.ts` compares them, where there is room.
 */
import { describe, expect, test } from "vitest";
import { Prng } from "../../src/lib/prng.ts";
import { S_IFREG } from "../../src/vfs/modes.ts";
import { type DataCall, DataStream } from "../support/contents-stream.ts";
import { mountToWrite } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { madeImage } from "../support/made-images.ts";
import { callOurs, linesOfOurs } from "../support/namespace-ours.ts";
import type { Call } from "../support/namespace-stream.ts";
import { inSlices } from "../support/slices.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts } from "./loop-mount.ts";
import { askKernel, callKernel } from "./namespace-kernel.ts";

const tools = programs(["mke2fs", "e2fsck", "python3"], "apt-get install e2fsprogs python3");
const judge = tools.missing ? tools : loopMounts();
const CALLS = Number(process.env["DAXKIT_CONTENTS_CALLS"] ?? 1000);
const SEED = Number(process.env["DAXKIT_CONTENTS_SEED"] ?? 0);
/** Bytes that are left to the files that change. */
const ROOM = 350_000;
const FILES = Array.from({ length: 8 }, (_, i) => `f${i}`);

interface Kind {
  readonly options: string;
  readonly blockSize: number;
  readonly clusterSize?: number;
  readonly megabytes: number;
  readonly mount?: string;
}

const KINDS: Readonly<Record<string, Kind>> = {
  "ext4, 1k": { options: "-t ext4 -b 1024", blockSize: 1024, megabytes: 4 },
  "ext2, 1k": { options: "-t ext2 -b 1024", blockSize: 1024, megabytes: 3, mount: "noatime" },
  bigalloc: {
    options: "-t ext4 -b 1024 -C 8192 -O bigalloc",
    blockSize: 1024,
    clusterSize: 8192,
    megabytes: 5,
  },
  "ext4, 4k, no journal": {
    options: "-t ext4 -b 4096 -O ^has_journal",
    blockSize: 4096,
    megabytes: 4,
  },
  "inline data": {
    options: "-t ext4 -b 1024 -I 256 -O inline_data",
    blockSize: 1024,
    megabytes: 4,
  },
};

/** Whether a call found all the room that it wanted. */
function isWhole(call: Call | DataCall, result: string): boolean {
  if (result === "ENOSPC") return false;
  const writes = call.op === "write" || call.op === "append";
  return !writes || !/^\d+$/u.test(result) || Number(result) === call.length;
}

/** Whether both sides answer alike whatever room there is: where zeros are stored they need not. */
function isCompared({ op }: Call | DataCall): boolean {
  return op !== "extents" && op !== "seek";
}

function make(path: string): Call {
  return { op: "make", path, mode: S_IFREG | 0o644, rdev: 0, target: "" };
}

function* callsOf({ blockSize, clusterSize = blockSize }: Kind, free: number, seed: number) {
  yield make("ballast");
  yield { op: "write", at: "ballast", offset: 0, length: free - ROOM, seed: 1 } as const;
  for (const path of FILES) yield make(path);
  const dice = new Prng(seed);
  const options = { blockSize, clusterSize, most: 200_000, far: false, protect: false };
  const stream = new DataStream(dice, () => dice.pick(FILES), options);
  for (let i = 0; i < CALLS; i++) {
    const path = dice.pick(FILES);
    if (dice.below(50) === 0) {
      yield { op: "unlink", path } as const;
      yield make(path);
    } else yield stream.next();
  }
}

describe.skipIf(judge.missing)(`the kernel${judge.hint}`, () => {
  test.each(inSlices(Object.entries(KINDS), 3))("%s", { timeout: 600_000 }, async (name, kind) => {
    const image = madeImage(kind.options, kind.megabytes, "-N", "64");
    const kernel = askKernel(image, kind.mount ?? "noatime,nodelalloc");
    const filesystem = mountToWrite(image);
    const { bfree, blockSize } = filesystem.statfs();
    const free = bfree * blockSize;
    const differences: unknown[] = [];
    const short = { ours: 0, theirs: 0, both: 0 };
    for (const call of callsOf(kind, free, SEED + name.length)) {
      const [ours, theirs] = [callOurs(filesystem, call), kernel.ask(call)];
      const [weHad, theyHad] = [isWhole(call, ours), isWhole(call, theirs)];
      if (weHad && theyHad) {
        if (isCompared(call) && ours !== theirs) differences.push({ ours, theirs, call });
        continue;
      }
      short[weHad ? "theirs" : theyHad ? "ours" : "both"]++;
      if (!("at" in call) || differences.length > 3) {
        differences.push({ ours, theirs, call });
        break;
      }
      const empty = { op: "truncate", at: call.at, size: 0 } as const;
      expect([callOurs(filesystem, empty), kernel.ask(empty)]).toEqual(["ok", "ok"]);
    }
    const theirImage = await kernel.end();
    expect(differences).toEqual([]);
    expect(short.both).toBeGreaterThan(CALLS / 500);
    expect(short.ours).toBeLessThan(5 + short.both);
    const lines = linesOfOurs(filesystem);
    filesystem.unmount();
    expect(callKernel(image, []).lines).toEqual(lines);
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
    expect(e2fsckSays(theirImage)).toEqual([]);
  });
});
