/**
 * `fs.promises.FileHandle` over an open file of an image.
 *
 * @module
 */
import { EventEmitter } from "node:events";
import {
  type ReadStream,
  type WriteStream,
  type promises,
  ReadStream as NodeReadStream,
  WriteStream as NodeWriteStream,
} from "node:fs";
import { type Interface, createInterface } from "node:readline";
import { ReadableStream } from "node:stream/web";
import { type Function_, invalidState } from "./arguments.ts";
import type { Context } from "./context.ts";
import { promised } from "./flavours.ts";
import type { Operation, OperationTable } from "./operation.ts";

/** What Node says of a handle whose descriptor is gone. */
function closedError(syscall: string): Error {
  return Object.assign(new Error("file closed"), { code: "EBADF", syscall });
}

/** Members of a handle and the operations on a descriptor behind them. */
const CALLS: Readonly<Record<string, string>> = {
  appendFile: "appendFile",
  chmod: "fchmod",
  chown: "fchown",
  datasync: "fdatasync",
  read: "read",
  readFile: "readFile",
  readv: "readv",
  stat: "fstat",
  sync: "fsync",
  truncate: "ftruncate",
  utimes: "futimes",
  write: "write",
  writeFile: "writeFile",
  writev: "writev",
};

/** Bytes of one piece of `readableWebStream`. */
const PIECE = 16_384;

/** The part that is not one operation on a descriptor. */
class ImageFileHandle extends EventEmitter {
  readonly #context: Context;
  #fd: number;
  #locked = false;

  constructor(context: Context, fd: number) {
    super();
    this.#context = context;
    this.#fd = fd;
  }

  /** -1 when closed. */
  get fd(): number {
    return this.#fd;
  }

  /** The context for operations. @throws EBADF when closed */
  contextFor(syscall: string): Context {
    if (this.#fd === -1) throw closedError(syscall);
    return this.#context;
  }

  async close(): Promise<void> {
    if (this.#fd === -1) return;
    const fd = this.#fd;
    this.#fd = -1;
    this.#context.close(fd);
    this.emit("close");
  }

  createReadStream(options: object = {}): ReadStream {
    return streamOf(this as unknown as promises.FileHandle, options);
  }

  /** A stream that ends at its first write: handles are for reading. */
  createWriteStream(options: object = {}): WriteStream {
    return sinkOf(this as unknown as promises.FileHandle, options);
  }

  readLines(options?: object): Interface {
    return createInterface({ input: this.createReadStream(options), crlfDelay: Infinity });
  }

  /** @throws ERR_INVALID_STATE when closed, or when there is such a stream already */
  readableWebStream(): ReadableStream {
    if (this.#fd === -1) throw invalidState("The FileHandle is closed");
    if (this.#locked) throw invalidState("The FileHandle is locked");
    this.#locked = true;
    const file = this.#context.file(this.#fd, "read");
    return new ReadableStream({
      type: "bytes",
      autoAllocateChunkSize: PIECE,
      pull(controller) {
        const piece = new Uint8Array(PIECE);
        const count = file.read(piece);
        const request = controller.byobRequest as { respond(count: number): void } | null;
        if (count === 0) controller.close();
        else controller.enqueue(piece.subarray(0, count));
        if (count === 0) request?.respond(0);
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function callOn(name: string, operation: Operation): Function_ {
  return async function call(this: ImageFileHandle, ...args: readonly unknown[]) {
    const context = this.contextFor(name);
    return promised(context, operation)(this.fd, ...args);
  };
}

/** Gives the handles their operations; once, since the table is one. */
export function equipHandles(table: OperationTable): void {
  for (const [member, name] of Object.entries(CALLS)) {
    const value = callOn(name, table[name] as Operation);
    Object.defineProperty(ImageFileHandle.prototype, member, { value, configurable: true });
  }
}

/** A handle for an open descriptor. */
export function handleOf(context: Context, fd: number): promises.FileHandle {
  return new ImageFileHandle(context, fd) as unknown as promises.FileHandle;
}

/** True for handles of this module. */
export function isHandle(value: unknown): value is promises.FileHandle {
  return value instanceof ImageFileHandle;
}

/** Reads through a handle, which the stream closes when it ends, as Node's does. */
export function streamOf(handle: promises.FileHandle, options: object): ReadStream {
  const calls = {
    read(_fd: number, buffer: Buffer, offset: number, length: number, at: number, done: Function_) {
      handle.read(buffer, offset, length, at).then(
        ({ bytesRead }) => done(null, bytesRead, buffer),
        (error: unknown) => done(error, 0, buffer),
      );
    },
    close: closing(handle),
  };
  const Stream = NodeReadStream as unknown as new (path: unknown, options: object) => ReadStream;
  return new Stream("", { ...options, fd: handle.fd, fs: calls });
}

/** As {@link streamOf}, for writing: each write says what `handle.write` says. */
function sinkOf(handle: promises.FileHandle, options: object): WriteStream {
  const calls = {
    write(
      _fd: number,
      buffer: Buffer,
      offset: number,
      length: number,
      at: number,
      done: Function_,
    ) {
      handle.write(buffer, offset, length, at).then(
        ({ bytesWritten }) => done(null, bytesWritten, buffer),
        (error: unknown) => done(error, 0, buffer),
      );
    },
    close: closing(handle),
  };
  const Stream = NodeWriteStream as unknown as new (path: unknown, options: object) => WriteStream;
  return new Stream("", { ...options, fd: handle.fd, fs: calls });
}

function closing(handle: promises.FileHandle): (fd: number, done: Function_) => void {
  return (_fd, done) => {
    handle.close().then(
      () => done(null),
      (error: unknown) => done(error),
    );
  };
}
