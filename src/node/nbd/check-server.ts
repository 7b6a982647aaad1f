/**
 * Checks a running server: one check after the other, each on connections of its own.
 *
 * @module
 */
import { isDaxError } from "../../lib/errno.ts";
import {
  type CheckResult,
  type CheckTalk,
  type NbdCheck,
  Peer,
  type ServerFacts,
  runCheck,
} from "../../nbd/check/check.ts";
import { gatherFacts, hello } from "../../nbd/check/haggling.ts";
import { parseNbdUri } from "../../nbd/uri.ts";
import { CheckWires } from "./check-wires.ts";

/** How a server is checked. */
export interface ExamineOptions {
  /** Milliseconds for which the server may be silent in one step; 2,000 unless told otherwise. */
  readonly timeoutMs?: number;
  /** Whether checks that write may be tried: what the export holds is lost. */
  readonly destructive?: boolean;
}

/**
 * Tries `checks` on the export that a URI names; each result as it comes.
 * @throws EINVAL for a bad URI; ECONNREFUSED, ENOENT, EPROTO and what else keeps the server from
 *   being looked at before the first check
 */
export async function* examine(
  source: string,
  checks: readonly NbdCheck[],
  options: ExamineOptions = {},
): AsyncGenerator<CheckResult, void> {
  const uri = parseNbdUri(source);
  const { timeoutMs = 2000, destructive = false } = options;
  const { exportName } = uri;
  const at = { exportName, tls: uri.tls ? uri.tlsOptions : undefined };
  const facts = await factsOf();
  const hold = <T>(talk: CheckTalk<T>) => new CheckWires(uri, timeoutMs).hold(talk);
  let gone: string | undefined;
  for (const check of checks) {
    const { name, level, text } = check;
    const reason = gone ?? reasonToSkip(check, facts, destructive);
    if (reason !== undefined) {
      yield { name, level, text, outcome: "skip", detail: reason };
      continue;
    }
    // oxlint-disable-next-line no-await-in-loop -- checks must not disturb each other
    const result = await hold(runCheck(check, { ...at, facts }));
    yield result;
    // oxlint-disable-next-line no-await-in-loop -- as above
    if (result.outcome === "pass" || (await hold(greets()))) continue;
    gone = `the server greets nobody since ${name}`;
    yield { ...STAYS_UP, outcome: "fail", detail: gone };
  }

  async function factsOf(): Promise<ServerFacts> {
    try {
      return await new CheckWires(uri, timeoutMs).hold(gatherFacts(at));
    } catch (error) {
      throw isDaxError(error) && error.path === undefined ? error.at({ path: source }) : error;
    }
  }
}

/** No sentence of the specification, and the first thing that a server is for. */
const STAYS_UP = {
  name: "server.stays-up",
  level: "MUST",
  text: "Whatever one client does, the next one is greeted.",
} as const;

/** Whether somebody is there to greet. */
function* greets(): CheckTalk<boolean> {
  try {
    yield* hello(yield* Peer.open());
    return true;
  } catch (error) {
    if (isDaxError(error)) return false;
    throw error;
  }
}

function reasonToSkip(
  check: NbdCheck,
  facts: ServerFacts,
  destructive: boolean,
): string | undefined {
  const unfit = check.unfit(facts);
  if (unfit !== undefined || !check.destructive || destructive) return unfit;
  return "it writes; --destructive allows that";
}
