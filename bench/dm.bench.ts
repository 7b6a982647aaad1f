/**
 * What levels of device-mapper cost: translations and flushes of one line through three of them
 * against none, and reads from stripes against reads from one leg.
 */
import { DeviceDirectory } from "../src/dm/device-directory.ts";
import { DeviceMapper } from "../src/dm/device-mapper.ts";
import type { DaxDevice } from "../src/dax/dax-device.ts";
import { createPmem } from "../src/drivers/pmem.ts";
import { fill } from "../src/lib/memory.ts";
import { RamMedia } from "../src/media/ram.ts";
import type { Subject } from "./measure.ts";
import { race, report } from "./measure.ts";

const SIZE = 64 << 20;
const SECTORS = SIZE / 512;

/** Memory that was never stored to is one page of zeros, which is always in the cache. */
function touched(): RamMedia {
  const media = new RamMedia(SIZE, { domains: [{ start: 0, length: SIZE, domain: "adr" }] });
  fill(media.window(0).memory, 0, SIZE, 7);
  return media;
}

const pmem = (name: string) =>
  createPmem({
    name,
    media: touched(),
    start: 0,
    length: SIZE,
    physicalStart: 0,
    writeCache: true,
  });

const bottom = pmem("pmem0");
const devices = new DeviceDirectory();
for (const each of [bottom, pmem("pmem1"), pmem("pmem2")]) devices.add(each.disk);
const mapper = new DeviceMapper({ devices });
const linear = (name: string, on: string) => mapper.create(name, `0 ${SECTORS} linear ${on} 0`);
linear("one", "pmem0");
linear("two", "/dev/mapper/one");
const three = linear("three", "/dev/mapper/two");
mapper.create("stripes", `0 ${SECTORS} striped 2 8 pmem1 0 pmem2 0`);
linear("over", "/dev/mapper/stripes");
const parted = linear("top", "/dev/mapper/over");
const [upper, upperParted] = [three, parted].map(({ dax, daxReason }) => {
  if (dax === undefined) throw new Error(`no dax: ${daxReason}`);
  return dax.device;
}) as [DaxDevice, DaxDevice];

/** Pages in an order that no cache of the last look knows. */
const PAGES = SIZE / 4096;
const translate = (dax: DaxDevice): Subject => ({
  name: dax.name,
  run(times) {
    let sum = 0;
    for (let i = 0; i < times; i++) sum += dax.directAccess((i * 2531) & (PAGES - 1), 1).start;
    return sum;
  },
});
const flush = (dax: DaxDevice): Subject => ({
  name: dax.name,
  run(times) {
    for (let i = 0; i < times; i++) dax.flush((i * 2531) & (PAGES - 1), (i * 64) & 4032, 64);
    dax.fence();
  },
});

for (const [what, subject] of [
  ["directAccess", translate],
  ["flush of one line", flush],
] as const) {
  const [direct = 0, ...times] = race(subject(bottom.dax), subject(upper), subject(upperParted));
  for (const [i, below] of ["", ", the lowest in stripes of a page"].entries()) {
    const through = times[i] ?? Number.NaN;
    report({
      what: `${what} through three levels of device-mapper${below}`,
      figure: `${(through - direct).toFixed(0)} ns more`,
      target: "at most 50 ns",
      met: through - direct <= 50,
      detail: `${direct.toFixed(0)} ns direct, ${through.toFixed(0)} ns through them`,
    });
  }
}

const PIECE = 1 << 20;
const target = new Uint8Array(PIECE);
const reads = (name: string, table: string): Subject => {
  const device = mapper.create(name, table);
  return {
    name,
    run(times) {
      for (let i = 0; i < times; i++) {
        device.read(((i * 2048) % (SECTORS - 2048)) & ~7, target);
      }
    },
  };
};
// Chunks of 8 KiB have no target: each piece costs a view, and that is most of such a copy.
const CHUNKS = [
  { chunk: 16, words: "8 KiB", most: Number.POSITIVE_INFINITY },
  { chunk: 128, words: "64 KiB", most: 1.1 },
  { chunk: 1024, words: "512 KiB", most: 1.1 },
];
const [plain = 0, ...striped] = race(
  reads("plain", `0 ${SECTORS} linear pmem1 0`),
  ...CHUNKS.map(({ chunk }) =>
    reads(`striped${chunk}`, `0 ${SECTORS} striped 2 ${chunk} pmem1 0 pmem2 0`),
  ),
);
for (const [i, { words, most }] of CHUNKS.entries()) {
  const time = striped[i] ?? Number.NaN;
  report({
    what: `1 MiB reads from two stripes in chunks of ${words}, against linear`,
    figure: `${((time / plain - 1) * 100).toFixed(0)} % slower`,
    target: Number.isFinite(most) ? "at most 10 %" : "none",
    met: time / plain <= most,
    detail: `${(PIECE / plain).toFixed(1)} GB/s linear, ${(PIECE / time).toFixed(1)} GB/s striped`,
  });
}
