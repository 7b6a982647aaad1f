/**
 * The files of a mapper process, all beside the socket at which it takes commands.
 *
 * @module
 */
import { existsSync, lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { DaxError } from "../../lib/errno.ts";
import { type MapperLock, lockMapper } from "./mapper-lock.ts";

/** Where things are. */
export interface MapperPlaces {
  /** Takes commands. */
  readonly control: string;
  /** Serves the devices. */
  readonly nbd: string;
  /** Locked while a mapper lives. */
  readonly lock: string;
  /** What a mapper that was killed has left: which devices there were. */
  readonly record: string;
}

/**
 * Takes a socket away that a killed mapper has left; for who has the lock of these places.
 * @throws EADDRINUSE for what is no socket, which stays: an image is soon named by mistake
 */
export function clearSocket(path: string): void {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isSocket() === false) {
    const detail = "a file that is no socket is there; remove it, or choose another path";
    throw new DaxError("EADDRINUSE", { syscall: "listen", path, detail });
  }
  if (stat !== undefined) rmSync(path, { force: true });
}

/** The places of the mapper whose commands are taken at `control`. */
export function mapperPlaces(control: string): MapperPlaces {
  return {
    control,
    nbd: `${control}.nbd`,
    lock: `${control}.lock`,
    record: `${control}.json`,
  };
}

/** The devices of a mapper, while it lives. */
export interface MapperRecord {
  readonly pid: number;
  /** Each behind those that it stands on. */
  readonly devices: readonly RecordedMapping[];
}

/** What it takes to create a device again. */
export interface RecordedMapping {
  readonly name: string;
  /** Empty where there is none. */
  readonly uuid: string;
  readonly minor: number;
  readonly readOnly: boolean;
  /** Empty where there is none; devices are named by path. */
  readonly table: string;
}

/** Writes a record in place of the one before; one that cannot be written is none. */
export function storeRecord(path: string, record: MapperRecord): void {
  const whole = `${path}.${record.pid}`;
  try {
    writeFileSync(whole, `${JSON.stringify(record)}\n`, { mode: 0o600 });
    renameSync(whole, path);
  } catch {
    rmSync(whole, { force: true });
  }
}

/**
 * Reads the record of a mapper that is gone, and takes it away: what it says is told once. One that
 * ended well has left none; `alive` where it is not gone, or not yet. That is known by its lock,
 * which ends with the process: a number may be another process's by now, or that of a dead one that
 * nobody has waited for.
 */
export function takeRecord({
  record: path,
  lock,
}: MapperPlaces): MapperRecord | "alive" | undefined {
  if (!existsSync(path)) return undefined;
  let held: MapperLock | undefined;
  try {
    held = lockMapper(lock);
    if (held === undefined) return "alive";
    const record = JSON.parse(readFileSync(path, "utf8")) as MapperRecord;
    rmSync(path);
    return Array.isArray(record.devices) ? record : undefined;
  } catch {
    return undefined;
  } finally {
    held?.release();
  }
}
