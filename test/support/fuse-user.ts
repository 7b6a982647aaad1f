/**
 * A program, and the kernel under it, that make the calls of a stream through FUSE: paths are
 * looked up name by name, nothing is cached, and what was looked up is forgotten after each call.
 */
import { crc32 } from "node:zlib";
import { FuseLseekOut } from "../../src/format/fuse-calls.ts";
import {
  FS_IOC_GETFLAGS,
  FS_IOC_SETFLAGS,
  O_APPEND,
  O_RDWR,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  SEEK_DATA,
  SEEK_HOLE,
  XATTR_CREATE,
  XATTR_REPLACE,
} from "../../src/format/fuse-flags.ts";
import { DaxError, Errno, type ErrnoCode } from "../../src/lib/errno.ts";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "../../src/vfs/modes.ts";
import type { FallocateMode } from "../../src/vfs/writing.ts";
import { type At, type DataCall, contentsOf } from "./contents-stream.ts";
import type { FuseAnswer, FuseClient } from "./fuse-client.ts";
import { type Ask, ask, attrOf, nodeOf } from "./fuse-requests.ts";
import type { Call } from "./namespace-stream.ts";
import { outcomeOf } from "./namespace-ours.ts";

const MODE = 1;
const OWNER = 6;
const SIZE = 8;
const TIMES = 0x30;
const APPEND = 0x20;
const PROTECTED = 0x30;
const MOST_TURNS = 40;
const MAX_READ = 2 ** 16;
const MODES: Readonly<Record<FallocateMode, number>> = {
  allocate: 0,
  punch: 2,
  collapse: 8,
  zero: 16,
  insert: 32,
};
const CODES: ReadonlyMap<number, ErrnoCode> = new Map(
  Object.entries(Errno).map(([code, [number]]) => [number, code as ErrnoCode]),
);

/** A file that the program knows. */
interface Known {
  readonly node: number;
  readonly mode: number;
}

/** A file that it has open. */
interface Open extends Known {
  readonly isOpen: boolean;
  /** Made without a name, which it may be given. */
  readonly unnamed: boolean;
}

/** See the module. */
export class FuseUser {
  readonly #kernel: FuseClient;
  readonly #slots = new Map<number, Open>();
  /** How often each node was told of. */
  readonly #told = new Map<number, number>();

  constructor(kernel: FuseClient) {
    this.#kernel = kernel;
  }

  /** Makes a call; what it gives, as `callOurs` says it. */
  call(call: Exclude<Call | DataCall, { op: "extents" }>): string {
    const said = outcomeOf(() => {
      if (call.op === "drop") return this.#drop(call.slot);
      if ("at" in call) return this.#onData(call);
      this.#run(call);
      return "ok";
    });
    this.#forget();
    return said;
  }

  /** Closes everything. */
  end(): void {
    for (const slot of this.#slots.keys()) this.#drop(slot);
    this.#forget();
  }

  #do(node: number, { opcode, parts }: Ask): FuseAnswer {
    const answer = this.#kernel.send(opcode, node, parts);
    if (answer === undefined) throw new Error(`opcode ${opcode} had no answer`);
    if (answer.errno === 0) return answer;
    throw new DaxError(CODES.get(answer.errno) as ErrnoCode);
  }

  /** A request whose answer tells of a node. */
  #meet(node: number, request: Ask): Known {
    const answer = this.#do(node, request);
    const found = nodeOf(answer);
    if (found !== 0) this.#told.set(found, (this.#told.get(found) ?? 0) + 1);
    return { node: found, mode: found === 0 ? 0 : attrOf(answer, 40).mode };
  }

  /** All that is not open; what is forgotten is not known any more. */
  #forget(): void {
    const kept = new Set([...this.#slots.values()].map(({ node }) => node));
    for (const [node, count] of this.#told) {
      if (kept.has(node)) continue;
      this.#told.delete(node);
      const { opcode, parts } = ask.forget(count);
      if (this.#kernel.send(opcode, node, parts) !== undefined) throw new Error("FORGET answered");
      const again = ask.getattr();
      const stale = this.#kernel.send(again.opcode, node, again.parts)?.errno;
      if (stale !== Errno.ESTALE[0]) throw new Error(`node ${node} is still known`);
    }
  }

  /** The directory of the last name of a path, and that. */
  #parent(path: string): [directory: number, name: string] {
    const names = path.split("/");
    const last = names.pop() as string;
    let at = 1;
    for (const name of names) {
      const { node, mode } = this.#meet(at, ask.lookup(name));
      // Links within a path lead nowhere in these streams.
      if (node === 0 || (mode & S_IFMT) === S_IFLNK) throw new DaxError("ENOENT");
      if ((mode & S_IFMT) !== S_IFDIR) throw new DaxError("ENOTDIR");
      at = node;
    }
    return [at, last];
  }

  #look(path: string): Known & { readonly directory: number; readonly name: string } {
    const [directory, name] = this.#parent(path);
    return { ...this.#meet(directory, ask.lookup(name)), directory, name };
  }

  #find(path: string, follow = false): Known {
    const found = this.#look(path);
    const link = follow && (found.mode & S_IFMT) === S_IFLNK;
    if (found.node === 0 || link) throw new DaxError("ENOENT");
    return found;
  }

  #free(path: string): [directory: number, name: string] {
    const { node, directory, name } = this.#look(path);
    if (node !== 0) throw new DaxError("EEXIST");
    return [directory, name];
  }

  #run(call: Exclude<Call, { op: "drop" }>): void {
    switch (call.op) {
      case "make":
        this.#make(call);
        return;
      case "link": {
        const { node } = this.#find(call.from);
        const [directory, name] = this.#free(call.to);
        this.#meet(directory, ask.link(node, name));
        return;
      }
      case "rename":
        this.#rename(call);
        return;
      case "hold":
        this.#hold(call.slot, call.path);
        return;
      case "unnamed":
        this.#unnamed(call);
        return;
      case "name":
        this.#name(call);
        return;
      case "unlink":
      case "rmdir": {
        const { node, directory, name } = this.#look(call.path);
        if (node === 0) throw new DaxError("ENOENT");
        this.#do(directory, ask[call.op](name));
        return;
      }
      default:
        this.#change(call);
    }
  }

  #make({ path, mode, rdev, target }: Extract<Call, { op: "make" }>): void {
    const [directory, name] = this.#free(path);
    const type = mode & S_IFMT;
    if (type === S_IFDIR) this.#meet(directory, ask.mkdir(name, mode & 0o7777));
    else if (type === S_IFLNK) this.#meet(directory, ask.symlink(name, target));
    else if (type === S_IFREG) {
      const { node } = this.#meet(directory, ask.create(name, mode, 0o301));
      this.#do(node, ask.release(node));
    } else this.#meet(directory, ask.mknod(name, mode, packed(rdev)));
  }

  #rename({ from, to, how }: Extract<Call, { op: "rename" }>): void {
    // Both directories before both names.
    const [directory, name] = this.#parent(from);
    const [toDirectory, toName] = this.#parent(to);
    if (this.#meet(directory, ask.lookup(name)).node === 0) throw new DaxError("ENOENT");
    this.#meet(toDirectory, ask.lookup(toName));
    const flags = how === "" ? 0 : how === "exchange" ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    const names = [toDirectory, name, toName] as const;
    const request = flags === 0 ? ask.rename(...names) : ask.rename2(...names, flags);
    this.#do(directory, request);
  }

  #hold(slot: number, path: string): void {
    const { node, mode } = this.#find(path);
    const isOpen = (mode & S_IFMT) === S_IFREG;
    // Otherwise as O_PATH, of which nobody hears.
    if (isOpen) this.#do(node, ask.open(0));
    this.#drop(slot);
    this.#slots.set(slot, { node, mode, isOpen, unnamed: false });
  }

  #unnamed({ slot, path, mode }: Extract<Call, { op: "unnamed" }>): void {
    const directory = this.#find(path, true);
    if ((directory.mode & S_IFMT) !== S_IFDIR) throw new DaxError("ENOTDIR");
    const made = this.#meet(directory.node, ask.tmpfile(mode));
    this.#drop(slot);
    this.#slots.set(slot, { ...made, isOpen: true, unnamed: true });
  }

  #name({ slot, to }: Extract<Call, { op: "name" }>): void {
    const open = this.#slots.get(slot);
    if (open === undefined) throw new DaxError("ENOENT");
    const [directory, name] = this.#free(to);
    const { nlink } = attrOf(this.#do(open.node, ask.getattr()));
    if ((open.mode & S_IFMT) === S_IFDIR) throw new DaxError("EPERM");
    // The kernel knows by itself.
    if (nlink === 0 && !open.unnamed) throw new DaxError("ENOENT");
    this.#meet(directory, ask.link(open.node, name));
    this.#slots.set(slot, { ...open, unnamed: false });
  }

  #drop(slot: number): string {
    const open = this.#slots.get(slot);
    if (open === undefined) return "none";
    const { nlink } = attrOf(this.#do(open.node, ask.getattr()));
    this.#slots.delete(slot);
    if (open.isOpen) this.#do(open.node, ask.release(open.node));
    return `${nlink}`;
  }

  #change(
    call: Extract<
      Call,
      { op: "empty" | "chmod" | "chown" | "utimes" | "setxattr" | "removexattr" }
    >,
  ): void {
    const follow = call.op === "chmod" || call.op === "empty";
    const { node } = this.#find(call.path, follow);
    switch (call.op) {
      case "empty":
        this.#do(node, ask.setattr({ valid: SIZE, size: 0 }));
        return;
      case "chmod":
        this.#do(node, ask.setattr({ valid: MODE, mode: call.mode }));
        return;
      case "chown":
        this.#do(node, ask.setattr({ valid: OWNER, uid: call.uid, gid: call.gid }));
        return;
      case "utimes": {
        const [[atime, first], [mtime, nsec]] = [call.atime, call.mtime];
        this.#do(node, ask.setattr({ valid: TIMES, atime, mtime, nsec }));
        if (first === nsec) return;
        this.#do(node, ask.setattr({ valid: 0x10, atime, nsec: first }));
        return;
      }
      case "setxattr": {
        const how = { any: 0, create: XATTR_CREATE, replace: XATTR_REPLACE }[call.how];
        const value = new Uint8Array(call.length).fill(call.byte);
        this.#do(node, ask.setxattr(call.name, value, how));
        return;
      }
      default:
        this.#do(node, ask.removexattr(call.name));
    }
  }

  #at(at: At): Known {
    if (typeof at === "string") return this.#find(at);
    const open = this.#slots.get(at);
    if (open === undefined) throw new DaxError("ENOENT");
    return open;
  }

  #flags(node: number): number {
    return this.#do(node, ask.ioctl(FS_IOC_GETFLAGS, undefined, 4)).view.getUint32(16, true);
  }

  #onData(call: Exclude<DataCall, { op: "extents" }>): string {
    const { node, mode } = this.#at(call.at);
    const type = mode & S_IFMT;
    if (type === S_IFLNK) throw new DaxError("ELOOP");
    if (call.op === "protect" && (type === S_IFREG || type === S_IFDIR)) {
      const word = new Uint32Array([(this.#flags(node) & ~PROTECTED) | call.flags]);
      this.#do(node, ask.ioctl(FS_IOC_SETFLAGS, new Uint8Array(word.buffer)));
      return "ok";
    }
    if (type === S_IFDIR) throw new DaxError("EISDIR");
    if (type !== S_IFREG || call.op === "protect") return "special";
    const reads = call.op === "read" || call.op === "seek" || call.op === "sync";
    const append = call.op === "append" || (this.#flags(node) & APPEND) !== 0;
    const flags = reads ? 0 : O_RDWR | (append ? O_APPEND : 0);
    this.#do(node, ask.open(flags));
    try {
      return this.#onOpen(node, flags, call);
    } finally {
      this.#do(node, ask.release(node));
    }
  }

  #onOpen(
    node: number,
    flags: number,
    call: Exclude<DataCall, { op: "extents" | "protect" }>,
  ): string {
    switch (call.op) {
      case "sync":
        this.#do(node, ask.fsync());
        return "ok";
      case "seek":
        return this.#turns(node, call.offset);
      case "read":
        return this.#read(node, call.offset, call.length);
      case "truncate":
        this.#do(node, ask.setattr({ valid: SIZE, size: call.size }));
        return "ok";
      case "fallocate": {
        const mode = MODES[call.mode] | (call.keepSize ? 1 : 0);
        this.#do(node, ask.fallocate(mode, call.offset, call.length));
        return "ok";
      }
      default: {
        const bytes = contentsOf(call.seed, call.length);
        const offset = call.op === "write" ? call.offset : 0;
        const answer = this.#do(node, ask.write(node, offset, bytes, 0, flags));
        return `${answer.view.getUint32(0, true)}`;
      }
    }
  }

  #read(node: number, offset: number, length: number): string {
    let [got, sum] = [0, 0];
    while (got < length) {
      const size = Math.min(length - got, MAX_READ);
      const { body } = this.#do(node, ask.read(node, offset + got, size));
      sum = crc32(body, sum);
      got += body.length;
      if (body.length < size) break;
    }
    return `${got} ${sum}`;
  }

  #turns(node: number, offset: number): string {
    const turns: string[] = [];
    const seek = (from: number, whence: number): number =>
      FuseLseekOut.offset.get(this.#do(node, ask.lseek(from, whence)).view, 0);
    try {
      for (let at = offset; turns.length < MOST_TURNS;) {
        const data = seek(at, SEEK_DATA);
        at = seek(data, SEEK_HOLE);
        turns.push(`${data}-${at}`);
      }
    } catch (error) {
      if ((error as DaxError).code !== "ENXIO") throw error;
    }
    return turns.join(" ");
  }
}

/** A device number of 64 bits in 32, as the kernel packs it. */
function packed(rdev: number): number {
  const major = (rdev >>> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
