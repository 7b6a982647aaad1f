/**
 * Names as bytes. A call asks for those of its name several times over: they are made once.
 *
 * @module
 */
import { encodeUtf8 } from "../../lib/utf8.ts";

let lastName = "";
let lastBytes: Uint8Array = new Uint8Array(0);

/** A name in UTF-8; nobody writes into it. */
export function encodeName(name: string): Uint8Array {
  if (name !== lastName) {
    lastBytes = encodeUtf8(name);
    lastName = name;
  }
  return lastBytes;
}
