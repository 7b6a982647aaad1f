/**
 * The image of a mounted volume is cut behind our back. Arguments: the image, a file in it that was
 * opened before the cut, and one that was never looked at.
 */
import { truncateSync } from "node:fs";
import { openVolume } from "../../../src/node/volume.ts";
import { answer, outcome } from "./answer.ts";

const [image = "", opened = "", other = ""] = process.argv.slice(2);
const { fs } = openVolume(image);
const { size } = fs.statSync(opened);
const file = fs.openSync(opened, "r");
truncateSync(image, 4096);
const buffer = new Uint8Array(1024);
answer({
  size,
  // Its last blocks are found through a map block, of which the cut left zeros: no hole.
  first: outcome(() => fs.readSync(file, buffer, 0, 1024, size - 1024)),
  again: outcome(() => fs.readSync(file, buffer, 0, 1024, size - 1024)),
  inode: outcome(() => fs.statSync(other)),
});
