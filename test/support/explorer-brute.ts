/**
 * The explorer and brute force on the same crash points: every raw state made and run for real,
 * with nothing of what makes the explorer lazy.
 */
import { CrashImage } from "../../src/crash/crash-image.ts";
import { type Exploration, explore } from "../../src/crash/explorer.ts";
import { Frontier } from "../../src/crash/frontier.ts";
import type { Program } from "../../src/crash/program.ts";
import { RawStates } from "../../src/crash/raw-states.ts";
import { crc32c } from "../../src/lib/crc32c.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";
import { Transcripts } from "../../src/crash/transcript.ts";
import { ModelledMedia } from "../../src/media/modelled.ts";

/** What both are to agree on, for one crash point. */
export interface PointFigures {
  /** Raw states. */
  readonly space: bigint;
  /** Those that the check objects to. */
  readonly failing: bigint;
  /** What the check saw, each once. */
  readonly seen: readonly string[];
}

/** A program that recovers and then sees something, as text; an error is seen, too. */
export interface Watched {
  readonly recover?: (media: ModelledMedia) => unknown;
  readonly look: (media: ModelledMedia, recovered: unknown) => string;
}

/** Objects to about a third of what can be seen: a weight that is wrong shows in what fails. */
function objects(text: string): boolean {
  return crc32c(0, encodeUtf8(text)) % 3 === 0;
}

/** What came of it; `brute` and `lazy` are to be equal. */
export interface Compared {
  readonly points: number;
  readonly rawStates: number;
  /** Crash points with more than one raw state. */
  readonly open: number;
  readonly brute: readonly PointFigures[];
  readonly lazy: readonly PointFigures[];
}

/** Explores each crash point that has at most so many raw states both ways. */
export function compare(
  { initial, trace, torn, modelled }: Pick<Exploration, "initial" | "trace" | "torn" | "modelled">,
  watched: Watched,
  mostStates: bigint,
): Compared {
  const brute: PointFigures[] = [];
  const lazy: PointFigures[] = [];
  let rawStates = 0;
  const image = new CrashImage(initial.slice());
  const { classes } = new ModelledMedia(initial.length, modelled);
  const frontier = new Frontier({ image, trace, classes, torn, level: 0 });
  let stamp = -1;
  // What one crash point has taught is remembered at the next ones.
  const transcripts = new Transcripts();
  for (const point of frontier.points()) {
    if (point.space > mostStates || point.stamp === stamp) continue;
    ({ stamp } = point);
    const states = new RawStates(frontier, image.bytes, trace, torn);
    const seen = new Set<string>();
    let failing = 0n;
    const count = states.visit((bytes) => {
      const text = runFor(bytes, watched, modelled);
      if (text !== undefined) seen.add(text);
      if (text === undefined || objects(text)) failing++;
    });
    rawStates += count;
    brute.push({ space: BigInt(count), failing, seen: [...seen].toSorted() });
    const span = [point.event, point.event + 1] as const;
    lazy.push(lazily({ initial, trace, torn, modelled, span, transcripts }, watched));
  }
  const open = brute.filter(({ space }) => space > 1n).length;
  return { points: brute.length, open, rawStates, brute, lazy };
}

/** What is seen; undefined when recovery fails. */
function runFor(
  bytes: Uint8Array,
  watched: Watched,
  modelled: Exploration["modelled"],
): string | undefined {
  const media = new ModelledMedia(bytes.length, modelled);
  media.recorder.image.set(bytes);
  media.recorder.recording = false;
  let recovered: unknown;
  try {
    recovered = watched.recover?.(media);
  } catch {
    return undefined;
  }
  return see(watched, media, recovered);
}

function see(watched: Watched, media: ModelledMedia, recovered: unknown): string {
  try {
    return watched.look(media, recovered);
  } catch (error) {
    return `threw ${String(error)}`;
  }
}

function lazily(
  what: Pick<Exploration, "initial" | "trace" | "torn" | "modelled" | "span" | "transcripts">,
  watched: Watched,
): PointFigures {
  const seen = new Set<string>();
  const program: Program = {
    ...(watched.recover && { recover: watched.recover }),
    look: (media, recovered) => see(watched, media, recovered),
    check: (_media, _acked, text) => {
      seen.add(text as string);
      return !objects(text as string);
    },
  };
  const budget = { leaves: 1_000_000, steps: 10_000_000 };
  const { tallies, unmeasurable, cut } = explore({ ...what, program, depth: 1, budget });
  const { space = 0n, covered, failing = 0n } = tallies[0] ?? {};
  if (unmeasurable !== undefined || cut || covered !== space) {
    throw new Error(unmeasurable ?? `covered ${covered} of ${space}`);
  }
  return { space, failing, seen: [...seen].toSorted() };
}
