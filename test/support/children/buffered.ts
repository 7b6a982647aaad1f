/**
 * Media without foreign calls (`DAXKIT_FFI=off`). Arguments: the path of a file to make.
 */
import { readFileSync } from "node:fs";
import { copyIn } from "../../../src/lib/memory.ts";
import { openFileMedia } from "../../../src/node/file-media.ts";
import { answer, outcome } from "./answer.ts";

const path = process.argv[2] ?? "";
const media = openFileMedia(path, { create: 10_000 });
const second = outcome(() => openFileMedia(path));
const reader = outcome(() => openFileMedia(path, { readOnly: true }).close());
copyIn(media.window(0).memory, 4000, new Uint8Array(200).fill(5));
copyIn(media.window(0).memory, 9000, new Uint8Array(10).fill(6));
const early = readFileSync(path)[4100];
media.flush(4100, 1);
media.fence();
const fenced = [readFileSync(path)[4100], readFileSync(path)[9000]];
media.close();
const closed = readFileSync(path)[9000];
answer({
  mapped: media.mapped,
  durability: media.durability,
  offersStitch: media.stitch !== undefined,
  second,
  reader,
  early,
  fenced,
  closed,
  counters: media.counters,
});
