/**
 * What a request is, while it is answered: its bytes, whom it is from and about, and the reply that
 * grows. There is one for each connection, used again and again, so that answering makes nothing.
 *
 * @module
 */
import { FuseInHeader, FuseOutHeader } from "../format/fuse.ts";
import { DaxError, Errno, type ErrnoCode } from "../lib/errno.ts";
import { decodeUtf8, encodeUtf8 } from "../lib/utf8.ts";
import type { FileTree } from "../vfs/file-tree.ts";
import type { Filesystem } from "../vfs/filesystem.ts";
import type { Node, Nodes } from "./nodes.ts";
import { Onlookers } from "./onlookers.ts";
import type { ShownAs } from "./options.ts";
import type { FuseReply } from "./server.ts";

/** Bytes in front of the arguments of a request. */
export const IN_HEADER = 40;
/** Bytes in front of what a reply says. */
export const OUT_HEADER = 16;
/** What a handler returns for a request without an answer. */
export const NO_ANSWER = -65_536;

const PAGE = 4096;

/** What a request gets: bytes behind the reply's header, a negative errno, or NO_ANSWER. */
export type Answer = number;
/** Answers requests of a kind. @throws DaxError: its errno is the answer */
export type Handler = (conversation: Conversation) => Answer;

/** An errno as an answer, for what is said so often that nothing is thrown for it. */
export function refusal(code: ErrnoCode): Answer {
  return -Errno[code][0];
}

/** See the module. */
export class Conversation {
  readonly tree: FileTree;
  readonly nodes: Nodes;
  readonly shown: ShownAs;
  readonly request: Uint8Array<ArrayBuffer>;
  /** The request as numbers. */
  readonly in: DataView;
  readonly reply: FuseReply;
  /** The reply as numbers. */
  readonly out: DataView;
  /** Bytes in the request. */
  length = 0;
  nodeid = 0;
  uid = 0;
  gid = 0;
  /** Behind the name that was read last. */
  next = 0;
  /** What the two sides settled in FUSE_INIT. */
  flags = 0;
  minor = 0;
  readonly onlookers = new Onlookers();
  readonly #blockSizes = new Map<Filesystem, number>();
  readonly #payloads: (Uint8Array | undefined)[] = [];
  readonly #targets: (Uint8Array | undefined)[] = [];

  constructor(tree: FileTree, nodes: Nodes, shown: ShownAs) {
    this.tree = tree;
    this.nodes = nodes;
    this.shown = shown;
    this.request = new Uint8Array(shown.maxWrite + PAGE);
    this.in = new DataView(this.request.buffer);
    const bytes = new Uint8Array(shown.maxWrite + PAGE);
    this.out = new DataView(bytes.buffer);
    this.reply = { bytes, length: 0, pieces: [], pieceCount: 0 };
  }

  /** The node that the request is about. @throws ESTALE */
  get node(): Node {
    return this.nodes.get(this.nodeid);
  }

  /** Reads the header of a request. @throws EPROTO */
  begin(length: number): number {
    const { in: view } = this;
    const said = length >= IN_HEADER ? FuseInHeader.len.get(view, 0) : 0;
    if (length < IN_HEADER || length > this.request.length || said !== length) {
      throw new DaxError("EPROTO", {
        syscall: "read",
        detail: `a request of ${length} bytes that says it has ${said}; this is no FUSE device`,
      });
    }
    this.length = length;
    this.nodeid = FuseInHeader.nodeid.get(view, 0);
    this.uid = FuseInHeader.uid.get(view, 0);
    this.gid = FuseInHeader.gid.get(view, 0);
    this.onlookers.asks(FuseInHeader.pid.get(view, 0));
    return FuseInHeader.opcode.get(view, 0);
  }

  /** Finishes the reply. */
  finish(answer: Answer): void {
    const { reply } = this;
    if (answer === NO_ANSWER) {
      reply.length = 0;
      reply.pieceCount = 0;
      return;
    }
    const length = OUT_HEADER + Math.max(answer, 0);
    if (answer < 0) reply.pieceCount = 0;
    let whole = length;
    for (let i = 0; i < reply.pieceCount; i++) whole += (reply.pieces[i] as Uint8Array).length;
    const { in: view, out } = this;
    FuseOutHeader.len.set(out, 0, whole);
    out.setInt32(FuseOutHeader.error.offset, Math.min(answer, 0), true);
    FuseOutHeader.uniqueLo.set(out, 0, FuseInHeader.uniqueLo.get(view, 0));
    FuseOutHeader.uniqueHi.set(out, 0, FuseInHeader.uniqueHi.get(view, 0));
    reply.length = length;
  }

  /** The request has arguments of so many bytes. @throws EINVAL */
  expect(size: number): void {
    if (this.length >= IN_HEADER + size) return;
    throw new DaxError("EINVAL", {
      detail: `a request with ${this.length - IN_HEADER} bytes of arguments; it needs ${size}`,
    });
  }

  /**
   * The text at `at`, which ends with a zero. @throws EINVAL for one that does not end
   */
  text(at: number): string {
    const { request, length } = this;
    let stop = at;
    while (stop < length && request[stop] !== 0) stop++;
    if (stop >= length) throw new DaxError("EINVAL", { detail: "a name that does not end" });
    this.next = stop + 1;
    return decodeUtf8(request, at, stop);
  }

  /** A name in a directory. @throws EINVAL for what is none */
  name(at: number): string {
    const name = this.text(at);
    if (name !== "" && name !== "." && name !== ".." && !name.includes("/")) return name;
    throw new DaxError("EINVAL", { detail: `${JSON.stringify(name)} is no name` });
  }

  /** Bytes of the request. @throws EINVAL when it does not have them */
  payload(at: number, length: number): Uint8Array {
    if (at + length > this.length) {
      const detail = `${length} bytes of data were announced and ${this.length - at} came`;
      throw new DaxError("EINVAL", { detail });
    }
    return part(this.#payloads, this.request, at, length);
  }

  /** Where bytes of a file go in the reply. */
  target(length: number): Uint8Array {
    return part(this.#targets, this.reply.bytes, OUT_HEADER, length);
  }

  /** Bytes in a block, which is what programs should write at once. */
  blockSizeOf(filesystem: Filesystem): number {
    let size = this.#blockSizes.get(filesystem);
    if (size === undefined) {
      size = filesystem.statfs().blockSize;
      this.#blockSizes.set(filesystem, size);
    }
    return size;
  }

  /** Bytes that the reply can have behind its header. */
  get room(): number {
    return this.reply.bytes.length - OUT_HEADER;
  }

  /** Zeros in the reply; filling it as memory would make a view each time. */
  clear(at: number, length: number): void {
    this.reply.bytes.fill(0, at, at + length);
  }

  /** Puts text into the reply; returns its length. @throws ENAMETOOLONG */
  putText(at: number, text: string): number {
    const bytes = encodeUtf8(text);
    if (at + bytes.length > this.reply.bytes.length) throw new DaxError("ENAMETOOLONG");
    this.reply.bytes.set(bytes, at);
    return bytes.length;
  }
}

/** A part of a buffer that begins where it always does; those of whole pages are made once. */
function part(
  known: (Uint8Array | undefined)[],
  buffer: Uint8Array,
  at: number,
  length: number,
): Uint8Array {
  const pages = length / PAGE;
  if (!Number.isInteger(pages)) return buffer.subarray(at, at + length);
  const made = known[pages];
  if (made !== undefined && made.byteOffset === buffer.byteOffset + at) return made;
  return (known[pages] = buffer.subarray(at, at + length));
}
