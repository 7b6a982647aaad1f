/**
 * One-line flushes: the dax layer against the bare instruction, called the same way. Both are
 * in-process calls on a mapping of tmpfs, so nothing here is durable; only the price is compared.
 */
import { createPmem } from "../src/drivers/pmem.ts";
import { openFileMedia } from "../src/node/file-media.ts";
import { cacheControl, fixedMemory } from "../src/node/machine-code.unsafe.ts";
import { scratch } from "./images.ts";
import { type Subject, race, report } from "./measure.ts";

const SIZE = 1 << 20;
/** Odd in lines, so that neighbours are never flushed one after the other. */
const STRIDE = 17 * 64;
const cache = mustHave(cacheControl());

function mustHave<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("no cache-line write-back in this process");
  return value;
}

const media = openFileMedia(`${scratch()}/pmem`, {
  create: SIZE,
  flush: "cache-line",
  domain: "adr",
});
const { dax } = createPmem({
  name: "pmem0",
  media,
  start: 0,
  length: SIZE,
  physicalStart: 0,
  writeCache: true,
});
const raw = fixedMemory(SIZE);
const rawView = new DataView(raw.buffer);
const { memory } = media.window(0);

/** A store and a flush, with or without the fence that makes it last. */
function pair(fence: boolean): [Subject, Subject] {
  const bare: Subject = {
    name: "instruction",
    run(times) {
      for (let i = 0; i < times; i++) {
        const at = (i * STRIDE) & (SIZE - 1);
        rawView.setUint32(at, i);
        cache.flush(raw.address + at, 64);
        if (fence) cache.drain();
      }
    },
  };
  const layer: Subject = {
    name: "dax",
    run(times) {
      for (let i = 0; i < times; i++) {
        const at = (i * STRIDE) & (SIZE - 1);
        memory.setUint32(at, i);
        dax.flush(at >> 12, at & 4095, 64);
        if (fence) dax.fence();
      }
    },
  };
  return [bare, layer];
}

for (const [what, fence] of [
  ["flush of one line", false],
  ["flush and fence of one line", true],
] as const) {
  const [bare = 0, layer = 0] = race(...pair(fence));
  report({
    what: `${what} through the dax layer, over the instructions`,
    figure: `${(layer - bare).toFixed(0)} ns more`,
    target: "at most 50 ns",
    met: layer - bare <= 50,
    detail: `store + ${cache.name}: ${bare.toFixed(0)} ns bare, ${layer.toFixed(0)} ns by dax`,
  });
}
if (media.counters.flushes === 0)
  throw new Error("nothing was flushed: the bench measures nothing");
