/** What a program does with the files of a volume: open, map, look for holes, list extents. */
import type { Prng } from "../../src/lib/prng.ts";
import { extentsIn } from "../../src/vfs/extents.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import type { Filesystem } from "../../src/vfs/filesystem.ts";
import { isDirectory, isRegular, isSymlink } from "../../src/vfs/modes.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import type { CaseNotes } from "./fuzz.ts";

/** Files that are used in one case, and extents that are listed of each. */
const MAX_FILES = 24;
const MAX_EXTENTS = 600;

/** Uses some files by their paths; what damage makes of that is noted. */
export function useFiles(filesystem: Filesystem, prng: Prng, notes: CaseNotes): void {
  const tree = new FileTree(filesystem);
  for (const path of pathsOf(tree, prng, notes)) {
    notes.attempt(() => {
      const file = tree.open(path);
      if (isDirectory(file.inode.mode)) notes.attempt(() => readEntries(file));
      else for (const use of USES) notes.attempt(() => use(file, prng));
      file.close();
    });
  }
  tree.close();
}

/** Random walks from the root; links are walked through, so loops are met. */
function pathsOf(tree: FileTree, prng: Prng, notes: CaseNotes): Set<string> {
  const paths = new Set<string>();
  for (let i = 0; i < MAX_FILES; i++) {
    notes.attempt(() => {
      let path = "";
      for (let depth = 0; depth < 4; depth++) {
        const names = [...first(tree.readdir(path === "" ? "/" : path), 50)];
        if (names.length === 0) break;
        const { name } = prng.pick(names);
        path += `/${name}`;
        const inode = tree.lstat(path);
        if (isSymlink(inode.mode)) notes.attempt(() => tree.realpath(path));
        if (!isDirectory(inode.mode)) break;
      }
      paths.add(path === "" ? "/" : path);
    });
  }
  return paths;
}

function* first<T>(items: Iterable<T>, most: number): Generator<T> {
  let left = most;
  for (const item of items) {
    if (left-- === 0) return;
    yield item;
  }
}

function readEntries(file: OpenFile): void {
  for (let calls = 0; calls < 50; calls++) if (file.readdir(20).length === 0) break;
}

const USES: readonly ((file: OpenFile, prng: Prng) => void)[] = [
  seekAbout,
  viewPieces,
  mapAll,
  mapPart,
  listExtents,
];

function listExtents({ inode }: OpenFile): void {
  let end = 0;
  for (const { offset, length } of first(extentsIn(inode, 0, inode.size), MAX_EXTENTS)) {
    if (!(length > 0) || offset < end) throw new Error(`extent ${offset}+${length} after ${end}`);
    end = offset + length;
  }
}

function seekAbout(file: OpenFile, prng: Prng): void {
  if (file.inode.size === 0) return;
  const at = prng.below(file.inode.size);
  const hole = file.seek(at, "hole");
  if (hole < at) throw new Error(`the hole behind ${at} is at ${hole}`);
  file.seek(at, "data");
}

function viewPieces(file: OpenFile, prng: Prng): void {
  for (const at of [0, prng.below(Math.max(file.inode.size, 1))]) {
    const length = 1 + prng.below(70_000);
    const view = file.view(at, length);
    const left = Math.max(file.inode.size - at, 0);
    if (view.length > Math.min(length, left)) throw new Error(`a view of ${view.length} at ${at}`);
    if (view.length === 0 && left > 0) throw new Error(`no view at ${at} of ${file.inode.size}`);
  }
}

function mapAll(file: OpenFile): void {
  if (isRegular(file.inode.mode) && file.inode.size > 0) mapAndLook(file, 0, file.inode.size);
}

function mapPart(file: OpenFile, prng: Prng): void {
  const { size } = file.inode;
  if (size === 0) return;
  const offset = prng.below(size);
  mapAndLook(file, offset, 1 + prng.below(Math.min(size - offset, 100_000)));
}

function mapAndLook(file: OpenFile, offset: number, length: number): void {
  const mapping = file.map({ offset, length });
  try {
    mapping.getUint8(length - 1);
    mapping.read(new Uint8Array(5000), Math.floor(length / 2));
    const { bytes } = mapping;
    if (bytes.length !== length) throw new Error(`${bytes.length} bytes of ${length}`);
  } finally {
    mapping.unmap();
  }
}
