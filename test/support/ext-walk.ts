/**
 * Asks a mounted filesystem everything, within a budget of steps, and lets only typed errors pass.
 */
import { daxRead } from "../../src/dax/file-io.ts";
import type { ErrnoCode } from "../../src/lib/errno.ts";
import type { Prng } from "../../src/lib/prng.ts";
import type { Filesystem, Inode } from "../../src/vfs/filesystem.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "../../src/vfs/modes.ts";
import type { CaseNotes } from "./fuzz.ts";

/** What a damaged image may answer. */
const ALLOWED: ReadonlySet<ErrnoCode> = new Set(["EUCLEAN", "EBADMSG", "ENOTSUP", "ESTALE"]);

/** How far one walk goes. */
const MAX_INODES = 400;
const MAX_ENTRIES = 3000;
const MAX_MAPS = 100;

/** Walks everything below the root once. @throws whatever is no typed error of a damaged image */
export function walkEverything(filesystem: Filesystem, prng: Prng, notes: CaseNotes): void {
  const attempt: Attempt = (body) => {
    const before = notes.errors.length;
    const answer = notes.attempt(body);
    for (const code of notes.errors.slice(before)) {
      if (!ALLOWED.has(code)) throw new Error(`${code} is no answer of a damaged image`);
    }
    return answer;
  };
  let inodes = 0;
  const seen = new Set<number>();
  const pending: Inode[] = [filesystem.root];
  attempt(() => filesystem.statfs());
  for (let inode = pending.pop(); inode !== undefined; inode = pending.pop()) {
    if (seen.has(inode.ino) || inodes++ >= MAX_INODES) continue;
    seen.add(inode.ino);
    visit(inode, prng, attempt, pending);
  }
  for (let i = 0; i < 5; i++) attempt(() => filesystem.inode(prng.below(5000)).attributes());
}

type Attempt = <T>(body: () => T) => T | undefined;

function visit(inode: Inode, prng: Prng, attempt: Attempt, pending: Inode[]): void {
  inode.attributes();
  for (const name of attempt(() => inode.listxattr()) ?? []) attempt(() => inode.getxattr(name));
  attempt(() => inode.getxattr("user.none"));
  const type = inode.mode & S_IFMT;
  if (type === S_IFLNK) attempt(() => inode.readlink());
  if (type === S_IFREG || type === S_IFDIR) attempt(() => readMaps(inode));
  if (type === S_IFREG) readPieces(inode, prng, attempt);
  if (type === S_IFDIR) readDirectory(inode, prng, attempt, pending);
}

function readMaps(inode: Inode): void {
  let at = 0;
  for (let count = 0; at < inode.size && count < MAX_MAPS; count++) {
    const map = inode.iomapBegin(at, 4096, "read");
    if (map.offset > at || map.offset + map.length <= at) {
      throw new Error(`inode ${inode.ino}: byte ${at} is not in ${map.offset}+${map.length}`);
    }
    at = map.offset + map.length;
  }
  inode.iomapBegin(2 ** 52, 4096, "read");
}

function readPieces(inode: Inode, prng: Prng, attempt: Attempt): void {
  const bytes = new Uint8Array(5000);
  const size = Math.max(inode.size, 1);
  for (const offset of [0, prng.below(size), prng.below(size), Math.max(size - 3000, 0)]) {
    attempt(() => daxRead(inode, bytes, offset));
  }
}

function readDirectory(inode: Inode, prng: Prng, attempt: Attempt, pending: Inode[]): void {
  const names: string[] = [];
  let cookie = 0;
  attempt(() => {
    for (const entry of inode.readdir(0)) {
      names.push(entry.name);
      if (prng.below(10) === 0) ({ cookie } = entry);
      if (names.length >= MAX_ENTRIES) break;
    }
  });
  attempt(() => {
    let count = 0;
    for (const _ of inode.readdir(cookie)) if (++count >= MAX_ENTRIES) break;
  });
  // All names of a small directory, some of a large one.
  const step = Math.ceil(names.length / 60);
  for (let i = 0; i < names.length; i += Math.max(step, 1)) {
    const name = names[i] as string;
    if (name === "." || name === "..") continue;
    const child = attempt(() => inode.lookup(name));
    if (child !== undefined) pending.push(child);
  }
  attempt(() => inode.lookup("not there"));
  attempt(() => inode.lookup(".."));
}
