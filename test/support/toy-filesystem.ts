/**
 * A filesystem for tests of what stands above: directories in this process, data on a toy disk. Its
 * files are laid out as a test asks: in one piece, in fragments, with holes, unwritten, inline.
 */
import type { Iomap } from "../../src/dax/iomap.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import type { Timespec } from "../../src/lib/environment.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";
import type {
  Attributes,
  DirectoryEntry,
  Filesystem,
  Inode,
  Statfs,
} from "../../src/vfs/filesystem.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, isDirectory } from "../../src/vfs/modes.ts";
import { ToyDisk, type ToyDiskOptions } from "./toy-disk.ts";

/** What a test may say of an inode. */
export interface ToyAttributes {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly rdev?: number;
  readonly atime?: Timespec;
  readonly mtime?: Timespec;
  readonly ctime?: Timespec;
  readonly btime?: Timespec;
  readonly xattrs?: Readonly<Record<string, Uint8Array>>;
}

/** A piece of a file: bytes of media, or bytes that read as zeros. */
interface Piece {
  readonly type: Iomap["type"];
  readonly offset: number;
  readonly length: number;
  readonly addr: number;
}

/** How file data is laid out. */
export type Layout = "contiguous" | "fragmented" | "inline";

const EPOCH: Timespec = { sec: 1_000_000_000, nsec: 123_456_789 };

export class ToyInode implements Inode {
  readonly filesystem: ToyFilesystem;
  readonly ino: number;
  readonly generation = 1;
  readonly mode: number;
  size = 0;
  nlink = 1;
  target = "";
  inline: Uint8Array | undefined;
  pieces: Piece[] = [];
  readonly entries = new Map<string, ToyInode>();
  /** Cookies are never reused, so they stay valid whatever is removed. */
  readonly cookies = new Map<string, number>();
  readonly #attributes: ToyAttributes;
  #nextCookie = 3;

  constructor(filesystem: ToyFilesystem, ino: number, mode: number, attributes: ToyAttributes) {
    this.filesystem = filesystem;
    this.ino = ino;
    this.mode = mode;
    this.#attributes = attributes;
  }

  get isDax(): boolean {
    return this.filesystem.device.dax !== undefined && this.inline === undefined;
  }

  attributes(): Attributes {
    const { uid = 0, gid = 0, rdev = 0, atime = EPOCH, mtime = EPOCH } = this.#attributes;
    const { ctime = EPOCH, btime } = this.#attributes;
    const { mode, nlink, size } = this;
    const mapped = this.pieces.filter(({ type }) => type !== "hole");
    const blocks = mapped.reduce((sum, { length }) => sum + Math.ceil(length / PAGE_SIZE) * 8, 0);
    return { mode, nlink, uid, gid, rdev, size, blocks, atime, mtime, ctime, btime };
  }

  add(name: string, inode: ToyInode): void {
    this.entries.set(name, inode);
    this.cookies.set(name, this.#nextCookie++);
  }

  remove(name: string): void {
    this.entries.delete(name);
    this.cookies.delete(name);
  }

  lookup(name: string): Inode | undefined {
    this.#assertDirectory();
    return this.entries.get(name);
  }

  *readdir(cookie: number): Generator<DirectoryEntry> {
    this.#assertDirectory();
    const type = S_IFDIR >> 12;
    if (cookie < 1) yield { name: ".", ino: this.ino, type, cookie: 1 };
    if (cookie < 2) yield { name: "..", ino: this.filesystem.parentOf(this).ino, type, cookie: 2 };
    for (const [name, inode] of this.entries) {
      const own = this.cookies.get(name) as number;
      if (own <= cookie) continue;
      yield { name, ino: inode.ino, type: (inode.mode & S_IFMT) >> 12, cookie: own };
    }
  }

  readlink(): string {
    if ((this.mode & S_IFMT) !== S_IFLNK) throw new DaxError("EINVAL", { syscall: "readlink" });
    return this.target;
  }

  listxattr(): readonly string[] {
    return Object.keys(this.#attributes.xattrs ?? {});
  }

  getxattr(name: string): Uint8Array | undefined {
    return this.#attributes.xattrs?.[name];
  }

  iomapBegin(offset: number, length: number): Iomap {
    const { device } = this.filesystem;
    const common = { range: device.dax, store: device };
    if (this.inline !== undefined && offset < this.inline.length) {
      const { inline } = this;
      return { ...common, type: "inline", offset: 0, length: inline.length, addr: 0, inline };
    }
    const piece = this.pieces.find(
      (one) => offset >= one.offset && offset < one.offset + one.length,
    );
    if (piece !== undefined) return { ...common, ...piece };
    const next = this.pieces.find((one) => one.offset > offset);
    const stop = next?.offset ?? Math.max(offset + length, this.size);
    return { ...common, type: "hole", offset, length: Math.max(1, stop - offset), addr: 0 };
  }

  #assertDirectory(): void {
    if (!isDirectory(this.mode)) throw new DaxError("ENOTDIR");
  }
}

export class ToyFilesystem implements Filesystem {
  readonly type = "toy";
  readonly toy: ToyDisk;
  readonly root: ToyInode;
  mounted = true;
  readonly #inodes = new Map<number, ToyInode>();
  readonly #parents = new Map<ToyInode, ToyInode>();
  #nextIno = 2;
  #nextPage = 1;

  constructor(options: ToyDiskOptions & { readonly root?: ToyAttributes } = {}) {
    this.toy = new ToyDisk(options);
    this.root = this.#make(S_IFDIR | (options.root?.mode ?? 0o755), options.root ?? {});
    this.root.nlink = 2;
    this.#parents.set(this.root, this.root);
  }

  get device(): ToyDisk["disk"] {
    return this.toy.disk;
  }

  inode(ino: number): ToyInode {
    const inode = this.#inodes.get(ino);
    if (inode === undefined) throw new DaxError("ESTALE", { detail: `inode ${ino}` });
    return inode;
  }

  parentOf(inode: ToyInode): ToyInode {
    return this.#parents.get(inode) ?? this.root;
  }

  statfs(): Statfs {
    const blocks = this.toy.device.pages;
    const bfree = blocks - this.#nextPage;
    const files = this.#inodes.size;
    return {
      magic: 0x746f79,
      blockSize: PAGE_SIZE,
      blocks,
      bfree,
      bavail: bfree,
      files,
      ffree: 0,
      nameLength: 255,
    };
  }

  unmount(): void {
    this.mounted = false;
  }

  directory(parent: ToyInode, name: string, attributes: ToyAttributes = {}): ToyInode {
    const inode = this.#make(S_IFDIR | (attributes.mode ?? 0o755), attributes);
    inode.nlink = 2;
    parent.nlink++;
    this.#parents.set(inode, parent);
    parent.add(name, inode);
    return inode;
  }

  file(
    parent: ToyInode,
    name: string,
    bytes: Uint8Array,
    layout: Layout = "contiguous",
    attributes: ToyAttributes = {},
  ): ToyInode {
    const inode = this.#make(S_IFREG | (attributes.mode ?? 0o644), attributes);
    parent.add(name, inode);
    if (layout === "inline") inode.inline = bytes;
    else {
      const step = layout === "contiguous" ? Math.max(1, bytes.length) : PAGE_SIZE;
      for (let at = 0; at < bytes.length; at += step) {
        this.write(inode, at, bytes.subarray(at, at + step));
        if (layout === "fragmented") this.#nextPage++;
      }
    }
    inode.size = bytes.length;
    return inode;
  }

  /** Allocates pages for bytes at a page border of the file, which must be a hole there. */
  write(inode: ToyInode, offset: number, bytes: Uint8Array, type: Iomap["type"] = "mapped"): void {
    const pages = Math.ceil(bytes.length / PAGE_SIZE);
    const addr = this.#nextPage * PAGE_SIZE;
    this.#nextPage += pages;
    this.toy.bytes.set(bytes, addr);
    inode.pieces.push({ type, offset, length: pages * PAGE_SIZE, addr });
    inode.pieces.sort((a, b) => a.offset - b.offset);
    inode.size = Math.max(inode.size, offset + bytes.length);
  }

  symlink(
    parent: ToyInode,
    name: string,
    target: string,
    attributes: ToyAttributes = {},
  ): ToyInode {
    const inode = this.#make(S_IFLNK | 0o777, attributes);
    inode.target = target;
    inode.size = encodeUtf8(target).length;
    parent.add(name, inode);
    return inode;
  }

  special(parent: ToyInode, name: string, attributes: ToyAttributes): ToyInode {
    const inode = this.#make(attributes.mode ?? 0, attributes);
    parent.add(name, inode);
    return inode;
  }

  link(parent: ToyInode, name: string, inode: ToyInode): void {
    inode.nlink++;
    parent.add(name, inode);
  }

  #make(mode: number, attributes: ToyAttributes): ToyInode {
    const inode = new ToyInode(this, this.#nextIno++, mode, attributes);
    this.#inodes.set(inode.ino, inode);
    return inode;
  }
}
