/**
 * Proves programs that nobody changed: one run, recorded where `node:fs` meets the volume, and from
 * then on the program is the list of its calls.
 *
 * @module
 */
import nodeFs from "node:fs";
import { resolve } from "node:path";
import { broken } from "../../crash/prover.ts";
import { DaxError } from "../../lib/errno.ts";
import type { ModelledMedia } from "../../media/modelled.ts";
import type { FileTree } from "../../vfs/file-tree.ts";
import { type VolumeFs, makeFacade } from "../facade/facade.ts";
import type { Fault } from "../prove/faults.ts";
import { expectPrefix } from "../prove/oracles.ts";
import { brokenBy } from "../prove/broken-by.ts";
import { emptyVolume, mountProof } from "../prove/recording.ts";
import type { Schedule } from "../prove/schedules.ts";
import { RecoveryRun, type VolumeProgram, orHonest } from "../prove/volume-program.ts";
import { type VolumeProof, whatIsWrongWith } from "../prove/volume-proof.ts";
import { proveVolume, volumeState } from "../prove/volume-prover.ts";
import type { VolumeSettings } from "../prove/volume-settings.ts";
import type { VolumeVerdict } from "../prove/volume-verdict.ts";
import { type Poison, underlayOf } from "../prove/underlay.ts";
import { isPromise } from "../prove/waiting.ts";
import { NoticedAddons } from "../addons.ts";
import { awaitWatched } from "../watched-load.ts";
import { CallTimeout } from "../watched-run.ts";
import { ACK_PREFIX } from "./acks.ts";
import { AttachedVolume } from "./attached-volume.ts";
import { bypassNotes, mayGoAround, otherCommands } from "./bypass-words.ts";
import { type CheckModule, abandonChecks, loadCheck } from "./check-module.ts";
import { FaultyRuns, planForPrograms } from "./faulty-runs.ts";
import { shadowDifference, shadowOf } from "./mount-shadow.ts";
import { treeAt } from "./mount-point.ts";
import { keepRecord, keptRecord, splitState } from "./record-store.ts";
import type { StoredRecord } from "./record-store.ts";
import { actOf, replayOn } from "./replay-record.ts";
import { type Program, type RunOptions, runProgram } from "./run-program.ts";
import { UMASK, emptyDirectory } from "./stage.ts";

/** What is said of the volume and of the proof, as in a `VolumeProof`. */
export type ProgramTerms = {
  readonly [
    K in
      | "budget"
      | "commits"
      | "depth"
      | "faults"
      | "machine"
      | "make"
      | "model"
      | "mount"
      | "patience"
      | "seed"
      | "torn"
  ]?: VolumeProof[K] | undefined;
};

/** A program that nobody changed, and how it is proved. */
export interface ProgramProof extends ProgramTerms {
  /** The program: a file of JavaScript or TypeScript. */
  readonly script: string;
  readonly args?: readonly string[] | undefined;
  /** The directory that is the volume, for the program, and for the check. */
  readonly directory: string;
  /** Makes what is there before the program runs; all of it is durable. */
  readonly setup?: string | undefined;
  /** Runs when power is back, before the check; what it stores may be cut in its turn. */
  readonly recover?: string | undefined;
  /**
   * Looks at each state. Without one, the volume has to be as it was after some call of the
   * program, no earlier than the last promise.
   */
  readonly check?: string | undefined;
  /** Makes the modules of checks anew for each state. */
  readonly fresh?: boolean | undefined;
  /** What a line of standard output begins with that promises something; `ack ` unless given. */
  readonly ackPrefix?: string | undefined;
  /** Makes only the state with this name. */
  readonly state?: string | undefined;
  /** Is given the volume as the power cut left it: of the state, or of the counter-example. */
  readonly save?: ((image: Uint8Array) => void) | undefined;
  /** Told now and then how many crash points are done, of what is explored now. */
  readonly progress?: VolumeSettings["progress"];
  /** Hears what the programs print. */
  readonly printed?: ((text: string) => void) | undefined;
}

const PATIENCE = 30;

/**
 * Runs a program once, and proves what it did. Whatever is wrong with it is a verdict.
 * @throws EINVAL for a mount that cannot be one, for a state that is none of this program, and for
 * faults that it cannot meet; EBUSY while another one is proved
 */
export async function proveProgram(given: ProgramProof): Promise<VolumeVerdict> {
  if (isProving) {
    const detail = "this process proves a program already, and sees its volume; wait for that";
    throw new DaxError("EBUSY", { path: given.directory, detail });
  }
  isProving = true;
  try {
    return await proved(given);
  } finally {
    isProving = false;
  }
}

/** Whether `node:fs` of this process is changed, or will be. */
let isProving = false;

async function proved(given: ProgramProof): Promise<VolumeVerdict> {
  const own = { directory: mountOf(given), faults: planForPrograms(given.faults) };
  const what = { ...given, model: given.model ?? "ext4-ordered", ...own };
  for (const file of [what.script, what.setup, what.recover, what.check]) mustExist(file);
  const name = [given.script, ...(given.args ?? [])].join(" ");
  const wrong = whatIsWrong(what, name);
  if (wrong !== undefined) return wrong;
  const found = await recordOf(what, name);
  if ("kind" in found) return found;
  const attached = new AttachedVolume(what.directory);
  using addons = new NoticedAddons();
  try {
    const modules = await loadModules(what);
    if ("kind" in modules) return { ...modules, name };
    const verdict = await provedWith(what, found, { ...modules, attached, name });
    return withNote(withNotes(verdict, found, what), addons.checkNote);
  } finally {
    abandonChecks();
    attached.end();
  }
}

/** What no volume can be, before a program is shown it. */
function whatIsWrong(what: ProgramProof, name: string): VolumeVerdict | undefined {
  const proof = proofOf(what, { setup: [], entries: [] }, { name });
  const wrong = whatIsWrongWith(proof);
  if (wrong !== undefined) return broken(name, "proof", wrong);
  try {
    emptyVolume(proof);
    return undefined;
  } catch (error) {
    return brokenBy(proof, error);
  }
}

/** @throws ENOENT, before anything is run */
function mustExist(file: string | undefined): void {
  if (file === undefined || nodeFs.existsSync(file)) return;
  throw new DaxError("ENOENT", { path: file, detail: "no such file; give that of a program" });
}

/** @throws EINVAL */
function mountOf({ directory, script }: ProgramProof): string {
  const mount = resolve(directory);
  const refuse = (detail: string): DaxError => new DaxError("EINVAL", { path: directory, detail });
  if (mount === "/") throw refuse("the volume cannot be all there is; take a directory");
  if (`${resolve(script)}/`.startsWith(`${mount}/`)) {
    throw refuse(`${script} lies below the mount, where it would not be seen; take another`);
  }
  return mount;
}

/** What was recorded, and what has to be known of the run beside it. */
interface Found extends StoredRecord {
  /** A file of the machine's below the mount that the run changed. */
  readonly shadow?: string | undefined;
}

async function recordOf(what: ProgramProof, name: string): Promise<Found | VolumeVerdict> {
  const [wanted] = what.state === undefined ? [""] : splitState(what.state);
  const kept = wanted === "" ? undefined : keptRecord(wanted);
  if (kept !== undefined) return kept;
  const before = shadowOf(what.directory);
  const setup = await runPart(what, what.setup === undefined ? undefined : [what.setup]);
  if (setup.failure !== undefined) return broken(name, "setup", setup.failure);
  const program = await runPart(what, [what.script, ...(what.args ?? [])], setup.entries);
  const shadow = shadowDifference(before, shadowOf(what.directory));
  const found = { setup: setup.entries, entries: program.entries, shadow };
  if (program.failure !== undefined) {
    return withNotes(broken(name, "workload", program.failure), found, what);
  }
  if (wanted !== "" && keepRecord(found) !== wanted) {
    const detail =
      `state ${what.state} is of a run whose calls are not kept any more, and the program makes ` +
      "other calls now; prove it again, and take a state of that";
    throw new DaxError("EINVAL", { detail });
  }
  return found;
}

function runPart(
  what: ProgramProof,
  words: readonly string[] | undefined,
  setup: StoredRecord["entries"] = [],
  fault?: Fault,
  schedule?: Schedule,
): ReturnType<typeof runProgram> {
  const [script, ...args] = words ?? [];
  if (script === undefined) {
    return Promise.resolve({ entries: [], failure: undefined, late: false });
  }
  const { model, machine, make, ackPrefix = ACK_PREFIX, patience = PATIENCE, printed } = what;
  const { seed } = what;
  const terms = {
    ...(machine && { machine }),
    mount: { ...what.mount, ...schedule?.mount },
    ...(seed === undefined ? {} : { seed }),
  };
  const options: RunOptions = {
    mount: what.directory,
    setup,
    ackPrefix,
    patience,
    // What it says in runs with a fault is no news.
    ...(printed && fault === undefined && { printed }),
    ...(model && { model }),
    ...(machine?.size === undefined ? {} : { size: machine.size }),
    ...(make && { make }),
    ...(fault && { fault, terms }),
  };
  return runProgram({ script: resolve(script), args }, options);
}

interface Modules {
  readonly check?: CheckModule | undefined;
  readonly recover?: CheckModule | undefined;
}

async function loadModules(what: ProgramProof): Promise<Modules | ReturnType<typeof broken>> {
  const loaded: CheckModule[] = [];
  for (const part of ["check", "recover"] as const) {
    const path = what[part];
    try {
      // oxlint-disable-next-line no-await-in-loop -- in order
      if (path !== undefined) loaded.push(await loadInTime(path, what));
    } catch (error) {
      return broken(path ?? "", part, `it cannot be loaded: ${String(error)}`, error);
    }
  }
  const recover = what.recover === undefined ? undefined : loaded.pop();
  return { check: loaded[0], recover };
}

/** Its top level may loop, or wait for ever. */
async function loadInTime(
  path: string,
  { fresh, patience = PATIENCE }: ProgramProof,
): Promise<CheckModule> {
  try {
    return await awaitWatched("loading", patience, () => loadCheck(path, fresh));
  } catch (error) {
    if (!(error instanceof CallTimeout)) throw error;
    throw new Error(`its top level did not end within ${patience} s`, { cause: error });
  }
}

interface Running extends Modules {
  readonly attached: AttachedVolume;
  readonly name: string;
}

async function provedWith(
  what: ProgramProof,
  record: StoredRecord,
  running: Running,
): Promise<VolumeVerdict> {
  const proof = proofOf(what, record, running);
  const words = [what.script, ...(what.args ?? [])];
  const faulty = new FaultyRuns((fault, schedule) =>
    runPart(what, words, record.setup, fault, schedule),
  );
  if (record.faulty !== undefined) faulty.keep(record.faulty.name, record.faulty.entries);
  const settings = {
    ...settingsOf(proof, what.directory, record, running, faulty),
    ...(what.progress === undefined ? {} : { progress: what.progress }),
  };
  if (what.state !== undefined) {
    const [, id] = splitState(what.state);
    const { image, lost } = await volumeState(proof, id, settings);
    what.save?.(image);
    if (lost !== undefined) return { ...lost, state: what.state };
    const why = `only state ${what.state} was made: recovery and check are content with it`;
    return { kind: "NotMeasured", name: running.name, why };
  }
  const verdict = await proveVolume(proof, settings);
  if (verdict.kind !== "Lost") return verdict;
  if (what.save !== undefined) {
    what.save((await volumeState(proof, verdict.state, settings)).image);
  }
  const entries = faulty.entriesOf(verdict.state);
  const [name = ""] = verdict.state.split("~");
  const kept =
    entries === undefined ? record : { ...record, faulty: { name: `${name}~`, entries } };
  return { ...verdict, state: `${keepRecord(kept)}-${verdict.state}` };
}

function proofOf(
  what: ProgramProof,
  { setup }: StoredRecord,
  running: Omit<Running, "attached">,
): VolumeProof {
  const { budget, commits, depth, faults, machine, make, model, mount, patience, seed } = what;
  const { torn, directory: at } = what;
  const volume = { machine, make, model, mount, seed, torn };
  const terms = { budget, commits, depth, faults, patience, ...volume };
  const said = Object.entries(terms).filter(([, value]) => value !== undefined);
  const { check, recover, name } = running;
  const given = { fs: nodeFs, mount: at };
  const own: VolumeProof["check"] = ({ acked, faults: failed }) =>
    check?.({ ...given, acked, faults: failed }) as ReturnType<VolumeProof["check"]>;
  return {
    ...(Object.fromEntries(said) as Partial<VolumeProof>),
    name,
    setup: ({ fs }) => {
      // As in `emptyDirectory`, but in the journal's course, which begins in blocks of zeros.
      fs.rmdirSync(`${at}/lost+found`);
      replayOn(fs, setup);
    },
    // What is done stands in the record.
    workload: () => undefined,
    ...(recover === undefined
      ? {}
      : { recover: () => recover({ ...given, acked: [], faults: [] }) }),
    check: check === undefined ? expectPrefix() : own,
  };
}

function settingsOf(
  proof: VolumeProof,
  mount: string,
  { entries }: StoredRecord,
  { attached, check }: Running,
  faulty: FaultyRuns,
): VolumeSettings {
  const underlay = underlayOf(proof);
  return {
    act: actOf(entries),
    actWith: faulty.actWith,
    underlay: {
      ...underlay,
      treeOf: (volume) => treeAt(volume, mount),
      bare: () => underlay.linesOf(emptyDirectory(proof)),
    },
    programOf: (_proof, below, history, given): VolumeProgram => {
      const misfortune = given ?? { faults: [] };
      const { faults, fault, looks } = misfortune;
      const mounted = (media: ModelledMedia, poison?: Poison): FileTree => {
        looks?.watch(media);
        return mountProof(media, below, proof, undefined, (bare) => below.deviceOn(bare, poison))
          .tree;
      };
      const alone = proof.recover === undefined && fault === undefined;
      const program: VolumeProgram = {
        // A check may write, as packages do that open what they look at: it is on a copy.
        wrote: () => undefined,
        // What recovery made the same is looked at once, by a mount of its own.
        standsAlone: alone,
        recover: (media) => {
          const run = new RecoveryRun(misfortune);
          const tree = mounted(media, run.poison);
          if (alone) return undefined;
          attached.show(tree);
          const done = proof.recover?.({ fs: nodeFs as unknown as VolumeFs });
          return isPromise(done) ? done.then(() => ({ tree, run })) : { tree, run };
        },
        check: (media, acked, left) => {
          const { tree, run } = alone
            ? { tree: mounted(media), run: undefined }
            : (left as { readonly tree: FileTree; readonly run: RecoveryRun });
          run?.checks();
          attached.show(tree);
          const fs = check === undefined ? makeFacade(tree, { umask: UMASK }).fs : nodeFs;
          return proof.check({ fs, acked, recovered: undefined, history, faults } as Aftermath);
        },
      };
      return fault?.kind === "poison" ? orHonest(program) : program;
    },
  };
}

type Aftermath = Parameters<VolumeProof["check"]>[0];

function withNote(verdict: VolumeVerdict, note: string | undefined): VolumeVerdict {
  if (note === undefined) return verdict;
  if (verdict.kind === "NotMeasured") return { ...verdict, why: `${verdict.why}; ${note}` };
  if (verdict.kind === "HarnessBroken") return { ...verdict, said: `${verdict.said}; ${note}` };
  return { ...verdict, notes: [...verdict.notes, note] };
}

/** What a program did around the volume stands in its verdict. */
function withNotes(verdict: VolumeVerdict, found: Found, what: ProgramProof): VolumeVerdict {
  const { script, args = [], directory: at, check } = what;
  const program: Program = { script, args };
  const other = otherCommands(program, at, check);
  const notes = bypassNotes(found.entries, other);
  if (found.shadow !== undefined) {
    const why = `${found.shadow} was changed around node:fs, so the volume does not hold all`;
    const more = notes.length > 0 ? notes.join("; ") : other;
    return { kind: "NotMeasured", name: verdict.name, why: `${why}: ${more}` };
  }
  if (notes.length === 0) return verdict;
  if (verdict.kind === "NotMeasured")
    return { ...verdict, why: [verdict.why, ...notes].join("; ") };
  if (verdict.kind !== "HarnessBroken") {
    return { ...verdict, notes: [...verdict.notes, ...notes] };
  }
  if (!mayGoAround(found.entries)) return verdict;
  return { ...verdict, said: [verdict.said, ...notes].join("; ") };
}
