/**
 * Long programs on journals of every layout, cut at random: what a disk with a write cache leaves,
 * and what memory leaves, where sectors are torn. Recovery is cut as well.
 */
import { describe, expect, test } from "vitest";
import { Buffers } from "../../src/block/buffers.ts";
import {
  JBD2_FEATURE_COMPAT_CHECKSUM,
  JBD2_FEATURE_INCOMPAT_64BIT,
  JBD2_FEATURE_INCOMPAT_CSUM_V2,
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FEATURE_INCOMPAT_REVOKE,
} from "../../src/format/jbd2.ts";
import { Journal } from "../../src/fs/ext/journal.ts";
import { writeRecoverFlag } from "../../src/fs/ext/recover-flag.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { CutDisk, type CutState } from "../support/cut-disk.ts";
import { recover } from "../support/journal-crash.ts";
import { BLOCK, type JournalGeometry, cleanImage, mapOf } from "../support/journal-device.ts";
import { JournalWorkload } from "../support/journal-workload.ts";

const STATES = process.env["DAXKIT_LONG"] === undefined ? 15 : 2000;
const HOMES = 30;
const WIDE = JBD2_FEATURE_INCOMPAT_64BIT | JBD2_FEATURE_INCOMPAT_REVOKE;
const LAYOUTS: readonly (readonly [string, Partial<JournalGeometry>])[] = [
  ["no checksums", { incompat: WIDE }],
  ["checksum v1", { compat: JBD2_FEATURE_COMPAT_CHECKSUM }],
  ["checksum v2", { incompat: JBD2_FEATURE_INCOMPAT_CSUM_V2 }],
  ["checksum v3", { incompat: JBD2_FEATURE_INCOMPAT_CSUM_V3 | WIDE }],
];

function workOn(geometry: JournalGeometry): { disk: CutDisk; workload: JournalWorkload } {
  const disk = new CutDisk(cleanImage(geometry));
  const buffers = new Buffers(disk.device, BLOCK);
  const blocks = Array.from({ length: HOMES - 2 }, (_, i) => i + 2);
  const workload = new JournalWorkload(buffers, blocks, 7);
  const hooks = {
    beforeFirstCommit: () => writeRecoverFlag(buffers, true),
    afterClean: () => writeRecoverFlag(buffers, false),
  };
  const journal = new Journal(buffers, mapOf(geometry), {
    environment: seededEnvironment(1),
    hooks,
  });
  for (let n = 1; n <= 40; n++) {
    workload.step(journal);
    disk.promise(n);
  }
  journal.close();
  return { disk, workload };
}

describe.each(LAYOUTS)("%s", (_, layout) => {
  const geometry = { homes: HOMES, journalBlocks: 65, ...layout };

  test.each([
    ["a disk's sectors", false],
    ["memory's lines", true],
  ])("%s", (_kind, torn) => {
    const { disk, workload } = workOn(geometry);
    const survivors = (state: CutState, again: number): void => {
      const recovering = new CutDisk(state.image);
      const buffers = new Buffers(recovering.device, BLOCK);
      recover(buffers, geometry);
      expect(workload.stepOf(state.image, state.promised)).toBeDefined();
      if (again === 0) return;
      for (const { image } of recovering.states(again, 2, torn)) {
        survivors({ image, promised: state.promised }, again - 1);
      }
    };
    for (const state of disk.states(11, STATES, torn)) survivors(state, 2);
  });
});
