/**
 * `-o` as it stands on a command line and in fstab: words between commas, of which the last one
 * counts where two say different things.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { closest } from "../lib/suggest.ts";
import {
  MOUNT_WORDS,
  type MountSettings,
  type Owners,
  REFUSED,
  WITHOUT_EFFECT,
  WrongValue,
} from "./mount-words.ts";

/** What a list of options says. */
export interface MountOptions {
  readonly settings: Readonly<MountSettings>;
  /** Words that were accepted and change nothing, as they were written. */
  readonly ignored: readonly string[];
}

/** How to read it. */
export interface ReadOptions {
  /** What is not known is ignored (`-s` of a helper). */
  readonly sloppy?: boolean;
  /** Users and groups by their names; none has one unless given. */
  readonly owners?: Owners;
}

/** More than any kernel takes, and than fstab has in a line. */
const LONGEST = 65_536;
/** Characters of a word in a message. */
const SHOWN = 60;

const NOBODY: Owners = { user: () => undefined, group: () => undefined };

/** What a mount is without options, but for its place. */
const PLAIN: Readonly<MountSettings> = {
  readOnly: false,
  noexec: false,
  nodev: false,
  nosuid: false,
  atime: "relative",
  nodiratime: false,
  allowOther: undefined,
  uid: undefined,
  gid: undefined,
  umask: undefined,
  writebackCache: false,
  noOpen: false,
  nonempty: false,
  autoUnmount: true,
  fsname: undefined,
  subtype: undefined,
  offset: undefined,
  partition: undefined,
  dax: undefined,
  commit: undefined,
  errors: undefined,
  data: undefined,
  noload: false,
  nodelalloc: false,
  minixdf: false,
  remount: false,
};

/**
 * Reads lists of options, one behind the other.
 * @throws EINVAL naming the word, and those that there are; ENOTSUP for one that Linux knows and
 *   that cannot be kept here
 */
export function readMountOptions(
  lists: readonly string[],
  { sloppy = false, owners = NOBODY }: ReadOptions = {},
): MountOptions {
  const settings = { ...PLAIN };
  const ignored: string[] = [];
  for (const list of lists) {
    for (const word of splitOptions(list)) {
      if (!apply(settings, word, owners, sloppy)) ignored.push(word);
    }
  }
  return { settings, ignored };
}

/**
 * The words of a list. Commas inside double quotes, or behind a backslash, are part of a word; both
 * are taken away, and empty words are none.
 * @throws EINVAL for a list that is too long, or a quote without its end
 */
export function splitOptions(list: string): string[] {
  if (list.length > LONGEST) throw refused(`options of ${list.length} characters`);
  const words: string[] = [];
  let word = "";
  let quoted = false;
  for (let i = 0; i < list.length; i++) {
    const character = list[i] as string;
    const next = list[i + 1];
    if (character === "\\" && next !== undefined && '\\,"'.includes(next)) {
      word += next;
      i++;
    } else if (character === '"') {
      quoted = !quoted;
    } else if (character === "," && !quoted) {
      words.push(word);
      word = "";
    } else {
      word += character;
    }
  }
  if (quoted) throw refused(`options ${shown(list)}: a quote has no end`);
  return [...words, word].filter((each) => each !== "");
}

/** False for a word that changes nothing. */
function apply(settings: MountSettings, word: string, owners: Owners, sloppy: boolean): boolean {
  const equals = word.indexOf("=");
  const name = equals === -1 ? word : word.slice(0, equals);
  const value = equals === -1 ? undefined : word.slice(equals + 1);
  const known = Object.hasOwn(MOUNT_WORDS, name) ? MOUNT_WORDS[name] : undefined;
  if (known === undefined) {
    if (WITHOUT_EFFECT.has(name) || /^x-/iu.test(name) || sloppy) return false;
    throw unknown(word, name);
  }
  if (known.value === undefined && value !== undefined) {
    throw refused(`option ${shown(word)}: '${name}' has no value`);
  }
  if (known.value !== undefined && value === undefined && known.optional !== true) {
    throw refused(`option '${name}': its value is missing (${name}=${known.value})`);
  }
  try {
    known.set(settings, value ?? "", owners);
  } catch (error) {
    if (!(error instanceof WrongValue)) throw error;
    throw refused(`option ${shown(word)}: ${error.message}`);
  }
  return true;
}

function unknown(word: string, name: string): DaxError {
  const why = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
  if (why !== undefined) {
    return new DaxError("ENOTSUP", { syscall: "mount", detail: `option ${shown(word)}: ${why}` });
  }
  const names = Object.keys(MOUNT_WORDS);
  const near = closest(name.slice(0, SHOWN), names);
  const hint = near === undefined ? "there" : `did you mean ${near}? There`;
  const fstab = "and those of fstab that are for others";
  return refused(`option ${shown(word)} is unknown; ${hint} are ${names.join(", ")}, ${fstab}`);
}

function refused(detail: string): DaxError {
  return new DaxError("EINVAL", { syscall: "mount", detail });
}

function shown(word: string): string {
  return JSON.stringify(word.length > SHOWN ? `${word.slice(0, SHOWN)}…` : word);
}
