/**
 * Power cuts inside the recovery of a recorded disk. A stop of a replay is put on modelled memory,
 * a line for each sector, as programs under proof have it (`sector-disk.ts`): so recovery is run
 * there, what it writes is cut in its turn, and the exact explorer does the rest.
 *
 * @module
 */
import { ModelledMedia } from "../media/modelled.ts";
import { LINE_BYTES } from "../media/trace.ts";
import { StopExplorer, lostIn } from "./block-explorer.ts";
import type { BlockFrontier } from "./block-frontier.ts";
import { NOTED_BYTES } from "./block-image.ts";
import { type Assignment, type Stop, modelName, stopName } from "./block-states.ts";
import { type Exploration, explore } from "./explorer.ts";
import type { Cut, Failure } from "./failure.ts";
import type { Program } from "./program.ts";
import { SectorContents, SectorDisk } from "./sector-disk.ts";
import { simplify } from "./simplify.ts";
import { stateId, stateOf } from "./state-id.ts";
import type { LostRequest, StopFindings, StopRest } from "./stop-findings.ts";
import { Transcripts } from "./transcript.ts";

/** Recovers what is on a disk, and checks it. */
export interface DiskProgram {
  /** What it throws with ENOTSUP says that it cannot recover this disk, whatever its state. */
  recover(disk: SectorDisk): void;
  check(disk: SectorDisk): string | undefined;
  /** Why it could not recover. */
  readonly refused: string | undefined;
}

/** A state inside a recovery, made again. */
export interface InnerState {
  readonly image: Uint8Array<ArrayBuffer>;
  readonly said: string | undefined;
}

const MODELLED = {};
const DEPTH = 2;

/** Thrown where somebody ends the exploration. */
class RecoveryOver extends Error {
  override readonly name = "RecoveryOver";
}

/** Explores each stop as another explorer does, and then the recoveries from its states. */
export class RecoveryExplorer extends StopExplorer {
  readonly #first: StopExplorer;
  readonly #disk: DiskProgram;
  readonly #contents: SectorContents;
  /** What the image holds, as lines. */
  readonly #lines: Uint8Array<ArrayBuffer>;
  readonly #transcripts = new Transcripts();

  /** `first` looks at states that nobody recovers. */
  constructor(first: StopExplorer, disk: DiskProgram) {
    super(first.frontier, first.budget);
    this.#first = first;
    this.#disk = disk;
    const { model, image } = this.frontier;
    this.#contents = new SectorContents(model.unit);
    this.#lines = new Uint8Array((image.bytes.length / model.unit) * LINE_BYTES);
    for (const page of image.touched()) this.#follow(page);
  }

  explore(stop: Stop, rest?: StopRest): StopFindings {
    this.#first.watch = this.watch;
    const found = this.#first.explore(stop, rest);
    if (found.failure !== undefined || found.unmeasurable !== undefined) return found;
    if (found.ended === true) return found;
    try {
      return this.#recoveriesFrom(stop, found);
    } catch (error) {
      if (error instanceof RecoveryOver) return { ...found, ended: true };
      throw error;
    }
  }

  #recoveriesFrom(stop: Stop, found: StopFindings): StopFindings {
    const { space, covered } = found;
    const what: Exploration = {
      ...this.#explorationAt(stop),
      progress: (_, __, leaves) => {
        if (this.watch.isOver()) throw new RecoveryOver("all of it is over");
        const most = found.runs + this.budget.runs;
        this.watch.ran({ stop, runs: found.runs + leaves, most, space, covered });
      },
    };
    const { tallies, failure, unmeasurable } = explore(what);
    const [outer, inner = outer] = tallies;
    if (outer === undefined || inner === undefined) return found;
    const recovery = {
      space: inner.space,
      covered: inner.covered,
      failing: inner.failing + outer.failing,
      refused: this.#disk.refused,
    };
    const runs = found.runs + outer.leaves + inner.leaves;
    if (failure === undefined || recovery.refused !== undefined) {
      return { ...found, runs, unmeasurable, recovery };
    }
    return { ...found, runs, unmeasurable, recovery, failure: this.#told(stop, what, failure) };
  }

  objectionTo(stop: Stop, given: Assignment): string | undefined {
    return this.#first.objectionTo(stop, given);
  }

  /** Makes a state by the part of its name behind the stop's. @throws EINVAL for what is none */
  inner(stop: Stop, id: string): InnerState {
    const { told } = stateOf(this.#explorationAt(stop), id);
    const image = this.#contents.imageOf(told.cuts.at(-1)?.left ?? this.#lines);
    return { image, said: told.objection?.said };
  }

  #told(stop: Stop, what: Exploration, failure: Failure): StopFindings["failure"] {
    const plain = simplify(what, failure);
    const where = `${stopName(stop)}${modelName(this.frontier.model)}`;
    const state = `${where}/${stateId(what, plain.cuts)}`;
    return { state, said: plain.objection.said, lost: this.#lostIn(plain.cuts[0] as Cut) };
  }

  /** What the first power cut lost. */
  #lostIn({ old }: Cut): LostRequest[] {
    const given = new Map<number, number>();
    for (const [unit, line] of old) {
      const { contents } = this.frontier.versions(unit);
      const bytes = this.#contents.imageOf(line);
      const index = contents.findIndex((each) => each.every((byte, i) => byte === bytes[i]));
      if (index !== -1) given.set(unit, index);
    }
    return lostIn(this.frontier, given);
  }

  /** What the power leaves at the stop, as the last crash point of a trace. */
  #explorationAt(stop: Stop): Exploration {
    for (const page of this.frontier.image.takeChanges()) this.#follow(page);
    const initial = this.#lines.slice();
    const view = new DataView(initial.buffer);
    const open = stop.kind === "replayed" ? [] : arrivalsIn(this.frontier, this.#contents);
    for (const [unit, [base = 0]] of open) view.setBigUint64(unit * LINE_BYTES, BigInt(base), true);
    const media = new ModelledMedia(initial.length, MODELLED);
    media.recorder.image.set(initial);
    for (const [unit, [, ...stores]] of open) {
      for (const number of stores) media.recorder.storeAtom(unit * LINE_BYTES, BigInt(number));
    }
    return {
      initial,
      modelled: MODELLED,
      trace: media.trace,
      program: this.#program(),
      torn: "line",
      depth: DEPTH,
      budget: { leaves: this.budget.runs, steps: this.budget.steps },
      transcripts: this.#transcripts,
    };
  }

  #program(): Program {
    return {
      recover: (media) => this.#disk.recover(new SectorDisk(media, this.#contents)),
      check: (media) => this.#disk.check(new SectorDisk(media, this.#contents)),
      standsAlone: true,
    };
  }

  #follow(page: number): void {
    const { image, model } = this.frontier;
    const view = new DataView(this.#lines.buffer);
    for (let at = page * NOTED_BYTES; at < (page + 1) * NOTED_BYTES; at += model.unit) {
      const number = this.#contents.numberOf(image.bytes.subarray(at, at + model.unit));
      view.setBigUint64((at / model.unit) * LINE_BYTES, BigInt(number), true);
    }
  }
}

/** The numbers of what each open unit held, the durable one first. */
function arrivalsIn(
  frontier: BlockFrontier,
  contents: SectorContents,
): (readonly [unit: number, numbers: readonly number[]])[] {
  return frontier
    .openUnits()
    .map((unit) => [unit, frontier.arrivals(unit).map((bytes) => contents.numberOf(bytes))]);
}
