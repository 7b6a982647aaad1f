/**
 * Names as bytes. A call asks for those of its name several times over: they are made once.
 *
 * @module
 */
import { decodeUtf8, encodeUtf8 } from "../../lib/utf8.ts";

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

/** A filesystem's label, which ends at a zero if it is short. */
export function labelOf({ volumeName }: { readonly volumeName: Uint8Array }): string {
  const length = volumeName.indexOf(0);
  return decodeUtf8(length === -1 ? volumeName : volumeName.subarray(0, length));
}
