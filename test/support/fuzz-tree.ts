/**
 * Damaged ext images on memory that are changed by paths, open files, mappings and views, on behalf
 * of somebody: errors are typed, and calls end.
 */
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { DaxError } from "../../src/lib/errno.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { isDirectory } from "../../src/vfs/modes.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import type { CaseNotes, FuzzSubject, FuzzTarget } from "./fuzz.ts";
import { DamagedImage } from "./fuzz-ext.ts";
import { TINY_IMAGES } from "./tiny-images.ts";
import { ToyDisk } from "./toy-disk.ts";

const CALLS = 30;
const MODES = ["allocate", "punch", "zero", "collapse", "insert"] as const;
const WHO = [undefined, { uid: 0, gid: 0 }, { uid: 1000, gid: 1000, groups: [0, 4] }] as const;

/** The path of something that is there. */
function anyPath(tree: FileTree, prng: Prng): string {
  let path = "";
  for (let depth = 0; depth < 20; depth++) {
    const names: string[] = [];
    for (const { name } of tree.readdir(path === "" ? "/" : path)) {
      if (names.push(name) > 100) break;
    }
    if (names.length === 0) break;
    path = `${path}/${prng.pick(names)}`;
    if (!isDirectory(tree.lstat(path).mode) || prng.below(3) === 0) return path;
  }
  throw new DaxError("ENOENT");
}

/** What is done to a file that is open for everything. */
function useFile(file: OpenFile, prng: Prng): void {
  const { size } = file.inode.attributes();
  const offset = prng.pick([0, prng.below(Math.min(size, 2 ** 40) + 1), prng.below(2 ** 33)]);
  const length = prng.pick([1, 100, 4096, 20_000]);
  switch (prng.below(6)) {
    case 0:
      file.pwrite(new Uint8Array(length).fill(3), offset);
      return;
    case 1:
      file.truncate(offset);
      return;
    case 2:
      file.fallocate(prng.pick(MODES), 1024 * prng.below(40), prng.pick([1024, 5000, 65_536]));
      return;
    case 3:
      file.view(offset, length).fill(1);
      file.flush(offset, length);
      return;
    default:
      useMapping(file, prng, Math.min(offset, Math.max(0, size - 1)), length);
  }
}

function useMapping(file: OpenFile, prng: Prng, offset: number, length: number): void {
  const most = Math.min(length, file.inode.size - offset);
  const mapping = file.map({ offset, length: most, access: "write", sync: prng.below(2) === 0 });
  try {
    mapping.copyIn(0, new Uint8Array(most).fill(4));
    if (prng.below(2) === 0) file.fallocate("punch", offset, length, true);
    if (prng.below(2) === 0) file.truncate(prng.below(offset + most));
    mapping.setUint8(most - 1, 5);
    if (prng.below(2) === 0) mapping.bytes.fill(6);
    mapping.flush();
  } finally {
    mapping.unmap();
  }
}

function call(tree: FileTree, prng: Prng): void {
  const [path, other] = [anyPath(tree, prng), anyPath(tree, prng)];
  const credentials = prng.pick(WHO);
  const fresh = `${path}/../n${prng.below(9)}`;
  switch (prng.below(12)) {
    case 0:
      tree.mkdir(fresh, { credentials });
      return;
    case 1:
      tree.symlink(other, fresh, { credentials });
      return;
    case 2:
      tree.link(path, `${other}x`, { credentials });
      return;
    case 3:
      tree.rename(path, prng.pick([other, fresh]), { credentials, exchange: prng.below(3) === 0 });
      return;
    case 4:
      tree[prng.pick(["unlink", "rmdir"] as const)](path, { credentials });
      return;
    case 5:
      tree.chmod(path, prng.below(0o10000), { credentials });
      tree.access(path, prng.below(8), { credentials });
      return;
    case 6:
      tree.setxattr(path, "user.a", new Uint8Array(prng.below(300)), { credentials });
      return;
    default: {
      const create = prng.below(4) === 0;
      const target = create ? fresh : path;
      const file = tree.open(target, { access: "readwrite", create, credentials });
      try {
        for (let left = 1 + prng.below(4); left > 0; left--) useFile(file, prng);
        if (prng.below(3) === 0) file.sync();
      } finally {
        file.close();
      }
    }
  }
}

class TreeSubject implements FuzzSubject {
  // One has quota, and is not mounted for writing.
  readonly #images = TINY_IMAGES.filter((name) => name !== "dax").map(
    (name) => new DamagedImage(`ext-tiny/${name}`),
  );

  run(prng: Prng, notes: CaseNotes): string {
    const image = prng.pick(this.#images);
    notes.say(image.name);
    try {
      if (prng.below(8) !== 0) image.damage(prng, notes);
      const { bytes } = image.editor;
      const disk = new ToyDisk({ pages: Math.ceil(bytes.length / 4096) });
      disk.bytes.set(bytes);
      const filesystem = ext.mount(disk.disk, { write: true }, seededEnvironment(1));
      const tree = new FileTree(filesystem);
      for (let n = 0; n < CALLS; n++) notes.attempt(() => call(tree, prng));
      notes.attempt(() => tree.close({ revoke: true, mediaCloses: true }));
    } finally {
      image.editor.restore();
    }
    return notes.errors.length === 0 ? "changed" : "changed with errors";
  }

  audit(): void {
    for (const image of this.#images) image.editor.audit();
  }
}

/** Small images that are changed by paths, and through memory. */
export const treeTarget: FuzzTarget = {
  name: "tree",
  weight: 2,
  reaches: ["refused", "changed with errors"],
  open: () => new TreeSubject(),
};
