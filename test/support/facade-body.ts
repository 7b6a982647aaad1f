/**
 * Something that is done with an `fs` in a folder with the tree of `facade-tree.ts`; it returns
 * what came of it.
 */
import type * as nodeFs from "node:fs";
import { failure } from "./fs-outcome.ts";

export type Fs = typeof nodeFs;
/** What is done in a folder. */
export type FolderBody = (fs: Fs, folder: string) => unknown;

/** What a call gives or throws. */
export function tried(body: () => unknown): unknown {
  try {
    return body();
  } catch (error) {
    return failure(error);
  }
}

export async function later(body: () => unknown): Promise<unknown> {
  try {
    return await body();
  } catch (error) {
    return failure(error);
  }
}

export const abc = Buffer.from("abc");
