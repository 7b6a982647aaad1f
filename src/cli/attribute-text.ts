/**
 * Values of extended attributes as getfattr(1) prints and setfattr(1) reads them: text in quotes,
 * hexadecimal behind `0x`, base64 behind `0s`.
 *
 * @module
 */
import { decodeUtf8, encodeUtf8 } from "../lib/utf8.ts";
import { UsageError } from "./command.ts";

/** How values are written. */
export const ENCODINGS = ["text", "hex", "base64"] as const;
/** See {@link ENCODINGS}. */
export type ValueEncoding = (typeof ENCODINGS)[number];

/** A value in words; without an encoding text where it is text, else base64. */
export function valueText(value: Uint8Array, encoding?: ValueEncoding): string {
  const chosen = encoding ?? (isText(value) ? "text" : "base64");
  if (chosen === "hex") return `0x${Buffer.from(value).toString("hex")}`;
  if (chosen === "base64") return `0s${Buffer.from(value).toString("base64")}`;
  return `"${escaped(value, /[\n\r\0"\\]/u)}"`;
}

/** As getfattr decides: no byte below a blank, but for one NUL at the end. */
function isText(value: Uint8Array): boolean {
  const last = value.length - 1;
  return value.every((byte, i) => (byte >= 0x20 && byte !== 0x7f) || (byte === 0 && i === last));
}

/** Bytes as latin1, with those that match as three octal digits. */
function escaped(value: Uint8Array, odd: RegExp): string {
  const text = Buffer.from(value).toString("latin1");
  const escapes = text.replaceAll(new RegExp(odd.source, "gu"), (character) => {
    if (character === '"' || character === "\\") return `\\${character}`;
    return `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`;
  });
  return decodeUtf8(Buffer.from(escapes, "latin1"));
}

/** The bytes of a value as it is written. @throws UsageError */
export function parseValue(text: string): Uint8Array {
  if (/^0x/iu.test(text)) return parseHex(text);
  if (/^0s/iu.test(text)) return parseBase64(text);
  const quoted = text.length >= 2 && text.startsWith('"') && text.endsWith('"');
  return unescaped(quoted ? text.slice(1, -1) : text);
}

function parseHex(text: string): Uint8Array {
  const digits = text.slice(2).replaceAll(/\s/gu, "");
  if (/^(?:[\da-f]{2})*$/iu.test(digits)) return Buffer.from(digits, "hex");
  throw new UsageError(`bad input encoding: '${text.slice(0, 40)}' has no pairs of digits`);
}

function parseBase64(text: string): Uint8Array {
  const digits = text.slice(2).replaceAll(/\s/gu, "");
  if (/^[A-Za-z\d+/]*={0,2}$/u.test(digits) && digits.length % 4 === 0) {
    return Buffer.from(digits, "base64");
  }
  throw new UsageError(`bad input encoding: '${text.slice(0, 40)}' is no base64`);
}

/** `\\`, `\"` and `\012`. */
function unescaped(text: string): Uint8Array {
  const latin = Buffer.from(encodeUtf8(text)).toString("latin1");
  const plain = latin.replaceAll(/\\([0-3][0-7]{2}|[\\"])/gu, (_, code: string) =>
    code.length === 3 ? String.fromCharCode(Number.parseInt(code, 8)) : code,
  );
  return Buffer.from(plain, "latin1");
}

/** A name with what would end it escaped. */
export function nameText(name: string): string {
  return escaped(encodeUtf8(name), /[\n\r\0\\=]/u);
}

/** A name as it was before {@link nameText}. */
export function parseName(text: string): string {
  return decodeUtf8(unescaped(text));
}
