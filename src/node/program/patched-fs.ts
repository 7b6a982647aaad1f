/**
 * `node:fs` of this process, changed in place: paths below a directory are a volume's, in all
 * flavours and for whoever imports it, and everything else is the machine's as before.
 *
 * The objects of Node stay the same objects, so what others have changed in them before, or change
 * later, is heeded. Node's own streams and its loader for CommonJS go through them too.
 *
 * @module
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { isAbsolute } from "node:path";
import { promisify } from "node:util";
import { DaxError } from "../../lib/errno.ts";
import type { VolumeFs } from "../facade/facade.ts";
import { isHandle } from "../facade/file-handle.ts";
import { copyFileAcross, copyTreeAcross } from "./copy-across.ts";
import type { MountedPaths } from "./mounted-paths.ts";
import { askedForAt, callerSite } from "./program-site.ts";
import { type Route, changedPaths, isPathAt, plainName, routeOf } from "./routes.ts";

type Call = (...args: unknown[]) => unknown;
type Calls = Record<string, unknown>;
type Flavour = "sync" | "callback" | "promise";

/** What is where. */
export interface PatchOptions {
  readonly paths: MountedPaths;
  /** The volume that is mounted just now. @throws where none can be seen */
  readonly volume: () => VolumeFs;
  /** A path that is not of the volume is about to be changed. */
  readonly outside?: (path: string) => void;
  /** Sees what is written to a descriptor or path of the machine's. */
  readonly written?: (target: unknown, data: unknown) => void;
}

/** Changes `node:fs`; returns what changes it back. */
export function patchFs(options: PatchOptions): () => void {
  const patch = new Patch(options);
  const ends = [
    patch.apply(fs, (name) => (name.endsWith("Sync") ? "sync" : "callback")),
    patch.apply(fs.promises, () => "promise"),
    patch.workingDirectory(),
  ];
  syncBuiltinESMExports();
  return () => {
    for (const end of ends.toReversed()) end();
    syncBuiltinESMExports();
  };
}

class Patch {
  readonly #options: PatchOptions;
  readonly #paths: MountedPaths;

  constructor(options: PatchOptions) {
    this.#options = options;
    this.#paths = options.paths;
  }

  apply(given: object, flavourOf: (name: string) => Flavour): () => void {
    const calls = given as Calls;
    const before = new Map<string, unknown>();
    for (const [name, original] of Object.entries(calls)) {
      const route = routeOf(name);
      if (route === undefined || typeof original !== "function") continue;
      before.set(name, original);
      calls[name] = this.#wrapped(name, original as Call, route, flavourOf(name));
    }
    if (flavourOf("") === "callback") {
      before.set("createWriteStream", calls["createWriteStream"]);
      calls["createWriteStream"] = this.#streams(calls["createWriteStream"] as Call, calls);
    }
    return () => void Object.assign(calls, Object.fromEntries(before));
  }

  /** `process.chdir` into the volume, and where the process is then. */
  workingDirectory(): () => void {
    const [chdir, cwd] = [process.chdir.bind(process), process.cwd.bind(process)];
    process.cwd = this.#paths.cwd;
    process.chdir = (directory) => {
      const path = this.#paths.absolute(directory);
      if (path === undefined || !this.#paths.holds(path)) {
        chdir(path ?? directory);
        this.#paths.enter();
        return;
      }
      const code = this.#whyNoDirectory(path);
      if (code !== undefined) {
        throw new DaxError(code, { syscall: "chdir", path: this.#paths.cwd(), dest: directory });
      }
      this.#paths.enter(path);
    };
    return () => Object.assign(process, { chdir, cwd });
  }

  #whyNoDirectory(path: string): "ENOENT" | "ENOTDIR" | undefined {
    const stats = this.#options.volume().statSync(path, { throwIfNoEntry: false });
    if (stats === undefined) return "ENOENT";
    return stats.isDirectory() ? undefined : "ENOTDIR";
  }

  #wrapped(name: string, original: Call, route: Route, flavour: Flavour): Call {
    const like = getAll(original);
    const call: Call = (...args) => this.#routed({ name, original, route, flavour }, args);
    const made = Object.defineProperties(call, like);
    const native = (original as { native?: Call }).native;
    if (native !== undefined) {
      const how = { name, original: native, route, flavour, native: true };
      const value: Call = (...args) => this.#routed(how, args);
      Object.defineProperty(made, "native", { value, configurable: true, writable: true });
    }
    if (name === "exists") {
      const value = (path: unknown) => new Promise((resolve) => call(path, resolve));
      Object.defineProperty(made, promisify.custom, { value, configurable: true });
    }
    return made;
  }

  #routed(how: Wrapped, args: unknown[]): unknown {
    const side = this.#sideOf(how, args);
    if (side === "volume") return this.#onVolume(how, args);
    if (side === "across") return this.#across(how, args);
    const given = this.#paths.isInside ? this.#inFull(how.route, args) : args;
    this.#watched(how, given);
    return how.original(...given);
  }

  #sideOf({ route, name }: Wrapped, args: readonly unknown[]): "volume" | "machine" | "across" {
    const [first, second] = args;
    if (route === "descriptor") return this.#paths.hasDescriptor(first) ? "volume" : "machine";
    if (route === "second") return this.#paths.has(second) ? "volume" : "machine";
    if (route === "pattern") return this.#searchesVolume(first, second) ? "volume" : "machine";
    if (route === "path") return this.#isOwn(name, first) ? "volume" : "machine";
    const sides = [this.#paths.has(first), this.#paths.has(second)];
    if (sides[0] !== sides[1]) return "across";
    if (sides[0] === false) return "machine";
    const filter = (args[2] as { filter?: unknown } | undefined)?.filter;
    return plainName(name) === "cp" && filter !== undefined ? "across" : "volume";
  }

  #isOwn(name: string, target: unknown): boolean {
    if (typeof target === "number") return this.#paths.hasDescriptor(target);
    if (isHandle(target)) return true;
    // What chance adds to a prefix makes a name beside the mount, and none below it.
    if (name.startsWith("mkdtemp") && this.#paths.absolute(target) === this.#paths.mount) {
      return typeof target === "string" && target.endsWith("/");
    }
    return this.#paths.has(target);
  }

  #searchesVolume(pattern: unknown, options: unknown): boolean {
    const { cwd } = (typeof options === "object" ? (options ?? {}) : {}) as { cwd?: unknown };
    const [first] = Array.isArray(pattern) ? (pattern as unknown[]) : [pattern];
    if (typeof first === "string" && first.startsWith("/")) return this.#paths.has(first);
    return this.#paths.has(cwd ?? this.#paths.cwd());
  }

  #onVolume({ name, route, flavour, native }: Wrapped, args: unknown[]): unknown {
    const volume = this.#options.volume() as unknown as Calls;
    const calls = flavour === "promise" ? (volume["promises"] as Calls) : volume;
    const call = calls[name] as Call & { native?: Call };
    const given = this.#paths.isInside ? args : this.#inFull(route, args);
    return native === true ? call.native?.(...given) : call(...given);
  }

  /** Relative paths in full: who is called believes to be somewhere else than the process is. */
  #inFull(route: Route, args: unknown[]): unknown[] {
    return args.map((arg, index) => {
      if (!isPathAt(route, index) || !(typeof arg === "string" || arg instanceof Uint8Array))
        return arg;
      const text = Buffer.from(arg as string).toString();
      if (isAbsolute(text) || text === "") return arg;
      const path = this.#paths.absolute(text) as string;
      return text.endsWith("/") ? `${path}/` : path;
    });
  }

  #watched({ name, route }: Wrapped, args: readonly unknown[]): void {
    const { outside, written } = this.#options;
    const plain = plainName(name);
    if (written !== undefined && /^(?:write|appendFile|writeFile)$/u.test(plain)) {
      written(args[0], args[1]);
    }
    if (outside === undefined || route === "descriptor") return;
    for (const each of changedPaths(name, args)) {
      const path = this.#paths.absolute(each);
      if (path !== undefined && !/^\/(?:dev|proc|sys)\//u.test(path)) outside(path);
    }
  }

  #across({ name, flavour }: Wrapped, args: unknown[]): unknown {
    const plain = plainName(name);
    const given = args
      .slice(0, flavour === "callback" ? -1 : args.length)
      .map((arg, index) => (index < 2 && !isText(arg) ? this.#paths.absolute(arg) : arg));
    if (flavour === "sync") return runNow(this.#crossing(plain, given));
    if (flavour === "promise") return runLater(this.#crossing(plain, given));
    const callback = args.at(-1) as Call;
    runLater(this.#crossing(plain, given)).then(
      () => setImmediate(callback, null),
      (error: unknown) => setImmediate(callback, error),
    );
    return undefined;
  }

  *#crossing(name: string, args: readonly unknown[]): Generator<unknown, void, unknown> {
    if (name === "copyFile") copyFileAcross(fs, args);
    else if (name === "cp") yield* copyTreeAcross(fs, args);
    else {
      const [path, dest] = args.map(String) as [string, string];
      throw new DaxError("EXDEV", { syscall: name, path, dest });
    }
  }

  /** What a stream writes later was asked for where it was made. */
  #streams(original: Call, calls: Calls): Call {
    const made: Call = (path, given) => {
      const options =
        typeof given === "string" ? { encoding: given } : (given as Calls | undefined);
      if (!this.#paths.has(path) || options?.["fs"] !== undefined) return original(path, given);
      const site = callerSite();
      const sited = Object.fromEntries(
        ["open", "write", "writev", "fsync", "close"].map((name) => [
          name,
          (...args: unknown[]) => askedForAt(site, () => (calls[name] as Call)(...args)),
        ]),
      );
      return original(path, { ...options, fs: sited });
    };
    return Object.defineProperties(made, getAll(original));
  }
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

interface Wrapped {
  readonly name: string;
  readonly original: Call;
  readonly route: Route;
  readonly flavour: Flavour;
  readonly native?: boolean;
}

/** What a function has beside being one: its name, and how `promisify` takes it. */
function getAll(original: Call): PropertyDescriptorMap {
  const own = Object.getOwnPropertyDescriptors(original) as Record<
    string | symbol,
    PropertyDescriptor
  >;
  const found: PropertyDescriptorMap = {};
  for (const key of Reflect.ownKeys(own)) {
    if (key !== "prototype") found[key] = { ...own[key], configurable: true };
  }
  return found;
}

function runNow(steps: Generator<unknown, void, unknown>): void {
  for (let step = steps.next(); step.done !== true; step = steps.next(step.value));
}

async function runLater(steps: Generator<unknown, void, unknown>): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop -- one file after the other, as the filter says
  for (let step = steps.next(); step.done !== true; step = steps.next(await step.value));
}
