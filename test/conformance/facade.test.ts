/**
 * `volume.fs` against `node:fs`: the same calls on the same files, in every flavour, must give the
 * same values and the same errors, to the letter.
 */
import * as nodeFs from "node:fs";
import { pathToFileURL } from "node:url";
import { inspect, promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { type Body, makePair, run } from "../support/facade-pair.ts";
import { type AnyFs, type Flavour, failure, outcome } from "../support/fs-outcome.ts";
import { ODD_NAME } from "../support/host-tree.ts";

type Call = readonly [string, ...unknown[]];

const pair = makePair();
const { root, ours } = pair;
const at = (path: string): string => `${root}/${path}`;
afterAll(() => pair.end());

const names =
  "|tiny|empty|sparse|dir|dir/|dir/deep/big|link|link/|dir-link|dir-link/|long-link|dangling|" +
  "loop-a|dir-link/deeper/text.txt|loop-a/x|none|none/x|tiny/|tiny/x|tiny/.|dir/../tiny|" +
  "dir/up-link|" +
  `many/file-7|${"n".repeat(255)}|${"n".repeat(256)}|ünï-☃-𝄞| space|new\nline|empty-dir`;
const paths: readonly unknown[] = names.split("|").map((name) => at(name));
const odd = Buffer.concat([Buffer.from(`${root}/`), ODD_NAME]);
/** What does not depend on the working directory. */
const absolute = [...paths, odd, Buffer.from(at("tiny")), pathToFileURL(at("tiny"))];
const readable = absolute.concat(
  [Buffer.from(at("none")), "", "nul\0", Buffer.from("nul\0"), undefined, null, {}, []],
  [at("lone-\ud800"), `${root}/${ODD_NAME.toString()}`, new URL("http://x/y"), () => 1],
  [at("a/".repeat(2048))],
);
/** Node takes a number for a descriptor, which may well be open, and chokes on a symbol. */
const everything = readable.concat([7, Symbol("s")]);
const some: Readonly<Record<string, readonly unknown[]>> = {
  readFile: readable,
  realpath: absolute,
  // The C library walks part by part, so a path that is too long fails where its first part does.
  native: everything.filter((path) => !String(path).includes("a/a/a/")),
};

function over(name: string, option?: unknown): Call[] {
  const all = some[name] ?? everything;
  return all.map((path) => (option === undefined ? [name, path] : [name, path, option]));
}

function each(name: string, path: string, options: readonly unknown[]): Call[] {
  return options.map((option) => [name, path, option]);
}

/** All outcomes of a call over many arguments, in one flavour. */
function outcomes(on: AnyFs, flavour: Flavour, calls: readonly Call[]): Promise<unknown[]> {
  return Promise.all(
    calls.map(async ([name, ...args]) => [name, args, await outcome(on, flavour, name, args)]),
  );
}

const table: Readonly<Record<string, readonly Call[]>> = {
  access: [...over("access"), ...over("access", 4), ...over("access", 1)],
  stat: [...over("stat"), ...over("stat", { bigint: true })],
  "stat of what is not there": [["stat", at("none"), { throwIfNoEntry: false }]],
  lstat: [...over("lstat"), ...over("lstat", { bigint: true })],
  statfs: [...over("statfs"), ["statfs", root, { bigint: true }]],
  readFile: [...over("readFile"), ...over("readFile", "utf8")],
  "readFile with options": each(
    "readFile",
    at("dir/page"),
    ["latin1", "hex", "nonsense", { encoding: "base64" }, { encoding: null }, 5, null].concat([
      { flag: "r" },
      { flag: "x" },
      { flag: 0 },
      { encoding: "utf-8", flag: "rs" },
    ] as never),
  ),
  readdir: [...over("readdir"), ...over("readdir", { withFileTypes: true })],
  "readdir with options": each(
    "readdir",
    root,
    ["buffer", "hex", "utf8", "nonsense", null, "latin1", { encoding: null }].concat([
      { encoding: "buffer", withFileTypes: true },
      { recursive: false },
    ] as never),
  ),
  readlink: [...over("readlink"), ...over("readlink", "buffer")],
  realpath: [...over("realpath"), ["realpath", at("link"), "buffer"]],
};
const flavours: readonly Flavour[] = ["sync", "callback", "promise"];

describe.each(Object.entries(table))("%s", (_, calls) => {
  test.each(flavours)("%s", async (flavour) => {
    expect(await outcomes(ours, flavour, calls)).toEqual(await outcomes(nodeFs, flavour, calls));
  });
});

test.each(["sync", "callback"] as const)("exists never fails: %s", async (flavour) => {
  const calls = over("exists");
  expect(await outcomes(ours, flavour, calls)).toEqual(await outcomes(nodeFs, flavour, calls));
});

function natives({ realpath, realpathSync }: typeof nodeFs | typeof ours): AnyFs {
  return { native: realpath.native, nativeSync: realpathSync.native };
}

test.each(["sync", "callback"] as const)("realpath.native: %s", async (flavour) => {
  const calls = over("native");
  const real = await outcomes(natives(nodeFs), flavour, calls);
  expect(await outcomes(natives(ours), flavour, calls)).toEqual(real);
});

test("modes of access that are none are refused with Node's codes", () => {
  const codes = ([8, -1, "4", {}] as never[]).map((mode) => {
    const codeOn = (fs: AnyFs): unknown => {
      try {
        return (fs as typeof nodeFs).accessSync(at("tiny"), mode);
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
    };
    return [codeOn(ours), codeOn(nodeFs)];
  });
  expect(codes.every(([a, b]) => a === b && a !== undefined)).toBe(true);
});

const signal = AbortSignal.abort();
const noted: Readonly<Record<string, Body>> = {
  "an aborted promise": (fs) => fs.promises.readFile(at("tiny"), { signal }),
  "an aborted callback": (fs) => outcome(fs, "callback", "readFile", [at("tiny"), { signal }]),
  "a signal that is none": (fs) => fs.promises.readFile(at("tiny"), { signal: 5 as never }),
  "promisified stat": (fs) => promisify(fs.stat)(at("tiny")),
  "promisified exists": (fs) => promisify(fs.exists)(at("tiny")),
  "promisified readdir": (fs) => promisify(fs.readdir)(at("dir")),
  "no callback for stat": (fs) => fs.stat(at("tiny"), undefined as never),
  "no callback for readFile": (fs) => fs.readFile(at("tiny"), undefined as never),
  "no callback for exists": (fs) => fs.exists(at("tiny"), undefined as never),
  "how stats and entries look": (fs) => {
    const stat = fs.statSync(at("tiny"));
    const [entry] = fs.readdirSync(at("dir"), { withFileTypes: true });
    return [inspect(entry), Object.keys(stat), stat instanceof nodeFs.Stats, stat.mtime];
  },
};

test.each(Object.entries(noted))("%s", async (_, body) => {
  expect(await run(ours, body)).toEqual(await run(nodeFs, body));
});

test("callbacks come later, so that a walk lets other things happen", async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    ours.stat(at("tiny"), () => {
      order.push("callback");
      resolve();
    });
    order.push("after the call");
    queueMicrotask(() => order.push("microtask"));
  });
  expect(order).toEqual(["after the call", "microtask", "callback"]);
});

test("an error keeps the path as it was given", () => {
  const error = (() => {
    try {
      return ours.readFileSync(at("none/../x"));
    } catch (caught) {
      return failure(caught);
    }
  })();
  expect(error).toMatchObject({ path: at("none/../x"), errno: -2, syscall: "open" });
});
