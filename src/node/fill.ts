/**
 * Filling a volume from an archive or a directory of this machine.
 *
 * @module
 */
import { statSync } from "node:fs";
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { FileTree } from "../vfs/file-tree.ts";
import { TarReader } from "../vfs/tar-reader.ts";
import { type FillOptions, type FillSummary, TreeFiller } from "../vfs/tree-filler.ts";
import { tellHostMembers } from "./host-members.ts";
import { STANDARD_INPUT, tarBytes } from "./tar-input.ts";

/** Something with a tree: a volume that is open for writing. */
export interface Fillable {
  readonly tree: FileTree;
}

/** The bytes of an archive, as they come. */
export type TarSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Makes in a volume what is in a tar archive (its path, `-` for standard input, or its bytes as
 * they come) or in a directory of this machine (its path), as GNU tar would unpack it as root, and
 * makes it durable. Archives are read as they come, and nothing is held but a piece.
 *
 * Each member is whole or absent. When one cannot be made, it ends there: what came before stays,
 * the filesystem is consistent, and the error says how many members there are.
 * @throws what {@link TarReader.push} says of archives; EINVAL for `..` in names, ELOOP, ENOTDIR,
 *   EEXIST, ENOENT and ENOTEMPTY for what is in a member's way, with its name; EROFS, ENOSPC, EIO
 */
export async function fill(
  volume: Fillable,
  source: string | TarSource,
  options: FillOptions = {},
): Promise<FillSummary> {
  const filler = new TreeFiller(volume.tree, options);
  try {
    if (typeof source === "string" && isDirectoryPath(source)) tellHostMembers(source, filler);
    else await unpack(source, filler);
    const summary = filler.finish();
    volume.tree.sync();
    return summary;
  } catch (error) {
    leaveConsistent(volume.tree, filler);
    throw counted(error, source, filler.summary.members);
  }
}

function isDirectoryPath(path: string): boolean {
  if (path === STANDARD_INPUT) return false;
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

async function unpack(source: string | TarSource, filler: TreeFiller): Promise<void> {
  const reader = new TarReader(filler);
  const pipe = source === STANDARD_INPUT;
  for await (const bytes of typeof source === "string" ? tarBytes(source) : source) {
    reader.push(bytes);
    // Whoever writes into a pipe is not to be cut off in the padding behind the end mark.
    if (reader.ended && !pipe) break;
  }
  reader.finish();
}

/** What is there already is finished and kept, as far as the filesystem still lets us. */
function leaveConsistent(tree: FileTree, filler: TreeFiller): void {
  try {
    filler.abandon();
    filler.finish();
    tree.sync();
  } catch (error) {
    // The first error is the one to tell.
    if (!isDaxError(error)) throw error;
  }
}

/** The error with how much was made; one of no member is about the archive. */
function counted(error: unknown, source: string | TarSource, members: number): unknown {
  if (!isDaxError(error)) return error;
  const { code, syscall, dest, detail } = error;
  const path = error.path ?? (typeof source === "string" ? source : undefined);
  const kept =
    members === 1 ? "1 member was made and stays" : `${members} members were made and stay`;
  return new DaxError(code, {
    ...(syscall === undefined ? {} : { syscall }),
    ...(path === undefined ? {} : { path }),
    ...(dest === undefined ? {} : { dest }),
    detail: detail === undefined ? kept : `${detail}; ${kept}`,
  });
}
