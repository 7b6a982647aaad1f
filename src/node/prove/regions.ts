/**
 * What lies where on a volume of ext2, ext3 or ext4, in words: which file, which directory, which
 * fields of which inode, which block of the journal. Nothing is believed of the volume: one that
 * cannot be read has no regions, or fewer.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import { Ext4GroupDesc } from "../../format/ext-group.ts";
import { Ext4Inode, Ext4InodeExtra } from "../../format/ext-inode.ts";
import { Ext4SuperBlock } from "../../format/ext-superblock.ts";
import {
  JBD2_COMMIT_BLOCK,
  JBD2_DESCRIPTOR_BLOCK,
  JBD2_MAGIC_NUMBER,
  JBD2_REVOKE_BLOCK,
  JournalHeader,
  JournalSuperblock,
} from "../../format/jbd2.ts";
import { ext } from "../../fs/ext/ext.ts";
import type { ExtFilesystem } from "../../fs/ext/filesystem.ts";
import { descriptorBlock, groupStart, hasSuper, inodeTableBlocks } from "../../fs/ext/geometry.ts";
import { journalMapOf } from "../../fs/ext/recovery.ts";
import { seededEnvironment } from "../../lib/environment.ts";
import { AssertionError } from "../../lib/errno.ts";
import { type Fields, sizeof } from "../../lib/struct.ts";
import { extentsIn } from "../../vfs/extents.ts";
import type { Inode } from "../../vfs/filesystem.ts";
import { isDirectory } from "../../vfs/modes.ts";

/** A run of bytes, and what it is. */
export interface Region {
  readonly start: number;
  readonly length: number;
  /** `/data/f`, `inode 12 (/data/f)`, `directory block of /data`. */
  readonly head: string;
  /** Contents of a file or directory: its byte at `start`. */
  readonly from?: number;
  /** What of it `length` bytes at `offset` are: names of fields; nothing where none are. */
  part(offset: number, length: number): readonly string[];
  /** What the byte at `offset` is, head and part. */
  words(offset: number): string;
}

/** Bytes of an inode that every filesystem has; the rest follows them. */
const GOOD_OLD_BYTES = 128;
const SUPERBLOCK_AT = 1024;

/**
 * Everything that is known of a volume, files first; nothing of one that cannot be mounted. It is
 * mounted in memory, as it would be after its journal was replayed.
 */
export function* regionsOn(disk: BlockDevice): Generator<Region, void> {
  const filesystem = mounted(disk);
  if (filesystem === undefined) return;
  // A damaged directory hides what is below it, and no table.
  yield* asFarAsItGoes(contents(filesystem));
  yield* asFarAsItGoes(tables(filesystem));
  yield* asFarAsItGoes(journal(filesystem));
}

function mounted(disk: BlockDevice): ExtFilesystem | undefined {
  try {
    return ext.mount(disk, {}, seededEnvironment(1)) as ExtFilesystem;
  } catch (error) {
    if (error instanceof AssertionError) throw error;
    return undefined;
  }
}

function* asFarAsItGoes(regions: Generator<Region, void>): Generator<Region, void> {
  try {
    yield* regions;
  } catch (error) {
    if (error instanceof AssertionError) throw error;
  }
}

function* contents(filesystem: ExtFilesystem): Generator<Region, void> {
  yield* inodeRegion(filesystem, filesystem.root, "/");
  yield* directoryRegions(filesystem.root, "/");
  yield* below(filesystem, filesystem.root);
}

/** Without recursion: a hostile tree may be as deep as it likes. */
function* below(filesystem: ExtFilesystem, root: Inode): Generator<Region, void> {
  const seen = new Set<number>([root.ino]);
  const waiting: [directory: Inode, path: string][] = [[root, ""]];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [directory, path] = next;
    for (const { name } of directory.readdir(0)) {
      if (name === "." || name === "..") continue;
      const inode = readable(() => directory.lookup(name));
      if (inode === undefined || seen.has(inode.ino)) continue;
      seen.add(inode.ino);
      const child = `${path}/${name}`;
      yield* inodeRegion(filesystem, inode, child);
      if (isDirectory(inode.mode)) {
        yield* asFarAsItGoes(directoryRegions(inode, child));
        waiting.push([inode, child]);
      } else yield* asFarAsItGoes(fileRegions(inode, child));
    }
  }
}

function readable<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof AssertionError) throw error;
    return undefined;
  }
}

function* directoryRegions(inode: Inode, path: string): Generator<Region, void> {
  const head = `directory block of ${path}`;
  yield* extentRegions(inode, head, (at) => `${head} (byte ${at})`);
}

function* fileRegions(inode: Inode, path: string): Generator<Region, void> {
  yield* extentRegions(inode, path, (at) => `${path}, from byte ${at}`);
}

function* extentRegions(
  inode: Inode,
  head: string,
  words: (offset: number) => string,
): Generator<Region, void> {
  for (const { addr, length, offset } of extentsIn(inode, 0, inode.size)) {
    if (addr === undefined) continue;
    yield {
      start: addr,
      length,
      head,
      from: offset,
      part: () => [],
      words: (at) => words(offset + at),
    };
  }
}

function* inodeRegion(
  { volume }: ExtFilesystem,
  { ino }: Inode,
  path: string,
): Generator<Region, void> {
  const { inodeSize, blockSize } = volume.superblock;
  const { block, at } = volume.placeOf(ino);
  yield fieldRegion(
    block * blockSize + at,
    inodeSize,
    `inode ${ino} (${path})`,
    (offset, length) => [
      ...fieldsIn(Ext4Inode, 0, GOOD_OLD_BYTES, offset, length),
      ...fieldsIn(Ext4InodeExtra, GOOD_OLD_BYTES, sizeof(Ext4InodeExtra), offset, length),
      ...(offset + length > GOOD_OLD_BYTES + sizeof(Ext4InodeExtra) ? ["attributes"] : []),
    ],
  );
}

/** A structure whose parts have names. */
function fieldRegion(start: number, length: number, head: string, part: Region["part"]): Region {
  const words = (offset: number): string => `${head}: ${part(offset, 1)[0] ?? `byte ${offset}`}`;
  return { start, length, head, part, words };
}

/** Names of the fields of a structure of `size` bytes at `base` that a range touches. */
function fieldsIn(
  type: Fields,
  base: number,
  size: number,
  offset: number,
  length: number,
): string[] {
  const from = offset - base;
  const to = Math.min(from + length, size);
  const names: string[] = [];
  for (const [name, field] of Object.entries(type)) {
    if (field.offset >= to || field.offset + field.size <= from) continue;
    names.push(name.replace(/(?:Lo|Hi|High)$/u, ""));
  }
  return names;
}

function superblockAt(start: number, head: string): Region {
  const size = sizeof(Ext4SuperBlock);
  return fieldRegion(start, size, head, (at, count) =>
    fieldsIn(Ext4SuperBlock, 0, size, at, count),
  );
}

/** What has one name from its first byte to its last. */
function plainRegion(start: number, length: number, head: string): Region {
  return { start, length, head, part: () => [], words: () => head };
}

function* tables({ volume }: ExtFilesystem): Generator<Region, void> {
  const { superblock } = volume;
  const { blockSize } = superblock;
  yield superblockAt(SUPERBLOCK_AT, "superblock");
  for (let group = 0; group < superblock.groups; group++) {
    const { blockBitmap, inodeBitmap, inodeTable } = volume.groups.get(group);
    const tableBytes = inodeTableBlocks(superblock) * blockSize;
    yield plainRegion(blockBitmap * blockSize, blockSize, `block bitmap of group ${group}`);
    yield plainRegion(inodeBitmap * blockSize, blockSize, `inode bitmap of group ${group}`);
    yield plainRegion(inodeTable * blockSize, tableBytes, `inode table of group ${group}`);
    if (group === 0 || !hasSuper(superblock, group)) continue;
    yield superblockAt(groupStart(superblock, group) * blockSize, `superblock of group ${group}`);
  }
  yield* descriptors(volume.superblock);
}

function* descriptors(superblock: ExtFilesystem["volume"]["superblock"]): Generator<Region, void> {
  const { blockSize, descriptorBlocks, descSize } = superblock;
  const most = Math.floor(blockSize / descSize);
  for (let index = 0; index < descriptorBlocks; index++) {
    const start = descriptorBlock(superblock, index) * blockSize;
    const head = "group descriptors";
    yield {
      start,
      length: blockSize,
      head,
      words: () => head,
      part: (at, count) => descriptorFields(index * most, descSize, at, count),
    };
  }
}

/** `flags of group 3`, for each group of which something is touched. */
function descriptorFields(first: number, size: number, at: number, count: number): string[] {
  const parts: string[] = [];
  for (let slot = Math.floor(at / size); slot * size < at + count; slot++) {
    for (const name of fieldsIn(Ext4GroupDesc, slot * size, size, at, count)) {
      parts.push(`${name} of group ${first + slot}`);
    }
  }
  return parts;
}

function* journal({ volume }: ExtFilesystem): Generator<Region, void> {
  const { blockSize } = volume.superblock;
  if (volume.superblock.journalInum === 0) return;
  const map = journalMapOf(volume);
  for (let number = 0; number < map.blocks; number++) {
    const block = map.physical(number);
    if (block === undefined) continue;
    const start = block * blockSize;
    yield number === 0
      ? journalSuperblock(start)
      : journalBlock(volume.device, start, blockSize, number);
  }
}

function journalSuperblock(start: number): Region {
  const head = "journal superblock";
  const size = sizeof(JournalSuperblock);
  const part: Region["part"] = (at, count) => fieldsIn(JournalSuperblock, 0, size, at, count);
  return { start, length: size, head, part, words: () => head };
}

function journalBlock(device: BlockDevice, start: number, length: number, number: number): Region {
  const head = `journal block ${number}`;
  return {
    start,
    length,
    head,
    part: () => kindOfBlock(device, start),
    words: () => head,
  };
}

const KINDS: ReadonlyMap<number, string> = new Map([
  [JBD2_DESCRIPTOR_BLOCK, "descriptor"],
  [JBD2_COMMIT_BLOCK, "commit"],
  [JBD2_REVOKE_BLOCK, "revoke records"],
]);

/** What a block of the log begins with; one without a header is a copy, or was never written. */
function kindOfBlock(device: BlockDevice, at: number): string[] {
  const bytes = new Uint8Array(sizeof(JournalHeader));
  device.readBytes(at, bytes);
  const view = new DataView(bytes.buffer);
  if (JournalHeader.magic.get(view, 0) !== JBD2_MAGIC_NUMBER) return ["copy of a block"];
  const kind = KINDS.get(JournalHeader.blocktype.get(view, 0));
  if (kind === undefined) return [];
  return [`${kind} of transaction ${JournalHeader.sequence.get(view, 0)}`];
}
