/**
 * A directory of this machine as a tree to fill a filesystem with: everything that lstat, readlink,
 * listxattr and SEEK_DATA tell. Data is read when its turn comes.
 *
 * @module
 */
import { attributeOf } from "../fs/ext/mkfs-attributes.ts";
import type { NewChild, NewNode } from "../fs/ext/mkfs-tree.ts";
import { DaxError } from "../lib/errno.ts";
import { isDevice, isDirectory, isRegular, isSymlink } from "../vfs/modes.ts";
import { HostFiles, HostPath, type HostStat, readHostFile } from "./host-files.ts";

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
    const { mode, uid, gid, atime, mtime, ctime, size, major, minor } = stat;
    const attributes = this.#attributes(path);
    const base = { mode, uid, gid, atime, mtime, ctime, attributes };
    if (isRegular(mode)) {
      const data = this.#files.data(path, stat);
      const read = (offset: number, target: Uint8Array): void =>
        void readHostFile(path, offset, target);
      return { ...base, size, data, read };
    }
    const empty = { ...base, size: 0, data: [] };
    if (isDirectory(mode)) return { ...empty, children: this.#children(path) };
    if (isSymlink(mode)) return { ...empty, target: this.#files.target(path) };
    return isDevice(mode) ? { ...empty, device: { major, minor } } : empty;
  }

  #children(path: HostPath): NewChild[] {
    return this.#files.names(path).map((name) => {
      const own = path.child(name);
      return { name, node: this.node(own, this.#files.stat(own)) };
    });
  }

  #attributes(path: HostPath): NewNode["attributes"] {
    const all = this.#files.attributes(path);
    if (all.length === 0) return NONE;
    return all.flatMap(([name, value]) => attributeOf(name, value) ?? []);
  }
}

const NONE: NewNode["attributes"] = [];
