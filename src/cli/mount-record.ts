/**
 * Who serves which mount: a small file for each mount of the command, so that whoever unmounts can
 * wait until the image behind it was closed. It goes when that has happened.
 *
 * @module
 */
import { lstatSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { namesIn } from "../node/processes.ts";
import { madeRuntimeFolder, runtimeFolder } from "./runtime-folder.ts";

/** What is known of a mount. */
export interface MountRecord {
  /** Of the superblock, as in mountinfo: `0:52`. */
  readonly device: string;
  readonly pid: number;
  /** When that process started, in ticks: numbers of processes are given again. */
  readonly started: string;
  readonly source: string;
  readonly directory: string;
  /** The kernel has let go; the image is being closed. */
  readonly ending: boolean;
  /** Why the image could not be closed well: the last thing that its process says. */
  readonly error?: string;
}

/** A record that this process keeps. */
export interface KeptRecord {
  /** The kernel has let go. */
  ending(): void;
  /** The image was closed, unless there is an error. */
  closed(error?: string): void;
}

const NAME = /^mount-\d+-\d+\.json$/u;
/** Longer than any that was written here. */
const LONGEST = 20_000;

/** Where records of others may be: root ends everybody's mounts. */
function folders(): string[] {
  const runtimes = namesIn("/run/user").map((uid) => `/run/user/${uid}/daxkit`);
  const temporary = namesIn(tmpdir()).filter((name) => /^daxkit-\d+$/u.test(name));
  const others = [...runtimes, ...temporary.map((name) => join(tmpdir(), name))];
  return [...new Set([runtimeFolder(), ...others])];
}

/**
 * Says that this process serves a mount. That it cannot be said is no reason not to: then whoever
 * unmounts does not wait.
 */
export function keepRecord(of: Pick<MountRecord, "device" | "source" | "directory">): KeptRecord {
  const started = startOf(process.pid) ?? "";
  const record: MountRecord = { ...of, pid: process.pid, started, ending: false };
  const path = join(runtimeFolder(), `mount-${of.device.replace(":", "-")}.json`);
  try {
    sweep(madeRuntimeFolder());
    store(path, record);
  } catch {
    return { ending: () => {}, closed: () => {} };
  }
  const change = (to: MountRecord): void => {
    try {
      store(path, to);
    } catch {
      // Whoever waits sees the process end.
    }
  };
  return {
    ending: () => change({ ...record, ending: true }),
    closed: (error) => {
      if (error === undefined) rmSync(path, { force: true });
      else change({ ...record, ending: true, error });
    },
  };
}

/** What processes have left that were killed, or had the last word. */
function sweep(folder: string): void {
  for (const name of namesIn(folder)) {
    const path = join(folder, name);
    if (NAME.test(name) && readRecord(path) === undefined) rmSync(path, { force: true });
  }
}

function store(path: string, record: MountRecord): void {
  const whole = `${path}.${process.pid}`;
  rmSync(whole, { force: true });
  writeFileSync(whole, JSON.stringify(record), { mode: 0o644, flag: "wx" });
  renameSync(whole, path);
}

/** A record, where it is, and whose. */
export interface FoundRecord extends MountRecord {
  readonly path: string;
  readonly uid: number;
}

/** Who serves the mounts of this machine, as far as they say so and still live. */
export function readRecords(): FoundRecord[] {
  return folders().flatMap((folder) =>
    namesIn(folder)
      .filter((name) => NAME.test(name))
      .map((name) => join(folder, name))
      .flatMap((path) => readRecord(path) ?? []),
  );
}

/** Undefined for what is none, or was not written by its process, or that is gone. */
function readRecord(path: string): FoundRecord | undefined {
  const record = readFile(path);
  if (record === undefined || startOf(record.pid) !== record.started) return undefined;
  return record;
}

function readFile(path: string): FoundRecord | undefined {
  try {
    const file = lstatSync(path);
    if (!file.isFile() || file.size > LONGEST) return undefined;
    const record: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (!isRecord(record)) return undefined;
    const writer = lstatSync(`/proc/${record.pid}`, { throwIfNoEntry: false });
    return writer === undefined || writer.uid === file.uid
      ? { ...record, path, uid: file.uid }
      : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is MountRecord {
  if (typeof value !== "object" || value === null) return false;
  const { device, pid, started, source, directory, ending } = value as Record<string, unknown>;
  const { error = "" } = value as Record<string, unknown>;
  const texts = [device, started, source, directory, error].every(
    (each) => typeof each === "string",
  );
  return texts && typeof ending === "boolean" && Number.isInteger(pid) && Number(pid) > 0;
}

/** What has become of a mount. */
export type MountState =
  | { readonly is: "serving" | "ending" | "closed" }
  | { readonly is: "failed"; readonly error: string };

/** What a record says now; one that is gone was closed, and so was one whose process is. */
export function stateOf({ path, pid, started }: FoundRecord): MountState {
  const now = readFile(path);
  if (now === undefined || now.pid !== pid || now.started !== started) return { is: "closed" };
  if (now.error !== undefined) return { is: "failed", error: now.error };
  if (startOf(pid) !== started) return { is: "closed" };
  return { is: now.ending ? "ending" : "serving" };
}

/** When a process started, in ticks since boot; undefined for one that is gone. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name of the program is in brackets, and may hold any.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
