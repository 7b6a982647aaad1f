/**
 * Damaged logs of writes, read and replayed, with what the power may leave at each instant: states
 * or a typed error.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { LogWriter } from "../../src/block/write-log-writer.ts";
import { ObservedExplorer } from "../../src/crash/block-explorer.ts";
import { BlockFrontier } from "../../src/crash/block-frontier.ts";
import { BlockImage } from "../../src/crash/block-image.ts";
import { stopsOf } from "../../src/crash/block-stops.ts";
import { traceOfLog } from "../../src/crash/block-trace.ts";
import { LogWriteEntry, LogWriteSuper } from "../../src/format/log-writes.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";
import type { CaseNotes, FuzzSubject, FuzzTarget } from "./fuzz.ts";
import { type Structure, StructurePool, damage } from "./fuzz-damage.ts";
import { MemoryLog } from "./memory-log.ts";
import { PatchedBytes } from "./patched-bytes.ts";

const KERNEL = join(import.meta.dirname, "../../fixtures/dm/log.img.gz");
const DISK = 16 << 20;

/** A log, and where its structures are. */
interface Subject {
  readonly name: string;
  readonly image: PatchedBytes;
  readonly pool: StructurePool;
}

function subject(name: string, bytes: Uint8Array<ArrayBuffer>): Subject {
  const entries = [...MemoryLog.of(bytes).open().entries()].map((entry): Structure => {
    const start = entry.at - 512;
    const parts = [{ at: 0, fields: LogWriteEntry }];
    return { name: `entry ${entry.index}`, start, length: 32, parts };
  });
  const parts = [{ at: 0, fields: LogWriteSuper }];
  const superblock = { name: "superblock", start: 0, length: 32, parts };
  const pool = new StructurePool([superblock, ...entries]);
  return { name, image: new PatchedBytes(bytes), pool };
}

/** A few writes of ours, sectors on top of each other. */
function ours(): Uint8Array<ArrayBuffer> {
  const sink = new MemoryLog();
  const log = new LogWriter(sink);
  for (let i = 0; i < 12; i++) {
    log.write((i % 5) * 512, new Uint8Array(1024).fill(i), { fua: i % 4 === 3 });
    if (i % 3 === 2) log.flush();
    if (i % 5 === 0) log.discard(4096, 8192);
  }
  log.finish();
  return sink.bytes.slice();
}

class LogSubject implements FuzzSubject {
  readonly #logs: readonly Subject[];

  constructor() {
    const kernel = new Uint8Array(gunzipSync(readFileSync(KERNEL)));
    this.#logs = [subject("ours", ours()), subject("the kernel's", kernel.slice(0, 4_645_376))];
  }

  run(prng: Prng, notes: CaseNotes): string {
    const { name, image, pool } = prng.pick(this.#logs);
    notes.say(name);
    try {
      for (let left = 1 + prng.below(3); left > 0; left--) {
        notes.say(damage(image, pool.pick(prng), prng, [0, 1, 8, 16, 88, 32_768]));
      }
      const cut = prng.below(8) === 0 ? prng.below(image.bytes.length) : image.bytes.length;
      return replayed(image.bytes.subarray(0, cut), prng);
    } finally {
      image.restore();
    }
  }

  audit(): void {
    for (const { image } of this.#logs) image.audit();
  }
}

function replayed(bytes: Uint8Array, prng: Prng): string {
  const trace = traceOfLog(MemoryLog.of(bytes).open(), { size: DISK });
  const { recorder } = new ModelledMedia(DISK);
  const torn = prng.below(2) === 0 ? {} : { torn: 128 };
  const model = { unit: prng.below(2) === 0 ? 512 : 4096, ...torn };
  const frontier = new BlockFrontier(new BlockImage(recorder.image), model);
  const check = () => (recorder.getUint8(0) === 5 ? "five" : undefined);
  const budget = { runs: 50, steps: 1000, seed: 1 };
  const explorer = new ObservedExplorer(frontier, budget, recorder, check);
  let failing = false;
  for (const stop of stopsOf(trace, { at: ["flush"], reorder: true }, frontier)) {
    const { failure, covered, space } = explorer.explore(stop);
    if (covered > space) throw new Error(`${covered} of ${space} states`);
    failing ||= failure !== undefined;
  }
  return failing ? "a state fails" : "no state fails";
}

/** Logs of writes. */
export const writeLogTarget: FuzzTarget = {
  name: "write-log",
  weight: 5,
  reaches: ["a state fails", "EUCLEAN"],
  open: () => new LogSubject(),
};
