/**
 * One request as it came over the wire. A session has one of these and parses into it, so that a
 * request costs no memory.
 *
 * @module
 */
import {
  NBD_EXTENDED_REQUEST_MAGIC,
  NBD_REQUEST_MAGIC,
  NbdExtendedRequest,
  NbdRequest,
} from "../format/nbd.ts";

const { magic, flags, type, cookieHi, cookieLo, offset, length } = NbdRequest;
const extendedLength = NbdExtendedRequest.length;

/** Bytes of a compact and of an extended header. */
export const REQUEST_BYTES = 28;
/** See {@link REQUEST_BYTES}. */
export const EXTENDED_REQUEST_BYTES = 32;

/** See the module. Numbers of 2^53 and more are rounded: no export is so large. */
export class Request {
  type = 0;
  flags = 0;
  cookieHi = 0;
  cookieLo = 0;
  /** Bytes. */
  offset = 0;
  /** The offset as it came: extended replies repeat it. */
  offsetHi = 0;
  offsetLo = 0;
  /** Bytes: of the effect, or of the payload where the flag says so. */
  length = 0;

  /** Takes the header at `at`; false for a magic number that is none. */
  parse(view: DataView, at: number, extended: boolean): boolean {
    const expected = extended ? NBD_EXTENDED_REQUEST_MAGIC : NBD_REQUEST_MAGIC;
    if (magic.get(view, at) !== expected) return false;
    this.flags = flags.get(view, at);
    this.type = type.get(view, at);
    this.cookieHi = cookieHi.get(view, at);
    this.cookieLo = cookieLo.get(view, at);
    this.offsetHi = view.getUint32(at + offset.offset);
    this.offsetLo = view.getUint32(at + offset.offset + 4);
    this.offset = this.offsetHi * 2 ** 32 + this.offsetLo;
    this.length = extended ? extendedLength.get(view, at) : length.get(view, at);
    return true;
  }
}
