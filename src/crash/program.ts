/**
 * The program under proof, as the explorer sees it: what runs after power returned.
 *
 * @module
 */
import type { ModelledMedia } from "../media/modelled.ts";

/** Recovery and check, both deterministic, both reading through the media they are given. */
export interface Program {
  /** Runs first on what the power cut left. Its stores are recorded, and cut in their turn. */
  recover?(media: ModelledMedia): unknown;
  /**
   * Looks at what recovery made of it, whatever was promised. Where it is given, check is handed
   * what it returns in place of what recover did, and judges that without touching the media: so
   * programs that only differ in their check may share their {@link Transcripts}.
   */
  look?(media: ModelledMedia, recovered: unknown): unknown;
  /**
   * Looks at what recovery made of it. A throw, `false` or a string says what is wrong. Its stores
   * are undone.
   */
  check(media: ModelledMedia, acked: readonly unknown[], recovered: unknown): unknown;
  /**
   * Whether what recovery does, or what check says, will be known only later: the last run is then
   * not to be remembered. Recovery begins with a run that is not open.
   */
  readonly isOpen?: () => boolean;
  /**
   * What look, or else check, does depends on the media and on the promises alone, on nothing that
   * recovery keeps or returns. Then it is run once for all states that recovery made the same.
   */
  readonly standsAlone?: boolean;
}

/** What was wrong with one state. */
export interface Objection {
  readonly phase: "recover" | "check";
  /**
   * - `threw`: recovery or check threw an error;
   * - `returned`: check returned `false` or a string;
   * - `hung`: recovery or check made more loads and stores than its budget.
   */
  readonly how: "threw" | "returned" | "hung";
  readonly said: string;
  readonly error?: unknown;
}

/** A function of the proof. */
export type Part = "setup" | "workload" | "recover" | "check";

/** The proof itself is wrong, so nothing can be said about the program. */
export class HarnessFault extends Error {
  override readonly name = "HarnessFault";
  readonly part: Part;

  constructor(part: Part, message: string) {
    super(message);
    this.part = part;
  }
}

/** Thrown at a load or store to end a run; never somebody's own error. */
export class RunEnded extends Error {
  override readonly name = "RunEnded";
}

/** The words of an error, its name in front unless it is a plain `Error`. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  const plain = error.name === "Error" || error.name === "DaxError";
  return plain ? error.message : `${error.name}: ${error.message}`;
}

/** What a check's return value means. @throws HarnessFault for a promise */
export function objectionIn(result: unknown): Objection | undefined {
  refusePromise("check", result);
  if (typeof result === "string" && result !== "") {
    return { phase: "check", how: "returned", said: result };
  }
  if (result !== false) return undefined;
  return { phase: "check", how: "returned", said: "check returned false" };
}

/** @throws HarnessFault when a part of the proof is asynchronous */
export function refusePromise(part: Part, result: unknown): void {
  const then = (result as { then?: unknown } | null | undefined)?.then;
  if (typeof then !== "function") return;
  throw new HarnessFault(
    part,
    "it returned a promise, but power is cut between two stores, not between two promises; " +
      "make it synchronous",
  );
}
