/**
 * Where every structure of an intact ext image lies, so that its fields can be damaged one by one
 * and its checksum made right again.
 */
import {
  DX_NODE_COUNTLIMIT_OFFSET,
  DX_ROOT_INFO_OFFSET,
  DxCountlimit,
  DxEntry,
  DxRootInfo,
  Ext4DirEntry2,
  Ext4DirEntryTail,
} from "../../src/format/ext-directory.ts";
import { Ext4GroupDesc } from "../../src/format/ext-group.ts";
import {
  EXT4_EA_INODE_FL,
  EXT4_EXTENTS_FL,
  EXT4_INDEX_FL,
  EXT4_INLINE_DATA_FL,
  Ext4Extent,
  Ext4ExtentHeader,
  Ext4ExtentIdx,
  Ext4Inode,
  Ext4InodeExtra,
} from "../../src/format/ext-inode.ts";
import { Ext4SuperBlock } from "../../src/format/ext-superblock.ts";
import { EXT4_XATTR_MAGIC, Ext4XattrEntry, Ext4XattrHeader } from "../../src/format/ext-xattr.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { type InodeRecord, fileAcl } from "../../src/fs/ext/inode-record.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { type Fields, sizeof, struct } from "../../src/lib/struct.ts";
import { S_IFDIR, S_IFREG } from "../../src/vfs/modes.ts";
import type { ExtEditor } from "./ext-editor.ts";
import type { Part, Structure } from "./fuzz-damage.ts";

/** A word of an indirect block. */
const Pointer = struct("pointer", 4, (at) => ({ block: at.le32() }));

const I_BLOCK = Ext4Inode.block.offset;

function repeated(fields: Fields, first: number, count: number): Part[] {
  const size = sizeof(fields);
  return Array.from({ length: count }, (_, i) => ({ at: first + i * size, fields }));
}

/** All structures of an intact image. */
export function structuresOf(editor: ExtEditor): Structure[] {
  return [...new Map([...structures(editor)].map((each) => [each.name, each])).values()];
}

function* structures(editor: ExtEditor): Generator<Structure> {
  const { superblock } = editor.volume;
  yield {
    name: "superblock",
    start: 1024,
    length: 1024,
    parts: [{ at: 0, fields: Ext4SuperBlock }],
    seal: () => editor.sealSuperblock(),
  };
  for (let group = 0; group < superblock.groups; group++) yield* structuresOfGroup(editor, group);
  for (let ino = 1; ino <= superblock.inodes; ino++) {
    const record = usedRecord(editor, ino);
    if (record !== undefined) yield* structuresOfInode(editor, record);
  }
}

/** Numbers that mean something in this image: sizes, inodes, and where structures are. */
export function paletteOf(editor: ExtEditor, all: readonly Structure[]): number[] {
  const { superblock, groups } = editor.volume;
  const { blocks, inodes, blocksPerGroup, inodesPerGroup, firstDataBlock } = superblock;
  const { blockBitmap, inodeBitmap, inodeTable } = groups.get(superblock.groups - 1);
  const starts = new Set(all.map(({ start }) => Math.floor(start / editor.blockSize)));
  const sizes = [editor.blockSize, superblock.clusterSize, superblock.inodeSize];
  const counts = [blocks, inodes, blocksPerGroup, inodesPerGroup, superblock.groups];
  const places = [firstDataBlock, blockBitmap, inodeBitmap, inodeTable, superblock.journalInum];
  return [
    ...sizes,
    ...counts,
    ...places,
    ...starts,
    ...all.flatMap(({ name }) => Number(/^inode (?<ino>\d+)$/u.exec(name)?.groups?.["ino"] ?? [])),
  ];
}

function* structuresOfGroup(editor: ExtEditor, group: number): Generator<Structure> {
  yield {
    name: `descriptor ${group}`,
    start: editor.descriptorAt(group),
    length: editor.volume.superblock.descSize,
    parts: [{ at: 0, fields: Ext4GroupDesc }],
    seal: () => editor.sealDescriptor(group),
  };
  const { blockBitmap, inodeBitmap } = editor.volume.groups.get(group);
  yield block(editor, "block bitmap", blockBitmap, []);
  yield block(editor, "inode bitmap", inodeBitmap, []);
}

function usedRecord(editor: ExtEditor, ino: number): InodeRecord | undefined {
  try {
    const record = editor.volume.record(ino);
    return record.links > 0 && ino !== 7 ? record : undefined;
  } catch (error) {
    if (isDaxError(error)) return undefined;
    throw error;
  }
}

function* structuresOfInode(editor: ExtEditor, record: InodeRecord): Generator<Structure> {
  const { ino } = record;
  yield {
    name: record.has(EXT4_EA_INODE_FL) ? `value inode ${ino}` : `inode ${ino}`,
    start: editor.inodeAt(ino),
    length: record.bytes.length,
    parts: [...inodeParts(record)],
    seal: () => editor.sealInode(ino),
  };
  const acl = fileAcl(editor.volume.superblock, record);
  if (acl !== 0) {
    const parts = [
      { at: 0, fields: Ext4XattrHeader },
      ...xattrParts(editor.view, acl * editor.blockSize, sizeof(Ext4XattrHeader)),
    ];
    yield block(editor, "xattr block", acl, parts, () => editor.sealXattrs(acl));
  }
  if (record.has(EXT4_INLINE_DATA_FL)) return;
  if (record.type === S_IFDIR) yield* directoryBlocks(editor, record);
  if (record.type !== S_IFREG && record.type !== S_IFDIR) return;
  if (record.has(EXT4_EXTENTS_FL)) yield* extentBlocks(editor, record);
  else yield* indirectBlocks(editor, record);
}

function* inodeParts(record: InodeRecord): Generator<Part> {
  const { view, bytes, extraSize } = record;
  const fixed = sizeof(Ext4Inode);
  yield { at: 0, fields: Ext4Inode };
  // The fields that carry most are there twice, or they would hardly ever be hit.
  yield { at: 0, fields: Ext4Inode };
  if (record.has(EXT4_EXTENTS_FL)) {
    yield { at: I_BLOCK, fields: Ext4ExtentHeader };
    const fields = Ext4ExtentHeader.depth.get(view, I_BLOCK) > 0 ? Ext4ExtentIdx : Ext4Extent;
    yield* repeated(fields, I_BLOCK + 12, 4);
  } else if (record.has(EXT4_INLINE_DATA_FL)) {
    if (record.type === S_IFDIR) yield { at: I_BLOCK + 4, fields: Ext4DirEntry2 };
  } else yield* repeated(Pointer, I_BLOCK, 15);
  if (bytes.length === fixed) return;
  yield { at: fixed, fields: Ext4InodeExtra };
  const start = fixed + extraSize;
  if (start + 8 > bytes.length || view.getUint32(start, true) !== EXT4_XATTR_MAGIC) return;
  yield { at: start, fields: Pointer };
  yield* xattrParts(view, 0, start + 4);
}

function* xattrParts(view: DataView, base: number, first: number): Generator<Part> {
  for (let at = first; view.getUint32(base + at, true) !== 0;) {
    yield { at, fields: Ext4XattrEntry };
    at += 16 + ((Ext4XattrEntry.nameLen.get(view, base + at) + 3) & ~3);
  }
}

function block(
  editor: ExtEditor,
  name: string,
  number: number,
  parts: readonly Part[],
  seal: () => void = () => {},
): Structure {
  const length = editor.blockSize;
  return { name: `${name} ${number}`, start: number * length, length, parts, seal };
}

function* directoryBlocks(editor: ExtEditor, record: InodeRecord): Generator<Structure> {
  const map = new FileMap(editor.volume, record);
  const { ino } = record;
  const indexed = record.has(EXT4_INDEX_FL);
  for (let index = 0; index * editor.blockSize < record.size; index++) {
    const number = map.blockOf(index);
    if (number === undefined) continue;
    const base = number * editor.blockSize;
    const root = indexed && index === 0;
    const fake = Ext4DirEntry2.recLen.get(editor.view, base);
    if (root || (indexed && fake === editor.blockSize)) {
      yield block(editor, `inode ${ino} index`, number, indexParts(editor, base, root), () =>
        editor.sealIndex(ino, number, root),
      );
    } else {
      yield block(editor, `inode ${ino} leaf`, number, [...leafParts(editor, base)], () =>
        editor.sealLeaf(ino, number),
      );
    }
  }
}

function indexParts(editor: ExtEditor, base: number, root: boolean): Part[] {
  const at = root ? DX_ROOT_INFO_OFFSET + sizeof(DxRootInfo) : DX_NODE_COUNTLIMIT_OFFSET;
  const count = Math.min(DxCountlimit.count.get(editor.view, base + at), 8);
  return [
    { at: 0, fields: Ext4DirEntry2 },
    ...(root ? [{ at: 12, fields: Ext4DirEntry2 }] : []),
    ...(root ? repeated(DxRootInfo, DX_ROOT_INFO_OFFSET, 1) : []),
    { at, fields: DxCountlimit },
    ...repeated(DxEntry, at, count),
  ];
}

function* leafParts(editor: ExtEditor, base: number): Generator<Part> {
  const { blockSize, view } = editor;
  for (let at = 0; at < blockSize - 12;) {
    yield { at, fields: Ext4DirEntry2 };
    at += Math.max(Ext4DirEntry2.recLen.get(view, base + at), 12);
  }
  yield { at: blockSize - 12, fields: Ext4DirEntryTail };
}

function* extentBlocks(editor: ExtEditor, record: InodeRecord): Generator<Structure> {
  const { ino } = record;
  const pending = [editor.inodeAt(ino) + I_BLOCK];
  for (let base = pending.pop(); base !== undefined; base = pending.pop()) {
    if (Ext4ExtentHeader.depth.get(editor.view, base) === 0) continue;
    const entries = Ext4ExtentHeader.entries.get(editor.view, base);
    for (let entry = 0; entry < entries; entry++) {
      const number = Ext4ExtentIdx.leafLo.get(editor.view, base + 12 + entry * 12);
      const start = number * editor.blockSize;
      const inner = Ext4ExtentHeader.depth.get(editor.view, start) > 0;
      const parts = [
        ...repeated(Ext4ExtentHeader, 0, 3),
        ...repeated(inner ? Ext4ExtentIdx : Ext4Extent, 12, 8),
      ];
      pending.push(start);
      yield block(editor, `inode ${ino} extent block`, number, parts, () =>
        editor.sealExtents(ino, number),
      );
    }
  }
}

function* indirectBlocks(editor: ExtEditor, record: InodeRecord): Generator<Structure> {
  const { ino } = record;
  const words = editor.blockSize / 4;
  const pending = [12, 13, 14].map((i) => [record.blockWord(i), i - 11] as const);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const [number, level] = next;
    if (number === 0) continue;
    const at = (i: number): number => number * editor.blockSize + i * 4;
    const used = Array.from({ length: words }, (_, i) => i).filter(
      (i) => editor.view.getUint32(at(i), true) !== 0,
    );
    const parts = used.slice(0, 20).map((i) => ({ at: i * 4, fields: Pointer }));
    yield block(editor, `inode ${ino} indirect block`, number, parts);
    if (level === 1) continue;
    for (const i of used) pending.push([editor.view.getUint32(at(i), true), level - 1]);
  }
}
