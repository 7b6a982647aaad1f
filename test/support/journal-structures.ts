/**
 * Where every block and record of a journal lies, so that its fields can be damaged one by one and
 * all checksums of the log made right again.
 */
import {
  EXT4_FC_TAG_ADD_RANGE,
  EXT4_FC_TAG_CREAT,
  EXT4_FC_TAG_DEL_RANGE,
  EXT4_FC_TAG_HEAD,
  EXT4_FC_TAG_INODE,
  EXT4_FC_TAG_LINK,
  EXT4_FC_TAG_TAIL,
  EXT4_FC_TAG_UNLINK,
  FcAddRange,
  FcDelRange,
  FcDentryInfo,
  FcHead,
  FcInode,
  FcTagLength,
  FcTail,
} from "../../src/format/ext4-fast-commit.ts";
import { Ext4Inode } from "../../src/format/ext-inode.ts";
import {
  JBD2_COMMIT_BLOCK,
  JBD2_DESCRIPTOR_BLOCK,
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FLAG_SAME_UUID,
  JournalBlockTag,
  JournalBlockTag3,
  JournalCommitHeader,
  JournalHeader,
  JournalRevokeHeader,
  JournalSuperblock,
  journalTagBytes,
} from "../../src/format/jbd2.ts";
import { LogWalk, tagsOf } from "../../src/fs/ext/journal-blocks.ts";
import type { JournalLog } from "../../src/fs/ext/journal-log.ts";
import { crc32be } from "../../src/lib/crc32be.ts";
import { crc32c } from "../../src/lib/crc32c.ts";
import { type Field, type Fields, sizeof, struct } from "../../src/lib/struct.ts";
import type { Part, Structure } from "./fuzz-damage.ts";
import type { PatchedBytes } from "./patched-bytes.ts";

const Revoked = struct("revoked", 4, (at) => ({ block: at.be32() }));
const TL = sizeof(FcTagLength);

/** A block of the log that opens with a header. */
interface Placed {
  readonly blocktype: number;
  /** Byte of the image. */
  readonly base: number;
  /** Of a descriptor: where its tags are, and the bytes of the copies behind it. */
  readonly tags: readonly { readonly at: number; readonly copy: number }[];
}

/** Byte of the image at which journal block `n` starts. */
export type JournalPlace = (n: number) => number;

/** The journal of an image that is damaged and restored. */
export class JournalEditor {
  readonly image: PatchedBytes;
  readonly #log: JournalLog;
  readonly #place: JournalPlace;
  readonly #records: readonly Placed[];
  /** Bytes of the image at which the blocks of the fast-commit area start. */
  readonly #fastCommits: readonly number[];

  /** `log` was opened on the intact image. */
  constructor(image: PatchedBytes, log: JournalLog, place: JournalPlace) {
    this.image = image;
    this.#log = log;
    this.#place = place;
    this.#records = [...this.#walk()];
    const { fcFirst, fcLast } = log.area;
    const blocks = Math.max(Math.min(fcLast, log.superblock.maxlen - 1) - fcFirst + 1, 0);
    this.#fastCommits = Array.from({ length: blocks }, (_, i) => place(fcFirst + i));
  }

  /** Everything that can be damaged. */
  *structures(): Generator<Structure> {
    const seal = (): void => this.seal();
    const length = this.#log.blockSize;
    const superblock = [{ at: 0, fields: JournalSuperblock }];
    yield { name: "journal superblock", start: this.#place(0), length, parts: superblock, seal };
    for (const record of this.#records) {
      const parts = [...this.#partsOf(record)];
      const name = `journal record of type ${"i".repeat(record.blocktype)} at ${record.base}`;
      yield { name, start: record.base, length, parts, seal };
      for (const { copy } of record.tags) {
        yield { name: `journal copy at ${copy}`, start: copy, length, parts: [], seal };
      }
    }
    for (const base of this.#fastCommits) {
      for (const { at, tag, length: bytes } of this.#recordsAt(base)) {
        const start = base + at;
        const name = `fast commit of type ${"i".repeat(tag)} at ${start}`;
        yield { name, start, length: TL + bytes, parts: fastCommitParts(tag), seal };
      }
    }
  }

  /** Makes all checksums right, as far as the records are where they were. */
  seal(): void {
    this.#sealFastCommits();
    const { checksummed, checksumV1 } = this.#log;
    if (checksummed) this.#sealSuperblock();
    let crc = 0xffffffff;
    for (const record of this.#records) {
      const { base, tags, blocktype } = record;
      if (checksummed) for (const tag of tags) this.#sealTag(base, tag);
      if (blocktype === JBD2_COMMIT_BLOCK) {
        if (checksummed) this.#sealBlock(base, JournalCommitHeader.chksum.offset);
        else if (checksumV1) this.#set(base, JournalCommitHeader.chksum, crc);
        crc = 0xffffffff;
        continue;
      }
      if (checksummed) this.#sealBlock(base, this.#log.blockSize - 4);
      if (blocktype !== JBD2_DESCRIPTOR_BLOCK) continue;
      for (const at of [base, ...tags.map(({ copy }) => copy)]) crc = crc32be(crc, this.#block(at));
    }
  }

  *#walk(): Generator<Placed> {
    const log = this.#log;
    const walk = new LogWalk(log);
    if (log.superblock.start === 0) return;
    for (let record = walk.next(); record !== undefined; record = walk.next()) {
      const { at, blocktype } = record;
      const tags: { at: number; copy: number }[] = [];
      if (blocktype === JBD2_DESCRIPTOR_BLOCK) {
        let tagAt = sizeof(JournalHeader);
        for (const { flags } of tagsOf(log, record)) {
          tags.push({ at: tagAt, copy: this.#place(log.after(at, tags.length + 1)) });
          tagAt += journalTagBytes(log.featureIncompat);
          if ((flags & JBD2_FLAG_SAME_UUID) === 0) tagAt += 16;
        }
        walk.skip(tags.length);
      }
      yield { blocktype, base: this.#place(at), tags };
      if (blocktype === JBD2_COMMIT_BLOCK) walk.sequence = (walk.sequence + 1) >>> 0;
    }
  }

  *#partsOf({ blocktype, tags }: Placed): Generator<Part> {
    yield { at: 0, fields: JournalHeader };
    if (blocktype === JBD2_COMMIT_BLOCK) yield { at: 0, fields: JournalCommitHeader };
    else if (blocktype === JBD2_DESCRIPTOR_BLOCK) {
      const v3 = (this.#log.featureIncompat & JBD2_FEATURE_INCOMPAT_CSUM_V3) !== 0;
      for (const { at } of tags) yield { at, fields: v3 ? JournalBlockTag3 : JournalBlockTag };
    } else {
      yield { at: 0, fields: JournalRevokeHeader };
      for (let i = 0; i < 4; i++) yield { at: 16 + 4 * i, fields: Revoked };
    }
  }

  #block(base: number): Uint8Array {
    return this.image.bytes.subarray(base, base + this.#log.blockSize);
  }

  #set(base: number, field: Field<number>, value: number): void {
    const bytes = new Uint8Array(field.size);
    field.set(new DataView(bytes.buffer), -field.offset, value);
    this.image.write(base + field.offset, bytes);
  }

  get #seed(): number {
    const { offset } = JournalSuperblock.uuid;
    const base = this.#place(0);
    return crc32c(0xffffffff, this.image.bytes.subarray(base + offset, base + offset + 16));
  }

  #sealSuperblock(): void {
    const base = this.#place(0);
    this.#set(base, JournalSuperblock.checksum, 0);
    const sum = crc32c(0xffffffff, this.image.bytes.subarray(base, base + 1024));
    this.#set(base, JournalSuperblock.checksum, sum);
  }

  /** The crc32c of a block with the word at `at` as zero, put there. */
  #sealBlock(base: number, at: number): void {
    const word = new Uint8Array(4);
    this.image.write(base + at, word);
    new DataView(word.buffer).setUint32(0, crc32c(this.#seed, this.#block(base)));
    this.image.write(base + at, word);
  }

  #sealTag(base: number, { at, copy }: { at: number; copy: number }): void {
    const sequence = this.image.bytes.subarray(base + 8, base + 12);
    const sum = crc32c(crc32c(this.#seed, sequence), this.#block(copy));
    if (this.#log.featureIncompat & JBD2_FEATURE_INCOMPAT_CSUM_V3) {
      this.#set(base + at, JournalBlockTag3.checksum, sum);
    } else this.#set(base + at, JournalBlockTag.checksum, sum & 0xffff);
  }

  *#recordsAt(base: number): Generator<{ at: number; tag: number; length: number }> {
    const { view } = this.image;
    for (let at = 0; at + TL <= this.#log.blockSize;) {
      const tag = FcTagLength.tag.get(view, base + at);
      const length = FcTagLength.len.get(view, base + at);
      if (tag === 0 || at + TL + length > this.#log.blockSize) return;
      yield { at, tag, length };
      at += TL + length;
    }
  }

  #sealFastCommits(): void {
    let crc = 0;
    for (const base of this.#fastCommits) {
      for (const { at, tag, length } of this.#recordsAt(base)) {
        const start = base + at;
        const covered = tag === EXT4_FC_TAG_TAIL ? FcTail.crc.offset : length;
        crc = crc32c(crc, this.image.bytes.subarray(start, start + TL + covered));
        if (tag !== EXT4_FC_TAG_TAIL) continue;
        if (length >= sizeof(FcTail)) this.#set(start + TL, FcTail.crc, crc);
        crc = 0;
      }
    }
  }
}

const VALUES: ReadonlyMap<number, Fields> = new Map<number, Fields>([
  [EXT4_FC_TAG_ADD_RANGE, FcAddRange],
  [EXT4_FC_TAG_DEL_RANGE, FcDelRange],
  [EXT4_FC_TAG_CREAT, FcDentryInfo],
  [EXT4_FC_TAG_LINK, FcDentryInfo],
  [EXT4_FC_TAG_UNLINK, FcDentryInfo],
  [EXT4_FC_TAG_INODE, FcInode],
  [EXT4_FC_TAG_TAIL, FcTail],
  [EXT4_FC_TAG_HEAD, FcHead],
]);

function fastCommitParts(tag: number): Part[] {
  const fields = VALUES.get(tag);
  const parts: Part[] = [{ at: 0, fields: FcTagLength }];
  if (fields !== undefined) parts.push({ at: TL, fields });
  if (tag === EXT4_FC_TAG_INODE) parts.push({ at: TL + 4, fields: Ext4Inode });
  return parts;
}
