/**
 * Filling a tree of files from what an archive holds, as GNU tar unpacks one: a member after the
 * other, directories' own attributes last, since what is made in them would change their times.
 *
 * What is there already is replaced, and never written through: a link that is in the way is
 * removed, and no member's path leads through one. Each member is whole or absent: when something
 * fails, the file that was being written is removed again, and all that came before it stays.
 *
 * @module
 */
import { DaxError, type ErrnoCode, isDaxError } from "../lib/errno.ts";
import { decodeUtf8 } from "../lib/utf8.ts";
import { changeAttributes } from "./attribute-changes.ts";
import type { FileTree } from "./file-tree.ts";
import type { Filesystem, Inode } from "./filesystem.ts";
import { S_IFBLK, S_IFCHR, S_IFIFO, isDirectory, isRegular, isSymlink, makedev } from "./modes.ts";
import type { Location } from "./mounts.ts";
import type { OpenFile } from "./open-file.ts";
import type { Credentials } from "./permissions.ts";
import type { TarMember } from "./tar-members.ts";
import { memberError, memberPath } from "./tar-paths.ts";
import type { TarHandler } from "./tar-reader.ts";
import type { AttributeChange } from "./writing.ts";
import { setXattr } from "./xattr-rules.ts";

/** How a tree is filled. */
export interface FillOptions {
  /** The directory that members' names start from; the root unless given. */
  readonly directory?: string;
  /** So many leading parts of each name are left away; a name without more is left out. */
  readonly stripComponents?: number;
  /** Files get the archive's owners; true unless `credentials` are somebody's but root's. */
  readonly sameOwner?: boolean;
  /**
   * A file in the place of a member: `replace` removes it first, `overwrite` writes into it (it
   * keeps its other names), `keep` says EEXIST. Directories are kept, and get the new attributes.
   */
  readonly existing?: "replace" | "overwrite" | "keep";
  /** Links to directories that are there already are followed, and not in the way. */
  readonly keepDirectorySymlinks?: boolean;
  /** On whose behalf; nothing is checked unless given. */
  readonly credentials?: Credentials;
  /** Hears of each member before it is made. */
  readonly onMember?: (name: string) => void;
  /** Hears of what is odd and does no harm, such as attributes that a link cannot have. */
  readonly onWarning?: (text: string) => void;
  /** Hears of members that were left out with `keep`, in place of the first ending it all. */
  readonly onKept?: (error: DaxError) => void;
}

/** What was made. */
export interface FillSummary {
  /** Members that were made, directories among them. */
  readonly members: number;
  /** Bytes of files. */
  readonly bytes: number;
}

/** A directory whose attributes are set when everything is in it. */
interface Waiting {
  readonly location: Location;
  readonly member: TarMember;
}

/** Where a member goes. */
interface Place {
  readonly parent: Location;
  readonly name: string;
}

/** What a filesystem that has no attributes, or not these, says. */
const NO_ATTRIBUTES: ReadonlySet<ErrnoCode> = new Set(["EOPNOTSUPP", "ENOTSUP", "EPERM"]);
/** From here on files get their blocks at once, aligned for huge pages where there is room. */
const LARGE = 2 ** 21;

/** Makes in a tree what a reader of an archive tells it. */
export class TreeFiller implements TarHandler {
  readonly #tree: FileTree;
  readonly #options: FillOptions;
  readonly #top: Location;
  readonly #sameOwner: boolean;
  /** By filesystem and number: a directory may come several times, and the last one counts. */
  readonly #waiting = new Map<Filesystem, Map<number, Waiting>>();
  /** The last directory that something was made in. */
  #last: { readonly path: string; readonly location: Location } | undefined;
  #file: { readonly open: OpenFile; readonly place: Place; readonly member: TarMember } | undefined;
  #stripped = false;
  #members = 0;
  #bytes = 0;

  /** @throws ENOENT, ENOTDIR for `directory` */
  constructor(tree: FileTree, options: FillOptions = {}) {
    const { directory = "/", credentials, sameOwner } = options;
    this.#tree = tree;
    this.#options = options;
    this.#sameOwner = sameOwner ?? (credentials === undefined || credentials.uid === 0);
    this.#top = tree.locate(directory, { syscall: "fill", ...this.#who });
    if (!isDirectory(this.#top.inode.mode)) {
      throw new DaxError("ENOTDIR", { syscall: "fill", path: directory });
    }
  }

  /** What was made so far. */
  get summary(): FillSummary {
    return { members: this.#members, bytes: this.#bytes };
  }

  get #who(): { readonly credentials?: Credentials } {
    const { credentials } = this.#options;
    return credentials === undefined ? {} : { credentials };
  }

  warning(text: string): void {
    this.#options.onWarning?.(text);
  }

  /**
   * Makes a member; of a file its data follow.
   * @throws EINVAL for `..` in its name, ELOOP and ENOTDIR for what stands in its way, EEXIST for
   *   what is kept, ENOENT for a hard link to what is not there, EPERM for devices without being
   *   root, EROFS, ENOSPC, EACCES; each with the member's name
   */
  member(member: TarMember): boolean {
    const name = stripped(member.name, this.#options.stripComponents ?? 0);
    if (name === undefined) return false;
    this.#options.onMember?.(decodeUtf8(member.name));
    const { parts, absolute } = memberPath(name, member.name);
    if (absolute) this.#tellStripped();
    try {
      return this.#make(parts, member);
    } catch (error) {
      throw named(error, member);
    }
  }

  data(bytes: Uint8Array, offset: number): void {
    const { open, member } = this.#file as { open: OpenFile; member: TarMember };
    try {
      for (let done = 0; done < bytes.length;) {
        const count = open.pwrite(done === 0 ? bytes : bytes.subarray(done), offset + done);
        if (count === 0) throw new DaxError("EIO", { detail: "a write took no bytes" });
        done += count;
      }
    } catch (error) {
      this.abandon();
      throw named(error, member);
    }
    this.#bytes += bytes.length;
  }

  finished(): void {
    const file = this.#file;
    if (file === undefined) return;
    const { open, member } = file;
    try {
      if (open.inode.size !== member.size) open.truncate(member.size);
      this.#dress(open.inode, member);
      this.#file = undefined;
      open.close();
      this.#members++;
    } catch (error) {
      this.#file = file;
      this.abandon();
      throw named(error, member);
    }
  }

  /** Sets what directories have of their own. @throws as {@link member} */
  finish(): FillSummary {
    for (const some of this.#waiting.values()) {
      for (const [ino, { location, member }] of some) {
        some.delete(ino);
        try {
          this.#dress(location.inode, member);
        } catch (error) {
          throw named(error, member);
        }
      }
    }
    return this.summary;
  }

  #wait(location: Location, member: TarMember): void {
    const { filesystem, ino } = location.inode;
    const some = this.#waiting.get(filesystem) ?? new Map<number, Waiting>();
    this.#waiting.set(filesystem, some.set(ino, { location, member }));
  }

  /** Nothing more comes: removes the file that is not whole. What came before it stays. */
  abandon(): void {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    const { open, place } = file;
    try {
      if (!open.closed) open.close();
      this.#tree.unlink(place.name, { from: place.parent });
    } catch (error) {
      // The first error is what counts; this one can be a filesystem that writes no more.
      if (!isDaxError(error)) throw error;
    }
  }

  #tellStripped(): void {
    if (!this.#stripped) this.warning("leading '/' is removed from members' names");
    this.#stripped = true;
  }

  #make(parts: readonly string[], member: TarMember): boolean {
    const name = parts.at(-1);
    if (name === undefined) {
      if (member.kind !== "directory") {
        throw memberError("EINVAL", member.name, "the top of the tree can only be a directory");
      }
      this.#wait(this.#top, member);
      this.#members++;
      return false;
    }
    const parent = this.#parent(parts, member, true) as Location;
    const place = { parent, name };
    if (!this.#clear(place, member)) return false;
    const data = this.#makeAt(place, member);
    if (!data) this.#members++;
    return data;
  }

  #makeAt(place: Place, member: TarMember): boolean {
    const { parent: from, name } = place;
    const { kind } = member;
    const options = { from, ...this.#who };
    if (kind === "file") return this.#makeFile(place, member);
    if (kind === "link") this.#makeLink(place, member);
    else if (kind === "directory") this.#makeDirectory(place, member);
    else if (kind === "symlink") {
      this.#dress(this.#tree.symlink(decodeUtf8(member.link), name, options), member);
    } else {
      const type = kind === "fifo" ? S_IFIFO : kind === "block" ? S_IFBLK : S_IFCHR;
      const rdev = kind === "fifo" ? 0 : makedev(member.major, member.minor);
      this.#dress(this.#tree.mknod(name, { ...options, mode: type | 0o600, rdev }), member);
    }
    return false;
  }

  /** The directory of a path's last part, made as far as it is not there. */
  #parent(parts: readonly string[], member: TarMember, make: boolean): Location | undefined {
    const path = parts.slice(0, -1).join("/");
    if (this.#last?.path === path) return this.#last.location;
    let location = this.#top;
    for (const name of parts.slice(0, -1)) {
      const inode = location.inode.lookup(name);
      if (inode === undefined) {
        if (!make) return undefined;
        this.#tree.mkdir(name, { from: location, mode: 0o755, ...this.#who });
      } else if (isSymlink(inode.mode)) this.#refuseLink(name, member);
      const follow = this.#options.keepDirectorySymlinks === true;
      location = this.#tree.locate(name, { from: location, follow, ...this.#who });
      if (!isDirectory(location.inode.mode)) {
        throw memberError("ENOTDIR", member.name, `'${name}' is there, and no directory`);
      }
    }
    this.#last = { path, location };
    return location;
  }

  #refuseLink(name: string, member: TarMember): void {
    if (this.#options.keepDirectorySymlinks === true) return;
    const remedy = "--keep-directory-symlink follows those to directories";
    const detail = `its path leads through '${name}', a symbolic link; ${remedy}`;
    throw memberError("ELOOP", member.name, detail);
  }

  /** Makes room for a member. False when it is left out. */
  #clear({ parent, name }: Place, member: TarMember): boolean {
    const there = parent.inode.lookup(name);
    if (there === undefined) return true;
    const { existing = "replace", onKept } = this.#options;
    if (isDirectory(there.mode) && member.kind === "directory") return true;
    if (this.#leadsToDirectory(there, { parent, name }, member)) return true;
    if (existing === "keep") {
      const error = memberError("EEXIST", member.name, "it is there already, and kept");
      if (onKept === undefined) throw error;
      onKept(error);
      return false;
    }
    if (member.kind === "link" && this.#isItself(there, member)) return false;
    if (existing === "overwrite" && isRegular(there.mode) && member.kind === "file") return true;
    this.#remove({ parent, name }, there);
    return true;
  }

  #remove({ parent: from, name }: Place, there: Inode): void {
    if (!isRegular(there.mode)) this.#last = undefined;
    if (!isDirectory(there.mode)) {
      this.#tree.unlink(name, { from, ...this.#who });
      return;
    }
    const { filesystem, ino } = there;
    this.#tree.rmdir(name, { from, ...this.#who });
    this.#waiting.get(filesystem)?.delete(ino);
  }

  #leadsToDirectory(there: Inode, { parent: from, name }: Place, member: TarMember): boolean {
    if (this.#options.keepDirectorySymlinks !== true) return false;
    if (!isSymlink(there.mode) || member.kind !== "directory") return false;
    return isDirectory(this.#tree.stat(name, { from, ...this.#who }).mode);
  }

  /** A link of a file to itself, as archives have it that were made of the same file twice. */
  #isItself(there: Inode, member: TarMember): boolean {
    return this.#target(member)?.inode.lookup(this.#linkName(member)) === there;
  }

  /** The directory that holds what a hard link leads to. */
  #target(member: TarMember): Location | undefined {
    const { parts } = memberPath(this.#linkPath(member), member.name);
    const last = this.#last;
    const found = this.#parent(parts, member, false);
    this.#last = last;
    return found;
  }

  #linkPath(member: TarMember): Uint8Array {
    return stripped(member.link, this.#options.stripComponents ?? 0) ?? new Uint8Array(0);
  }

  #linkName(member: TarMember): string {
    return memberPath(this.#linkPath(member), member.name).parts.at(-1) ?? ".";
  }

  #makeLink({ parent: toFrom, name }: Place, member: TarMember): void {
    const from = this.#target(member);
    const target = this.#linkName(member);
    if (from === undefined || from.inode.lookup(target) === undefined) {
      const detail = `a link to '${decodeUtf8(member.link)}', which is not there`;
      throw memberError("ENOENT", member.name, detail);
    }
    this.#tree.link(target, name, { from, toFrom, ...this.#who });
  }

  #makeDirectory({ parent, name }: Place, member: TarMember): void {
    const from = { from: parent, ...this.#who };
    if (parent.inode.lookup(name) === undefined) {
      const inode = this.#tree.mkdir(name, { ...from, mode: member.mode & 0o777 });
      if (this.#sameOwner) this.#own(inode, member);
    }
    this.#wait(this.#tree.locate(name, from), member);
  }

  #makeFile(place: Place, member: TarMember): boolean {
    const { parent: from, name } = place;
    const open = this.#tree.open(name, {
      from,
      ...this.#who,
      access: "write",
      create: true,
      truncate: true,
      noFollow: true,
      mode: 0o600,
    });
    this.#file = { open, place, member };
    try {
      const whole = member.data.length === 1 && member.data[0]?.length === member.size;
      if (whole && member.size >= LARGE) reserve(open, member.size);
    } catch (error) {
      this.abandon();
      throw error;
    }
    return true;
  }

  #own(inode: Inode, { uid, gid }: TarMember): void {
    changeAttributes(inode, { uid, gid }, this.#options.credentials);
  }

  /** Owner, permissions, attributes, times: in this order, as each may undo what comes later. */
  #dress(inode: Inode, member: TarMember): void {
    const { uid, gid, mode, mtime, atime = mtime } = member;
    const { credentials } = this.#options;
    const owner = this.#sameOwner ? { uid, gid } : {};
    const change: AttributeChange = isSymlink(inode.mode) ? owner : { ...owner, mode };
    changeAttributes(inode, change, credentials);
    for (const [key, value] of member.xattrs) this.#attribute(inode, member, key, value);
    changeAttributes(inode, { atime, mtime }, credentials);
  }

  #attribute(inode: Inode, member: TarMember, key: Uint8Array, value: Uint8Array): void {
    try {
      setXattr(inode, decodeUtf8(key), value, undefined, this.#options.credentials);
    } catch (error) {
      if (!isDaxError(error) || !NO_ATTRIBUTES.has(error.code)) throw error;
      const [whose, what] = [decodeUtf8(member.name), decodeUtf8(key)];
      this.warning(`'${whose}': attribute ${what} is left out: ${error.code}`);
    }
  }
}

/** Blocks for all of a file; a filesystem that cannot takes them as it writes. @throws ENOSPC */
function reserve(open: OpenFile, size: number): void {
  try {
    open.fallocate("allocate", 0, size, true);
  } catch (error) {
    if (!isDaxError(error) || !NO_ATTRIBUTES.has(error.code)) throw error;
  }
}

/** A name without its first parts, `.` counted as GNU tar counts it; undefined without more. */
function stripped(name: Uint8Array, parts: number): Uint8Array | undefined {
  if (parts === 0) return name;
  const slash = 0x2f;
  let at = 0;
  while (name[at] === slash) at++;
  for (let left = parts; left > 0; left--) {
    const next = name.indexOf(slash, at);
    if (next === -1) return undefined;
    at = next;
    while (name[at] === slash) at++;
  }
  return at === name.length ? undefined : name.subarray(at);
}

/** Linux's 64-bit `makedev` of numbers that fit. */
function named(error: unknown, member: TarMember): unknown {
  if (!isDaxError(error) || error.syscall === "tar") return error;
  return error.at({ syscall: "fill", path: decodeUtf8(member.name) });
}
