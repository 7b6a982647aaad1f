// Records of the log, and what can be read of one that was cut off.
import { createHash } from "node:crypto";

const HEAD = 8;

const sumOf = (bytes) => createHash("sha256").update(bytes).digest().readUInt32LE();

export function recordOf(text) {
  const body = Buffer.from(text);
  const head = Buffer.alloc(HEAD);
  head.writeUInt32LE(body.length);
  head.writeUInt32LE(sumOf(body), 4);
  return Buffer.concat([head, body]);
}

export function recordsIn(bytes) {
  const found = [];
  for (let at = 0; at + HEAD <= bytes.length;) {
    const length = bytes.readUInt32LE(at);
    const body = bytes.subarray(at + HEAD, at + HEAD + length);
    if (length === 0 || body.length < length || sumOf(body) !== bytes.readUInt32LE(at + 4)) break;
    found.push(body.toString());
    at += HEAD + length;
  }
  return found;
}
