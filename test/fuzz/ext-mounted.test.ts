/**
 * Damaged images that are mounted for writing and changed: every error is typed, and nothing hangs.
 */
import { expect, test } from "vitest";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { DaxError, isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { S_IFDIR, S_IFLNK, S_IFREG, isDirectory } from "../../src/vfs/modes.ts";
import type { NewFile } from "../../src/vfs/writing.ts";
import { mountToWrite, writingOf } from "../support/ext-mounted.ts";
import { DamagedImage } from "../support/fuzz-ext.ts";
import { TINY_IMAGES } from "../support/tiny-images.ts";

const CASES = Number(process.env["DAXKIT_FUZZ_MOUNTED"] ?? 15);
const CALLS = 40;

/** Runs something that damage may stop. Anything untyped goes on. */
function attempt<T>(codes: string[], body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (!isDaxError(error)) throw error;
    codes.push(error.code);
    return undefined;
  }
}

/** A name, and what it leads to. */
interface Named {
  readonly directory: Inode;
  readonly name: string;
  readonly inode: Inode;
}

/** Some name of the tree. @throws ENOENT where a walk at random finds none */
function anyName(filesystem: ExtFilesystem, prng: Prng): Named {
  let directory: Inode = filesystem.root;
  for (;;) {
    const names: string[] = [];
    for (const { name } of directory.readdir(0)) {
      if (names.push(name) > 200) break;
    }
    const rest = names.filter((name) => name !== "." && name !== "..");
    if (rest.length === 0) throw new DaxError("ENOENT");
    const name = prng.pick(rest);
    const inode = directory.lookup(name);
    if (inode === undefined) throw new DaxError("ENOENT");
    if (!isDirectory(inode.mode) || prng.below(3) === 0) return { directory, name, inode };
    directory = inode;
  }
}

function anyFile(prng: Prng): NewFile {
  const mode = prng.pick([S_IFREG, S_IFDIR, S_IFLNK]) | 0o755;
  return { mode, uid: 1, gid: 1, target: "t".repeat(prng.pick([5, 59, 60, 900])) };
}

function isBelow(inode: Inode, above: Inode): boolean {
  let at = inode;
  for (let depth = 0; depth < 50 && at.ino !== above.ino; depth++) {
    const parent = at.lookup("..");
    if (parent === undefined || parent === at) return false;
    at = parent;
  }
  return at.ino === above.ino;
}

function call(filesystem: ExtFilesystem, prng: Prng): void {
  const { directory, name, inode } = anyName(filesystem, prng);
  const other = anyName(filesystem, prng);
  const [here, it] = [writingOf(directory), writingOf(inode)];
  const fresh = `new${prng.below(20)}${"x".repeat(prng.below(200))}`;
  switch (prng.below(11)) {
    case 0:
    case 1:
      here.make(fresh, anyFile(prng));
      return;
    case 2:
    case 3:
      here.unlink(name);
      return;
    case 4:
      here.rmdir(name);
      return;
    case 5:
      here.link(fresh, other.inode);
      return;
    case 6:
    case 7: {
      const cyclic = [isBelow(other.directory, inode), isBelow(directory, other.inode)];
      if (cyclic.includes(true)) return;
      const exchange = prng.below(4) === 0;
      here.rename(name, other.directory, exchange ? other.name : fresh, { exchange });
      return;
    }
    case 8:
      it.change({ mode: prng.below(0o10000), uid: prng.below(2 ** 32 - 1) });
      return;
    case 9:
      it.setxattr(`user.${fresh.slice(0, 40)}`, new Uint8Array(prng.below(2000)));
      return;
    default:
      it.truncate(0);
  }
}

// One has quota, and is not mounted for writing.
const IMAGES = TINY_IMAGES.filter((name) => name !== "dax");

test.each(IMAGES)("%s", (name) => {
  const image = new DamagedImage(`ext-tiny/${name}`);
  const prng = new Prng(name.length + 7);
  const codes: string[] = [];
  let mounted = 0;
  for (let i = 0; i < CASES; i++) {
    const notes: string[] = [];
    image.damage(prng, { say: (text: string) => notes.push(text), errors: [] } as never);
    const bytes = Uint8Array.from(image.editor.bytes);
    image.editor.restore();
    try {
      const filesystem = attempt(codes, () => mountToWrite(bytes, { errors: "continue" }));
      if (filesystem === undefined) continue;
      mounted++;
      for (let n = 0; n < CALLS; n++) attempt(codes, () => call(filesystem, prng));
      attempt(codes, () => filesystem.unmount());
    } catch (error) {
      throw new Error(`case ${i}: ${notes.join("; ")}`, { cause: error });
    }
  }
  expect(mounted).toBeGreaterThan(0);
  expect(codes.length).toBeGreaterThan(0);
});
