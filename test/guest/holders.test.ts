/**
 * Who may have a device beside whom: what a kernel refuses, we refuse, and what it lets pass, too,
 * but for what would be somebody else's data (`apart`).
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { mapRaw } from "../../src/block/raw-device.ts";
import { DeviceMapper } from "../../src/dm/device-mapper.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { tuneExt } from "../../src/fs/ext/tune.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { DeviceDirectory } from "../../src/dm/device-directory.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { gptImage } from "../support/partition-images.ts";
import { guestTools, runGuest } from "./guest.ts";

/** Sectors of every filesystem: 4 MiB. */
const SECTORS = 8192;
const environment = seededEnvironment(1);

/** `do` and `undo` what others are tried beside; A is a disk, D one with partitions P and Q. */
const STEPS = `
do mount A rw
try mount A ro
try mount A rw
try table A
try mkfs A
try tune A
try map A
undo mount A
do mount A ro
try mount A ro
try mount A rw
try table A
try mkfs A
undo mount A
do table A
try mount A ro
try mount A rw
try table A
try map A
try mkfs A
do mount onA rw
try remove onA
try map A
try map onA
try table onA
undo mount onA
do map onA
try remove onA
try table onA
undo map onA
undo table A
do map A
try table A
try map A
try mount A ro
try mkfs A
undo map A
do mount P rw
try mount Q rw
try table D
try table P
try table Q
try rescan D
try map Q
try map D
try mkfs D
undo mount P
do table P
try table P
try table D
try table Q
try mount P ro
try mount Q ro
try rescan D
undo table P
do table D
try table P
try mount P ro
undo table D
do map D
try table P
try rescan D
undo map D
try rescan D
`.trim();

/** Where a kernel lets pass what we refuse: the tries, by the place in which they stand. */
const APART: readonly (readonly [beside: string, tried: string])[] = [
  // It is the same mount there.
  ["mount A rw", "mount A rw"],
  // A mounted filesystem is changed under its driver.
  ["mount A rw", "tune A"],
  ["mount A rw", "map A"],
  ["mount onA rw", "map A"],
  ["mount onA rw", "map onA"],
  ["map A", "mount A ro"],
  ["map A", "mkfs A"],
  ["mount P rw", "map D"],
];

interface World {
  readonly mapper: DeviceMapper;
  device(name: string): BlockDevice;
  rescan(): void;
}

function images(): readonly [Uint8Array, Uint8Array] {
  const single = new Uint8Array(SECTORS * 512);
  const [first, second] = [2048, 2048 + SECTORS];
  const double = gptImage(2 * SECTORS + 4096, [
    { index: 1, first, last: first + SECTORS - 1 },
    { index: 2, first: second, last: second + SECTORS - 1 },
  ]);
  const world = worldOf(single, double);
  for (const name of ["A", "P", "Q"]) {
    makeExt(world.device(name), { type: "ext4", blockSize: 1024 }, environment);
  }
  return [world.bytes("A"), world.bytes("D")];
}

function worldOf(single: Uint8Array, double: Uint8Array) {
  const [one, two] = [single, double].map((image, index) => {
    const media = new RamMedia(image.length);
    const place = { start: 0, length: image.length, physicalStart: (index + 1) * 2 ** 32 };
    const before = createPmem({ name: "before", media, ...place });
    before.disk.writeBytes(0, image);
    before.remove();
    return createPmem({ name: index === 0 ? "A" : "D", media, ...place });
  });
  if (one === undefined || two === undefined) throw new Error("no disks");
  const device = (name: string): BlockDevice => {
    if (name === "A") return one.disk;
    if (name === "D") return two.disk;
    const index = ["P", "Q"].indexOf(name) + 1;
    return two.partitions.devices.get(index) ?? mapper.get(name);
  };
  const directory = new DeviceDirectory();
  for (const [minor, name] of ["A", "D", "P", "Q"].entries()) {
    directory.add(device(name), { name, number: { major: 254, minor } });
  }
  const mapper = new DeviceMapper({ devices: directory });
  const bytes = (name: string): Uint8Array => {
    const disk = device(name);
    const all = new Uint8Array(disk.sectors * 512);
    disk.readBytes(0, all);
    return all;
  };
  return { mapper, device, bytes, rescan: () => two.partitions.rescan() };
}

/** Does it; the answer undoes it. */
function act(world: World, name: string, verb: string, on: string, how: string): () => void {
  const device = world.device(on);
  if (verb === "mount") {
    const filesystem = ext.mount(device, { write: how === "rw" }, environment);
    return () => filesystem.unmount();
  }
  if (verb === "map") {
    const mapping = mapRaw(device);
    return () => mapping.unmap();
  }
  if (verb === "table") {
    const leg = world.mapper.find(on) === undefined ? on : `/dev/mapper/${on}`;
    world.mapper.create(name, `0 ${SECTORS} linear ${leg} 0`);
    return () => world.mapper.remove(name);
  }
  if (verb === "mkfs") makeExt(device, { type: "ext4" }, environment);
  else if (verb === "tune") tuneExt(device, { label: "other" }, environment);
  else if (verb === "rescan") world.rescan();
  else if (verb === "remove") world.mapper.remove(on);
  return () => {};
}

/** What we make of the steps, a line for each try. */
function ours(world: World): string[] {
  const seen: string[] = [];
  const done = new Map<string, () => void>();
  for (const step of STEPS.split("\n")) {
    const [how = "", verb = "", on = "", more = ""] = step.split(" ");
    if (how === "do") done.set(`${verb} ${on}`, act(world, `on${on}`, verb, on, more));
    else if (how === "undo") done.get(`${verb} ${on}`)?.();
    else {
      let ended = "goes";
      try {
        act(world, "try", verb, on, more)();
      } catch (error) {
        if (!isDaxError(error, "EBUSY")) throw error;
        ended = "busy";
      }
      seen.push(`${verb} ${on} ${more}: ${ended}`);
    }
  }
  return seen;
}

/** The same with what a kernel lets pass. */
function expected(seen: readonly string[]): string[] {
  const left = [...seen];
  const beside: string[] = [];
  return STEPS.split("\n").flatMap((step) => {
    const [how, ...words] = step.split(" ");
    const what = words.join(" ");
    if (how === "do") beside.unshift(what);
    if (how === "undo") beside.shift();
    if (how !== "try") return [];
    const line = left.shift() ?? "";
    const apart = APART.some(([one, two]) => one === beside[0] && two === what);
    // One that goes here as well is none of them.
    if (apart) return [line.endsWith("busy") ? line.replace("busy", "goes") : `${line}, apart`];
    return [line];
  });
}

describe.skipIf(guestTools.missing)(`a kernel's holders${guestTools.hint}`, () => {
  test("[1.11] are beside whom they are here", async () => {
    const folder = mkdtempSync(join(tmpdir(), "daxkit-guest-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const [single, double] = images();
    const disks = [join(folder, "a.img"), join(folder, "d.img")];
    writeFileSync(disks[0] ?? "", single);
    writeFileSync(disks[1] ?? "", double);
    const options = { disks, files: { steps: `${STEPS}\n` } };
    const { file } = await runGuest("holders", join(folder, "out"), options);
    expect(file("seen").trimEnd().split("\n")).toEqual(expected(ours(worldOf(single, double))));
  });
});
