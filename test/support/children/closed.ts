/**
 * Touches everything that was handed out after its media was closed, and lets an unclosed one be
 * collected. Arguments: the path of a file to make.
 */
import { readFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { openFileMedia } from "../../../src/node/file-media.ts";
import { answer, outcome } from "./answer.ts";

const [path = ""] = process.argv.slice(2);
const gc = (globalThis as { gc?: () => void }).gc!;
const mappings = (file: string) =>
  readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => line.endsWith(file)).length;

const media = openFileMedia(path, { create: 1 << 20, segmentBytes: 65536, flush: "cache-line" });
const { memory } = media.window(70_000);
const plain = memory as DataView;
const array = new Uint8Array(plain.buffer);
const words = new BigUint64Array(plain.buffer);
const { bytes } = media.stitch?.([{ start: 8192, length: 100 }], true) ?? { bytes: array };
array.fill(1);
media.flush(65536, 64);
const mapped = mappings(path);
media.close();
array[5] = 1;
words[5] = 1n;
const touched = {
  mapped,
  afterwards: mappings(path),
  lengths: [array.length, words.length, bytes.length, plain.buffer.byteLength],
  loads: [array[5] ?? null, bytes[5] ?? null],
  view: outcome(() => plain.getUint8(0)),
  store: outcome(() => plain.setUint32(0, 1)),
  window: outcome(() => media.window(0)),
};

/** Hands out a view and forgets the media. */
function forget(): DataView {
  const lost = openFileMedia(`${path}.lost`, { create: 1 << 20 });
  lost.window(0).memory.setUint8(9, 99);
  return lost.window(0).memory as DataView;
}

/** Finalizers run in later turns of the event loop. */
async function collect(turns = 20): Promise<void> {
  if (turns === 0) return;
  gc();
  await setImmediate();
  await collect(turns - 1);
}

const kept: { view: DataView | undefined } = { view: forget() };
await collect();
const held = { value: kept.view?.getUint8(9), mappings: mappings(`${path}.lost`) };
kept.view = undefined;
await collect();
const second = outcome(() => openFileMedia(`${path}.lost`).close());
answer({ touched, held, after: mappings(`${path}.lost`), second });
