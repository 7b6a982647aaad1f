/**
 * The kernel parameters `memmap=` and `mem=`: their grammar, and what they do to an e820 map.
 *
 * Judged by what Linux 6.1 printed of two dozen such lines. A suffix without digits (`memmap=M`)
 * counts as 0 there, which as a bare size removes all memory: here it is EINVAL, with that effect.
 *
 * Each occurrence is a list of elements, worked off from left to right, and a bad element does not
 * stop the rest. What the kernel swallows without a word comes back here as a typed error beside
 * the effect that it had anyway.
 *
 * @module
 */
import {
  E820_TYPE_ACPI,
  E820_TYPE_PRAM,
  E820_TYPE_RAM,
  E820_TYPE_RESERVED,
} from "../format/e820.ts";
import { DaxError } from "../lib/errno.ts";
import { type ParsedNumber, memparse, parseUnsigned } from "../lib/size.ts";
import { E820_MAX_ENTRIES, type E820Entry, type PlatformProfile, bootLogWord } from "./e820.ts";
import { type Edited, addRange, removeRange, retypeRange } from "./editing.ts";
import { sanitise } from "./sanitise.ts";

/** x86's limit on the whole kernel command line, in characters. */
export const COMMAND_LINE_SIZE = 2048;

const HIGHEST = (1n << 64n) - 1n;

const LACKS_NUMBER = "lacks a number; the kernel took 0 for it and applied the rest";

const ADDING: ReadonlyMap<string, number> = new Map([
  ["@", E820_TYPE_RAM],
  ["#", E820_TYPE_ACPI],
  ["$", E820_TYPE_RESERVED],
  ["!", E820_TYPE_PRAM],
]);

/** What an element asks for; numbers are modulo 2^64, types modulo 2^32, as in the kernel. */
export type MemmapEffect =
  | { readonly kind: "exactmap" }
  | { readonly kind: "add"; readonly start: bigint; readonly length: bigint; readonly type: number }
  | {
      readonly kind: "remove";
      readonly start: bigint;
      readonly length: bigint;
      readonly only?: number;
    }
  | {
      readonly kind: "retype";
      readonly start: bigint;
      readonly length: bigint;
      readonly from: number;
      readonly to: number;
    };

/** One element of a list, parsed. */
export interface MemmapElement {
  readonly text: string;
  /** Absent when the element does nothing. */
  readonly effect?: MemmapEffect;
  /** EINVAL for what the kernel refuses, which may come after the effect was applied. */
  readonly error?: DaxError;
  /** False only for an element without a size: the map does not count as the user's for it. */
  readonly userDefined: boolean;
}

/** What a set of options made of a map. */
export interface MemmapResult {
  /** Unsorted and unmerged; see {@link finishUserMap}. */
  readonly entries: E820Entry[];
  readonly elements: readonly MemmapElement[];
  readonly userDefined: boolean;
  /** Pieces that found no room in the table. */
  readonly lost: readonly E820Entry[];
}

/**
 * Parses one occurrence of `memmap=`: the text after the equals sign.
 * @throws E2BIG for more than a kernel command line may hold
 */
export function parseMemmap(text: string): MemmapElement[] {
  assertFits("memmap", text.length);
  return text.split(",").map((element, index) => parseElement(element, index + 1));
}

function parseElement(text: string, ordinal: number): MemmapElement {
  if (text.startsWith("exactmap")) {
    return { text, effect: { kind: "exactmap" }, userDefined: true };
  }
  const refuse = (detail: string): DaxError =>
    new DaxError("EINVAL", {
      syscall: "memmap",
      detail: `element ${ordinal} of the list, "${excerpt(text)}", ${detail}`,
    });
  const size = memparse(text);
  if (size.next === 0) {
    const error = refuse("does not start with a size; write nn[KMG]!ss[KMG], as in 64M!4G");
    return { text, error, userDefined: false };
  }
  const separator = text[size.next];
  if (separator === "%") return parsePercent(text, size, refuse);
  const type = separator === undefined ? undefined : ADDING.get(separator);
  const start = type === undefined ? undefined : memparse(text, size.next + 1);
  const next = start?.next ?? size.next;
  const effect: MemmapEffect =
    type === undefined
      ? { kind: "remove", start: size.value, length: HIGHEST - size.value, only: E820_TYPE_RAM }
      : { kind: "add", start: start?.value ?? 0n, length: size.value, type };
  if (next < text.length) {
    const error = refuse(`${trailing(text, next)}; what stands before it was applied all the same`);
    return { text, effect, error, userDefined: true };
  }
  if (size.digits && start?.digits !== false) return { text, effect, userDefined: true };
  const error = refuse(LACKS_NUMBER);
  return { text, effect, error, userDefined: true };
}

/** `nn%ss[-O][+N]`: the only form that looks at its whole text before it acts. */
function parsePercent(
  text: string,
  size: ParsedNumber,
  refuse: (detail: string) => DaxError,
): MemmapElement {
  const start = memparse(text, size.next + 1);
  let next = start.next;
  let complete = size.digits && start.digits;
  const type = (sign: string): number => {
    if (text[next] !== sign) return 0;
    const number = parseUnsigned(text, next + 1);
    next = number.next;
    complete &&= number.digits;
    return Number(BigInt.asUintN(32, number.value));
  };
  const from = type("-");
  const to = type("+");
  if (next !== text.length) {
    return { text, error: refuse(`${trailing(text, next)}; nothing was done`), userDefined: true };
  }
  if (from !== 0 && from === to) {
    const error = refuse(`turns type ${from} into itself; the kernel would stop with a BUG`);
    return { text, error, userDefined: true };
  }
  const effect = percentEffect(start.value, size.value, from, to);
  if (complete) return { text, effect, userDefined: true };
  return { text, effect, error: refuse(LACKS_NUMBER), userDefined: true };
}

/** A type of 0 counts as absent. */
function percentEffect(start: bigint, length: bigint, from: number, to: number): MemmapEffect {
  if (from !== 0 && to !== 0) return { kind: "retype", start, length, from, to };
  if (to !== 0) return { kind: "add", start, length, type: to };
  if (from !== 0) return { kind: "remove", start, length, only: from };
  return { kind: "remove", start, length };
}

function trailing(text: string, at: number): string {
  const rest = excerpt(text.slice(at));
  const advice = rest.startsWith("\\")
    ? ' (only GRUB needs a backslash before "$")'
    : rest.startsWith("M") || rest.startsWith("K") || rest.startsWith("i") || rest.startsWith("B")
      ? " (a number takes one suffix of K, M, G, T, P, E)"
      : "";
  return `has "${rest}" after its end${advice}`;
}

function excerpt(text: string): string {
  return text.length > 48 ? `${text.slice(0, 48)}…` : text;
}

function assertFits(syscall: string, length: number): void {
  if (length <= COMMAND_LINE_SIZE) return;
  throw new DaxError("E2BIG", {
    syscall,
    detail: `${length} characters; a kernel command line holds ${COMMAND_LINE_SIZE}`,
  });
}

/**
 * Applies every occurrence of `memmap=` in order.
 * @throws E2BIG when they do not fit a kernel command line together
 */
export function applyMemmap(
  entries: readonly E820Entry[],
  options: readonly string[],
  capacity: number = E820_MAX_ENTRIES,
): MemmapResult {
  assertFits("memmap", options.join(" ").length);
  const elements = options.flatMap((option) => parseMemmap(option));
  const lost: E820Entry[] = [];
  let map = [...entries];
  for (const { effect } of elements) {
    if (effect === undefined) continue;
    const edited = applyEffect(map, effect, capacity);
    map = edited.entries;
    lost.push(...edited.lost);
  }
  return { entries: map, elements, userDefined: elements.some((e) => e.userDefined), lost };
}

function applyEffect(
  entries: readonly E820Entry[],
  effect: MemmapEffect,
  capacity: number,
): Edited {
  switch (effect.kind) {
    case "exactmap":
      return { entries: [], bytes: 0n, lost: [] };
    case "add":
      return addRange(entries, effect, capacity);
    case "remove":
      return removeRange(entries, effect.start, effect.length, effect.only, capacity);
    default: {
      const { start, length, from, to } = effect satisfies { readonly kind: "retype" };
      return retypeRange(entries, start, length, from, to, capacity);
    }
  }
}

/** What the kernel logs of an effect on the map; adding is silent. */
export function effectLogLine(
  effect: MemmapEffect,
  profile: PlatformProfile = "modern",
): string | undefined {
  if (effect.kind === "add" || effect.kind === "exactmap") return undefined;
  const { start, length } = effect;
  const past = start + length > HIGHEST ? HIGHEST : start + length;
  const last = BigInt.asUintN(64, past - 1n);
  const word = (type: number): string => bootLogWord(type, profile);
  const range = `[mem ${hex8(start)}-${hex8(last)}]`;
  if (effect.kind === "retype") {
    return `e820: update ${range} ${word(effect.from)} ==> ${word(effect.to)}`;
  }
  return `e820: remove ${range} ${effect.only === undefined ? "" : word(effect.only)}`;
}

function hex8(value: bigint): string {
  return `0x${value.toString(16).padStart(8, "0")}`;
}

/**
 * Applies `mem=nn`: no RAM at or above nn. A size of 0, or none, is refused and changes nothing:
 * it would remove all memory, which a bare `memmap=0` does.
 */
export function applyMem(
  entries: readonly E820Entry[],
  text: string,
  capacity: number = E820_MAX_ENTRIES,
): MemmapResult {
  assertFits("mem", text.length);
  const { value } = memparse(text);
  if (value === 0n) {
    const error = new DaxError("EINVAL", {
      syscall: "mem",
      detail: `"${excerpt(text)}" would remove all memory; write a size such as mem=4G`,
    });
    const elements = [{ text, error, userDefined: true }];
    return { entries: [...entries], elements, userDefined: true, lost: [] };
  }
  const effect = {
    kind: "remove",
    start: value,
    length: HIGHEST - value,
    only: E820_TYPE_RAM,
  } as const;
  const edited = applyEffect(entries, effect, capacity);
  return {
    entries: edited.entries,
    elements: [{ text, effect, userDefined: true }],
    userDefined: true,
    lost: edited.lost,
  };
}

/**
 * What the kernel does when all options are read: a user-defined map is sanitised once more.
 * @throws EINVAL where the kernel would panic, because fewer than two entries are left or one
 * reaches past 2^64
 */
export function finishUserMap(
  { entries, userDefined }: Pick<MemmapResult, "entries" | "userDefined">,
  profile: PlatformProfile = "modern",
): E820Entry[] {
  if (!userDefined) return [...entries];
  const clean = sanitise(entries, { profile });
  if (clean !== undefined) return clean;
  const why =
    entries.length < 2
      ? `it has ${entries.length} of at least 2 entries`
      : "an entry reaches past 2^64";
  throw new DaxError("EINVAL", {
    syscall: "memmap",
    detail: `Invalid user supplied memory map: ${why}; the kernel would panic here`,
  });
}
