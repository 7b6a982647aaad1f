/**
 * Operations that read files and what is known of them.
 *
 * @module
 */
import { constants } from "node:fs";
import { DaxError } from "../../lib/errno.ts";
import type { Inode } from "../../vfs/filesystem.ts";
import type { OpenFile } from "../../vfs/open-file.ts";
import {
  type Options,
  abortError,
  bytesOf,
  checkDescriptor,
  checkInteger,
  checkView,
  checkViews,
  flagsOf,
  invalidType,
  invalidValue,
  isView,
  optionsOf,
  outOfRange,
  plainOptions,
} from "./arguments.ts";
import { type Context, onFile, onPath } from "./context.ts";
import { openFile } from "./opening.ts";
import { type Flavour, type OperationTable, operation } from "./operation.ts";
import { type PathArgument, pathOf } from "./paths.ts";
import { bigintStatsOf, statfsOf, statsOf } from "./stats.ts";

const { R_OK, W_OK, X_OK } = constants;
/** What `read` allocates when it is given no buffer. */
const READ_BYTES = 16_384;
/** The longest file that `readFile` returns: 2 GiB less one, as in Node. */
const READ_FILE_MAX = 2 ** 31 - 1;
const NOTHING: unknown = undefined;
const NO_BYTES = new Uint8Array(0);

function access(context: Context, path: PathArgument, mode: number): void {
  onPath(path, "access", () => context.tree.access(path.path, mode, context.by("access")));
}

function exists(context: Context, value: unknown): boolean {
  try {
    context.tree.stat(pathOf(value).path, context.by("access"));
    return true;
  } catch {
    return false;
  }
}

function show(context: Context, inode: Inode, options: unknown): unknown {
  const { bigint } = plainOptions(options);
  const facts = context.facts(inode);
  return bigint === true ? bigintStatsOf(inode, facts) : statsOf(inode, facts);
}

function stat(
  context: Context,
  [value, options]: readonly unknown[],
  flavour: Flavour,
  follow: boolean,
): () => unknown {
  const path = pathOf(value);
  const throwIfNoEntry = flavour === "sync" ? plainOptions(options)["throwIfNoEntry"] : true;
  const syscall = follow ? "stat" : "lstat";
  return () => {
    try {
      return onPath(path, syscall, () =>
        show(
          context,
          context.tree.locate(path.path, { follow, ...context.by(syscall) }).inode,
          options,
        ),
      );
    } catch (error) {
      const absent = error instanceof DaxError && error.code === "ENOENT";
      if (absent && throwIfNoEntry === false) return NOTHING;
      throw error;
    }
  };
}

/** What to read, and where to. */
interface ReadRequest {
  readonly fd: number;
  readonly buffer: NodeJS.ArrayBufferView;
  readonly offset: number;
  readonly length: number;
  /** Undefined: from the position of the file. */
  readonly position: number | undefined;
}

function positionOf(value: unknown): number | undefined {
  if (value === null || value === undefined) return undefined;
  if (typeof value === "bigint") {
    if (value < -1n || value > 2n ** 63n - 1n) {
      throw outOfRange("position", `>= -1 && <= ${2n ** 63n - 1n}`, value);
    }
    return value < 0n ? undefined : Number(value);
  }
  if (typeof value !== "number") {
    throw invalidType("position", "of type bigint or integer", value);
  }
  const position = checkInteger(value, "position", -1);
  return position === -1 ? undefined : position;
}

/** `read(fd, buffer, offset, length, position)` in all its overloads. */
function readRequest(args: readonly unknown[], flavour: Flavour): ReadRequest {
  const fd = checkDescriptor(args[0]);
  let [, buffer, third] = args;
  const free = flavour !== "sync" && !isView(buffer) && args.length <= 2;
  if (free) {
    third = plainOptions(buffer);
    buffer = (third as { buffer?: unknown }).buffer ?? Buffer.alloc(READ_BYTES);
  }
  const view = checkView(buffer);
  const listed = args.length > 3 && typeof third !== "object";
  const options = listed ? {} : plainOptions(third);
  const [offset, length, position] = listed
    ? args.slice(2)
    : [options["offset"], options["length"], options["position"]];
  const start = offset === undefined || offset === null ? 0 : checkInteger(offset, "offset", 0);
  const wanted = length === undefined && !listed ? view.byteLength - start : Number(length) | 0;
  if (wanted !== 0 && view.byteLength === 0) {
    throw invalidValue("buffer", view, "is empty and cannot be written");
  }
  if (wanted < 0) throw outOfRange("length", ">= 0", wanted);
  if (wanted !== 0 && start + wanted > view.byteLength) {
    throw outOfRange("length", `<= ${view.byteLength - start}`, wanted);
  }
  return { fd, buffer: view, offset: start, length: wanted, position: positionOf(position) };
}

function read(context: Context, request: ReadRequest): number {
  const { fd, buffer, offset, length, position } = request;
  if (length === 0) return 0;
  const file = context.file(fd, "read");
  const target = bytesOf(buffer).subarray(offset, offset + length);
  return onFile("read", () =>
    position === undefined ? file.read(target) : file.pread(target, position),
  );
}

/** `readSync(fd, buffer, offset, length, position)` with nothing wrong: a copy, and little more. */
function readNow(context: Context, args: readonly unknown[]): number | undefined {
  if (args.length !== 5) return undefined;
  const [fd, buffer, offset, length, position] = args as readonly [
    number,
    unknown,
    number,
    number,
    number,
  ];
  if (!(buffer instanceof Uint8Array) || !Number.isSafeInteger(position)) return undefined;
  if (!Number.isInteger(offset) || !Number.isInteger(length)) return undefined;
  if (offset < 0 || length < 1 || offset + length > buffer.length || position < 0) return undefined;
  const file = context.openFile(fd);
  const full = length === buffer.length;
  if (file === undefined || file.isDirectory) return undefined;
  return onFile("read", () =>
    file.pread(full ? buffer : buffer.subarray(offset, offset + length), position),
  );
}

function readv(context: Context, fd: number, views: readonly Uint8Array[], at?: number): number {
  const file = context.file(fd, "read");
  return onFile("read", () => (at === undefined ? file.readv(views) : file.preadv(views, at)));
}

function tooLarge(size: number): Error {
  const message = `File size (${size}) is greater than 2 GiB`;
  return Object.assign(new RangeError(message), { code: "ERR_FS_FILE_TOO_LARGE" });
}

/** All of a file from `offset` on. */
function contents(file: OpenFile, offset: number): Buffer {
  if (file.isDirectory) throw new DaxError("EISDIR", { syscall: "read" });
  const size = Math.max(0, file.inode.size - offset);
  // What is open for writing only is refused, however short it is.
  if (size === 0) file.pread(NO_BYTES, offset);
  if (size > READ_FILE_MAX) throw tooLarge(size);
  const buffer = Buffer.allocUnsafe(size);
  let done = 0;
  while (done < size) {
    const count = file.pread(done === 0 ? buffer : buffer.subarray(done), offset + done);
    if (count === 0) break;
    done += count;
  }
  return done === size ? buffer : buffer.subarray(0, done);
}

function readFile(context: Context, target: number | PathArgument, options: Options): unknown {
  const { encoding, signal } = options;
  if (signal?.aborted === true) throw abortError(signal);
  const buffer =
    typeof target === "number" ? rest(context, target) : whole(context, target, options);
  const plain = encoding === undefined || encoding === null || encoding === "buffer";
  return plain ? buffer : buffer.toString(encoding);
}

function whole(context: Context, path: PathArgument, options: Options): Buffer {
  const { flag } = options;
  const flags = flag === undefined ? 0 : flagsOf(flag);
  const file = onPath(path, "open", () => openFile(context, path, flags));
  try {
    return onFile("read", () => contents(file, 0));
  } finally {
    file.close();
  }
}

function rest(context: Context, fd: number): Buffer {
  const file = context.file(fd, "fstat");
  return onFile("read", () => {
    const buffer = contents(file, file.position);
    file.seek(buffer.length, "cur");
    return buffer;
  });
}

/** What reads. */
export const READING: OperationTable = {
  access: operation((context, [path, mode]) => {
    const where = pathOf(path);
    const bits = mode === undefined || mode === null ? 0 : checkInteger(mode, "mode", 0, 7);
    return () => access(context, where, bits & (R_OK | W_OK | X_OK));
  }),
  exists: {
    prepare:
      (context, [path]) =>
      () =>
        exists(context, path),
  },
  stat: operation((context, args, flavour) => stat(context, args, flavour, true)),
  lstat: operation((context, args, flavour) => stat(context, args, flavour, false)),
  fstat: operation((context, [value, options]) => {
    const fd = checkDescriptor(value);
    return () => show(context, context.file(fd, "fstat").inode, options);
  }),
  statfs: operation((context, [value, options]) => {
    const path = pathOf(value);
    const bigint = plainOptions(options)["bigint"] === true;
    return () => onPath(path, "statfs", () => statfsOf(context.tree.statfs(path.path), bigint));
  }),
  close: operation((context, [value]) => {
    const fd = checkDescriptor(value);
    return () => context.close(fd);
  }),
  read: {
    prepare(context, args, flavour) {
      const request = readRequest(args, flavour);
      if (flavour === "sync") return () => read(context, request);
      return () => ({ bytesRead: read(context, request), buffer: request.buffer });
    },
    immediate: readNow,
    passed: (result) => Object.values(result as object),
  },
  readv: {
    prepare(context, [value, list, position], flavour) {
      const fd = checkDescriptor(value);
      const buffers = checkViews(list);
      const at = typeof position === "number" && position >= 0 ? position : undefined;
      const views = buffers.map(bytesOf);
      if (flavour === "sync") return () => readv(context, fd, views, at);
      return () => ({ bytesRead: readv(context, fd, views, at), buffers });
    },
    passed: (result) => Object.values(result as object),
  },
  readFile: {
    onDescriptorToo: true,
    prepare(context, [value, given]) {
      const options = optionsOf(given);
      if (options.flag !== undefined) flagsOf(options.flag);
      const target = typeof value === "number" ? checkDescriptor(value) : pathOf(value);
      return () => readFile(context, target, options);
    },
  },
};
