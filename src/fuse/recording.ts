/**
 * Recordings: what a kernel and a server said to each other, and the same said again.
 *
 * A recording is 8 bytes, `daxfuse` and a 1, and frames in the order in which they passed. Each has
 * 8 bytes in front of it, two little-endian words: how many bytes it has, and what it is (1: a
 * request, 2: a reply, 3: a notice). Frames are as they passed through `/dev/fuse`, headers and
 * all; a request without a reply, such as FUSE_FORGET, has none here either.
 *
 * @module
 */
import { FuseInHeader } from "../format/fuse.ts";
import { DaxError } from "../lib/errno.ts";
import { struct } from "../lib/struct.ts";
import type { FuseReply, FuseServer } from "./server.ts";

/** What a frame is. */
export type RecordedKind = "request" | "reply" | "notice";

/** A frame of a recording. */
export interface RecordedFrame {
  readonly kind: RecordedKind;
  /** Aliases the recording. */
  readonly frame: Uint8Array;
}

const START: readonly number[] = [...Array.from("daxfuse", (letter) => letter.charCodeAt(0)), 1];
const KINDS: readonly (RecordedKind | undefined)[] = [undefined, "request", "reply", "notice"];
const HEAD = 8;

const Head = struct("recorded_frame", HEAD, (f) => ({ length: f.le32(), kind: f.le32() }));

/** What a recording begins with. */
export function recordingStart(): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(START);
}

/** A frame as a recording has it: a copy. */
export function encodeFrame(kind: RecordedKind, frame: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEAD + frame.length);
  const view = new DataView(bytes.buffer);
  Head.length.set(view, 0, frame.length);
  Head.kind.set(view, 0, KINDS.indexOf(kind));
  bytes.set(frame, HEAD);
  return bytes;
}

/** The frames of a recording. @throws EBADMSG for what is none, or ends within a frame */
export function* decodeRecording(bytes: Uint8Array): Generator<RecordedFrame> {
  if (START.some((byte, i) => bytes[i] !== byte)) {
    throw broken("it does not begin as a recording does");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = START.length; at < bytes.length;) {
    if (at + HEAD > bytes.length) throw broken(`it ends within the head at byte ${at}`);
    const kind = KINDS[Head.kind.get(view, at)];
    const length = Head.length.get(view, at);
    if (kind === undefined)
      throw broken(`the frame at byte ${at} is of kind ${view.getUint32(at + 4, true)}`);
    const start = at + HEAD;
    if (start + length > bytes.length) {
      throw broken(
        `the frame at byte ${at} has ${length} bytes, and ${bytes.length - start} follow`,
      );
    }
    yield { kind, frame: bytes.subarray(start, start + length) };
    at = start + length;
  }
}

function broken(detail: string): DaxError {
  return new DaxError("EBADMSG", { detail: `a recording of FUSE frames: ${detail}` });
}

/** Where a replay went another way. */
export interface ReplayDifference {
  /** Which request it was, counted from 0; of a notice, which notice. */
  readonly index: number;
  /** Of the request; undefined for a notice. */
  readonly opcode: number | undefined;
  /** As it was recorded; undefined for what had no reply. */
  readonly expected: Uint8Array | undefined;
  /** As it was now. */
  readonly found: Uint8Array | undefined;
}

/**
 * Says to a server what a kernel has said to another one, and yields where it answers otherwise.
 * `onNotice` of the server is taken. @throws EBADMSG for what is no recording, EPROTO for a request
 * that is none, EFBIG for one that the server has no room for
 */
export function* replay(server: FuseServer, recording: Uint8Array): Generator<ReplayDifference> {
  const told: Uint8Array[] = [];
  server.onNotice = (frame) => void told.push(frame);
  let index = -1;
  let notices = 0;
  let opcode: number | undefined;
  let found: Uint8Array | undefined;
  for (const { kind, frame } of decodeRecording(recording)) {
    if (kind === "notice") {
      const notice = told.shift();
      if (!isSame(notice, frame)) {
        yield { index: notices, opcode: undefined, expected: frame, found: notice };
      }
      notices++;
      continue;
    }
    if (kind === "reply") {
      if (!isSame(found, frame)) yield { index, opcode, expected: frame, found };
      found = undefined;
      continue;
    }
    if (found !== undefined) yield { index, opcode, expected: undefined, found };
    index++;
    opcode = say(server, frame);
    found = copyOf(server.reply);
  }
  if (found !== undefined) yield { index, opcode, expected: undefined, found };
}

/** Returns its opcode. */
function say(server: FuseServer, frame: Uint8Array): number | undefined {
  const { request } = server;
  if (frame.length > request.length) {
    throw new DaxError("EFBIG", {
      detail: `a request of ${frame.length} bytes; this server has room for ${request.length}`,
    });
  }
  request.set(frame);
  server.answer(frame.length);
  return FuseInHeader.opcode.get(new DataView(frame.buffer, frame.byteOffset), 0);
}

/** A reply with its pieces; undefined for none. */
function copyOf({ bytes, length, pieces, pieceCount }: FuseReply): Uint8Array | undefined {
  if (length === 0) return undefined;
  const whole = [bytes.subarray(0, length), ...pieces.slice(0, pieceCount)];
  const copy = new Uint8Array(whole.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of whole) {
    copy.set(piece, at);
    at += piece.length;
  }
  return copy;
}

function isSame(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a?.length === b.length && a.every((byte, i) => byte === b[i]);
}
