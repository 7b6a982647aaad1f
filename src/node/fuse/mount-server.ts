/**
 * A server as a directory of this machine: the mount, what carries it, and its end.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import type { FuseServer } from "../../fuse/server.ts";
import { BlockingEngine } from "./blocking-engine.ts";
import { FuseChannel } from "./channel.ts";
import { directMount } from "./direct-mount.ts";
import type { FuseEngine, FuseEngineKind } from "./engine.ts";
import { fuseCalls } from "./fuse-calls.unsafe.ts";
import { findFusermount, fusermount } from "./fusermount.ts";
import { MountGuard } from "./guard.ts";
import type { MountServerOptions } from "./mount-options.ts";
import { checkMountPoint } from "./mount-point.ts";
import { mountAt, type MountEntry } from "./mount-table.ts";
import { NoticeQueue } from "./notices.ts";
import { setReadAhead } from "./read-ahead.ts";
import { SharedEngine } from "./shared-engine.ts";
import { detach, isMounted, type UnmountOptions } from "./unmounting.ts";

/** A mounted filesystem. */
export interface FuseMount {
  /** Absolute, and without links. */
  readonly directory: string;
  /**
   * Resolves when the kernel has let go of it, by whomever it was unmounted. Rejects when it ended
   * for a fault of ours; the directory is free then, too.
   */
  readonly ended: Promise<void>;
  /**
   * Unmounts, and returns when the mount is out of sight. It never waits for programs.
   * @throws EBUSY while it is in use; ETIMEDOUT where the kernel wants an answer and gets none
   */
  unmount(options?: UnmountOptions): Promise<void>;
  /** Resolves when the kernel has heard of all changes that were made beside it until now. */
  settled(): Promise<void>;
}

const HANDSHAKE_MS = 10_000;
/** How long an unmount may wait without a request. */
const SILENCE_MS = 10_000;
/** After umount(2) the end follows at once, but where another mount namespace holds the mount. */
const GRACE_MS = 1000;

const engines: { [kind in FuseEngineKind]?: FuseEngine } = {};
const live = new Set<Mount>();

function engineOf(kind: FuseEngineKind): FuseEngine {
  engines[kind] ??= kind === "blocking" ? new BlockingEngine() : new SharedEngine();
  return engines[kind];
}

/**
 * Mounts what `server` answers on `directory`, and resolves when it can be used.
 * @throws ENOENT, ENOTDIR, ENOTEMPTY, EBUSY, EACCES for what is wrong with the directory, ENODEV
 * where the kernel has no FUSE, ENOTSUP without foreign calls, EPERM where neither mount(2) nor
 * fusermount3 may mount
 */
export async function mountServer(
  server: FuseServer,
  directory: string,
  options: MountServerOptions = {},
): Promise<FuseMount> {
  fuseCalls();
  const path = await checkMountPoint(directory, options.nonempty ?? false);
  const guard = options.autoUnmount === false ? undefined : new MountGuard(path);
  try {
    const { fd, helper } = await connect(path, options);
    const entry = mountAt(path);
    if (entry === undefined) throw new DaxError("ENOENT", { syscall: "mount", path });
    guard?.watch(entry.mark);
    const channel = new FuseChannel(fd, server, options.record);
    const mount = new Mount(channel, entry, helper, guard);
    live.add(mount);
    await mount.start(engineOf(options.engine ?? "shared"), options.readAhead);
    return mount;
  } catch (error) {
    guard?.dismiss();
    throw error;
  }
}

/**
 * Unmounts all mounts of this process, the last one first: it may lie on another.
 * @throws what the first one throws that fails, when all others are unmounted
 */
export async function unmountAll(options: UnmountOptions = {}): Promise<void> {
  const failures: unknown[] = [];
  for (const mount of [...live].toReversed()) {
    // oxlint-disable-next-line no-await-in-loop
    await mount.unmount(options).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}

/** A connection that the kernel has mounted. */
interface Connected {
  readonly fd: number;
  /** By which program it was mounted, and will be unmounted. */
  readonly helper: string | undefined;
}

async function connect(path: string, options: MountServerOptions): Promise<Connected> {
  const { through = "auto" } = options;
  const asUser = process.geteuid?.() !== 0 && through !== "mount";
  if (asUser || through === "fusermount3") return connectBy(findFusermount(), path, options);
  try {
    return { fd: await directMount(path, options), helper: undefined };
  } catch (error) {
    if (!isDaxError(error, "EPERM") || through === "mount") throw error;
    try {
      // Root of a container without the right to mount: only the helper may, if anything.
      return await connectBy(findFusermount(), path, options);
    } catch {
      throw error;
    }
  }
}

async function connectBy(
  helper: string,
  path: string,
  options: MountServerOptions,
): Promise<Connected> {
  return { fd: await fusermount(helper, path, options), helper };
}

interface Settle {
  resolve(): void;
  reject(reason: unknown): void;
}

class Mount implements FuseMount {
  readonly directory: string;
  readonly ended: Promise<void>;
  readonly #channel: FuseChannel;
  readonly #entry: MountEntry;
  readonly #helper: string | undefined;
  readonly #guard: MountGuard | undefined;
  readonly #notices: NoticeQueue;
  #engine: FuseEngine | undefined;
  #over = false;
  #settle: Settle = { resolve: () => {}, reject: () => {} };

  constructor(
    channel: FuseChannel,
    entry: MountEntry,
    helper: string | undefined,
    guard: MountGuard | undefined,
  ) {
    this.directory = entry.mountPoint;
    this.#channel = channel;
    this.#entry = entry;
    this.#helper = helper;
    this.#guard = guard;
    this.#notices = new NoticeQueue(channel);
    this.ended = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Who does not ask for it hears of a fault by its calls.
    this.ended.catch(() => {});
  }

  /** @throws EPROTO where the kernel and the server find no common protocol; ETIMEDOUT */
  async start(engine: FuseEngine, readAhead?: number): Promise<void> {
    const ready = new Promise<true>((resolve) => {
      this.#channel.onReady = () => resolve(true);
    });
    this.#channel.server.onNotice = this.#notices.add;
    this.#engine = engine;
    engine.add(this.#channel, () => void this.#finish());
    const over = this.ended.then(() => false as const);
    const clock = new AbortController();
    const late = delay(HANDSHAKE_MS, undefined, { signal: clock.signal }).catch(() => undefined);
    const outcome = await Promise.race([ready, over, late]);
    clock.abort();
    if (outcome !== true) await this.#giveUp(outcome === false);
    else setReadAhead(this.#entry.device, readAhead);
  }

  async unmount(options: UnmountOptions = {}): Promise<void> {
    if (this.#over) return;
    // Closing the connection is what frees those who wait for an answer, so it comes first.
    if (options.force === true) this.#engine?.drop(this.#channel);
    await this.#watched(detach(this.#entry, this.#helper, options));
    if (options.lazy !== true) await this.#gone();
  }

  settled(): Promise<void> {
    return this.#notices.settled();
  }

  async #giveUp(hungUp: boolean): Promise<never> {
    await this.unmount({ force: true });
    throw new DaxError(hungUp ? "EPROTO" : "ETIMEDOUT", {
      syscall: "mount",
      path: this.directory,
      detail: "the kernel and this program agreed on no protocol",
    });
  }

  /** The call's outcome, unless nothing moves any more. */
  async #watched(call: Promise<void>): Promise<void> {
    let heard = this.#channel.requests;
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<never>((_, reject) => {
      timer = setInterval(() => {
        if (this.#channel.requests === heard) reject(silent(this.directory));
        heard = this.#channel.requests;
      }, SILENCE_MS);
    });
    try {
      await Promise.race([call, silence]);
    } finally {
      clearInterval(timer);
    }
  }

  async #gone(): Promise<void> {
    const clock = new AbortController();
    const { signal } = clock;
    const grace = delay(GRACE_MS, undefined, { signal }).catch(() => {});
    await Promise.race([this.ended.catch(() => {}), grace]);
    clock.abort();
  }

  /** The kernel has let go, or we have: nothing of it stays. */
  async #finish(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    live.delete(this);
    const { server } = this.#channel;
    server.onNotice = undefined;
    let { fault } = this.#channel;
    try {
      server.end();
      // An aborted connection leaves a directory behind that nobody can use.
      if (isMounted(this.#entry)) await detach(this.#entry, this.#helper, { lazy: true });
    } catch (error) {
      fault ??= error;
    }
    this.#guard?.dismiss();
    if (fault === undefined) this.#settle.resolve();
    else this.#settle.reject(fault);
  }
}

function silent(path: string): DaxError {
  return new DaxError("ETIMEDOUT", {
    syscall: "umount",
    path,
    detail: "the kernel waits for an answer that does not come; unmount by force (-f)",
  });
}
