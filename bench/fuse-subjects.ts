/**
 * What `fuse.bench.ts` compares: the same image, mounted by ours, by fuse2fs, and by the kernel on
 * a loop device; and a filesystem of nothing, mounted as ours is.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** Options of a mount, the same for those that take them. */
const OPTIONS = "rw,allow_other,default_permissions";
const POLL_MS = 10;
const PATIENCE = 18_000;

/** Runs a program to its end. @throws when it fails */
export function sh(program: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: "utf8",
    maxBuffer: 2 ** 28,
  });
  if (error !== undefined || status !== 0) {
    throw new Error(`${program} ${args.join(" ")}: ${stderr || String(error)}`);
  }
  return stdout;
}

/** Says how an image becomes a directory. The kernel has no process for that. */
export interface Way {
  readonly name: string;
  /** It keeps nothing: only rows for it are measured on it. */
  readonly empty?: boolean;
  command?(image: string, directory: string): readonly [string, ...string[]];
}

const here = import.meta.dirname;
const main = join(here, "../dist/cli/main.js");
const mounter = ["--import", "tsx", join(here, "fuse-mount.ts")];

/** Build of ours at a path, as its command mounts, with more options. */
function build(name: string, path: string, more = ""): Way {
  return {
    name,
    command: (image, directory) => [
      process.execPath,
      path,
      "mount",
      image,
      directory,
      "-o",
      `${OPTIONS}${more}`,
    ],
  };
}

/** A process of the bench itself, which can be told options that no command has. */
function inProcess(name: string, kind: "daxkit" | "empty"): Way {
  return {
    name,
    empty: kind === "empty",
    command: (image, directory) => [process.execPath, ...mounter, kind, image, directory],
  };
}

const KNOWN: Readonly<Record<string, Way>> = {
  daxkit: build("daxkit", main),
  writeback: build("writeback", main, ",writeback_cache"),
  noopen: build("noopen", main, ",no_open"),
  session: inProcess("session", "daxkit"),
  empty: inProcess("empty", "empty"),
  fuse2fs: {
    name: "fuse2fs",
    command: (image, directory) => ["fuse2fs", image, directory, "-f", "-o", OPTIONS],
  },
  kernel: { name: "kernel" },
};

/** Ways by their names, or `NAME=PATH` for another build's `dist/cli/main.js`. */
export function waysOf(names: readonly string[]): Way[] {
  return names.map((each) => {
    const [name = "", path] = each.split("=");
    const way = path === undefined ? KNOWN[name] : build(name, path);
    if (way === undefined) throw new Error(`no such subject: ${each}`);
    return way;
  });
}

/** One image on one directory, mounted again and again. */
export class Subject {
  readonly way: Way;
  readonly directory: string;
  readonly #image: string;
  #child: ChildProcess | undefined;
  #mounted = false;

  constructor(way: Way, folder: string, image: string) {
    this.way = way;
    this.directory = join(folder, `on-${way.name}`);
    this.#image = join(folder, `${way.name}.img`);
    mkdirSync(this.directory);
    sh("cp", ["--sparse=always", image, this.#image]);
  }

  get name(): string {
    return this.way.name;
  }

  /** The server's; the kernel has none. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async mount(): Promise<void> {
    const { directory } = this;
    const command = this.way.command?.(this.#image, directory);
    if (command === undefined) sh("mount", ["-o", "loop,rw", this.#image, directory]);
    else {
      const [program, ...args] = command;
      this.#child = spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] });
      await until(`${this.name} mounts`, () => this.#isMounted());
    }
    this.#mounted = true;
  }

  async unmount(): Promise<void> {
    if (!this.#mounted) return;
    const child = this.#child;
    await until(`${this.name} unmounts`, () => {
      return spawnSync("umount", [this.directory]).status === 0 || !this.#isMounted();
    });
    this.#mounted = false;
    if (child === undefined) return;
    await until(`${this.name} ends`, () => child.exitCode !== null || child.signalCode !== null);
    this.#child = undefined;
  }

  /** Whatever state it is in. */
  async end(): Promise<void> {
    await this.unmount().catch(() => {
      this.#child?.kill("SIGKILL");
      spawnSync("umount", ["-l", this.directory]);
    });
    rmSync(this.#image, { force: true });
    spawnSync("rmdir", [this.directory]);
  }

  #isMounted(): boolean {
    return readFileSync("/proc/self/mounts", "utf8").includes(` ${this.directory} `);
  }
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries++) {
    if (tries === PATIENCE) throw new Error(`${what}: not in ${(PATIENCE * POLL_MS) / 1000} s`);
    // Asked again and again until it is so.
    // oxlint-disable-next-line no-await-in-loop
    await sleep(POLL_MS);
  }
}
