/**
 * What `stat`, `statfs` and `readdir` answer: objects of Node's own classes, so that `instanceof`,
 * `isDirectory()` and `util.inspect` do what they do for `node:fs`.
 *
 * @module
 */
import * as fs from "node:fs";
import type { Timespec } from "../../lib/environment.ts";
import type { Attributes, Inode, Statfs } from "../../vfs/filesystem.ts";
import { S_IFMT } from "../../vfs/modes.ts";

/** What every inode of a filesystem shows alike: `st_dev` and `st_blksize`. */
export interface FilesystemFacts {
  readonly dev: number;
  readonly blksize: number;
}

/** What of an inode its stat shows. */
type Shown = Pick<Inode, "ino" | "attributes">;

/** A constant of libuv's, which Node has and its types leave out. */
function uv(name: string): number {
  return (fs.constants as unknown as Readonly<Record<string, number>>)[name] ?? 0;
}

/** `UV_DIRENT_*` by the type bits of a mode. */
const DIRENT_TYPES: ReadonlyMap<number, number> = new Map([
  [0o10, uv("UV_DIRENT_FILE")],
  [0o04, uv("UV_DIRENT_DIR")],
  [0o12, uv("UV_DIRENT_LINK")],
  [0o01, uv("UV_DIRENT_FIFO")],
  [0o14, uv("UV_DIRENT_SOCKET")],
  [0o02, uv("UV_DIRENT_CHAR")],
  [0o06, uv("UV_DIRENT_BLOCK")],
]);

const UNKNOWN: Timespec = { sec: 0, nsec: 0 };
/** From here on the getters of dates are on the prototype (Node 22). */
const LAZY_DATES = "atime" in fs.Stats.prototype;

interface Times {
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  readonly birthtime: Timespec;
}

/** A time that the format lacks is the epoch, as statx(2) leaves it. */
function timesOf({ atime, mtime, ctime, btime = UNKNOWN }: Attributes): Times {
  return { atime, mtime, ctime, birthtime: btime };
}

function milliseconds({ sec, nsec }: Timespec): number {
  return sec * 1000 + nsec / 1_000_000;
}

function nanoseconds({ sec, nsec }: Timespec): bigint {
  return BigInt(sec) * 1_000_000_000n + BigInt(nsec);
}

/** The members that both kinds of stat share, in Node's order. */
function members(
  ino: number,
  attributes: Attributes,
  { dev, blksize }: FilesystemFacts,
): Record<string, number> {
  const { mode, nlink, uid, gid, rdev, size, blocks } = attributes;
  return { dev, mode, nlink, uid, gid, rdev, blksize, ino, size, blocks };
}

function eachTime(
  times: Times,
  suffix: string,
  convert: (time: Timespec) => number | bigint | Date,
): object {
  const entries = Object.entries(times) as [string, Timespec][];
  return Object.fromEntries(entries.map(([name, time]) => [name + suffix, convert(time)]));
}

/** `fs.Stats` of an inode. */
export function statsOf(inode: Shown, facts: FilesystemFacts): fs.Stats {
  const attributes = inode.attributes();
  const times = timesOf(attributes);
  const stats = Object.create(fs.Stats.prototype) as fs.Stats;
  Object.assign(stats, members(inode.ino, attributes, facts), eachTime(times, "Ms", milliseconds));
  if (LAZY_DATES) return stats;
  return Object.assign(
    stats,
    eachTime(times, "", (time) => new Date(Math.round(milliseconds(time)))),
  );
}

let bigintPrototype: object | undefined;

/** `fs.BigIntStats` of an inode: a class that Node does not export, but hands out. */
export function bigintStatsOf(inode: Shown, facts: FilesystemFacts): fs.BigIntStats {
  bigintPrototype ??= Object.getPrototypeOf(fs.statSync("/", { bigint: true })) as object;
  const attributes = inode.attributes();
  const times = timesOf(attributes);
  const numbers = Object.entries(members(inode.ino, attributes, facts));
  const stats = Object.create(bigintPrototype) as fs.BigIntStats;
  Object.assign(
    stats,
    Object.fromEntries(numbers.map(([name, value]) => [name, BigInt(value)])),
    eachTime(times, "Ms", (time) => nanoseconds(time) / 1_000_000n),
    eachTime(times, "Ns", nanoseconds),
  );
  if ("atime" in bigintPrototype) return stats;
  return Object.assign(
    stats,
    eachTime(times, "", (time) => new Date(Number(nanoseconds(time) / 1_000_000n))),
  );
}

/** A file that is not there, as `watchFile` tells of it. */
const ABSENT: Shown = {
  ino: 0,
  attributes: () => ({
    mode: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    size: 0,
    blocks: 0,
    atime: UNKNOWN,
    mtime: UNKNOWN,
    ctime: UNKNOWN,
    btime: UNKNOWN,
  }),
};

/** Zeros all over. */
export function absentStats(bigint: boolean): fs.Stats | fs.BigIntStats {
  const facts = { dev: 0, blksize: 0 };
  return bigint ? bigintStatsOf(ABSENT, facts) : statsOf(ABSENT, facts);
}

let statfsPrototype: object | undefined;

/** `fs.StatFs` of a filesystem. */
export function statfsOf(statfs: Statfs, bigint: boolean): fs.StatsFs | fs.BigIntStatsFs {
  statfsPrototype ??= Object.getPrototypeOf(fs.statfsSync("/")) as object;
  const { magic, blockSize, blocks, bfree, bavail, files, ffree } = statfs;
  const numbers = { type: magic, bsize: blockSize, blocks, bfree, bavail, files, ffree };
  const entries = Object.entries(numbers);
  const values = entries.map(([name, value]) => [name, bigint ? BigInt(value) : value]);
  return Object.assign(Object.create(statfsPrototype) as fs.StatsFs, Object.fromEntries(values));
}

type DirentMaker = new (
  name: string | Buffer,
  type: number,
  parentPath: string | Buffer,
) => fs.Dirent;

/** `fs.Dirent` of a name whose mode is known. */
export function direntOf(
  name: string | Buffer,
  mode: number,
  parentPath: string | Buffer,
): fs.Dirent {
  const type = DIRENT_TYPES.get((mode & S_IFMT) >> 12) ?? uv("UV_DIRENT_UNKNOWN");
  // Node documents the class and not its constructor, which is the same since Node 18.20.
  return new (fs.Dirent as unknown as DirentMaker)(name, type, parentPath);
}
