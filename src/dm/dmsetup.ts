/**
 * dmsetup as a function: words in, text and status out. Options, output and errors are those of
 * dmsetup 1.02.185; under the error of a refused ioctl stands what the kernel would log of it, with
 * the cause.
 *
 * @module
 */
import { isDaxError } from "../lib/errno.ts";
import type { DeviceMapper } from "./device-mapper.ts";
import type { DmsetupInput } from "./dmsetup-ioctl.ts";
import { readOptions, UsageError, type Given } from "./dmsetup-options.ts";
import { VERBS } from "./dmsetup-verbs.ts";

/** What a run of dmsetup leaves. */
export interface DmsetupResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: 0 | 1;
}

/** Runs `dmsetup WORDS...`; never throws but for a bug. */
export function dmsetup(
  mapper: DeviceMapper,
  words: readonly string[],
  input: DmsetupInput = {},
): DmsetupResult {
  let given: Given | undefined;
  try {
    given = readOptions(words);
    const verb = VERBS.get(given.verb);
    if (verb === undefined) throw new UsageError(`Unknown command: ${given.verb}`);
    return { stdout: verb(mapper, given, input), stderr: "", status: 0 };
  } catch (error) {
    return { stdout: "", stderr: `${wordsOf(error)}Command failed.\n`, status: 1 };
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof UsageError) return `${error.message}\n`;
  if (!isDaxError(error)) throw error;
  return `${error.message}\n`;
}
