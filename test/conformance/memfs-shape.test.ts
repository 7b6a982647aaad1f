/** `daxkit/memfs` beside memfs: the same calls give the same. */
import { createRequire } from "node:module";
import { describe, expect, test } from "vitest";
import * as ours from "../../src/node/memfs.ts";
import { checkVolume } from "../../src/node/volume.ts";

const json = {
  "/app/README.md": "readme",
  "/app/src/index.js": "index ☃",
  "/app/src/deep/er/file": "",
  "/app/empty": null,
  "/other": "other",
};
const nested = { app: { "a.txt": "a", dir: { b: "b", none: {} } }, "deep/path": "c", gone: null };
const SIZE = { size: 2 ** 23 };

/** As far as it is used here. */
type MemfsPackage = Pick<typeof ours, "Volume" | "memfs" | "vol">;
const memfsPackage = createRequire(import.meta.url)("memfs") as MemfsPackage;

type Made = Pick<ours.Volume, "fromJSON" | "toJSON" | "reset" | "promises"> &
  Pick<ours.Volume, "symlinkSync" | "mkdirSync" | "writeFileSync" | "readFileSync" | "readdirSync">;

/** What is done with either. */
const bodies: Readonly<
  Record<string, (make: (files: typeof json, cwd?: string) => Made) => unknown>
> = {
  "all of it": (make) => make(json).toJSON(),
  "what paths name": (make) => {
    const vol = make(json);
    return [
      vol.toJSON("/app/src"),
      vol.toJSON(["/app/src/deep", "/other"]),
      vol.toJSON("/none"),
      vol.toJSON("/other"),
      vol.toJSON("/app", {}, true),
      vol.toJSON(["/app/src", "/app/empty"], {}, true),
      vol.toJSON("/app", { more: "x" }),
    ];
  },
  bytes: (make) => make(json).toJSON("/app", {}, false, true),
  "relative names": (make) =>
    make({ "./a": "a", "b/c": "c", "/abs": "x" } as never, "/base").toJSON(),
  "relative names from where the process is": (make) => {
    const vol = make({ "x/y": "relative" } as never);
    return [vol.toJSON(), vol.readFileSync("x/y", "utf8"), vol.readdirSync("x")];
  },
  "more files, and none": (make) => {
    const vol = make(json);
    vol.fromJSON({ "/more": "more", "/app/README.md": "changed" });
    const before = vol.toJSON();
    vol.reset();
    const after = vol.readdirSync("/");
    vol.fromJSON({ "/again": "again" });
    return [before, after, vol.toJSON()];
  },
  "links are left out": (make) => {
    const vol = make(json);
    vol.symlinkSync("/other", "/app/link");
    return [vol.toJSON("/app"), vol.toJSON("/app/link")];
  },
  "what promises write": async (make) => {
    const vol = make(json);
    await vol.promises.writeFile("/app/new", "new");
    return vol.toJSON("/app");
  },
};

test.each(Object.entries(bodies))("%s", async (_, body) => {
  const real = await body((files, cwd) => memfsPackage.Volume.fromJSON(files, cwd));
  expect(await body((files, cwd) => ours.Volume.fromJSON(files, cwd, SIZE))).toEqual(real);
});

test("objects inside objects", () => {
  const real = memfsPackage.Volume.fromNestedJSON(nested, "/base").toJSON();
  expect(ours.Volume.fromNestedJSON(nested, "/base", SIZE).toJSON()).toEqual(real);
  expect(ours.memfs(nested, "/base", SIZE).vol.toJSON()).toEqual(
    memfsPackage.memfs(nested, "/base").vol.toJSON(),
  );
});

describe("what it has beside memfs", () => {
  test("its fs, one that all share, and an end to its room", () => {
    expect(ours.createFsFromVolume(ours.vol)).toBe(ours.fs);
    expect(ours.vol.toJSON()).toEqual(memfsPackage.vol.toJSON());
    const small = new ours.Volume({ size: 2 ** 20 });
    expect(() => small.writeFileSync("/big", Buffer.alloc(2 ** 21))).toThrow(/^ENOSPC/u);
    small.volume.close();
    expect([...checkVolume(small.media)].map(({ text }) => text)).toEqual([]);
  });
});
