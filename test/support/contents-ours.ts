/**
 * Calls on the contents of files, on a filesystem of ours.
 */
import { crc32 } from "node:zlib";
import { daxRead } from "../../src/dax/file-io.ts";
import { DaxError, isDaxError } from "../../src/lib/errno.ts";
import { extentsIn, seekTo } from "../../src/vfs/extents.ts";
import type { FileTree } from "../../src/vfs/file-tree.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { isDirectory, isRegular, isSymlink } from "../../src/vfs/modes.ts";
import { OpenFile } from "../../src/vfs/open-file.ts";
import type { OpenMode } from "../../src/vfs/open-mode.ts";
import type { OpenOptions } from "../../src/vfs/opening.ts";
import { type DataCall, contentsOf } from "./contents-stream.ts";
import { writingOf } from "./ext-mounted.ts";

const IMMUTABLE = 0x10;
const APPEND = 0x20;
/** Turns of data and holes that one call tells of. */
const MOST_TURNS = 40;
/** Contents are summed up in pieces of this, those of zeros left out. */
const PIECE = 1024;

/**
 * Makes a call on a file by its path, or on one that is open as a place; `special` for what cannot
 * be asked.
 */
export function callOnData(tree: FileTree, at: string | OpenFile, call: DataCall): string {
  const inode = typeof at === "string" ? tree.lstat(at) : at.inode;
  const writing = writingOf(inode);
  if (isSymlink(inode.mode)) throw new DaxError("ELOOP");
  const plain = isRegular(inode.mode);
  if (call.op === "protect" && (plain || isDirectory(inode.mode))) {
    writing.flags = (writing.flags & ~(IMMUTABLE | APPEND)) | call.flags;
    return "ok";
  }
  if (isDirectory(inode.mode)) throw new DaxError("EISDIR");
  if (!plain || call.op === "protect") return "special";
  const append = call.op === "append" || (writing.flags & APPEND) !== 0;
  const mode: OpenMode = isReading(call) ? {} : { access: "readwrite", append };
  const file = openAgain(tree, at, mode);
  try {
    return isReading(call) ? readCall(file, call) : changeCall(file, call);
  } finally {
    file.close();
  }
}

/** As through `/proc/self/fd`: what is open may be opened in another way. */
function openAgain(tree: FileTree, at: string | OpenFile, mode: OpenMode): OpenFile {
  if (typeof at === "string") return tree.open(at, { ...mode, noFollow: true } as OpenOptions);
  const immutable = (writingOf(at.inode).flags & IMMUTABLE) !== 0;
  if (immutable && mode.access === "readwrite") throw new DaxError("EPERM");
  return new OpenFile(at.location, mode);
}

type Reading = Extract<DataCall, { op: "read" | "seek" | "extents" | "sync" }>;
type Changing = Exclude<DataCall, Reading | { op: "protect" }>;

function isReading(call: DataCall): call is Reading {
  return ["read", "seek", "extents", "sync"].includes(call.op);
}

function readCall(file: OpenFile, call: Reading): string {
  switch (call.op) {
    case "sync":
      file.sync();
      return "ok";
    case "seek":
      return turnsOf(file, call.offset);
    case "extents":
      return extentsOf(file.inode);
    default: {
      const bytes = new Uint8Array(call.length);
      const got = file.pread(bytes, call.offset);
      return `${got} ${crc32(bytes.subarray(0, got))}`;
    }
  }
}

/** `0-4096 8192-9000`: data behind a place. */
function turnsOf(file: OpenFile, offset: number): string {
  const turns: string[] = [];
  try {
    for (let at = offset; turns.length < MOST_TURNS;) {
      const data = file.seek(at, "data");
      at = file.seek(data, "hole");
      turns.push(`${data}-${at}`);
    }
  } catch (error) {
    if (!isDaxError(error, "ENXIO")) throw error;
  }
  return turns.join(" ");
}

/** `0-8192 16384-20480u`: neighbours that are alike come as one. */
function extentsOf(inode: Inode): string {
  const runs: { start: number; limit: number; kind: string }[] = [];
  for (const { offset, length, unwritten, inline } of extentsIn(inode, 0, 2 ** 44)) {
    const kind = inline ? "inline" : unwritten ? "u" : "";
    const last = runs.at(-1);
    if (last?.limit === offset && last.kind === kind) last.limit += length;
    else runs.push({ start: offset, limit: offset + length, kind });
  }
  const words = runs.map(({ start, limit, kind }) => `${start}-${limit}${kind}`);
  return words.some((word) => word.endsWith("inline")) ? "inline" : words.join(" ");
}

function changeCall(file: OpenFile, call: Changing): string {
  switch (call.op) {
    case "truncate":
      file.truncate(call.size);
      return "ok";
    case "fallocate":
      file.fallocate(call.mode, call.offset, call.length, call.keepSize);
      return "ok";
    case "append":
      return `${file.write(contentsOf(call.seed, call.length))}`;
    default:
      return `${file.pwrite(contentsOf(call.seed, call.length), call.offset)}`;
  }
}

/** A sum over all that is not zero in a file, and where it is; quick for sparse ones. */
export function sumOfContents(inode: Inode): number {
  let sum = 0;
  const bytes = new Uint8Array(PIECE);
  const place = new DataView(new ArrayBuffer(8));
  for (let at = 0; at < inode.size;) {
    try {
      at = seekTo(inode, at, "data");
    } catch (error) {
      if (isDaxError(error, "ENXIO")) return sum;
      throw error;
    }
    at -= at % PIECE;
    const got = bytes.subarray(0, daxRead(inode, bytes, at));
    if (got.some((byte) => byte !== 0)) {
      place.setBigUint64(0, BigInt(at));
      sum = crc32(got, crc32(new Uint8Array(place.buffer), sum));
    }
    at += PIECE;
  }
  return sum;
}
