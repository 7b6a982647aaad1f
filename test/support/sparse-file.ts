/** Writes an image with its holes: where memory is the disk that is several times faster. */
import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";

const PIECE = 2 ** 16;
const ZEROS = new Uint8Array(PIECE);

export function writeSparse(path: string, bytes: Uint8Array): void {
  const fd = openSync(path, "w");
  try {
    ftruncateSync(fd, bytes.length);
    for (let at = 0; at < bytes.length; at += PIECE) {
      const length = Math.min(PIECE, bytes.length - at);
      const piece = Buffer.from(bytes.buffer, bytes.byteOffset + at, length);
      if (piece.compare(ZEROS, 0, length) !== 0) writeSync(fd, piece, 0, length, at);
    }
  } finally {
    closeSync(fd);
  }
}
