/** Devices that promise bytes: power is cut everywhere, and what was promised is looked for. */
import { explore } from "../../../src/crash/explorer.ts";
import type { Torn } from "../../../src/crash/versions.ts";
import { copyOf } from "../../../src/lib/memory.ts";
import { ModelledMedia, type ModelledOptions } from "../../../src/media/modelled.ts";
import type { WriteLog } from "../../../src/block/write-log.ts";
import { same } from "../bytes.ts";
import { objectionOf } from "./story.ts";

/** From here on these bytes of the media are what they were when it was promised. */
export interface Promised {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Makes a promise. */
export type Promising = (at: number, bytes: Uint8Array) => void;

/** What a promise is held against. */
export interface Promises {
  readonly size: number;
  readonly modelled?: ModelledOptions;
  readonly torn?: Torn;
  /** What is there before; ones unless given, so that zeros which did not arrive are seen. */
  readonly initial?: Uint8Array;
}

/** Looks for the latest promises; older ones lie in lines that nobody has touched since. */
function broken(media: ModelledMedia, acked: readonly unknown[]): string | undefined {
  for (const { at, bytes } of (acked as readonly Promised[]).slice(-6)) {
    const found = copyOf(media.window(at).memory, at, bytes.length);
    if (!same(found, bytes)) return `bytes ${at}+${bytes.length} are not what was promised`;
  }
  return undefined;
}

/** Runs a workload; what is wrong with a state that a power cut may leave, undefined: nothing. */
export async function brokenPromise(
  { size, modelled = {}, torn = "line", initial = new Uint8Array(size).fill(0xff) }: Promises,
  workload: (media: ModelledMedia, promise: Promising) => void | Promise<void>,
): Promise<string | undefined> {
  const media = new ModelledMedia(size, modelled);
  media.recorder.image.set(initial);
  await workload(media, (at, bytes) => media.ack({ at, bytes: bytes.slice() }));
  const findings = explore({
    initial,
    modelled,
    trace: media.trace,
    program: { check: broken },
    torn,
    depth: 1,
    budget: { leaves: 100_000, steps: 1_000_000 },
    stopAtFirst: true,
  });
  return objectionOf(findings);
}

/** What a log of writes promises by its flushes and FUA writes; nothing else may be lost of it. */
export function durableInLog(log: WriteLog, size: number): Uint8Array {
  const [kept, cached] = [new Uint8Array(size).fill(0xff), new Uint8Array(size).fill(0xff)];
  for (const entry of log.entries()) {
    const bytes = new Uint8Array(entry.length);
    if (!entry.discard) log.read(entry, 0, bytes);
    if (entry.flush) kept.set(cached);
    cached.set(bytes, entry.start);
    if (entry.fua) kept.set(bytes, entry.start);
  }
  return kept;
}
