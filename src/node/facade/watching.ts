/**
 * `watch`: Node's watchers over what the tree tells of its own changes.
 *
 * Events come in a later turn of the event loop, as from the kernel. What somebody changes behind
 * the volume, or through a mapping, no watcher hears of.
 *
 * @module
 */
import { EventEmitter } from "node:events";
import type { FSWatcher } from "node:fs";
import { isDaxError } from "../../lib/errno.ts";
import type { Inode } from "../../vfs/filesystem.ts";
import type { Watch, WatchEvent } from "../../vfs/watches.ts";
import {
  type Function_,
  abortError,
  checkBoolean,
  invalidType,
  optionsOf,
  plainOptions,
} from "./arguments.ts";
import { type Context, onPath } from "./context.ts";
import { type PathArgument, nameAs, pathOf } from "./paths.ts";

/** How to watch, checked. */
interface WatchSettings {
  readonly persistent: boolean;
  readonly recursive: boolean;
  readonly encoding: string | null | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * What libuv makes of inotify's events: bytes and attributes change, names are renamed. A file that
 * is watched itself and loses a name has changed, and was renamed if it was the last.
 */
function typesOf({ kind, name, isDirectory }: WatchEvent, inode: Inode): readonly EventType[] {
  if (kind === "modify" || kind === "attributes") return ["change"];
  if (kind !== "delete" || name !== undefined || isDirectory) return ["rename"];
  return linksOf(inode) === 0 ? ["change", "rename"] : ["change"];
}

/** Of a deleted file nothing may be known any more. */
function linksOf(inode: Inode): number {
  try {
    return inode.attributes().nlink;
  } catch (error) {
    if (isDaxError(error, "ESTALE")) return 0;
    throw error;
  }
}

type EventType = "change" | "rename";

/** The longest that a timer waits: it only keeps the process. */
const LONG = 2 ** 31 - 1;

/** `fs.FSWatcher`. */
class VolumeWatcher extends EventEmitter {
  readonly #watch: Watch;
  readonly #keeper: NodeJS.Timeout;
  #open = true;

  constructor(context: Context, path: PathArgument, settings: WatchSettings) {
    super();
    const { encoding, recursive, persistent } = settings;
    const own = nameAs(path.path.replace(/\/+$/u, "").split("/").at(-1) ?? "", encoding);
    this.#watch = onPath(path, "watch", () => {
      const inode = context.tree.stat(path.path, context.by("watch"));
      return context.tree.watch(path.path, { recursive, ...context.by("watch") }, (event) => {
        const name = event.name === undefined ? own : nameAs(event.name, encoding);
        for (const type of typesOf(event, inode)) setImmediate(() => this.#tell(type, name));
      });
    });
    this.#keeper = setInterval(() => undefined, LONG);
    if (!persistent) this.#keeper.unref();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#watch.close();
    clearInterval(this.#keeper);
    process.nextTick(() => this.emit("close"));
  }

  ref(): this {
    if (this.#open) this.#keeper.ref();
    return this;
  }

  unref(): this {
    this.#keeper.unref();
    return this;
  }

  /** Node keeps it for programs that called it once. */
  start(): void {}

  #tell(type: EventType, name: string | Buffer): void {
    if (this.#open) this.emit("change", type, name);
  }
}

/** `watch(path, options?, listener?)`. @throws as Node, ENOENT */
export function watch(context: Context, args: readonly unknown[]): FSWatcher {
  const [value, given, last] = args;
  const listener = typeof given === "function" ? given : last;
  const options = optionsOf(given);
  const { persistent = true, recursive = false, signal } = options as Given;
  const path = pathOf(value);
  const watcher = new VolumeWatcher(context, path, {
    persistent: Boolean(persistent),
    recursive: Boolean(recursive),
    encoding: options.encoding,
    signal,
  });
  if (listener !== undefined) watcher.on("change", listener as Function_);
  if (signal !== undefined) endWith(watcher, signal);
  return watcher;
}

interface Given {
  readonly persistent?: unknown;
  readonly recursive?: unknown;
  readonly signal?: AbortSignal;
}

function endWith(watcher: VolumeWatcher, signal: AbortSignal): void {
  if (signal.aborted) {
    process.nextTick(() => watcher.close());
    return;
  }
  const end = (): void => watcher.close();
  signal.addEventListener("abort", end);
  watcher.once("close", () => signal.removeEventListener("abort", end));
}

function settingsOf(given: unknown): WatchSettings {
  const options = plainOptions(given);
  const { encoding } = optionsOf(given);
  const { persistent = true, recursive = false, signal } = options as Given;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalidType("options.signal", "an instance of AbortSignal", signal);
  }
  return {
    persistent: checkBoolean(persistent, "options.persistent"),
    recursive: checkBoolean(recursive, "options.recursive"),
    encoding,
    signal,
  };
}

/** One thing that happened, as `promises.watch` gives it. */
interface Happened {
  readonly eventType: string;
  readonly filename: string | Buffer;
}

function nothing(): void {}

/** `promises.watch(path, options?)`: events as they come, until the signal ends it. */
export async function* watchLater(
  context: Context,
  args: readonly unknown[],
): AsyncGenerator<Happened> {
  const path = pathOf(args[0]);
  const settings = settingsOf(args[1]);
  const { signal } = settings;
  if (signal?.aborted === true) throw abortError(signal);
  const watcher = new VolumeWatcher(context, path, settings);
  const waiting: Happened[] = [];
  let wake = nothing;
  watcher.on("change", (eventType: string, filename: string | Buffer) => {
    waiting.push({ eventType, filename });
    wake();
  });
  const end = (): void => wake();
  const ended = (): boolean => signal?.aborted === true;
  signal?.addEventListener("abort", end, { once: true });
  try {
    while (!ended()) {
      const next = waiting.shift();
      if (next !== undefined) yield next;
      else {
        // oxlint-disable-next-line no-await-in-loop -- one event after the other
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
    throw abortError(signal as AbortSignal);
  } finally {
    watcher.close();
    signal?.removeEventListener("abort", end);
  }
}
