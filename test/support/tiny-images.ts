/** The small images of fixtures/ext-tiny: every structure of ext in as few bytes as possible. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

const fixtures = join(import.meta.dirname, "..", "..", "fixtures");

/** By what they are made for; see fixtures/ext-tiny/make.sh. */
export const TINY_IMAGES = [
  "ext2",
  "extents",
  "inline",
  "groups",
  "metabg",
  "bigalloc",
  "dax",
  "big-blocks",
  "journal-v1",
  "journal-v3",
] as const;

/** One of {@link TINY_IMAGES}. */
export type TinyImage = (typeof TINY_IMAGES)[number];

/** A fresh copy of a packed image below `fixtures`, named without `.img.gz`. */
export function packedImage(name: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(gunzipSync(readFileSync(join(fixtures, `${name}.img.gz`))));
}

/** A fresh copy of a small image. */
export function tinyImage(name: TinyImage): Uint8Array<ArrayBuffer> {
  return packedImage(`ext-tiny/${name}`);
}
