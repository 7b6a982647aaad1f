/**
 * What the commands on images print, and what a broken tree does to them.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/cli/command.ts";
import { descend } from "../../src/cli/descend.ts";
import { extentLines, extentRecords } from "../../src/cli/extent-table.ts";
import { fileRecord } from "../../src/cli/file-record.ts";
import { splitImagePath } from "../../src/cli/image-path.ts";
import { Listing, type ListingOptions } from "../../src/cli/listing.ts";
import { inColumns } from "../../src/cli/names.ts";
import { Output } from "../../src/cli/output.ts";
import { OwnerNames } from "../../src/cli/owners.ts";
import { spaceLines, spaceRecord } from "../../src/cli/space-table.ts";
import { statLines } from "../../src/cli/stat-text.ts";
import { Terminal } from "../../src/cli/terminal.ts";
import { fullTime, isoTime, listTime } from "../../src/cli/times.ts";
import { treeJson, treeLines, treeVisits } from "../../src/cli/tree-drawing.ts";
import type { DaxError } from "../../src/lib/errno.ts";
import type { FileExtent } from "../../src/vfs/extents.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { withFolder } from "../support/host-tree.ts";
import { ToyFilesystem } from "../support/toy-filesystem.ts";

describe("IMAGE:/path", () => {
  const kinds = new Map<string, "file" | "directory">([
    ["a.img", "file"],
    ["a:b.img", "file"],
    ["a", "directory"],
    ["./c:/d", "file"],
    ["both", "file"],
    ["both:/x", "file"],
  ]);
  const kindOf = (path: string) => kinds.get(path) ?? "nothing";

  test.each([
    ["a.img", "a.img", "/"],
    ["a.img:", "a.img", "/"],
    ["a.img:/", "a.img", "/"],
    ["a.img:/etc/x:y", "a.img", "/etc/x:y"],
    ["a.img:etc", "a.img", "/etc"],
    ["a:b.img:/x", "a:b.img", "/x"],
    ["./c:/d", "./c:/d", "/"],
    ["./c:/d:/e", "./c:/d", "/e"],
    ["both:/x", "both:/x", "/"],
    ["both:/y", "both", "/y"],
  ])("%s is %s and %s", (word, image, path) => {
    expect(splitImagePath(word, kindOf)).toEqual({ word, image, path });
  });

  test.each([
    ["a.img/etc", "'a.img/etc' (did you mean a.img:/etc?)"],
    ["a.img/etc/x:y", "'a.img/etc/x:y' (did you mean a.img:/etc/x:y?)"],
    ["a/none/x", "'a/none/x'"],
    ["none/x", "'none/x'"],
  ])("%s is ENOENT of %s", (word, said) => {
    const message = `ENOENT: no such file or directory, open ${said}`;
    expect(() => splitImagePath(word, kindOf)).toThrow(expect.objectContaining({ message }));
  });

  test.each([
    ["nbd://h", "nbd://h", "/"],
    ["nbd://h:10809", "nbd://h:10809", "/"],
    ["nbd://h:10809:/etc", "nbd://h:10809", "/etc"],
    ["nbd://h:10809/x:/etc/a:b", "nbd://h:10809/x", "/etc/a:b"],
    ["nbd://[::1]:7/x:", "nbd://[::1]:7/x", "/"],
    ["nbd://h/a:b", "nbd://h/a:b", "/"],
    ["nbd+unix:///x?socket=/run/a:/etc", "nbd+unix:///x?socket=/run/a", "/etc"],
    ["nbds+unix:///?socket=/a%3A/b", "nbds+unix:///?socket=/a%3A/b", "/"],
  ])("the URI %s is %s and %s", (word, image, path) => {
    expect(splitImagePath(word, kindOf)).toEqual({ word, image, path });
  });

  test.each(["ndb://h/x", "nbd:/h/x", "nbd:h:10809", "nbd+unix:/s", "http://h/x:/etc"])(
    "%s is neither a file nor a URI",
    (word) => {
      expect(() => splitImagePath(word, kindOf)).toThrow(/^ENOENT.*neither.*begin with nbd:/u);
      const file = (path: string) => (path === word ? "file" : "nothing");
      expect(splitImagePath(word, file)).toEqual({ word, image: word, path: "/" });
    },
  );

  test.each(["", "-"])("'%s' is a usage error", (word) => {
    expect(() => splitImagePath(word, kindOf)).toThrow(UsageError);
  });

  test.each([
    ["none.img", "ENOENT", "none.img"],
    ["none.img:/x", "ENOENT", "none.img"],
    ["no:ne.img:/x", "ENOENT", "no:ne.img"],
    [":/x", "ENOENT", ":/x"],
    ["a", "EISDIR", "a"],
    ["a:/x", "EISDIR", "a"],
  ])("%s is %s naming %s", (word, code, path) => {
    expect(() => splitImagePath(word, kindOf)).toThrow(expect.objectContaining({ code, path }));
  });

  test("looks at the files of this machine", () => {
    withFolder((folder) => {
      fs.writeFileSync(join(folder, "x:y"), "");
      expect(splitImagePath(`${folder}/x:y:/z`)).toMatchObject({ image: `${folder}/x:y` });
      expect(splitImagePath(`${folder}/x:y:/z/${"n".repeat(5000)}`).path).toHaveLength(5003);
      expect(() => splitImagePath(folder)).toThrow(expect.objectContaining({ code: "EISDIR" }));
      expect(() => splitImagePath(`${folder}/x:y/z`)).toThrow(
        expect.objectContaining({ code: "ENOENT" }),
      );
    });
  });
});

describe("names", () => {
  test("fill columns downwards in as few lines as fit", () => {
    const cells = ["a", "bbb", "cc", "d", "ee"].map((text) => ({ text, width: text.length }));
    expect(inColumns(cells, 80)).toEqual(["a  bbb  cc  d  ee"]);
    expect(inColumns(cells, 10)).toEqual(["a    d", "bbb  ee", "cc"]);
    expect(inColumns(cells, 0)).toEqual(inColumns(cells, 1));
    expect(inColumns(cells, 1)).toEqual(["a", "bbb", "cc", "d", "ee"]);
    expect(inColumns([], 80)).toEqual([]);
  });
});

describe("times", () => {
  const time = { sec: 1_700_000_000, nsec: 5 };
  test("are shown to the nanosecond", () => {
    expect(isoTime(time)).toBe("2023-11-14T22:13:20.000000005Z");
    expect(isoTime({ sec: -1, nsec: 999_999_999 })).toBe("1969-12-31T23:59:59.999999999Z");
    expect(fullTime(time)).toMatch(/^2023-11-1\d \d\d:\d\d:20\.000000005 [+-]\d{4}$/u);
  });

  test("show the year when they are not of the last half year, or in the future", () => {
    expect(listTime(time, { sec: time.sec + 60, nsec: 0 })).toMatch(/^Nov 1\d \d\d:13$/u);
    expect(listTime(time, { sec: time.sec + 16_000_000, nsec: 0 })).toMatch(/^Nov 1\d {2}2023$/u);
    expect(listTime(time, { sec: time.sec - 60, nsec: 0 })).toMatch(/^Nov 1\d {2}2023$/u);
  });
});

function sample(): ToyFilesystem {
  const toy = new ToyFilesystem();
  const etc = toy.directory(toy.root, "etc");
  toy.file(etc, "passwd", new Uint8Array(10));
  toy.file(toy.directory(etc, ".hidden"), "inside", new Uint8Array(1));
  toy.symlink(toy.root, "link", "etc/passwd");
  toy.file(toy.root, "z\udcff", new Uint8Array(5000));
  toy.special(toy.root, "null", { mode: 0o020_666, rdev: 0x103 });
  return toy;
}

function listed(toy: ToyFilesystem, options: Partial<ListingOptions>, path = "/") {
  const chunks: Uint8Array[] = [];
  const errors: DaxError[] = [];
  const out = new Output((bytes) => chunks.push(Uint8Array.from(bytes)), false);
  const terminal = new Terminal(out, new Output(() => {}, false), { environment: {} });
  const now = { sec: 1_000_000_001, nsec: 0 };
  const onError = (error: DaxError): number => errors.push(error);
  const none = { long: false, all: false, recursive: false, inode: false, numeric: true };
  const more = { human: false, directory: false, reverse: false, one: false, json: false };
  const listing = new Listing(
    { ...none, ...more, sort: "name", ...options },
    { out, terminal, now, width: 80, onError },
  );
  listing.run([{ image: "i", tree: new FileTree(toy), path }]);
  out.flush();
  return { text: Buffer.concat(chunks).toString("latin1"), errors };
}

function fail(error: Error): never {
  throw error;
}

function draw(all: boolean, directories: boolean, level: number) {
  const count = { directories: 0, files: 0 };
  const options = { all, directories, level, onError: fail };
  const visits = treeVisits(sample().root, "/", options, count);
  const lines = [...treeLines(visits)].map(({ branch, visit }) => branch + visit.entry.name);
  return { lines, count };
}

function drawJson(toy: ToyFilesystem): string {
  const count = { directories: 0, files: 0 };
  const options = { all: true, directories: false, level: Infinity, onError: fail };
  const visits = treeVisits(toy.root, "/", options, count);
  return [...treeJson("i:/", visits, count, fail)].join("");
}

function extent(offset: number, length: number, addr: number, more = {}): FileExtent {
  return {
    offset: offset * 4096,
    length: length * 4096,
    addr: addr * 4096,
    unwritten: false,
    inline: false,
    shared: false,
    ...more,
  };
}

describe("ls", () => {
  test("shows device numbers, links and bytes that are not UTF-8", () => {
    const { text } = listed(sample(), { long: true });
    const lines = text.split("\n");
    expect(lines[0]).toBe("total 8");
    expect(lines[2]).toMatch(/^lrwxrwxrwx 1 0 0 +10 .* link -> etc\/passwd$/u);
    expect(lines[3]).toMatch(/^crw-rw-rw- 1 0 0 +1, 3 .* null$/u);
    expect(lines[4]).toMatch(/^-rw-r--r-- 1 0 0 +5000 .* z\u00FF$/u);
  });

  test("prints a line of JSON for each file, with the whole path", () => {
    const { text } = listed(sample(), { json: true, recursive: true, all: true }, "/etc");
    const records = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { path: string });
    expect(records.map(({ path }) => path)).toEqual([
      "/etc/.",
      "/etc/..",
      "/etc/.hidden",
      "/etc/passwd",
      "/etc/.hidden/.",
      "/etc/.hidden/..",
      "/etc/.hidden/inside",
    ]);
    const [one] = listed(sample(), { json: true }, "/z\udcff").text.split("\n");
    expect(JSON.parse(one ?? "")).toMatchObject({ name: "i:/z\udcff", size: 5000, type: "file" });
  });

  test("lists what can be read of a broken tree, and comes to an end", () => {
    const toy = sample();
    const etc = toy.root.entries.get("etc");
    if (etc === undefined) throw new Error("no etc");
    for (const name of ["again", "more"]) {
      toy.link(etc, name, toy.root);
      toy.link(toy.root, name, etc);
    }
    Object.defineProperty(toy.root.entries.get("link"), "ino", { value: 999 });
    const { text, errors } = listed(toy, { long: true, recursive: true });
    expect(text).toMatch(/^-\?{9} \? \? \? +\? +\? link$/mu);
    expect(errors.map(({ code }) => code)).toContain("ESTALE");
    expect(errors.map(({ message }) => message).join("\n")).toContain("has more than one name");
  });
});

test("a walk enters a directory once, however many names it has", () => {
  const toy = new ToyFilesystem();
  let parent = toy.root;
  for (let level = 0; level < 40; level++) {
    const child = toy.directory(parent, "a");
    toy.link(parent, "b", child);
    parent = child;
  }
  const errors: DaxError[] = [];
  const visits = [...descend(toy.root, "/", { onError: (error) => errors.push(error) })];
  expect(visits).toHaveLength(80);
  expect(errors).toHaveLength(40);
  expect(errors[0]).toMatchObject({ code: "EUCLEAN" });
});

describe("tree", () => {
  test("draws what tree(1) draws", () => {
    const { lines, count } = draw(true, false, 9);
    expect(lines).toEqual([
      "├── etc",
      "│\u00A0\u00A0 ├── .hidden",
      "│\u00A0\u00A0 │\u00A0\u00A0 └── inside",
      "│\u00A0\u00A0 └── passwd",
      "├── link",
      "├── null",
      "└── z\udcff",
    ]);
    expect(count).toEqual({ directories: 3, files: 5 });
  });

  test("hides dot files, stops at a level, and shows directories alone", () => {
    expect(draw(false, false, 9).lines).toHaveLength(5);
    expect(draw(false, false, 1).lines).toHaveLength(4);
    expect(draw(true, true, 9).lines).toEqual(["└── etc", "    └── .hidden"]);
  });

  test("is nested JSON, however deep", () => {
    const toy = sample();
    let parent = toy.root;
    for (let i = 0; i < 8000; i++) parent = toy.directory(parent, "d");
    expect(JSON.parse(drawJson(sample()))).toEqual([
      {
        type: "directory",
        name: "i:/",
        contents: [
          {
            type: "directory",
            name: "etc",
            contents: [
              {
                type: "directory",
                name: ".hidden",
                contents: [{ type: "file", name: "inside" }],
              },
              { type: "file", name: "passwd" },
            ],
          },
          { type: "link", name: "link", target: "etc/passwd" },
          { type: "character-device", name: "null" },
          { type: "file", name: "z\udcff" },
        ],
      },
      { type: "report", directories: 3, files: 5 },
    ]);
    expect(drawJson(toy)).toContain('"directories":8003');
  });
});

describe("extents", () => {
  test("are listed as filefrag -v lists them", () => {
    const extents = [extent(0, 2, 100), extent(2, 1, 200), extent(5, 1, 203, { unwritten: true })];
    const file = { name: "a", size: 6 * 4096, blockSize: 4096, extents: () => extents };
    expect([...extentLines(file)]).toEqual([
      "File size of a is 24576 (6 blocks of 4096 bytes)",
      " ext:     logical_offset:        physical_offset: length:   expected: flags:",
      "   0:        0..       1:        100..       101:      2:",
      "   1:        2..       2:        200..       200:      1:        102:",
      "   2:        5..       5:        203..       203:      1:             last,unwritten,eof",
      "a: 2 extents found",
    ]);
    expect([...extentRecords(file)][2]).toEqual({
      offset: 20_480,
      length: 4096,
      physical: 831_488,
      flags: ["last", "unwritten", "eof"],
    });
  });

  test("of a file without any, and of one that lives in its inode", () => {
    const none = { name: "a", size: 0, blockSize: 1024, extents: () => [] };
    expect([...extentLines(none)]).toEqual([
      "File size of a is 0 (0 blocks of 1024 bytes)",
      "a: 0 extents found",
    ]);
    const inline = { ...extent(0, 1, 0), length: 60, addr: undefined, inline: true };
    const file = { name: "a", size: 60, blockSize: 1024, extents: () => [inline] };
    expect([...extentLines(file)][2]).toMatch(/last,not_aligned,inline,eof$/u);
    expect([...extentRecords(file)]).toMatchObject([{ physical: null, length: 60 }]);
  });
});

test("stat names device numbers, extended attributes and what the format lacks", () => {
  const toy = sample();
  const special = toy.special(toy.root, "x", {
    mode: 0o060_660,
    rdev: 0x801,
    uid: 4_000_000_000,
    xattrs: { "user.a": new Uint8Array(1), "security.capability": new Uint8Array(2) },
  });
  const owners = new OwnerNames("/nonexistent");
  const context = { name: "i:/x", image: "i", blockSize: 4096, owners };
  const lines = statLines(special, { ...context, shownTarget: (text) => text });
  expect(lines[2]).toMatch(/^Device: i\tInode: \d+ +Links: 1 {5}Device type: 8,1$/u);
  expect(lines[3]).toContain("Uid: (4000000000/4000000000)");
  expect(lines.slice(-2)).toEqual([" Birth: -", " Xattr: user.a, security.capability"]);
  expect(fileRecord(special)).toMatchObject({ rdev: { major: 8, minor: 1 }, mode: 0o060_660 });
});

test("df shows a filesystem without inodes or blocks", () => {
  const empty = { ...sample().statfs(), blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0 };
  const space = { image: "i", type: "toy", statfs: empty };
  expect(spaceLines([space], { human: false, inodes: false, type: true })[1]).toMatch(
    /^i +toy +0 +0 +0 +-$/u,
  );
  expect(spaceRecord(space)).toMatchObject({ size: 0, inodes: 0, nameLength: 255 });
});
