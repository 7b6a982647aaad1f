/**
 * `watchFile`: looks at a file again and again, as Node's does.
 *
 * @module
 */
import { EventEmitter } from "node:events";
import type { BigIntStats, StatWatcher, Stats } from "node:fs";
import { resolve } from "node:path/posix";
import { isDaxError } from "../../lib/errno.ts";
import { type Function_, checkFunction, checkInteger } from "./arguments.ts";
import type { Context } from "./context.ts";
import { pathOf } from "./paths.ts";
import { absentStats, bigintStatsOf, statsOf } from "./stats.ts";

/** Milliseconds between two looks unless told otherwise; Node's number. */
const INTERVAL = 5007;

type AnyStats = Stats | BigIntStats;

/** What a look is compared by. */
function essence(stats: AnyStats): string {
  const { dev, ino, mode, nlink, uid, gid, rdev, size, mtimeMs, ctimeMs } = stats;
  return [dev, ino, mode, nlink, uid, gid, rdev, size, mtimeMs, ctimeMs].join();
}

/** `fs.StatWatcher`: all listeners of one path share it. */
class FilePoller extends EventEmitter {
  readonly #timer: NodeJS.Timeout;
  readonly #look: () => AnyStats;
  #last: AnyStats;

  constructor(look: () => AnyStats, interval: number, persistent: boolean) {
    super();
    this.#look = look;
    this.#last = look();
    // What is not there is told once: whoever waits for it knows that he does.
    if (Number(this.#last.nlink) === 0) setImmediate(() => this.#tell(this.#last, this.#last));
    this.#timer = setInterval(() => this.#poll(), interval);
    if (!persistent) this.#timer.unref();
  }

  ref(): this {
    this.#timer.ref();
    return this;
  }

  unref(): this {
    this.#timer.unref();
    return this;
  }

  stop(): void {
    clearInterval(this.#timer);
    process.nextTick(() => this.emit("stop"));
  }

  #poll(): void {
    const now = this.#look();
    if (essence(now) === essence(this.#last)) return;
    const before = this.#last;
    this.#last = now;
    this.#tell(now, before);
  }

  #tell(now: AnyStats, before: AnyStats): void {
    this.emit("change", now, before);
  }
}

/** The files of one facade that are being looked at. */
export class Polls {
  readonly #context: Context;
  readonly #pollers = new Map<string, FilePoller>();

  constructor(context: Context) {
    this.#context = context;
  }

  /** `watchFile(path, options?, listener)`. */
  watch(args: readonly unknown[]): StatWatcher {
    const { path } = pathOf(args[0]);
    const key = resolve(this.#context.workingDirectory, path);
    const given = typeof args[1] === "object" && args[1] !== null ? args[1] : {};
    const listener: unknown = given === args[1] ? args[2] : args[1];
    const { interval = INTERVAL, persistent = true, bigint = false } = given as Given;
    checkFunction(listener, "listener");
    const known = this.#pollers.get(key);
    const poller = known ?? this.#start(key, path, { interval, persistent, bigint });
    poller.on("change", listener);
    return poller;
  }

  /** `unwatchFile(path, listener?)`. */
  unwatch(args: readonly unknown[]): void {
    const { workingDirectory } = this.#context;
    const key = resolve(workingDirectory, pathOf(args[0]).path);
    const poller = this.#pollers.get(key);
    if (poller === undefined) return;
    const [, listener] = args;
    if (typeof listener === "function") poller.off("change", listener as Function_);
    else poller.removeAllListeners("change");
    if (poller.listenerCount("change") === 0) this.#stop(key, poller);
  }

  /** Ends all. */
  close(): void {
    for (const [key, poller] of this.#pollers) this.#stop(key, poller);
  }

  #start(key: string, path: string, { interval, persistent, bigint }: Required<Given>): FilePoller {
    const milliseconds = checkInteger(interval, "interval", 0, 2 ** 32 - 1);
    const look = (): AnyStats => this.#look(path, Boolean(bigint));
    const poller = new FilePoller(look, milliseconds, Boolean(persistent));
    this.#pollers.set(key, poller);
    return poller;
  }

  #stop(key: string, poller: FilePoller): void {
    this.#pollers.delete(key);
    poller.stop();
  }

  #look(path: string, bigint: boolean): AnyStats {
    const { tree, facts } = this.#context;
    try {
      const inode = tree.stat(path, this.#context.by("stat"));
      return bigint ? bigintStatsOf(inode, facts(inode)) : statsOf(inode, facts(inode));
    } catch (error) {
      if (isDaxError(error)) return absentStats(bigint);
      throw error;
    }
  }
}

interface Given {
  readonly interval?: unknown;
  readonly persistent?: unknown;
  readonly bigint?: unknown;
}
