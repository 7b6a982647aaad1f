/**
 * Power cuts while files are allocated, punched, shifted and cut by whole blocks: the next mount
 * finds what the first so many calls had made, all of those that were synced among them. When a
 * call takes several transactions it may be found on its way, and nothing is damaged then either.
 */
import { describe, expect, test } from "vitest";
import { ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import type { FallocateMode } from "../../src/vfs/writing.ts";
import { callOnData } from "../support/contents-ours.ts";
import { type DataCall, contentsOf } from "../support/contents-stream.ts";
import { CutDisk } from "../support/cut-disk.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mountToWrite, plainFile, writingOf } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { tighten } from "../support/little-room.ts";
import { outcomeOf, placeOf } from "../support/namespace-ours.ts";

const LONG = process.env["DAXKIT_LONG"] !== undefined;
const STATES = LONG ? 1000 : 40;
const CALLS = LONG ? 800 : 150;
const IMAGES: Readonly<Record<string, MakeExtOptions>> = {
  "ext4, 1k": { type: "ext4", blockSize: 1024 },
  "ext4, 4k": { type: "ext4", blockSize: 4096, features: "orphan_file" },
  bigalloc: { type: "ext4", blockSize: 1024, clusterSize: 4096, features: "bigalloc" },
};
const MODES: readonly FallocateMode[] = ["allocate", "punch", "zero", "collapse", "insert"];
const NAMES = ["a", "b"];

/** All that a call can be seen to change: contents, data and holes, blocks. */
function stateOf(filesystem: ExtFilesystem): string {
  const { tree } = placeOf(filesystem);
  const lines = NAMES.map((name) => {
    const size = (filesystem.root.lookup(name) as Inode).size;
    const sum = callOnData(tree, name, { op: "read", at: name, offset: 0, length: size });
    return `${name} ${size} ${sum} ${callOnData(tree, name, { op: "extents", at: name })}`;
  });
  return lines.join("\n");
}

/** Whole blocks only, and no byte that is there is written over: what is in place is not undone. */
function nextCall(dice: Prng, sizes: ReadonlyMap<string, number>, unit: number): DataCall {
  const at = dice.pick(NAMES);
  const length = (1 + dice.below(12)) * unit;
  const offset = dice.below(60) * unit;
  const place = dice.below(8);
  if (place < 2) {
    const end = sizes.get(at) ?? 0;
    return { op: "write", at, offset: end, length, seed: dice.below(200) };
  }
  if (place === 2) return { op: "truncate", at, size: offset };
  return { op: "fallocate", at, mode: dice.pick(MODES), offset, length, keepSize: false };
}

function imageWithFiles(options: MakeExtOptions): Uint8Array<ArrayBuffer> {
  const image = emptyImage(options);
  const filesystem = mountToWrite(image);
  for (const name of NAMES) {
    const made = writingOf(filesystem.root).make(name, plainFile);
    writingOf(made).write(contentsOf(3, 100_000), 0);
  }
  filesystem.unmount();
  return image;
}

function work(options: MakeExtOptions, room: string) {
  const disk = new CutDisk(imageWithFiles(options));
  const filesystem = ext.mount(
    disk.device,
    { write: true, commit: 1e6 },
    seededEnvironment(1),
  ) as ExtFilesystem;
  const unit = filesystem.volume.superblock.clusterSize;
  const dice = new Prng(21);
  if (room === "little room") tighten(filesystem);
  const states = [stateOf(filesystem)];
  for (let i = 1; i <= CALLS; i++) {
    const sizes = new Map(NAMES.map((n) => [n, filesystem.root.lookup(n)?.size ?? 0]));
    const call = nextCall(dice, sizes, unit);
    outcomeOf(() => callOnData(placeOf(filesystem).tree, call.at as string, call));
    states.push(stateOf(filesystem));
    if (i % 5 > 0) continue;
    filesystem.sync();
    disk.promise(states.length - 1);
  }
  filesystem.unmount();
  disk.promise(states.length - 1);
  return { disk, states };
}

describe.each(Object.entries(IMAGES))("%s", (_, options) => {
  test.each([
    ["a disk's sectors", false, "room"],
    ["memory's lines", true, "room"],
    ["memory's lines and short transactions", true, "little room"],
  ])("%s", (_kind, torn, room) => {
    const { disk, states } = work(options, room);
    const found = new Set<number>();
    for (const { image, promised } of disk.states(5, STATES, torn)) {
      const recovered = mountToWrite(image);
      const reached = states.indexOf(stateOf(recovered), promised);
      expect({ promised, lost: room === "room" && reached < promised }).toEqual({
        promised,
        lost: false,
      });
      found.add(reached);
      recovered.unmount();
      expect(complaints(image)).toEqual([]);
    }
    expect(found.size).toBeGreaterThan(STATES / 8);
  });
});
