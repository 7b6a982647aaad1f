/**
 * How a proof is run: what stands in for parts of it where the program is not JavaScript.
 *
 * @module
 */
import type { Fault } from "./faults.ts";
import type { Exploration } from "../../crash/explorer.ts";
import { REMEMBERINGS, type Remembering } from "../../crash/remembering.ts";
import { DaxError } from "../../lib/errno.ts";
import type { Act, Prepare } from "./recording.ts";
import type { Schedule } from "./schedules.ts";
import type { Underlay } from "./underlay.ts";
import type { programOf } from "./volume-program.ts";

/** How a proof is run. */
export interface VolumeSettings {
  /** What lies underneath, where the numbers that it gives to contents are known already. */
  readonly underlay?: Underlay;
  /** What the program did, where it is not `workload` of the proof that says so. */
  readonly act?: Act;
  /**
   * What the program does when it meets a fault, where that has to be found out; and what the
   * filesystem does by itself meanwhile: the same fault comes in another call then.
   */
  readonly actWith?: (fault: Fault, schedule: Schedule | undefined) => Promise<Act>;
  /** What brings the volume to its first state, beside `setup` of the proof. */
  readonly prepare?: Prepare;
  /** Told now and then how many crash points are done, of what is explored now. */
  readonly progress?: Exploration["progress"];
  /** Told when the verdict is known, and its remedy is looked for. */
  readonly onSearch?: () => void;
  /** What `body` comes to, which explores, where that has to be done several times. */
  readonly settle?: <T>(body: () => T | Promise<T>) => Promise<T>;
  /** What runs after power is back, where it is not a mount with `recover` and `check`. */
  readonly programOf?: typeof programOf;
  /** What of earlier runs is used; what {@link rememberingAsked} says unless given. */
  readonly remembers?: Remembering | undefined;
}

/** The environment variable by which whoever doubts a verdict has it found without memory. */
const REMEMBERS = "DAXKIT_PROVE_REMEMBERS";

/** What of earlier runs is used, as the environment says. @throws EINVAL for another word */
export function rememberingAsked(): Remembering | undefined {
  const asked = process.env[REMEMBERS];
  if (asked === undefined || asked === "") return undefined;
  const found = REMEMBERINGS.find((one) => one === asked);
  if (found !== undefined) return found;
  const detail = `${REMEMBERS}=${asked}; it is ${REMEMBERINGS.join(", ")}`;
  throw new DaxError("EINVAL", { syscall: "prove", detail });
}
