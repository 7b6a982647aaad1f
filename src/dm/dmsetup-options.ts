/**
 * The options of dmsetup.
 *
 * @module
 */
import type { MappedDevice } from "./mapped-device.ts";

/** What was wrong with the words, as dmsetup would print it. */
export class UsageError extends Error {
  override readonly name = "UsageError";
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
  "remove suspend resume clear wipe_table info table status deps".split(" "),
);

/** Options that take a value, by every spelling. */
const VALUES: Readonly<Record<string, string>> = {
  "--table": "table",
  "--uuid": "uuid",
  "-u": "uuid",
  "--minor": "minor",
  "-m": "minor",
  "--major": "major",
  "-j": "major",
  "--options": "options",
  "-o": "options",
  "--target": "target",
  "--dax": "dax",
};

/** Options without one. */
const FLAGS: Readonly<Record<string, string>> = {
  "--notable": "notable",
  "-n": "notable",
  "--readonly": "readonly",
  "-r": "readonly",
  "--inactive": "inactive",
  "--deferred": "deferred",
  "--noflush": "noflush",
  "--nolockfs": "nolockfs",
  "--columns": "columns",
  "-c": "columns",
  "-C": "columns",
  "--noheadings": "noheadings",
  "--setuuid": "setuuid",
  "--tree": "tree",
  "--force": "force",
  "-f": "force",
  "--retry": "retry",
  "--verbose": "verbose",
  "-v": "verbose",
  "--verifyudev": "verifyudev",
  "--noudevsync": "noudevsync",
  "--noudevrules": "noudevrules",
};

/**
 * Takes words apart. Everything behind the sector of `message` belongs to the message.
 * @throws UsageError
 */
export function readOptions(words: readonly string[]): Given {
  const operands: string[] = [];
  const flags = new Set<string>();
  const values = new Map<string, string>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i] as string;
    const before = values.has("uuid") || values.has("minor") ? 2 : 3;
    const isText = operands[0] === "message" && operands.length >= before;
    if (!word.startsWith("-") || word === "-" || isText) operands.push(word);
    else if (word in FLAGS) flags.add(FLAGS[word] as string);
    else i += readValue(word, words[i + 1], values);
  }
  const [verb] = operands;
  if (verb === undefined) throw new UsageError("Please supply a command.");
  if (verb !== "create" && values.has("major") !== values.has("minor")) {
    throw new UsageError("Please specify both major number and minor number.");
  }
  return { verb, operands: operands.slice(1), flags, values };
}

/** A run for each device, where there are several; a table of columns has all of them at once. */
export function runsOf(given: Given): readonly Given[] {
  const { verb, operands, flags, values } = given;
  const atOnce = verb === "info" && flags.has("columns");
  if (operands.length < 2 || !REPEATED.has(verb) || atOnce) return [given];
  return operands.map((name) => ({ verb, operands: [name], flags, values, several: true }));
}

/** Whether `-u`, or `-j` and `-m`, say which device is meant, and no operand does. */
export function isByOption({ verb, operands, values }: Given): boolean {
  if (verb === "create" || !(values.has("uuid") || values.has("minor"))) return false;
  return operands.length === 0 || !REPEATED.has(verb);
}

/** Returns how many further words it took. */
function readValue(word: string, next: string | undefined, values: Map<string, string>): number {
  const split = word.startsWith("--") ? word.indexOf("=") : -1;
  const key = VALUES[split === -1 ? word : word.slice(0, split)];
  if (key === undefined) throw new UsageError(`dmsetup: unrecognized option '${word}'`);
  if (split !== -1) {
    values.set(key, word.slice(split + 1));
    return 0;
  }
  if (next === undefined) throw new UsageError(`dmsetup: option '${word}' requires an argument`);
  values.set(key, next);
  return 1;
}
