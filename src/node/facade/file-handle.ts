/**
 * `fs.promises.FileHandle` over an open file of an image.
 *
 * @module
 */
import { EventEmitter } from "node:events";
import * as fs from "node:fs";
import type { ReadStream, WriteStream, promises } from "node:fs";
import { type Interface, createInterface } from "node:readline";
import { ReadableStream } from "node:stream/web";
import { type Function_, invalidState, notImplemented } from "./arguments.ts";
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

/** Node documents the classes, and their types have no constructor. */
type StreamMaker<T> = new (path: string, options: object) => T;
const NodeReadStream = fs.ReadStream as unknown as StreamMaker<ReadStream>;
const NodeWriteStream = fs.WriteStream as unknown as StreamMaker<WriteStream>;

/** Bytes of one piece of `readableWebStream`. */
const PIECE = 16_384;

/** The part that is not one operation on a descriptor. */
class ImageFileHandle extends EventEmitter {
  readonly #context: Context;
  #fd: number;
  #locked = false;
  #pending = 0;
  #closing: Promise<void> | undefined;
  /** Called when the last operation is done. */
  #idle: (() => void) | undefined;

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
  #contextFor(syscall: string): Context {
    if (this.#fd === -1) throw closedError(syscall);
    return this.#context;
  }

  /** Runs an operation on the descriptor, which stays open until it is done. */
  async run(syscall: string, body: (context: Context, fd: number) => unknown): Promise<unknown> {
    const context = this.#contextFor(syscall);
    this.#pending++;
    try {
      return await body(context, this.#fd);
    } finally {
      this.#pending--;
      if (this.#pending === 0) this.#idle?.();
    }
  }

  /** Waits for what is being done; a second call gives the same promise. */
  close(): Promise<void> {
    if (this.#fd === -1) return this.#closing ?? Promise.resolve();
    this.#closing ??= this.#closeWhenIdle();
    return this.#closing;
  }

  async #closeWhenIdle(): Promise<void> {
    const busy = this.#pending > 0;
    if (!busy) this.#end();
    this.emit("close");
    if (!busy) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
    this.#end();
  }

  #end(): void {
    const fd = this.#fd;
    this.#fd = -1;
    // As an operation, for who observes calls.
    closing?.prepare(this.#context, [fd], "promise")();
  }

  createReadStream(options: object = {}): ReadStream {
    const handle = this as unknown as promises.FileHandle;
    return this.#ending(new NodeReadStream("", throughHandle(handle, options)));
  }

  createWriteStream(options: object = {}): WriteStream {
    const handle = this as unknown as promises.FileHandle;
    return this.#ending(new NodeWriteStream("", throughHandle(handle, options)));
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

  /** A handle that is closed ends its streams. */
  #ending<T extends { close(): void }>(stream: T): T {
    this.once("close", () => stream.close());
    return stream;
  }
}

function callOn(name: string, operation: Operation): Function_ {
  return async function call(this: ImageFileHandle, ...args: readonly unknown[]) {
    return this.run(name, (context, fd) => promised(context, operation)(fd, ...args));
  };
}

/** `close` of a descriptor. */
let closing: Operation | undefined;

/** Gives the handles their operations; once, since the table is one. */
export function equipHandles(table: OperationTable): void {
  closing = table["close"];
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

/** Options of a stream that goes through a handle, which it closes when it ends, as Node's does. */
export function throughHandle(handle: promises.FileHandle, options: object): object {
  return { ...options, fd: handle.fd, fs: callsOn(handle) };
}

/** A call with a callback from one that gives a promise of `{ bytesRead, buffer }` or the like. */
function passing(call: (...args: never[]) => Promise<unknown>, shown: unknown): Function_ {
  return (...args) => {
    const done = args.at(-1) as Function_;
    call(...(args.slice(1, -1) as never[])).then(
      (result) => done(null, ...Object.values(result ?? {})),
      (error: unknown) => done(error, 0, shown),
    );
  };
}

/** What a stream asks of `fs`, asked of a handle. */
function callsOn(handle: promises.FileHandle): Record<string, Function_> {
  const bound = (name: "read" | "write" | "writev" | "sync" | "close"): Function_ =>
    passing((...args) => (handle[name] as (...args: never[]) => Promise<unknown>)(...args), null);
  return {
    close: bound("close"),
    fsync: bound("sync"),
    open: () => {
      throw notImplemented("open");
    },
    read: bound("read"),
    write: bound("write"),
    writev: bound("writev"),
  };
}
