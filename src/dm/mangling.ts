/**
 * Names as udev has them: libdevmapper writes every other character as `\xNN`, a byte at a time,
 * and takes names that come so.
 *
 * @module
 */
import { decodeUtf8, encodeUtf8 } from "../lib/utf8.ts";
import { UsageError } from "./dmsetup-options.ts";

const KEPT = /^[A-Za-z0-9#+\-.:=@_]$/u;
const MANGLED = /\\x([0-9a-fA-F]{2})/u;

/** As udev has it. */
export function mangled(name: string): string {
  const bytes = Array.from(encodeUtf8(name), (byte) => {
    const letter = String.fromCharCode(byte);
    return KEPT.test(letter) ? letter : String.raw`\x${byte.toString(16).padStart(2, "0")}`;
  });
  return bytes.join("");
}

/** Bytes of a name as udev has it, without the zero behind it. */
const MOST_NAME = 127;

/** A name that a device is to get. @throws UsageError for one that cannot be */
export function newName(word: string): string {
  if (word.includes("/")) throw new UsageError(`Name "${word}" invalid. It contains "/".`);
  const name = unmangled(word);
  if (mangled(name).length > MOST_NAME) throw new UsageError(`Name "${word}" too long`);
  return name;
}

/** As people have it. @throws UsageError for one that is neither */
export function unmangled(name: string, what = "name"): string {
  if (!MANGLED.test(name)) return name;
  const rest = name.replaceAll(/\\x[0-9a-fA-F]{2}/gu, "");
  if (Array.from(rest).some((letter) => !KEPT.test(letter))) {
    const told = what === "name" ? "name" : "UUID";
    throw new UsageError(
      `The ${told} "${name}" contains mixed mangled and unmangled characters ` +
        `or it's already mangled improperly.`,
    );
  }
  const bytes: number[] = [];
  for (let at = 0; at < name.length;) {
    const hex = MANGLED.exec(name.slice(at, at + 4))?.[1];
    bytes.push(hex === undefined ? name.charCodeAt(at) : Number.parseInt(hex, 16));
    at += hex === undefined ? 1 : 4;
  }
  return decodeUtf8(Uint8Array.from(bytes));
}
