/**
 * Whether dax should write caches back where nothing needs it.
 *
 * @module
 */
import { explore } from "../../crash/explorer.ts";
import type { DaxDevice } from "../../dax/dax-device.ts";
import { createBrd } from "../../drivers/brd.ts";
import type { PersistenceDomain } from "../../media/media.ts";
import { ModelledMedia } from "../../media/modelled.ts";
import { RamMedia } from "../../media/ram.ts";
import { uniformDomain } from "../../media/domains.ts";
import type { BlockDevice } from "../../block/block-device.ts";
import { linesFlushed, newTree, pmemOver } from "./parts.ts";
import type { Exhibit, Figure } from "./exhibit.ts";

const SIZE = 8 << 20;
const PAGES = 16;
const LINES = (PAGES * 4096) / 64;

export const gatedFlushes: Exhibit = {
  name: "gated-flushes",
  question: "Should DAX write CPU caches back when the memory behind it does not need it?",
  argued: [
    "fs/dax called the pmem functions for every dax device, as if all of them were pmem (2017).",
    "A RAM disk, memory with a battery and a volatile range pay for each line, and gain nothing.",
  ],
  settled:
    "A flag of each device, the write cache, decides. It can be switched while the device is in " +
    "use, and whether it may be off is a property of the memory, which a power cut shows.",
  run: () => ({ figures: [...counted(), ...cut()] }),
};

/** The same 16 pages stored to a mapped file and synced, on each device. */
function counted(): Figure[] {
  const domains = uniformDomain(SIZE, "adr");
  const pmem = pmemOver(new RamMedia(SIZE, { domains }));
  const battery = pmemOver(new RamMedia(SIZE, { domains: uniformDomain(SIZE, "eadr") }));
  const brd = createBrd({ name: "ram0", size: SIZE });
  const on = synced(pmem);
  pmem.dax.writeCache = false;
  const off = synced(pmem);
  return [
    { what: flushedBy("pmem"), counted: on, expected: LINES },
    { what: flushedBy("pmem, write cache switched off"), counted: off, expected: 0 },
    { what: flushedBy("pmem with a battery"), counted: synced(battery), expected: 0 },
    { what: flushedBy("brd"), counted: synced(brd), expected: 0 },
  ];
}

function flushedBy(name: string): string {
  return `${name}: cache lines of data flushed by msync`;
}

/** Lines that were flushed for what was stored to a mapping; the journal's come on top. */
function synced({ disk, dax }: { readonly disk: BlockDevice; readonly dax: DaxDevice }): number {
  const tree = newTree(disk);
  const file = tree.open("/data", { create: true, access: "readwrite" });
  file.pwrite(new Uint8Array(PAGES * 4096), 0);
  const mapping = file.map({ access: "write", sync: true });
  for (let page = 0; page < PAGES; page++) mapping.setUint32(page * 4096, page);
  const lines = linesFlushed(dax, () => mapping.flush());
  mapping.unmap();
  file.close();
  tree.close();
  return lines;
}

/** What a power cut shows of the flag being off. */
function cut(): Figure[] {
  return [
    {
      what: "a copy with the flag off, power cut, battery",
      counted: leftOfCopy("eadr"),
      expected: "survives",
    },
    {
      what: "a copy with the flag off, power cut, no battery",
      counted: leftOfCopy("adr"),
      expected: "lost",
    },
  ];
}

/** One copy through a device with the flag off: what does a power cut leave of it? */
function leftOfCopy(domain: PersistenceDomain): string {
  const media = new ModelledMedia(4096, { domain });
  const { dax } = pmemOver(media, { writeCache: false });
  dax.copyFromIter(0, 0, [Uint8Array.of(0, 0, 0, 1)]);
  media.ack("stored");
  const { failure } = explore({
    initial: new Uint8Array(4096),
    modelled: { domain },
    trace: media.trace,
    torn: "line",
    depth: 1,
    budget: { leaves: 100, steps: 10_000 },
    program: {
      check: (found, acked) => acked.length === 0 || found.window(0).memory.getUint32(0) === 1,
    },
  });
  return failure === undefined ? "survives" : "lost";
}
