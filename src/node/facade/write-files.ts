/**
 * Operations that write bytes: to descriptors, and whole files.
 *
 * @module
 */
import { constants } from "node:fs";
import type { OpenFile } from "../../vfs/open-file.ts";
import {
  type Options,
  abortError,
  bytesOf,
  checkBoolean,
  checkDescriptor,
  checkInteger,
  checkViews,
  dataOf,
  flagsOf,
  invalidValue,
  isView,
  modeOf,
  optionsOf,
  outOfRange,
} from "./arguments.ts";
import { type Context, onFile, onPath } from "./context.ts";
import { NEW_FILE_MODE, openFile } from "./opening.ts";
import { type Flavour, type Operation, type OperationTable, operation } from "./operation.ts";
import { type PathArgument, pathOf } from "./paths.ts";

const { O_CREAT } = constants;

/** What to write, and where. */
interface WriteRequest {
  readonly fd: number;
  readonly bytes: Uint8Array;
  /** Undefined: at the position of the file. */
  readonly position: number | undefined;
  /** As it was passed. */
  readonly given: unknown;
}

/** Whatever is no offset means the file's own position: Node does not complain here. */
function positionOf(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined;
}

/** The overloads that take bytes: `offset, length, position`, or an object of them. */
function ofView(fd: number, view: NodeJS.ArrayBufferView, args: readonly unknown[]): WriteRequest {
  let [, , offset, length, position] = args;
  if (typeof offset === "object") {
    ({ offset = 0, length, position } = (offset ?? {}) as Record<string, unknown>);
  }
  const size = view.byteLength;
  const start = offset === undefined || offset === null ? 0 : checkInteger(offset, "offset", 0);
  const count = typeof length === "number" ? length : size - start;
  if (start > size) throw outOfRange("offset", `<= ${size}`, start);
  if (count > size - start) throw outOfRange("length", `<= ${size - start}`, count);
  if (count < 0) throw outOfRange("length", ">= 0", count);
  checkInteger(count, "length", 0, 2 ** 31 - 1);
  const bytes = bytesOf(view).subarray(start, start + count);
  return { fd, bytes, position: positionOf(position), given: view };
}

/** `write` in all its overloads. */
function writeRequest(args: readonly unknown[], flavour: Flavour): WriteRequest {
  const fd = checkDescriptor(args[0]);
  const [, given, position, encoding] = args;
  if (isView(given)) {
    // A handle with nothing to write looks at nothing else.
    if (flavour === "promise" && given.byteLength === 0) return ofView(fd, given, [fd, given]);
    return ofView(fd, given, args);
  }
  const bytes = dataOf(given, "buffer", encoding);
  const hex = typeof encoding === "string" && encoding.toLowerCase() === "hex";
  if (hex && String(given).length % 2 !== 0) {
    const reason = `is invalid for data of length ${String(given).length}`;
    throw invalidValue("encoding", encoding, reason);
  }
  return { fd, bytes, position: positionOf(position), given };
}

function write(context: Context, { fd, bytes, position }: WriteRequest): number {
  const file = context.file(fd, "write");
  return onFile("write", () =>
    position === undefined ? file.write(bytes) : file.pwrite(bytes, position),
  );
}

/** `writeSync(fd, buffer)` and the form with all arguments, with nothing wrong. */
function writeNow(context: Context, args: readonly unknown[]): number | undefined {
  const [fd, buffer, offset = 0, length, position] = args;
  if (!(buffer instanceof Uint8Array) || typeof fd !== "number") return undefined;
  const file = context.openFile(fd);
  if (file === undefined || file.closed) return undefined;
  const whole = offset === 0 && (length === undefined || length === buffer.length);
  if (!whole || buffer.length > 2 ** 31 - 1) return undefined;
  const at = positionOf(position);
  return onFile("write", () => (at === undefined ? file.write(buffer) : file.pwrite(buffer, at)));
}

function writev(context: Context, fd: number, views: readonly Uint8Array[], at?: number): number {
  if (views.length === 0) return 0;
  const file = context.file(fd, "write");
  return onFile("write", () => (at === undefined ? file.writev(views) : file.pwritev(views, at)));
}

function writeAll(file: OpenFile, bytes: Uint8Array): void {
  onFile("write", () => {
    for (let done = 0; done < bytes.length;) {
      done += file.write(done === 0 ? bytes : bytes.subarray(done));
    }
  });
}

type Iterated = Iterable<unknown> | AsyncIterable<unknown>;

/** Whether it is something to iterate over, and no data itself. */
function isIterated(value: unknown): value is Iterated {
  if (typeof value !== "object" || value === null || isView(value)) return false;
  return Symbol.asyncIterator in value || Symbol.iterator in value;
}

/** A whole file to be written, checked. */
interface FileRequest {
  readonly target: number | PathArgument;
  readonly data: Uint8Array | Iterated;
  readonly flags: number;
  readonly mode: number;
  readonly flush: boolean;
  readonly options: Options;
}

function fileRequest(args: readonly unknown[], flag: string, flavour: Flavour): FileRequest {
  const [value, given, third] = args;
  const options = optionsOf(third);
  const flush = checkBoolean(options.flush ?? false, "options.flush");
  const iterated = flavour === "promise" && isIterated(given);
  const data = iterated ? given : dataOf(given, "data", options.encoding);
  const descriptor = Number.isInteger(value) && (value as number) >= 0;
  const target = descriptor ? checkDescriptor(value) : pathOf(value);
  const flags = flagsOf(options.flag === undefined || options.flag === "" ? flag : options.flag);
  const mode = modeOf(options.mode, "mode", NEW_FILE_MODE);
  return { target, data, flags, mode, flush, options };
}

function assertNotAborted({ signal }: Options): void {
  if (signal?.aborted === true) throw abortError(signal);
}

/** The file to write to, and what ends the writing. */
function targetOf(context: Context, request: FileRequest): [OpenFile, () => void] {
  const { target, flags, mode } = request;
  if (typeof target === "number") return [context.file(target, "write"), () => undefined];
  const bits = (flags & O_CREAT) === 0 ? undefined : mode;
  const file = onPath(target, "open", () => openFile(context, target, flags, bits));
  return [file, () => file.close()];
}

function writeFile(context: Context, request: FileRequest, data: Uint8Array): void {
  assertNotAborted(request.options);
  const [file, end] = targetOf(context, request);
  try {
    writeAll(file, data);
    if (request.flush) onFile("fsync", () => file.sync("all"));
  } finally {
    end();
  }
}

/** Writes what comes, piece by piece. */
async function writePieces(
  context: Context,
  request: FileRequest,
  pieces: Iterated,
): Promise<void> {
  const { options, flush } = request;
  assertNotAborted(options);
  const [file, end] = targetOf(context, request);
  try {
    for await (const piece of pieces) {
      assertNotAborted(options);
      const encoding = options.encoding === "buffer" ? "utf8" : (options.encoding ?? "utf8");
      writeAll(file, isView(piece) ? bytesOf(piece) : Buffer.from(piece as string, encoding));
    }
    if (flush) onFile("fsync", () => file.sync("all"));
  } finally {
    end();
  }
}

function writesFile(flag: string): Operation {
  return {
    onDescriptorToo: true,
    prepare(context, args, flavour) {
      const request = fileRequest(args, flag, flavour);
      const { data } = request;
      if (data instanceof Uint8Array) return () => writeFile(context, request, data);
      return () => writePieces(context, request, data);
    },
  };
}

function syncs(syscall: string, how: "all" | "data"): Operation {
  return operation((context, [value]) => {
    const fd = checkDescriptor(value);
    return () => {
      const file = context.file(fd, syscall);
      onFile(syscall, () => file.sync(how));
    };
  });
}

/** What writes bytes. */
export const WRITING_FILES: OperationTable = {
  appendFile: writesFile("a"),
  fdatasync: syncs("fdatasync", "data"),
  fsync: syncs("fsync", "all"),
  write: {
    prepare(context, args, flavour) {
      const request = writeRequest(args, flavour);
      if (flavour === "sync") return () => write(context, request);
      return () => {
        const nothing = flavour === "promise" && (request.given as Uint8Array).byteLength === 0;
        return { bytesWritten: nothing ? 0 : write(context, request), buffer: request.given };
      };
    },
    immediate: writeNow,
    passed: (result) => Object.values(result as object),
  },
  writeFile: writesFile("w"),
  writev: {
    prepare(context, [value, list, position], flavour) {
      const fd = checkDescriptor(value);
      const buffers = checkViews(list);
      const views = buffers.map(bytesOf);
      const at = positionOf(position);
      if (flavour === "sync") return () => writev(context, fd, views, at);
      return () => ({ bytesWritten: writev(context, fd, views, at), buffers });
    },
    passed: (result) => Object.values(result as object),
  },
};
