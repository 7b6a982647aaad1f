/**
 * Random streams of calls into `node:fs` on a folder of the host and into `volume.fs`: each gives
 * the same value or error, the trees are the same in the end, and e2fsck finds nothing.
 */
import * as nodeFs from "node:fs";
import { expect, test } from "vitest";
import type { MakeVolumeOptions } from "../../src/node/make-image.ts";
import { type StreamCall, StreamTarget, streamOf } from "../support/facade-stream.ts";
import { snapshot } from "../support/facade-tree.ts";
import { WHOLE } from "../support/slices.ts";
import { complaintsOf, makeWritablePair } from "../support/writable-pair.ts";
import { probed, programs } from "./judge.ts";

const e2fsck = programs(["e2fsck"], "apt-get install e2fsprogs");
const root = probed(() => process.getuid?.() === 0, "run as root, who may chown");

const COUNT = WHOLE ? 12_000 : 900;

const kinds: Readonly<Record<string, MakeVolumeOptions>> = {
  ext2: { type: "ext2", blockSize: 1024 },
  ext3: { type: "ext3" },
  ext4: {},
  "ext4 with inline data": { features: "inline_data" },
  "ext4 with bigalloc": { features: "bigalloc" },
  "ext4 without a journal": { features: "^has_journal" },
};

test.skipIf(root.missing).each(Object.entries(kinds))(`%s${root.hint}`, (kind, make) => {
  const pair = makeWritablePair(make, 2 ** 26);
  const real = new StreamTarget(nodeFs, pair.root);
  const ours = new StreamTarget(pair.volume.fs, pair.root);
  const done: StreamCall[] = [];
  try {
    for (const call of streamOf(Object.keys(kinds).indexOf(kind) + 1, COUNT)) {
      done.push(call);
      const said = [call, ours.run(call)];
      expect(said, `call ${done.length}`).toEqual([call, real.run(call)]);
    }
    expect(snapshot(pair.volume.fs, pair.root)).toEqual(snapshot(nodeFs, pair.root));
    real.end();
    ours.end();
  } finally {
    pair.end();
  }
  expect(e2fsck.missing ? "" : complaintsOf(pair)).toBe("");
});
