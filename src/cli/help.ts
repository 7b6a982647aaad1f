/**
 * `--help`: the overview of all commands, and the page of one.
 *
 * @module
 */
import { COMMON_OPTIONS, type Command, type CommandSpec, type OptionSpec } from "./command.ts";
import { helpLetter } from "./parse.ts";
import type { Style } from "./terminal.ts";

/** Colours a piece of text, or leaves it alone. */
export type Paint = (style: Style, text: string) => string;

const WIDTH = 80;

/** What the program is, in one sentence. */
export const SUMMARY = "persistent memory you can pull the plug on";

/** Exit statuses that mean the same in every command. */
export const STATUSES: Readonly<Record<number, string>> = {
  0: "all went well",
  1: "the command did its work, and what it found is bad; or a change could not be made",
  2: "the command line is wrong, or the work could not be done; the reason is on standard error",
};

/** Everything that `daxkit --help` prints. */
export function overview(commands: readonly Command[], paint: Paint): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const rows = commands.map(
    ({ name, summary }) => `  ${paint("name", name.padEnd(width))}  ${summary}`,
  );
  return [
    `daxkit - ${SUMMARY}`,
    "",
    `${paint("heading", "Usage:")} daxkit COMMAND [OPTION]... [OPERAND]...`,
    "",
    paint("heading", "Commands:"),
    ...rows,
    "",
    paint("heading", "Everywhere:"),
    ...optionRows({ ...COMMON_OPTIONS, version: VERSION_OPTION }, paint, "h"),
    "",
    ...wrap(
      "An image is given as IMAGE or IMAGE:/path: a file that holds a filesystem, or a disk of " +
        "which --partition or --offset names the part. Sizes take K, M, G, T and P.",
    ),
    "",
    paint("heading", "Exit status:"),
    ...statusRows(STATUSES),
    "",
    "'daxkit COMMAND --help' explains a command and gives examples.",
    "",
  ].join("\n");
}

const VERSION_OPTION: OptionSpec = { type: "flag", text: "print the version (before a command)" };

/** Everything that `daxkit COMMAND --help` prints. */
export function commandHelp(spec: CommandSpec, paint: Paint): string {
  const blocks = [
    [`daxkit ${spec.name} - ${spec.summary}`],
    [`${paint("heading", "Usage:")} ${usage(spec)}`],
    ...spec.description.map((paragraph) => wrap(paragraph)),
    ...(spec.operands.length === 0 ? [] : [operandRows(spec, paint)]),
    [
      paint("heading", "Options:"),
      ...optionRows({ ...spec.options, ...COMMON_OPTIONS }, paint, helpLetter(spec), spec),
    ],
    [
      paint("heading", "Examples:"),
      ...spec.examples.flatMap(({ line, text }) => [`  ${paint("name", line)}`, ...wrap(text, 6)]),
    ],
    [paint("heading", "Exit status:"), ...statusRows(statusesOf(spec))],
  ];
  return `${blocks.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

/** `daxkit ls [OPTION]... IMAGE[:PATH]...` */
export function usage(spec: CommandSpec): string {
  const operands = spec.operands.map(({ name, count }) => {
    if (count === "many") return `${name}...`;
    if (count === "any") return `[${name}]...`;
    return count === "optional" ? `[${name}]` : name;
  });
  return ["daxkit", spec.name, "[OPTION]...", ...operands].join(" ");
}

/** The statuses of a command: 0, its own, and 2. */
export function statusesOf(spec: CommandSpec): Readonly<Record<number, string>> {
  const { 0: fine = "", 2: failed = "" } = STATUSES;
  return { 0: fine, 2: failed, ...spec.statuses };
}

/** `-n, --partition N`, as help and the manual page show it. */
export function optionLabel(name: string, option: OptionSpec, letter = option.short): string {
  const value = option.type === "flag" ? "" : ` ${option.value}`;
  return `${letter === undefined ? "    " : `-${letter}, `}--${name}${value}`;
}

/** What an option does, with the words it takes and what `--json` prints. */
export function optionText(name: string, option: OptionSpec, spec?: CommandSpec): string {
  if (name === "json" && spec !== undefined) {
    return spec.json === "lines"
      ? "print a line of JSON for each thing"
      : "print one JSON document";
  }
  if (option.type === "flag") return option.text;
  const choices = option.choices === undefined ? "" : `: ${option.choices.join(", ")}`;
  return `${option.text}${choices}${option.many ? " (may be given several times)" : ""}`;
}

function optionRows(
  options: Readonly<Record<string, OptionSpec>>,
  paint: Paint,
  help: string | undefined,
  spec?: CommandSpec,
): string[] {
  return Object.entries(options).flatMap(([name, option]) => {
    const letter = name === "help" ? help : option.short;
    return row(optionLabel(name, option, letter), optionText(name, option, spec), paint);
  });
}

function operandRows(spec: CommandSpec, paint: Paint): string[] {
  return [
    paint("heading", "Operands:"),
    ...spec.operands.flatMap(({ name, text }) => row(name, text, paint)),
  ];
}

function statusRows(statuses: Readonly<Record<number, string>>): string[] {
  return Object.entries(statuses).flatMap(([status, text]) => {
    const lines = wrap(text, 5);
    return lines.map((line, index) => (index === 0 ? `  ${status}  ${line.trimStart()}` : line));
  });
}

/** A label in one column and its text in the next; a long label stands on a line of its own. */
function row(label: string, text: string, paint: Paint): string[] {
  const column = 28;
  const lines = wrap(text, column);
  const shown = paint("name", label);
  if (label.length + 4 > column) return [`  ${shown}`, ...lines];
  const [first = "", ...others] = lines;
  return [`  ${shown}${first.slice(label.length + 2)}`, ...others];
}

function wrap(text: string, indent = 0): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && indent + line.length + 1 + word.length > WIDTH) {
      lines.push(" ".repeat(indent) + line);
      line = "";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return [...lines, " ".repeat(indent) + line];
}
