/**
 * One-line flushes: the dax layer against the bare instruction, called the same way. Both are
 * in-process calls on a mapping of tmpfs, so nothing here is durable; only the price is compared.
 */
import { createPmem } from "../src/drivers/pmem.ts";
import { openFileMedia } from "../src/node/file-media.ts";
import { cacheControl, fixedMemory } from "../src/node/machine-code.unsafe.ts";
import { scratch } from "./images.ts";
import { race, report } from "./measure.ts";

const SIZE = 1 << 20;
const cache = cacheControl();
if (cache === undefined) throw new Error("no cache-line write-back in this process");

const media = openFileMedia(`${scratch()}/pmem`, { create: SIZE, flush: "cache-line" });
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

const [instruction = 0, layer = 0] = race(
  {
    name: "instruction",
    run(times) {
      for (let i = 0; i < times; i++) {
        const at = (i * 64) & (SIZE - 1);
        rawView.setUint32(at, i);
        cache.flush(raw.address + at, 64);
      }
    },
  },
  {
    name: "dax",
    run(times) {
      for (let i = 0; i < times; i++) {
        const at = (i * 64) & (SIZE - 1);
        memory.setUint32(at, i);
        dax.flush(at >> 12, at & 4095, 64);
      }
    },
  },
);
report({
  what: "flush of one line through the dax layer, over the instruction",
  figure: `+${(layer - instruction).toFixed(0)} ns`,
  target: "at most +50 ns",
  met: layer - instruction <= 50,
  detail: `store + ${cache.name}: ${instruction.toFixed(0)} ns bare, ${layer.toFixed(0)} ns by dax`,
});
