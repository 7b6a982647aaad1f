/**
 * Copying files into an image that is open for writing, as cp(1) would into a mount.
 *
 * @module
 */
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { removeXattr, setXattr } from "../../vfs/xattr-rules.ts";
import type { FileTree } from "../../vfs/file-tree.ts";
import type { Inode } from "../../vfs/filesystem.ts";
import { S_IFLNK, S_IFMT, S_IFREG, isDirectory, isRegular, isSymlink } from "../../vfs/modes.ts";
import type { Location } from "../../vfs/mounts.ts";
import type { OpenFile } from "../../vfs/open-file.ts";
import type { CopySource, OpenSource } from "./copy-source.ts";

/** Bytes of a file that are copied at once. */
const PIECE = 1 << 20;
const ACCESS_LIST = "system.posix_acl_access";
/** Errors after which the rest would fail as well. */
const FATAL = ["ENOSPC", "EROFS", "EIO", "ENOMEM", "EBUSY"] as const;

/** How files are copied. */
export interface CopyInOptions {
  /** Directories with all that is in them; otherwise a directory is EISDIR. */
  readonly recursive?: boolean;
  /**
   * Keep owner, mode and times; otherwise files are root's, and new. A file that is there and is
   * written anew keeps its own owner and mode, unless `keepThere` or `xattrs` are set.
   */
  readonly keep?: boolean;
  /** With `keep`: files that are there get owner and mode of the source as well. */
  readonly keepThere?: boolean;
  /** Keep extended attributes and ACLs, as far as the image takes them. */
  readonly xattrs?: boolean;
  /** Bits that are taken from modes that are not kept. */
  readonly umask?: number;
  /** Permission bits of files, in place of those of the source. */
  readonly mode?: number;
  /** What is there already stays as it is; directories are still filled. */
  readonly noClobber?: boolean;
  /** Hears of each file that was copied. */
  readonly onFile?: (path: string, source: CopySource) => void;
  /** Hears how many bytes of content are copied, after every MiB or less. */
  readonly onBytes?: (bytes: number) => void;
  /** Hears of what cannot be copied, which is left out; without it the first one ends it all. */
  readonly onTrouble?: (path: string, error: DaxError) => void;
}

/** A directory that is being filled. */
interface Level {
  readonly source: CopySource;
  readonly location: Location;
  readonly path: string;
  readonly names: readonly string[];
  /** Made by this copy, and not there before. */
  readonly made: boolean;
  next: number;
}

/**
 * Copies `source` to `path`, which is its new name: a directory that is there is filled, a regular
 * file written anew, and anything else replaced. Links between files, and holes, stay what they
 * are. Returns the bytes of content.
 * @throws ENOENT, ENOTDIR and whatever the walk says; EISDIR, ENOTDIR for a directory in place of a
 *   file and the other way round; EINVAL for a copy into itself; ENOSPC, EROFS, EIO
 */
export function copyInto(
  tree: FileTree,
  path: string,
  source: CopySource,
  options: CopyInOptions = {},
): number {
  return new CopyIn(tree, options).run(path, source);
}

class CopyIn {
  readonly #tree: FileTree;
  readonly #options: CopyInOptions;
  /** Where files with several names were put first. */
  readonly #first = new Map<string, { readonly directory: Location; readonly name: string }>();
  readonly #buffer = new Uint8Array(PIECE);
  #bytes = 0;

  constructor(tree: FileTree, options: CopyInOptions) {
    this.#tree = tree;
    this.#options = options;
  }

  run(path: string, source: CopySource): number {
    if (isDirectory(source.mode) && this.#options.recursive !== true) {
      throw new DaxError("EISDIR", { syscall: "cp", path, detail: "-r copies directories" });
    }
    if (path.replaceAll("/", "") === "") {
      this.#fill(this.#entered(source, this.#tree.root, "/", false));
      return this.#bytes;
    }
    const [above, name] = split(path);
    const directory = this.#locateAbove(above);
    if (!isDirectory(directory.inode.mode)) {
      throw new DaxError("ENOTDIR", { syscall: "open", path: above });
    }
    this.#refuseInside(source, directory, path);
    if (path.endsWith("/") && !isDirectory(source.mode)) {
      if (!isDirectory(directory.inode.lookup(name)?.mode ?? 0)) {
        throw new DaxError("ENOTDIR", { syscall: "open", path });
      }
    }
    const level = this.#copy(source, directory, name, path);
    if (level !== undefined) this.#fill(level);
    return this.#bytes;
  }

  /** Where a copy goes: ENOENT alone would be taken for one about the source. */
  #locateAbove(above: string): Location {
    try {
      return this.#tree.locate(above, { syscall: "open" });
    } catch (error) {
      if (!isDaxError(error, "ENOENT") || error.detail !== undefined) throw error;
      const shown = above.replace(/\/+$/u, "");
      throw error.at({ detail: `there is no directory '${shown}' to put it in` });
    }
  }

  /** A directory that is copied into itself would never end. */
  #refuseInside(source: CopySource, directory: Location, path: string): void {
    if (!isDirectory(source.mode)) return;
    for (let at: Location | undefined = directory; at !== undefined; at = at.parent) {
      if (!source.isIn(this.#tree, at.inode.ino)) continue;
      const detail = `'${source.shown}' is a directory above it`;
      throw new DaxError("EINVAL", { syscall: "cp", path, detail });
    }
  }

  /** Copies what is in a directory, and in those below it. */
  #fill(start: Level): void {
    const levels = [start];
    for (let level = levels.at(-1); level !== undefined; level = levels.at(-1)) {
      const name = level.names[level.next++];
      if (name === undefined) {
        levels.pop();
        const { source, location, path, made } = level;
        this.#tolerate(path, () => this.#finish(location.inode, source, made));
        continue;
      }
      const { source, location } = level;
      const path = `${level.path === "/" ? "" : level.path}/${name}`;
      const below = this.#tolerate(path, () =>
        this.#copy(source.child(name), location, name, path),
      );
      if (below !== undefined) levels.push(below);
    }
  }

  #tolerate<T>(path: string, body: () => T): T | undefined {
    const { onTrouble } = this.#options;
    try {
      return body();
    } catch (error) {
      if (!isDaxError(error) || onTrouble === undefined || isDaxError(error, ...FATAL)) throw error;
      onTrouble(path, error);
      return undefined;
    }
  }

  /** Copies one file; a directory is answered, to be filled. */
  #copy(source: CopySource, from: Location, name: string, path: string): Level | undefined {
    const there = from.inode.lookup(name);
    const skips = this.#options.noClobber === true && !isDirectory(source.mode);
    if (there !== undefined && skips) {
      // A link that leads nowhere is in the way all the same.
      if (isRegular(source.mode)) this.#tree.locate(name, { from, syscall: "stat" });
      return undefined;
    }
    if (there !== undefined && source.isIn(this.#tree, there.ino)) {
      throw new DaxError("EINVAL", { syscall: "cp", path, detail: "it is the same file" });
    }
    if (isDirectory(source.mode)) return this.#directory(source, from, name, path, there);
    if (there !== undefined) {
      if (isDirectory(there.mode)) {
        const detail = "a directory is not replaced by a file";
        throw new DaxError("EISDIR", { syscall: "cp", path, detail });
      }
    }
    this.#file(source, from, name, there);
    this.#options.onFile?.(path, source);
    return undefined;
  }

  #directory(
    source: CopySource,
    from: Location,
    name: string,
    path: string,
    there: Inode | undefined,
  ): Level {
    if (there !== undefined && !isDirectory(there.mode)) {
      const detail = "a file is not replaced by a directory";
      throw new DaxError("ENOTDIR", { syscall: "cp", path, detail });
    }
    if (there === undefined) this.#tree.mkdir(name, { from, mode: 0o700 });
    const location = this.#tree.locate(name, { from, follow: false });
    // As with cp, a directory that was there is not one that was copied.
    if (there === undefined) this.#options.onFile?.(path, source);
    return this.#entered(source, location, path, there === undefined);
  }

  #entered(source: CopySource, location: Location, path: string, made: boolean): Level {
    const names = this.#tolerate(path, () => source.names()) ?? [];
    return { source, location, path, made, names, next: 0 };
  }

  #file(source: CopySource, from: Location, name: string, there: Inode | undefined): void {
    const { key } = source;
    const first = key === undefined ? undefined : this.#first.get(key);
    if (first !== undefined) {
      if (there !== undefined) this.#tree.unlink(name, { from });
      this.#tree.link(first.name, name, { from: first.directory, toFrom: from });
      return;
    }
    if (isRegular(source.mode)) this.#regular(source, from, name, there);
    else this.#special(source, from, name, there);
    if (key !== undefined) this.#first.set(key, { directory: from, name });
  }

  #special(source: CopySource, from: Location, name: string, there: Inode | undefined): void {
    const target = isSymlink(source.mode) ? source.target() : undefined;
    if (there !== undefined) this.#tree.unlink(name, { from });
    const inode =
      target === undefined
        ? this.#tree.mknod(name, { from, mode: source.mode & (S_IFMT | 0o777), rdev: source.rdev })
        : this.#tree.symlink(target, name, { from });
    this.#finish(inode, source, true);
  }

  #regular(source: CopySource, from: Location, name: string, there: Inode | undefined): void {
    const input = source.open();
    let output: OpenFile | undefined;
    try {
      output = this.#opened(from, name, there);
      this.#contents(input, output);
      this.#finish(output.inode, source, there === undefined || !isRegular(there.mode));
    } catch (error) {
      output?.close();
      // Half a file would pass for a whole one.
      if (output !== undefined && there === undefined) this.#tree.unlink(name, { from });
      output = undefined;
      throw error;
    } finally {
      output?.close();
      input.close();
    }
  }

  /** Written through a link that is there, as cp does, but not through one that leads nowhere. */
  #opened(from: Location, name: string, there: Inode | undefined): OpenFile {
    const type = there === undefined ? undefined : there.mode & S_IFMT;
    if (type !== undefined && type !== S_IFREG && type !== S_IFLNK) {
      this.#tree.unlink(name, { from });
    }
    const create = type !== S_IFREG && type !== S_IFLNK;
    const how = create ? { create: true, exclusive: true, mode: 0o600 } : { truncate: true };
    return this.#tree.open(name, { from, access: "write", ...how });
  }

  #contents(input: OpenSource, output: OpenFile): void {
    let last = 0;
    for (const { start, length } of input.data()) {
      for (let at = start; at < start + length;) {
        const piece = this.#buffer.subarray(0, Math.min(PIECE, start + length - at));
        const count = input.read(piece, at);
        if (count === 0) break;
        for (let done = 0; done < count;) {
          done += output.pwrite(piece.subarray(done, count), at + done);
        }
        at += count;
        last = at;
        this.#bytes += count;
        this.#options.onBytes?.(this.#bytes);
      }
    }
    this.#stretch(input, output, last);
  }

  /** A hole at the end. */
  #stretch(input: OpenSource, output: OpenFile, last: number): void {
    const size = input.size() ?? last;
    if (size > last) output.truncate(size);
  }

  /** Owner first: changing it takes setuid bits away. Times last: everything changes them. */
  #finish(inode: Inode, source: CopySource, made: boolean): void {
    const { writing } = inode;
    const { keep = false, keepThere = false, xattrs = false, umask = 0, mode } = this.#options;
    if (writing === undefined) return;
    // What was there already stays as it is, unless the copy is to be the same in all.
    if (isDirectory(inode.mode) && !made && !xattrs) return;
    const whole = made || xattrs || keepThere;
    if (keep && whole) writing.change({ uid: source.uid, gid: source.gid });
    if (xattrs) this.#xattrs(inode, source);
    const wanted = keep ? source.mode & 0o7777 : source.mode & 0o777 & ~umask;
    const own = isRegular(inode.mode) && mode !== undefined ? mode : wanted;
    if (!isSymlink(inode.mode) && (whole || mode !== undefined)) {
      writing.change({ mode: own | (keep || !isDirectory(inode.mode) ? 0 : inode.mode & 0o2000) });
    }
    if (keep) writing.change({ atime: source.atime, mtime: source.mtime });
  }

  /** What the image does not take is left out, as cp -a does; a list that was inherited goes. */
  #xattrs(inode: Inode, source: CopySource): void {
    let hasList = false;
    for (const [name, value] of source.xattrs()) {
      hasList ||= name === ACCESS_LIST;
      try {
        setXattr(inode, name, value);
      } catch (error) {
        if (!isDaxError(error, "ENOTSUP", "EOPNOTSUPP", "EPERM", "EINVAL")) throw error;
      }
    }
    if (!hasList && inode.getxattr(ACCESS_LIST) !== undefined) removeXattr(inode, ACCESS_LIST);
  }
}

/** A path as the directory that holds it and the name in it. */
function split(path: string): [above: string, name: string] {
  const trimmed = path.replace(/\/+$/u, "");
  const cut = trimmed.lastIndexOf("/");
  return [trimmed.slice(0, cut + 1) || "/", trimmed.slice(cut + 1)];
}
