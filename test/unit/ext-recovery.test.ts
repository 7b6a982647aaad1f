/** When a mount replays the journal, when it leaves it alone, and when it refuses. */
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { Ext4Inode } from "../../src/format/ext-inode.ts";
import { Ext4SuperBlock as SB } from "../../src/format/ext-superblock.ts";
import { JournalSuperblock } from "../../src/format/jbd2.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { crc32c } from "../../src/lib/crc32c.ts";
import { ExtEditor } from "../support/ext-field-editor.ts";
import { crashImage, crashManifest } from "../support/ext-crash-images.ts";
import { manifestOf, mountBytes, still } from "../support/ext-images.ts";

const RECOVER = 0x4;
const HAS_JOURNAL = 0x4;

/** A crashed image, edited. */
function crashed(edit: (editor: ExtEditor) => void): Uint8Array<ArrayBuffer> {
  const editor = new ExtEditor(crashImage("1k"));
  edit(editor);
  return editor.bytes;
}

function clearRecover(editor: ExtEditor): void {
  editor.setSuper(SB.featureIncompat, editor.getSuper(SB.featureIncompat) & ~RECOVER);
}

/** Edits the journal's superblock; the journal of this image is one extent. */
function editJournal(editor: ExtEditor, edit: (view: DataView) => void): void {
  const block = editor.block(editor.firstBlock(8));
  edit(new DataView(block.buffer, block.byteOffset, 1024));
  block.fill(0, 0xfc, 0x100);
  const sum = crc32c(0xffff_ffff, block.subarray(0, 1024));
  JournalSuperblock.checksum.set(new DataView(block.buffer, block.byteOffset, 1024), 0, sum);
}

function codes(bytes: Uint8Array): string[] {
  const found = [...ext.check(new RamDisk({ name: "ram0", bytes }), still)];
  return [...new Set(found.map(({ code }) => code))];
}

describe("the journal at mount", () => {
  test("needs_recovery clear: it is discarded, as Linux discards it", () => {
    const image = crashed(clearRecover);
    expect(manifestOf(mountBytes(image))).toEqual(crashManifest("1k", "unreplayed"));
    expect(codes(image)).toContain("ext.journal.start");
  });

  test("start is 0: there is nothing to replay", () => {
    const image = crashed((editor) => {
      editJournal(editor, (view) => JournalSuperblock.start.set(view, 0, 0));
    });
    expect(manifestOf(mountBytes(image))).toEqual(crashManifest("1k", "unreplayed"));
  });

  test("needs_recovery without a journal is ignored, as Linux ignores it", () => {
    const image = crashed((editor) => {
      editor.setSuper(SB.featureCompat, editor.getSuper(SB.featureCompat) & ~HAS_JOURNAL);
    });
    expect(manifestOf(mountBytes(image))).toEqual(crashManifest("1k", "unreplayed"));
    expect(codes(image)).toContain("ext.super.features");
  });

  test("a journal on another device is refused by name", () => {
    const image = crashed((editor) => {
      editor.setSuper(SB.journalInum, 0);
      editor.setSuper(SB.journalDev, 0x0801);
    });
    expect(() => mountBytes(image)).toThrow(/ENOTSUP.*external device \(number 0x801\).*noload/u);
    expect(() => mountBytes(image, { noload: true })).not.toThrow();
    expect(codes(image)).toContain("ext.journal");
  });

  test.each([
    ["is a directory", Ext4Inode.mode, 0x41ed, /EUCLEAN.*journal inode 8: mode/u],
    ["has no links", Ext4Inode.linksCount, 0, /EUCLEAN.*journal inode 8: links/u],
    ["is too short", Ext4Inode.sizeLo, 4096, /EUCLEAN.*maxlen is 1024, the file has 4/u],
  ] as const)("a journal inode that %s is refused", (_, field, value, message) => {
    const image = crashed((editor) => editor.set(8, field, value));
    expect(() => mountBytes(image)).toThrow(message);
    expect(codes(image)).toContain("ext.journal");
  });

  test("a hole in the journal is named", () => {
    const image = crashed((editor) => {
      // The extent starts two blocks further on: logical blocks 0 and 1 are gone.
      editor.setMapWord(8, 12, 2);
    });
    expect(() => mountBytes(image)).toThrow(/EUCLEAN.*block 0 of the journal file is a hole/u);
  });

  test("an aborted journal is a warning of the check", () => {
    const image = crashed((editor) => {
      editJournal(editor, (view) => JournalSuperblock.errno.set(view, 0, 0xffff_fffb));
    });
    expect(codes(image)).toContain("ext.journal.aborted");
    expect(manifestOf(mountBytes(image))).toEqual(crashManifest("1k", "replayed"));
  });
});
