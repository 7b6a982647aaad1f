/** The path walk against the kernel's own, over random trees and paths. */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Prng } from "../../src/lib/prng.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { pathOf } from "../../src/vfs/mounts.ts";
import { ToyFilesystem, type ToyInode } from "../support/toy-filesystem.ts";

const NAMES = ["a", "b", "c"];
const PARTS = [...NAMES, ...NAMES, ".", "..", ""];

function randomPath(random: Prng, root: string): string {
  const parts = Array.from({ length: 1 + random.below(7) }, () => random.pick(PARTS));
  return `${random.below(4) === 0 ? `${root}/` : ""}${parts.join("/")}`;
}

/** Makes the same random tree in the folder and in the toy. */
function grow(random: Prng, root: string, folder: string, toy: ToyInode, depth: number): void {
  for (const name of NAMES) {
    const path = join(folder, name);
    const kind = random.below(5);
    if (kind <= 1 && depth < 3) {
      fs.mkdirSync(path);
      grow(random, root, path, toy.filesystem.directory(toy, name), depth + 1);
    } else if (kind === 2) {
      fs.writeFileSync(path, "");
      toy.filesystem.file(toy, name, new Uint8Array(0));
    } else if (kind === 3) {
      const target = randomPath(random, root) || ".";
      fs.symlinkSync(target, path);
      toy.filesystem.symlink(toy, name, target);
    }
  }
}

/** The toy under the same absolute path as the folder. */
function toyAt(root: string): { toy: ToyFilesystem; at: ToyInode } {
  const toy = new ToyFilesystem();
  let at = toy.root;
  for (const name of root.split("/").filter((part) => part !== "")) at = toy.directory(at, name);
  return { toy, at };
}

type Outcome = string;

function outcome(body: () => string): Outcome {
  try {
    return body();
  } catch (error) {
    return (error as { code: string }).code;
  }
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])("seed %i: same places, same errors", (seed) => {
  const random = new Prng(seed);
  const root = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "daxkit-walk-")));
  try {
    const { toy, at } = toyAt(root);
    grow(random, root, root, at, 0);
    const tree = new FileTree(toy);
    for (let i = 0; i < 150; i++) {
      const path = `${root}/${randomPath(random, root).replace(root, "")}`;
      const kernel = outcome(() => fs.realpathSync.native(path));
      expect(outcome(() => tree.realpath(path))).toBe(kernel);
      const isLink = outcome(() => String(fs.lstatSync(path).isSymbolicLink()));
      const ours = outcome(() => String(tree.lstat(path).mode >> 12 === 0o12));
      expect(`${path}: ${ours}`).toBe(`${path}: ${isLink}`);
    }
    expect(pathOf(tree.locate(root))).toBe(root);
  } finally {
    fs.rmSync(root, { recursive: true });
  }
});
