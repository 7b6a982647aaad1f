/**
 * Open files of `volume.fs` against those of `node:fs`: descriptors, handles, directories, streams.
 */
import type { EventEmitter } from "node:events";
import * as nodeFs from "node:fs";
import { inspect, promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import type { NodeFs } from "../../src/node/facade/facade.ts";
import { type Body, failureOf, makePair, run } from "../support/facade-pair.ts";
import { failure, outcome } from "../support/fs-outcome.ts";

const pair = makePair();
const { root, ours } = pair;
const at = (path: string): string => `${root}/${path}`;
afterAll(() => pair.end());

const big = "dir/deep/big";
const text = "dir/deep/deeper/text.txt";

/** Runs `body` on a descriptor of `path`. */
function onFd(path: string, body: (fs: NodeFs, fd: number) => unknown): Body {
  return async (fs) => {
    const fd = fs.openSync(at(path), "r");
    try {
      return await body(fs, fd);
    } finally {
      fs.closeSync(fd);
    }
  };
}

/** Fresh copies of arguments, so that what one filesystem read is not there for the other. */
function fresh(args: readonly unknown[]): unknown[] {
  return args.map((arg) => {
    if (Buffer.isBuffer(arg)) return Buffer.from(arg);
    return ArrayBuffer.isView(arg) ? structuredClone(arg) : arg;
  });
}

function buffers(): Buffer[] {
  return [Buffer.alloc(10), Buffer.alloc(0), Buffer.alloc(5000)];
}

const reads: Readonly<Record<string, readonly unknown[]>> = {
  "all of a buffer": [Buffer.alloc(100)],
  "into a part": [Buffer.alloc(100), 10, 20, 30],
  "from the position": [Buffer.alloc(100), 0, 50, null],
  "at a bigint": [Buffer.alloc(100), 0, 50, 299_990n],
  "past the end": [Buffer.alloc(100), 0, 50, 300_001],
  options: [Buffer.alloc(100), { offset: 5, position: 7 }],
  "no options": [Buffer.alloc(100), null],
  "a typed array": [new Float64Array(4), 3, 9, 0],
  "a view": [new DataView(new ArrayBuffer(9)), 3, 5, 0],
  nothing: [Buffer.alloc(100), 0, 0, 0],
  "into nothing": [Buffer.alloc(0), 0, 1, 0],
  "too much": [Buffer.alloc(100), 50, 51, 0],
  "a negative length": [Buffer.alloc(100), 0, -1, 0],
  "a negative offset": [Buffer.alloc(100), -1, 1, 0],
  "a fractional offset": [Buffer.alloc(100), 0.5, 1, 0],
  "position -1": [Buffer.alloc(100), 0, 10, -1],
  "position -2": [Buffer.alloc(100), 0, 10, -2],
  "a position that is none": [Buffer.alloc(100), 0, 10, "5"],
  "what is no buffer": ["text", 0, 10, 0],
};

describe.each(Object.entries(reads))("read %s", (_, args) => {
  test("twice at once, then by callback", async () => {
    const body = onFd(big, async (fs, fd) => {
      const own = fresh(args);
      const read = fs.readSync as (...values: unknown[]) => number;
      const sync = [failureOf(() => read(fd, ...own)), failureOf(() => read(fd, ...own)), own];
      return [sync, await outcome(fs, "callback", "read", [fd, ...fresh(args)])];
    });
    expect(await run(ours, body)).toEqual(await run(nodeFs, body));
  });
});

const nobody = [-1, 1.5, "3", undefined, null, 2 ** 31, Number.NaN] as number[];

async function listed(directory: AsyncIterable<nodeFs.Dirent>): Promise<string[]> {
  const entries: string[] = [];
  for await (const entry of directory) entries.push(inspect(entry));
  return entries.toSorted();
}

async function joined(stream: AsyncIterable<unknown>): Promise<string> {
  const parts: string[] = [];
  for await (const part of stream) parts.push(Buffer.from(part as Buffer).toString("latin1"));
  return parts.join("|");
}

function ended(stream: nodeFs.ReadStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.closed) resolve();
    else stream.once("close", () => resolve());
  });
}

const bodies: Readonly<Record<string, Body>> = {
  "open with flags and modes that are none": (fs) =>
    [["z"], [0.5], [2 ** 40], [{}], ["r", "9"], ["r", -1], ["r", "644"], [], ["r", 420]].map(
      (args) => failureOf(() => fs.closeSync(fs.openSync(at("tiny"), ...(args as ["r"])))),
    ),
  "read that allocates": onFd(big, (fs, fd) => outcome(fs, "callback", "read", [fd])),
  "read that allocates with options": onFd(big, (fs, fd) =>
    outcome(fs, "callback", "read", [fd, { length: 9 }]),
  ),
  "read, promisified": onFd(big, (fs, fd) => promisify(fs.read)(fd, Buffer.alloc(9), 0, 9, 5)),
  "readv from the position": onFd(big, (fs, fd) => {
    const pieces = buffers();
    return [fs.readvSync(fd, pieces), fs.readvSync(fd, pieces), pieces];
  }),
  "readv from a place": onFd(big, async (fs, fd) => {
    const pieces = buffers();
    const counts = [fs.readvSync(fd, pieces, 299_000), fs.readvSync(fd, pieces, 300_000)];
    return [counts, pieces, await outcome(fs, "callback", "readv", [fd, buffers(), 7])];
  }),
  "readv into what is no buffer": onFd(big, (fs, fd) => fs.readvSync(fd, ["x"] as never)),
  "readFile of a descriptor goes on from its position": onFd(text, (fs, fd) => {
    fs.readSync(fd, Buffer.alloc(6));
    return [fs.readFileSync(fd, "utf8"), fs.readFileSync(fd, "utf8")];
  }),
  "readFile of no descriptor": (fs) => fs.readFileSync(2 ** 30),
  fstat: onFd(big, (fs, fd) => [fs.fstatSync(fd), fs.fstatSync(fd, { bigint: true })]),
  "descriptors that are none": (fs) =>
    nobody.map((fd) => [
      failureOf(() => fs.fstatSync(fd)),
      failureOf(() => fs.closeSync(fd)),
      failureOf(() => fs.readSync(fd, Buffer.alloc(1))),
    ]),
  "a descriptor that is not open": (fs) => {
    // Not one that was open: its number may by now be another test's file.
    const fd = 2 ** 30;
    const calls: Readonly<Record<string, readonly unknown[]>> = {
      close: [fd],
      fstat: [fd],
      read: [fd, Buffer.alloc(1)],
      readv: [fd, [Buffer.alloc(1)]],
      fsync: [fd],
      ftruncate: [fd],
      write: [fd, "x"],
    };
    return Promise.all(
      Object.entries(calls).flatMap(([name, args]) => [
        outcome(fs, "sync", name, args),
        outcome(fs, "callback", name, args),
      ]),
    );
  },
  "reading a directory": onFd("dir", (fs, fd) => fs.readSync(fd, Buffer.alloc(9))),
  "readFile of an open directory": onFd("dir", (fs, fd) => fs.readFileSync(fd)),
  "recursive names": (fs) => fs.readdirSync(root, { recursive: true }),
  "recursive entries": (fs) => fs.readdirSync(root, { recursive: true, withFileTypes: true }),
  "recursive names in another encoding": (fs) =>
    fs.readdirSync(at("dir"), { recursive: true, encoding: "latin1" }),
  "recursive what": (fs) => fs.readdirSync(root, { recursive: "yes" as never }),
  "recursive names by promise": async (fs) =>
    (await fs.promises.readdir(root, { recursive: true })).toSorted(),
  "opendir by iteration": async (fs) => listed(await fs.promises.opendir(root)),
  "opendir, recursive": (fs) => listed(fs.opendirSync(at("dir"), { recursive: true })),
  "opendir in small pieces, by every flavour": async (fs) => {
    const dir = fs.opendirSync(at("many"), { bufferSize: 7 });
    const entries = [dir.readSync(), await dir.read()];
    const called = new Promise<nodeFs.Dirent | null>((resolve) => {
      dir.read((_, entry) => resolve(entry));
    });
    entries.push(await called);
    for (let entry = dir.readSync(); entry !== null; entry = dir.readSync()) entries.push(entry);
    const behind = [await dir.read(), dir.readSync(), dir.path];
    dir.closeSync();
    const closed = [failureOf(() => dir.readSync()), failureOf(() => dir.closeSync())];
    return [entries.map((entry) => inspect(entry)).toSorted(), behind, closed];
  },
  "opendir of what is no directory": (fs) =>
    Promise.all(
      ["none", "tiny", "loop-a"].map((path) => outcome(fs, "promise", "opendir", [at(path)])),
    ),
  "opendir with room for nothing": (fs) => fs.opendirSync(root, { bufferSize: 0 }),
  "streams of ranges": (fs) =>
    Promise.all(
      [{}, { start: 10, end: 99 }, { start: 299_000 }, { start: 400_000 }]
        .concat([{ highWaterMark: 1000, end: 5000 } as never])
        .map((options) => joined(fs.createReadStream(at(big), options))),
    ),
  "a stream that ends before it starts": (fs) => fs.createReadStream(at(big), { start: 9, end: 3 }),
  "a stream from before the start": (fs) => fs.createReadStream(at(big), { start: -1 }),
  "a stream of text": (fs) => joined(fs.createReadStream(at(text), "utf8")),
  "streams of nothing": (fs) =>
    Promise.all(
      ["none", "dir", "loop-a"].map((path) => joined(fs.createReadStream(at(path))).catch(failure)),
    ),
  "what a stream says of itself": async (fs) => {
    const stream = fs.createReadStream(at("tiny"));
    const content = await joined(stream);
    await ended(stream);
    return [content, stream.bytesRead, stream.path, stream.closed];
  },
  "a stream of a descriptor": (fs) =>
    joined(fs.createReadStream("", { fd: fs.openSync(at("tiny"), "r"), start: 2 })),
  "a handle, in all ways": async (fs) => {
    const handle = await fs.promises.open(at(text));
    const results: unknown[] = [await handle.read(Buffer.alloc(5), 0, 5, null)];
    results.push(await handle.read({ buffer: Buffer.alloc(4), position: 1 }));
    results.push((await handle.read()).bytesRead);
    results.push(await handle.readv([Buffer.alloc(3), Buffer.alloc(3)], 2));
    results.push(await handle.stat(), await handle.readFile("utf8"));
    results.push(handle.fd > 0, await handle.sync(), await handle.datasync());
    let closed = 0;
    (handle as unknown as EventEmitter).on("close", () => closed++);
    await handle.close();
    await handle.close();
    const calls = [handle.read(), handle.stat(), handle.readFile(), handle.write("x")];
    const refused = await Promise.all(
      calls.map((call) => (call as Promise<unknown>).catch(failure)),
    );
    return [results, closed, handle.fd, refused];
  },
  "a handle by lines": async (fs) => {
    const handle = await fs.promises.open(at(text));
    const lines: string[] = [];
    for await (const line of handle.readLines()) lines.push(line);
    return [lines, handle.fd];
  },
  "a handle as a stream": async (fs) => {
    const handle = await fs.promises.open(at(big));
    const content = await joined(handle.createReadStream({ start: 100, end: 70_000 }));
    return [content, handle.fd];
  },
  "a handle as a web stream": async (fs) => {
    const handle = await fs.promises.open(at(big));
    const stream = handle.readableWebStream({ type: "bytes" } as never);
    const content = (await joined(stream)).replaceAll("|", "");
    const again = failureOf(() => handle.readableWebStream());
    await handle.close();
    return [content, again];
  },
  "a handle for readFile, disposed of": async (fs) => {
    const handle = await fs.promises.open(at("tiny"));
    const content = await fs.promises.readFile(handle, "utf8");
    await handle[Symbol.asyncDispose]();
    return [content, handle.fd];
  },
};

test.each(Object.entries(bodies))("%s", async (_, body) => {
  expect(await run(ours, body)).toEqual(await run(nodeFs, body));
});

test("a descriptor is open until it is closed, and its number is free then", () => {
  const fd = ours.openSync(at("tiny"), "r");
  const other = ours.openSync(at("tiny"), "r");
  ours.closeSync(fd);
  expect(failureOf(() => ours.readSync(fd, Buffer.alloc(1)))).toMatchObject({ code: "EBADF" });
  expect(failureOf(() => ours.closeSync(fd))).toMatchObject({ code: "EBADF", syscall: "close" });
  expect(ours.readSync(other, Buffer.alloc(9))).toBe(5);
  expect(ours.openSync(at("tiny"), "r")).toBe(fd);
  ours.closeSync(fd);
  ours.closeSync(other);
});

test("every file of a listing reads the same through streams and at once", async () => {
  const names = ours.readdirSync(at("many"));
  const streams = names
    .slice(0, 50)
    .map((name) => joined(ours.createReadStream(at(`many/${name}`))));
  const whole = names.slice(0, 50).map((name) => nodeFs.readFileSync(at(`many/${name}`), "latin1"));
  expect(await Promise.all(streams)).toEqual(whole);
});
