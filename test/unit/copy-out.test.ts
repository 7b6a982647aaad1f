import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type CopyOptions, copyOut } from "../../src/node/image/copy-out.ts";
import type { Volume } from "../../src/node/volume.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { makeHostTree, toyOf, walkHost, withFolder } from "../support/host-tree.ts";
import { ToyFilesystem } from "../support/toy-filesystem.ts";

/** Copies from a toy: only the tree of a volume matters here. */
function copy(toy: ToyFilesystem, path: string, dest: string, options?: CopyOptions): unknown {
  return copyOut({ tree: new FileTree(toy) } as unknown as Volume, path, dest, options);
}

function namesIn(folder: string): string[] {
  const names = fs.readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names.toSorted((a, b) => (a < b ? -1 : 1));
}

/** What two trees must have in common after a copy. */
function facts(root: string): unknown[] {
  const base = fs.lstatSync(root).ino;
  const firsts = new Map<bigint, string>();
  return [...walkHost(Buffer.from(root))]
    .toSorted((a, b) => Buffer.compare(a.host, b.host))
    .map(({ path, host, stat }) => {
      const name = path.join("/");
      const first = firsts.get(stat.ino) ?? name;
      firsts.set(stat.ino, first);
      const content = stat.isFile()
        ? fs.readFileSync(host).toString("base64")
        : stat.isSymbolicLink()
          ? fs.readlinkSync(host)
          : "";
      const times = base === Number(stat.ino) ? 0 : Math.round(Number(stat.mtimeMs) / 10);
      return [name, Number(stat.mode), stat.uid, stat.gid, times, first, content];
    });
}

test("a whole tree arrives as it is: contents, modes, times, links, odd names", () => {
  withFolder((folder) => {
    const source = join(folder, "source");
    fs.mkdirSync(source);
    makeHostTree(source);
    const summary = copy(toyOf(source), "/", join(folder, "copy"));
    expect(facts(join(folder, "copy"))).toEqual(facts(source));
    expect(summary).toMatchObject({ leftOut: 0, files: [...walkHost(Buffer.from(source))].length });
  });
});

test("holes stay holes", () => {
  withFolder((folder) => {
    const toy = new ToyFilesystem();
    const inode = toy.file(toy.root, "f", new Uint8Array(0));
    toy.write(inode, 2 ** 26, noise(1, 4096));
    inode.size = 2 ** 28 + 1;
    copy(toy, "/f", join(folder, "f"));
    const stat = fs.statSync(join(folder, "f"));
    expect([stat.size, stat.blocks * 512 < 2 ** 20]).toEqual([2 ** 28 + 1, true]);
    const fd = fs.openSync(join(folder, "f"), "r");
    const page = Buffer.alloc(4096);
    fs.readSync(fd, page, 0, 4096, 2 ** 26);
    fs.closeSync(fd);
    expect(same(page, noise(1, 4096))).toBe(true);
  });
});

describe("where it goes", () => {
  const toy = new ToyFilesystem();
  toy.file(toy.directory(toy.root, "a"), "f", noise(1, 10));
  toy.symlink(toy.root, "l", "a");

  test("into a directory under its own name, else as the name that is given", () => {
    withFolder((folder) => {
      copy(toy, "/a", folder);
      copy(toy, "/a", join(folder, "b"));
      copy(toy, "/a/f", folder);
      copy(toy, "/l", folder);
      expect(namesIn(folder)).toEqual("a a/f b b/f f l l/f".split(" "));
      expect(fs.readlinkSync(join(folder, "l"))).toBe("a");
    });
  });

  test("the root has no name: its contents go into the directory, which stays as it is", () => {
    withFolder((folder) => {
      fs.chmodSync(folder, 0o711);
      copy(toy, "/", folder);
      expect(fs.readdirSync(folder).toSorted()).toEqual(["a", "l"]);
      expect(fs.statSync(folder).mode & 0o777).toBe(0o711);
    });
  });

  test("nothing that is there is replaced, and no link is written through", () => {
    withFolder((folder) => {
      fs.mkdirSync(join(folder, "outside"));
      fs.writeFileSync(join(folder, "outside", "f"), "mine");
      fs.symlinkSync("outside", join(folder, "dest"));
      fs.mkdirSync(join(folder, "in"));
      fs.symlinkSync("../outside", join(folder, "in", "a"));
      fs.symlinkSync("../outside/new", join(folder, "in", "f"));
      expect(codeOf(() => copy(toy, "/a", join(folder, "in")))).toBe("EEXIST");
      expect(codeOf(() => copy(toy, "/a/f", join(folder, "in")))).toBe("EEXIST");
      expect(codeOf(() => copy(toy, "/a/f", join(folder, "outside")))).toBe("EEXIST");
      expect(fs.readdirSync(join(folder, "outside"))).toEqual(["f"]);
      expect(fs.readFileSync(join(folder, "outside", "f"), "utf8")).toBe("mine");
    });
  });

  test("what is not there, and where nothing can be", () => {
    withFolder((folder) => {
      expect(codeOf(() => copy(toy, "/none", folder))).toBe("ENOENT");
      expect(codeOf(() => copy(toy, "/a", join(folder, "no", "such")))).toBe("ENOENT");
    });
  });
});

const hostile: Readonly<Record<string, (toy: ToyFilesystem) => void>> = {
  "a name that climbs": (toy) => toy.file(toy.root, "../escaped", noise(1, 9)),
  "a name with a slash": (toy) => toy.file(toy.root, "a/../../escaped", noise(1, 9)),
  "an absolute name": (toy) => toy.file(toy.root, "/escaped", noise(1, 9)),
  "a directory inside itself": (toy) => toy.root.add("again", toy.root),
};

test.each(Object.entries(hostile))("%s is EUCLEAN, and nothing comes of it", (_, make) => {
  withFolder((folder) => {
    const toy = new ToyFilesystem();
    make(toy);
    const dest = join(folder, "one", "two");
    fs.mkdirSync(dest, { recursive: true });
    expect(codeOf(() => copy(toy, "/", dest))).toBe("EUCLEAN");
    expect(namesIn(folder)).toEqual(["one", "one/two"]);
  });
});

test("one name twice, a link first and then a directory: refused, not followed", () => {
  withFolder((folder) => {
    const toy = new ToyFilesystem();
    toy.symlink(toy.root, "x", folder);
    const trap = toy.directory(toy.root, "y");
    toy.file(trap, "planted", noise(1, 9));
    const entries = [...toy.root.readdir(0)];
    toy.root.readdir = function* (): Generator<(typeof entries)[number]> {
      for (const entry of entries) yield entry.name === "y" ? { ...entry, name: "x" } : entry;
    };
    expect(codeOf(() => copy(toy, "/", join(folder, "dest")))).toBe("EEXIST");
    expect(fs.readdirSync(folder)).toEqual(["dest"]);
  });
});

test("fifos are made; sockets are left out, and devices unless one is root", () => {
  withFolder((folder) => {
    const toy = new ToyFilesystem();
    toy.special(toy.root, "fifo", { mode: 0o010640 });
    toy.special(toy.root, "socket", { mode: 0o140755 });
    toy.special(toy.root, "null", { mode: 0o020666, rdev: 0x103 });
    const warnings: string[] = [];
    const onWarning = (text: string): void => {
      warnings.push(text);
    };
    const summary = copy(toy, "/", join(folder, "dest"), { onWarning });
    const fifo = fs.statSync(join(folder, "dest", "fifo"));
    expect([fifo.isFIFO(), fifo.mode & 0o777]).toEqual([true, 0o640]);
    const root = process.getuid?.() === 0;
    expect(warnings).toContain("/socket: socket or unknown type left out");
    expect(summary).toMatchObject({ leftOut: root ? 1 : 2 });
    const type = root ? execFileSync("stat", ["-c", "%F %t %T", join(folder, "dest", "null")]) : "";
    expect(String(type).trim()).toBe(root ? "character special file 1 3" : "");
  });
});

test("a file that cannot be read ends the copy with its path", () => {
  withFolder((folder) => {
    const toy = new ToyFilesystem();
    const inode = toy.file(toy.directory(toy.root, "d"), "f", noise(1, 5000));
    toy.toy.poison.add((inode.pieces[0]?.addr ?? 0) / 4096);
    expect(() => copy(toy, "/", join(folder, "dest"))).toThrow(/^EIO.*'\/d\/f'/);
  });
});

test("with onDamage it is left out and told, and the rest is copied", () => {
  withFolder((folder) => {
    const toy = new ToyFilesystem();
    const bad = toy.file(toy.directory(toy.root, "d"), "f", noise(1, 5000));
    toy.file(toy.root, "z", noise(2, 10));
    toy.toy.poison.add((bad.pieces[0]?.addr ?? 0) / 4096);
    const told: string[] = [];
    const summary = copy(toy, "/", join(folder, "out"), {
      onDamage: ({ code, path }) => told.push(`${code} ${path}`),
    });
    expect(told).toEqual(["EIO /d/f"]);
    expect(namesIn(join(folder, "out"))).toEqual(["d", "z"]);
    expect(summary).toMatchObject({ leftOut: 1 });
  });
});
