/**
 * When a kernel does what nobody asked for: its journal's timer commits, and its flusher writes
 * contents out of memory, between any two steps of a program, or not at all. Each schedule is one
 * way; all of a model's are explored, since whoever loses power cannot choose.
 *
 * @module
 */
import type { ExtMountOptions } from "../../fs/ext/ext.ts";

/** The name of a schedule. */
export type ScheduleName = "asked" | "timer" | "delayed" | "delayed-timer" | "flusher";

/** A way in which commits and allocation may come. */
export interface Schedule {
  readonly name: ScheduleName;
  /** What happens in it, as the end of "when …". */
  readonly words: string;
  /** How the volume of the workload is mounted for it. */
  readonly mount: Pick<
    ExtMountOptions,
    "delalloc" | "dioreadNolock" | "flusherAtWork" | "commitSteps"
  >;
}

const ASKED: Schedule = { name: "asked", words: "nothing commits but what is asked to", mount: {} };
const TIMER: Schedule = {
  name: "timer",
  words: "the journal's timer comes round behind every step, and commits it",
  mount: { commitSteps: true },
};
const WRITE_BACK: Schedule = {
  ...TIMER,
  words: "what every step has changed is written back behind it",
};
const DELAYED: Schedule = {
  name: "delayed",
  words: "contents of files stay in memory as long as ext4 may keep them there (delalloc)",
  mount: { delalloc: true, dioreadNolock: true },
};
const DELAYED_TIMER: Schedule = {
  name: "delayed-timer",
  words:
    "the journal's timer comes round behind every step, while contents of files stay in memory " +
    "as long as ext4 may keep them there (delalloc)",
  mount: { delalloc: true, dioreadNolock: true, commitSteps: true },
};
const FLUSHER: Schedule = {
  name: "flusher",
  words:
    "the flusher has begun to write out what every step wrote, so that blocks and sizes are " +
    "there and contents are not, and the journal's timer comes round",
  mount: { delalloc: true, dioreadNolock: true, flusherAtWork: true, commitSteps: true },
};

/** What a filesystem may do by itself, by kind; the first is how a program is explored first. */
export const SCHEDULES = {
  /** ext4 on a disk: contents pass through the page cache. */
  ext4: [ASKED, TIMER, DELAYED, DELAYED_TIMER, FLUSHER],
  /** ext4 with dax: contents have their blocks before a write returns. */
  ext4Dax: [ASKED, TIMER],
  ext2: [ASKED, WRITE_BACK],
  none: [ASKED],
} as const satisfies Readonly<Record<string, readonly Schedule[]>>;

const NAME = /^(?:(timer|delayed|delayed-timer|flusher):)?(.*)$/su;

/** What the name of a state says of its schedule, and the rest of it. */
export function scheduleIn(
  state: string,
  schedules: readonly Schedule[],
): { readonly schedule: Schedule | undefined; readonly rest: string } {
  const [, name, rest = ""] = NAME.exec(state) ?? [];
  const schedule = schedules.find((one) => one.name === name);
  return { schedule, rest: schedule === undefined ? state : rest };
}

/** The beginning of the name of a state in this schedule. */
export function schedulePrefix(schedule: Schedule | undefined): string {
  return schedule === undefined ? "" : `${schedule.name}:`;
}

/** What was found of a schedule in which nothing was lost. */
export interface ScheduleTally {
  readonly name: ScheduleName;
  readonly words: string;
  readonly space: bigint;
  readonly leaves: number;
  readonly crashPoints: number;
}
