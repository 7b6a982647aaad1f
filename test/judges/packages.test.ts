/**
 * Packages of npm, unmodified, on a volume: what they write is there, and e2fsck finds nothing.
 */
import { spawnSync } from "node:child_process";
import * as nodeFs from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { VolumeFs } from "../../src/node/facade/facade.ts";
import { redirectFs } from "../../src/node/redirect-fs.ts";
import { withFolder } from "../support/host-tree.ts";
import { WHOLE } from "../support/slices.ts";
import { type RamVolume, complaintsOf, makeRamVolume } from "../support/writable-pair.ts";
import { programs } from "./judge.ts";

const e2fsck = programs(["e2fsck"], "apt-get install e2fsprogs");
const gitProgram = programs(["git"], "apt-get install git");

const require = createRequire(import.meta.url);

let made: RamVolume;
let fs: VolumeFs;
beforeEach(() => {
  made = makeRamVolume({}, {}, 2 ** 26);
  ({ fs } = made.volume);
});
afterEach(() => {
  made.volume.close();
  const complaints = e2fsck.missing ? "" : complaintsOf(made);
  if (complaints !== "") throw new Error(complaints);
});

/** Loads a CommonJS package anew, with the volume for its `fs` and that of `others`. */
function fresh(name: string, others: readonly string[] = []): unknown {
  const packages = [name, ...others];
  for (const path of Object.keys(require.cache)) {
    if (packages.some((one) => path.includes(`/node_modules/${one}/`))) delete require.cache[path];
  }
  const end = redirectFs(fs, { packages });
  try {
    return require(name);
  } finally {
    end();
  }
}

function copyToHost(from: string, to: string): void {
  nodeFs.mkdirSync(to, { recursive: true });
  for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) copyToHost(source, target);
    else nodeFs.writeFileSync(target, fs.readFileSync(source));
  }
}

/** The program itself reads what the package wrote. */
function checkWithGit(commits: readonly string[]): void {
  withFolder((folder) => {
    copyToHost("/repo", folder);
    const run = (...args: string[]): { status: number | null; stdout: string } =>
      spawnSync("git", ["-c", "safe.directory=*", "-C", folder, ...args], { encoding: "utf8" });
    expect(run("fsck", "--strict")).toMatchObject({ status: 0 });
    expect(run("log", "--format=%H", "side").stdout.trim().split("\n")).toEqual(
      commits.toReversed(),
    );
    expect(run("status", "--porcelain").stdout).toBe("");
  });
}

interface Git {
  init(options: object): Promise<void>;
  add(options: object): Promise<void>;
  remove(options: object): Promise<void>;
  branch(options: object): Promise<void>;
  checkout(options: object): Promise<void>;
  commit(options: object): Promise<string>;
  log(options: object): Promise<readonly { readonly oid: string }[]>;
  statusMatrix(options: object): Promise<readonly (readonly [string, number, number, number])[]>;
}

describe("isomorphic-git", () => {
  const git = require("isomorphic-git") as Git;
  const COUNT = WHOLE ? 1000 : 100;
  const author = { name: "A", email: "a@example.org", timestamp: 1e9, timezoneOffset: 0 };
  const repo = { dir: "/repo" };

  test(`init, a commit of ${COUNT} files, log, checkout`, async () => {
    const on = { fs, ...repo };
    await git.init({ ...on, defaultBranch: "main" });
    const names = Array.from({ length: COUNT }, (_, i) => `dir-${i % 10}/file-${i}.txt`);
    for (let i = 0; i < 10; i++) fs.mkdirSync(`/repo/dir-${i}`);
    for (const name of names) fs.writeFileSync(`/repo/${name}`, `content of ${name}\n`);
    await git.add({ ...on, filepath: names });
    const first = await git.commit({ ...on, message: "first", author });
    await git.branch({ ...on, ref: "side", checkout: true });
    fs.writeFileSync("/repo/dir-0/file-0.txt", "changed\n");
    await git.remove({ ...on, filepath: "dir-1/file-1.txt" });
    fs.unlinkSync("/repo/dir-1/file-1.txt");
    await git.add({ ...on, filepath: "dir-0/file-0.txt" });
    const second = await git.commit({ ...on, message: "second", author });
    const log = await git.log(on);
    expect(log.map(({ oid }) => oid)).toEqual([second, first]);
    fs.rmSync("/repo/dir-2", { recursive: true });
    await git.checkout({ ...on, ref: "main", force: true });
    expect(fs.readFileSync("/repo/dir-0/file-0.txt", "utf8")).toBe("content of dir-0/file-0.txt\n");
    expect(fs.readdirSync("/repo/dir-2")).toHaveLength(COUNT / 10);
    expect(fs.existsSync("/repo/dir-1/file-1.txt")).toBe(true);
    const matrix = await git.statusMatrix(on);
    expect(
      matrix.filter(([, head, work, stage]) => head !== 1 || work !== 1 || stage !== 1),
    ).toEqual([]);
    if (!gitProgram.missing) checkWithGit([first, second]);
  });
});

test("write-file-atomic", async () => {
  type Write = ((path: string, data: string, options?: object) => Promise<void>) & {
    sync(path: string, data: string, options?: object): void;
  };
  const writeFile = fresh("write-file-atomic") as Write;
  const names = Array.from({ length: 40 }, (_, i) => `/file-${i % 8}`);
  await Promise.all(names.map((name, i) => writeFile(name, `version ${i}`, { mode: 0o640 })));
  for (let i = 0; i < 8; i++) {
    expect(fs.readFileSync(`/file-${i}`, "utf8")).toBe(`version ${32 + i}`);
    expect(fs.statSync(`/file-${i}`).mode & 0o777).toBe(0o640);
  }
  writeFile.sync("/file-0", "synchronous", { chown: { uid: 5, gid: 6 } });
  expect(fs.readFileSync("/file-0", "utf8")).toBe("synchronous");
  expect(fs.statSync("/file-0")).toMatchObject({ uid: 5, gid: 6 });
  expect(fs.readdirSync("/").toSorted()).toEqual([
    ...Array.from({ length: 8 }, (_, i) => `file-${i}`),
    "lost+found",
  ]);
  await expect(writeFile("/none/x", "x")).rejects.toMatchObject({ code: "ENOENT" });
});

test("proper-lockfile", async () => {
  interface Lockfile {
    lock(path: string, options: object): Promise<() => Promise<void>>;
    check(path: string, options: object): Promise<boolean>;
  }
  const lockfile = require("proper-lockfile") as Lockfile;
  fs.writeFileSync("/guarded", "");
  const release = await lockfile.lock("/guarded", { fs, update: 1000, stale: 2000 });
  expect(fs.statSync("/guarded.lock").isDirectory()).toBe(true);
  expect(await lockfile.check("/guarded", { fs })).toBe(true);
  await expect(lockfile.lock("/guarded", { fs })).rejects.toMatchObject({ code: "ELOCKED" });
  const before = fs.statSync("/guarded.lock").mtimeMs;
  await new Promise((resolve) => {
    setTimeout(resolve, 1200);
  });
  expect(fs.statSync("/guarded.lock").mtimeMs).toBeGreaterThan(before);
  await release();
  expect(fs.existsSync("/guarded.lock")).toBe(false);
  const again = await lockfile.lock("/guarded", { fs });
  await again();
});

test("graceful-fs", async () => {
  interface Graceful {
    gracefulify(fs: VolumeFs): VolumeFs;
  }
  const patcher = require("graceful-fs") as Graceful;
  const graceful = patcher.gracefulify({ ...fs });
  await pipeline(["one ", "two"], graceful.createWriteStream("/streamed"));
  const parts: Buffer[] = [];
  for await (const part of graceful.createReadStream("/streamed")) parts.push(part as Buffer);
  expect(Buffer.concat(parts).toString()).toBe("one two");
  const written = Array.from(
    { length: 300 },
    (_, i) =>
      new Promise<void>((resolve, reject) => {
        graceful.writeFile(`/file-${i}`, String(i), (error) => (error ? reject(error) : resolve()));
      }),
  );
  await Promise.all(written);
  await new Promise<void>((resolve, reject) => {
    graceful.rename("/file-1", "/file-2", (error) => (error ? reject(error) : resolve()));
  });
  expect(graceful.readdirSync("/")).toHaveLength(301);
  expect(graceful.readFileSync("/file-2", "utf8")).toBe("1");
});

test("fs-extra", async () => {
  type Extra = Readonly<Record<string, (...args: unknown[]) => Promise<unknown>>>;
  const extra = fresh("fs-extra", ["graceful-fs", "jsonfile", "universalify"]) as Extra;
  await extra["outputFile"]?.("/deep/er/file", "text");
  await extra["outputJson"]?.("/deep/data.json", { a: [1, 2] }, { spaces: 2 });
  expect(await extra["readJson"]?.("/deep/data.json")).toEqual({ a: [1, 2] });
  await extra["copy"]?.("/deep", "/copy", { preserveTimestamps: true });
  await extra["move"]?.("/copy/er", "/moved");
  await extra["ensureSymlink"]?.("/moved/file", "/links/to-file");
  await extra["ensureLink"]?.("/moved/file", "/links/hard");
  await extra["ensureFile"]?.("/links/empty");
  expect(fs.readFileSync("/links/to-file", "utf8")).toBe("text");
  expect(fs.statSync("/moved/file").nlink).toBe(2);
  await extra["emptyDir"]?.("/deep");
  expect(fs.readdirSync("/deep")).toEqual([]);
  await extra["remove"]?.("/links");
  expect(await extra["pathExists"]?.("/links")).toBe(false);
  expect(fs.readdirSync("/copy")).toEqual(["data.json"]);
  await expect(extra["copy"]?.("/moved", "/moved/inside")).rejects.toThrow(/subdirectory/u);
  expect(await extra["readFile"]?.("/moved/file", "utf8")).toBe("text");
});

test("tar-fs, in both directions", async () => {
  interface TarFs {
    pack(path: string, options: object): NodeJS.ReadableStream;
    extract(path: string, options: object): NodeJS.WritableStream;
  }
  const tar = require("tar-fs") as TarFs;
  fs.mkdirSync("/from/deep", { recursive: true });
  fs.writeFileSync("/from/deep/file", Buffer.alloc(100_000, "tar"));
  fs.writeFileSync("/from/run", "#!", { mode: 0o755 });
  fs.symlinkSync("deep/file", "/from/link");
  fs.utimesSync("/from/run", 1e9, 1e9);
  await pipeline(tar.pack("/from", { fs }), tar.extract("/to", { fs }));
  expect(fs.readFileSync("/to/deep/file").equals(fs.readFileSync("/from/deep/file"))).toBe(true);
  expect(fs.readlinkSync("/to/link")).toBe("deep/file");
  expect(fs.statSync("/to/run").mode & 0o777).toBe(0o755);
  expect(fs.statSync("/to/run").mtimeMs).toBe(1e12);
});

test("glob", async () => {
  interface Glob {
    readonly glob: (pattern: string, options: object) => Promise<readonly string[]>;
    readonly globSync: (pattern: string, options: object) => readonly string[];
  }
  const { glob, globSync } = require("glob") as Glob;
  for (const path of ["a/b/c.js", "a/d.js", "a/d.ts", "x/y.js", ".hidden/z.js"]) {
    fs.mkdirSync(dirname(`/tree/${path}`), { recursive: true });
    fs.writeFileSync(`/tree/${path}`, "");
  }
  const options = { cwd: "/tree", fs, posix: true };
  const all = ["a/b/c.js", "a/d.js", "x/y.js"];
  expect((await glob("**/*.js", options)).toSorted()).toEqual(all);
  expect(globSync("**/*.js", options).toSorted()).toEqual(all);
  expect((await glob("{a,.hidden}/*", options)).toSorted()).toEqual([
    ".hidden/z.js",
    "a/b",
    "a/d.js",
    "a/d.ts",
  ]);
});

interface Low<T> {
  readonly data: T;
  read(): Promise<void>;
  update(change: (data: T) => void): Promise<void>;
}
interface LowDb {
  readonly Low: new <T>(adapter: unknown, data: T) => Low<T>;
  readonly LowSync: new <T>(
    adapter: unknown,
    data: T,
  ) => { update(change: (data: T) => void): void };
}
type LowDbFiles = Readonly<Record<"JSONFile" | "JSONFileSync", new (path: string) => unknown>>;

test("lowdb, which is an ES module", async () => {
  redirectFs(fs, { packages: ["lowdb", "steno"] });
  const [name, files] = ["lowdb", "lowdb/node"] as [string, string];
  const { Low, LowSync } = (await import(name)) as LowDb;
  const { JSONFile, JSONFileSync } = (await import(files)) as LowDbFiles;
  const open = async (): Promise<Low<{ posts: string[] }>> => {
    const store = new Low(new JSONFile("/db.json"), { posts: [] as string[] });
    await store.read();
    return store;
  };
  const db = await open();
  await Promise.all(
    Array.from({ length: 50 }, (_, i) => db.update(({ posts }) => void posts.push(`post ${i}`))),
  );
  expect((await open()).data.posts).toHaveLength(50);
  const sync = new LowSync(new JSONFileSync("/sync.json"), { count: 0 });
  sync.update((data) => void data.count++);
  expect(JSON.parse(fs.readFileSync("/sync.json", "utf8"))).toEqual({ count: 1 });
  expect(nodeFs.existsSync("/db.json")).toBe(false);
});

test("nedb", async () => {
  interface Store {
    insertAsync(documents: unknown): Promise<unknown>;
    updateAsync(query: object, change: object, options: object): Promise<unknown>;
    removeAsync(query: object, options: object): Promise<number>;
    compactDatafileAsync(): Promise<void>;
    loadDatabaseAsync(): Promise<void>;
    countAsync(query: object): Promise<number>;
    ensureIndexAsync(options: object): Promise<void>;
  }
  type Maker = new (options: object) => Store;
  const Datastore = fresh("@seald-io/nedb") as Maker;
  const open = async (): Promise<Store> => {
    const store = new Datastore({ filename: "/data/store.db" });
    await store.loadDatabaseAsync();
    return store;
  };
  const store = await open();
  await store.ensureIndexAsync({ fieldName: "n", unique: true });
  await store.insertAsync(Array.from({ length: 1000 }, (_, n) => ({ n, text: `row ${n}` })));
  await store.updateAsync({ n: { $lt: 10 } }, { $set: { low: true } }, { multi: true });
  expect(await store.removeAsync({ n: { $gte: 990 } }, { multi: true })).toBe(10);
  await expect(store.insertAsync({ n: 1 })).rejects.toThrow(/unique/u);
  await store.compactDatafileAsync();
  const again = await open();
  expect(await again.countAsync({})).toBe(990);
  expect(await again.countAsync({ low: true })).toBe(10);
});
