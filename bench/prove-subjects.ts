/**
 * Programs on files whose proofs are measured, and how they are explored.
 */
import type * as explorer from "../src/crash/explorer.ts";
import type * as proverModule from "../src/node/prove/volume-prover.ts";
import type { VolumeFs } from "../src/node/facade/facade.ts";
import type { VolumeProof } from "../src/node/prove/volume-proof.ts";

/** What is measured is the built code, without a TypeScript loader that names each function. */
export async function load<T>(path: string): Promise<T> {
  return (await import(new URL(`../dist/${path}`, import.meta.url).href)) as T;
}

const { explore } = await load<typeof explorer>("crash/explorer.js");
const { VolumeProver } = await load<typeof proverModule>("node/prove/volume-prover.js");

const RECORDS = 14;
const RECORD = 64;

function sync(fs: VolumeFs, path: string): void {
  const fd = fs.openSync(path, "r");
  fs.fsyncSync(fd);
  fs.closeSync(fd);
}

/** Records of one file, overwritten in place, each in a cache line of its own. */
export const records: VolumeProof = {
  name: "records in place",
  setup({ fs }) {
    fs.writeFileSync("/data", Buffer.alloc(1024, "a"));
    sync(fs, "/data");
  },
  workload({ fs, ack }) {
    const fd = fs.openSync("/data", "r+");
    for (let i = 0; i < RECORDS; i++) fs.writeSync(fd, Buffer.alloc(8, "b"), 0, 8, i * RECORD);
    fs.fdatasyncSync(fd);
    ack("written");
    fs.closeSync(fd);
  },
  check({ fs, acked }) {
    const data = fs.readFileSync("/data");
    for (let i = 0; i < RECORDS; i++) {
      const byte = data[i * RECORD];
      if (byte !== 98 && (byte !== 97 || acked.length > 0)) return `record ${i} is lost`;
    }
    return true;
  },
};

/** A store of values that are replaced, as most programs replace a file. */
export const replaced: VolumeProof = {
  name: "replaced files",
  workload({ fs, ack }) {
    for (let i = 0; i < 5; i++) {
      const fd = fs.openSync(`/${i}.tmp`, "w");
      fs.writeSync(fd, `value ${i}`);
      fs.fsyncSync(fd);
      fs.closeSync(fd);
      fs.renameSync(`/${i}.tmp`, `/${i}`);
      sync(fs, "/");
      ack(i);
    }
  },
  check({ fs, acked }) {
    for (const i of acked as readonly number[]) {
      if (fs.readFileSync(`/${i}`, "utf8") !== `value ${i}`) return `value ${i} is lost`;
    }
    return true;
  },
};

/** Small files that are saved together: the last one is synced, and with it all before. */
export const together: VolumeProof = {
  name: "saved together",
  workload({ fs, ack }) {
    for (let i = 0; i < 12; i++) fs.writeFileSync(`/${i}`, `value ${i}`);
    sync(fs, "/11");
    ack("saved");
  },
  check({ fs, acked }) {
    if (acked.length === 0) return true;
    for (let i = 0; i < 12; i++) {
      if (fs.readFileSync(`/${i}`, "utf8") !== `value ${i}`) return `value ${i} is lost`;
    }
    return true;
  },
};

/** Milliseconds of CPU that `body` takes of this process. */
export function cpuOf<T>(body: () => T): { readonly value: T; readonly ms: number } {
  const before = process.cpuUsage();
  const value = body();
  const { user, system } = process.cpuUsage(before);
  return { value, ms: (user + system) / 1000 };
}

/** What an exploration came to. */
export interface Explored {
  readonly leaves: number;
  readonly states: bigint;
  /** Of CPU. */
  readonly ms: number;
}

/** Records a program and explores what power leaves of it. */
export async function explored(proof: VolumeProof): Promise<Explored> {
  const prover = new VolumeProver(proof);
  const what = prover.explorationOf(await prover.record());
  const { value, ms } = cpuOf(() => explore(what));
  if (value.failure !== undefined || value.cut) throw new Error(value.failure?.objection.said);
  const leaves = value.tallies.reduce((sum, tally) => sum + tally.leaves, 0);
  const states = value.tallies.reduce((sum, { space }) => sum + space, 0n);
  return { leaves, states, ms };
}

/** What is measured in a process of its own, by name. */
export const SPACES = {
  "records, ext4-dax": { ...records, model: "ext4-dax" },
  "replaced, ext4-dax": { ...replaced, model: "ext4-dax" },
  "replaced, ext4-ordered": { ...replaced, model: "ext4-ordered" },
  "together, ext4-ordered": { ...together, model: "ext4-ordered" },
} as const satisfies Record<string, VolumeProof>;
