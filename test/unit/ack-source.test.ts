/** Promises as commands write them: whole lines, at the moment when they are written. */
import { appendFileSync, closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AckSource } from "../../src/node/prove/mounted/ack-source.ts";

let folder = "";
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), "daxkit-acks-"))));
afterAll(() => rmSync(folder, { recursive: true }));

test("lines count when they are ended, and the last one when nobody writes any more", () => {
  const [output, file] = [join(folder, "output"), join(folder, "file")];
  writeFileSync(output, "");
  writeFileSync(file, "of an earlier run\n");
  const fds = [openSync(output, "r"), openSync(file, "r")] as const;
  const acks = new AckSource(...fds);
  expect(acks.take()).toEqual([]);
  appendFileSync(output, "words\nack one\nacknowledged\nack tw");
  expect(acks.take()).toEqual(["one"]);
  appendFileSync(output, "o\nack\n");
  appendFileSync(file, "three\n\nack four\n");
  expect(acks.take()).toEqual(["two", "", "three", "four"]);
  appendFileSync(output, "ack last");
  expect(acks.take()).toEqual([]);
  expect(acks.finish()).toEqual(["last"]);
  for (const fd of fds) closeSync(fd);
});

test("what a promise begins with is somebody's choice", () => {
  const output = join(folder, "prefixed");
  writeFileSync(output, "");
  const fd = openSync(output, "r");
  const acks = new AckSource(fd, fd, "COMMIT ");
  appendFileSync(output, "COMMIT 7\n");
  // The same file as both: lines of the second need no prefix.
  expect(acks.take()).toEqual(["7", "7"]);
  closeSync(fd);
});
