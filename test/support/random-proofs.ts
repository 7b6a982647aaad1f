/**
 * Proofs by chance, from a seed: a workload of the random generator put to `node:fs`, on any model,
 * with any journal, with a recovery that looks, writes or does not, and perhaps with a fault. Each
 * is explored with so much of its earlier runs remembered as is asked for.
 */
import { randomWorkload } from "../../src/crash/ace/random.ts";
import type { Operation, Step } from "../../src/crash/ace/workload.ts";
import type { Findings } from "../../src/crash/explorer.ts";
import type { Remembering } from "../../src/crash/remembering.ts";
import { crc32c } from "../../src/lib/crc32c.ts";
import { Prng } from "../../src/lib/prng.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";
import type { VolumeFs } from "../../src/node/facade/facade.ts";
import { withFault } from "../../src/node/prove/fault-prover.ts";
import type { FaultKind } from "../../src/node/prove/faults.ts";
import { PRESETS, type PresetName } from "../../src/node/prove/presets.ts";
import { withSchedule } from "../../src/node/prove/schedule-prover.ts";
import { VolumeProver } from "../../src/node/prove/volume-prover.ts";
import type { VolumeProof, VolumeWork } from "../../src/node/prove/volume-proof.ts";

/** A proof, and what happens beside the power cut. */
export interface RandomProof {
  readonly proof: VolumeProof;
  /** For whoever has to find it again. */
  readonly words: string;
  readonly fault: FaultKind | undefined;
  /** Which of the schedules of the model, and which of the faults there are. */
  readonly pick: number;
}

const MODELS: readonly PresetName[] = [
  "ext4-ordered",
  "disk-volatile-cache",
  "ext4-dax",
  "ext2",
  "eadr",
];
const FAULTS: readonly FaultKind[] = ["write", "flush", "enospc", "short-read", "poison"];
const RECOVERIES = ["none", "looks", "writes", "orphans", "replaces"] as const;
const JOURNALS = ["", "fast_commit", "^metadata_csum", "orphan_file", "^has_journal"] as const;

/**
 * The proof of a seed. What goes with what takes turns, so that 25 in a row have every model with
 * every recovery, and all journals, faults and depths.
 */
export function randomProof(seed: number, leaves = 24): RandomProof {
  const prng = new Prng(seed);
  const row = Math.floor(seed / 5);
  const model = turn(MODELS, seed);
  const isExt2 = model === "ext2";
  const recovery = turn(RECOVERIES, seed + row);
  const features = isExt2 ? "" : turn(JOURNALS, seed + 2 * row);
  const small = !isExt2 && seed % 7 !== 0;
  const depth = 1 + (seed % 2);
  const fault = seed % 3 === 0 ? turn(FAULTS, seed + 3 * row) : undefined;
  const { setup, steps } = randomWorkload(seed, {
    filesystem: isExt2 ? "ext2" : "ext4",
    operations: operationsOf(model),
    least: 1,
    length: 2,
  });
  const machine = isExt2 ? { size: 1 << 19 } : { size: small ? 4 << 20 : 10 << 20 };
  const make = {
    ...(small ? { blockSize: 1024, journalMegabytes: 1 } : {}),
    ...(features === "" ? {} : { features }),
    inodes: 64,
  };
  const recover = recoveryOf(recovery);
  const proof: VolumeProof = {
    model,
    machine,
    make,
    depth,
    budget: { leaves },
    setup({ fs }) {
      fs.writeFileSync("/log", "log");
      for (const step of setup) perform({ fs }, step);
    },
    workload: (work) => {
      for (const [i, step] of steps.entries()) {
        perform(work, step);
        work.ack(i);
      }
    },
    ...(recover === undefined ? {} : { recover }),
    check: ({ fs, acked }) => {
      const seen = everythingIn(fs);
      // A verdict that is wrong shows in what fails: a third of what can be seen does.
      return crc32c(0, encodeUtf8(`${acked.length} ${seen}`)) % 3 !== 0 || seen;
    },
    ...(fault === undefined ? {} : { faults: [fault] }),
  };
  const words = [model, recovery, features, small ? "small" : "", `depth ${depth}`, fault ?? ""];
  return { proof, words: words.join(" "), fault, pick: prng.below(1 << 16) };
}

function turn<T>(all: readonly T[], at: number): T {
  return all[at % all.length] as T;
}

/** What the random generator may draw, of what `node:fs` has. */
function operationsOf(model: PresetName): readonly Operation[] {
  const paths = ["/foo", "/A/foo"];
  const mapped = PRESETS[model].sector === undefined ? paths : [];
  return [
    ...mapped.map((path) => ({ do: "mmapwrite", path, where: "overlap" }) as const),
    ...paths.flatMap((path): readonly Operation[] => [
      { do: "creat", path },
      { do: "write", path, where: "append" },
      { do: "write", path, where: "overlap" },
      { do: "truncate", path, to: "unaligned" },
      { do: "unlink", path },
      { do: "rename", path, to: "/bar" },
      { do: "link", path, to: "/A/bar" },
      { do: "mkdir", path: "/A" },
    ]),
  ];
}

type Work = Pick<VolumeWork, "fs"> & Partial<VolumeWork>;

/** One step, by `node:fs`. */
function perform({ fs, mapping }: Work, step: Step): void {
  switch (step.do) {
    case "creat":
      fs.writeFileSync(step.path, "");
      return;
    case "mkdir":
      fs.mkdirSync(step.path);
      return;
    case "unlink":
      fs.unlinkSync(step.path);
      return;
    case "rmdir":
      fs.rmdirSync(step.path);
      return;
    case "link":
      fs.linkSync(step.path, step.to);
      return;
    case "rename":
      fs.renameSync(step.path, step.to);
      return;
    case "write": {
      const fd = fs.openSync(step.path, "r+");
      const { size } = fs.fstatSync(fd);
      fs.writeSync(fd, "some text", step.where === "append" ? size : Math.max(0, size - 4));
      fs.closeSync(fd);
      return;
    }
    case "mmapwrite": {
      if (mapping === undefined) return;
      fs.truncateSync(step.path, 4096);
      const mapped = mapping(step.path);
      mapped.copyIn(100, Buffer.from("mapped"));
      mapped.flush(100, 6);
      return;
    }
    case "truncate":
      fs.truncateSync(step.path, 5);
      return;
    default:
      sync(fs, "path" in step ? step.path : "/", step.do === "fdatasync");
  }
}

function sync(fs: VolumeFs, path: string, dataOnly: boolean): void {
  const fd = fs.openSync(path, "r");
  if (dataOnly) fs.fdatasyncSync(fd);
  else fs.fsyncSync(fd);
  fs.closeSync(fd);
}

/** What a program may do when power is back; what was stored then is looked at by the check. */
function recoveryOf(kind: (typeof RECOVERIES)[number]): VolumeProof["recover"] {
  if (kind === "none") return undefined;
  return ({ fs }) => {
    const names = fs.readdirSync("/");
    if (kind === "looks") return names.map((name) => sizeOf(fs, `/${name}`)).join();
    if (kind === "writes") fs.appendFileSync("/log", `${names.length}`, { flush: true });
    if (kind === "replaces") {
      fs.writeFileSync("/log.new", names.join(), { flush: true });
      fs.renameSync("/log.new", "/log");
      sync(fs, "/", false);
    }
    if (kind === "orphans") {
      // What is open has no name any more: the superblock, or the orphan file, says so.
      const fd = fs.openSync("/gone", "w");
      fs.writeSync(fd, names.join());
      fs.unlinkSync("/gone");
      fs.fsyncSync(fd);
    }
    return names.length;
  };
}

function sizeOf(fs: VolumeFs, path: string): number {
  return fs.statSync(path).isFile() ? fs.readFileSync(path).length : 0;
}

function everythingIn(fs: VolumeFs): string {
  const names = fs.readdirSync("/", { recursive: true }).map(String);
  return names
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((name) => {
      const stat = fs.lstatSync(`/${name}`);
      const text = stat.isFile() ? fs.readFileSync(`/${name}`, "latin1") : "";
      return `${name} ${stat.nlink} ${text}`;
    })
    .join();
}

/** Everything that an exploration found, as text. */
export async function findingsOf(random: RandomProof, remembers: Remembering): Promise<string[]> {
  const prover = new VolumeProver(random.proof, { remembers });
  const told: string[] = [];
  const explore = async (what: Parameters<VolumeProver["explored"]>[0]): Promise<void> =>
    void told.push(textOf(await prover.explored(what)));
  let base;
  try {
    base = await prover.record();
  } catch (error) {
    return [String(error)];
  }
  await explore(prover.explorationOf(base));
  const { schedules } = prover;
  const schedule = schedules[random.pick % (schedules.length + 1)];
  if (schedule !== undefined) await explore((await withSchedule(prover, base, schedule)).what);
  const fault = await faultOf(prover, random);
  if (fault === undefined) return told;
  const struck = await withFault(prover, base, { fault, schedule: undefined });
  await explore(struck.what);
  return told;
}

/** One of the faults that there are. */
async function faultOf(
  prover: VolumeProver,
  { fault: kind, pick, proof }: RandomProof,
): Promise<Parameters<typeof withFault>[2]["fault"] | undefined> {
  if (kind === undefined) return undefined;
  if (kind === "poison") {
    const sectors = [...(prover.looks?.sectors ?? [])].toSorted((a, b) => a - b);
    const at = sectors[pick % sectors.length];
    return at === undefined ? undefined : { kind, at, during: "recovery" };
  }
  const during = kind === "short-read" && proof.recover !== undefined ? "recovery" : "workload";
  if (during === "recovery") return { kind, at: 1, during };
  let count = 0;
  await prover.record({ onCounts: (counts) => (count = counts[kind]) });
  return count === 0 ? undefined : { kind, at: 1 + (pick % count), during };
}

function textOf({ tallies, failure, loads, unmeasurable, cut }: Findings): string {
  const told = {
    tallies,
    loads,
    unmeasurable,
    cut,
    said: failure?.objection.said,
    lines: failure?.lostLines,
    cuts: failure?.cuts.map(({ point, old }) => [point, ...[...old].map(String)]),
  };
  return JSON.stringify(told, (_, value: unknown) =>
    typeof value === "bigint" ? `${value}` : value,
  );
}
