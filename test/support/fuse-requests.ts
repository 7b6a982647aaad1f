/** The words of every request that a kernel has, as FuseClient sends them. */
import { FuseEntryOut, FuseAttr } from "../../src/format/fuse.ts";
import { FuseDirent } from "../../src/format/fuse-calls.ts";
import { FuseOpcode as Op } from "../../src/format/fuse-flags.ts";
import { decodeUtf8 } from "../../src/lib/utf8.ts";
import { type FuseAnswer, type FuseClient, type Part, text, u32, u64 } from "./fuse-client.ts";

/** A request, without the node that it is about. */
export interface Ask {
  readonly opcode: number;
  readonly parts: readonly Part[];
}

/** What setattr sets; times in seconds. */
export interface Wanted {
  readonly valid: number;
  readonly size?: number;
  readonly atime?: number;
  readonly mtime?: number;
  readonly nsec?: number;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

function asked(opcode: number, parts: readonly Part[]): Ask {
  return { opcode, parts };
}

function of(opcode: number, ...parts: Part[]): Ask {
  return asked(opcode, parts);
}

function rw(fh: number, offset: number, size: number, how = 0, flags = 2): Part[] {
  return [u64(fh), u64(offset), u32(size), u32(how), u64(0), u32(flags), u32(0)];
}

/** Numbers of which a kernel thinks in 64 bits may be larger than is exact. */
export const ask = {
  lookup: (name: string) => of(Op.LOOKUP, text(name)),
  forget: (count: number) => of(Op.FORGET, u64(count)),
  batchForget: (pairs: readonly (readonly [node: number, count: number])[]) =>
    of(
      Op.BATCH_FORGET,
      u32(pairs.length),
      u32(0),
      ...pairs.flatMap(([node, count]) => [u64(node), u64(count)]),
    ),
  getattr: () => of(Op.GETATTR, u32(0), u32(0), u64(0)),
  setattr: ({
    valid,
    size = 0,
    atime = 0,
    mtime = 0,
    nsec = 0,
    mode = 0,
    uid = 0,
    gid = 0,
  }: Wanted) =>
    asked(Op.SETATTR, [
      u32(valid),
      u32(0),
      u64(0),
      u64(size),
      u64(0),
      u64(atime),
      u64(mtime),
      u64(0),
      u32(nsec),
      u32(nsec),
      u32(0),
      u32(mode),
      u32(0),
      u32(uid),
      u32(gid),
      u32(0),
    ]),
  statx: () => of(Op.STATX, u32(0), u32(0), u64(0), u32(0), u32(0xfff)),
  readlink: () => of(Op.READLINK),
  symlink: (name: string, target: string) => of(Op.SYMLINK, text(name), text(target)),
  mknod: (name: string, mode: number, rdev = 0, umask = 0) =>
    of(Op.MKNOD, u32(mode), u32(rdev), u32(umask), u32(0), text(name)),
  mkdir: (name: string, mode = 0o755, umask = 0) => of(Op.MKDIR, u32(mode), u32(umask), text(name)),
  unlink: (name: string) => of(Op.UNLINK, text(name)),
  rmdir: (name: string) => of(Op.RMDIR, text(name)),
  rename: (to: number, name: string, newName: string) =>
    of(Op.RENAME, u64(to), text(name), text(newName)),
  rename2: (to: number, name: string, newName: string, flags: number) =>
    of(Op.RENAME2, u64(to), u32(flags), u32(0), text(name), text(newName)),
  link: (old: number, name: string) => of(Op.LINK, u64(old), text(name)),
  open: (flags = 2, openFlags = 0) => of(Op.OPEN, u32(flags), u32(openFlags)),
  create: (name: string, mode = 0o100644, flags = 2, umask = 0) =>
    of(Op.CREATE, u32(flags), u32(mode), u32(umask), u32(0), text(name)),
  tmpfile: (mode = 0o100600) => of(Op.TMPFILE, u32(2), u32(mode), u32(0), u32(0), text("/")),
  read: (fh: number, offset: number, size: number) => of(Op.READ, ...rw(fh, offset, size)),
  write: (fh: number, offset: number, bytes: Uint8Array, how = 0, flags = 2) =>
    of(Op.WRITE, ...rw(fh, offset, bytes.length, how, flags), bytes),
  statfs: () => of(Op.STATFS),
  release: (fh: number) => of(Op.RELEASE, u64(fh), u32(0), u32(0), u64(0)),
  flush: (fh: number) => of(Op.FLUSH, u64(fh), u32(0), u32(0), u64(0)),
  fsync: (data = false) => of(Op.FSYNC, u64(0), u32(data ? 1 : 0), u32(0)),
  fsyncdir: (data = false) => of(Op.FSYNCDIR, u64(0), u32(data ? 1 : 0), u32(0)),
  syncfs: () => of(Op.SYNCFS, u64(0)),
  setxattr: (name: string, value: Uint8Array, flags = 0, more = 0) =>
    of(Op.SETXATTR, u32(value.length), u32(flags), u32(more), u32(0), text(name), value),
  getxattr: (name: string, size = 65_536) => of(Op.GETXATTR, u32(size), u32(0), text(name)),
  listxattr: (size = 65_536) => of(Op.LISTXATTR, u32(size), u32(0)),
  removexattr: (name: string) => of(Op.REMOVEXATTR, text(name)),
  opendir: () => of(Op.OPENDIR, u32(0), u32(0)),
  releasedir: () => of(Op.RELEASEDIR, u64(0), u32(0), u32(0), u64(0)),
  readdir: (cookie = 0, size = 4096) => of(Op.READDIR, ...rw(0, cookie, size)),
  readdirplus: (cookie = 0, size = 4096) => of(Op.READDIRPLUS, ...rw(0, cookie, size)),
  ioctl: (cmd: number, argument: Uint8Array = new Uint8Array(0), room = 0) =>
    asked(Op.IOCTL, [u64(0), u32(0), u32(cmd), u64(0), u32(argument.length), u32(room), argument]),
  fallocate: (mode: number, offset: number, length: number) =>
    of(Op.FALLOCATE, u64(0), u64(offset), u64(length), u32(mode), u32(0)),
  lseek: (offset: number, whence: number) => of(Op.LSEEK, u64(0), u64(offset), u32(whence), u32(0)),
  copyFileRange: (from: number, node: number, to: number, length: number, wide = false) =>
    asked(wide ? Op.COPY_FILE_RANGE_64 : Op.COPY_FILE_RANGE, [
      u64(0),
      u64(from),
      u64(node),
      u64(0),
      u64(to),
      u64(length),
      u64(0),
    ]),
  interrupt: () => of(Op.INTERRUPT, u64(2)),
  access: (mask: number) => of(Op.ACCESS, u32(mask), u32(0)),
  destroy: () => of(Op.DESTROY),
} as const;

/** The errno of a request, 0 for none. */
export function errnoOf(kernel: FuseClient, node: number, { opcode, parts }: Ask): number {
  const answer = kernel.send(opcode, node, parts);
  if (answer === undefined) throw new Error(`opcode ${opcode} had no answer`);
  return answer.errno;
}

/** A request that succeeds. */
export function did(kernel: FuseClient, node: number, { opcode, parts }: Ask): FuseAnswer {
  return kernel.call(opcode, node, parts);
}

/** The node that an answer tells of. */
export function nodeOf({ view }: FuseAnswer): number {
  return FuseEntryOut.nodeid.get(view, 0);
}

/** What an answer to getattr and its brothers shows; `at` 40 for those that tell of an entry. */
export function attrOf({ view }: FuseAnswer, at = 16): Shown {
  const time = (field: { readonly offset: number }): number =>
    Number(view.getBigInt64(at + field.offset, true));
  return {
    ino: FuseAttr.ino.get(view, at),
    size: FuseAttr.size.get(view, at),
    blocks: FuseAttr.blocks.get(view, at),
    mode: FuseAttr.mode.get(view, at),
    nlink: FuseAttr.nlink.get(view, at),
    uid: FuseAttr.uid.get(view, at),
    gid: FuseAttr.gid.get(view, at),
    rdev: FuseAttr.rdev.get(view, at),
    atime: time(FuseAttr.atimeLo),
    mtime: time(FuseAttr.mtimeLo),
    ctime: time(FuseAttr.ctimeLo),
    mtimensec: FuseAttr.mtimensec.get(view, at),
    ctimensec: FuseAttr.ctimensec.get(view, at),
  };
}

/** Numbers of a fuse_attr. */
export interface Shown {
  readonly ino: number;
  readonly size: number;
  readonly blocks: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly atime: number;
  readonly mtime: number;
  readonly ctime: number;
  readonly mtimensec: number;
  readonly ctimensec: number;
}

/** One entry of a listing; `node` 0 where it tells of none. */
export interface Listed {
  readonly name: string;
  readonly ino: number;
  readonly type: number;
  readonly cookie: number;
  readonly node: number;
}

/** The entries of an answer. */
export function listedIn({ body, view }: FuseAnswer, plus = false): Listed[] {
  const head = plus ? 128 : 0;
  const listed: Listed[] = [];
  for (let at = 0; at < body.length;) {
    const length = FuseDirent.namelen.get(view, at + head);
    const start = at + head + 24;
    listed.push({
      name: decodeUtf8(body.subarray(start, start + length)),
      ino: FuseDirent.ino.get(view, at + head),
      type: FuseDirent.type.get(view, at + head),
      cookie: FuseDirent.off.get(view, at + head),
      node: plus ? FuseEntryOut.nodeid.get(view, at) : 0,
    });
    at = start + Math.ceil(length / 8) * 8;
  }
  return listed;
}

/** A whole directory, in as many requests as it takes. */
export function list(kernel: FuseClient, node: number, size = 4096, plus = false): Listed[] {
  const all: Listed[] = [];
  for (let cookie = 0; ;) {
    const request = plus ? ask.readdirplus(cookie, size) : ask.readdir(cookie, size);
    const part = listedIn(did(kernel, node, request), plus);
    const last = part.at(-1);
    if (last === undefined) return all;
    all.push(...part);
    cookie = last.cookie;
  }
}
