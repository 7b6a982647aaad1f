/**
 * Directories listed by the hashes of their names. Entries move when a block is split, their hashes
 * do not: a cookie made of the hash still holds its place afterwards.
 *
 * @module
 */
import { crc32c } from "../../lib/crc32c.ts";
import { decodeUtf8 } from "../../lib/utf8.ts";
import type { DirectoryEntry } from "../../vfs/filesystem.ts";
import { corrupt } from "./corruption.ts";
import type { DirectoryBlocks } from "./directory-blocks.ts";
import type { EntryScanner } from "./directory-entries.ts";
import { typeBits } from "./directory-types.ts";
import { type Frame, advance, descend, hashBy, leafOf, nextKey } from "./htree-frames.ts";
import type { Superblock } from "./superblock.ts";

/** Cookies of `.` and `..` come before all others. */
const FIRST_COOKIE = 3;
/** Names of one hash are told apart by so many values of another one. */
const TIES = 2 ** 21;

/** Entries that are to be listed together. */
export class OrderedEntries {
  readonly #superblock: Superblock;
  readonly #version: number;
  readonly #after: number;
  #entries: DirectoryEntry[] = [];

  /** `version` is the one by which the directory's tree is hashed, or would be. */
  constructor(superblock: Superblock, version: number, after: number) {
    this.#superblock = superblock;
    this.#version = version;
    this.#after = after;
  }

  /** Takes the entries of an area, but for those that start before byte `from`. */
  collect(scanner: EntryScanner, from = 0): void {
    while (scanner.next()) {
      if (scanner.inode === 0 || scanner.at < from) continue;
      const name = scanner.name();
      const cookie = this.#cookie(name);
      if (cookie < this.#after) continue;
      const { inode: ino, fileType } = scanner;
      this.#entries.push({ name: decodeUtf8(name), ino, type: typeBits(fileType), cookie });
    }
  }

  /**
   * What was collected behind the cookie, in order. Names that agree in all 52 bits get cookies one
   * behind the other; only theirs may shift when such a name is added or removed.
   */
  take(): DirectoryEntry[] {
    const sorted = this.#entries.toSorted((a, b) => a.cookie - b.cookie || order(a.name, b.name));
    this.#entries = [];
    let previous = 0;
    const listed: DirectoryEntry[] = [];
    for (const entry of sorted) {
      const cookie = Math.max(entry.cookie, previous + 1);
      previous = cookie;
      if (cookie > this.#after) listed.push(cookie === entry.cookie ? entry : { ...entry, cookie });
    }
    return listed;
  }

  #cookie(name: Uint8Array): number {
    const { hash } = hashBy(this.#superblock, this.#version, name) ?? { hash: 0 };
    return FIRST_COOKIE + (hash / 2) * TIES + (crc32c(0, name) >>> 11);
  }
}

function order(a: string, b: string): number {
  return a < b ? -1 : 1;
}

/** The hash at which a listing goes on behind a cookie. */
function hashBehind(cookie: number): number {
  return Math.floor(Math.max(0, cookie - FIRST_COOKIE) / TIES) * 2;
}

/**
 * The entries of an indexed directory behind a cookie, `.` and `..` left out. Between two leaves
 * the tree may change. @throws EUCLEAN, EBADMSG, EIO
 */
export function* entriesByHash(
  directory: DirectoryBlocks,
  version: number,
  cookie: number,
): Generator<DirectoryEntry> {
  const batch = new OrderedEntries(directory.volume.superblock, version, cookie);
  let hash: number | undefined = hashBehind(cookie);
  for (let visits = 0; hash !== undefined;) {
    const frames = descend(directory, hash);
    collectLeaf(directory, frames, batch);
    let key = nextKey(frames);
    // A chain of leaves with equal hashes is one batch.
    while (key !== undefined && (key & 1) === 1) {
      checkVisits(directory, ++visits);
      advance(directory, frames);
      collectLeaf(directory, frames, batch);
      key = nextKey(frames);
    }
    checkVisits(directory, ++visits);
    yield* batch.take();
    hash = key;
  }
}

/** The directory may have grown since the listing started, so this counts with its size of now. */
function checkVisits(directory: DirectoryBlocks, visits: number): void {
  if (visits < directory.count) return;
  throw corrupt(directory.where(0), "index", "more leaves than blocks", "leaves repeat");
}

function collectLeaf(
  directory: DirectoryBlocks,
  frames: readonly Frame[],
  batch: OrderedEntries,
): void {
  const index = leafOf(directory, frames);
  batch.collect(directory.scan(directory.get(index), index));
}

/** Follows every key of a hash tree, without its leaves. @throws EUCLEAN for a broken one */
export function walkIndex(directory: DirectoryBlocks): void {
  const frames = descend(directory, 0);
  let previous = 0;
  for (let visits = 1; ; visits++) {
    leafOf(directory, frames);
    const key = nextKey(frames);
    if (key === undefined) return;
    if (key < previous) throw corrupt(directory.where(0), "index", "out of order", "keys ascend");
    checkVisits(directory, visits);
    previous = key;
    advance(directory, frames);
  }
}
