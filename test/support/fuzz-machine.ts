/**
 * Hostile descriptions of machines: files, flags and objects, up to machines that boot, list
 * themselves and end.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DaxError, isDaxError } from "../../src/lib/errno.ts";
import type { Prng } from "../../src/lib/prng.ts";
import type { MachineHost } from "../../src/machine/backing.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import { daxctlList } from "../../src/machine/daxctl-list.ts";
import { describeMachine } from "../../src/machine/describe.ts";
import { type MachineFlags, machineFromFlags } from "../../src/machine/flags.ts";
import type { MachineInput } from "../../src/machine/input.ts";
import { listText, ndctlList } from "../../src/machine/list.ts";
import type { Machine } from "../../src/machine/machine.ts";
import { NIL_UUID } from "../../src/lib/uuid.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { parseMachineText } from "../../src/node/machine-file.ts";
import { encodeNfit } from "../../src/platform/nfit.ts";
import { planPageMap } from "../../src/platform/pfn-layout.ts";
import { encodePfnSuperblock } from "../../src/platform/pfn-superblock.ts";
import type { CaseNotes, FuzzSubject, FuzzTarget } from "./fuzz.ts";
import { NUMBERS, damageText } from "./fuzz-text.ts";
import { NFIT_OF_ALL_KINDS } from "./nfit-tables.ts";

/** Characters in the longest message: a hostile value is shown in part. */
const MAX_MESSAGE = 500;

const example = readFileSync(join(import.meta.dirname, "../../examples/machine.yaml"), "utf8")
  .split("\n")
  .filter((line) => !/^\s*#/u.test(line))
  .join("\n");

const full = `name: full
profile: modern
seed: 3
ram: 2G
mem: 1900M
memmap: ["16M!512M,16M$600M", { range: "4M!700M", domains: { domain: adr }, poison: { length: 1 } }]
e820:
  - { start: 0, length: 0x9fc00, type: usable }
  - { start: 1M, length: 2G, type: 1 }
pmem:
  - { size: 4M, domains: [{ domain: eadr, length: 2M }, { domain: adr }], mode: raw }
  - { size: 2M, start: 0x200000000, as: e820, modelled: true }
  - { size: 16M, start: 0x500000000, map: dev }
  - { size: 16M, map: mem, caching: uncached }
  - { file: some.img, size: 16M, readOnly: true, poison: [{ start: 4K, length: 64 }] }
brd: [4K, { count: 2, size: 1M }]
dax:
  - size: 512M
    targetNode: 0
    devices: [{ size: 4M, align: 4K, mode: fsdev }, { size: 256M, mode: system-ram }, { size: 4M }]
  - { size: 2M, start: 0x300000000, caching: write-combining, modelled: true }
axonram: [16K, { size: 1M, start: 0x400000000 }]
dcssblk: { segments: [{ type: SR, size: 4K }, { type: EW, size: 8K }] }
nfit: some.img
fsdev: true
legacyPmem: true
treat6AsPram: false
probe: boot
`;

const json = JSON.stringify({
  profile: "v4.1",
  ram: "8G",
  memmap: ["64M!4G", { range: "16M!8G", domain: "eadr" }],
  pmem: [{ size: "64M", poison: { start: 4096, length: 512 } }],
  brd: { count: 2, size: 8192 },
  probe: "late",
});

const WORDS = [
  "name profile seed ram mem memmap e820 pmem brd legacyPmem treat6AsPram probe file readOnly",
  "modelled domain domains poison start length size type as mode range count adr eadr volatile",
  "dax axonram dcssblk segments devices align targetNode caching uncached write-through SW SR EN",
  "write-combining write-back devdax fsdev system-ram 2M 1G 4K -1",
  "nfit fsdax raw usable reserved persistent-legacy late v4.1 [ ] { } # > << null true ~ .inf .nan",
  "map none mem dev fsdev 1e400 \" ' --- ... __proto__ constructor ? 64M!4G 0o777",
]
  .flatMap((line) => line.split(" "))
  .concat([": ", "- ", "\n", "\n  ", "\t", "&a ", "*a", "!!binary ", "%YAML 1.1\n", "---\n", "? "])
  .concat(["size: 4096T", "seed: -0"]);

const SIZES = ["0", "1", "4096", "4K", "64K", "1M", "2M", "3M", "16M", "64M", "1G", "4G", "5G"];

/** Other numbers in the same text: what is likely to boot. */
function renumbered(text: string, prng: Prng): string {
  let changed = text;
  for (let left = 1 + prng.below(3); left > 0; left--) {
    const numbers = [...changed.matchAll(/\b(?!v4)\d[\dA-Za-z]*/gu)];
    if (numbers.length === 0) break;
    const { index, 0: found } = prng.pick(numbers);
    changed = changed.slice(0, index) + prng.pick(SIZES) + changed.slice(index + found.length);
  }
  return changed;
}

const KEYS = [
  "ram",
  "pmem",
  "memmap",
  "brd",
  "e820",
  "size",
  "domain",
  "file",
  "x",
  "__proto__",
].concat(["dax", "devices", "axonram", "dcssblk", "segments", "mode", "align", "caching"]);
const LEAVES = [0, 1, -1, 1.5, 2 ** 53, Number.NaN, "", "64M", "64M!4G", "adr", true, null, 1n];

/** Anything, a few levels deep. */
function anything(prng: Prng, depth: number): unknown {
  const kind = prng.below(depth > 0 ? 4 : 2);
  if (kind < 2) return prng.pick<unknown>(LEAVES);
  const items = Array.from({ length: prng.below(4) }, () => anything(prng, depth - 1));
  if (kind === 2) return items;
  return Object.fromEntries(items.map((item) => [prng.pick(KEYS), item]));
}

/** A host on which every file is there, of some size, or not at all. */
function hostOf(prng: Prng): MachineHost {
  return {
    openMedia(path, { create }) {
      if (create !== undefined) return new RamMedia(create);
      const size = prng.pick([0, 512, 4096, 65_536, 2 ** 24, 2 ** 24 + 5, 2 ** 40]);
      if (size === 0) throw new DaxError(prng.pick(["ENOENT", "EBUSY", "EACCES"]), { path });
      const media = new RamMedia(size);
      if (size === 2 ** 24 && prng.below(2) === 0) putInfoBlock(media, prng);
      return media;
    },
    readFile(path) {
      if (prng.below(8) === 0) throw new DaxError("ENOENT", { path });
      return damagedTable(prng);
    },
  };
}

/** What lies in front of the data of a module with page descriptors, or nearly so. */
function putInfoBlock(media: RamMedia, prng: Prng): void {
  const plan = planPageMap({ size: media.size, map: prng.pick(["mem", "dev"]) });
  const block = encodePfnSuperblock(plan, { uuid: NIL_UUID });
  if (prng.below(2) === 0) block[prng.below(120)] = prng.below(256);
  for (const [i, byte] of block.entries()) media.window(0).memory.setUint8(4096 + i, byte);
}

/** Firmware's table with some bytes changed, its sum right again but now and then. */
function damagedTable(prng: Prng): Uint8Array {
  const bytes = encodeNfit(NFIT_OF_ALL_KINDS);
  for (let i = prng.below(10); i > 0; i--) bytes[prng.below(bytes.length)] = prng.below(256);
  const sum = bytes.reduce((all, byte) => (all + byte) & 0xff, 0);
  if (prng.below(8) > 0) bytes[9] = ((bytes[9] as number) - sum) & 0xff;
  return prng.below(8) === 0 ? bytes.subarray(0, prng.below(bytes.length)) : bytes;
}

class MachineSubject implements FuzzSubject {
  run(prng: Prng, notes: CaseNotes): string {
    try {
      const [kind, input] = this.#input(prng, notes);
      describeMachine(input);
      // Booting takes a hundred times as long as reading.
      if (kind === "description" || prng.below(4) !== 0) return `a ${kind}`;
      look(bootMachine(input, hostOf(prng)), prng);
      return `a machine from a ${kind}`;
    } catch (error) {
      if (isDaxError(error) && error.message.length > MAX_MESSAGE) {
        throw new Error(`a message of ${error.message.length} characters`, { cause: error });
      }
      throw error;
    }
  }

  #input(prng: Prng, notes: CaseNotes): ["file" | "command line" | "description", MachineInput] {
    const kind = prng.below(8);
    if (kind === 0) {
      const value = anything(prng, 3);
      notes.say("a description of any shape");
      return ["description", value as MachineInput];
    }
    if (kind <= 2) {
      const flags = flagsOf(prng);
      notes.say(`flags ${JSON.stringify(flags)}`);
      return ["command line", machineFromFlags(flags)];
    }
    const base = prng.pick([example, full, json]);
    const text = kind <= 5 ? damageText(base, prng, WORDS, 70_000) : renumbered(base, prng);
    notes.say(text.length > 5000 ? `${text.slice(0, 5000)}…` : text);
    return ["file", parseMachineText(text, "machine.yaml")];
  }
}

const FLAGS = {
  memmap: ["64M!4G", "1M$2M,16M!1G", "exactmap,1G@1M"],
  pmem: [
    "nv0.img",
    "nv0.img,size=64M,domain=eadr",
    "size=64M,modelled=true",
    "size=1M,mode=raw",
  ].concat(["size=16M,map=dev", "nv0.img,size=16M,map=mem"]),
  brd: ["16M", "4x16M", "256x4K"],
} as const;

function flagsOf(prng: Prng): MachineFlags {
  const text = (words: readonly string[]): string => {
    const word = prng.pick(words);
    return prng.below(2) === 0 ? word : damageText(word, prng, [...WORDS, ",", "=", "x"], 3000);
  };
  const list = (words: readonly string[]): string[] =>
    Array.from({ length: prng.below(3) }, () => text(words));
  return {
    memmap: list(FLAGS.memmap),
    pmem: list(FLAGS.pmem),
    brd: list(FLAGS.brd),
    ...(prng.below(3) === 0 ? { ram: text(["4G", "16M", ...NUMBERS]) } : {}),
    ...(prng.below(4) === 0 ? { mem: text(["1G", "900M"]) } : {}),
    ...(prng.below(4) === 0 ? { profile: text(["modern", "v4.1"]) } : {}),
    ...(prng.below(4) === 0 ? { seed: text(["7", ...NUMBERS]) } : {}),
  };
}

/** Everything that a booted machine says of itself. */
function look(machine: Machine, prng: Prng): void {
  machine.iomem();
  machine.devices();
  listText(daxctlList(machine, { regions: true, idle: true, human: true, mappings: true }));
  useVerbs(machine, prng);
  listText(ndctlList(machine, { buses: true, dimms: true, regions: true, idle: true }));
  machine.shutdown();
}

const PLACES = ["", "-", "0-1fffff", "180000000-1803fffff", "0x180400000-0x1805fffff\n", "ffff"];

/** The verbs of device-dax, with numbers and texts that nobody should give. */
function useVerbs(machine: Machine, prng: Prng): void {
  for (const region of machine.daxRegions) {
    const device = prng.pick(region.devices);
    const place = damageText(prng.pick(PLACES), prng, ["-", "0x", "f", "180000000", "\n"], 100);
    for (const verb of [
      () => region.create(),
      () => device.unbind(),
      () => device.resize(prng.pick([0, 1, -1, 2 ** 21, 2 ** 30, 2 ** 53, Number.NaN])),
      () => device.setAlign(prng.pick([0, 1, 4096, 2 ** 21, 2 ** 30, Number.NaN])),
      () => device.addMapping(place),
      () => device.bind(prng.pick(["device_dax", "fsdev_dax", "kmem"])),
      () => region.delete(prng.pick(["", "dax0.1", place])),
    ]) {
      try {
        if (prng.below(2) === 0) verb();
      } catch (error) {
        if (!isDaxError(error)) throw error;
      }
    }
  }
}

/** Machine files, flags and descriptions. */
export const machineTarget: FuzzTarget = {
  name: "machine",
  weight: 10,
  reaches: ["a file", "a command line", "a machine from a file", "refused", "EINVAL"],
  memory: "resident",
  open: () => new MachineSubject(),
};
