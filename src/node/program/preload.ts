/**
 * Loaded before a program that is to be proved: gives it the volume, and writes down what it does.
 *
 * @module
 */
import fs from "node:fs";
import { isMainThread } from "node:worker_threads";
import { DaxError } from "../../lib/errno.ts";
import { type VolumeFs, makeFacade } from "../facade/facade.ts";
import { acceptTypeScript } from "../load-program.ts";
import { pathIn } from "../prove/calls.ts";
import { AckLines } from "./acks.ts";
import { watchBypasses } from "./bypasses.ts";
import { CallRecorder } from "./call-recorder.ts";
import { MountedPaths } from "./mounted-paths.ts";
import { patchFs } from "./patched-fs.ts";
import { JOB_VARIABLE, type ProgramJob } from "./program-job.ts";
import { callerSite } from "./program-site.ts";
import { type Bypass, type Entry, decodeEntries, encodeEntry } from "./record.ts";
import { replayOn } from "./replay-record.ts";
import { UMASK, faultyStage, programTree } from "./stage.ts";

/** Bytes that wait to be written. */
const MOST_WAITING = 1 << 20;
const { appendFileSync, readFileSync } = fs;

/** What a program does, on its way to the file. */
class RecordFile {
  readonly #path: string;
  #waiting: Buffer[] = [];
  #bytes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  readonly add = (entry: Entry): void => {
    const bytes = encodeEntry(entry);
    this.#waiting.push(bytes);
    this.#bytes += bytes.length;
    if (this.#bytes > MOST_WAITING) this.flush();
  };

  flush(): void {
    if (this.#bytes === 0) return;
    appendFileSync(this.#path, Buffer.concat(this.#waiting));
    this.#waiting = [];
    this.#bytes = 0;
  }
}

/** What a program may call where it runs under daxkit, and does without elsewhere. */
interface ProgramGlobal {
  daxkit?: { readonly ack: (label: unknown) => void; readonly mount: string };
}

const job = jobOf(process.env[JOB_VARIABLE]);
acceptTypeScript();
if (job?.pid === process.pid && isMainThread) begin(job);
else if (job !== undefined) refuse(job);

function jobOf(text: string | undefined): (ProgramJob & { pid: number }) | undefined {
  if (text === undefined) return undefined;
  const found = JSON.parse(text) as ProgramJob & { pid?: number };
  const mine = { ...found, pid: found.pid ?? process.pid };
  process.env[JOB_VARIABLE] = JSON.stringify(mine);
  return mine;
}

function begin(given: ProgramJob): void {
  const { mount, record, setup, ackPrefix } = given;
  const file = new RecordFile(record);
  const volume = volumeOf(given, file);
  if (setup !== undefined) {
    replayOn(makeFacade(volume.tree, { umask: UMASK }).fs, decodeEntries(readFileSync(setup)));
  }
  volume.begin();
  const seen = new Set<string>();
  const noticed = (bypass: Bypass, what: string): void => {
    const key = `${bypass} ${what}`;
    if (seen.has(key) || seen.size > MOST_NOTICED) return;
    seen.add(key);
    file.add({ kind: "bypass", bypass, what, site: callerSite() });
  };
  const ack = (label: unknown): void => file.add({ kind: "ack", label, site: callerSite() });
  const lines = new AckLines(ackPrefix, ack);
  listen(lines);
  patchFs({
    paths: volume.paths,
    volume: () => volume.fs,
    outside: (path) => noticed("outside", path),
    written: (target, data) => {
      if (target === 1 || target === "/dev/stdout") lines.feed(data);
    },
  });
  const atEnd = watchBypasses(noticed, { module: import.meta.url, variable: JOB_VARIABLE });
  (globalThis as ProgramGlobal).daxkit = { ack, mount };
  process.on("exit", () => {
    atEnd();
    file.flush();
  });
}

/** Things around the volume that are told. */
const MOST_NOTICED = 100;

function volumeOf(
  given: ProgramJob,
  file: RecordFile,
): {
  readonly fs: VolumeFs;
  readonly paths: MountedPaths;
  readonly tree: ReturnType<typeof programTree>;
  readonly begin: () => void;
} {
  const { mount, model, size, make, fault, terms } = given;
  const cwd = process.cwd.bind(process);
  const paths = new MountedPaths(mount, cwd);
  const proof = {
    ...(size === undefined ? {} : { machine: { size } }),
    ...terms,
    workload: () => undefined,
    check: () => undefined,
    ...(model && { model }),
    ...(make && { make }),
  };
  const faulty = fault === undefined ? undefined : faultyStage(proof, mount, fault);
  const tree = faulty?.tree ?? programTree(proof, mount);
  const recorder: CallRecorder = new CallRecorder({
    emit: file.add,
    fs: () => made.fs,
    instead: (call) =>
      faulty?.injector.instead(call, () => {
        const path = pathIn(call.context, call.args[0]);
        return path !== undefined && !made.fs.existsSync(path);
      }),
  });
  const made = makeFacade(tree, {
    umask: UMASK,
    workingDirectory: paths.cwd,
    observer: recorder.observer,
    // Who does not wait for a promise is overtaken by what he does next.
    turn: () =>
      new Promise((resolve) => {
        setImmediate(resolve);
      }),
  });
  return { fs: made.fs, paths, tree, begin: () => faulty?.begin() };
}

/** Promises are lines on standard output, told at the moment at which they are written. */
function listen(lines: AckLines): void {
  const { stdout } = process;
  const write = stdout.write.bind(stdout) as (...args: unknown[]) => boolean;
  stdout.write = (...args: unknown[]) => {
    lines.feed(args[0]);
    return write(...args);
  };
}

/** Threads and other processes have files of their own, and see no volume of this one. */
function refuse({ mount }: ProgramJob): void {
  const who = isMainThread ? "a program that the program started" : "a worker thread";
  patchFs({
    paths: new MountedPaths(mount, process.cwd.bind(process)),
    volume: () => {
      const detail = `${who} does not see the volume; daxkit prove --mount-fuse shows it to all`;
      throw new DaxError("ENOTSUP", { syscall: "open", path: mount, detail });
    },
  });
}
