/**
 * `daxkit nbd --record` as people run it: where the log goes, what marks do, what is refused.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { openNbdMedia } from "../../src/node/nbd/client-media.ts";
import { openWriteLog } from "../../src/node/write-log-file.ts";
import { copyIn } from "../../src/lib/memory.ts";
import { daxkit } from "../support/daxkit.ts";
import { startServer, testFolder } from "../support/nbd-server.ts";

let cwd = "";
const at = (name: string): string => join(cwd, name);
beforeEach(() => {
  cwd = testFolder();
  writeFileSync(at("a.img"), new Uint8Array(1 << 20));
});

function recorded(): string[] {
  const opened = openWriteLog(at("log"));
  const entries = [...opened.log.entries()].map(({ start, length, flush, mark }) =>
    flush ? "flush" : (mark ?? `${start}+${length}`),
  );
  opened.close();
  return entries;
}

/** Sends lines to the socket of marks, and hears the answers. */
async function putMarks(...lines: string[]): Promise<string> {
  return await new Promise((resolve, reject) => {
    let heard = "";
    const socket = connect(at("marks"));
    socket.on("data", (bytes) => (heard += bytes.toString()));
    socket.on("error", reject);
    socket.on("end", () => resolve(heard));
    socket.end(lines.join("\n"));
  });
}

test("records a client, and marks in between, until it is told to end", async () => {
  const args = ["-U", at("s"), "--record", at("log"), "--marks", at("marks"), at("a.img")];
  const server = await startServer(args);
  const media = openNbdMedia(server.uri);
  const { memory } = media.window(0);
  copyIn(memory, 0, new Uint8Array(4096).fill(1));
  media.flush(0, 4096);
  media.fence();
  expect(await putMarks("one", "two", "x".repeat(500))).toMatch(/^\d+\n\d+\nerror: EINVAL.*\n$/u);
  copyIn(memory, 8192, new Uint8Array(4096).fill(2));
  media.flush(8192, 4096);
  media.fence();
  media.close();
  expect(await server.end()).toBe(0);
  expect(server.errors()).toBe("");
  const entries = recorded();
  expect(entries.slice(0, 7)).toEqual([
    "daxkit-size 1048576",
    "0+4096",
    "flush",
    "one",
    "two",
    "8192+4096",
    "flush",
  ]);
  expect(entries.at(-1)).toBe("dm-log-writes-end");
  expect(existsSync(at("marks"))).toBe(false);
  expect(readFileSync(at("a.img"))[8192]).toBe(2);
});

test("what is killed leaves a log that ends with its last flush or mark", async () => {
  const args = ["-U", at("s"), "--record", at("log"), "--marks", at("marks"), at("a.img")];
  const server = await startServer(args);
  await putMarks("before");
  await server.end("SIGKILL");
  expect(recorded()).toEqual(["daxkit-size 1048576", "before"]);
});

describe("refuses", () => {
  const cases: [title: string, args: string[], message: RegExp][] = [
    ["a log that holds something", ["--record", "a.img", "b.img"], /EEXIST.*1048576 bytes/u],
    ["a log in no folder", ["--record", "none/log", "b.img"], /ENOENT/u],
    ["a log that is a folder", ["--record", ".", "b.img"], /EISDIR/u],
    ["two images", ["--record", "log", "a.img", "b.img"], /one image/u],
    ["to record nothing", ["-r", "--record", "log", "b.img"], /exclude each other/u],
    ["marks without a log", ["--marks", "m", "b.img"], /'--marks' needs '--record LOG'/u],
    ["a base without a log", ["--record-base", "b.img"], /'--record-base' needs/u],
    ["marks at a file", ["--record", "log", "--marks", "a.img", "b.img"], /EADDRINUSE/u],
  ];
  test.for(cases)("%s", ([, args, message]) => {
    writeFileSync(at("b.img"), new Uint8Array(4096));
    const { status, stdout, stderr } = daxkit(["nbd", ...args], { cwd });
    expect(stderr).toMatch(message);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });
});
