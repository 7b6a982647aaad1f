/**
 * Changes of a journal's superblock that a power cut may tear. It has a checksum in another cache
 * line than the words that change, so on memory no order of stores is safe, and a superblock that
 * fails its checksum is refused by every reader. Linux writes it as one sector and relies on that.
 *
 * So the two values of the word that will change are noted in the log beforehand, where every other
 * reader sees the end of the log. With that note a torn change can be told from damage, exactly:
 * with the other value in its place the checksum has to hold. Either value may then be believed, as
 * a change is made only while both are true.
 *
 * @module
 */
import { JournalSuperblock } from "../../format/jbd2.ts";
import { crc32c } from "../../lib/crc32c.ts";
import { sizeof, struct } from "../../lib/struct.ts";
import type { LogBlock } from "./journal-log.ts";

/** Bytes in the word that changes: what memory never tears. */
export const WORD_BYTES = 8;
/** No reader of jbd2 takes this for a block of a transaction. */
const NOTE_MAGIC = Uint8Array.from("dax tear", (letter) => letter.charCodeAt(0));

/** Opens a block of the log that no transaction uses. */
const TearNote = /* @__PURE__ */ struct("tear_note", 32, (at) => ({
  magic: at.bytes(8),
  /** Byte of the superblock at which the word lies. */
  offset: at.be64(),
  before: at.bytes(8),
  after: at.bytes(8),
}));

/** What {@link isTorn} has to see of a block. */
export const TEAR_NOTE_BYTES = sizeof(TearNote);

/** A word of a journal's superblock that changes. */
export interface WordChange {
  /** Bytes from the start of the superblock, a multiple of eight. */
  readonly offset: number;
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

/** The note about a change, as a block of the log. */
export function encodeTearNote(blockSize: number, change: WordChange): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(blockSize);
  const view = new DataView(bytes.buffer);
  TearNote.magic.set(view, 0, NOTE_MAGIC);
  TearNote.offset.set(view, 0, change.offset);
  TearNote.before.set(view, 0, change.before);
  TearNote.after.set(view, 0, change.after);
  return bytes;
}

/** The note in a block of the log; undefined where there is none. */
function decodeTearNote(view: DataView): WordChange | undefined {
  const { magic } = TearNote;
  for (let i = 0; i < magic.size; i++) {
    if (view.getUint8(magic.offset + i) !== NOTE_MAGIC[i]) return undefined;
  }
  const offset = TearNote.offset.get(view, 0);
  const last = JournalSuperblock.checksum.offset - WORD_BYTES;
  if (offset % WORD_BYTES !== 0 || offset > last) return undefined;
  return { offset, before: TearNote.before.get(view, 0), after: TearNote.after.get(view, 0) };
}

/** The checksum that the 1024 bytes of a journal's superblock have to carry. */
export function superblockChecksum(bytes: Uint8Array): number {
  const copy = bytes.slice(0, sizeof(JournalSuperblock));
  const { offset, size } = JournalSuperblock.checksum;
  copy.fill(0, offset, offset + size);
  return crc32c(0xffffffff, copy);
}

/** Whether a superblock that fails its checksum is what the change of a note left half done. */
export function isTorn(superblock: LogBlock, noted: DataView): boolean {
  const change = decodeTearNote(noted);
  if (change === undefined) return false;
  const { bytes, view } = superblock;
  const { offset, before, after } = change;
  const word = bytes.subarray(offset, offset + WORD_BYTES);
  const other = same(word, after) ? before : same(word, before) ? after : undefined;
  if (other === undefined) return false;
  const whole = bytes.slice();
  whole.set(other, offset);
  return superblockChecksum(whole) === JournalSuperblock.checksum.get(view, 0);
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((byte, i) => byte === b[i]);
}
