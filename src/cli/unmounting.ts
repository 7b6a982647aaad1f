/**
 * Taking mounts of daxkit away: which one a word means, and when its image is closed.
 *
 * @module
 */
import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { MountEntry } from "../node/fuse/mount-table.ts";
import { type FoundRecord, readRecords, stateOf } from "./mount-record.ts";
import { sourceOf } from "./mount-source.ts";
import { usersOf } from "./mount-users.ts";

/** How a mount is to go. */
export interface UnmountWishes {
  readonly lazy: boolean;
  readonly force: boolean;
}

/** A mount of daxkit, and who serves it where that is known. */
export interface FoundMount {
  readonly entry: MountEntry;
  readonly record: FoundRecord | undefined;
}

const TYPE = "fuse.daxkit";
const LOOK_MS = 20;
/** The server hears of it at once; what takes longer is held by somebody whom we do not see. */
const HELD_MS = 10_000;

/** All mounts of daxkit that this process sees, in the order in which they were made. */
export async function findMounts(): Promise<FoundMount[]> {
  const { readMounts } = await import("../node/fuse/mount-table.ts");
  const records = readRecords();
  return readMounts()
    .filter(({ type }) => type === "fuse" || type.startsWith("fuse."))
    .map((entry) => ({ entry, record: records.find((record) => isOf(record, entry)) }))
    .filter(({ entry, record }) => entry.type === TYPE || record !== undefined);
}

/** What a record says counts for mounts of its owner only. */
function isOf({ device, uid }: FoundRecord, entry: MountEntry): boolean {
  return device === entry.device && entry.options.split(",").includes(`user_id=${uid}`);
}

/**
 * The mount that a word means: a directory, or what is mounted.
 * @throws EINVAL where nothing is mounted, what is mounted is not daxkit's, or it is several times
 */
export async function findMount(word: string): Promise<FoundMount> {
  const mounts = await findMounts();
  const { readMounts } = await import("../node/fuse/mount-table.ts");
  const all = readMounts();
  for (const place of placesOf(word)) {
    const top = all.findLast(({ mountPoint }) => mountPoint === place);
    const found = mounts.findLast(({ entry }) => entry.mark === top?.mark);
    if (found !== undefined) return found;
    if (top !== undefined && top.mountPoint !== "/") throw foreign(word, top);
    const sources = new Set([word, place, sourceOf(word)]);
    const of = mounts.filter(({ entry }) => sources.has(entry.source));
    if (of.length > 0) return onlyOf(word, of);
  }
  throw refused(word, "nothing is mounted there; 'daxkit mount' lists what is");
}

function onlyOf(word: string, mounts: readonly FoundMount[]): FoundMount {
  const [only, ...others] = mounts as [FoundMount, ...FoundMount[]];
  if (others.length === 0) return only;
  const directories = mounts.map(({ entry }) => entry.mountPoint).join(", ");
  throw refused(word, `it is mounted on ${directories}; name one of them`);
}

/** The ways to say it. Of the place itself is asked last: behind it may be nobody. */
function* placesOf(word: string): Generator<string> {
  const path = resolve(word);
  yield path;
  try {
    yield join(realpathSync(dirname(path)), basename(path));
    yield realpathSync(path);
  } catch {
    // What cannot be looked at is found by its name, or not at all.
  }
}

function foreign(word: string, { type, source }: MountEntry): DaxError {
  return refused(word, `${source} is mounted there as ${type}, and not by daxkit; use umount(8)`);
}

function refused(path: string, detail: string): DaxError {
  return new DaxError("EINVAL", { syscall: "umount", path, detail });
}

/**
 * Unmounts, and waits until the image is closed: whoever looks at it then finds it clean. Does not
 * wait for a mount that is gone from sight only: `lazy`, or bound to a second place.
 * @throws EBUSY naming who uses it, EPERM; EIO when the image could not be closed well, and
 *   ETIMEDOUT where another mount namespace holds it
 */
export async function unmount({ entry, record }: FoundMount, wishes: UnmountWishes): Promise<void> {
  const { detach } = await import("../node/fuse/unmounting.ts");
  const { findFusermount } = await import("../node/fuse/fusermount.ts");
  try {
    const helper = process.geteuid?.() === 0 ? undefined : findFusermount();
    await detach(entry, helper, wishes);
  } catch (error) {
    throw withUsers(error, entry.mountPoint);
  }
  if (record === undefined || (wishes.lazy && !wishes.force)) return;
  const { readMounts } = await import("../node/fuse/mount-table.ts");
  if (readMounts().some(({ device }) => device === entry.device)) return;
  await closed(record, entry.mountPoint);
}

async function closed(record: FoundRecord, path: string): Promise<void> {
  const start = performance.now();
  for (;;) {
    const state = stateOf(record);
    if (state.is === "closed") return;
    if (state.is === "failed") {
      throw new DaxError("EIO", { syscall: "umount", path, detail: state.error });
    }
    if (state.is === "serving" && performance.now() - start > HELD_MS) throw held(record, path);
    // oxlint-disable-next-line no-await-in-loop -- nothing tells of the end of somebody's child
    await delay(LOOK_MS);
  }
}

function held({ pid, source }: FoundRecord, path: string): DaxError {
  return new DaxError("ETIMEDOUT", {
    syscall: "umount",
    path,
    detail:
      `it is gone from here, but another mount namespace holds it, or pid ${pid} does not ` +
      `answer: ${source} is still open`,
  });
}

/** Who it is that keeps it busy. */
export function withUsers(error: unknown, directory: string): unknown {
  if (!isDaxError(error, "EBUSY")) return error;
  const users = usersOf(directory);
  if (users === undefined) return error;
  const detail = `in use by ${users}; end them, or unmount lazily (-l) or by force (-f)`;
  return new DaxError("EBUSY", { syscall: "umount", path: directory, detail });
}
