/** Every way in which an ext image is read, within bounds and with an eye on what comes out. */
import type { BlockDevice } from "../../src/block/block-device.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { makeFacade } from "../../src/node/facade/facade.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import type { Filesystem } from "../../src/vfs/filesystem.ts";
import { writeTar } from "../../src/vfs/tar.ts";
import { still } from "./ext-images.ts";
import { walkEverything } from "./ext-walk.ts";
import type { CaseNotes } from "./fuzz.ts";
import { useFiles } from "./fuzz-files.ts";

/** Reads a device; what it meets is noted. @throws DaxError where nothing can be read */
export type Reader = (disk: BlockDevice, prng: Prng, notes: CaseNotes) => void;

/** Readers by name. */
export const READERS: Readonly<Record<string, Reader>> = {
  walk: (disk, prng, notes) => walkEverything(mount(disk, prng), prng, notes),
  files: (disk, prng, notes) => useFiles(mount(disk, prng), prng, notes),
  facade: (disk, prng, notes) => useFacade(mount(disk, prng), prng, notes),
  tar: (disk, prng, notes) => archive(mount(disk, prng), notes),
  check: (disk, _prng, notes) => check(disk, notes),
  owners: (disk, prng, notes) => owners(mount(disk, prng), notes),
};

function mount(disk: BlockDevice, prng: Prng): Filesystem {
  const noload = prng.below(4) === 0;
  const minixdf = prng.below(8) === 0;
  const dax = prng.below(4) === 0 ? "always" : "inode";
  try {
    return ext.mount(disk, { noload, minixdf, dax }, still);
  } catch (error) {
    // Only some images and disks can be all dax.
    if (!isDaxError(error, "EINVAL") || dax !== "always") throw error;
    return ext.mount(disk, { noload, minixdf }, still);
  }
}

/** Bytes of a tar stream that are looked at: files may be as large as they say. */
const TAR_BYTES = 8 << 20;

class Enough extends Error {}

function archive(filesystem: Filesystem, notes: CaseNotes): void {
  let bytes = 0;
  const tree = new FileTree(filesystem);
  try {
    writeTar(tree, "/", (piece) => {
      bytes += piece.length;
      if (bytes > TAR_BYTES) throw new Enough();
    });
    if (bytes % 10_240 !== 0) throw new Error(`a tar stream of ${bytes} bytes`);
  } catch (error) {
    if (!(error instanceof Enough) && !isDaxError(error)) throw error;
    if (isDaxError(error)) notes.errors.push(error.code);
  }
  tree.close();
}

/** Who has each byte of the device: in order, without gaps, up to the end of the filesystem. */
function owners(filesystem: Filesystem, notes: CaseNotes): void {
  const { blocks, blockSize } = filesystem.statfs();
  const size = filesystem.device.sectors * 512;
  let at = 0;
  for (const { start, length, what } of filesystem.ownersOf?.(0, size) ?? []) {
    if (start !== at || length < 1 || what === "") throw new Error(`${what} at ${start}+${length}`);
    at += length;
  }
  if (at > size) throw new Error(`${at} bytes of ${size}, with ${blocks} blocks of ${blockSize}`);
  notes.say(`${at} bytes have owners`);
  filesystem.unmount();
}

/** What a check may find in one image before it is taken for endless. */
const MAX_FINDINGS = 100_000;

function check(disk: BlockDevice, notes: CaseNotes): void {
  let count = 0;
  for (const { code, severity, where, text } of ext.check(disk, still)) {
    const sound = /^ext(\.[\w-]+)+$/u.test(code) && where !== "" && text !== "";
    if (!sound) throw new Error(`finding ${code} (${severity}) in '${where}': '${text}'`);
    if (/NaN|undefined|\[object/u.test(text)) throw new Error(`finding ${code}: '${text}'`);
    if (++count > MAX_FINDINGS) throw new Error(`more than ${MAX_FINDINGS} findings`);
  }
  notes.say(`${count} findings`);
}

/** Names listed of one directory, and the largest file that is read whole. */
const MAX_NAMES = 200;
const MAX_FILE = 4 << 20;

/** What a library does that takes an `fs`. */
function useFacade(filesystem: Filesystem, prng: Prng, notes: CaseNotes): void {
  const tree = new FileTree(filesystem);
  const facade = makeFacade(tree);
  const { fs } = facade;
  const pending = ["/"];
  for (let left = 60; left > 0 && pending.length > 0; left--) {
    const [path = "/"] = pending.splice(prng.below(pending.length), 1);
    notes.attempt(() => {
      const stats = fs.lstatSync(path);
      fs.lstatSync(path, { bigint: true });
      stats.mtime.getTime();
      if (stats.isSymbolicLink()) {
        notes.attempt(() => fs.readlinkSync(path, "buffer"));
        notes.attempt(() => fs.realpathSync(path));
      }
      if (stats.isFile() && stats.size <= MAX_FILE) notes.attempt(() => fs.readFileSync(path));
      if (!stats.isDirectory()) return;
      const entries = fs.readdirSync(path, { withFileTypes: true });
      for (const { name } of entries.slice(0, MAX_NAMES)) {
        pending.push(path === "/" ? `/${name}` : `${path}/${name}`);
      }
    });
  }
  notes.attempt(() => fs.statfsSync("/", { bigint: true }));
  facade.closeAll();
  tree.close();
}
