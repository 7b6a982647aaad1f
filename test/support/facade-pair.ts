/** The same files twice: a folder of the host, and a facade in which they have the same paths. */
import * as nodeFs from "node:fs";
import { type NodeFs, type VolumeFs, makeFacade } from "../../src/node/facade/facade.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { described, failure } from "./fs-outcome.ts";
import { makeFolder, makeHostTree, toyOf } from "./host-tree.ts";
import { ToyFilesystem } from "./toy-filesystem.ts";

/** A tree in which a copy of the folder `root` has the path that `root` has here. */
export function treeLike(root: string): FileTree {
  const outer = new ToyFilesystem();
  let at = outer.root;
  for (const name of root.split("/").filter((part) => part !== "")) at = outer.directory(at, name);
  const tree = new FileTree(outer);
  tree.mount(root, toyOf(root));
  return tree;
}

/** Both, and what ends them. */
export interface Pair {
  readonly root: string;
  readonly ours: VolumeFs;
  end(): void;
}

/** Makes a fresh pair. */
export function makePair(): Pair {
  const root = makeFolder();
  makeHostTree(root);
  return {
    root,
    ours: makeFacade(treeLike(root)).fs,
    end: () => nodeFs.rmSync(root, { recursive: true }),
  };
}

/** What a body does with a filesystem. */
export type Body = (fs: NodeFs) => unknown;

/** What came of a body, in a form that two filesystems can be compared by. */
export async function run(fs: NodeFs, body: Body): Promise<unknown> {
  try {
    return described(await body(fs));
  } catch (error) {
    return failure(error);
  }
}

/** What a call throws or returns. */
export function failureOf(body: () => unknown): unknown {
  try {
    return body();
  } catch (error) {
    return failure(error);
  }
}
