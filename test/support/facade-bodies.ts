/**
 * What programs do with an `fs` beyond single calls: descriptors, handles, streams, iterables. Each
 * body gets a folder with the tree of `facade-tree.ts` and returns what came of it.
 */
import type * as nodeFs from "node:fs";
import { type EventEmitter, once } from "node:events";
import { Readable } from "node:stream";
import { finished, pipeline } from "node:stream/promises";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { failure, outcome } from "./fs-outcome.ts";

type Fs = typeof nodeFs;
/** What is done in a folder. */
export type FolderBody = (fs: Fs, folder: string) => unknown;

/** What a call gives or throws. */
function tried(body: () => unknown): unknown {
  try {
    return body();
  } catch (error) {
    return failure(error);
  }
}

async function later(body: () => unknown): Promise<unknown> {
  try {
    return await body();
  } catch (error) {
    return failure(error);
  }
}

function onDescriptor(flags: string | number, body: (fs: Fs, fd: number) => unknown): FolderBody {
  return (fs, folder) => {
    const fd = fs.openSync(`${folder}/tiny`, flags);
    try {
      return [body(fs, fd), fs.readFileSync(`${folder}/tiny`, "utf8")];
    } finally {
      fs.closeSync(fd);
    }
  };
}

/** One call with many arguments, each outcome noted. */
function many(name: string, flags: string, lists: readonly (readonly unknown[])[]): FolderBody {
  return async (fs, folder) => {
    const came: unknown[] = [];
    for (const flavour of ["sync", "callback"] as const) {
      for (const list of lists) {
        const fd = fs.openSync(`${folder}/tiny`, flags);
        // oxlint-disable-next-line no-await-in-loop -- each starts from what the last one left
        came.push(await outcome(fs, flavour, name, [fd, ...list]));
        fs.closeSync(fd);
      }
    }
    return [came, fs.readFileSync(`${folder}/tiny`, "latin1")];
  };
}

async function* slowly(): AsyncGenerator<string> {
  yield "first ";
  await Promise.resolve();
  yield "second";
}

const filter = async (from: string): Promise<boolean> => !from.endsWith("page");

const abc = Buffer.from("abc");

const writes: readonly (readonly unknown[])[] = [
  ["text"],
  ["text", 3],
  ["text", 3, "latin1"],
  ["ab", 1, "hex"],
  ["abc", 1, "hex"],
  ["text", null, "nonsense"],
  [abc],
  [abc, 1],
  [abc, 1, 1],
  [abc, 1, 1, 9],
  [abc, 0, 3, null],
  [abc, null, null, 12],
  [abc, 9],
  [abc, 1, 9],
  [abc, 1, -1],
  [abc, 1.5],
  [abc, 0, 1.5],
  [abc, { offset: 1, length: 1, position: 4 }],
  [abc, { offset: 1 }],
  [abc, {}],
  [abc, 0, 3, -7],
  [abc, 0, 3, 2n],
  [Buffer.alloc(0)],
  [new Uint16Array([0x4142, 0x4344])],
  [new DataView(new ArrayBuffer(2))],
  [{}],
  [null],
  [undefined],
  [5],
];

const vectors: readonly (readonly unknown[])[] = [
  [[]],
  [[abc]],
  [[abc, Buffer.from("de"), new Uint16Array(1)]],
  [[abc, abc], 2],
  [[abc], null],
  [[abc], "x"],
  [[1]],
  [5],
  [null],
];

/** All of them. */
export const bodies: Readonly<Record<string, FolderBody>> = {
  "write, open for both": many("write", "r+", writes),
  "write, appending": many("write", "a", writes),
  "write, open for reading": many("write", "r", writes.slice(0, 8)),
  "writev, open for both": many("writev", "r+", vectors),
  "writev, appending": many("writev", "a", vectors),
  "writev, open for reading": many("writev", "r", vectors),
  ftruncate: many("ftruncate", "r+", [[], [2], [9], ["a"], [null], [1.5], [-3], [2 ** 60]]),
  "ftruncate, open for reading": many("ftruncate", "r", [[], [2]]),
  fchmod: many("fchmod", "r", [[0o640], ["604"], ["9"], [undefined], [-1], [1.5], [0o7777]]),
  fchown: many("fchown", "r", [
    [5, 6],
    [-1, 7],
    ["x", 1],
    [2 ** 33, 1],
    [-1, -1],
  ]),
  futimes: many("futimes", "r", [
    [5, 6],
    ["7", new Date(8000)],
    [NaN, 1],
    [1e9 + 0.5, 1],
  ]),
  fsync: many("fsync", "r+", [[]]),
  fdatasync: many("fdatasync", "r", [[]]),
  "positions are shared by reads and writes": onDescriptor("r+", (fs, fd) => {
    const bytes = Buffer.alloc(2);
    return [
      fs.readSync(fd, bytes),
      fs.writeSync(fd, "XY"),
      fs.readSync(fd, bytes),
      bytes.toString(),
      fs.writeSync(fd, "past the end", 20),
      fs.fstatSync(fd).size,
    ];
  }),
  "what is appended goes to the end, wherever it is told to": onDescriptor("a+", (fs, fd) => [
    fs.writeSync(fd, "one", 0),
    fs.writeSync(fd, abc, 0, 3, 1),
    fs.readSync(fd, Buffer.alloc(20), 0, 20, 0),
    fs.writeFileSync(fd, "two"),
    fs.appendFileSync(fd, "three"),
  ]),
  "reading what is open for writing": onDescriptor("w", (fs, fd) => [
    tried(() => fs.readSync(fd, Buffer.alloc(3))),
    tried(() => fs.readFileSync(fd)),
    fs.writeSync(fd, "now"),
  ]),
  "a file without a name is still a file": (fs, folder) => {
    const fd = fs.openSync(`${folder}/tiny`, "r+");
    fs.unlinkSync(`${folder}/tiny`);
    const came = [
      fs.writeSync(fd, "still", 2),
      fs.fstatSync(fd).nlink,
      fs.readFileSync(fd, "utf8"),
    ];
    fs.closeSync(fd);
    return [came, tried(() => fs.closeSync(fd)), tried(() => fs.writeSync(fd, "x"))];
  },
  "a file is replaced under its reader": (fs, folder) => {
    const fd = fs.openSync(`${folder}/tiny`, "r");
    fs.writeFileSync(`${folder}/other`, "other");
    fs.renameSync(`${folder}/other`, `${folder}/tiny`);
    const came = [fs.readFileSync(fd, "utf8"), fs.readFileSync(`${folder}/tiny`, "utf8")];
    fs.closeSync(fd);
    return came;
  },
  "open by numbers": (fs, folder) => {
    const { O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY } = fs.constants;
    const { O_NOFOLLOW, O_SYNC, O_DSYNC, O_NOATIME } = fs.constants;
    const kinds = [O_WRONLY, O_RDWR, O_CREAT, O_CREAT | O_EXCL, O_TRUNC, O_WRONLY | O_TRUNC].concat(
      [O_APPEND | O_WRONLY, O_DIRECTORY, O_DIRECTORY | O_RDWR, O_NOFOLLOW, O_RDWR | O_SYNC],
      [O_RDWR | O_DSYNC, O_NOATIME, O_CREAT | O_DIRECTORY, 0o10000000, 0o20200002],
    );
    const paths = ["tiny", "dir", "link", "dangling", "dir-link", "none/x", "tiny/", "dir/"];
    return kinds.flatMap((kind) =>
      paths.map((path) =>
        tried(() => {
          fs.closeSync(fs.openSync(`${folder}/${path}`, kind, 0o640));
          return "opened";
        }),
      ),
    );
  },
  "modes and the mask of the process": (fs, folder) => {
    const before = process.umask(0o027);
    try {
      fs.writeFileSync(`${folder}/masked`, "x");
      fs.mkdirSync(`${folder}/masked-dir`);
      fs.closeSync(fs.openSync(`${folder}/masked-open`, "w", 0o777));
      fs.mkdtempSync(`${folder}/temp-`).replace(/.{6}$/u, "");
    } finally {
      process.umask(before);
    }
    const temporary = fs.readdirSync(folder).find((name) => name.startsWith("temp-"));
    const { mode } = fs.statSync(`${folder}/${temporary}`);
    fs.rmdirSync(`${folder}/${temporary}`);
    return [temporary?.length, mode.toString(8)];
  },
  mkdtemp: async (fs, folder) => {
    const came: unknown[] = [];
    for (const prefix of [`${folder}/x`, `${folder}/none/x`, `${folder}/tiny/x`]) {
      for (const flavour of ["sync", "callback", "promise"] as const) {
        // oxlint-disable-next-line no-await-in-loop
        came.push(await outcome(fs, flavour, "mkdtemp", [prefix]));
        // oxlint-disable-next-line no-await-in-loop
        came.push(await outcome(fs, flavour, "mkdtemp", [prefix, "nonsense"]));
      }
    }
    for (const name of fs.readdirSync(folder)) {
      if (/^x.{6}$/u.test(name)) fs.rmdirSync(`${folder}/${name}`);
    }
    return JSON.stringify(came).replaceAll(/\/x\w{6}/gu, "/x");
  },
  "writeFile of iterables": async (fs, folder) => {
    const { writeFile, appendFile } = fs.promises;
    const path = `${folder}/pieces`;
    const came = [
      await later(() => writeFile(path, slowly())),
      fs.readFileSync(path, "utf8"),
      await later(() => writeFile(path, ["a", "b", "c"])),
      await later(() => appendFile(path, Readable.from(["d", "e"]) as never)),
      fs.readFileSync(path, "utf8"),
      await later(() => writeFile(path, [Buffer.from("x"), new Uint8Array([65])])),
      await later(() => writeFile(path, ["ok", 5] as never)),
      fs.readFileSync(path, "utf8"),
      await later(() => writeFile(path, ["616263"], "hex")),
      await later(() => writeFile(path, slowly(), { flush: true, mode: 0o600 })),
      await later(() => writeFile(`${folder}/none/x`, slowly())),
      tried(() => fs.writeFileSync(path, ["a"] as never)),
    ];
    const controller = new AbortController();
    async function* aborting(): AsyncGenerator<string> {
      yield "before";
      controller.abort();
      yield "after";
    }
    const { signal } = controller;
    came.push(await later(() => writeFile(path, aborting(), { signal })));
    came.push(await later(() => writeFile(path, "x", { signal })), fs.readFileSync(path, "utf8"));
    return came;
  },
  "aborted callbacks": async (fs, folder) => {
    const signal = AbortSignal.abort();
    return [
      await outcome(fs, "callback", "writeFile", [`${folder}/new`, "x", { signal }]),
      await outcome(fs, "callback", "appendFile", [`${folder}/new`, "x", { signal }]),
      fs.existsSync(`${folder}/new`),
    ];
  },
  "promisified calls": async (fs, folder) => {
    const fd = fs.openSync(`${folder}/tiny`, "r+");
    const came = [
      await promisify(fs.write)(fd, "promised"),
      await promisify(fs.mkdir)(`${folder}/deep/er`, { recursive: true }),
      (await promisify(fs.mkdtemp)(`${folder}/dir/t-`)).length - folder.length,
      await later(() => promisify(fs.rename)(`${folder}/none`, `${folder}/x`)),
    ];
    for (const name of fs.readdirSync(`${folder}/dir`)) {
      if (name.startsWith("t-")) fs.rmdirSync(`${folder}/dir/${name}`);
    }
    fs.closeSync(fd);
    return [came[0], String(came[1]).slice(folder.length), ...came.slice(2)];
  },
  "a handle": async (fs, folder) => {
    const handle = await fs.promises.open(`${folder}/handled`, "w+", 0o644);
    const came = [
      await handle.write("text"),
      await handle.write(abc, 1),
      await handle.write(abc, { offset: 1, length: 1, position: 0 } as never),
      await handle.writev([abc, abc], 10),
      await handle.writev([]),
      await handle.write(Buffer.alloc(0)),
      await later(() => handle.write({} as never)),
      await later(() => handle.write(abc, 9)),
      await later(() => handle.writev([1] as never)),
      await handle.appendFile("appended"),
      await handle.datasync(),
      await handle.sync(),
      await handle.truncate(21),
      await handle.chmod(0o600),
      await handle.chown(3, 4),
      await handle.utimes(5, 6.5),
      await later(() => handle.utimes(NaN, 1)),
      await later(() => handle.truncate("x" as never)),
      (await handle.stat()).size,
      await handle.read({ buffer: Buffer.alloc(9), position: 0 }),
      await handle.writeFile("over"),
      await handle.readFile("utf8"),
      await later(() => fs.promises.writeFile(handle, "through promises")),
      await later(() => handle.writeFile(["a", "b"] as never)),
    ];
    await handle.close();
    const after = [await later(() => handle.write("x")), await later(() => handle.sync())];
    return [came, after, handle.fd, await handle.close()];
  },
  "a handle that is closed while it is written to": async (fs, folder) => {
    const path = `${folder}/closing`;
    const handle = await fs.promises.open(path, "w");
    const noted: unknown[] = [];
    (handle as unknown as EventEmitter).on("close", () => noted.push("told"));
    const writing = later(() => handle.writeFile(slowly() as never));
    const [first, second] = [handle.close(), handle.close()];
    noted.push(first === second, handle.fd === -1);
    noted.push(await writing, await first, handle.fd, await later(() => handle.sync()));
    return [noted, await handle.close(), fs.readFileSync(path, "utf8")];
  },
  "a handle that is for reading": async (fs, folder) => {
    const handle = await fs.promises.open(`${folder}/tiny`);
    const came = [
      await later(() => handle.write("x")),
      await later(() => handle.writeFile("x")),
      await later(() => handle.truncate(1)),
      await later(() => handle.appendFile("x")),
    ];
    await handle.close();
    return came;
  },
  "streams of a handle": async (fs, folder) => {
    const handle = await fs.promises.open(`${folder}/streamed`, "w+");
    const stream = handle.createWriteStream({ start: 2, flush: true });
    stream.write("one ");
    stream.end("two");
    await finished(stream);
    const again = await fs.promises.open(`${folder}/streamed`);
    const lines: string[] = [];
    for await (const line of again.readLines()) lines.push(line);
    return [stream.bytesWritten, handle.fd, lines, again.fd];
  },
  "write streams": async (fs, folder) => {
    const path = `${folder}/stream`;
    const note: unknown[] = [];
    const stream = fs.createWriteStream(path, { mode: 0o640, highWaterMark: 4 });
    for (const name of ["open", "ready", "finish", "close"]) {
      stream.on(name, (...args: unknown[]) => note.push([name, args.length]));
    }
    note.push([stream.pending, stream.path === path, stream.bytesWritten]);
    note.push(stream.write("first "), stream.write("second"));
    stream.cork();
    stream.write(" third");
    stream.write(Buffer.from(" fourth"));
    stream.uncork();
    stream.end(" last");
    await once(stream, "close");
    note.push(stream.bytesWritten, stream.closed, fs.readFileSync(path, "utf8"));
    return note;
  },
  "write streams with options": async (fs, folder) => {
    const path = `${folder}/stream`;
    const put = async (options: object | string, data: string): Promise<unknown> =>
      later(async () => {
        const stream = fs.createWriteStream(path, options as never);
        stream.end(data);
        await finished(stream);
        return [stream.bytesWritten, fs.readFileSync(path, "latin1")];
      });
    const fd = fs.openSync(path, "w");
    const came = [
      await put({ fd, autoClose: false }, "by descriptor"),
      tried(() => fs.closeSync(fd)),
      await put({ flags: "r+", start: 3 }, "XYZ"),
      await put({ flags: "a" }, "!"),
      await put("latin1", "ÄÖ"),
      await put({ encoding: "hex" }, "414243"),
      await put({ flags: "wx" }, "x"),
      await put({ flags: "r" }, "x"),
      await put({ flush: true }, "flushed"),
      await put({ emitClose: false }, "silent"),
      tried(() => fs.createWriteStream(path, { flush: 1 } as never)),
      tried(() => fs.createWriteStream(path, { start: "x" } as never)),
      tried(() => fs.createWriteStream(path, { start: -1 })),
      tried(() => fs.createWriteStream(path, { fd: "x" } as never)),
      tried(() => fs.createWriteStream(5 as never)),
      tried(() => fs.createWriteStream(path, 5 as never)),
      await later(() => finished(fs.createWriteStream(`${folder}/none/x`))),
      await later(() => finished(fs.createWriteStream(`${folder}/dir`))),
    ];
    return came;
  },
  "streams into streams": async (fs, folder) => {
    await pipeline(
      fs.createReadStream(`${folder}/dir/deep/big`, { highWaterMark: 1000 }),
      fs.createWriteStream(`${folder}/big-copy`),
    );
    const part = fs.createReadStream(`${folder}/big-copy`, { start: 5, end: 11 });
    return [fs.statSync(`${folder}/big-copy`).size, await text(part)];
  },
  "streams that are made with new, called, and subclassed": async (fs, folder) => {
    const path = `${folder}/made`;
    class Sub extends fs.WriteStream {}
    const made = [
      new (fs.WriteStream as never as new (path: string) => nodeFs.WriteStream)(path),
      (fs.WriteStream as never as (path: string) => nodeFs.WriteStream)(path),
      new (Sub as never as new (path: string) => nodeFs.WriteStream)(path),
    ];
    const came: unknown[] = [];
    for (const stream of made) {
      stream.end("by class");
      // oxlint-disable-next-line no-await-in-loop -- all write the same file
      await finished(stream);
      came.push(stream instanceof fs.WriteStream, fs.readFileSync(path, "utf8"));
    }
    return [came, made[2] instanceof Sub];
  },
  "cp with filters that answer later": async (fs, folder) => {
    const [from, to] = [`${folder}/dir`, `${folder}/filtered`];
    return [
      await later(() => fs.promises.cp(from, to, { recursive: true, filter })),
      tried(() => fs.cpSync(from, `${to}-2`, { recursive: true, filter: filter as never })),
      await outcome(fs, "callback", "cp", [from, `${to}-3`, { recursive: true, filter }]),
    ];
  },
  "names that are no text": (fs, folder) => {
    const odd = (...bytes: number[]): Buffer =>
      Buffer.concat([Buffer.from(`${folder}/odd-`), Buffer.from(bytes)]);
    const seen = (): string[] =>
      fs
        .readdirSync(folder, "buffer")
        .map((name) => name.toString("hex"))
        .toSorted();
    fs.mkdirSync(odd(0xff));
    fs.writeFileSync(Buffer.concat([odd(0xff), Buffer.from([0x2f, 0xfe])]), "inside");
    fs.renameSync(odd(0xff), odd(0xc3, 0x28));
    fs.linkSync(Buffer.concat([odd(0xc3, 0x28), Buffer.from([0x2f, 0xfe])]), odd(0xfd));
    fs.symlinkSync(Buffer.from([0xff, 0xfe]), odd(0xfc));
    fs.copyFileSync(odd(0xfd), odd(0xfb));
    const target = fs.readlinkSync(odd(0xfc), "buffer").toString("hex");
    const before = seen();
    const failed = tried(() => fs.rmdirSync(odd(0xc3, 0x28)));
    fs.rmSync(odd(0xc3, 0x28), { recursive: true });
    for (const byte of [0xfd, 0xfc, 0xfb]) fs.unlinkSync(odd(byte));
    return [before, target, failed, seen()];
  },
  "paths as URLs": async (fs, folder) => {
    const at = (name: string): URL => new URL(`file://${folder}/${name}`);
    fs.mkdirSync(at("by%20url/deep"), { recursive: true });
    await fs.promises.writeFile(at("by%20url/file"), "x");
    await fs.promises.cp(at("by%20url"), at("copied"), { recursive: true });
    fs.renameSync(at("copied/file"), at("copied/other"));
    await fs.promises.rm(at("by%20url"), { recursive: true });
    return [
      fs.readdirSync(at("copied")).toSorted(),
      tried(() => fs.mkdirSync(new URL("http://x/y"))),
      tried(() => fs.unlinkSync(at("a%00b"))),
    ];
  },
  "what a removed directory still answers": (fs, folder) => {
    const directory = fs.opendirSync(`${folder}/empty-dir`);
    fs.rmdirSync(`${folder}/empty-dir`);
    const came = directory.readSync();
    directory.closeSync();
    return came;
  },
  "a directory that grows and shrinks": (fs, folder) => {
    const path = `${folder}/many`;
    fs.mkdirSync(path);
    for (let i = 0; i < 500; i++) fs.writeFileSync(`${path}/file-${i}`, String(i));
    for (let i = 0; i < 500; i += 3) fs.unlinkSync(`${path}/file-${i}`);
    const left = fs.readdirSync(path).length;
    fs.rmSync(path, { recursive: true });
    return [left, fs.existsSync(path)];
  },
};
