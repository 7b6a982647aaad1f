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
import type { MappedDevice } from "./mapped-device.ts";
import { readOptions, runsOf, StillWaiting, UsageError, WordsError } from "./dmsetup-options.ts";
import { VERBS, verbOf } from "./dmsetup-verbs.ts";
import { PartError } from "./reports.ts";

/** What a run of dmsetup leaves. */
export interface DmsetupResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: 0 | 1;
  /**
   * `wait` found that nothing has happened to this device yet, and a function cannot wait: run it
   * again when the device's `watch` has called back.
   */
  readonly waits?: MappedDevice;
}

/** Runs `dmsetup WORDS...`; never throws but for a bug. */
export function dmsetup(
  mapper: DeviceMapper,
  words: readonly string[],
  input: DmsetupInput = {},
): DmsetupResult {
  let stdout = "";
  try {
    const given = readOptions(words);
    const verb = verbOf(given);
    if (given.verb === "help") {
      const stderr = `Usage:\n\ndmsetup ${[...VERBS.keys()].join("|")} [OPTION]... [WORD]...\n`;
      return { stdout, stderr, status: 0 };
    }
    for (const run of runsOf(given)) stdout += verb.run(mapper, run, input);
    return { stdout, stderr: "", status: 0 };
  } catch (error) {
    if (error instanceof StillWaiting) {
      return { stdout: "", stderr: `${error.message}\n`, status: 1, waits: error.device };
    }
    if (error instanceof PartError) stdout += error.stdout;
    return { stdout, stderr: `${wordsOf(error)}\n`, status: 1 };
  }
}

function wordsOf(error: unknown): string {
  if (error instanceof WordsError) return `${error.message}\nCouldn't process command line.`;
  if (error instanceof UsageError) return `${error.message}\nCommand failed.`;
  if (!isDaxError(error)) throw error;
  return `${error.message}\nCommand failed.`;
}
