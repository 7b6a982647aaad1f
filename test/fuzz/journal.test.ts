/** Damaged journals: typed errors only, in bounded time, and nothing half replayed. */
import { expect, test } from "vitest";
import { JBD2_FEATURE_COMPAT_CHECKSUM, JournalSuperblock } from "../../src/format/jbd2.ts";
import { replayLog } from "../../src/fs/ext/journal-replay.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { noise } from "../support/bytes.ts";
import { HOME_BLOCKS, JournalBuilder, type Layout } from "../support/journal-builder.ts";

const ROUNDS = 1400;

const layouts: readonly Layout[] = [
  {},
  { incompat: 0x2 },
  { compat: JBD2_FEATURE_COMPAT_CHECKSUM },
  { incompat: 0x8 },
  { incompat: 0x12 },
  { incompat: 0x6, compat: JBD2_FEATURE_COMPAT_CHECKSUM },
  { incompat: 0x20, fcBlocks: 16 },
];

function sample(layout: Layout, prng: Prng): JournalBuilder {
  const builder = new JournalBuilder({ ...layout, start: 1 + prng.below(1000) });
  for (let i = 0; i < 4; i++) {
    const writes = Array.from({ length: 3 }, (_, k) => [k + i, noise(i, 1024)] as const);
    builder.add({ writes, revokes: [prng.below(8)] });
  }
  return builder;
}

/** Sets a field of a header or a random byte, in the superblock or in a block of the log. */
function mutate(builder: JournalBuilder, start: number, prng: Prng): void {
  const inSuperblock = prng.below(3) === 0;
  const at = builder.at(inSuperblock ? 0 : (start + prng.below(22)) % builder.journalBlocks);
  const reach = prng.pick([12, 96, builder.blockSize]);
  const view = new DataView(builder.image.buffer);
  if (prng.below(2) === 0) builder.image[at + prng.below(reach)] = prng.below(256);
  else
    view.setUint32(at + (prng.below(reach) & ~3), prng.pick([0, 1, 2, 5, 0xffffffff, prng.u32()]));
  if (inSuperblock) builder.sealSuperblock();
}

test("mutated journals replay or are refused by name", () => {
  const prng = new Prng(20_260_101);
  const outcomes = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const builder = sample(layouts[round % layouts.length] as Layout, prng);
    const view = new DataView(builder.image.buffer, builder.at(0));
    const start = JournalSuperblock.start.get(view, 0);
    for (let i = prng.below(4); i >= 0; i--) mutate(builder, start, prng);
    let outcome = "replayed";
    try {
      const { blocks } = replayLog(builder.open());
      const end = HOME_BLOCKS + builder.journalBlocks;
      for (const block of blocks.keys()) expect(block).toBeLessThan(end);
    } catch (error) {
      if (!isDaxError(error, "EUCLEAN", "EBADMSG", "ENOTSUP")) throw error;
      if (!error.message.includes("journal")) throw error;
      outcome = error.code;
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  // All kinds of outcome happen, so the mutations reach what they are meant to reach.
  for (const kind of ["replayed", "EUCLEAN", "EBADMSG", "ENOTSUP"]) {
    expect(outcomes.get(kind) ?? 0).toBeGreaterThan(8);
  }
});
