/** Snapshots: what was promised, and what an origin lost, is there after a power cut. */
import { FaultyDevice } from "../../../src/block/fault-injection.ts";
import { RamDisk } from "../../../src/block/ram-disk.ts";
import type { MappedDevice } from "../../../src/dm/mapped-device.ts";
import { noise, same } from "../bytes.ts";
import { mapperOver } from "../mapped.ts";
import { Cached } from "./cached.ts";
import type { Story } from "./story.ts";

const SECTORS = 64;
const BYTES = SECTORS * 512;
const COW = 256 * 512;
const ORIGIN = noise(1, BYTES);

interface Box {
  readonly p: Cached;
  readonly q: Cached;
}

const box = (cow = COW): Box => ({
  p: new Cached("p", ORIGIN),
  q: new Cached("q", new Uint8Array(cow)),
});

const disk = (name: string, bytes: Uint8Array): RamDisk =>
  new RamDisk({ name, bytes: bytes.slice() });

/** What a device of such a table over such disks holds; a word where there is none. */
function viewOf(table: string, p: Uint8Array, q: Uint8Array): Uint8Array | string {
  try {
    const { mapper } = mapperOver({ p: disk("p", p), q: disk("q", q) });
    return contents(mapper.create("y", table));
  } catch (error) {
    return (error as Error).message;
  }
}

function contents(device: MappedDevice): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  device.read(0, bytes);
  return bytes;
}

const SNAPSHOT = `0 ${SECTORS} snapshot p q P 8`;
const MERGE = `0 ${SECTORS} snapshot-merge p q P 8`;

/** Each way to make something durable, in chunks of its own. */
function useSnapshot({ p, q }: Box, device: MappedDevice, table: string): string | undefined {
  const want = contents(device);
  const steps: readonly (() => void)[] = [
    () => device.write(3, noise(2, 512), { fua: true }),
    () => device.write(8, noise(3, 4096), { fua: true }),
    () => {
      device.write(20, noise(4, 1024));
      device.flush();
    },
    () => {
      device.write(20, noise(5, 512));
      device.flush();
    },
    () => {
      device.writeZeroes(30, 3);
      device.flush();
    },
  ];
  want.set(noise(2, 512), 3 * 512);
  const done = [
    [8, noise(3, 4096)],
    [20, noise(4, 1024)],
    [20, noise(5, 512)],
    [30, new Uint8Array(3 * 512)],
  ] as const;
  for (const [i, step] of steps.entries()) {
    step();
    const [at, bytes] = done[i - 1] ?? [3, noise(2, 512)];
    want.set(bytes, at * 512);
    const found = viewOf(table, p.durable, q.durable);
    if (typeof found === "string") return found;
    if (!same(found, want)) return `step ${i} may be lost`;
  }
  return undefined;
}

/** What an origin's write replaced is in the snapshot, wherever power goes. */
function originKeeps(cow: number): string | undefined {
  const { p, q } = box(cow);
  const { mapper } = mapperOver({ p, q });
  mapper.create("s", SNAPSHOT);
  const origin = mapper.create("o", `0 ${SECTORS} snapshot-origin p`);
  let said: string | undefined;
  const look = (): void => {
    const found = viewOf(SNAPSHOT, p.bytes, q.durable);
    const isLost = typeof found === "string" && found.includes("invalid");
    if (!isLost && !(typeof found !== "string" && same(found, ORIGIN))) {
      said ??= typeof found === "string" ? found : "the snapshot shows what the origin got later";
    }
  };
  p.after = look;
  for (const sector of [0, 13, 16, 40, 41]) origin.write(sector, noise(sector, 1024));
  origin.write(63, noise(7, 512), { fua: true });
  if (!same(p.durable.subarray(63 * 512), noise(7, 512))) said ??= "the origin may lose a write";
  origin.write(50, noise(8, 512));
  origin.flush();
  if (!same(p.durable.subarray(50 * 512, 51 * 512), noise(8, 512))) said ??= "it may lose a flush";
  return said;
}

/** Wherever a merge ends, another one brings the rest home. */
function mergeEnds(): string | undefined {
  const { p, q } = box();
  const first = mapperOver({ p, q }).mapper;
  const device = first.create("s", SNAPSHOT);
  for (const sector of [0, 8, 30, 33, 60]) device.write(sector, noise(sector, 1024));
  device.flush();
  const want = contents(device);
  first.remove("s");
  let said: string | undefined;
  q.after = () => {
    for (const cow of [q.bytes, q.durable]) {
      const found = viewOf(MERGE, p.durable, cow);
      if (typeof found === "string") said ??= found;
      else if (!same(found, want)) said ??= "a merge ends wrong";
    }
  };
  const merged = mapperOver({ p, q }).mapper.create("m", MERGE);
  q.after = () => {};
  return said ?? useSnapshot({ p, q }, merged, MERGE);
}

/** A merge that failed has exceptions left: what is written to them, and to the origin. */
function mergeFails(): string | undefined {
  const { p, q } = box();
  const first = mapperOver({ p, q }).mapper;
  first.create("s", SNAPSHOT).write(0, noise(3, 40 * 512));
  first.remove("s");
  const faulty = new FaultyDevice(p, { rules: [{ operations: ["write"], times: 1 }] });
  const device = mapperOver({ p: faulty, q }).mapper.create("m", MERGE);
  return useSnapshot({ p, q }, device, MERGE);
}

/** Where a header stands, no exceptions of somebody else's do. */
function snapshotBegins(): string | undefined {
  const p = new Cached("p", ORIGIN);
  const old = noise(4, COW).fill(0, 0, 512);
  new DataView(old.buffer).setBigUint64(4096 + 8, 2n, true);
  const q = new Cached("q", old);
  let said: string | undefined;
  q.after = () => {
    const found = viewOf(SNAPSHOT, p.durable, q.durable);
    if (typeof found === "string") said ??= found;
    else if (!same(found, ORIGIN)) said ??= "a new snapshot has exceptions";
  };
  mapperOver({ p, q }).mapper.create("s", SNAPSHOT);
  return said;
}

export const stories: readonly Story[] = [
  {
    name: "dm: a snapshot's promises",
    run: () => {
      const disks = box();
      return useSnapshot(disks, mapperOver({ ...disks }).mapper.create("s", SNAPSHOT), SNAPSHOT);
    },
  },
  { name: "dm: a new snapshot", run: snapshotBegins },
  { name: "dm: an origin and its snapshot", run: () => originKeeps(COW) },
  { name: "dm: an origin whose snapshot overflows", run: () => originKeeps(4 * 4096) },
  { name: "dm: a merge", run: mergeEnds },
  { name: "dm: a merge that failed", run: mergeFails },
];
