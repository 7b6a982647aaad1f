/**
 * A filesystem of nothing, for transports: one file `file` of zeros that takes and forgets what is
 * written, under whatever name it is created. No answer is kept by the kernel.
 */
import type { FuseReply, FuseServer } from "../../src/fuse/server.ts";

const OP = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  UNLINK: 10,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  BATCH_FORGET: 42,
} as const;

/** The opcode of a read. */
export const FUSE_READ = OP.READ;

const HEADER = 16;
const BODY = 40;
const MAX_WRITE = 1 << 20;
const ENOENT = 2;
const ENOSYS = 38;
const S_IFDIR = 0o040755;
const S_IFREG = 0o100666;
/** ASYNC_READ, ATOMIC_O_TRUNC, BIG_WRITES, PARALLEL_DIROPS, MAX_PAGES. */
const FLAGS = 1 | 8 | 32 | (1 << 18) | (1 << 22);

export interface EmptyOptions {
  /** Requests for which no answer ever comes. */
  readonly silent?: ReadonlySet<number>;
  /** Bytes of `file`. */
  readonly size?: number;
  /** For how long the kernel may believe attributes: not at all, unless told. */
  readonly seconds?: number;
  /** What a read gets; zeros of an array unless told otherwise. */
  readonly contents?: (offset: number, length: number) => Uint8Array[];
}

/** See the module. */
export class EmptyServer implements FuseServer {
  readonly request: Uint8Array<ArrayBuffer>;
  readonly reply: FuseReply = {
    bytes: new Uint8Array(MAX_WRITE + 4096),
    length: 0,
    pieces: [],
    pieceCount: 0,
  };
  onNotice: ((frame: Uint8Array<ArrayBuffer>) => void) | undefined;
  ready = false;
  ended = 0;
  /** Requests by opcode. */
  readonly counts = new Uint32Array(64);
  /** Called before each answer. */
  onRequest: (opcode: number) => void = () => {};
  readonly #in: DataView;
  readonly #out = new DataView(this.reply.bytes.buffer);
  readonly #zeros = new Uint8Array(MAX_WRITE);
  readonly #options: EmptyOptions;

  constructor(options: EmptyOptions = {}, memory = new Uint8Array(MAX_WRITE + 4096)) {
    this.#options = options;
    this.request = memory;
    this.#in = new DataView(memory.buffer);
  }

  answer(_length: number): void {
    const opcode = this.#in.getUint32(4, true);
    this.counts[opcode]!++;
    this.onRequest(opcode);
    this.reply.pieceCount = 0;
    this.reply.length = 0;
    if (this.#options.silent?.has(opcode) === true) return;
    const error = this.#answer(opcode);
    if (error < 0) return;
    const { reply } = this;
    if (error > 0) reply.length = HEADER;
    let total = reply.length;
    for (let i = 0; i < reply.pieceCount; i++) total += reply.pieces[i]!.length;
    this.#out.setUint32(0, total, true);
    this.#out.setInt32(4, -error, true);
    this.#out.setUint32(8, this.#in.getUint32(8, true), true);
    this.#out.setUint32(12, this.#in.getUint32(12, true), true);
  }

  spoiled(): void {
    this.reply.pieceCount = 0;
    this.reply.length = HEADER;
    this.#out.setUint32(0, HEADER, true);
    this.#out.setInt32(4, -5, true);
  }

  end(): void {
    this.ended++;
  }

  /** An errno; 0 for a reply that is filled, -1 for none. */
  #answer(opcode: number): number {
    switch (opcode) {
      case OP.INIT:
        return this.#init();
      case OP.LOOKUP:
        return this.#lookup();
      case OP.GETATTR:
      case OP.SETATTR: {
        this.#clear(104);
        this.#out.setUint32(HEADER, this.#options.seconds ?? 0, true);
        this.#attributes(HEADER + 16, this.#in.getUint32(16, true));
        return 0;
      }
      case OP.CREATE: {
        this.#entry();
        this.reply.length = HEADER + 128 + 16;
        this.#out.setBigUint64(HEADER + 128, 0n, true);
        this.#out.setBigUint64(HEADER + 136, 0n, true);
        return 0;
      }
      case OP.OPEN:
      case OP.OPENDIR: {
        this.#clear(16);
        return 0;
      }
      case OP.READ:
        return this.#read();
      case OP.WRITE: {
        this.#clear(8);
        this.#out.setUint32(HEADER, this.#in.getUint32(BODY + 16, true), true);
        return 0;
      }
      case OP.STATFS: {
        this.#clear(80);
        this.#out.setUint32(HEADER + 40, 4096, true);
        this.#out.setUint32(HEADER + 44, 255, true);
        return 0;
      }
      case OP.FORGET:
      case OP.BATCH_FORGET:
      case OP.INTERRUPT:
        return -1;
      case OP.READDIR:
      case OP.RELEASE:
      case OP.RELEASEDIR:
      case OP.FLUSH:
      case OP.FSYNC:
      case OP.UNLINK:
      case OP.DESTROY: {
        this.#clear(0);
        return 0;
      }
      default:
        return ENOSYS;
    }
  }

  #clear(length: number): void {
    this.reply.bytes.fill(0, HEADER, HEADER + length);
    this.reply.length = HEADER + length;
  }

  #init(): number {
    const minor = Math.min(this.#in.getUint32(BODY + 4, true), 38);
    const readAhead = this.#in.getUint32(BODY + 8, true);
    this.#clear(64);
    const out = this.#out;
    out.setUint32(HEADER, 7, true);
    out.setUint32(HEADER + 4, minor, true);
    out.setUint32(HEADER + 8, readAhead, true);
    out.setUint32(HEADER + 12, FLAGS & this.#in.getUint32(BODY + 12, true), true);
    out.setUint16(HEADER + 16, 64, true);
    out.setUint16(HEADER + 18, 48, true);
    out.setUint32(HEADER + 20, MAX_WRITE, true);
    out.setUint32(HEADER + 24, 1, true);
    out.setUint16(HEADER + 28, 256, true);
    this.ready = true;
    return 0;
  }

  /** Only `file` is there. */
  #lookup(): number {
    if (this.request[BODY] !== 0x66 || this.request[BODY + 4] !== 0) return ENOENT;
    return this.#entry();
  }

  #entry(): number {
    this.#clear(128);
    this.#out.setUint32(HEADER, 2, true);
    this.#attributes(HEADER + 40, 2);
    return 0;
  }

  #attributes(at: number, node: number): void {
    const out = this.#out;
    out.setUint32(at, node, true);
    if (node === 2) {
      const size = this.#options.size ?? 0;
      out.setUint32(at + 8, size >>> 0, true);
      out.setUint32(at + 12, Math.floor(size / 2 ** 32), true);
    }
    out.setUint32(at + 60, node === 1 ? S_IFDIR : S_IFREG, true);
    out.setUint32(at + 64, 1, true);
    out.setUint32(at + 80, 4096, true);
  }

  #read(): number {
    const low = this.#in.getUint32(BODY + 8, true);
    const offset = low + 2 ** 32 * this.#in.getUint32(BODY + 12, true);
    const asked = this.#in.getUint32(BODY + 16, true);
    const length = Math.max(0, Math.min(asked, (this.#options.size ?? 0) - offset));
    const { reply } = this;
    reply.length = HEADER;
    if (this.#options.contents !== undefined) {
      const pieces = this.#options.contents(offset, length);
      for (const [i, piece] of pieces.entries()) reply.pieces[i] = piece;
      reply.pieceCount = pieces.length;
    } else if (length > 0) {
      const whole = length === MAX_WRITE ? this.#zeros : this.#zeros.subarray(0, length);
      reply.pieces[0] = whole;
      reply.pieceCount = 1;
    }
    return 0;
  }
}
