/**
 * Damaged ext images that are mounted for writing and changed, on devices that are larger than the
 * filesystem, or shorter: errors are typed, calls end, and nothing is written but to the
 * filesystem's own blocks, contents of files to none that it keeps itself in.
 */
import type { BlockDevice } from "../../src/block/block-device.ts";
import { SECTOR_SIZE } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { PAGE_SIZE } from "../../src/dax/operations.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { daxRead } from "../../src/dax/file-io.ts";
import {
  EXT4_EXTENTS_FL,
  EXT4_INLINE_DATA_FL,
  Ext4Extent,
  Ext4ExtentHeader,
  Ext4Inode,
} from "../../src/format/ext-inode.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { readSuperblockToRecover } from "../../src/fs/ext/superblock.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { AssertionError, DaxError } from "../../src/lib/errno.ts";
import { sizeof } from "../../src/lib/struct.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { RamMedia } from "../../src/media/ram.ts";
import type { Inode } from "../../src/vfs/filesystem.ts";
import { S_IFDIR, S_IFLNK, S_IFREG, isDirectory } from "../../src/vfs/modes.ts";
import type { FallocateMode, InodeWriting, NewFile } from "../../src/vfs/writing.ts";
import { writingOf } from "./ext-mounted.ts";
import type { CaseNotes, FuzzSubject, FuzzTarget } from "./fuzz.ts";
import { DamagedImage } from "./fuzz-ext.ts";
import { Fuel } from "./fuzz-fuel.ts";
import { TINY_IMAGES } from "./tiny-images.ts";

/** Calls of a case. */
export const CALLS_OF_A_CASE = 40;
/** Requests, and bytes that they move, of all calls of a case. */
const FUEL = { steps: 400_000, bytes: 1 << 30 };
/** What lies behind the filesystem, and is not its own. */
const TAIL_BYTES = 64 << 10;
const TAIL = 0xa5;
const I_BLOCK = Ext4Inode.block.offset;

/** A disk that says when something is written that is nobody's business there. */
class GuardedDisk {
  readonly device: BlockDevice;
  /** Byte behind the filesystem, as far as its superblocks say. */
  limit = 0;
  /** Knows where files may lie. */
  filesystem: ExtFilesystem | undefined;

  constructor(bytes: Uint8Array<ArrayBuffer>, fuel: Fuel) {
    const disk = new RamDisk({ name: "ram0", bytes });
    this.device = {
      name: disk.name,
      sectors: disk.sectors,
      limits: disk.limits,
      readOnly: false,
      dax: undefined,
      read: (sector, target) => {
        fuel.burn(target.length);
        disk.read(sector, target);
      },
      readBytes: (offset, target) => {
        fuel.burn(target.length);
        disk.readBytes(offset, target);
      },
      write: (sector, source) => {
        fuel.burn(source.length);
        this.#check(sector * SECTOR_SIZE, source.length);
        disk.write(sector, source);
      },
      // Only contents of files go this way.
      writeBytes: (offset, source) => {
        fuel.burn(source.length);
        this.#checkContents(offset, source.length);
        disk.writeBytes(offset, source);
      },
      writeZeroes: (sector, count) => {
        fuel.burn(count * SECTOR_SIZE);
        this.#checkContents(sector * SECTOR_SIZE, count * SECTOR_SIZE);
        disk.writeZeroes(sector, count);
      },
      discard: () => {
        throw new AssertionError("nothing is discarded that was not asked for");
      },
      flush: () => {},
    };
  }

  #check(offset: number, length: number): void {
    if (offset + length <= this.limit) return;
    const where = `${offset}+${length} of ${this.limit} bytes`;
    throw new AssertionError(`written behind the filesystem: ${where}`);
  }

  #checkContents(offset: number, length: number): void {
    this.#check(offset, length);
    if (this.filesystem === undefined || length === 0) return;
    const { buffers, superblock } = this.filesystem.volume;
    const first = Math.floor(offset / superblock.blockSize);
    const last = Math.floor((offset + length - 1) / superblock.blockSize);
    const owned = this.filesystem.writing?.editor.allocator.isOwnable(first, last - first + 1);
    if (owned === true || buffers.blocks === 0) return;
    throw new AssertionError(`contents over the filesystem's own blocks ${first} to ${last}`);
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
  for (let depth = 0; depth < 50; depth++) {
    const names: string[] = [];
    for (const { name } of directory.readdir(0)) {
      if (names.push(name) > 200) break;
    }
    const rest = names.filter((name) => name !== "." && name !== "..");
    if (rest.length === 0) break;
    const name = prng.pick(rest);
    const inode = directory.lookup(name);
    if (inode === undefined) break;
    if (!isDirectory(inode.mode) || prng.below(3) === 0) return { directory, name, inode };
    directory = inode;
  }
  throw new DaxError("ENOENT");
}

function anyFile(prng: Prng): NewFile {
  const mode = prng.pick([S_IFREG, S_IFREG, S_IFDIR, S_IFLNK]) | 0o755;
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

const MODES: readonly FallocateMode[] = ["allocate", "punch", "zero", "collapse", "insert"];

/** Where the filesystem ends, sometimes far behind that. */
function anyOffset(prng: Prng, { size }: Inode): number {
  const near = Number.isSafeInteger(size) ? Math.min(size, 2 ** 40) : 0;
  return prng.pick([0, near, prng.below(near + 1), prng.below(200) * 512, prng.below(2 ** 33)]);
}

/** A call on what is in a file, or might be. */
function changeContents(inode: Inode, it: InodeWriting, prng: Prng): void {
  const offset = anyOffset(prng, inode);
  const length = prng.pick([1, 60, 1000, 1024, 4096, 20_000]);
  switch (prng.below(6)) {
    case 0:
      it.truncate(offset);
      return;
    case 1:
    case 2:
      it.fallocate(prng.pick(MODES), prng.below(40) * 1024, prng.pick([1024, 3000, 65_536]));
      return;
    case 3:
      daxRead(inode, new Uint8Array(length), offset);
      return;
    case 4:
      it.sync(prng.pick(["all", "data"]));
      return;
    default:
      it.write(new Uint8Array(length).fill(0x77), offset);
  }
}

function changeNames({ directory, name, inode }: Named, other: Named, prng: Prng): void {
  const here = writingOf(directory);
  const fresh = `new${prng.below(20)}${"x".repeat(prng.below(200))}`;
  switch (prng.below(8)) {
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
    default: {
      if (isBelow(other.directory, inode) || isBelow(directory, other.inode)) return;
      const exchange = prng.below(4) === 0;
      here.rename(name, other.directory, exchange ? other.name : fresh, { exchange });
    }
  }
}

function change(inode: Inode, it: InodeWriting, prng: Prng): void {
  const name = `user.${"n".repeat(1 + prng.below(40))}`;
  switch (prng.below(4)) {
    case 0:
      it.change({ mode: prng.below(0o10000), uid: prng.below(2 ** 32 - 1) });
      return;
    case 1:
      it.setxattr(name, new Uint8Array(prng.below(2000)));
      return;
    case 2:
      it.removexattr(inode.listxattr()[0] ?? name);
      return;
    default:
      it.hold();
      it.release();
  }
}

/** The file of that number, where a walk finds it. */
function fileOf(directory: Inode, ino: number, depth = 0): Inode | undefined {
  for (const { name } of directory.readdir(0)) {
    if (name === "." || name === "..") continue;
    const inode = directory.lookup(name);
    if (inode?.ino === ino) return inode;
    if (inode === undefined || !isDirectory(inode.mode) || depth > 3) continue;
    const below = fileOf(inode, ino, depth + 1);
    if (below !== undefined) return below;
  }
  return undefined;
}

function call(filesystem: ExtFilesystem, prng: Prng, misled: Inode | undefined): void {
  if (misled !== undefined && prng.below(2) === 0) {
    changeContents(misled, writingOf(misled), prng);
    return;
  }
  const named = anyName(filesystem, prng);
  const it = writingOf(named.inode);
  const kind = prng.below(20);
  if (kind < 8) changeContents(named.inode, it, prng);
  else if (kind < 16) changeNames(named, anyName(filesystem, prng), prng);
  else if (kind < 19) change(named.inode, it, prng);
  else filesystem.sync();
}

/** The image on a device that is longer, and sometimes on one that is shorter. */
function onDevice(image: Uint8Array, prng: Prng, notes: CaseNotes): Uint8Array<ArrayBuffer> {
  const cut = prng.below(12) === 0 ? prng.below(image.length / 1024) * 1024 : image.length;
  if (cut < image.length) notes.say(`cut to ${cut} bytes`);
  const behind = cut < image.length ? 0 : TAIL_BYTES;
  const bytes = new Uint8Array(cut + behind).fill(TAIL, cut);
  bytes.set(image.subarray(0, cut));
  return bytes;
}

function endOf(filesystem: { readonly blocks: number; readonly blockSize: number }): number {
  return filesystem.blocks * filesystem.blockSize;
}

/** Memory is written to without asking anybody; what it holds afterwards tells. */
function memoryOver(bytes: Uint8Array<ArrayBuffer>): BlockDevice {
  const place = { start: 0, length: bytes.length, physicalStart: 2 ** 32 };
  return createPmem({ name: "pmem0", media: RamMedia.over(bytes), ...place }).disk;
}

/** Nothing behind the filesystem has changed. */
function checkTail(bytes: Uint8Array, limit: number): void {
  const tail = bytes.subarray(Math.max(limit, bytes.length - TAIL_BYTES));
  if (limit + TAIL_BYTES > bytes.length || tail.every((byte) => byte === TAIL)) return;
  throw new AssertionError("what lies behind the filesystem was written to");
}

/** Files whose maps are in their inodes, at level 0. */
function mappedFiles({ editor }: DamagedImage): number[] {
  const { superblock } = editor.volume;
  const numbers = Array.from({ length: superblock.inodes - 11 }, (_, i) => i + 12);
  return numbers.filter((ino) => {
    if (editor.volume.isNeverUsed(ino)) return false;
    const record = editor.volume.record(ino);
    if (record.type !== S_IFREG || record.links === 0 || record.size === 0) return false;
    if (record.has(EXT4_INLINE_DATA_FL)) return false;
    return !record.has(EXT4_EXTENTS_FL) || Ext4ExtentHeader.depth.get(record.view, I_BLOCK) === 0;
  });
}

/** Leads a file's map to where the filesystem keeps itself; answers the file. */
function mislead({ editor }: DamagedImage, files: readonly number[], prng: Prng): number {
  const { superblock, groups } = editor.volume;
  const { blockBitmap, inodeBitmap, inodeTable } = groups.get(prng.below(superblock.groups));
  const own = [superblock.firstDataBlock, blockBitmap, inodeBitmap, inodeTable, inodeTable + 1];
  const ino = prng.pick(files);
  const extents = editor.volume.record(ino).has(EXT4_EXTENTS_FL);
  const within = extents ? sizeof(Ext4ExtentHeader) + Ext4Extent.startLo.offset : 0;
  const word = new DataView(new ArrayBuffer(4));
  word.setUint32(0, prng.pick(own), true);
  editor.write(editor.inodeAt(ino) + I_BLOCK + within, new Uint8Array(word.buffer));
  editor.sealInode(ino);
  return ino;
}

class WritingSubject implements FuzzSubject {
  // One has quota, and is not mounted for writing.
  readonly #images = TINY_IMAGES.filter((name) => name !== "dax").map(
    (name) => new DamagedImage(`ext-tiny/${name}`),
  );
  readonly #files = new Map(this.#images.map((image) => [image, mappedFiles(image)]));

  run(prng: Prng, notes: CaseNotes): string {
    const image = prng.pick(this.#images);
    notes.say(image.name);
    try {
      const files = this.#files.get(image) ?? [];
      let misled = 0;
      if (files.length > 0 && prng.below(4) === 0) misled = mislead(image, files, prng);
      else image.damage(prng, notes);
      if (misled > 0) notes.say(`inode ${misled} leads to the filesystem's own blocks`);
      const bytes = onDevice(image.editor.bytes, prng, notes);
      return this.#work(bytes, misled, prng, notes);
    } finally {
      image.editor.restore();
    }
  }

  #work(bytes: Uint8Array<ArrayBuffer>, misled: number, prng: Prng, notes: CaseNotes): string {
    const disk = new GuardedDisk(bytes, new Fuel(FUEL.steps, FUEL.bytes));
    const dax = prng.below(3) === 0 && bytes.length % PAGE_SIZE === 0 && bytes.length > 0;
    notes.say(dax ? "on memory" : "on a disk");
    const device = dax ? memoryOver(bytes) : disk.device;
    const errors = prng.pick(["continue", "remount-ro"] as const);
    const data = prng.pick(["ordered", "writeback"] as const);
    disk.limit = endOf(readSuperblockToRecover(device));
    const options = { write: true, errors, data };
    const filesystem = ext.mount(device, options, seededEnvironment(1)) as ExtFilesystem;
    disk.limit = Math.max(disk.limit, endOf(filesystem.volume.superblock));
    disk.filesystem = filesystem;
    const file = misled === 0 ? undefined : notes.attempt(() => fileOf(filesystem.root, misled));
    for (let n = 0; n < CALLS_OF_A_CASE; n++) notes.attempt(() => call(filesystem, prng, file));
    notes.attempt(() => filesystem.unmount());
    checkTail(bytes, disk.limit);
    return notes.errors.length === 0 ? "changed" : "changed with errors";
  }

  audit(): void {
    for (const image of this.#images) image.editor.audit();
  }
}

/** Small images of every kind that are changed. */
export const extWritingTarget: FuzzTarget = {
  name: "ext-writing",
  weight: 1,
  reaches: ["refused", "changed with errors"],
  open: () => new WritingSubject(),
};
