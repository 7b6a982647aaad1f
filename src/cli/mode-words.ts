/**
 * Modes as chmod(1) reads them: octal, or symbolic with `u g o a`, `+ - =` and `r w x X s t u g o`.
 *
 * @module
 */
import { formatMode } from "../vfs/modes.ts";
import { UsageError } from "./command.ts";

const SET_ID = 0o6000;
const STICKY = 0o1000;
const PERMISSIONS = 0o777;
const ALL = 0o7777;
const EXECUTE = 0o111;

/** What each letter before the operator speaks of. */
const WHO: Readonly<Record<string, number>> = { u: 0o4700, g: 0o2070, o: 0o1007, a: ALL };
/** Whose bits are copied by a letter behind it. */
const COPIED: Readonly<Record<string, number>> = { u: 0o700, g: 0o070, o: 0o007 };
const BITS: Readonly<Record<string, number>> = {
  r: 0o444,
  w: 0o222,
  x: EXECUTE,
  X: 0,
  s: SET_ID,
  t: STICKY,
};

/** One `who op bits` of a mode. */
interface Step {
  readonly operator: "+" | "-" | "=";
  /** Bits that it speaks of; 0: all but those of the umask. */
  readonly affected: number;
  readonly value: number;
  /** Bits that are named: setuid and setgid of directories stay unless they are. */
  readonly mentioned: number;
  readonly copies: boolean;
  /** Execute where somebody may execute already, or it is a directory. */
  readonly executes: boolean;
}

/** A change of permission bits. */
export type ModeChange = readonly Step[];

/** Reads a mode. @throws UsageError */
export function parseMode(text: string): ModeChange {
  if (/^[0-7]+$/u.test(text)) return [octal(text)];
  const steps: Step[] = [];
  for (const clause of text.split(",")) steps.push(...clauseSteps(clause, text));
  return steps;
}

function octal(text: string): Step {
  const value = Number.parseInt(text, 8);
  if (value > ALL) throw invalid(text);
  // `0755` says nothing about setgid of a directory, `00755` does.
  const mentioned = text.length < 5 ? (value & SET_ID) | STICKY | PERMISSIONS : ALL;
  return { operator: "=", affected: ALL, value, mentioned, copies: false, executes: false };
}

function clauseSteps(clause: string, text: string): Step[] {
  const match = /^([ugoa]*)((?:[-+=](?:[0-7]+|[ugo]|[rwxXst]*))+)$/u.exec(clause);
  if (match === null) throw invalid(text);
  const [, who = "", actions = ""] = match;
  let affected = 0;
  for (const letter of who) affected |= WHO[letter] as number;
  return [...actions.matchAll(/([-+=])([^-+=]*)/gu)].map(([, operator, bits = ""]) =>
    step(operator as Step["operator"], affected, bits, text),
  );
}

function step(operator: Step["operator"], who: number, bits: string, text: string): Step {
  if (/^[0-7]+$/u.test(bits)) {
    const value = Number.parseInt(bits, 8);
    if (value > ALL || who !== 0) throw invalid(text);
    return { operator, affected: ALL, value, mentioned: ALL, copies: false, executes: false };
  }
  const copied = COPIED[bits];
  let value = copied ?? 0;
  if (copied === undefined) for (const letter of bits) value |= BITS[letter] as number;
  const mentioned = who === 0 ? value : who & value;
  const executes = copied === undefined && bits.includes("X");
  return { operator, affected: who, value, mentioned, copies: copied !== undefined, executes };
}

function invalid(text: string): UsageError {
  return new UsageError(`invalid mode: '${text}'; write 0755, u=rwX,go+r, a-w`);
}

/** A mode after a change, and which of its bits the change decided. */
export interface AdjustedMode {
  readonly mode: number;
  readonly decided: number;
}

/** Applies a change to permission bits. */
export function adjustMode(
  before: number,
  isDirectory: boolean,
  umask: number,
  change: ModeChange,
): AdjustedMode {
  let mode = before & ALL;
  let decided = 0;
  for (const { operator, affected, mentioned, ...bits } of change) {
    const omitted = isDirectory ? SET_ID & ~mentioned : 0;
    const own = affected === 0 ? ~umask : affected;
    const value = wanted(bits, mode, isDirectory) & own & ~omitted & ALL;
    if (operator === "=") {
      const kept = (affected === 0 ? 0 : ~affected) | omitted;
      decided |= ALL & ~kept;
      mode = (mode & kept) | value;
    } else {
      decided |= value;
      mode = operator === "+" ? mode | value : mode & ~value;
    }
  }
  return { mode: mode & ALL, decided };
}

function wanted(
  { value, copies, executes }: Pick<Step, "value" | "copies" | "executes">,
  mode: number,
  isDirectory: boolean,
): number {
  if (copies) {
    const own = mode & value;
    const spread = (bits: number): number => ((own & bits) === 0 ? 0 : bits);
    return spread(0o444) | spread(0o222) | spread(0o111);
  }
  const anybody = isDirectory || (mode & EXECUTE) !== 0;
  return executes && anybody ? value | EXECUTE : value;
}

/** `0644 (rw-r--r--)`, as chmod -v writes it. */
export function modeText(mode: number): string {
  const digits = (mode & ALL).toString(8).padStart(4, "0");
  return `${digits} (${formatMode(mode).slice(1)})`;
}
