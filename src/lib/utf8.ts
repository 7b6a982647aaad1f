/**
 * UTF-8 for names that may not be UTF-8. A byte that is no part of valid UTF-8 decodes to the lone
 * surrogate U+DC80 to U+DCFF (0xDC00 + byte) and encodes back to that byte, so any name of any
 * filesystem survives the round trip through a string. Core code has no `TextDecoder`.
 *
 * @module
 */

type Four = [number, number, number, number];

/** Decodes bytes from `start` to before `stop`, all of them unless given; never fails. */
export function decodeUtf8(bytes: Uint8Array, start = 0, stop = bytes.length): string {
  let text = "";
  let i = start;
  // Four at once: each letter that is added makes a string.
  for (; i + 4 <= stop; i += 4) {
    const [a, b, c, d] = [bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]] as Four;
    if ((a | b | c | d) >= 0x80) break;
    text += String.fromCharCode(a, b, c, d);
  }
  while (i < stop) {
    const lead = bytes[i] as number;
    if (lead < 0x80) {
      text += String.fromCharCode(lead);
      i++;
      continue;
    }
    const length = sequenceLength(bytes, i, lead, stop);
    if (length === 0) {
      text += String.fromCharCode(0xdc00 + lead);
      i++;
      continue;
    }
    let point = lead & (0x7f >> length);
    for (let k = 1; k < length; k++) point = (point << 6) | ((bytes[i + k] as number) & 0x3f);
    text += String.fromCodePoint(point);
    i += length;
  }
  return text;
}

/** The length of the valid sequence at `i`, or 0: overlong forms and surrogates are not valid. */
function sequenceLength(bytes: Uint8Array, i: number, lead: number, stop: number): number {
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || i + length > stop) return 0;
  for (let k = 1; k < length; k++) {
    if (((bytes[i + k] as number) & 0xc0) !== 0x80) return 0;
  }
  const second = bytes[i + 1] as number;
  if (lead === 0xe0 && second < 0xa0) return 0;
  if (lead === 0xed && second > 0x9f) return 0;
  if (lead === 0xf0 && second < 0x90) return 0;
  if (lead === 0xf4 && second > 0x8f) return 0;
  return length;
}

/** Encodes a string; the inverse of {@link decodeUtf8}. Other lone surrogates become U+FFFD. */
export function encodeUtf8(text: string): Uint8Array {
  return encodeAscii(text) ?? encodeAny(text);
}

/**
 * Puts a string that is ASCII at `at`, where room for it has to be. False for any other string,
 * some of which may be there then.
 */
export function putAscii(text: string, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code >= 0x80) return false;
    bytes[at + i] = code;
  }
  return true;
}

/** Most names are: no list has to grow for them. */
function encodeAscii(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length);
  return putAscii(text, bytes, 0) ? bytes : undefined;
}

function encodeAny(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const point = character.codePointAt(0) as number;
    if (point < 0x80) bytes.push(point);
    else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 0x3f));
    else if (point >= 0xdc80 && point <= 0xdcff) bytes.push(point - 0xdc00);
    else if (point >= 0xd800 && point <= 0xdfff) bytes.push(0xef, 0xbf, 0xbd);
    else if (point < 0x10000) {
      bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
    } else {
      bytes.push(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 0x3f));
      bytes.push(0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
    }
  }
  return Uint8Array.from(bytes);
}
