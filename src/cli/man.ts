/**
 * The manual page daxkit(1), made from the command table in the man(7) macros.
 *
 * @module
 */
import { COMMON_OPTIONS, type Command, type OptionSpec, type OptionTable } from "./command.ts";
import { STATUSES, SUMMARY, optionText, statusesOf, usage } from "./help.ts";
import { helpLetter } from "./parse.ts";

/** The page for one version of the program. */
export function manualPage(commands: readonly Command[], version: string): string {
  const lines = [
    `.TH DAXKIT 1 "" "daxkit ${roff(version)}" "User Commands"`,
    ".SH NAME",
    `daxkit \\- ${roff(SUMMARY)}`,
    ".SH SYNOPSIS",
    ".B daxkit",
    ".I COMMAND",
    roff("[OPTION]... [OPERAND]..."),
    ".SH DESCRIPTION",
    "daxkit reads and checks filesystem images through direct access, boots machines with",
    "persistent memory in user space, and proves what survives a power cut.",
    "It needs neither root nor kernel modules nor hardware.",
    ".PP",
    "An image is given as",
    ".I IMAGE",
    "or",
    ".IR IMAGE :/path:",
    "a file that holds a filesystem, or a disk of which",
    `${bold("--partition")} or ${bold("--offset")} names the part.`,
    "Of a word with several colons the longest part that names an existing file is the image.",
    "Sizes take the suffixes K, M, G, T and P (powers of 1024).",
    ".SH COMMANDS",
    ...commands.flatMap(section),
    '.SH "EXIT STATUS"',
    ...Object.entries(STATUSES).flatMap(([status, text]) => [".TP", bold(status), roff(text)]),
    ".SH ENVIRONMENT",
    ".TP",
    bold("NO_COLOR"),
    "When set and not empty, nothing is coloured.",
    "Colours appear on a terminal only.",
    "",
  ];
  return lines.join("\n");
}

function section(spec: Command): string[] {
  const options: OptionTable = { ...spec.options, ...COMMON_OPTIONS };
  return [
    `.SS ${roff(`"${spec.name} - ${spec.summary}"`)}`,
    roff(usage(spec)),
    ...spec.description.flatMap((paragraph) => [".PP", roff(paragraph)]),
    ...spec.operands.flatMap(({ name, text }) => [".TP", `\\fI${roff(name)}\\fR`, roff(text)]),
    ...Object.entries(options).flatMap(([name, option]) => [
      ".TP",
      label(name, option, name === "help" ? helpLetter(spec) : option.short),
      roff(optionText(name, option, spec)),
    ]),
    ".PP",
    "Examples:",
    ...spec.examples.flatMap((example) => [
      ".PP",
      ".RS",
      ".nf",
      bold(example.line),
      ".fi",
      roff(example.text),
      ".RE",
    ]),
    ...ownStatuses(spec),
  ];
}

function ownStatuses(spec: Command): string[] {
  if (spec.statuses === undefined) return [];
  const rows = Object.entries(statusesOf(spec)).map(([status, text]) => `${status} (${text})`);
  return [".PP", roff(`Exit status: ${rows.join(", ")}.`)];
}

function label(name: string, option: OptionSpec, letter: string | undefined): string {
  const value = option.type === "flag" ? "" : ` \\fI${roff(option.value)}\\fR`;
  return `${letter === undefined ? "" : `${bold(`-${letter}`)}, `}${bold(`--${name}`)}${value}`;
}

function bold(text: string): string {
  return `\\fB${roff(text)}\\fR`;
}

/** Characters that roff would take for something else or print as typography. */
const ROFF: Readonly<Record<string, string>> = {
  "\\": "\\e",
  "-": "\\-",
  "'": "\\(aq",
  "~": "\\(ti",
  "^": "\\(ha",
  "`": "\\(ga",
};

/** Text in which roff sees no request, escape or hyphenation point. */
function roff(text: string): string {
  const escaped = text.replaceAll(/[-\\'~^`]/gu, (character) => ROFF[character] ?? character);
  return escaped.startsWith(".") ? `\\&${escaped}` : escaped;
}
