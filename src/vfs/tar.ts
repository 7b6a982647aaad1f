/**
 * A tree as a tar stream: everything that the filesystem knows of its files, in pax format.
 *
 * The stream is the one that `tar --sort=name --format=posix --numeric-owner --xattrs
 * --xattrs-include='*' --pax-option=delete=atime,delete=ctime -C DIRECTORY -cf - .` makes of a
 * mount of the same image: hard links to files and symbolic links by their first name, sparse files
 * in full, sockets left out with a warning.
 *
 * @module
 */
import { daxRead } from "../dax/file-io.ts";
import { DaxError } from "../lib/errno.ts";
import { encodeUtf8 } from "../lib/utf8.ts";
import type { FileTree } from "./file-tree.ts";
import type { Inode } from "./filesystem.ts";
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  isDirectory,
  isRegular,
  isSymlink,
  majorOf,
  minorOf,
} from "./modes.ts";
import { type OnDamage, tolerate, walkSubtree } from "./subtree.ts";
import { BLOCK, type Member, RECORD, encodeMember, paddingAfter } from "./tar-format.ts";
import { xattrsOf } from "./xattrs.ts";

/** Bytes of a file that are read at once. */
const PIECE = 1 << 20;

const TYPES: ReadonlyMap<number, Member["type"]> = new Map([
  [S_IFREG, "0"],
  [S_IFLNK, "2"],
  [S_IFCHR, "3"],
  [S_IFBLK, "4"],
  [S_IFDIR, "5"],
  [S_IFIFO, "6"],
]);

/** Takes the next bytes of the stream; they are valid until it returns. */
export type TarSink = (bytes: Uint8Array) => void;

/** What a caller may want to hear of. */
export interface TarOptions {
  /** Hears of files that an archive cannot hold: `./run/socket: socket ignored`. */
  readonly onWarning?: (text: string) => void;
  /**
   * Hears of what cannot be read, which is left out; of a file that cannot be read to its end the
   * rest is zeros, as tar has it. Without it the first damage ends the stream.
   */
  readonly onDamage?: OnDamage;
  /** Hears of each member before it is written. */
  readonly onMember?: (name: string) => void;
}

/** What was written. */
export interface TarSummary {
  readonly members: number;
  /** Bytes of the stream. */
  readonly bytes: number;
}

/**
 * Writes what is below `path` as a tar stream: names start with `./` for a directory; a file is one
 * member under its own name. Memory grows with the number of entries of one directory, of
 * directories and of files with several names, never with contents.
 * @throws as the path walk; EUCLEAN, EBADMSG, EIO with the path of the file; what `sink` throws
 */
export function writeTar(
  tree: FileTree,
  path: string,
  sink: TarSink,
  options: TarOptions = {},
): TarSummary {
  const { inode, name } = tree.locate(path, { syscall: "tar" });
  const start = isDirectory(inode.mode) ? "." : name;
  return new TarWriter(sink, options).run(inode, start);
}

class TarWriter {
  readonly #sink: TarSink;
  readonly #options: TarOptions;
  readonly #buffer = new Uint8Array(PIECE);
  /** First names of files that have more than one. */
  readonly #names = new Map<number, string>();
  #members = 0;
  #bytes = 0;

  constructor(sink: TarSink, options: TarOptions) {
    this.#sink = sink;
    this.#options = options;
  }

  run(start: Inode, root: string): TarSummary {
    const { onDamage } = this.#options;
    for (const { inode, path, leaving } of walkSubtree(start, onDamage)) {
      if (leaving) continue;
      const name = path === "" ? root : `${root}/${path}`;
      tolerate(onDamage, path, () => this.#add(inode, name, path));
    }
    this.#zeros(2 * BLOCK);
    this.#zeros((RECORD - (this.#bytes % RECORD)) % RECORD);
    return { members: this.#members, bytes: this.#bytes };
  }

  #add(inode: Inode, name: string, path: string): void {
    const type = TYPES.get(inode.mode & S_IFMT);
    if (type === undefined) {
      const socket = (inode.mode & S_IFMT) === S_IFSOCK;
      this.#options.onWarning?.(`${name}: ${socket ? "socket" : "file of unknown type"} ignored`);
      return;
    }
    const first = this.#names.get(inode.ino);
    const xattrs = first === undefined ? this.#attributes(inode, name) : [];
    const member = memberOf(inode, type, { name, first, xattrs });
    this.#options.onMember?.(name);
    this.#members++;
    this.#keepName(inode, name);
    for (const block of encodeMember(member)) this.#put(block);
    if (member.type === "0") this.#contents(inode, member.size, path);
  }

  /** Keeps the name under which a file with several is in the archive. */
  #keepName(inode: Inode, name: string): void {
    if (!isRegular(inode.mode) && !isSymlink(inode.mode)) return;
    if (this.#names.has(inode.ino) || inode.attributes().nlink <= 1) return;
    this.#names.set(inode.ino, name);
  }

  /** Those with values that Linux hands out; of others tar says that it leaves them out. */
  #attributes(inode: Inode, name: string): Member["xattrs"] {
    const xattrs: [Uint8Array, Uint8Array][] = [];
    for (const { name: key, value, absence } of xattrsOf(inode)) {
      if (value !== undefined) xattrs.push([encodeUtf8(key), value]);
      if (absence === undefined) continue;
      this.#options.onWarning?.(`${name}: attribute ${key} ignored: ${absence.detail ?? ""}`);
    }
    return xattrs;
  }

  #contents(inode: Inode, size: number, path: string): void {
    let readable = true;
    for (let at = 0; at < size;) {
      const piece = size - at < PIECE ? this.#buffer.subarray(0, size - at) : this.#buffer;
      let count = readable ? this.#read(inode, piece, at, path) : undefined;
      if (count === undefined) {
        // The header has promised so many bytes.
        readable = false;
        count = piece.fill(0).length;
      }
      this.#put(count === piece.length ? piece : piece.subarray(0, count));
      at += count;
    }
    this.#zeros(paddingAfter(size));
  }

  /** Bytes read, or `undefined` when they cannot be. */
  #read(inode: Inode, piece: Uint8Array, at: number, path: string): number | undefined {
    return tolerate(this.#options.onDamage, path, () => {
      const count = daxRead(inode, piece, at);
      if (count === 0) throw new DaxError("EIO", { syscall: "read", detail: `ends at byte ${at}` });
      return count;
    });
  }

  #zeros(length: number): void {
    if (length > 0) this.#put(new Uint8Array(length));
  }

  #put(bytes: Uint8Array): void {
    this.#sink(bytes);
    this.#bytes += bytes.length;
  }
}

/** What of a member does not come from its attributes. */
interface Context {
  readonly name: string;
  readonly first: string | undefined;
  readonly xattrs: Member["xattrs"];
}

function memberOf(inode: Inode, type: Member["type"], { name, first, xattrs }: Context): Member {
  const { mode, uid, gid, size, mtime, rdev } = inode.attributes();
  const device = type === "3" || type === "4";
  const target = first ?? (type === "2" ? inode.readlink() : undefined);
  return {
    type: first === undefined ? type : "1",
    name: encodeUtf8(type === "5" ? `${name}/` : name),
    link: target === undefined ? undefined : encodeUtf8(target),
    mode: mode & 0o7777,
    uid,
    gid,
    size: type === "0" && first === undefined ? size : 0,
    mtime,
    major: device ? majorOf(rdev) : 0,
    minor: device ? minorOf(rdev) : 0,
    xattrs,
  };
}
