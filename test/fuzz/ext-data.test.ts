/**
 * Damaged images whose files are written and cut: every error is typed, nothing hangs, and no
 * contents of a file land on what is the filesystem's own.
 */
import { expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { daxRead } from "../../src/dax/file-io.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { isDirectory, isRegular } from "../../src/vfs/modes.ts";
import { plainFile, writingOf } from "../support/ext-mounted.ts";
import { DamagedImage } from "../support/fuzz-ext.ts";
import { TINY_IMAGES } from "../support/tiny-images.ts";

const CASES = Number(process.env["DAXKIT_FUZZ_MOUNTED"] ?? 15);
const CALLS = 40;
const MOST_FILES = 50;

/** Runs something that damage may stop. Anything untyped goes on. */
function attempt<T>(codes: Set<string>, body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (!isDaxError(error)) throw error;
    codes.add(error.code);
    return undefined;
  }
}

function collectFiles(codes: Set<string>, from: Inode, files: Inode[], depth = 0): void {
  attempt(codes, () => {
    for (const { name } of from.readdir(0)) {
      if (name === "." || name === ".." || files.length >= MOST_FILES) continue;
      const inode = attempt(codes, () => from.lookup(name));
      if (inode === undefined) continue;
      if (isRegular(inode.mode)) files.push(inode);
      if (isDirectory(inode.mode) && depth < 3) collectFiles(codes, inode, files, depth + 1);
    }
  });
}

/** A disk, and the bytes of files that were put where no file may be. */
function watched(
  image: Uint8Array,
  isOwnable: (offset: number, length: number) => boolean,
): { readonly disk: BlockDevice; readonly astray: number[] } {
  const astray: number[] = [];
  const disk = new Proxy<BlockDevice>(new RamDisk({ name: "ram0", bytes: image }), {
    get(target, key) {
      if (key === "writeBytes") {
        return (offset: number, bytes: Uint8Array) => {
          if (!isOwnable(offset, bytes.length)) astray.push(offset);
          target.writeBytes(offset, bytes);
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { disk, astray };
}

function call(inode: Inode, prng: Prng): void {
  const writing = writingOf(inode);
  const near = prng.below(Math.min(inode.size, 2 ** 40) + 5000);
  const offset = prng.pick([near, prng.below(100_000), prng.below(2 ** 45), inode.size]);
  switch (prng.below(8)) {
    case 0:
    case 1:
    case 2:
      writing.write(new Uint8Array(prng.pick([1, 500, 1024, 5000, 60_000])).fill(7), offset);
      return;
    case 3:
      writing.truncate(offset);
      return;
    case 4:
      inode.iomapBegin(offset, 4096, prng.pick(["fault", "write", "zero"]));
      return;
    case 5:
      writing.sync(prng.pick(["all", "data"]));
      return;
    default:
      daxRead(inode, new Uint8Array(5000), offset);
  }
}

// One has quota, and is not mounted for writing.
const IMAGES = TINY_IMAGES.filter((name) => name !== "dax");

test.each(IMAGES)("%s", (name) => {
  const image = new DamagedImage(`ext-tiny/${name}`);
  const prng = new Prng(name.length + 11);
  const codes = new Set<string>();
  let written = 0;
  for (let i = 0; i < CASES; i++) {
    const notes: string[] = [];
    image.damage(prng, { say: (text: string) => notes.push(text), errors: [] } as never);
    const bytes = Uint8Array.from(image.editor.bytes);
    image.editor.restore();
    try {
      written += changeFiles(bytes, prng, codes);
    } catch (error) {
      throw new Error(`case ${i}: ${notes.join("; ")}`, { cause: error });
    }
  }
  expect(written).toBeGreaterThan(0);
});

/** Mounts an image and changes its files; returns how many there are. */
function changeFiles(bytes: Uint8Array, prng: Prng, codes: Set<string>): number {
  let mounted: ExtFilesystem | undefined;
  const { disk, astray } = watched(bytes, (offset, length) => {
    const { editor } = mounted?.writing ?? {};
    if (editor === undefined) return true;
    const { blockSize } = editor.volume.superblock;
    const first = Math.floor(offset / blockSize);
    const last = Math.ceil((offset + length) / blockSize);
    return editor.allocator.isOwnable(first, last - first);
  });
  mounted = attempt(codes, () => {
    const options = { write: true, errors: "continue" } as const;
    return ext.mount(disk, options, seededEnvironment(1)) as ExtFilesystem;
  });
  if (mounted === undefined) return 0;
  const { root } = mounted;
  const files: Inode[] = [];
  collectFiles(codes, root, files);
  const made = attempt(codes, () => writingOf(root).make("made", plainFile));
  if (made !== undefined) files.push(made);
  for (let n = 0; n < CALLS && files.length > 0; n++) {
    attempt(codes, () => call(prng.pick(files), prng));
  }
  attempt(codes, () => mounted?.unmount());
  expect(astray).toEqual([]);
  return files.length;
}
