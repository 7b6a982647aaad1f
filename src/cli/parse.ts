/**
 * The command line of one command: long and short options in any order with the operands, `--`
 * ends the options, and nothing is guessed.
 *
 * @module
 */
import {
  COMMON_OPTIONS,
  type CommandSpec,
  type OperandSpec,
  type OptionSpec,
  type OptionTable,
  UsageError,
  type ValueSpec,
} from "./command.ts";
import { isDaxError } from "../lib/errno.ts";
import { parseSize } from "../lib/size.ts";
import { parseCount } from "./size.ts";
import { closest } from "../lib/suggest.ts";

/** A value as parsed; flags are booleans. */
export type ParsedValue = boolean | number | string | undefined | readonly (number | string)[];

/** A command line, understood. */
export interface Parsed {
  readonly values: Readonly<Record<string, ParsedValue>>;
  readonly operands: readonly string[];
  readonly help: boolean;
  readonly json: boolean;
}

/** The options of a command with the common ones; its own come first and win. */
export function allOptions(spec: CommandSpec): OptionTable {
  return { ...COMMON_OPTIONS, ...spec.options };
}

/** The letter that asks for help: `-h`, unless the command has another use for it. */
export function helpLetter(spec: CommandSpec): string | undefined {
  return Object.values(spec.options).some((option) => option.short === "h") ? undefined : "h";
}

/** Parses what follows the command's name. @throws UsageError */
export function parseArguments(spec: CommandSpec, argv: readonly string[]): Parsed {
  const scan = new Scan(spec, argv);
  if (spec.ownOptions === undefined) scan.run();
  else scan.pick([...spec.ownOptions, ...Object.keys(COMMON_OPTIONS)]);
  const { help, json } = scan.values;
  const parsed = {
    values: scan.values,
    operands: scan.operands,
    help: help === true,
    json: json === true,
  };
  if (parsed.help) return parsed;
  checkExclusive(spec, scan.given);
  checkOperands(spec.operands, scan.operands);
  return parsed;
}

class Scan {
  readonly values: Record<string, ParsedValue>;
  readonly operands: string[] = [];
  readonly given = new Set<string>();
  readonly #options: OptionTable;
  readonly #letters: ReadonlyMap<string, string>;
  readonly #argv: readonly string[];
  readonly #dashed: RegExp | undefined;
  #next = 0;

  constructor(spec: CommandSpec, argv: readonly string[]) {
    this.#options = allOptions(spec);
    this.#letters = lettersOf(spec);
    this.#argv = argv;
    this.#dashed = spec.dashedOperand;
    // No prototype: an option of the user's may be called `constructor`.
    this.values = Object.create(null) as Record<string, ParsedValue>;
    for (const [name, option] of Object.entries(this.#options)) {
      this.values[name] = option.type === "flag" ? false : option.many ? [] : undefined;
    }
  }

  run(): void {
    while (this.#next < this.#argv.length) {
      const word = this.#argv[this.#next++] as string;
      if (word === "--") {
        this.operands.push(...this.#argv.slice(this.#next));
        return;
      }
      if (word.startsWith("--")) this.#long(word);
      else if (this.#dashed?.test(word) === true) this.operands.push(word);
      else if (word.startsWith("-") && word !== "-") this.#cluster(word);
      else this.operands.push(word);
    }
  }

  /** Takes these long options, and `-h`, wherever they stand; all other words are operands. */
  pick(names: readonly string[]): void {
    while (this.#next < this.#argv.length) {
      const word = this.#argv[this.#next++] as string;
      if (word === "--") {
        this.operands.push(...this.#argv.slice(this.#next - 1));
        return;
      }
      const name = /^--([^=]+)/u.exec(word)?.[1];
      if (name !== undefined && names.includes(name)) this.#long(word);
      else if (word === "-h") this.#cluster(word);
      else this.operands.push(word);
    }
  }

  #long(word: string): void {
    const equals = word.indexOf("=");
    const name = word.slice(2, equals === -1 ? undefined : equals);
    const option = Object.hasOwn(this.#options, name) ? this.#options[name] : undefined;
    if (option === undefined) throw unknownOption(name, Object.keys(this.#options));
    const inline = equals === -1 ? undefined : word.slice(equals + 1);
    this.#take(name, option, `--${name}`, inline);
  }

  #cluster(word: string): void {
    for (let i = 1; i < word.length; i++) {
      const letter = word[i] as string;
      const name = this.#letters.get(letter);
      const option = name === undefined ? undefined : this.#options[name];
      if (name === undefined || option === undefined) {
        const whole = word.length > 2 ? ` in '${word}' (long options start with two dashes)` : "";
        throw new UsageError(`unknown option '-${letter}'${whole}`);
      }
      const rest = word.slice(i + 1);
      if (option.type === "flag") {
        this.#take(name, option, `-${letter}`, undefined);
        continue;
      }
      this.#take(name, option, `-${letter}`, rest === "" ? undefined : rest);
      return;
    }
  }

  #take(name: string, option: OptionSpec, shown: string, inline: string | undefined): void {
    this.given.add(name);
    if (option.type === "flag") {
      if (inline !== undefined) throw new UsageError(`option '${shown}' takes no value`);
      this.values[name] = true;
      return;
    }
    const text = inline ?? this.#argv[this.#next++];
    if (text === undefined) {
      throw new UsageError(`option '${shown}' needs a value: ${shown} ${option.value}`);
    }
    const value = readValue(shown, option, text);
    const earlier = this.values[name];
    this.values[name] = Array.isArray(earlier) ? [...(earlier as string[]), value] : value;
  }
}

function lettersOf(spec: CommandSpec): Map<string, string> {
  const letters = new Map<string, string>();
  const help = helpLetter(spec);
  if (help !== undefined) letters.set(help, "help");
  for (const [name, option] of Object.entries(spec.options)) {
    if (option.short !== undefined) letters.set(option.short, name);
  }
  return letters;
}

function readValue(shown: string, option: ValueSpec, text: string): number | string {
  if (option.type === "count") return parseCount(text, shown);
  if (option.type === "size") return readSize(text, shown);
  if (text === "" && option.empty !== true)
    throw new UsageError(`option '${shown}' has an empty value`);
  if (option.type === "choice" && !(option.choices ?? []).includes(text)) {
    const near = closest(text, option.choices ?? []);
    const hint = near === undefined ? "" : `; did you mean '${near}'?`;
    const known = (option.choices ?? []).join(", ");
    throw new UsageError(`option '${shown}' is one of ${known}, not '${text}'${hint}`);
  }
  return text;
}

function readSize(text: string, shown: string): number {
  try {
    return parseSize(text, `option '${shown}'`);
  } catch (error) {
    throw isDaxError(error, "EINVAL") ? new UsageError(error.detail ?? error.message) : error;
  }
}

function unknownOption(name: string, known: readonly string[]): UsageError {
  const longer = known.filter((candidate) => name !== "" && candidate.startsWith(name));
  if (longer.length > 0) {
    const list = longer.map((candidate) => `'--${candidate}'`).join(" or ");
    return new UsageError(`unknown option '--${name}': write it in full, ${list}`);
  }
  const near = closest(name, known);
  const hint = near === undefined ? "" : `; did you mean '--${near}'?`;
  return new UsageError(`unknown option '--${name}'${hint}`);
}

function checkExclusive(spec: CommandSpec, given: ReadonlySet<string>): void {
  for (const group of spec.exclusive ?? []) {
    const both = group.filter((name) => given.has(name)).map((name) => `'--${name}'`);
    if (both.length > 1) throw new UsageError(`options ${both.join(" and ")} exclude each other`);
  }
}

/** At most one operand of a command is optional or repeated. */
function checkOperands(specs: readonly OperandSpec[], operands: readonly string[]): void {
  const needed = specs.filter(({ count }) => count === undefined || count === "many");
  if (operands.length < needed.length) {
    throw new UsageError(`${needed[operands.length]?.name} is missing`);
  }
  const open = specs.some(({ count }) => count === "many" || count === "any");
  if (!open && operands.length > specs.length) {
    throw new UsageError(`'${operands[specs.length]}' is one operand too many`);
  }
}
