/**
 * Names of states: the crash point of each power cut, and which of its versions each line holds
 * that has not its newest. The same proof and the same name give the same bytes.
 *
 * @module
 */
import type { CallSites } from "../lib/call-site.ts";
import { DaxError } from "../lib/errno.ts";
import type { Exploration } from "./explorer.ts";
import type { Cut } from "./failure.ts";
import { type Replay, mustReplay, replay } from "./replay.ts";

/** Power cuts in one name. */
const MOST_CUTS = 8;
const CUT = /^\d+(?::\d+\.\d+)*$/u;

/** The name of the state that cuts lead to; as `12:340.0:341.2/3`. */
export function stateId(what: Exploration, cuts: readonly Cut[]): string {
  const told = mustReplay(what, cuts);
  return told.cuts
    .map(({ frontier }, level) => {
      const { point, old } = cuts[level] as Cut;
      const lines = [...old].toSorted(([a], [b]) => a - b);
      const held = lines.map(([line, bytes]) => {
        const versions = frontier.group(line)?.versions ?? [];
        return `:${line}.${versions.findIndex((each) => isSame(each.bytes, bytes))}`;
      });
      return `${point}${held.join("")}`;
    })
    .join("/");
}

/** A state that was made by its name. */
export interface NamedState {
  readonly told: Replay;
  readonly cuts: readonly Cut[];
}

/** Makes the state with this name. @throws EINVAL for a name that is none, or of another proof */
export function stateOf(what: Exploration, id: string, sites?: CallSites): NamedState {
  const parts = id.split("/");
  if (parts.length > MOST_CUTS || !parts.every((part) => CUT.test(part))) throw refusal(id);
  const cuts: Cut[] = [];
  let told: Replay | undefined;
  for (const part of parts) {
    const [point = "", ...held] = part.split(":");
    const bare = { point: Number(point), old: new Map<number, Uint8Array>() };
    const standing = replay(what, [...cuts, bare])?.cuts.at(-1);
    if (standing === undefined) throw refusal(id);
    for (const each of held) {
      const [line = -1, version = -1] = each.split(".").map(Number);
      const found = standing.frontier.group(line)?.versions[version];
      if (found === undefined) throw refusal(id);
      bare.old.set(line, found.bytes);
    }
    cuts.push(bare);
    told = replay(what, cuts, sites);
  }
  if (told === undefined) throw refusal(id);
  return { told, cuts };
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}

function refusal(id: string): DaxError {
  const detail = `no state of this proof is called ${JSON.stringify(id)}; a report names one`;
  return new DaxError("EINVAL", { syscall: "prove", detail });
}
