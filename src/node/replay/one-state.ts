/**
 * One state of a replayed disk, by its name: to be checked again, or saved.
 *
 * @module
 */
import { openSync, closeSync, fstatSync } from "node:fs";
import { BlockImage } from "../../crash/block-image.ts";
import { type InnerState, RecoveryExplorer } from "../../crash/block-recovery.ts";
import {
  type StateName,
  type Stop,
  inImage,
  parseState,
  putState,
  stopName,
} from "../../crash/block-states.ts";
import { type StopPlan, stopsOf } from "../../crash/block-stops.ts";
import type { DiskMap } from "../../crash/disk-map.ts";
import { DaxError, assert } from "../../lib/errno.ts";
import { typed } from "../system-error.ts";
import { openExplorer } from "./checks.ts";
import { type ReplayDisk, openReplayDisk } from "./disk.ts";
import type { ReplayCheck, ReplaySource } from "./settings.ts";
import { StateFile } from "./state-file.ts";

/** Checks one state again; what is wrong with it. @throws EINVAL for a state that is not there */
export function checkState(
  source: ReplaySource,
  state: string,
  check: ReplayCheck,
): string | undefined {
  const name = parseState(state);
  const disk = openReplayDisk(source, name.model, true);
  try {
    const stop = walkTo(disk, name);
    if (name.inner !== undefined) {
      if (check.kind === "ext") return innerState(disk, stop, name.inner).said;
      throw refusedState("a power cut inside a recovery is ext's; look at it with --check ext");
    }
    const opened = openExplorer(disk, check, { runs: 1, seed: 0 });
    try {
      return opened.explorer.objectionTo(stop, inImage(disk.frontier, name.assignment));
    } finally {
      opened.close();
    }
  } finally {
    disk.close();
  }
}

/**
 * Writes a state into a new or empty file.
 * @throws EINVAL for a state that is not there, EEXIST for a file that holds something
 */
export function saveState(source: ReplaySource, state: string, path: string): void {
  const name = parseState(state);
  const disk = openReplayDisk(source, name.model, true);
  try {
    const stop = walkTo(disk, name);
    if (name.inner === undefined) {
      putState(disk.frontier, inImage(disk.frontier, name.assignment));
      saveImage(disk.frontier.image, path, disk.frontier.map);
    } else {
      const { image } = innerState(disk, stop, name.inner);
      const made = new BlockImage(new Uint8Array(image.length));
      made.put(0, image.length, image);
      saveImage(made, path, disk.frontier.map);
    }
  } finally {
    disk.close();
  }
}

/** Writes the disk as it is after all entries, or after the mark. Returns its bytes. */
export function saveReplayed(
  source: ReplaySource,
  endMark: string | undefined,
  path: string,
): number {
  const disk = openReplayDisk(source, { unit: 512 }, false);
  try {
    const plan: StopPlan = {
      at: ["mark"],
      reorder: false,
      ...(endMark === undefined ? {} : { endMark }),
    };
    let last: string | undefined;
    for (const { mark } of stopsOf(disk.trace, plan, disk.frontier)) last = mark;
    if (endMark !== undefined && last !== endMark) throw noMark(source.log, endMark);
    const { image, map } = disk.frontier;
    saveImage(image, path, map);
    return map.size;
  } finally {
    disk.close();
  }
}

function noMark(path: string, mark: string): DaxError {
  const detail = `the log has no mark '${mark}'; 'daxkit replay LOG' lists them`;
  return new DaxError("ENOENT", { syscall: "replay", path, detail });
}

function walkTo(disk: ReplayDisk, { stop: wanted }: StateName): Stop {
  const plan: StopPlan = { at: ["entry"], reorder: true, every: true };
  for (const stop of stopsOf(disk.trace, plan, disk.frontier)) {
    if (stopName(stop) === wanted) return stop;
  }
  const detail = `state '${wanted}': the log has no such instant; it has ${disk.entries} entries`;
  throw new DaxError("EINVAL", { syscall: "replay", detail });
}

/** A state inside a recovery from what the power may leave at a stop. @throws EINVAL */
function innerState(disk: ReplayDisk, stop: Stop, inner: string): InnerState {
  const opened = openExplorer(disk, { kind: "ext", depth: 2 }, { runs: 1, seed: 0 });
  try {
    assert(opened.explorer instanceof RecoveryExplorer, "depth 2 cuts recoveries");
    return opened.explorer.inner(stop, inner);
  } finally {
    opened.close();
  }
}

function refusedState(detail: string): DaxError {
  return new DaxError("EINVAL", { syscall: "replay", detail });
}

/** What holds something is not overwritten. */
function saveImage(image: BlockImage, path: string, map: DiskMap): void {
  const fd = typed(path, () => openSync(path, "a"));
  const { size } = fstatSync(fd);
  closeSync(fd);
  if (size > 0) {
    const detail = `it holds ${size} bytes; remove it, or name another file`;
    throw new DaxError("EEXIST", { syscall: "replay", path, detail });
  }
  const file = new StateFile(path, image, map);
  file.update();
  file.close();
}
