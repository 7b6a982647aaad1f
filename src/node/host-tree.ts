/**
 * A directory of this machine as a tree to fill a filesystem with: everything that lstat, readlink,
 * listxattr and SEEK_DATA tell. Data is read when its turn comes.
 *
 * @module
 */
import { attributeOf } from "../fs/ext/mkfs-attributes.ts";
import type { NewChild, NewNode } from "../fs/ext/mkfs-tree.ts";
import type { Timespec } from "../lib/environment.ts";
import { DaxError } from "../lib/errno.ts";
import type { Range } from "../lib/range-set.ts";
import { isDevice, isDirectory, isRegular, isSymlink } from "../vfs/modes.ts";
import { HostFiles, HostPath, type HostStat } from "./host-files.ts";

/**
 * Reads the tree under a directory.
 * @throws ENOTDIR, and whatever the system says of a file that cannot be read
 */
export function hostTree(path: string): NewNode {
  const files = new HostFiles();
  const top = HostPath.of(path);
  const stat = files.stat(top, true);
  if (isDirectory(stat.mode)) return new Reader(files).node(top, stat);
  throw new DaxError("ENOTDIR", { syscall: "mkfs", path, detail: "a tree starts at a directory" });
}

const NO_ATTRIBUTES: NewNode["attributes"] = [];
const NO_DATA: readonly Range[] = [];

/** A regular file; there may be very many. */
class HostFile implements NewNode {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  readonly attributes: NewNode["attributes"];
  readonly size: number;
  readonly data: readonly Range[];
  readonly #files: HostFiles;
  readonly #path: HostPath;

  constructor(files: HostFiles, path: HostPath, stat: HostStat, attributes: NewNode["attributes"]) {
    this.mode = stat.mode;
    this.uid = stat.uid;
    this.gid = stat.gid;
    this.atime = stat.atime;
    this.mtime = stat.mtime;
    this.ctime = stat.ctime;
    this.attributes = attributes;
    this.size = stat.size;
    this.data = files.data(path, stat);
    this.#files = files;
    this.#path = path;
  }

  /** What got shorter since reads as zeros. */
  read(offset: number, target: Uint8Array): void {
    this.#files.read(this.#path, offset, target);
  }
}

class Reader {
  readonly #files: HostFiles;
  /** Files that have more than one name. */
  readonly #linked = new Map<string, NewNode>();

  constructor(files: HostFiles) {
    this.#files = files;
  }

  node(path: HostPath, stat: HostStat): NewNode {
    if (stat.nlink < 2 || isDirectory(stat.mode)) return this.#make(path, stat);
    const known = this.#linked.get(stat.identity);
    if (known !== undefined) return known;
    const made = this.#make(path, stat);
    this.#linked.set(stat.identity, made);
    return made;
  }

  #make(path: HostPath, stat: HostStat): NewNode {
    const attributes = this.#attributes(path);
    if (isRegular(stat.mode)) return new HostFile(this.#files, path, stat, attributes);
    const { mode, uid, gid, atime, mtime, ctime, major, minor } = stat;
    const base = { mode, uid, gid, atime, mtime, ctime, attributes, size: 0, data: NO_DATA };
    if (isDirectory(mode)) return { ...base, children: this.#children(path) };
    if (isSymlink(mode)) return { ...base, target: this.#files.target(path) };
    return isDevice(mode) ? { ...base, device: { major, minor } } : base;
  }

  #children(path: HostPath): NewChild[] {
    const children: NewChild[] = [];
    for (const name of this.#files.names(path)) {
      const own = path.child(name);
      children.push({ name, node: this.node(own, this.#files.stat(own)) });
    }
    return children;
  }

  #attributes(path: HostPath): NewNode["attributes"] {
    const all = this.#files.attributes(path);
    if (all.length === 0) return NO_ATTRIBUTES;
    return all.flatMap(([name, value]) => attributeOf(name, value) ?? []);
  }
}
