/**
 * Trees that nobody makes by accident: small on the media, and without end for a walk that keeps no
 * account of where it has been.
 */
import { describe, expect, test } from "vitest";
import { descend } from "../../src/cli/descend.ts";
import { makeFacade } from "../../src/node/facade/facade.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { TREE_PATH_MAX } from "../../src/vfs/path-walk.ts";
import { walkSubtree } from "../../src/vfs/subtree.ts";
import { writeTar } from "../../src/vfs/tar.ts";
import { codeOf } from "../support/bytes.ts";
import { ToyFilesystem } from "../support/toy-filesystem.ts";

describe("directories inside each other", () => {
  const filesystem = new ToyFilesystem();
  let inside = filesystem.root;
  for (let depth = 0; depth < 9000; depth++) inside = filesystem.directory(inside, "d");

  test("end a walk by name, before the square of their number is paid for", () => {
    // Each name of the archive would have held all names above it: with the 400,000 directories
    // that fit 100 MiB, terabytes of names.
    const tree = new FileTree(filesystem);
    let bytes = 0;
    const tar = (): unknown => writeTar(tree, "/", (piece) => void (bytes += piece.length));
    expect(codeOf(tar)).toBe("ENAMETOOLONG");
    expect(bytes).toBeLessThan(300 << 20);
    expect(codeOf(() => [...walkSubtree(filesystem.root)])).toBe("ENAMETOOLONG");
  });

  test("are left out by those who report and go on", () => {
    const errors: string[] = [];
    const visits = descend(filesystem.root, "/", { onError: ({ code }) => void errors.push(code) });
    let longest = 0;
    for (const { path } of visits) longest = Math.max(longest, path.length);
    expect(errors).toEqual(["ENAMETOOLONG"]);
    expect(longest).toBeLessThan(TREE_PATH_MAX + 300);
  });
});

test("directories with links to each other do not have all of their paths listed", () => {
  // Ten directories have ten million paths; each directory is on a path once.
  const filesystem = new ToyFilesystem();
  const names = "abcdefghij".split("");
  for (const name of names) {
    const directory = filesystem.directory(filesystem.root, name);
    for (const other of names) filesystem.symlink(directory, other, `/${other}`);
  }
  const { fs } = makeFacade(new FileTree(filesystem));
  expect(codeOf(() => fs.readdirSync("/", { recursive: true }))).toBe("EOVERFLOW");
  expect(fs.readdirSync("/", { recursive: true, withFileTypes: true })).toHaveLength(110);
});
