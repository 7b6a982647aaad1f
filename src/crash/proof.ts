/**
 * What a proof is, and what it cannot be.
 *
 * @module
 */
import { isDaxError } from "../lib/errno.ts";
import type { Mapping } from "../media/mapping.ts";
import type { DomainRange, PersistenceDomain, CachedRange } from "../media/media.ts";
import { ModelledMedia, type ModelledOptions } from "../media/modelled.ts";
import type { Budget } from "./explorer.ts";
import { wordsOf } from "./program.ts";
import type { Torn } from "./versions.ts";

/** What a workload is given. Annotate it as `Work<string>` to give promises a type. */
export interface Work<Label = unknown> {
  readonly mapping: Mapping;
  /** Promises something to somebody: from here on it must survive. */
  readonly ack: (label: Label) => void;
}

/** What a check is given. */
export interface Aftermath<Label = unknown, Recovered = unknown> {
  readonly mapping: Mapping;
  /** What was promised before the power went, in order. */
  readonly acked: readonly Label[];
  /** What `recover` returned. */
  readonly recovered: Recovered;
}

/**
 * A program to be proved. All of it is synchronous and deterministic: it keeps its state in the
 * mapping or in variables of its own, and asks no clock.
 */
export interface Proof<Label = unknown, Recovered = unknown> {
  readonly name: string;
  /** Bytes of the mapping, a multiple of 64. */
  readonly size: number;
  /** What survives a power cut: `adr` (the default), `eadr` or `volatile`; or `domains`. */
  readonly domain?: PersistenceDomain;
  /** A domain for each range; disjoint, covering all bytes, on 64-byte borders. */
  readonly domains?: readonly DomainRange[];
  /** Ranges that are not mapped write-back. */
  readonly caching?: readonly CachedRange[];
  /** What a power cut leaves of a bulk copy inside a line; `prefix` unless told otherwise. */
  readonly torn?: Torn;
  /** Brings the media to its first state, before power can go. */
  setup?(work: { readonly mapping: Mapping }): void;
  /** The program. */
  workload(work: Work<Label>): void;
  /** Runs when power is back; its stores are cut in their turn. */
  recover?(found: { readonly mapping: Mapping }): Recovered;
  /**
   * Says whether what `recover` left keeps the promises: by throwing, by returning `false`, or by
   * returning what is wrong. Promises only ever grow, so what it accepts for some of them it must
   * accept for fewer.
   */
  check(aftermath: Aftermath<Label, Recovered>): boolean | string | void;
  /** Power cuts in a row; 2 (the default) cuts the workload, and each recovery from that. */
  readonly depth?: number;
  /** Where exploration ends; a million leaves, ten million steps a run. */
  readonly budget?: Partial<Budget>;
}

/** How a proof is run; nothing of it changes the verdict. */
export interface ProveSettings {
  /** Told now and then how many of the workload's crash points are done, after how many leaves. */
  readonly progress?: (done: number, total: number, leaves: number) => void;
}

/** Where exploration ends unless the proof says otherwise. */
export const DEFAULT_BUDGET: Budget = { leaves: 1_000_000, steps: 10_000_000 };
/** Power cuts in a row unless the proof says otherwise. */
export const DEFAULT_DEPTH = 2;
const MOST_DEPTH = 8;

/** How the proof's media is made. */
export function modelledOf({ domain, domains, caching }: Proof): ModelledOptions {
  return {
    ...(domain === undefined ? {} : { domain }),
    ...(domains === undefined ? {} : { domains }),
    ...(caching === undefined ? {} : { caching }),
  };
}

const KNOWN: Readonly<Record<keyof Proof, true>> = {
  name: true,
  size: true,
  domain: true,
  domains: true,
  caching: true,
  torn: true,
  setup: true,
  workload: true,
  recover: true,
  check: true,
  depth: true,
  budget: true,
};

/** What a proof cannot be, whoever wrote it: it may come from a file. */
export function whatIsWrongWith(proof: Proof): string | undefined {
  if (typeof proof !== "object" || proof === null) return "give an object";
  const odd = Object.keys(proof).find((name) => !Object.hasOwn(KNOWN, name));
  if (odd !== undefined) return `${odd}: there is ${Object.keys(KNOWN).join(", ")}`;
  if (typeof proof.name !== "string" || proof.name === "") return "name: give it a name";
  for (const part of ["workload", "check"] as const) {
    if (typeof proof[part] !== "function") return `${part}: give a function`;
  }
  for (const part of ["setup", "recover"] as const) {
    if (proof[part] !== undefined && typeof proof[part] !== "function") {
      return `${part}: give a function, or leave it out`;
    }
  }
  const { torn = "prefix", depth = DEFAULT_DEPTH, budget = {} } = proof;
  if (!["prefix", "atoms", "line"].includes(torn)) return `torn: "${torn}" is no way to tear`;
  if (!Number.isInteger(depth) || depth < 1 || depth > MOST_DEPTH) {
    return `depth: ${depth}; give 1 to ${MOST_DEPTH} power cuts in a row`;
  }
  for (const [key, value] of Object.entries(budget)) {
    if (!Number.isSafeInteger(value) || value < 1) return `budget.${key}: ${value}; give 1 or more`;
  }
  if (proof.domain !== undefined && proof.domains !== undefined) {
    return "domain and domains: give one of them";
  }
  try {
    // eslint-disable-next-line no-new -- only to hear what it refuses
    new ModelledMedia(proof.size, modelledOf(proof));
  } catch (error) {
    if (isDaxError(error)) return error.message;
    return `size, domain, domains or caching: ${wordsOf(error)}`;
  }
  return undefined;
}
