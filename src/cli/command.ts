/**
 * What a command of `daxkit` is: one declarative description, from which the parser, `--help`, the
 * shell completion and the manual page are made.
 *
 * @module
 */
import type { Output } from "./output.ts";
import type { Terminal } from "./terminal.ts";

/** What every option has. */
interface OptionText {
  /** A single letter. */
  readonly short?: string;
  /** One sentence without a full stop, starting in lower case. */
  readonly text: string;
}

/** An option without a value. */
export interface FlagSpec extends OptionText {
  readonly type: "flag";
}

/** An option with a value. */
export interface ValueSpec extends OptionText {
  /**
   * `text` and `file` are taken as they are, `count` is an unsigned decimal number, `size` a number
   * of bytes with an optional suffix, `choice` one word of `choices`.
   */
  readonly type: "text" | "file" | "count" | "size" | "choice";
  /** The name of the value in help: `FILE`. */
  readonly value: string;
  readonly choices?: readonly string[];
  /** An empty value means something, such as no label. */
  readonly empty?: true;
  /** May be given several times; the values are collected. Otherwise the last one counts. */
  readonly many?: true;
}

/** An option of a command. */
export type OptionSpec = FlagSpec | ValueSpec;

/** The options of a command by their long names, without the dashes. */
export type OptionTable = Readonly<Record<string, OptionSpec>>;

type Single<S extends ValueSpec> = S["type"] extends "count" | "size" ? number : string;

/** What the parser makes of an option table: flags are booleans, a value not given is undefined. */
export type Values<O extends OptionTable> = {
  readonly [K in keyof O]: O[K] extends ValueSpec
    ? O[K] extends { readonly many: true }
      ? readonly Single<O[K]>[]
      : Single<O[K]> | undefined
    : boolean;
};

/** A word of the command line that is no option. */
export interface OperandSpec {
  /** As help prints it: `IMAGE[:PATH]`. */
  readonly name: string;
  readonly text: string;
  /** `optional`: 0 or 1; `many`: 1 or more; `any`: 0 or more; otherwise exactly 1. */
  readonly count?: "optional" | "many" | "any";
  /** What completion offers: file names (the default), the commands, or these words. */
  readonly complete?: "files" | "commands" | readonly string[];
}

/** A line that can be typed, and what it does. */
export interface Example {
  readonly line: string;
  readonly text: string;
}

/** Everything a running command holds. */
export interface Invocation<O extends OptionTable> {
  readonly values: Values<O>;
  readonly operands: readonly string[];
  /** `--json` was given. */
  readonly json: boolean;
  readonly out: Output;
  readonly terminal: Terminal;
  /** The whole table, for commands that speak of commands. */
  readonly commands: readonly Command[];
}

/** The part of a command that help, completion and the manual page read. */
export interface CommandSpec<O extends OptionTable = OptionTable> {
  readonly name: string;
  /** One line, an imperative without a full stop. */
  readonly summary: string;
  /** Paragraphs for `--help` and the manual page. */
  readonly description: readonly string[];
  /** Whether `--json` prints one document or a line for each thing as it is found. */
  readonly json: "document" | "lines";
  readonly operands: readonly OperandSpec[];
  /** Words that are operands although they begin with a dash: the mode `-w`. */
  readonly dashedOperand?: RegExp;
  readonly options: O;
  /**
   * The words are another program's language: these options are taken out of them, with those that
   * every command has, and everything else is an operand, in its order.
   */
  readonly ownOptions?: readonly (keyof O & string)[];
  /** Options of which at most one may be given. */
  readonly exclusive?: readonly (readonly (keyof O & string)[])[];
  readonly examples: readonly [Example, ...Example[]];
  /** Exit statuses other than 0 and 2, with what they mean. */
  readonly statuses?: Readonly<Record<number, string>>;
}

/** A command as the table holds it, whatever its options are. */
export interface Command extends CommandSpec {
  /** Runs it and returns the exit status. The heavy floors are imported in here. */
  run(invocation: Invocation<OptionTable>): number | Promise<number>;
}

/** Describes a command; `run` gets values that are typed by the option table. */
export function command<const O extends OptionTable>(
  spec: CommandSpec<O> & { run(invocation: Invocation<O>): number | Promise<number> },
): Command {
  return spec;
}

/** The options that every command takes beside its own. */
export const COMMON_OPTIONS = {
  help: { type: "flag", text: "print this help" },
  json: { type: "flag", text: "print JSON for programs" },
} as const satisfies OptionTable;

/** A mistake on the command line: reported with a pointer to help, exit status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** All went well, and the answer is yes. */
export const STATUS_OK = 0;
/** The command did its work, and what it found is bad. */
export const STATUS_FINDING = 1;
/** The command line is wrong, or the work could not be done. */
export const STATUS_FAILED = 2;
