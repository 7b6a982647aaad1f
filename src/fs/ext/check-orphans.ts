/**
 * Check of the orphans, the inodes that the next mount deletes or truncates: the list that starts
 * in the superblock, and the orphan file.
 *
 * @module
 */
import { EXT4_ORPHAN_BLOCK_MAGIC, Ext4OrphanBlockTail } from "../../format/ext-group.ts";
import {
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT,
} from "../../format/ext-superblock.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof } from "../../lib/struct.ts";
import type { Finding } from "../../vfs/filesystem.ts";
import { type CheckContext, hex } from "./check-context.ts";
import type { CheckedInode } from "./check-inode-record.ts";
import { readInode } from "./check-inode-table.ts";
import { walkMap } from "./check-map.ts";
import { SparseBits } from "./check-tables.ts";

const TAIL = sizeof(Ext4OrphanBlockTail);

/** Collects the orphans, so that the other checks can pass over what is about to change. */
export function* checkOrphans(context: CheckContext): Generator<Finding> {
  yield* checkList(context);
  if (context.compat(EXT4_FEATURE_COMPAT_ORPHAN_FILE)) {
    new OrphanFile(context).check();
    yield* context.findings.take();
  }
}

/** An orphan behind a dirty journal is nothing odd; one that was there at a clean unmount is. */
function reportOrphan(context: CheckContext, ino: number, links: number): void {
  const fate = links === 0 ? "deleted" : "truncated";
  const text = `it is to be ${fate} at the next writable mount`;
  const { findings } = context;
  if (context.dirty) findings.note("ext.orphan.pending", `inode ${ino}`, text);
  else findings.warning("ext.orphan.pending", `inode ${ino}`, text);
}

function* checkList(context: CheckContext): Generator<Finding> {
  const { firstIno } = context.superblock;
  let from = "superblock";
  for (let ino = context.superblock.lastOrphan; ino !== 0;) {
    if (ino < firstIno || !context.isInode(ino)) {
      const text = `its orphan list leads to inode ${ino}, which cannot be an orphan`;
      context.error("ext.orphan.list", from, text);
      break;
    }
    if (!context.orphans.add(ino - 1)) {
      context.error("ext.orphan.list", from, `its orphan list leads back to inode ${ino}`);
      break;
    }
    const inode = readInode(context, ino);
    if (inode === undefined) break;
    reportOrphan(context, ino, inode.links);
    from = inode.where;
    ino = inode.dtime;
    yield* context.findings.take();
  }
  yield* context.findings.take();
}

class OrphanFile {
  readonly #context: CheckContext;
  readonly #where: string;
  #entries = 0;

  constructor(context: CheckContext) {
    this.#context = context;
    this.#where = `orphan file (inode ${context.superblock.orphanFileInum})`;
  }

  check(): void {
    const context = this.#context;
    const { orphanFileInum, firstIno, blockSize } = context.superblock;
    if (orphanFileInum < firstIno || !context.isInode(orphanFileInum)) {
      this.#report(`its number is ${orphanFileInum}, which no file can have`);
      return;
    }
    const inode = readInode(context, orphanFileInum);
    if (inode === undefined || !inode.isRegular) return;
    if (inode.size % blockSize !== 0) {
      this.#report(`size is ${inode.size}, expected a multiple of ${blockSize}`);
      return;
    }
    this.#walk(inode);
    const present = context.roCompat(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT);
    if (present && this.#entries === 0 && !context.dirty) {
      const text = "orphan_present is set, but the orphan file is empty";
      context.error("ext.orphan.present", "superblock", text);
    }
  }

  #report(text: string): void {
    this.#context.error("ext.orphan.file", this.#where, text);
  }

  #walk(inode: CheckedInode): void {
    const context = this.#context;
    const seen = new SparseBits(context.superblock.blocksPerGroup);
    const blocks = inode.size / context.superblock.blockSize;
    let next = 0;
    walkMap(context, inode, {
      node: (block) => seen.add(block),
      data: (logical, block, count) => {
        if (logical > next) this.#report(`block ${next} is a hole`);
        next = logical + count;
        for (let i = 0; i < count; i++) if (seen.add(block + i)) this.#block(inode, block + i);
      },
      // The walk over all inodes reports the map's own faults.
      problem: () => {},
    });
    if (next < blocks) this.#report(`block ${next} is a hole`);
  }

  #block(inode: CheckedInode, block: number): void {
    const context = this.#context;
    const view = context.read(block, "orphan file");
    const at = view.byteLength - TAIL;
    const magic = Ext4OrphanBlockTail.magic.get(view, at);
    if (magic !== EXT4_ORPHAN_BLOCK_MAGIC) {
      this.#report(`block ${block}: magic is ${hex(magic)}, expected 0xb10ca04`);
      return;
    }
    this.#checkChecksum(inode, block, view);
    for (let slot = 0; slot < at; slot += 4) {
      const ino = view.getUint32(slot, true);
      if (ino !== 0) this.#entry(ino);
    }
  }

  #checkChecksum(inode: CheckedInode, block: number, view: DataView<ArrayBuffer>): void {
    if (!this.#context.superblock.metadataCsum) return;
    const at = view.byteLength - TAIL;
    const number = new DataView(new ArrayBuffer(8));
    number.setUint32(0, block >>> 0, true);
    number.setUint32(4, Math.floor(block / 2 ** 32), true);
    const seeded = crc32c(inode.seed, new Uint8Array(number.buffer));
    const computed = crc32c(seeded, new Uint8Array(view.buffer, 0, at));
    const stored = Ext4OrphanBlockTail.checksum.get(view, at);
    if (stored === computed) return;
    this.#report(`block ${block}: checksum is ${hex(stored)}, expected ${hex(computed)}`);
  }

  #entry(ino: number): void {
    const context = this.#context;
    this.#entries++;
    if (ino < context.superblock.firstIno || !context.isInode(ino)) {
      this.#report(`it lists inode ${ino}, which cannot be an orphan`);
      return;
    }
    context.orphans.add(ino - 1);
    reportOrphan(context, ino, readInode(context, ino)?.links ?? 0);
  }
}
