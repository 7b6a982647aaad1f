/**
 * A mapped file is cut behind our back. Arguments: the path of a file to make, and what to touch.
 */
import { truncateSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { copyIn, copyOf } from "../../../src/lib/memory.ts";
import { openFileMedia } from "../../../src/node/file-media.ts";
import { answer, outcome } from "./answer.ts";

const PAGES = 6000;
const [path = "", scenario = ""] = process.argv.slice(2);
const media = openFileMedia(path, {
  create: PAGES * 4096,
  guard: scenario !== "unguarded",
  flush: scenario === "lines" ? "cache-line" : "auto",
});
const { memory } = media.window(0);
copyIn(memory, 0, new Uint8Array(PAGES * 4096).fill(7));

/** A loop that V8 compiles to plain loads. */
function sum(from: number, to: number): number {
  let total = 0;
  for (let at = from; at < to; at++) total += memory.getUint8(at);
  return total;
}

function load(): unknown {
  sum(0, 200_000);
  truncateSync(path, 8192);
  return {
    before: memory.getUint8(8191),
    gone: memory.getUint8(3 * 4096 + 5),
    check: outcome(() => media.checkFault?.()),
    again: outcome(() => media.checkFault?.()),
    window: outcome(() => media.window(3 * 4096)),
    other: outcome(() => media.window(0)),
    bad: media.badRanges(),
  };
}

/** Bulk copies, hot loops, stores and flushes each meet pages that are gone. */
function ways(): unknown {
  sum(0, 200_000);
  truncateSync(path, 4096);
  const answers = {
    copy: [...copyOf(memory, 4094, 4)],
    atCopy: outcome(() => media.window(0)),
    loop: sum(8192, 16384),
    atLoop: outcome(() => media.checkFault?.()),
    store: memory.setUint8(20_000, 1),
    atFlush: outcome(() => media.flush(20_000, 1)),
    flushElsewhere: outcome(() => media.flush(0, 64)),
    atFence: outcome(() => media.fence()),
  };
  return { ...answers, bad: media.badRanges() };
}

/** Write-back instructions fault too. */
function lines(): unknown {
  truncateSync(path, 4096);
  return {
    immediate: outcome(() => media.flush(8192, 65536)),
    queued: outcome(() => media.flush(512_000, 64)),
    fence: outcome(() => media.fence()),
    copy: outcome(() => media.copyNonTemporal?.(1_000_000, new Uint8Array(100))),
    count: media.badRanges().length,
  };
}

function repair(): unknown {
  truncateSync(path, 4096);
  const lost = memory.getUint8(8192);
  const error = outcome(() => media.checkFault?.());
  const hopeless = media.clearPoison(8192, 4096);
  truncateSync(path, PAGES * 4096);
  const cleared = media.clearPoison(8192, 4096);
  memory.setUint8(8192, 9);
  return {
    lost,
    error,
    hopeless,
    cleared,
    bad: media.badRanges(),
    healed: memory.getUint8(8192),
    fence: outcome(() => media.fence()),
    window: outcome(() => media.window(8192)),
  };
}

/** More faults than the log of the handler holds. */
function flood(): unknown {
  truncateSync(path, 4096);
  return {
    zeros: sum(8192, PAGES * 4096),
    error: outcome(() => media.checkFault?.()),
    bad: media.badRanges(),
  };
}

function stitched(): unknown {
  const pieces = [
    { start: 8192, length: 4096 },
    { hole: true, length: 4096 } as const,
    { start: 0, length: 4096 },
  ];
  const { bytes } = media.stitch?.(pieces, false) ?? { bytes: new Uint8Array() };
  truncateSync(path, 4096);
  return {
    gone: bytes[100],
    hole: bytes[5000],
    kept: bytes[8192],
    error: outcome(() => media.fence()),
    bad: media.badRanges(),
  };
}

/** A worker installs a handler of its own over ours; both go on working. */
async function workers(): Promise<unknown> {
  const url = new URL("truncated-worker.ts", import.meta.url).href;
  // Workers of Node 20 do not inherit the loader of TypeScript.
  const code = `import("tsx/esm/api").then(({ register }) => (register(), import("${url}")))`;
  const worker = new Worker(code, { eval: true, workerData: `${path}.worker` });
  const inside = await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  truncateSync(path, 4096);
  const value = memory.getUint8(50_000);
  const error = outcome(() => media.checkFault?.());
  await worker.terminate();
  return { inside, value, error };
}

const scenarios = {
  load,
  ways,
  lines,
  repair,
  flood,
  stitched,
  workers,
  unguarded: load,
  /** A SIGBUS that somebody sends is not ours to survive. */
  foreign: () => {
    truncateSync(path, 4096);
    memory.getUint8(8192);
    process.kill(process.pid, "SIGBUS");
    return "alive";
  },
};
answer(await scenarios[scenario as keyof typeof scenarios]());
