/**
 * Random damage to ext images: bit flips anywhere, and nasty values in the fields of structures
 * whose checksums are then made good again.
 */
import {
  DxCountlimit,
  DxEntry,
  DxRootInfo,
  Ext4DirEntry2,
} from "../../src/format/ext-directory.ts";
import { Ext4GroupDesc } from "../../src/format/ext-group.ts";
import {
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
import { Ext4XattrEntry, Ext4XattrHeader } from "../../src/format/ext-xattr.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { type InodeRecord, fileAcl } from "../../src/fs/ext/inode-record.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { type Field, type Fields, sizeof } from "../../src/lib/struct.ts";
import { S_IFDIR, S_IFREG } from "../../src/vfs/modes.ts";
import type { ExtEditor } from "./ext-editor.ts";

/** A structure of an image: where it is, what it is made of, and how its checksum is made good. */
export interface Target {
  readonly name: string;
  readonly start: number;
  readonly length: number;
  /** Structures inside, from `start`; the fields of one of them are what is changed. */
  readonly parts: readonly { readonly at: number; readonly fields: Fields }[];
  seal(editor: ExtEditor): void;
}

function parts(fields: Fields, first: number, count: number): Target["parts"] {
  const size = sizeof(fields);
  return Array.from({ length: count }, (_, i) => ({ at: first + i * size, fields }));
}

/** All structures of an intact image. */
export function targetsOf(editor: ExtEditor): Target[] {
  const { superblock } = editor.volume;
  const targets: Target[] = [
    {
      name: "superblock",
      start: 1024,
      length: 1024,
      parts: [{ at: 0, fields: Ext4SuperBlock }],
      seal: (image) => image.sealSuperblock(),
    },
  ];
  for (let group = 0; group < superblock.groups; group++) targets.push(descriptor(editor, group));
  for (let ino = 1; ino <= superblock.inodes; ino++) {
    const record = usedRecord(editor, ino);
    if (record !== undefined) targets.push(...targetsOfInode(editor, record));
  }
  return targets;
}

function descriptor(editor: ExtEditor, group: number): Target {
  return {
    name: `descriptor ${group}`,
    start: editor.descriptorAt(group),
    length: editor.volume.superblock.descSize,
    parts: [{ at: 0, fields: Ext4GroupDesc }],
    seal: (image) => image.sealDescriptor(group),
  };
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

function* targetsOfInode(editor: ExtEditor, record: InodeRecord): Generator<Target> {
  const { ino } = record;
  const inodeParts = [
    { at: 0, fields: Ext4Inode },
    ...parts(Ext4ExtentHeader, Ext4Inode.block.offset, 1),
    ...parts(Ext4Extent, Ext4Inode.block.offset + 12, 2),
  ];
  const roomy = record.bytes.length > 128;
  if (roomy) inodeParts.push({ at: 128, fields: Ext4InodeExtra });
  if (roomy) inodeParts.push({ at: 164, fields: Ext4XattrEntry });
  if (record.has(EXT4_INLINE_DATA_FL)) inodeParts.push({ at: 44, fields: Ext4DirEntry2 });
  yield {
    name: `inode ${ino}`,
    start: editor.inodeAt(ino),
    length: record.bytes.length,
    parts: inodeParts,
    seal: (image) => image.sealInode(ino),
  };
  const acl = fileAcl(editor.volume.superblock, record);
  if (acl !== 0) yield xattrBlock(editor, acl);
  if (record.has(EXT4_INLINE_DATA_FL)) return;
  if (record.type === S_IFDIR) yield* directoryBlocks(editor, record);
  if (record.type !== S_IFREG && record.type !== S_IFDIR) return;
  if (record.has(EXT4_EXTENTS_FL)) yield* extentBlocks(editor, record);
  else yield* indirectBlocks(editor, record);
}

function blockTarget(
  editor: ExtEditor,
  name: string,
  block: number,
  inside: Target["parts"],
  seal: (image: ExtEditor) => void,
): Target {
  const length = editor.blockSize;
  return { name: `${name} ${block}`, start: block * length, length, parts: inside, seal };
}

function xattrBlock(editor: ExtEditor, block: number): Target {
  const inside = [
    { at: 0, fields: Ext4XattrHeader },
    { at: 32, fields: Ext4XattrEntry },
  ];
  return blockTarget(editor, "xattr block", block, inside, (image) => image.sealXattrs(block));
}

function* directoryBlocks(editor: ExtEditor, record: InodeRecord): Generator<Target> {
  const map = new FileMap(editor.volume, record);
  const { ino } = record;
  for (let index = 0; index * editor.blockSize < record.size; index++) {
    const block = map.blockOf(index);
    if (block === undefined) continue;
    const root = index === 0 && record.has(EXT4_INDEX_FL);
    const inside = root
      ? [
          ...parts(Ext4DirEntry2, 0, 1),
          { at: 0x18, fields: DxRootInfo },
          { at: 0x20, fields: DxCountlimit },
          ...parts(DxEntry, 0x20, 8),
        ]
      : entriesOf(editor, block);
    yield blockTarget(editor, `inode ${ino} directory block`, block, inside, (image) => {
      if (root) image.sealIndex(ino, block, true);
      else image.sealLeaf(ino, block);
    });
  }
}

function entriesOf(editor: ExtEditor, block: number): Target["parts"] {
  const base = block * editor.blockSize;
  const inside: { at: number; fields: Fields }[] = [];
  for (let at = 0; at < editor.blockSize;) {
    inside.push({ at, fields: Ext4DirEntry2 });
    at += Math.max(Ext4DirEntry2.recLen.get(editor.view, base + at), 12);
  }
  return inside;
}

function* extentBlocks(editor: ExtEditor, record: InodeRecord): Generator<Target> {
  const { ino } = record;
  const pending = [editor.inodeAt(ino) + Ext4Inode.block.offset];
  for (let base = pending.pop(); base !== undefined; base = pending.pop()) {
    if (Ext4ExtentHeader.depth.get(editor.view, base) === 0) continue;
    const entries = Ext4ExtentHeader.entries.get(editor.view, base);
    for (let entry = 0; entry < entries; entry++) {
      const block = Ext4ExtentIdx.leafLo.get(editor.view, base + 12 + entry * 12);
      const inside = [...parts(Ext4ExtentHeader, 0, 1), ...parts(Ext4Extent, 12, 20)];
      pending.push(block * editor.blockSize);
      yield blockTarget(editor, `inode ${ino} extent block`, block, inside, (image) =>
        image.sealExtents(ino, block),
      );
    }
  }
}

function* indirectBlocks(editor: ExtEditor, record: InodeRecord): Generator<Target> {
  for (const index of [12, 13, 14]) {
    const block = record.blockWord(index);
    if (block === 0) continue;
    yield blockTarget(editor, `inode ${record.ino} indirect block`, block, [], () => {});
  }
}

function nasty(editor: ExtEditor, prng: Prng, size: number): number {
  const { blocks, inodes, blocksPerGroup } = editor.volume.superblock;
  const most = 2 ** (8 * size) - 1;
  const values = [0, 1, 2, 3, 4, 11, 12, most, most - 1, (most - 1) / 2, (most + 1) / 2];
  const counts = [blocks, blocks - 1, inodes, inodes + 1, blocksPerGroup, editor.blockSize];
  const value = prng.pick([...values, ...counts, prng.u32(), prng.below(256), prng.below(blocks)]);
  return Math.min(Math.floor(value), most);
}

/** Damages a target once; the text says how. */
export function damage(editor: ExtEditor, target: Target, prng: Prng): string {
  const { start, length } = target;
  const kind = target.parts.length === 0 ? 0 : prng.below(4);
  if (kind === 1) {
    const at = start + prng.below(length);
    const bit = prng.below(8);
    editor.write(at, Uint8Array.of((editor.bytes[at] as number) ^ (1 << bit)));
    return `${target.name}: bit ${bit} of byte ${at - start}`;
  }
  if (kind === 0) {
    const at = start + (prng.below(length) & ~3);
    const word = new Uint8Array(4);
    const value = nasty(editor, prng, 4);
    new DataView(word.buffer).setUint32(0, value, true);
    editor.write(at, word.subarray(0, Math.min(4, start + length - at)));
    return `${target.name}: word at ${at - start} := ${value}`;
  }
  const part = prng.pick(target.parts);
  const numbers = Object.entries(part.fields).filter(
    ([, field]) => /^(le|u8$)/u.test(field.kind) && field.size <= 4,
  );
  const [name, field] = prng.pick(numbers);
  const value = nasty(editor, prng, field.size);
  if (part.at + field.offset + field.size > length) return `${target.name}: nothing`;
  editor.set({ base: start + part.at, field: field as Field<number> }, value);
  return `${target.name}: ${name} at ${part.at} := ${value}`;
}
