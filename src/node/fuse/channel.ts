/**
 * One connection to the kernel: takes requests from its descriptor and sends what the server
 * answers, file bytes straight from where they lie.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import type { FuseReply, FuseServer } from "../../fuse/server.ts";
import { addressOf } from "../libc.unsafe.ts";
import { systemError } from "../system-error.ts";
import {
  EAGAIN,
  ECONNABORTED,
  EFAULT,
  EINTR,
  ENODEV,
  ENOENT,
  type FuseCalls,
  fuseCalls,
  MOST_VECTORS,
  Vectors,
} from "./fuse-calls.unsafe.ts";

/** What a channel heard from the kernel. */
export type Served = "served" | "empty" | "gone";

/** Hears every frame in the order in which it passed; must copy what it wants to keep. */
export type FrameSink = (kind: "request" | "reply" | "notice", frame: Uint8Array) => void;

/** Where `unique` stands in the headers of requests and of replies. */
const UNIQUE = 8;
const OUT_HEADER = 16;
const EIO = 5;
/** Buffers up to this size may lie in the heap, which moves. */
const HEAP_BYTES = 64;
/** A device that fails in ways that nobody knows is not asked for ever. */
const MOST_FAILURES = 1000;

/** See the module. */
export class FuseChannel {
  readonly server: FuseServer;
  readonly fd: number;
  readonly record: FrameSink | undefined;
  /** Why it ended, where that was neither an unmount nor an abort. */
  fault: unknown;
  /** Called when the kernel and the server have agreed on a protocol. */
  onReady: () => void = () => {};
  /** Requests so far. */
  requests = 0;
  readonly #calls: FuseCalls;
  readonly #request: number;
  readonly #room: number;
  readonly #reply: number;
  readonly #vectors = new Vectors();
  /** Where buffers of pieces lie; asking costs more than a small reply. */
  readonly #bases = new WeakMap<ArrayBufferLike, number>();
  /** For pieces that no vector is left for, or that have no address. */
  #spill: Uint8Array<ArrayBuffer> | undefined;
  #failures = 0;
  #open = true;
  #borrowers = 0;
  #ready = false;

  /** The descriptor is the channel's from now on. */
  constructor(fd: number, server: FuseServer, record?: FrameSink) {
    this.fd = fd;
    this.server = server;
    this.record = record;
    this.#calls = fuseCalls();
    this.#request = addressOf(server.request);
    this.#room = server.request.length;
    this.#reply = addressOf(server.reply.bytes);
  }

  /** Whether the descriptor is still this channel's. */
  get isOpen(): boolean {
    return this.#open;
  }

  /** Answers one request where there is one. */
  serve(): Served {
    if (!this.#open) return "gone";
    const { server } = this;
    const length = this.#calls.read(this.fd, this.#request, this.#room);
    if (length < 0) return this.#refused(this.#calls.errno());
    this.requests++;
    this.#failures = 0;
    try {
      this.record?.("request", server.request.subarray(0, length));
      server.answer(length);
      if (server.reply.length > 0) this.#send(server.reply);
      if (!this.#ready && server.ready) this.#begin();
    } catch (error) {
      // A request without an answer would hang its caller for ever; the connection ends instead.
      return this.#fail(error);
    }
    return "served";
  }

  /**
   * Closes the descriptor, as soon as no other thread uses it: its number would be another file's.
   * The kernel ends all requests then. Idempotent.
   */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    if (this.#borrowers === 0) this.#calls.close(this.fd);
  }

  /** Lends the descriptor to another thread, until it is given back; undefined if closed. */
  borrow(): number | undefined {
    if (!this.#open) return undefined;
    this.#borrowers++;
    return this.fd;
  }

  giveBack(): void {
    this.#borrowers--;
    if (!this.#open && this.#borrowers === 0) this.#calls.close(this.fd);
  }

  #begin(): void {
    this.#ready = true;
    this.onReady();
  }

  #refused(errno: number): Served {
    if (errno === EAGAIN) return "empty";
    // ENOENT: the request was interrupted before it was read.
    if (errno === EINTR || errno === ENOENT) return "served";
    if (errno === ENODEV || errno === ECONNABORTED) return "gone";
    // The kernel has answered the request itself where it could not hand it over.
    if (this.#failures++ < MOST_FAILURES) return "served";
    return this.#fail(systemError(errno, { syscall: "read", path: "/dev/fuse" }));
  }

  #fail(error: unknown): Served {
    this.fault = error;
    return "gone";
  }

  #send(reply: FuseReply): void {
    if (this.record !== undefined) this.record("reply", wholeFrame(reply));
    const taken =
      reply.pieceCount === 0
        ? this.#calls.write(this.fd, this.#reply, reply.length)
        : this.#sendPieces(reply);
    if (taken < 0) this.#unsent(reply, this.#calls.errno());
  }

  /** ENOENT and ENODEV: nobody waits for it any more. */
  #unsent(reply: FuseReply, errno: number): void {
    if (errno === ENOENT || errno === ENODEV || errno === ECONNABORTED) return;
    if (errno === EFAULT && reply.pieceCount > 0) {
      this.server.spoiled();
      if (this.#calls.write(this.fd, this.#reply, reply.length) >= 0) return;
    }
    // Whatever the kernel disliked, its caller must not wait for ever.
    const header = new DataView(reply.bytes.buffer, reply.bytes.byteOffset);
    header.setUint32(0, OUT_HEADER, true);
    header.setInt32(4, -EIO, true);
    const asked = this.server.request;
    reply.bytes.set(asked.subarray(UNIQUE, UNIQUE + 8), UNIQUE);
    if (this.#calls.write(this.fd, this.#reply, OUT_HEADER) >= 0) return;
    const last = this.#calls.errno();
    if (last !== ENOENT && last !== ENODEV && last !== ECONNABORTED) {
      throw systemError(errno, { syscall: "write", path: "/dev/fuse" });
    }
  }

  #sendPieces(reply: FuseReply): number {
    const { pieces, pieceCount } = reply;
    const vectors = this.#vectors;
    vectors.count = 0;
    vectors.add(this.#reply, reply.length);
    for (let i = 0; i < pieceCount; i++) {
      const piece = pieces[i]!;
      const base = this.#baseOf(piece);
      if (base === 0 || vectors.count === MOST_VECTORS - 1) {
        this.#copyRest(reply, i);
        break;
      }
      vectors.add(base + piece.byteOffset, piece.length);
    }
    return this.#calls.writev(this.fd, vectors.address, vectors.count);
  }

  /** Where the buffer of a piece lies; 0 where it has no lasting place. */
  #baseOf(piece: Uint8Array): number {
    const { buffer } = piece;
    let base = this.#bases.get(buffer);
    if (base === undefined) {
      base = buffer.byteLength > HEAP_BYTES ? addressOf(new Uint8Array(buffer)) : 0;
      this.#bases.set(buffer, base);
    }
    return base;
  }

  /** Copies the pieces from number `first` on: the last vector. */
  #copyRest({ bytes, pieces, pieceCount }: FuseReply, first: number): void {
    this.#spill ??= new Uint8Array(bytes.length);
    let at = 0;
    for (let i = first; i < pieceCount; i++) {
      const piece = pieces[i]!;
      if (at + piece.length > this.#spill.length) {
        throw new DaxError("EOVERFLOW", { detail: `a reply of more than ${bytes.length} bytes` });
      }
      this.#spill.set(piece, at);
      at += piece.length;
    }
    this.#vectors.add(addressOf(this.#spill), at);
  }
}

function wholeFrame({ bytes, length, pieces, pieceCount }: FuseReply): Uint8Array {
  const parts = [bytes.subarray(0, length), ...pieces.slice(0, pieceCount)];
  return Buffer.concat(parts);
}
