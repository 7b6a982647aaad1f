/**
 * Writes down the calls that a program makes on a volume, in the order in which they are done.
 *
 * @module
 */
import { type CallSite } from "../../lib/call-site.ts";
import { isDaxError } from "../../lib/errno.ts";
import type { VolumeFs } from "../facade/facade.ts";
import type { CallObserver, ObservedCall } from "../facade/operation.ts";
import { copied } from "./copied-arguments.ts";
import { askedForAt, callerSite } from "./program-site.ts";
import type { CallEntry } from "./record.ts";
import { isPathAt, routeOf } from "./routes.ts";

/** Calls that change nothing, not even where a descriptor stands. */
const LOOKING = new Set(
  ["access", "exists", "fstat", "lstat", "opendir", "readdir", "readlink", "realpath"].concat([
    "stat",
    "statfs",
  ]),
);
/** Calls that move the position of a descriptor. */
const READING = new Set(["read", "readFile", "readv"]);
const WHOLE_FILES = new Set(["appendFile", "writeFile"]);

/** Where the calls go. */
export interface RecorderOptions {
  readonly emit: (entry: CallEntry) => void;
  /** The volume, with the recorder for its observer. */
  readonly fs: () => VolumeFs;
  /** What a call does instead, where it is to fail. */
  readonly instead?: ((call: ObservedCall) => (() => unknown) | undefined) | undefined;
}

/** The observer of a program's calls. */
export class CallRecorder {
  readonly #options: RecorderOptions;
  /** Descriptors through which something is written: what they read moves them. */
  readonly #writable = new Set<number>();

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  readonly observer: CallObserver = (call) => {
    const { name, args } = call;
    if (LOOKING.has(name) || (READING.has(name) && !this.#moves(args[0]))) return call.work;
    const site = callerSite();
    if (WHOLE_FILES.has(name) && isIterated(args[1])) return () => this.#pieces(call, site);
    return () => this.#done(call, site);
  };

  #moves(target: unknown): boolean {
    return typeof target === "number" && this.#writable.has(target);
  }

  #done(call: ObservedCall, site: CallSite | undefined): unknown {
    const { name, context } = call;
    const work = this.#options.instead?.(call) ?? call.work;
    const args = READING.has(name)
      ? readingOf(name, call.args)
      : inFull(
          context.workingDirectory,
          name,
          call.args.map((arg) => copied(arg)),
        );
    const entry = { kind: "call", name, args, site } as const;
    let result: unknown;
    try {
      result = work();
    } catch (error) {
      this.#options.emit({ ...entry, code: isDaxError(error) ? error.code : null });
      throw error;
    }
    // A copy of a tree is done by now: it waits for nobody but a filter, and has none.
    if (result instanceof Promise) this.#options.emit({ ...entry, code: null });
    else if (name === "open") this.#opened(entry, result as number, call.args[1]);
    else if (name === "mkdtemp") this.#options.emit(named(entry, result));
    else this.#options.emit(entry);
    return result;
  }

  #opened(entry: CallEntry, fd: number, flags: unknown): void {
    const reads = flags === undefined || flags === null || flags === "r" || flags === 0;
    if (reads) this.#writable.delete(fd);
    else this.#writable.add(fd);
    this.#options.emit({ ...entry, fd });
  }

  /** What comes piece by piece is written piece by piece, with other calls in between. */
  async #pieces({ name, args, context }: ObservedCall, site: CallSite | undefined): Promise<void> {
    const fs = this.#options.fs();
    const [target, pieces, given] = args as [number | string, AsyncIterable<unknown>, unknown];
    const options = (typeof given === "string" ? { encoding: given } : (given ?? {})) as Options;
    const at = <T>(body: () => T): T => askedForAt(site, body);
    const flag = options.flag ?? (name === "appendFile" ? "a" : "w");
    const own = context.openFile(target as number) === undefined;
    const fd = own
      ? at(() => fs.openSync(target as string, flag, options.mode))
      : (target as number);
    try {
      for await (const piece of pieces) {
        options.signal?.throwIfAborted();
        const bytes = ArrayBuffer.isView(piece)
          ? Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
          : Buffer.from(piece as string, options.encoding ?? "utf8");
        for (let done = 0; done < bytes.length;) {
          done += at(() => fs.writeSync(fd, bytes.subarray(done)));
        }
      }
      if (options.flush === true) at(() => fs.fsyncSync(fd));
    } finally {
      if (own) at(() => fs.closeSync(fd));
    }
  }
}

interface Options {
  readonly flag?: string | number;
  readonly mode?: number;
  readonly flush?: boolean;
  readonly signal?: AbortSignal;
  readonly encoding?: BufferEncoding | null;
}

function isIterated(value: unknown): boolean {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return false;
  return Symbol.asyncIterator in value || Symbol.iterator in value;
}

/** Paths as they would be from the root; links and `..` in them stay for who walks them. */
function inFull(cwd: string, name: string, args: readonly unknown[]): readonly unknown[] {
  const route = routeOf(name);
  return args.map((arg, index) => {
    const relative = typeof arg === "string" && isPathAt(route, index) && !arg.startsWith("/");
    return relative && arg !== "" ? `${cwd}/${arg}` : arg;
  });
}

/** A name that chance gave is taken as it is. */
function named(entry: CallEntry, path: unknown): CallEntry {
  return { ...entry, name: "mkdir", args: [String(path), 0o700] };
}

/** How much is read from where: into which memory does not matter. */
function readingOf(name: string, args: readonly unknown[]): readonly unknown[] {
  if (name === "readFile") return [args[0]];
  const [fd, target, third, length, position] = args;
  if (name === "readv") {
    const views = (target as readonly NodeJS.ArrayBufferView[]).map(({ byteLength }) => byteLength);
    return [fd, views, typeof third === "number" ? third : null];
  }
  const buffered = ArrayBuffer.isView(target);
  const options = (buffered ? third : target) as
    | { length?: number; position?: unknown }
    | undefined;
  if (buffered && typeof third !== "object" && args.length > 2) {
    return [fd, typeof length === "number" ? length : target.byteLength, position ?? null];
  }
  const whole = buffered ? target.byteLength : 16_384;
  return [fd, options?.length ?? whole, options?.position ?? null];
}
