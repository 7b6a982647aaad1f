/**
 * A machine from command-line flags: `--memmap 64M!4G`, `--pmem FILE`, `--ram 8G`, `--brd 16M`.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { MachineInput, PmemInput } from "./input.ts";

/** Flags as a command line gives them; those that may be repeated are lists. */
export interface MachineFlags {
  /** `64M!4G`, each as after `memmap=`. */
  readonly memmap?: readonly string[];
  /**
   * `FILE[,KEY=VALUE]...`: `nv0.img`, `nv0.img,size=64M,domain=eadr`; without a file
   * `size=64M`. Keys are those of `pmem` in a machine file that hold one value.
   */
  readonly pmem?: readonly string[];
  readonly ram?: string;
  readonly mem?: string;
  /** `16M`, or `4x16M` for four of them. */
  readonly brd?: readonly string[];
  readonly profile?: string;
  readonly seed?: string;
}

/** How the value of a key is to be read; everything else about it is the description's business. */
const KEYS: Readonly<Record<string, "text" | "flag">> = {
  file: "text",
  size: "text",
  start: "text",
  as: "text",
  mode: "text",
  map: "text",
  domain: "text",
  caching: "text",
  readOnly: "flag",
  modelled: "flag",
  wear: "flag",
};

/**
 * The description that the flags mean, yet unchecked: `bootMachine` and `describeMachine` do that.
 * @throws EINVAL for what is wrong with a flag itself, naming it
 */
export function machineFromFlags(flags: MachineFlags): MachineInput {
  const { memmap = [], pmem = [], brd = [], ram, mem, profile, seed } = flags;
  return {
    ...(ram === undefined ? {} : { ram }),
    ...(mem === undefined ? {} : { mem }),
    // Whatever word was given: the description knows those it takes, and says so.
    ...(profile === undefined ? {} : { profile: profile as "modern" }),
    ...(seed === undefined ? {} : { seed: numberOf("seed", seed) }),
    memmap,
    pmem: pmem.map((text) => pmemFromFlag(text)),
    brd: brd.map((text) => ramDisksFromFlag(text)),
  };
}

function pmemFromFlag(text: string): PmemInput {
  const fields: Record<string, string | boolean> = {};
  for (const [i, part] of text.split(",").entries()) {
    const equals = part.indexOf("=");
    const key = part.slice(0, equals);
    const kind = Object.hasOwn(KEYS, key) ? KEYS[key] : undefined;
    if (i === 0 && kind === undefined) fields["file"] = part;
    else if (equals === -1 || kind === undefined) {
      throw refused("pmem", text, `"${part.slice(0, 40)}" is none of ${known()}`);
    } else if (Object.hasOwn(fields, key)) throw refused("pmem", text, `${key} is there twice`);
    else fields[key] = kind === "flag" ? flagOf(text, key, part) : part.slice(equals + 1);
  }
  return fields;
}

function known(): string {
  return Object.keys(KEYS)
    .map((key) => `${key}=`)
    .join(", ");
}

function flagOf(text: string, key: string, part: string): boolean {
  const value = part.slice(key.length + 1);
  if (value === "true" || value === "false") return value === "true";
  throw refused("pmem", text, `${key} is true or false`);
}

function ramDisksFromFlag(text: string): { readonly count: number; readonly size: string } {
  const [, count, size] = /^(?:([1-9]\d{0,3})x)?(.*)$/su.exec(text) ?? [];
  return { count: count === undefined ? 1 : Number(count), size: size ?? text };
}

function numberOf(flag: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/u.test(text) && Number.isSafeInteger(value)) return value;
  throw refused(flag, text, "write a whole number from 0 up");
}

function refused(flag: string, text: string, why: string): DaxError {
  const seen = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return new DaxError("EINVAL", { detail: `--${flag} ${seen}: ${why}` });
}
