/**
 * The command line of a helper, as mount(8) and umount(8) call it.
 *
 * @module
 */
import { UsageError } from "./command.ts";

/** A line of a helper, understood. */
export interface HelperWords {
  readonly operands: readonly string[];
  /** Letters without a value that were given. */
  readonly flags: ReadonlySet<string>;
  /** The values of `-o`, in order. */
  readonly options: readonly string[];
  /** `-N`: the mount namespace to do it in, a path or the number of a process. */
  readonly namespace: string | undefined;
  /** The same line without `-N`. */
  readonly rest: readonly string[];
}

const WITH_VALUE = /[oNt]/u;

/** @throws UsageError for a letter that is none of `flags`, or a value that is missing */
export function helperWords(argv: readonly string[], flags: string): HelperWords {
  const found = { operands: [] as string[], flags: new Set<string>(), options: [] as string[] };
  const rest: string[] = [];
  let namespace: string | undefined;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string;
    if (word === "--") {
      found.operands.push(...argv.slice(i + 1));
      rest.push(...argv.slice(i));
      break;
    }
    if (!word.startsWith("-") || word === "-") {
      found.operands.push(word);
      rest.push(word);
      continue;
    }
    const at = word.search(WITH_VALUE);
    const letters = word.slice(1, at === -1 ? undefined : at);
    for (const letter of letters) {
      if (!flags.includes(letter)) throw new UsageError(`unknown option '-${letter}'`);
      found.flags.add(letter);
    }
    if (letters !== "") rest.push(`-${letters}`);
    if (at === -1) continue;
    const value = at + 1 < word.length ? word.slice(at + 1) : argv[++i];
    if (value === undefined) throw new UsageError(`the value of '-${word[at]}' is missing`);
    if (word[at] === "N") namespace = value;
    else rest.push(`-${word[at]}`, value);
    if (word[at] === "o") found.options.push(value);
  }
  return { ...found, namespace, rest };
}

/** The words of a line that runs `argv` in another mount namespace, for nsenter(1). */
export function inNamespace(namespace: string, argv: readonly string[]): string[] {
  const path = /^\d+$/u.test(namespace) ? `/proc/${namespace}/ns/mnt` : namespace;
  return [`--mount=${path}`, "--", ...argv];
}
