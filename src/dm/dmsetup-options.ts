/**
 * The words of dmsetup, taken apart as getopt_long does: options stand anywhere, short ones may be
 * joined, long ones cut short as long as they are the only ones that begin so, and `--` ends them.
 *
 * @module
 */
import type { MappedDevice } from "./mapped-device.ts";

/** What was wrong, as dmsetup would print it. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}

/** The words make no command: dmsetup says so, and does nothing. */
export class WordsError extends UsageError {
  override readonly name = "WordsError";
}

/** What a command waits for has not happened yet. */
export class StillWaiting extends Error {
  override readonly name = "StillWaiting";
  readonly device: MappedDevice;

  constructor(device: MappedDevice) {
    super(`no event of ${device.name} since event ${device.events}`);
    this.device = device;
  }
}

/** The words of a command, taken apart. */
export interface Given {
  readonly verb: string;
  /** What is no option. */
  readonly operands: readonly string[];
  readonly flags: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, string>;
  /** This is one run of several, each for another device. */
  readonly several?: boolean;
}

/** Commands that take any number of devices. */
export const REPEATED: ReadonlySet<string> = new Set(
  "remove suspend resume clear wipe_table info table status deps mknodes mangle".split(" "),
);

/** Long options that take a value, with their letters. */
const VALUES: Readonly<Record<string, string>> = {
  dax: "",
  gid: "G",
  major: "j",
  manglename: "",
  minor: "m",
  mode: "M",
  options: "o",
  readahead: "",
  select: "S",
  separator: "",
  sort: "O",
  table: "",
  target: "",
  udevcookie: "",
  uid: "U",
  uuid: "u",
};

/** Long options without one. */
const FLAGS: Readonly<Record<string, string>> = {
  addnodeoncreate: "",
  addnodeonresume: "",
  checks: "",
  columns: "cC",
  concise: "",
  deferred: "",
  force: "f",
  help: "h",
  inactive: "",
  nameprefixes: "",
  noflush: "",
  noheadings: "",
  nolockfs: "",
  noopencount: "",
  notable: "n",
  noudevrules: "",
  noudevsync: "",
  readonly: "r",
  retry: "",
  rows: "",
  setuuid: "",
  showkeys: "",
  tree: "",
  unbuffered: "",
  unquoted: "",
  verbose: "v",
  verifyudev: "",
  version: "",
  yes: "y",
};

const LETTERS: ReadonlyMap<string, string> = new Map(
  Object.entries({ ...VALUES, ...FLAGS }).flatMap(([name, letters]) =>
    Array.from(letters, (letter) => [letter, name] as const),
  ),
);
const NAMES: readonly string[] = Object.keys({ ...VALUES, ...FLAGS });
const MANGLING: ReadonlySet<string> = new Set(["none", "auto", "hex"]);

/** Takes words apart. @throws WordsError */
export function readOptions(words: readonly string[]): Given {
  const operands: string[] = [];
  const flags = new Set<string>();
  const values = new Map<string, string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    if (word === "--") {
      operands.push(...words.slice(i + 1));
      break;
    }
    const next = words[i + 1];
    if (word.startsWith("--")) i += readLong(word, next, flags, values);
    else if (word.startsWith("-") && word !== "-") i += readCluster(word, next, flags, values);
    else operands.push(word);
  }
  const verb = operands[0] ?? wordless(flags);
  if (verb === undefined) throw new WordsError("Please supply a command.");
  const given = { verb, operands: operands.slice(1), flags, values };
  checkTogether(given);
  return given;
}

/** As {@link readOptions}; undefined for what is no command. */
export function givenBy(words: readonly string[]): Given | undefined {
  try {
    return readOptions(words);
  } catch (error) {
    if (error instanceof WordsError) return undefined;
    throw error;
  }
}

/** Options that are a command by themselves. */
function wordless(flags: ReadonlySet<string>): string | undefined {
  return ["help", "version"].find((flag) => flags.has(flag));
}

function checkTogether({ verb, flags, values }: Given): void {
  if (flags.has("notable") && values.has("table")) {
    throw new WordsError("--table and --notable are incompatible.");
  }
  if (flags.has("addnodeonresume") && flags.has("addnodeoncreate")) {
    throw new WordsError("--addnodeonresume and --addnodeoncreate are incompatible.");
  }
  if (values.has("major") !== values.has("minor")) {
    throw new WordsError("Please specify both major number and minor number.");
  }
  if (!MANGLING.has(values.get("manglename") ?? "auto")) {
    throw new WordsError("Unknown name mangling mode.");
  }
  const mode = values.get("mode");
  if (mode !== undefined && !/^[0-7]+$/u.test(mode)) {
    throw new WordsError(`Invalid argument for --mode: ${mode}. `);
  }
  if (!(flags.has("columns") || verb === "splitname")) checkShown(verb, flags, values);
}

/** How devices are shown, where `-o` names no fields. */
const SHOWN: ReadonlySet<string> = new Set(["", "devno", "devname", "blkdevname"]);
const TREE_WORDS: ReadonlySet<string> = new Set(
  (
    "device nodevice blkdevname active open rw uuid utf vt100 ascii compact inverted " +
    "notrunc table"
  ).split(" "),
);

function checkShown(
  verb: string,
  flags: ReadonlySet<string>,
  values: ReadonlyMap<string, string>,
): void {
  const words = (values.get("options") ?? "").split(",");
  if (verb === "ls" && flags.has("tree")) {
    const odd = words.find((word) => word !== "" && !TREE_WORDS.has(word));
    if (odd !== undefined) throw new WordsError(`Tree options not recognised: ${odd}.`);
    return;
  }
  const odd = words.find((word) => !SHOWN.has(word));
  if (odd !== undefined) throw new WordsError(`Option not recognised: ${odd}.`);
}

/** The last word of `-o`, where it says how devices are shown: `devname`. */
export function shownAs({ values }: Given): string {
  return values.get("options")?.split(",").at(-1) ?? "";
}

/** A run for each device, where there are several; a table of columns has all of them at once. */
export function runsOf(given: Given): readonly Given[] {
  const { verb, operands, flags, values } = given;
  const atOnce = (verb === "info" && flags.has("columns")) || flags.has("concise");
  if (operands.length < 2 || !REPEATED.has(verb) || atOnce) return [given];
  return operands.map((name) => ({ verb, operands: [name], flags, values, several: true }));
}

/** Whether `-u`, or `-j` and `-m`, say which device is meant, and no operand does. */
export function isByOption({ verb, operands, values }: Given): boolean {
  if (verb === "create" || !(values.has("uuid") || values.has("minor"))) return false;
  return operands.length === 0 || !REPEATED.has(verb);
}

/**
 * The file with the table that a command has to read: undefined for standard input, `none` where
 * it reads none.
 */
export function tableFile(given: Given): { readonly file: string | undefined } | "none" {
  const { verb, operands, flags, values } = given;
  if (verb === "create" && flags.has("concise")) {
    return operands.length === 0 ? { file: undefined } : "none";
  }
  const reads = verb === "create" || verb === "load" || verb === "reload";
  if (!reads || values.has("table") || flags.has("notable")) return "none";
  const before = isByOption(given) ? 0 : 1;
  return operands.length < before ? "none" : { file: operands[before] };
}

/** Returns how many further words it took. */
function readLong(
  word: string,
  next: string | undefined,
  flags: Set<string>,
  values: Map<string, string>,
): number {
  const split = word.indexOf("=");
  const given = word.slice(2, split === -1 ? undefined : split);
  const name = longName(given, word);
  if (Object.hasOwn(FLAGS, name)) {
    if (split !== -1) throw new WordsError(`dmsetup: option '--${name}' doesn't allow an argument`);
    flags.add(name);
    return 0;
  }
  const value = split === -1 ? next : word.slice(split + 1);
  if (value === undefined) throw new WordsError(`dmsetup: option '${word}' requires an argument`);
  values.set(name, value);
  return split === -1 ? 1 : 0;
}

function longName(given: string, word: string): string {
  if (NAMES.includes(given)) return given;
  const meant = NAMES.filter((name) => name.startsWith(given));
  const [first] = meant;
  if (first === undefined) throw new WordsError(`dmsetup: unrecognized option '${word}'`);
  if (meant.length === 1) return first;
  const all = meant.map((name) => `'--${name}'`).join(" ");
  throw new WordsError(`dmsetup: option '${word}' is ambiguous; possibilities: ${all}`);
}

/** Returns how many further words it took. */
function readCluster(
  word: string,
  next: string | undefined,
  flags: Set<string>,
  values: Map<string, string>,
): number {
  for (let i = 1; i < word.length; i++) {
    const letter = word[i] as string;
    const name = LETTERS.get(letter);
    if (name === undefined) throw new WordsError(`dmsetup: invalid option -- '${letter}'`);
    if (Object.hasOwn(FLAGS, name)) {
      flags.add(name);
      continue;
    }
    const rest = word.slice(i + 1);
    const value = rest === "" ? next : rest;
    if (value === undefined) {
      throw new WordsError(`dmsetup: option requires an argument -- '${letter}'`);
    }
    values.set(name, value);
    return rest === "" ? 1 : 0;
  }
  return 0;
}
