/**
 * From a command line to an exit status: finds the command, parses, runs it, and says in one line
 * what went wrong.
 *
 * @module
 */
import {
  type Command,
  type Invocation,
  type OptionTable,
  STATUS_FAILED,
  STATUS_OK,
  UsageError,
} from "./command.ts";
import { isOperatingError, oneLine } from "./errors.ts";
import { commandHelp, overview } from "./help.ts";
import { BrokenPipeError, type Output } from "./output.ts";
import { parseArguments } from "./parse.ts";
import { closest } from "../lib/suggest.ts";
import type { Terminal } from "./terminal.ts";
import { packageVersion } from "./version.ts";

/** Where a run happens. */
export interface Surroundings {
  readonly out: Output;
  readonly terminal: Terminal;
  readonly commands: readonly Command[];
}

/** What a shell reports of a program that SIGPIPE ended, as any writer into `head` ends. */
const STATUS_BROKEN_PIPE = 141;

/** Runs one command line; the arguments are those behind the program's name. Never throws. */
export async function runCommandLine(argv: readonly string[], at: Surroundings): Promise<number> {
  try {
    const status = await dispatch(argv, at);
    at.out.flush();
    return status;
  } catch (error) {
    return explain(error, at);
  }
}

async function dispatch(argv: readonly string[], at: Surroundings): Promise<number> {
  const [first, ...rest] = argv;
  if (first === undefined) throw new UsageError("COMMAND is missing");
  if (first === "--help" || first === "-h" || first === "help") return help(rest, at);
  if (first === "--version") return version(rest, at);
  if (first.startsWith("-")) {
    throw new UsageError(`option '${first}' stands behind the command: daxkit COMMAND ${first}`);
  }
  const command = find(first, at);
  at.terminal.label = `daxkit ${command.name}`;
  const { values, operands, help: wanted, json } = parseArguments(command, rest);
  if (wanted) return help([command.name, ...(json ? ["--json"] : [])], at);
  const { out, terminal, commands } = at;
  const invocation = { values, operands, json, out, terminal, commands };
  return await command.run(invocation as unknown as Invocation<OptionTable>);
}

function find(name: string, { commands }: Surroundings): Command {
  const found = commands.find((command) => command.name === name);
  if (found !== undefined) return found;
  const names = commands.map((command) => command.name);
  const near = closest(name, names);
  const hint = near === undefined ? kin(name, names) : `; did you mean '${near}'?`;
  throw new UsageError(`unknown command '${name}'${hint}`);
}

/** For `mkfs` and `mkfs.xfs` those that begin with `mkfs`. */
function kin(name: string, names: readonly string[]): string {
  const [stem = ""] = name.split(".");
  const same = stem.length < 2 ? [] : names.filter((each) => each.startsWith(stem));
  return same.length === 0 ? "" : `; there are ${same.join(", ")}`;
}

/** `daxkit --help [COMMAND] [--json]`; with `--json` the description itself. */
function help(words: readonly string[], at: Surroundings): number {
  const json = words.includes("--json");
  const [name, extra] = words.filter((word) => word !== "--json");
  if (extra !== undefined) throw new UsageError(`'${extra}' is one operand too many`);
  const { out, terminal, commands } = at;
  const paint = terminal.style.bind(terminal);
  if (name === undefined) {
    if (json) out.json(commands);
    else out.text(overview(commands, paint));
    return STATUS_OK;
  }
  const command = find(name, at);
  if (json) out.json(command);
  else out.text(commandHelp(command, paint));
  return STATUS_OK;
}

function version(words: readonly string[], at: Surroundings): number {
  const extra = words.find((word) => word !== "--json");
  if (extra !== undefined) throw new UsageError(`'${extra}' is one operand too many`);
  if (words.includes("--json")) at.out.json({ name: "daxkit", version: packageVersion() });
  else at.out.line(`daxkit ${packageVersion()}`);
  return STATUS_OK;
}

/** Reports an error on standard error and chooses the exit status. */
function explain(error: unknown, at: Surroundings): number {
  if (error instanceof BrokenPipeError) return STATUS_BROKEN_PIPE;
  try {
    // What was printed so far is true; it goes out before the reason why there is no more.
    at.out.flush();
  } catch (later) {
    if (later instanceof BrokenPipeError) return STATUS_BROKEN_PIPE;
  }
  report(error, at.terminal);
  return STATUS_FAILED;
}

/** Says in one line what went wrong; a mistake of ours brings its stack. */
export function report(error: unknown, terminal: Terminal): void {
  const text = describe(error, terminal.label);
  if (text !== undefined) {
    terminal.message(text);
    return;
  }
  terminal.message("this is a bug in daxkit; please report it with the lines below");
  const shown = error instanceof Error ? (error.stack ?? error.message) : String(error);
  terminal.report(`${shown}\n`);
}

/** The one line for an error that somebody can do something about; undefined for a bug. */
function describe(error: unknown, label: string): string | undefined {
  if (error instanceof UsageError) {
    return `usage: ${error.message} ('${label} --help' shows what there is)`;
  }
  return isOperatingError(error) ? oneLine(error) : undefined;
}
