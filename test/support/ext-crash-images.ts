/**
 * The images in fixtures/ext-crash: ext filesystems with dirty journals.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { parseManifest } from "./ext-images.ts";

const folder = join(import.meta.dirname, "..", "..", "fixtures", "ext-crash");

function unpack(name: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(gunzipSync(readFileSync(join(folder, `${name}.gz`))));
}

/** A fresh copy of an image. */
export function crashImage(name: string): Uint8Array<ArrayBuffer> {
  return unpack(`${name}.img`);
}

/** What Linux showed of an image: after its replay, or with `noload`. */
export function crashManifest(
  name: string,
  state: "replayed" | "unreplayed",
): { files: string[]; xattrs: string[] } {
  return parseManifest(Buffer.from(unpack(`${name}.${state}.manifest`)).toString("latin1"));
}
