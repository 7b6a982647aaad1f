/**
 * A folder of this machine as a filesystem: what the tools of this machine say of the folder is
 * what ours must say of it. Attributes and names only, no data.
 */
import * as fs from "node:fs";
import type { Iomap } from "../../src/dax/iomap.ts";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { decodeUtf8, encodeUtf8 } from "../../src/lib/utf8.ts";
import type {
  Attributes,
  DirectoryEntry,
  Filesystem,
  Inode,
  Statfs,
} from "../../src/vfs/filesystem.ts";
import { S_IFMT } from "../../src/vfs/modes.ts";
import { timespecOf } from "./host-tree.ts";

export class HostFilesystem implements Filesystem {
  readonly type = "host";
  readonly root: HostInode;
  /** Nothing is read of it. */
  readonly device: BlockDevice = new RamDisk({ name: "host", bytes: new Uint8Array(4096) });
  readonly #inodes = new Map<number, HostInode>();

  constructor(folder: string) {
    this.root = this.at(Buffer.from(folder));
  }

  at(path: Buffer): HostInode {
    const ino = Number(fs.lstatSync(path, { bigint: true }).ino);
    const known = this.#inodes.get(ino);
    if (known !== undefined) return known;
    const inode = new HostInode(this, path, ino);
    this.#inodes.set(ino, inode);
    return inode;
  }

  inode(ino: number): HostInode {
    const inode = this.#inodes.get(ino);
    if (inode === undefined) throw new DaxError("ESTALE", { detail: `inode ${ino}` });
    return inode;
  }

  statfs(): Statfs {
    const { type, bsize, blocks, bfree, bavail, files, ffree } = fs.statfsSync("/");
    return { magic: type, blockSize: bsize, blocks, bfree, bavail, files, ffree, nameLength: 255 };
  }

  unmount(): void {}
}

class HostInode implements Inode {
  readonly filesystem: HostFilesystem;
  readonly ino: number;
  readonly generation = 0;
  readonly isDax = false;
  readonly #path: Buffer;

  constructor(filesystem: HostFilesystem, path: Buffer, ino: number) {
    this.filesystem = filesystem;
    this.#path = path;
    this.ino = ino;
  }

  get mode(): number {
    return fs.lstatSync(this.#path).mode;
  }

  get size(): number {
    return fs.lstatSync(this.#path).size;
  }

  attributes(): Attributes {
    const stat = fs.lstatSync(this.#path, { bigint: true });
    return {
      mode: Number(stat.mode),
      nlink: Number(stat.nlink),
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      rdev: Number(stat.rdev),
      size: Number(stat.size),
      blocks: Number(stat.blocks),
      atime: timespecOf(stat.atimeNs),
      mtime: timespecOf(stat.mtimeNs),
      ctime: timespecOf(stat.ctimeNs),
      btime: timespecOf(stat.birthtimeNs),
    };
  }

  lookup(name: string): HostInode | undefined {
    const path = this.#below(Buffer.from(encodeUtf8(name)));
    return fs.lstatSync(path, { throwIfNoEntry: false }) && this.filesystem.at(path);
  }

  *readdir(cookie: number): Generator<DirectoryEntry> {
    const names = [".", "..", ...fs.readdirSync(this.#path, { encoding: "buffer" })];
    for (const [index, name] of names.entries()) {
      if (index < cookie) continue;
      const bytes = Buffer.from(name);
      const inode = this.filesystem.at(this.#below(bytes));
      const type = (inode.mode & S_IFMT) >> 12;
      yield { name: decodeUtf8(bytes), ino: inode.ino, type, cookie: index + 1 };
    }
  }

  readlink(): string {
    return decodeUtf8(fs.readlinkSync(this.#path, { encoding: "buffer" }));
  }

  listxattr(): readonly string[] {
    return [];
  }

  getxattr(): undefined {
    return undefined;
  }

  iomapBegin(): Iomap {
    throw new DaxError("EIO", { detail: "only names and attributes" });
  }

  #below(name: Buffer): Buffer {
    return Buffer.concat([this.#path, Buffer.from("/"), name]);
  }
}
