/**
 * A tar archive as a tree to fill a new filesystem with: its headers are read once, contents when
 * their place in the filesystem is written.
 *
 * @module
 */
import * as fs from "node:fs";
import { TarTree } from "../fs/ext/mkfs-tar.ts";
import type { NewNode } from "../fs/ext/mkfs-tree.ts";
import type { Environment } from "../lib/environment.ts";
import { DaxError } from "../lib/errno.ts";
import { TarReader } from "../vfs/tar-reader.ts";
import { systemEnvironment } from "./environment.ts";
import { typed } from "./system-error.ts";
import { type TarFile, openTarFile } from "./tar-input.ts";

/** Bytes that are read at once; what lies between headers is skipped where it is more. */
const PIECE = 2 ** 16;

/** How an archive becomes a tree. */
export interface TarTreeWishes {
  /** Its clock gives the time of directories that no member is about; the system's by default. */
  readonly environment?: Environment;
  /** Hears of what is odd and does no harm, such as slashes that were left away. */
  readonly onWarning?: (text: string) => void;
}

/** A tree whose contents are in a file that is open. */
export interface OpenTarTree {
  readonly root: NewNode;
  /** To be called when the filesystem is made. */
  close(): void;
  /** As `close`. */
  [Symbol.dispose](): void;
}

/**
 * Reads an archive, or standard input for `-`; gzip and, where Node has it, zstd are unpacked. All
 * of it is read and checked before this resolves; contents stay where they are, and what is no
 * ordinary file is spooled to one.
 * @throws what {@link TarReader.push} says; EINVAL, ELOOP, ENOTDIR, EISDIR, ENOENT and
 *   ENAMETOOLONG for members that cannot be where they say, with their names; ENOTSUP for other
 *   compressions; and what the system says
 */
export async function openTarTree(
  source: string,
  wishes: TarTreeWishes = {},
): Promise<OpenTarTree> {
  const file = await openTarFile(source);
  try {
    const root = treeOf(file, source, wishes);
    const close = (): void => file.close();
    return { root, close, [Symbol.dispose]: close };
  } catch (error) {
    file.close();
    throw error;
  }
}

function treeOf(file: TarFile, path: string, wishes: TarTreeWishes): NewNode {
  const { environment = systemEnvironment, onWarning } = wishes;
  const tree = new TarTree({
    environment,
    read: (position, target) => readWhole(file.fd, position, target, path),
    ...(onWarning === undefined ? {} : { onWarning }),
  });
  const reader = new TarReader(tree);
  const buffer = new Uint8Array(PIECE);
  for (let at = 0; !reader.ended;) {
    const count = typed(path, () => fs.readSync(file.fd, buffer, 0, PIECE, at));
    if (count === 0) break;
    reader.push(buffer.subarray(0, count));
    at += count;
    const skipped = Math.min(reader.skippable, Math.max(0, file.size - at));
    reader.skip(skipped);
    at += skipped;
  }
  reader.finish();
  return tree.root;
}

/** The headers promised so many bytes. */
function readWhole(fd: number, position: number, target: Uint8Array, path: string): void {
  for (let done = 0; done < target.length;) {
    const left = target.length - done;
    const count = typed(path, () => fs.readSync(fd, target, done, left, position + done));
    if (count === 0) {
      const detail = `the archive ends at byte ${position + done}; it got shorter meanwhile`;
      throw new DaxError("EIO", { syscall: "read", path, detail });
    }
    done += count;
  }
}
