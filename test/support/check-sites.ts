/**
 * Every place of an ext image that a check has to look at: fields of all structures, found by a
 * walk over a sound image, each with a way to make the checksum over it right again.
 */
import { Ext4DirEntry2 } from "../../src/format/ext-directory.ts";
import { Ext4GroupDesc, Ext4OrphanBlockTail, MmpStruct } from "../../src/format/ext-group.ts";
import { Ext4Inode, Ext4InodeExtra } from "../../src/format/ext-inode.ts";
import { Ext4SuperBlock } from "../../src/format/ext-superblock.ts";
import { Ext4XattrEntry, Ext4XattrHeader } from "../../src/format/ext-xattr.ts";
import { JournalSuperblock } from "../../src/format/jbd2.ts";
import { crc32c } from "../../src/lib/crc32c.ts";
import type { Field } from "../../src/lib/struct.ts";
import { ExtEditor } from "./ext-field-editor.ts";

/** A field to damage. */
export interface Site {
  /** `inode 12 mode`, for messages. */
  readonly name: string;
  /** Byte of the image. */
  readonly at: number;
  /** Bytes, 1, 2 or 4. */
  readonly size: number;
  /** Stored with its highest byte first. */
  readonly big?: boolean;
  /** Makes the checksums over the field right; undefined where nothing covers it. */
  readonly seal?: ((editor: ExtEditor) => void) | undefined;
}

type Seal = Site["seal"];

/** All sites of an image. */
export function sitesOf(image: Uint8Array<ArrayBuffer>): Site[] {
  return new SiteWalk(new ExtEditor(image)).all();
}

const S_IFDIR = 0x4000;
const INLINE = 0x1000_0000;
const INDEX = 0x1000;
const ATTRIBUTES = 0xea02_0000;

class SiteWalk {
  readonly #editor: ExtEditor;
  readonly #sites: Site[] = [];
  readonly #seen = new Set<number>();

  constructor(editor: ExtEditor) {
    this.#editor = editor;
  }

  all(): Site[] {
    this.#fields("superblock", Ext4SuperBlock, 1024, (e) => e.sealSuper());
    const { groups, inodesPerGroup, mmpBlock, blockSize } = this.#editor.superblock;
    for (const group of new Set([0, 1, groups - 1])) if (group < groups) this.#group(group);
    for (let ino = 1; ino <= groups * inodesPerGroup; ino++) {
      if (this.#isInteresting(ino)) this.#inode(ino);
    }
    if (mmpBlock !== 0) {
      this.#fields("mmp", MmpStruct, mmpBlock * blockSize, (e) => {
        const block = e.block(mmpBlock);
        const sum = crc32c(e.superblock.checksumSeed, block.subarray(0, MmpStruct.checksum.offset));
        MmpStruct.checksum.set(e.view, mmpBlock * blockSize, sum);
      });
    }
    return this.#sites;
  }

  #add(name: string, at: number, size: number, seal: Seal, big = false): void {
    this.#sites.push({ name, at, size, seal, big });
  }

  #fields(what: string, fields: object, base: number, seal: Seal, most = Infinity): void {
    for (const [name, field] of Object.entries(fields) as [string, Field<unknown>][]) {
      if (typeof field?.offset !== "number" || field.offset >= most) continue;
      const big = field.kind.startsWith("be");
      const size = [1, 2, 4].includes(field.size) ? field.size : field.size === 8 ? 4 : 1;
      this.#add(`${what} ${name}`, base + field.offset, size, seal, big);
    }
  }

  #group(group: number): void {
    const editor = this.#editor;
    const { descSize, blockSize } = editor.superblock;
    const at = editor.descriptorAt(group);
    this.#fields(`group ${group}`, Ext4GroupDesc, at, (e) => e.sealGroup(group), descSize);
    for (const kind of ["block", "inode"] as const) {
      const field = kind === "block" ? Ext4GroupDesc.blockBitmapLo : Ext4GroupDesc.inodeBitmapLo;
      const bitmap = editor.getGroup(group, field) * blockSize;
      for (const byte of [0, 1, 7, 40, 90, 127, 128, 200, blockSize / 2, blockSize - 1]) {
        const name = `group ${group} ${kind} bitmap byte ${byte}`;
        this.#add(name, bitmap + byte, 1, (e) => e.sealBitmap(group, kind));
      }
    }
  }

  /** Reserved inodes, and one or two of each kind of the others. */
  #isInteresting(ino: number): boolean {
    const editor = this.#editor;
    if (ino <= 11) return true;
    const mode = editor.get(ino, Ext4Inode.mode);
    if (mode === 0) {
      const once = !this.#kinds.has("empty");
      this.#kinds.set("empty", 1);
      return once;
    }
    const size = editor.get(ino, Ext4Inode.sizeLo);
    const acl = editor.get(ino, Ext4Inode.fileAclLo) !== 0;
    const node = editor.firstNode(ino) !== undefined || editor.mapWord(ino, 48) !== 0;
    const body = this.#bodyAttributes(ino) !== undefined;
    const flags = editor.get(ino, Ext4Inode.flags);
    const kind = [mode >> 12, flags, size > 0, size > 60, acl, node, body].join();
    const count = this.#kinds.get(kind) ?? 0;
    this.#kinds.set(kind, count + 1);
    return count < 2;
  }
  readonly #kinds = new Map<string, number>();

  #bodyAttributes(ino: number): number | undefined {
    const editor = this.#editor;
    if (editor.superblock.inodeSize === 128) return undefined;
    const extra = editor.getExtra(ino, Ext4InodeExtra.extraIsize);
    const at = editor.inodeAt(ino) + 128 + extra;
    if (extra + 132 > editor.superblock.inodeSize) return undefined;
    return editor.view.getUint32(at, true) === ATTRIBUTES ? at : undefined;
  }

  #inode(ino: number): void {
    const editor = this.#editor;
    const { inodeSize, blockSize } = editor.superblock;
    const at = editor.inodeAt(ino);
    const seal = (e: ExtEditor): void => e.sealInode(ino);
    this.#fields(`inode ${ino}`, Ext4Inode, at, seal);
    for (let byte = 0; byte < 60; byte += 4) {
      const place = at + Ext4Inode.block.offset + byte;
      this.#add(`inode ${ino} i_block byte ${byte}`, place, 4, seal);
      if (byte < 36) this.#add(`inode ${ino} i_block half ${byte}`, place, 2, seal);
      if (byte < 36) this.#add(`inode ${ino} i_block half ${byte + 2}`, place + 2, 2, seal);
    }
    if (inodeSize > 128) {
      this.#fields(`inode ${ino} extra`, Ext4InodeExtra, at + 128, seal, inodeSize - 128);
    }
    const body = this.#bodyAttributes(ino);
    if (body !== undefined) {
      this.#add(`inode ${ino} attributes magic`, body, 4, seal);
      this.#attributes(`inode ${ino} attribute`, body + 4, body + 4, at + inodeSize, seal);
    }
    const acl = editor.get(ino, Ext4Inode.fileAclLo);
    if (acl !== 0 && this.#once(acl)) {
      const sealBlock = (e: ExtEditor): void => e.sealAttributes(acl);
      const base = acl * blockSize;
      this.#fields(`attribute block ${acl}`, Ext4XattrHeader, base, sealBlock);
      this.#attributes(`attribute block ${acl}`, base, base + 32, base + blockSize, sealBlock);
    }
    const mode = editor.get(ino, Ext4Inode.mode);
    const type = mode & 0xf000;
    const inline = (editor.get(ino, Ext4Inode.flags) & INLINE) !== 0;
    if (inline || (type !== S_IFDIR && type !== 0x8000)) return;
    const blocks = this.#map(ino);
    if (type === S_IFDIR) this.#directory(ino, blocks);
    else this.#special(ino, blocks);
  }

  #once(block: number): boolean {
    if (this.#seen.has(block)) return false;
    this.#seen.add(block);
    return true;
  }

  #attributes(what: string, base: number, first: number, limit: number, seal: Seal): void {
    const { view } = this.#editor;
    let at = first;
    for (let n = 0; at + 16 < limit && view.getUint32(at, true) !== 0 && n < 4; n++) {
      this.#fields(`${what} ${n}`, Ext4XattrEntry, at, seal);
      this.#add(`${what} ${n} name`, at + 16, 1, seal);
      const value = base + Ext4XattrEntry.valueOffs.get(view, at);
      if (Ext4XattrEntry.valueInum.get(view, at) === 0 && value + 4 <= limit) {
        this.#add(`${what} ${n} value`, value, 4, seal);
      }
      at += 16 + ((Ext4XattrEntry.nameLen.get(view, at) + 3) & ~3);
    }
    if (at + 4 <= limit) this.#add(`${what} end`, at, 4, seal);
  }

  /** Sites of the blocks of a map; answers the blocks of data in their order. */
  #map(ino: number): number[] {
    const editor = this.#editor;
    const data: number[] = [];
    if (editor.hasExtents(ino)) {
      const root = editor.inodeAt(ino) + Ext4Inode.block.offset;
      this.#extents(ino, root, data, undefined);
      return data;
    }
    for (let i = 0; i < 12; i++) data.push(editor.mapWord(ino, i * 4));
    for (let level = 1; level <= 3; level++) {
      this.#indirect(ino, editor.mapWord(ino, 44 + level * 4), level, data);
    }
    return data.filter((block) => block !== 0);
  }

  #extents(ino: number, base: number, data: number[], block: number | undefined): void {
    const { view, superblock } = this.#editor;
    const entries = view.getUint16(base + 2, true);
    const depth = view.getUint16(base + 6, true);
    if (block !== undefined && this.#once(block)) this.#extentBlock(ino, block, base, entries);
    for (let i = 0; i < entries; i++) {
      const at = base + 12 + i * 12;
      if (depth > 0) {
        const child = view.getUint32(at + 4, true);
        this.#extents(ino, child * superblock.blockSize, data, child);
        continue;
      }
      const start = view.getUint32(at + 8, true);
      const length = view.getUint16(at + 4, true) & 0x7fff;
      for (let k = 0; k < length && data.length < 4000; k++) data.push(start + k);
    }
  }

  #extentBlock(ino: number, block: number, base: number, entries: number): void {
    const { view, superblock } = this.#editor;
    const seal = (e: ExtEditor): void => e.sealNode(ino, block);
    for (let byte = 0; byte < 12; byte += 2) {
      this.#add(`extent block ${block} header ${byte}`, base + byte, 2, seal);
    }
    for (const i of new Set([0, 1, 2, entries - 1, entries])) {
      const at = base + 12 + i * 12;
      if (i < 0 || at + 16 > base + superblock.blockSize) continue;
      this.#add(`extent block ${block} entry ${i} block`, at, 4, seal);
      this.#add(`extent block ${block} entry ${i} len`, at + 4, 2, seal);
      this.#add(`extent block ${block} entry ${i} hi`, at + 6, 2, seal);
      this.#add(`extent block ${block} entry ${i} lo`, at + 8, 4, seal);
    }
    const tail = base + 12 + 12 * view.getUint16(base + 4, true);
    this.#add(`extent block ${block} tail`, tail, 4, undefined);
  }

  #indirect(ino: number, block: number, level: number, data: number[]): void {
    if (block === 0) return;
    const { view, superblock } = this.#editor;
    const base = block * superblock.blockSize;
    const words = superblock.blockSize / 4;
    const sites = this.#once(block);
    let used = 0;
    for (let i = 0; i < words; i++) {
      const next = view.getUint32(base + i * 4, true);
      if (next !== 0) used = i;
      if (level > 1) this.#indirect(ino, next, level - 1, data);
      else if (next !== 0) data.push(next);
    }
    if (!sites) return;
    for (const i of new Set([0, 1, 2, used, used + 1, words - 1])) {
      this.#add(`inode ${ino} indirect block ${block} word ${i}`, base + i * 4, 4, undefined);
    }
  }

  #directory(ino: number, blocks: readonly number[]): void {
    const indexed = (this.#editor.get(ino, Ext4Inode.flags) & INDEX) !== 0;
    for (const [logical, block] of blocks.entries()) {
      const node = indexed && this.#isIndexNode(block);
      if (logical > 2 && logical < blocks.length - 1 && !node) continue;
      if (!this.#once(block)) continue;
      if (indexed && logical === 0) this.#indexRoot(ino, block);
      else if (indexed && this.#isIndexNode(block)) this.#indexNode(ino, block);
      else this.#leaf(ino, block);
    }
  }

  #indexRoot(ino: number, block: number): void {
    const { view, superblock } = this.#editor;
    const base = block * superblock.blockSize;
    const seal = (e: ExtEditor): void => e.sealIndex(ino, block, 32);
    for (const [name, at, size] of [
      [". inode", 0, 4],
      [". length", 4, 2],
      [". name length", 6, 1],
      [". type", 7, 1],
      [". name", 8, 4],
      [".. inode", 12, 4],
      [".. length", 16, 2],
      [".. name length", 18, 1],
      [".. type", 19, 1],
      [".. name", 20, 4],
      ["reserved", 24, 4],
      ["version", 28, 1],
      ["info length", 29, 1],
      ["levels", 30, 1],
      ["flags", 31, 1],
      ["limit", 32, 2],
      ["count", 34, 2],
      ["first block", 36, 4],
      ["second hash", 40, 4],
      ["second block", 44, 4],
      ["third hash", 48, 4],
      ["third block", 52, 4],
    ] as const) {
      this.#add(`directory ${ino} index ${name}`, base + at, size, seal);
    }
    const tail = base + 32 + 8 * view.getUint16(base + 32, true);
    if (tail + 8 <= base + superblock.blockSize) {
      this.#add(`directory ${ino} index tail reserved`, tail, 4, seal);
      this.#add(`directory ${ino} index tail checksum`, tail + 4, 4, undefined);
    }
  }

  /** One empty entry over all of the block, and the limit of a node behind it. */
  #isIndexNode(block: number): boolean {
    const { view, superblock } = this.#editor;
    const { blockSize, metadataCsum } = superblock;
    const base = block * blockSize;
    if (Ext4DirEntry2.inode.get(view, base) !== 0) return false;
    const limit = Math.floor((blockSize - 8 - (metadataCsum ? 8 : 0)) / 8);
    const whole = view.getUint16(base + 4, true) === blockSize;
    return whole && view.getUint16(base + 8, true) === limit;
  }

  #indexNode(ino: number, block: number): void {
    const { superblock } = this.#editor;
    const base = block * superblock.blockSize;
    const seal = (e: ExtEditor): void => e.sealIndex(ino, block, 8);
    for (const [name, at, size] of [
      ["inode", 0, 4],
      ["length", 4, 2],
      ["name length", 6, 2],
      ["limit", 8, 2],
      ["count", 10, 2],
      ["first block", 12, 4],
      ["second hash", 16, 4],
      ["second block", 20, 4],
      ["last hash", 8 + 8 * 60, 4],
      ["last block", 12 + 8 * 60, 4],
    ] as const) {
      this.#add(`directory ${ino} index node ${block} ${name}`, base + at, size, seal);
    }
  }

  #leaf(ino: number, block: number): void {
    const { view, superblock } = this.#editor;
    const base = block * superblock.blockSize;
    const seal = (e: ExtEditor): void => e.sealLeaf(ino, block);
    const entries: number[] = [];
    for (let at = base; at < base + superblock.blockSize;) {
      entries.push(at);
      at += Math.max(8, Ext4DirEntry2.recLen.get(view, at));
    }
    const chosen = entries.filter((_, i) => i < 5 || i >= entries.length - 3);
    for (const at of chosen) {
      const what = `directory ${ino} block ${block} byte ${at - base}`;
      this.#fields(what, Ext4DirEntry2, at, seal);
      if (Ext4DirEntry2.nameLen.get(view, at) === 0) continue;
      this.#add(`${what} name`, at + 8, 1, seal);
      this.#add(`${what} second letter`, at + 9, 1, seal);
    }
    if (superblock.metadataCsum) {
      const tail = base + superblock.blockSize - 12;
      for (const [at, size] of [
        [0, 4],
        [4, 2],
        [6, 1],
        [7, 1],
        [8, 4],
      ] as const) {
        this.#add(`directory ${ino} block ${block} tail ${at}`, tail + at, size, undefined);
      }
    }
  }

  /** What the files of the filesystem itself hold. */
  #special(ino: number, blocks: readonly number[]): void {
    const { superblock } = this.#editor;
    const { blockSize, usrQuotaInum, grpQuotaInum, prjQuotaInum } = superblock;
    const [first = 0] = blocks;
    if (ino === superblock.journalInum) this.#journal(first * blockSize);
    if (ino === superblock.orphanFileInum) this.#orphanFile(ino, first);
    if (![usrQuotaInum, grpQuotaInum, prjQuotaInum].includes(ino)) return;
    for (const block of blocks) {
      for (let at = 0; at < blockSize; at += 4) {
        const place = block * blockSize + at;
        const used = this.#editor.view.getUint32(place, true) !== 0;
        if (used || at % 512 === 0) this.#add(`quota file ${ino} byte ${at}`, place, 4, undefined);
      }
    }
  }

  #journal(base: number): void {
    this.#fields("journal", JournalSuperblock, base, (e) => {
      const block = e.bytes.slice(base, base + 1024);
      const view = new DataView(block.buffer);
      if (JournalSuperblock.checksumType.get(view, 0) === 0) return;
      JournalSuperblock.checksum.set(view, 0, 0);
      JournalSuperblock.checksum.set(e.view, base, crc32c(0xffff_ffff, block));
    });
  }

  #orphanFile(ino: number, block: number): void {
    const { blockSize } = this.#editor.superblock;
    const base = block * blockSize;
    const tail = base + blockSize - 8;
    const seal = (e: ExtEditor): void => {
      const number = new DataView(new ArrayBuffer(8));
      number.setUint32(0, block, true);
      const seeded = crc32c(e.seed(ino), new Uint8Array(number.buffer));
      const sum = crc32c(seeded, e.block(block).subarray(0, blockSize - 8));
      Ext4OrphanBlockTail.checksum.set(e.view, tail, sum);
    };
    for (const at of [0, 4, blockSize - 12]) this.#add(`orphan file ${at}`, base + at, 4, seal);
    this.#fields("orphan file tail", Ext4OrphanBlockTail, tail, seal);
  }
}
