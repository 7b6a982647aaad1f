/**
 * What runs after power is back: the filesystem is mounted, which recovers its journal, the
 * program's own recovery runs on it, and then the check looks.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import { HarnessFault, type Program, RunEnded } from "../../crash/program.ts";
import { DaxError } from "../../lib/errno.ts";
import type { ModelledMedia } from "../../media/modelled.ts";
import { type Facade, makeFacade } from "../facade/facade.ts";
import type { CallObserver } from "../facade/operation.ts";
import { mayChange } from "./calls.ts";
import { FaultInjector } from "./fault-injector.ts";
import type { History } from "./history.ts";
import { isPromise } from "./waiting.ts";
import { type MountedProof, mountProof, mountToLook, recoverByMount } from "./recording.ts";
import { type Misfortune, isDeviceError } from "./recovery-faults.ts";
import type { Poison, Underlay } from "./underlay.ts";
import type { VolumeAftermath, VolumeCheck, VolumeProof } from "./volume-proof.ts";

/** Calls of one check, unless the budget says otherwise. */
const MOST_CALLS = 1_000_000;

/** What a mount and the program's recovery left. */
interface Recovered {
  readonly mounted: MountedProof;
  readonly recovered: unknown;
  readonly run: RecoveryRun;
}

/** The program under proof, and what was seen of its check. */
export interface VolumeProgram extends Program {
  /** The call by which a check wanted to write; undefined: none. */
  readonly wrote: () => string | undefined;
}

/** Makes what the explorer runs. */
export function programOf(
  proof: VolumeProof,
  underlay: Underlay,
  history: History,
  misfortune: Misfortune = NONE,
): VolumeProgram {
  let wrote: string | undefined;
  const most = proof.budget?.steps ?? MOST_CALLS;
  let calls = 0;
  const observer: CallObserver = ({ name, args, work }) => {
    // What a mount remembers is looked at without a load, which would be counted.
    if (++calls > most) throw new Error(`check made more than ${most} calls: does it end?`);
    if (name === "fsync" || name === "fdatasync") return () => undefined;
    if (!mayChange(name) || (name === "open" && !opensToWrite(args[1]))) return work;
    wrote ??= typeof args[0] === "string" ? `${name} ${args[0]}` : name;
    return () => {
      throw new DaxError("EROFS", { syscall: name, detail: "a check only looks" });
    };
  };
  const { faults, looks } = misfortune;
  if (proof.recover === undefined && misfortune.fault === undefined) {
    const check = new LoneCheck(proof, underlay, observer);
    return {
      wrote: () => wrote,
      recover: (media) => {
        looks?.watch(media);
        recoverByMount(underlay.deviceOn(media), proof);
      },
      check: (media, acked) => {
        calls = 0;
        looks?.watch(media);
        return check.run(media, { acked, recovered: undefined, history, faults });
      },
      standsAlone: true,
    };
  }
  const program: VolumeProgram = {
    wrote: () => wrote,
    recover: (media: ModelledMedia): Recovered | PromiseLike<Recovered> => {
      misfortune.looks?.watch(media);
      const run = new RecoveryRun(misfortune);
      const mounted = mountProof(media, underlay, proof, run.observer, (bare) =>
        underlay.deviceOn(bare, run.poison),
      );
      run.begin();
      const recovered: unknown = proof.recover?.({ fs: mounted.fs });
      // Who waits is waited for; the explorer itself refuses promises.
      if (isPromise(recovered)) {
        return recovered.then((value) => run.ended({ mounted, recovered: value, run }));
      }
      return run.ended({ mounted, recovered, run });
    },
    check: (_media, acked, given) => {
      const { mounted, recovered, run } = given as Recovered;
      calls = 0;
      run.checks();
      const { fs } = makeFacade(mounted.tree, { observer });
      return proof.check({ fs, acked, recovered, history, faults });
    },
  };
  return misfortune.fault?.kind === "poison" ? orHonest(program) : program;
}

const NONE: Misfortune = { faults: [] };

/** One recovery and its check, and what they meet. */
export class RecoveryRun {
  readonly #injector: FaultInjector | undefined;
  readonly #looks: Misfortune["looks"];
  readonly poison: Poison | undefined;
  /** Whether the part that runs now met what cannot be read. */
  hit = false;

  constructor({ fault, looks }: Misfortune) {
    this.#looks = looks;
    const short = fault?.kind === "short-read" ? fault : undefined;
    if (short !== undefined || looks !== undefined) this.#injector = new FaultInjector(short);
    if (fault?.kind === "poison") {
      this.poison = { sector: fault.at, onHit: () => (this.hit = true) };
    }
  }

  get observer(): CallObserver | undefined {
    const injector = this.#injector;
    if (injector === undefined) return undefined;
    return (call) => () => (injector.instead(call, () => false) ?? call.work)();
  }

  begin(): void {
    if (this.#injector !== undefined) this.#injector.on = true;
  }

  ended(recovered: Recovered): Recovered {
    const { counts } = this.#injector ?? {};
    if (this.#looks !== undefined && counts !== undefined) {
      this.#looks.shortReads = Math.max(this.#looks.shortReads, counts["short-read"]);
    }
    if (this.#injector !== undefined) this.#injector.on = false;
    return recovered;
  }

  checks(): void {
    this.hit = false;
  }
}

/**
 * The same program, where what cannot be read may be an error: a recovery that fails with one is
 * honest, and so is what a check says that met one. Whoever goes on with something else is not.
 */
export function orHonest(program: VolumeProgram): VolumeProgram {
  const failed = { failed: true };
  return {
    ...program,
    recover: (media) => {
      try {
        const recovering: unknown = program.recover?.(media);
        return isPromise(recovering) ? recovering.then(undefined, () => failed) : recovering;
      } catch (error) {
        if (error instanceof RunEnded || error instanceof HarnessFault) throw error;
        return failed;
      }
    },
    check: (media, acked, given) => {
      if (given === failed) return undefined;
      const { run } = given as Pick<Recovered, "run">;
      const said = (result: unknown): unknown => (run.hit ? undefined : result);
      const threw = (error: unknown): undefined => {
        if (error instanceof RunEnded || error instanceof HarnessFault) throw error;
        if (!run.hit && !isDeviceError(error)) throw error;
        return undefined;
      };
      try {
        const checking: unknown = program.check(media, acked, given);
        return isPromise(checking) ? checking.then(said, threw) : said(checking);
      } catch (error) {
        return threw(error);
      }
    },
  };
}

/**
 * A check on a mount of its own, for reading, of what recovery left: so it depends on that alone,
 * and is run once for all states that recovery made the same.
 */
class LoneCheck {
  readonly #proof: VolumeProof;
  readonly #underlay: Underlay;
  readonly #observer: CallObserver;
  #facade: Facade | undefined;
  #media: ModelledMedia | undefined;
  #device: BlockDevice | undefined;

  constructor(proof: VolumeProof, underlay: Underlay, observer: CallObserver) {
    this.#proof = proof;
    this.#underlay = underlay;
    this.#observer = observer;
  }

  run(media: ModelledMedia, aftermath: Omit<VolumeAftermath, "fs">): ReturnType<VolumeCheck> {
    if (this.#media !== media) this.#device = this.#underlay.deviceOn(media);
    this.#media = media;
    const tree = mountToLook(this.#device as BlockDevice, this.#proof);
    const facade = this.#facade ?? makeFacade(tree, { observer: this.#observer });
    // Who waits may go on when somebody else looks already.
    this.#facade = undefined;
    facade.moveTo(tree);
    const said = this.#proof.check({ fs: facade.fs, ...aftermath });
    if (!isPromise(said)) this.#facade = facade;
    return said;
  }
}

function opensToWrite(flags: unknown): boolean {
  if (typeof flags === "number") return (flags & 0o3) !== 0 || (flags & 0o1100) !== 0;
  return typeof flags === "string" && /[wa+]/u.test(flags);
}
