/**
 * A tar archive as a tree to fill a filesystem with: members are entered as they come, a later one
 * of the same name in the place of the earlier, and contents are read from the archive when their
 * turn comes.
 *
 * @module
 */
import type { Environment, Timespec } from "../../lib/environment.ts";
import { isDaxError } from "../../lib/errno.ts";
import type { Range } from "../../lib/range-set.ts";
import { decodeUtf8, encodeUtf8 } from "../../lib/utf8.ts";
import { S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG } from "../../vfs/modes.ts";
import type { TarKind, TarMember } from "../../vfs/tar-members.ts";
import { memberError, memberPath } from "../../vfs/tar-paths.ts";
import type { TarHandler } from "../../vfs/tar-reader.ts";
import { StoredPieces } from "../../vfs/tar-sparse.ts";
import { attributeOf } from "./mkfs-attributes.ts";
import type { NewChild, NewNode } from "./mkfs-tree.ts";
import type { KeptAttribute } from "./xattr-layout.ts";

/** Where an archive's bytes are read again, and who hears of what is odd. */
export interface TarTreeOptions {
  /** Fills `target` with the archive's bytes from `position` on; what is not there stays. */
  readonly read: (position: number, target: Uint8Array) => void;
  /** Gives the time of directories that no member is about. */
  readonly environment: Environment;
  readonly onWarning?: (text: string) => void;
}

const TYPES: Readonly<Record<Exclude<TarKind, "link">, number>> = {
  file: S_IFREG,
  directory: S_IFDIR,
  symlink: S_IFLNK,
  character: S_IFCHR,
  block: S_IFBLK,
  fifo: S_IFIFO,
};
const IMPLIED_MODE = S_IFDIR | 0o755;

/** What a member says of itself beside its contents. */
type Looks = Pick<NewNode, "mode" | "uid" | "gid" | "attributes" | "atime" | "mtime" | "ctime">;

class Directory implements NewNode {
  readonly size = 0;
  readonly data: readonly Range[] = [];
  readonly entries = new Map<string, NewNode>();
  mode: number;
  uid: number;
  gid: number;
  attributes: readonly KeptAttribute[];
  atime: Timespec;
  mtime: Timespec;
  ctime: Timespec;

  constructor(looks: Looks) {
    this.mode = looks.mode;
    this.uid = looks.uid;
    this.gid = looks.gid;
    this.attributes = looks.attributes;
    this.atime = looks.atime;
    this.mtime = looks.mtime;
    this.ctime = looks.ctime;
  }

  get children(): readonly NewChild[] {
    return [...this.entries].map(([name, node]) => ({ name: encodeUtf8(name), node }));
  }
}

/** Makes a tree of what a reader of an archive tells it. */
export class TarTree implements TarHandler {
  readonly #options: TarTreeOptions;
  readonly #implied: Looks;
  readonly #root: Directory;
  #stripped = false;

  constructor(options: TarTreeOptions) {
    this.#options = options;
    const { sec } = options.environment.clock.now();
    const now = { sec, nsec: 0 };
    const times = { atime: now, mtime: now, ctime: now };
    this.#implied = { mode: IMPLIED_MODE, uid: 0, gid: 0, attributes: [], ...times };
    this.#root = new Directory(this.#implied);
  }

  /** The directory that holds it all. */
  get root(): NewNode {
    return this.#root;
  }

  warning(text: string): void {
    this.#options.onWarning?.(text);
  }

  /**
   * Enters a member.
   * @throws EINVAL for `..` in its name, ELOOP where a symbolic link stands in the way, ENOTDIR
   *   where another file does, ENOENT for a hard link to what did not come before, EISDIR for a
   *   file in the place of a directory that holds something
   */
  member(member: TarMember): boolean {
    const { parts, absolute } = memberPath(member.name);
    if (absolute) this.#tellStripped();
    const last = parts.at(-1);
    const directory = this.#parent(parts, member, true) as Directory;
    if (last === undefined) this.#top(member);
    else if (member.kind === "link") this.#link(directory, last, member);
    else this.#enter(directory, last, member);
    return false;
  }

  /** Nobody asked for them: they are read again when their place is known. */
  data(): void {}

  finished(): void {}

  #tellStripped(): void {
    if (!this.#stripped) this.warning("leading '/' is removed from members' names");
    this.#stripped = true;
  }

  #top(member: TarMember): void {
    if (member.kind !== "directory") {
      throw memberError("EINVAL", member.name, "the top of the tree can only be a directory");
    }
    Object.assign(this.#root, looksOf(member));
  }

  /** The directory that a path's last part is in; undefined where it is not, unless it is made. */
  #parent(parts: readonly string[], member: TarMember, make: boolean): Directory | undefined {
    let directory = this.#root;
    for (const name of parts.slice(0, -1)) {
      let next = directory.entries.get(name);
      if (next === undefined) {
        if (!make) return undefined;
        next = new Directory(this.#implied);
        directory.entries.set(name, next);
      }
      if (!(next instanceof Directory)) throw inTheWay(name, next, member);
      directory = next;
    }
    return directory;
  }

  #enter(directory: Directory, name: string, member: TarMember): void {
    const before = directory.entries.get(name);
    if (before instanceof Directory) {
      if (member.kind === "directory") {
        Object.assign(before, looksOf(member));
        return;
      }
      if (before.entries.size > 0) {
        const detail = "a directory of that name came before, and it is not empty";
        throw memberError("EISDIR", member.name, detail);
      }
    }
    directory.entries.set(name, this.#nodeOf(member));
  }

  #link(directory: Directory, name: string, member: TarMember): void {
    const { parts } = memberPath(member.link, member.name);
    const last = parts.at(-1);
    const there = this.#parent(parts, member, false);
    const node = last === undefined ? this.#root : there?.entries.get(last);
    if (node === undefined) {
      const to = decodeUtf8(member.link);
      throw memberError("ENOENT", member.name, `a link to '${to}', which did not come before it`);
    }
    const before = directory.entries.get(name);
    if (node instanceof Directory || before instanceof Directory) {
      throw memberError("EISDIR", member.name, "a hard link of a directory, or in its place");
    }
    directory.entries.set(name, node);
  }

  #nodeOf(member: TarMember): NewNode {
    const { kind, name, link, size, data, dataAt, major, minor } = member;
    const looks = looksOf(member);
    const base = { ...looks, size: 0, data: [] };
    if (kind === "directory") return new Directory(looks);
    if (kind === "symlink") {
      if (link.length === 0 || link.includes(0)) {
        throw memberError("EINVAL", name, "a symbolic link leads to nothing, or has a NUL in it");
      }
      return { ...base, target: link };
    }
    if (kind === "character" || kind === "block") return { ...base, device: { major, minor } };
    if (kind !== "file") return base;
    const stored = new StoredPieces(data);
    const read = (offset: number, target: Uint8Array): void => {
      stored.read(offset, target, (at, into) => this.#options.read(dataAt + at, into));
    };
    return { ...base, size, data, read };
  }
}

function inTheWay(name: string, node: NewNode, member: TarMember): Error {
  if (node.target === undefined) {
    return memberError("ENOTDIR", member.name, `'${name}' came before, and is no directory`);
  }
  const detail = `its path leads through '${name}', a symbolic link that came before`;
  return memberError("ELOOP", member.name, detail);
}

function looksOf(member: TarMember): Looks {
  const { kind, mode, uid, gid, mtime } = member;
  const type = kind === "link" ? 0 : TYPES[kind];
  return {
    mode: type | mode,
    uid,
    gid,
    attributes: attributesOf(member),
    mtime,
    atime: member.atime ?? mtime,
    ctime: member.ctime ?? mtime,
  };
}

function attributesOf({ name, xattrs }: TarMember): KeptAttribute[] {
  try {
    return xattrs.flatMap(([key, value]) => {
      const one = attributeOf(key, value);
      return one === undefined ? [] : [one];
    });
  } catch (error) {
    throw isDaxError(error) ? error.at({ syscall: "tar", path: decodeUtf8(name) }) : error;
  }
}
