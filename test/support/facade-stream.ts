/** Random calls of `fs`, the same ones for every filesystem that is given the same seed. */
import type * as nodeFs from "node:fs";
import { Prng } from "../../src/lib/prng.ts";
import type { NodeFs } from "../../src/node/facade/facade.ts";
import { described, failure } from "./fs-outcome.ts";

type Fs = NodeFs;
type Options = Readonly<Record<string, unknown>>;

/** A call: a name, what is passed behind a path or descriptor, and where descriptors come from. */
export interface StreamCall {
  readonly name: string;
  /** Paths below the root, which come first. */
  readonly paths: readonly string[];
  /** The open file that is meant, by turns; -1: none. */
  readonly slot: number;
  readonly rest: readonly unknown[];
}

const NAMES = ["a", "b", "c", "dir", "link"] as const;
const FLAGS = ["r", "r+", "w", "w+", "a", "a+", "wx", "ax+", "rs+", "as"] as const;
const SLOTS = 6;

/** Makes calls. */
class Maker {
  readonly #random: Prng;

  constructor(seed: number) {
    this.#random = new Prng(seed);
  }

  below(limit: number): number {
    return this.#random.below(limit);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  path(): string {
    const parts = Array.from({ length: 1 + this.below(3) }, () => this.of(NAMES) as string);
    const odd = this.below(40);
    if (odd === 0) return `${parts.join("/")}/`;
    if (odd === 1) return `${parts.join("/")}/..`;
    return parts.join("/");
  }

  /** Small, around a block's end, or far out. */
  size(): number {
    const kind = this.below(8);
    if (kind === 0) return 4096 * this.below(5) + this.below(3) - 1 + 1;
    if (kind === 1) return 100_000 + this.below(200_000);
    return this.below(3000);
  }

  bytes(): Buffer {
    const bytes = Buffer.alloc(Math.min(this.size(), 20_000));
    bytes.fill(97 + this.below(26));
    return bytes;
  }

  call(): StreamCall {
    const make = this.of(KINDS);
    return make(this);
  }
}

function onPath(name: string, rest: (maker: Maker) => readonly unknown[] = () => []) {
  return (maker: Maker): StreamCall => {
    return { name, paths: [maker.path()], slot: -1, rest: rest(maker) };
  };
}

function onPair(name: string, rest: (maker: Maker) => readonly unknown[] = () => []) {
  return (maker: Maker): StreamCall => {
    return { name, paths: [maker.path(), maker.path()], slot: -1, rest: rest(maker) };
  };
}

function onOpen(name: string, rest: (maker: Maker) => readonly unknown[] = () => []) {
  return (maker: Maker): StreamCall => {
    return { name, paths: [], slot: maker.below(SLOTS), rest: rest(maker) };
  };
}

const position = (maker: Maker): number | null => (maker.below(2) === 0 ? null : maker.size());
const recursive = (maker: Maker): Options => ({ recursive: maker.below(2) === 0 });

const opens = (maker: Maker): StreamCall => ({
  name: "open",
  paths: [maker.path()],
  slot: maker.below(SLOTS),
  rest: [maker.of(FLAGS), 0o600 + maker.below(64)],
});

const KINDS: readonly ((maker: Maker) => StreamCall)[] = [
  opens,
  opens,
  opens,
  onOpen("write", (maker) => [maker.bytes(), 0, undefined, position(maker)]),
  onOpen("write", (maker) => [maker.bytes(), 0, undefined, position(maker)]),
  onOpen("write", (maker) => [maker.of(["text", "", "☃"]), position(maker)]),
  onOpen("writev", (maker) => [[maker.bytes(), maker.bytes()], position(maker)]),
  onOpen("read", (maker) => [Buffer.alloc(maker.below(9000)), 0, undefined, position(maker)]),
  onOpen("readFile", () => ["latin1"]),
  onOpen("ftruncate", (maker) => [maker.size()]),
  onOpen("fstat"),
  onOpen("fchmod", (maker) => [maker.below(4096)]),
  onOpen("futimes", (maker) => [maker.below(2 ** 31), maker.below(1e6) / 1000]),
  onOpen("fsync"),
  onOpen("fdatasync"),
  onOpen("close"),
  onPath("mkdir", (maker) => [recursive(maker)]),
  onPath("mkdir"),
  onPath("rmdir"),
  onPath("unlink"),
  onPath("rm", (maker) => [{ ...recursive(maker), force: maker.below(2) === 0 }]),
  onPath("writeFile", (maker) => [maker.bytes(), { flag: maker.of(FLAGS) }]),
  onPath("appendFile", (maker) => [maker.bytes()]),
  onPath("readFile", () => ["latin1"]),
  onPath("truncate", (maker) => [maker.size()]),
  onPath("stat"),
  onPath("lstat"),
  onPath("readlink"),
  onPath("realpath"),
  onPath("access", (maker) => [maker.below(8)]),
  onPath("chmod", (maker) => [maker.below(4096)]),
  onPath("chown", (maker) => [maker.below(70_000), maker.below(70_000)]),
  onPath("lchown", (maker) => [maker.below(70_000), -1]),
  onPath("utimes", (maker) => [maker.below(2 ** 32), maker.below(1e6) / 1000]),
  onPath("lutimes", (maker) => [maker.below(2 ** 32), 5]),
  onPath("readdir"),
  onPair("rename"),
  onPair("rename"),
  onPair("link"),
  onPair("copyFile", (maker) => [maker.below(2)]),
  (maker) => ({ name: "symlinkTo", paths: [maker.path()], slot: -1, rest: [maker.path()] }),
];

/** The calls of a seed. */
export function* streamOf(seed: number, count: number): Generator<StreamCall> {
  const maker = new Maker(seed);
  for (let i = 0; i < count; i++) yield maker.call();
}

/** One filesystem that calls are made on. */
export class StreamTarget {
  readonly #fs: Fs;
  readonly #root: string;
  readonly #slots = new Map<number, number>();

  constructor(fs: Fs, root: string) {
    this.#fs = fs;
    this.#root = root;
  }

  /** What a call gives, without where it was made. */
  run(call: StreamCall): unknown {
    let outcome: unknown;
    try {
      outcome = { value: seen(this.#call(call)) };
    } catch (error) {
      outcome = { error: failure(error) };
    }
    return outcome;
  }

  end(): void {
    for (const fd of this.#slots.values()) this.#fs.closeSync(fd);
    this.#slots.clear();
  }

  #call({ name, paths, slot, rest }: StreamCall): unknown {
    const at = paths.map((path) => `${this.#root}/${path}`);
    const fs = this.#fs as unknown as Record<string, (...args: unknown[]) => unknown>;
    if (name === "symlinkTo") return fs["symlinkSync"]?.(rest[0], at[0]);
    if (name === "open") return this.#open(slot, () => fs["openSync"]?.(at[0], ...rest) as number);
    if (slot === -1) return fs[`${name}Sync`]?.(...at, ...rest);
    const fd = this.#slots.get(slot);
    if (fd === undefined) return "nothing open";
    if (name === "close") this.#slots.delete(slot);
    const result = fs[`${name}Sync`]?.(fd, ...rest);
    return name === "read" ? [result, rest[0]] : result;
  }

  #open(slot: number, open: () => number): string {
    const before = this.#slots.get(slot);
    if (before !== undefined) this.#fs.closeSync(before);
    this.#slots.delete(slot);
    this.#slots.set(slot, open());
    return "opened";
  }
}

/** What does not depend on which filesystem it is. */
function seen(value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("ctimeMs" in value)) return described(value);
  const { mode, uid, gid, nlink, size, mtimeMs } = value as nodeFs.Stats;
  const directory = (mode & 0o170000) === 0o040000;
  const recent = Math.abs(Date.now() - mtimeMs) < 3_600_000;
  const time = recent ? "now" : mtimeMs;
  return directory ? [mode, uid, gid, time] : [mode, uid, gid, nlink, size, time];
}
