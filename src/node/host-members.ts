/**
 * A directory of this machine as the members that an archive of it would have, in the order of
 * their names, without there being one.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { Range } from "../lib/range-set.ts";
import { encodeUtf8 } from "../lib/utf8.ts";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG } from "../vfs/modes.ts";
import type { TarKind, TarMember } from "../vfs/tar-members.ts";
import type { TarHandler } from "../vfs/tar-reader.ts";
import { letters } from "../vfs/tar-records.ts";
import { HostFiles, HostPath, type HostStat } from "./host-files.ts";

/** Bytes of a file that are read at once. */
const PIECE = 2 ** 20;
const NOTHING = new Uint8Array(0);
const KINDS: ReadonlyMap<number, TarKind> = new Map([
  [S_IFREG, "file"],
  [S_IFDIR, "directory"],
  [S_IFLNK, "symlink"],
  [S_IFCHR, "character"],
  [S_IFBLK, "block"],
  [S_IFIFO, "fifo"],
]);

/** Tells `handler` what is in a directory. @throws ENOTDIR, what the system says, and it */
export function tellHostMembers(directory: string, handler: TarHandler): void {
  new Teller(handler).tell(directory);
}

/** A file that is still to be told of. */
interface Next {
  readonly path: HostPath;
  readonly name: string;
}

class Teller {
  readonly #handler: TarHandler;
  readonly #files = new HostFiles();
  readonly #buffer = new Uint8Array(PIECE);
  /** First names of files that have more than one. */
  readonly #names = new Map<string, Uint8Array>();

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  tell(directory: string): void {
    const stack: Next[] = [{ path: HostPath.of(directory), name: "." }];
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      const { path, name } = next;
      const stat = this.#files.stat(path, name === ".");
      const isFolder = (stat.mode & S_IFMT) === S_IFDIR;
      if (name === "." && !isFolder) {
        throw new DaxError("ENOTDIR", { syscall: "fill", path: directory });
      }
      this.#one(next, stat);
      if (!isFolder) continue;
      const below = this.#files.names(path).toSorted((a, b) => Buffer.compare(b, a));
      // A name keeps its bytes, whatever they are.
      for (const each of below) {
        stack.push({ path: path.child(each), name: `${name}/${letters(each)}` });
      }
    }
  }

  #one({ path, name }: Next, stat: HostStat): void {
    const kind = KINDS.get(stat.mode & S_IFMT);
    const bytes = name === "." ? encodeUtf8("./") : Buffer.from(name, "latin1");
    if (kind === undefined) {
      this.#handler.warning?.(`${path.shown}: socket ignored`);
      return;
    }
    const several = stat.nlink > 1 && kind !== "directory";
    const first = several ? this.#names.get(stat.identity) : undefined;
    if (several && first === undefined) this.#names.set(stat.identity, bytes);
    const member = this.#member(path, stat, kind, bytes, first);
    if (this.#handler.member(member)) this.#contents(path, member.data);
    this.#handler.finished();
  }

  #member(
    path: HostPath,
    stat: HostStat,
    kind: TarKind,
    name: Uint8Array,
    first: Uint8Array | undefined,
  ): TarMember {
    const { mode, uid, gid, size, atime, mtime, ctime, major, minor } = stat;
    const file = kind === "file" && first === undefined;
    return {
      kind: first === undefined ? kind : "link",
      at: 0,
      name,
      link: first ?? (kind === "symlink" ? this.#files.target(path) : NOTHING),
      mode: mode & 0o7777,
      uid,
      gid,
      uname: NOTHING,
      gname: NOTHING,
      size: file ? size : 0,
      data: file ? this.#files.data(path, stat) : [],
      dataAt: 0,
      mtime,
      atime,
      ctime,
      major,
      minor,
      xattrs: first === undefined ? this.#files.attributes(path) : [],
    };
  }

  /** A file that got shorter meanwhile ends in zeros, as its size was told. */
  #contents(path: HostPath, data: readonly Range[]): void {
    for (const { start, length } of data) {
      for (let done = 0; done < length; done += PIECE) {
        const piece = this.#buffer.subarray(0, Math.min(PIECE, length - done));
        const count = this.#files.read(path, start + done, piece);
        this.#handler.data(piece.fill(0, count), start + done);
      }
    }
  }
}
