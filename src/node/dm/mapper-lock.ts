/**
 * One mapper process at a place: it has a file locked for as long as it lives, however it ends.
 *
 * @module
 */
import { closeSync, constants, fstatSync, openSync, rmSync, statSync } from "node:fs";
import { isDaxError } from "../../lib/errno.ts";
import { closeUnlocked, lockExclusively } from "../file-lock.ts";
import { typed } from "../system-error.ts";

/** A lock that is held. */
export interface MapperLock {
  /** Gives it back and takes its file away. */
  release(): void;
}

/** Takes the lock; undefined when another process has it. @throws what opening says */
export function lockMapper(path: string): MapperLock | undefined {
  const flags = constants.O_RDWR | constants.O_CREAT;
  const fd = typed(path, () => openSync(path, flags, 0o600));
  try {
    lockExclusively(fd, path);
  } catch (error) {
    closeSync(fd);
    if (isDaxError(error, "EBUSY")) return undefined;
    throw error;
  }
  // Whoever had it may have taken the file away between our two calls: then this locks nothing.
  const there = statSync(path, { throwIfNoEntry: false });
  if (there?.ino !== fstatSync(fd).ino) {
    closeUnlocked(fd);
    return undefined;
  }
  return {
    release: () => {
      rmSync(path, { force: true });
      closeUnlocked(fd);
    },
  };
}
