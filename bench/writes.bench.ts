/**
 * Writing through `volume.fs` as users run it (`dist/`): small files made and removed, beside memfs
 * and beside Node's own fs on tmpfs; and a directory of a million names. Ours are calls within this
 * process, on an ext4 image that lies on tmpfs.
 */
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type * as Daxkit from "../src/node/index.ts";
import { makeImage, scratch } from "./images.ts";
import type { Calls } from "./make-and-remove.ts";
import type * as Work from "./make-and-remove.ts";
import { race, report } from "./measure.ts";

const built = new URL("../dist/node/index.js", import.meta.url).href;
const { openVolume } = (await import(built)) as typeof Daxkit;

const root = scratch();

function open(image: string) {
  const volume = openVolume(image, { write: true });
  return { volume, calls: volume.fs as unknown as Calls };
}

/** A copy of the code for each subject: what one of them does is not compiled for another one. */
async function makeAndRemove(who: string, calls: Calls, folder: string) {
  const { makeAndRemove: make } = (await import(
    new URL(`./make-and-remove.ts?${who}`, import.meta.url).href
  )) as typeof Work;
  return make(calls, folder);
}

async function smallFiles(): Promise<void> {
  const memfs = createRequire(import.meta.url)("memfs") as { readonly fs: Calls };
  const { volume, calls } = open(makeImage(join(root, "small"), "512M"));
  const subjects = [
    { name: "daxkit", run: await makeAndRemove("daxkit", calls, "/folder") },
    { name: "memfs", run: await makeAndRemove("memfs", memfs.fs, "/folder") },
    { name: "tmpfs", run: await makeAndRemove("tmpfs", fs, join(root, "folder")) },
  ];
  // All of the code on these long ways is compiled before anything is timed.
  for (const { run } of subjects) run(60_000);
  const [ours = 0, memory = 0, tmpfs = 0] = race(...subjects);
  volume.close();
  const peers = `${micros(memory)} of memfs and ${micros(tmpfs)} of node:fs on tmpfs`;
  report({
    what: "make, write 1 KiB, close and unlink a file, journalled, against memfs",
    figure: `${(memory / ours).toFixed(2)}x`,
    target: "at least 0.5x",
    met: memory / ours >= 0.5,
    detail: `${micros(ours)} against ${peers}; memfs keeps objects, no filesystem`,
  });
  report({
    what: "the same, against node:fs on tmpfs",
    figure: `${(tmpfs / ours).toFixed(2)}x`,
    target: "at least 1x",
    met: tmpfs / ours >= 1,
    detail: "ours are no system calls",
  });
}

const MANY = 1_000_000;
/** Names that a figure is taken over, at the start and at the end. */
const WINDOW = 50_000;

/** Microseconds of processor that each of `count` calls takes. */
function costOf(count: number, call: (i: number) => void): number {
  const before = process.cpuUsage();
  for (let i = 0; i < count; i++) call(i);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

function largeDirectory(): void {
  const { volume, calls } = open(
    makeImage(join(root, "names"), "2G", undefined, ["-N", "1200000"]),
  );
  const make = (name: string): void => calls.closeSync(calls.openSync(name, "w"));
  const lookUp = (folder: string, names: number) => (i: number) => {
    calls.statSync(`${folder}/name-${(i * 7919) % names}`);
  };
  // A first folder, so that nothing is measured while it is compiled.
  calls.mkdirSync("/warm");
  for (let i = 0; i < WINDOW; i++) make(`/warm/name-${i}`);
  costOf(WINDOW, lookUp("/warm", WINDOW));
  calls.mkdirSync("/many");
  const early = costOf(WINDOW, (i) => make(`/many/name-${i}`));
  const earlyLookup = costOf(WINDOW, lookUp("/many", WINDOW));
  const earlyList = costOf(1, () => calls.readdirSync("/many")) / WINDOW;
  for (let i = WINDOW; i < MANY - WINDOW; i++) make(`/many/name-${i}`);
  const late = costOf(WINDOW, (i) => make(`/many/name-${MANY - WINDOW + i}`));
  const lateLookup = costOf(WINDOW, lookUp("/many", MANY));
  const lateList = costOf(1, () => calls.readdirSync("/many")) / MANY;
  volume.close();
  for (const [what, before, after] of [
    ["create", early, late],
    ["look up", earlyLookup, lateLookup],
    ["list", earlyList, lateList],
  ] as const) {
    report({
      what: `a directory of 1,000,000 names: ${what}`,
      figure: `${(after / before).toFixed(2)}x`,
      target: "at most 2x of the first 50,000",
      met: after / before <= 2,
      detail: `${before.toFixed(2)} us a name at first, ${after.toFixed(2)} us at the end`,
    });
  }
}

function micros(nanoseconds: number): string {
  return `${(nanoseconds / 1000).toFixed(2)} us`;
}

await smallFiles();
largeDirectory();
