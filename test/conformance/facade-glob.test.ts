/** `volume.fs.glob`, beside the package glob on a folder of the host. */
import { createRequire } from "node:module";
import { afterAll, describe, expect, test } from "vitest";
import { matches, parsePattern } from "../../src/node/facade/glob-pattern.ts";
import { makePair } from "../support/facade-pair.ts";
import { makeRamVolume } from "../support/writable-pair.ts";

type Later = (pattern: string, options: object) => AsyncIterable<string>;
interface GlobPackage {
  readonly globSync: (pattern: string | readonly string[], options: object) => readonly string[];
}

const { globSync } = createRequire(import.meta.url)("glob") as GlobPackage;
const pair = makePair();
const { root } = pair;
const { ours } = pair;
afterAll(() => pair.end());

function plain(paths: readonly string[]): string[] {
  return paths.filter((path) => path !== "." && path !== "").toSorted();
}

const patterns = (
  "**|**/*|*|dir/**|dir/*|**/*.txt|many/file-1*|many/file-?|many/file-[1-3]|many/file-[!1-3]|" +
  "{tiny,empty,none}|dir/{deep,page}/**|many/file-{1..12}|dir-link/*|dir-link/**|**/text.*|" +
  "dir/deep/..|./tiny|tiny|none|none/**|tiny/**|**/deep/**|**/d*/**/*.txt|*/*/*|ünï-*|" +
  "*-link|**/up-link|empty-dir/**|many/{file-1,file-2}0|[a-c]*|n*n|**/file-*[05]|dir/**/deeper"
).split("|");

describe("finds what the package finds", () => {
  test.each(patterns)("%s", (pattern) => {
    const real = globSync(pattern, { cwd: root, posix: true }).map((path) => path.normalize());
    const found = ours.globSync(pattern, { cwd: root });
    expect(plain(found)).toEqual(plain(real));
  });

  test("absolute patterns, several, and those that end in a slash", () => {
    const absolute = [`${root}/dir/*`, `${root}/t*`];
    expect(ours.globSync(absolute).toSorted()).toEqual(globSync(absolute, { cwd: "/" }).toSorted());
    const directories = ours.globSync("*/", { cwd: root });
    expect(directories.toSorted()).toEqual(["dir", "dir-link", "empty-dir", "many"]);
  });
});

describe("options", () => {
  test("exclude, as a function or patterns, keeps from entering too", () => {
    const asked: string[] = [];
    const exclude = (name: string): boolean => {
      asked.push(name);
      return name === "dir/deep";
    };
    const found = ours.globSync("dir/**", { cwd: root, exclude });
    expect(found.toSorted()).toEqual(["dir", "dir/hard", "dir/page", "dir/up-link"]);
    expect(asked.some((name) => name.startsWith("dir/deep/"))).toBe(false);
    const patternsToo = ours.globSync("dir/**", { cwd: root, exclude: ["**/deep", "dir/*link"] });
    expect(patternsToo.toSorted()).toEqual(["dir", "dir/hard", "dir/page"]);
  });

  test("withFileTypes", () => {
    const [entry] = ours.globSync("dir/page", {
      cwd: root,
      withFileTypes: true,
    });
    expect([entry?.name, entry?.parentPath, entry?.isFile()]).toEqual([
      "page",
      `${root}/dir`,
      true,
    ]);
  });

  test("callbacks and promises", async () => {
    const called = await new Promise((resolve, reject) => {
      ours.glob("t*", { cwd: root }, (error: unknown, found: unknown) =>
        error === null ? resolve(found) : reject(error),
      );
    });
    expect((called as string[]).toSorted()).toEqual(["tail", "tiny"]);
    const iterated: string[] = [];
    const { glob } = ours.promises as unknown as Record<"glob", Later>;
    const search = glob("t*", { cwd: root });
    for await (const path of search) iterated.push(path);
    expect(iterated.toSorted()).toEqual(["tail", "tiny"]);
    expect(() => ours.glob("t*", undefined as never)).toThrow(/"callback" argument/u);
    expect(() => ours.globSync(5 as never)).toThrow(/"patterns" argument/u);
  });
});

describe("patterns", () => {
  test("what is not known, or too much, is refused", () => {
    for (const pattern of [
      "+(a|b)",
      "!(x)",
      "{1..99999}",
      "{a,b}".repeat(20),
      "a".repeat(70_000),
    ]) {
      expect(() => parsePattern(pattern)).toThrow(/^E(NOTSUP|INVAL).*glob/u);
    }
  });

  test("many runs cost no more than their number", () => {
    const [pattern] = parsePattern(`${"*a".repeat(60)}*b`);
    const part = pattern?.parts[0];
    if (part?.kind !== "pattern") throw new Error("no pattern");
    expect(matches("a".repeat(255), part)).toBe(false);
    expect(matches(`${"a".repeat(254)}b`, part)).toBe(true);
  });

  test.each([
    ["a[]b]c", "a]c", true],
    ["a[", "a[", true],
    ["\\*", "*", true],
    ["[^a-c]x", "dx", true],
    ["[^a-c]x", "bx", false],
    ["{a}", "{a}", true],
    [".*", ".x", true],
    ["*", ".x", false],
  ])("%s and %s: %s", (pattern, name, expected) => {
    const part = parsePattern(pattern)[0]?.parts[0];
    const found =
      part?.kind === "pattern"
        ? matches(name, part)
        : part?.kind === "literal" && part.name === name;
    expect(found).toBe(expected);
  });
});

test("temporary directories go with their owners", async () => {
  const { volume } = makeRamVolume();
  const calls = volume.fs as unknown as {
    mkdtempDisposableSync(prefix: string): Disposable & { readonly path: string; remove(): void };
    readonly promises: {
      mkdtempDisposable(prefix: string): Promise<AsyncDisposable & { readonly path: string }>;
    };
  };
  const made = calls.mkdtempDisposableSync("/t-");
  volume.fs.writeFileSync(`${made.path}/inside`, "x");
  made[Symbol.dispose]();
  made.remove();
  const later = await calls.promises.mkdtempDisposable("/t-");
  expect(volume.fs.existsSync(later.path)).toBe(true);
  await later[Symbol.asyncDispose]();
  expect(volume.fs.readdirSync("/")).toEqual(["lost+found"]);
  volume.close();
});
