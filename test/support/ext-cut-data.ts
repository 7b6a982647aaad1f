/**
 * Changes of what is in files, for filesystems whose power is cut: bytes depend on where in 64
 * bytes they are and on nothing else, so that those which change in their place stay what they
 * were, and every state that a cut may leave is one that the calls have made.
 */
import { daxRead } from "../../src/dax/file-io.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import type { Prng } from "../../src/lib/prng.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { plainFile, writingOf } from "./ext-mounted.ts";

const FILES = 5;
const LONGEST = 30_000;
/** Bytes behind which no file gets. */
const MOST = 200_000;

/** The bytes of a file from `offset` on. */
function bytesFrom(offset: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => 1 + ((offset + i) % 64));
}

/** Whether each block of a range holds such bytes only, or is nothing but a hole. */
function isPlain(inode: Inode, first: number, blocks: number, size: number): boolean {
  const bytes = new Uint8Array(blocks * size);
  const read = daxRead(inode, bytes, first * size);
  for (let at = 0; at < Math.max(read, 0); at += size) {
    const block = bytes.subarray(at, Math.min(at + size, read));
    const zeros = block.filter((byte) => byte === 0).length;
    if (zeros > 0 && zeros < block.length) return false;
  }
  return true;
}

/** Writes whole blocks. Bytes that were zeros in a block of others would change by themselves. */
function writeBlocks(inode: Inode, prng: Prng, size: number): void {
  const first = prng.below(Math.ceil(MOST / size / 2));
  const blocks = 1 + prng.below(4);
  if (!isPlain(inode, first, blocks, size)) return;
  writingOf(inode).write(bytesFrom(first * size, blocks * size), first * size);
}

function changeSpace(inode: Inode, prng: Prng, size: number): void {
  const [offset, length] = [
    prng.below(Math.ceil(MOST / size / 2)) * size,
    (1 + prng.below(6)) * size,
  ];
  const mode = prng.pick(["allocate", "punch", "zero", "collapse", "insert"] as const);
  writingOf(inode).fallocate(mode, offset, length, prng.below(2) === 0);
}

/** One change of one of a few files. */
export function changeData({ root, volume }: ExtFilesystem, prng: Prng): void {
  const size = volume.superblock.clusterSize;
  const name = `data${prng.below(FILES)}`;
  try {
    const inode = root.lookup(name);
    if (inode === undefined) {
      writingOf(root).make(name, plainFile);
      return;
    }
    const end = inode.size;
    switch (prng.below(12)) {
      case 0:
        writingOf(root).unlink(name);
        return;
      case 1:
      case 2:
        writingOf(inode).truncate(prng.below(end + 1));
        return;
      case 3:
        writingOf(inode).truncate(Math.min(MOST, end + prng.below(LONGEST)));
        return;
      case 4:
      case 5:
      case 6:
        changeSpace(inode, prng, size);
        return;
      case 7:
      case 8:
        writeBlocks(inode, prng, size);
        return;
      default: {
        const length = Math.min(prng.below(LONGEST), MOST - end);
        if (length > 0) writingOf(inode).write(bytesFrom(end, length), end);
      }
    }
  } catch (error) {
    if (!isDaxError(error)) throw error;
  }
}
