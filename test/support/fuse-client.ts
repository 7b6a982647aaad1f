/** A kernel for tests: words requests to a FUSE server as Linux does, and reads the answers. */
import assert from "node:assert/strict";
import { FuseInHeader, FuseOutHeader } from "../../src/format/fuse.ts";
import { FuseOpcode } from "../../src/format/fuse-flags.ts";
import type { FuseServer } from "../../src/fuse/server.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";

const IN_HEADER = 40;
const OUT_HEADER = 16;

/** An answer: 0 or a positive errno, and what is behind the header. */
export interface FuseAnswer {
  readonly errno: number;
  readonly body: Uint8Array;
  readonly view: DataView;
}

/** A piece of a request: a number of bits, or bytes as they are. */
export type Part =
  | Uint8Array
  | { readonly u16: number }
  | { readonly u32: number }
  | { readonly u64: number };

export function u32(value: number): Part {
  return { u32: value };
}

export function u64(value: number): Part {
  return { u64: value };
}

/** Text with its closing zero. */
export function text(name: string): Uint8Array {
  return encodeUtf8(`${name}\0`);
}

function bytesOf(part: Part): Uint8Array {
  if (part instanceof Uint8Array) return part;
  const view = new DataView(new ArrayBuffer(8));
  if ("u16" in part) view.setUint16(0, part.u16, true);
  else if ("u32" in part) view.setUint32(0, part.u32, true);
  else view.setBigUint64(0, BigInt(part.u64), true);
  return new Uint8Array(view.buffer, 0, "u16" in part ? 2 : "u32" in part ? 4 : 8);
}

/** Who sends a request, about what. */
export interface RequestHead {
  readonly opcode: number;
  readonly nodeid: number;
  readonly unique: number;
  readonly uid: number;
  readonly gid: number;
}

/** Words a request; returns its length. */
export function wordRequest(
  request: Uint8Array,
  head: RequestHead,
  parts: readonly Part[],
): number {
  const view = new DataView(request.buffer, request.byteOffset, request.length);
  request.fill(0, 0, IN_HEADER);
  let at = IN_HEADER;
  for (const part of parts) {
    const bytes = bytesOf(part);
    request.set(bytes, at);
    at += bytes.length;
  }
  FuseInHeader.len.set(view, 0, at);
  FuseInHeader.opcode.set(view, 0, head.opcode);
  FuseInHeader.uniqueLo.set(view, 0, head.unique);
  FuseInHeader.nodeid.set(view, 0, head.nodeid);
  FuseInHeader.uid.set(view, 0, head.uid);
  FuseInHeader.gid.set(view, 0, head.gid);
  return at;
}

/** What a kernel offers in FUSE_INIT unless told otherwise: everything. */
const ALL_FLAGS = 0x7fff_ffff;

/** See the module. */
export class FuseClient {
  readonly server: FuseServer;
  /** Notices, as they came. */
  readonly notices: Uint8Array[] = [];
  uid = 0;
  gid = 0;
  #unique = 2;

  constructor(server: FuseServer) {
    this.server = server;
    server.onNotice = (frame) => void this.notices.push(frame);
  }

  /** Sends a request; undefined when there is no answer. */
  send(opcode: number, nodeid: number, parts: readonly Part[] = []): FuseAnswer | undefined {
    const head = { opcode, nodeid, unique: this.#unique, uid: this.uid, gid: this.gid };
    this.server.answer(wordRequest(this.server.request, head, parts));
    const answer = this.#read();
    this.#unique += 2;
    return answer;
  }

  /** Sends a request that has an answer, which is no error. */
  call(opcode: number, nodeid: number, parts: readonly Part[] = []): FuseAnswer {
    const answer = this.send(opcode, nodeid, parts);
    if (answer === undefined) throw new Error(`opcode ${opcode} had no answer`);
    assert.equal(answer.errno, 0);
    return answer;
  }

  /** FUSE_INIT. */
  init(minor = 45, flags = ALL_FLAGS, flags2 = 0xffff_ffff): FuseAnswer {
    const parts = [u32(7), u32(minor), u32(131_072), u32(flags), u32(flags2), new Uint8Array(44)];
    return this.call(FuseOpcode.INIT, 0, parts);
  }

  #read(): FuseAnswer | undefined {
    const { bytes, length, pieces, pieceCount } = this.server.reply;
    if (length === 0) return undefined;
    const whole = [bytes.subarray(0, length), ...pieces.slice(0, pieceCount)];
    const total = whole.reduce((sum, piece) => sum + piece.length, 0);
    const answer = new Uint8Array(total);
    let at = 0;
    for (const piece of whole) {
      answer.set(piece, at);
      at += piece.length;
    }
    const view = new DataView(answer.buffer);
    assert.equal(FuseOutHeader.len.get(view, 0), total);
    assert.equal(FuseOutHeader.uniqueLo.get(view, 0), this.#unique);
    const errno = Math.abs(view.getInt32(FuseOutHeader.error.offset, true));
    return {
      errno,
      body: answer.subarray(OUT_HEADER),
      view: new DataView(answer.buffer, OUT_HEADER),
    };
  }
}
