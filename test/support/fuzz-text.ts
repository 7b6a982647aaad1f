/** Random damage to text: what people type and what files hold. */
import type { Prng } from "../../src/lib/prng.ts";

/** Numbers as text that have broken parsers before. */
export const NUMBERS: readonly string[] = [
  "0 1 -1 00 08 0x 0x0 0xG 1e3 1.5 .5 +1 1_000 NaN 4095 4096 2147483647 2147483648 4294967295",
  "4294967296 0xffffffff 9007199254740991 9007199254740992 0x7fffffffffffffff",
  "0x8000000000000000 18446744073709551615 18446744073709551616 0xffffffffffffffff 1E 16E 17E",
  "1K 64M 4G 512T 8P 15E 1KK 1MiB K G 1g 999999999999999999999",
  "1".repeat(400),
].flatMap((line) => line.split(" "));

/** Bytes that end lines, strings and parsers. */
const ODD = [
  "|0| |0|\t|0|\n|0|\r\n|0|\0|0|\u001B[2J|0|\u007F|0|\uFEFF|0|\uD800|0|\uDCFF|0|é|0|😀|0|\\|0|$",
  "\"|0|'|0|`|0|#|0|%|0|!|0|@|0|&|0|*|0|>|0|-|0|?|0|~|0|=|0|:|0|,|0|;|0|{|0|}|0|[|0|]|0|(|0|)",
  "<<|0|../|0|/|0|null|0|true|0|undefined|0|__proto__|0|constructor|0|toString",
].flatMap((line) => line.split("|0|"));

/** Pieces of text that a format knows: keywords, separators, whole lines. */
export type Vocabulary = readonly string[];

/** Damages text a few times, never letting it grow beyond `most` characters. */
export function damageText(
  text: string,
  prng: Prng,
  vocabulary: Vocabulary,
  most = 20_000,
): string {
  let damaged = text;
  for (let left = prng.pick([1, 1, 1, 2, 4]); left > 0; left--) {
    damaged = once(damaged, prng, vocabulary).slice(0, most);
  }
  return damaged;
}

function once(text: string, prng: Prng, vocabulary: Vocabulary): string {
  const at = prng.below(text.length + 1);
  const length = prng.below(prng.pick([2, 8, 40]));
  switch (prng.below(9)) {
    case 0:
      return replaceMatch(text, /-?\b\d\w*/gu, prng, () => prng.pick(NUMBERS));
    case 1:
      return replaceMatch(text, /[A-Za-z_][\w-]*/gu, prng, () => prng.pick(vocabulary));
    case 2:
      return text.slice(0, at) + prng.pick(ODD) + text.slice(at);
    case 3:
      return text.slice(0, at) + prng.pick(vocabulary) + text.slice(at);
    case 4:
      return text.slice(0, at) + text.slice(at + length);
    case 5: {
      const from = prng.below(text.length + 1);
      return text.slice(0, at) + text.slice(from, from + length) + text.slice(at);
    }
    case 6:
      return text.slice(0, at) + String.fromCodePoint(prng.below(128)) + text.slice(at + 1);
    case 7:
      return text.slice(0, at) + prng.pick(NUMBERS) + text.slice(at + length);
    default:
      return text.slice(0, at) + text.slice(at, at + length).repeat(1 + prng.below(50));
  }
}

/** Replaces one match of a pattern, if there is any. */
function replaceMatch(text: string, pattern: RegExp, prng: Prng, by: () => string): string {
  const matches = [...text.matchAll(pattern)];
  if (matches.length === 0) return text + by();
  const { index, 0: found } = prng.pick(matches);
  return text.slice(0, index) + by() + text.slice(index + found.length);
}
