/**
 * Does again what a program did: the same calls in the same order, with the same bytes.
 *
 * @module
 */
import { isDaxError } from "../../lib/errno.ts";
import type { VolumeFs } from "../facade/facade.ts";
import type { Act } from "../prove/recording.ts";
import type { CallEntry, Entry } from "./record.ts";

/** Thrown when a call ends otherwise than it did for the program. */
class ReplayFault extends Error {
  override readonly name = "ReplayFault";
}

/** What a program did, as the workload of a proof. */
export function actOf(entries: readonly Entry[]): Act {
  return ({ fs, log, ack }) => {
    for (const entry of entries) {
      if (entry.kind === "bypass" || entry.kind === "fault") continue;
      log.siteOf = () => entry.site;
      if (entry.kind === "ack") ack(entry.label);
      else callAgain(fs, entry);
    }
  };
}

/** Does all of a record on a volume. @throws when a call ends otherwise than it did */
export function replayOn(fs: VolumeFs, entries: readonly Entry[]): void {
  for (const entry of entries) if (entry.kind === "call") callAgain(fs, entry);
}

function callAgain(fs: VolumeFs, entry: CallEntry): void {
  const { name, code, fd } = entry;
  let result: unknown;
  let found: string | undefined;
  try {
    result = made(fs, entry);
  } catch (error) {
    if (!isDaxError(error) && code !== null) throw error;
    found = isDaxError(error) ? error.code : undefined;
  }
  if ((code === null || found === code) && (fd === undefined || result === fd)) return;
  const what = `${name} ${String(entry.args[0])}`;
  const [before, now] = [code, found].map((each) => each ?? "success");
  throw new ReplayFault(`${what}: the program was told ${before}, and done again it is ${now}`);
}

function made(fs: VolumeFs, { name, args }: CallEntry): unknown {
  const [fd, second, third] = args;
  const calls = fs as unknown as Record<string, (...given: unknown[]) => unknown>;
  if (name === "read") {
    return calls["readSync"]?.(fd, Buffer.alloc(Number(second)), 0, second, third);
  }
  if (name === "readv") {
    const views = (second as readonly number[]).map((length) => Buffer.alloc(length));
    return calls["readvSync"]?.(fd, views, third);
  }
  return calls[`${name}Sync`]?.(...args);
}
