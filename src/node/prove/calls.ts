/**
 * The calls that a workload makes of its volume: what each was, where in the program, and which
 * events of the trace it made; and calls that are added or left out, to see what becomes of it.
 *
 * @module
 */
import { dirname, resolve } from "node:path/posix";
import { type CallSite, programSite } from "../../lib/call-site.ts";
import type { Trace } from "../../media/trace.ts";
import type { CallObserver, ObservedCall, ObservedContext } from "../facade/operation.ts";
import type { Mapping } from "../../vfs/mapping.ts";
import type { FaultInjector } from "./fault-injector.ts";

/** A call of `node:fs`. */
export interface CallNote {
  /** Its name in `node:fs`, without its flavour; `ack` for a promise. */
  readonly name: string;
  /** The file, as an absolute path; absent where there is none. */
  readonly path?: string;
  /** The second path of `rename`, `link`, `copyFile` and `cp`. */
  readonly to?: string;
  /** Bytes that were given to be written. */
  readonly bytes?: number;
  /** What more there is to say of it: `at 512 by sqlite3`. */
  readonly detail?: string;
  /** What a promise was. */
  readonly label?: unknown;
  readonly site?: CallSite;
  /** What tells places in the program apart where no site does. */
  readonly place?: string;
  /** The code of the error that it threw, or the error's name. */
  readonly threw?: string;
  /** The first event of the trace that it made, and the first after it. */
  readonly from: number;
  readonly stop: number;
}

/** A call to be added, each time that a program comes to a place, or to be left out. */
export interface CallPatch {
  /** `before` and `after` a call of this place; `instead` of it. */
  readonly when: "before" | "after" | "instead";
  /** See {@link placeOfCall}; {@link callerPlaceOf} for those that come from one caller. */
  readonly place: string;
  /** What is synced: the file of the call, or the directory that holds it; nothing: left out. */
  readonly what: "file" | "directory" | "nothing";
}

/** Calls that change nothing that a power cut could take. */
const LOOKING =
  /^(?:access|close|exists|fstat|lstat|stat|statfs|read|readFile|readv|readlink)$|dir$/u;
/** Calls with two paths. */
const TWO = /^(?:rename|link|symlink|copyFile|cp)$/u;

/** Whether the call may change the volume. */
export function mayChange(name: string): boolean {
  return !LOOKING.test(name) || /^(?:mkdir|rmdir)$/u.test(name);
}

type Placed = Pick<CallNote, "name" | "site" | "place">;

/** A place in the source and a call there, as a key. */
export function placeOfCall({ name, site, place }: Placed): string {
  if (place !== undefined) return `${name} ${place}`;
  return site === undefined ? "" : `${name} ${site.file}:${site.line}:${site.column}`;
}

/** The same, for calls that came from one place of the caller's; "" where nobody called. */
export function callerPlaceOf(call: Placed): string {
  const [caller] = call.site?.callers ?? [];
  if (caller === undefined) return "";
  return `${placeOfCall(call)} < ${caller.file}:${caller.line}:${caller.column}`;
}

/** A call that was written down elsewhere. */
export type ForeignCall = Omit<CallNote, "from" | "stop" | "site" | "label">;

type Open = { -readonly [K in keyof CallNote]: CallNote[K] };

/** Told of each call before it is made and after it, with its number from 1. */
export interface CallLook {
  before(call: CallNote, number: number): void;
  after(number: number): void;
}

/** Notes calls, with the trace they go to. */
export class CallLog {
  readonly calls: CallNote[] = [];
  /** Calls that a patch was about. */
  patched = 0;
  readonly #trace: Trace;
  readonly #patches: readonly CallPatch[];
  readonly #sync: (path: string) => void;
  readonly #exists: (path: string) => boolean;
  readonly #look: CallLook | undefined;
  readonly #inject: FaultInjector | undefined;
  /** Where a call is made; a program that ran elsewhere was somewhere else then. */
  siteOf: () => CallSite | undefined = programSite;
  /** Inside of a call: what the facade calls by itself is a part of it. */
  #busy = false;
  #on = true;

  constructor(options: {
    readonly trace: Trace;
    readonly patches: readonly CallPatch[];
    /** Makes a file or directory durable. */
    readonly sync: (path: string) => void;
    readonly exists: (path: string) => boolean;
    /** Who wants to see what becomes of files. */
    readonly look?: CallLook | undefined;
    /** Makes calls fail. */
    readonly inject?: FaultInjector | undefined;
  }) {
    this.#trace = options.trace;
    this.#patches = options.patches;
    this.#sync = options.sync;
    this.#exists = options.exists;
    this.#look = options.look;
    this.#inject = options.inject;
  }

  /** Calls that come now are the harness's own. */
  end(): void {
    this.#on = false;
  }

  acked(label: unknown): void {
    const from = this.#trace.count;
    const site = this.siteOf();
    this.calls.push({ name: "ack", label, from, stop: from + 1, ...(site && { site }) });
  }

  /** Notes a call of a program that ran elsewhere; `work` makes it again. */
  again(call: ForeignCall, work: () => unknown): void {
    const { count: from } = this.#trace;
    this.#noted({ ...call, from, stop: from }, work);
  }

  /** The same mapping, whose stores and flushes are calls. */
  mapped(mapping: Mapping): Mapping {
    return new Proxy(mapping, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== "function") return value;
        const made = value.bind(target) as (...args: readonly unknown[]) => unknown;
        if (key !== "copyIn" && key !== "flush") return made;
        return (...args: readonly unknown[]) => this.#onMapping(target.path, key, args, made);
      },
    });
  }

  #onMapping(
    path: string,
    name: "copyIn" | "flush",
    args: readonly unknown[],
    made: (...args: readonly unknown[]) => unknown,
  ): unknown {
    const work = (): unknown => made(...args);
    if (!this.#on || this.#busy) return work();
    const from = this.#trace.count;
    const note: Open = { name, path, from, stop: from };
    const site = programSite();
    if (site !== undefined) note.site = site;
    const length = name === "copyIn" ? lengthOf(args[1]) : undefined;
    if (length !== undefined) note.bytes = length;
    return this.#noted(note, work);
  }

  readonly observer: CallObserver = (call) => {
    if (!this.#on || this.#busy) return call.work;
    // Work may be done in a later turn, where the caller is not on the stack any more.
    const site = this.siteOf();
    return () => (this.#on ? this.#made(call, site) : call.work());
  };

  #made(call: ObservedCall, site: CallSite | undefined): unknown {
    const { context, name, args, work } = call;
    const note: Open = { name, from: this.#trace.count, stop: this.#trace.count };
    Object.assign(note, pathsOf(context, name, args), bytesOf(name, args));
    if (site !== undefined) note.site = site;
    // A stream calls when nobody is on the stack: it is told by its file.
    else if (note.path !== undefined) note.place = note.path;
    const isNew = (): boolean => note.path !== undefined && !this.#exists(note.path);
    return this.#noted(note, () => (this.#inject?.instead(call, isNew) ?? work)());
  }

  #noted(note: Open, work: () => unknown): unknown {
    const number = this.calls.push(note);
    this.#look?.before(note, number);
    const patches = this.#patchesOf(note);
    if (patches.some(({ when }) => when === "instead")) return undefined;
    for (const patch of patches) if (patch.when === "before") this.#add(patch, note);
    const done = (error?: unknown): void => {
      if (error !== undefined) note.threw = codeOf(error);
      else for (const patch of patches) if (patch.when === "after") this.#add(patch, note);
      note.stop = this.#trace.count;
      this.#look?.after(number);
    };
    return this.#quietly(work, done);
  }

  #quietly(work: () => unknown, done: (error?: unknown) => void): unknown {
    this.#busy = true;
    let result: unknown;
    try {
      result = work();
    } catch (error) {
      done(error ?? new Error("nothing was thrown"));
      throw error;
    } finally {
      this.#busy = false;
    }
    if (!(result instanceof Promise)) {
      done();
      return result;
    }
    return result.then(
      (value: unknown) => {
        done();
        return value;
      },
      (error: unknown) => {
        done(error);
        throw error;
      },
    );
  }

  #patchesOf(note: CallNote): readonly CallPatch[] {
    if (this.#patches.length === 0) return [];
    const own = placeOfCall(note);
    const callers = callerPlaceOf(note);
    const found = this.#patches.filter(({ place }) => place === own || place === callers);
    if (found.length > 0) this.patched++;
    return found;
  }

  #add({ what }: CallPatch, { path, to, name }: CallNote): void {
    const target = what === "directory" ? (TWO.test(name) ? to : path) : path;
    if (target === undefined) return;
    this.#busy = true;
    try {
      this.#sync(what === "directory" ? dirname(target) : target);
    } finally {
      this.#busy = false;
    }
  }
}

function pathsOf(
  context: ObservedContext,
  name: string,
  args: readonly unknown[],
): { path?: string; to?: string } {
  const path = pathIn(context, args[name === "symlink" ? 1 : 0]);
  const to = TWO.test(name) && name !== "symlink" ? pathIn(context, args[1]) : undefined;
  return { ...(path === undefined ? {} : { path }), ...(to === undefined ? {} : { to }) };
}

function codeOf(error: unknown): string {
  const { code, name } = (error ?? {}) as { code?: unknown; name?: unknown };
  return typeof code === "string" ? code : typeof name === "string" ? name : "an error";
}

function bytesOf(name: string, args: readonly unknown[]): { bytes?: number } {
  if (!/^(?:write|writev|writeFile|appendFile)$/u.test(name)) return {};
  const [, given, from, count] = args;
  if (name === "writev" && Array.isArray(given)) {
    return { bytes: given.reduce((sum: number, part) => sum + (lengthOf(part) ?? 0), 0) };
  }
  const length = lengthOf(given);
  if (length === undefined) return {};
  if (name !== "write" || typeof given === "string") return { bytes: length };
  return { bytes: typeof count === "number" ? count : length - (Number(from) || 0) };
}

function lengthOf(given: unknown): number | undefined {
  if (typeof given === "string") return Buffer.byteLength(given);
  return ArrayBuffer.isView(given) ? given.byteLength : undefined;
}

/** The absolute path that an argument of a call means. */
export function pathIn(context: ObservedContext, value: unknown): string | undefined {
  if (typeof value === "number") return context.openFile(value)?.path;
  if (typeof value === "string") return resolve(context.workingDirectory, value);
  if (value instanceof Uint8Array) return resolve("/", Buffer.from(value).toString());
  return value instanceof URL ? resolve("/", decodeURIComponent(value.pathname)) : undefined;
}
