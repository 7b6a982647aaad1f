/**
 * Copying a part of an image to the host, as `cp -a` would from a mount.
 *
 * An image may be hostile. No name leads out of the destination (`..` and slashes are no names),
 * nothing is written through a symbolic link, and nothing that was there before is replaced.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { daxRead } from "../../dax/file-io.ts";
import { DaxError } from "../../lib/errno.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import { extentsIn } from "../../vfs/extents.ts";
import type { Attributes, Inode } from "../../vfs/filesystem.ts";
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  isDirectory,
  majorOf,
  minorOf,
} from "../../vfs/modes.ts";
import { type OnDamage, tolerate, walkSubtree } from "../../vfs/subtree.ts";
import { xattrsOf } from "../../vfs/xattrs.ts";
import { shownPath } from "../facade/paths.ts";
import { setHostTimes } from "../host-times.ts";
import { writeHostXattr } from "../host-xattrs.ts";
import type { Volume } from "../volume.ts";

/** Bytes of a file that are copied at once. */
const PIECE = 1 << 20;
const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;

/** What is copied, and what a caller may want to hear of. */
export interface CopyOptions {
  /** Keep extended attributes and ACLs, as far as the host takes them. False unless given. */
  readonly xattrs?: boolean;
  /** Hears of what was left out: `/dev/null: device left out; only root can make it`. */
  readonly onWarning?: (text: string) => void;
  /** Hears of what cannot be read, which is left out; without it the first damage ends the copy. */
  readonly onDamage?: OnDamage;
  /** Hears of each file before it is copied; its path in the image. */
  readonly onFile?: (path: string) => void;
  /** Hears how many bytes of content are copied, after every MiB or less. */
  readonly onBytes?: (bytes: number) => void;
}

/** What was copied. */
export interface CopySummary {
  readonly files: number;
  /** Bytes of content; holes are not copied, and not counted. */
  readonly bytes: number;
  /** Devices, sockets and the like; files that cannot be read. */
  readonly leftOut: number;
}

/**
 * Copies `path` of a volume, with all below it, to `dest` of the host: into it when it is a
 * directory, else as it. Modes, times, links, holes are kept; owners too for root, and setuid bits
 * only together with owners. Extended attributes are copied on request.
 * @throws ENOENT and whatever the walk says; EUCLEAN for names that are none; EEXIST for what is
 *   there already, links included; the host's own errors
 */
export function copyOut(
  volume: Volume,
  path: string,
  dest: string,
  options: CopyOptions = {},
): CopySummary {
  const { inode, name } = volume.tree.locate(path, { syscall: "cp", follow: false });
  const inside = isDirectory(fs.statSync(dest, { throwIfNoEntry: false })?.mode ?? 0);
  // The contents of a root have no name of their own: they go where the destination is.
  const root = inside && name !== "" ? join(Buffer.from(dest), name) : Buffer.from(dest);
  return new Copy(root, inside && name === "", options).run(inode);
}

function join(folder: Buffer, name: string): Buffer {
  return Buffer.concat([folder, Buffer.from("/"), encodeUtf8(name)]);
}

class Copy {
  readonly #root: Buffer;
  /** Whether the start is a directory that is there already, and stays as it is. */
  readonly #into: boolean;
  readonly #options: CopyOptions;
  readonly #owner = process.getuid?.() === 0;
  /** Where files with several names were put first. */
  readonly #first = new Map<number, Buffer>();
  readonly #buffer = new Uint8Array(PIECE);
  #files = 0;
  #bytes = 0;
  #leftOut = 0;

  constructor(root: Buffer, into: boolean, options: CopyOptions) {
    this.#root = root;
    this.#into = into;
    this.#options = options;
  }

  run(start: Inode): CopySummary {
    const onDamage = this.#onDamage();
    for (const { inode, path, leaving } of walkSubtree(start, onDamage)) {
      const target = path === "" ? this.#root : join(this.#root, path);
      if (path === "" && this.#into) continue;
      tolerate(onDamage, path, () => {
        if (leaving) this.#finish(target, inode);
        else this.#make(inode, path, target);
      });
    }
    return { files: this.#files, bytes: this.#bytes, leftOut: this.#leftOut };
  }

  #onDamage(): OnDamage | undefined {
    const { onDamage } = this.#options;
    if (onDamage === undefined) return undefined;
    return (error) => {
      this.#leftOut++;
      onDamage(error);
    };
  }

  #make(inode: Inode, path: string, target: Buffer): void {
    this.#options.onFile?.(path);
    const attributes = inode.attributes();
    const first = this.#first.get(inode.ino);
    if (first !== undefined) {
      fs.linkSync(first, target);
      this.#files++;
      return;
    }
    if (!this.#create(inode, path, target, attributes)) {
      this.#leftOut++;
      return;
    }
    this.#files++;
    if (attributes.nlink > 1 && !isDirectory(inode.mode)) this.#first.set(inode.ino, target);
    if (!isDirectory(inode.mode)) this.#finish(target, inode);
  }

  /** Makes the file, not yet with its own mode; false when it was left out. */
  #create(inode: Inode, path: string, target: Buffer, attributes: Attributes): boolean {
    switch (inode.mode & S_IFMT) {
      case S_IFDIR:
        // Its own mode may forbid writing into it: that comes when it is left.
        fs.mkdirSync(target, 0o700);
        return true;
      case S_IFREG:
        this.#contents(inode, target);
        return true;
      case S_IFLNK:
        fs.symlinkSync(Buffer.from(encodeUtf8(inode.readlink())), target);
        return true;
      case S_IFIFO:
        return this.#node(target, path, ["p"]);
      case S_IFCHR:
      case S_IFBLK:
        return this.#device(target, path, attributes);
      default:
        this.#options.onWarning?.(`/${shownPath(path)}: socket or unknown type left out`);
        return false;
    }
  }

  #device(target: Buffer, path: string, { mode, rdev }: Attributes): boolean {
    if (!this.#owner) {
      this.#options.onWarning?.(`/${shownPath(path)}: device left out; only root can make it`);
      return false;
    }
    const type = (mode & S_IFMT) === S_IFCHR ? "c" : "b";
    return this.#node(target, path, [type, String(majorOf(rdev)), String(minorOf(rdev))]);
  }

  /** Node cannot make these: mknod(1) does, which takes names as arguments. */
  #node(target: Buffer, path: string, args: readonly string[]): boolean {
    const name = target.toString();
    if (!Buffer.from(name).equals(target)) {
      const detail = "left out; mknod cannot be told a name that is not UTF-8";
      this.#options.onWarning?.(`/${shownPath(path)}: ${detail}`);
      return false;
    }
    try {
      execFileSync("mknod", ["-m", "600", "--", name, ...args], { stdio: "pipe" });
      return true;
    } catch (error) {
      if (fs.lstatSync(name, { throwIfNoEntry: false }) !== undefined) {
        throw new DaxError("EEXIST", { syscall: "mknod", dest: name });
      }
      this.#options.onWarning?.(`/${shownPath(path)}: left out; ${String(error)}`);
      return false;
    }
  }

  /** Copies what is there, and leaves out what is not: holes stay holes. */
  #contents(inode: Inode, target: Buffer): void {
    const fd = fs.openSync(target, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    try {
      for (const { offset, length, unwritten } of extentsIn(inode, 0, inode.size)) {
        if (!unwritten) this.#copy(inode, fd, offset, Math.min(offset + length, inode.size));
      }
      fs.ftruncateSync(fd, inode.size);
    } catch (error) {
      // Half a file would pass for a whole one.
      fs.unlinkSync(target);
      throw error;
    } finally {
      fs.closeSync(fd);
    }
  }

  #copy(inode: Inode, fd: number, start: number, stop: number): void {
    for (let at = start; at < stop;) {
      const count = daxRead(inode, this.#buffer.subarray(0, Math.min(PIECE, stop - at)), at);
      if (count === 0) throw new DaxError("EIO", { syscall: "read", detail: `ends at byte ${at}` });
      for (let done = 0; done < count;) {
        done += fs.writeSync(fd, this.#buffer, done, count - done, at + done);
      }
      at += count;
      this.#bytes += count;
      this.#options.onBytes?.(this.#bytes);
    }
  }

  /** Owner first: changing it takes setuid bits away. Times last: everything changes them. */
  #finish(target: Buffer, inode: Inode): void {
    const { mode, uid, gid, atime, mtime } = inode.attributes();
    if (this.#owner) fs.lchownSync(target, uid, gid);
    const link = (mode & S_IFMT) === S_IFLNK;
    if (!link) fs.chmodSync(target, mode & (this.#owner ? 0o7777 : 0o1777));
    if (this.#options.xattrs === true) this.#xattrs(target, inode);
    setHostTimes(target, atime, mtime);
  }

  /** What the host does not take is left out, as cp -a does. */
  #xattrs(target: Buffer, inode: Inode): void {
    for (const { name, value } of xattrsOf(inode)) {
      if (value !== undefined) writeHostXattr(target, name, value);
    }
  }
}
