/**
 * Inline files that we write and move out, against e2fsck and what Linux reads on a loop mount.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EXT4_INLINE_DATA_FL } from "../../src/format/ext-inode.ts";
import { readContents } from "../../src/fs/ext/contents.ts";
import { DirectoryWriter } from "../../src/fs/ext/directory-writer.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { inlineContents } from "../../src/fs/ext/inline.ts";
import {
  moveInlineOut,
  resizeInline,
  startInline,
  writeInline,
} from "../../src/fs/ext/inline-writer.ts";
import type { InodeRecord } from "../../src/fs/ext/inode-record.ts";
import { newRecord, storeRecord } from "../../src/fs/ext/inode-writer.ts";
import { parseXattrName } from "../../src/fs/ext/xattr-names.ts";
import { storeXattr } from "../../src/fs/ext/xattr-writer.ts";
import { Prng } from "../../src/lib/prng.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";
import { complaints, type Writing, writeTo } from "../support/ext-writing.ts";
import { madeImage } from "../support/made-images.ts";
import { places, scratch } from "../support/scratch.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const e2fsprogs = programs(["mke2fs", "e2fsck"], "apt-get install e2fsprogs");
const mounts = loopMounts();
const KINDS = ["-b 1024 -I 256", "-b 4096 -I 512", "-b 4096 -I 1024 -O ^metadata_csum"];

/** A file, and the bytes that it should have. */
class InlineFile {
  readonly record: InodeRecord;
  readonly #writing: Writing;
  bytes = new Uint8Array(0);

  constructor(writing: Writing, directory: DirectoryWriter, name: string) {
    this.#writing = writing;
    const { editor, operate, volume } = writing;
    this.record = operate((handle) => {
      const ino = editor.inodes.allocate(handle, { parent: 2, directory: false });
      const start = { mode: 0o100644, uid: 0, gid: 0, links: 1, flags: 0, generation: ino };
      const record = newRecord(volume, ino, { ...start, time: editor.now() });
      storeRecord(volume, handle, record);
      directory.addEntry(handle, encodeUtf8(name), { ino, type: 1 });
      startInline(editor, handle, record, 0);
      return record;
    });
  }

  get isInline(): boolean {
    return this.record.has(EXT4_INLINE_DATA_FL);
  }

  /** One change; a file that does not fit any more moves out, and is done with. */
  change(dice: Prng): void {
    if (!this.isInline) return;
    const { editor, operate } = this.#writing;
    const roll = dice.below(10);
    if (roll === 0) {
      const name = parseXattrName(`user.${dice.below(3)}`);
      const value = new Uint8Array(dice.below(40)).fill(1);
      operate((handle) => storeXattr(editor, handle, this.record, name, value));
    } else if (roll < 4) this.#resize(dice.below(dice.below(4) === 0 ? 1000 : 120));
    else {
      const source = Uint8Array.from({ length: dice.below(50) }, () => dice.below(256));
      const { length } = this.record.bytes;
      this.#write(source, dice.below(dice.below(12) === 0 ? 2 * length : length - 210));
    }
  }

  #resize(size: number): void {
    const { editor, operate } = this.#writing;
    if (!operate((handle) => resizeInline(editor, handle, this.record, size))) return;
    const bytes = new Uint8Array(size);
    bytes.set(this.bytes.subarray(0, size));
    this.bytes = bytes;
  }

  #write(source: Uint8Array, offset: number): void {
    const { editor, operate, volume } = this.#writing;
    const done = operate((handle) => writeInline(editor, handle, this.record, source, offset));
    if (!done) {
      const map = new FileMap(volume, this.record);
      operate((handle) => moveInlineOut(editor, handle, this.record, map));
      return;
    }
    const bytes = new Uint8Array(Math.max(this.bytes.length, offset + source.length));
    bytes.set(this.bytes);
    bytes.set(source, offset);
    this.bytes = bytes;
  }

  /** As a reader finds it. */
  read(): Uint8Array {
    const { volume } = this.#writing;
    const record = volume.record(this.record.ino);
    if (this.isInline) return inlineContents(volume, record);
    const bytes = new Uint8Array(record.size);
    readContents(volume, new FileMap(volume, record), bytes);
    return bytes;
  }
}

describe(`e2fsck and Linux${e2fsprogs.hint}${mounts.hint}`, () => {
  test.skipIf(e2fsprogs.missing || mounts.missing).each(KINDS)(
    "%s",
    { timeout: 60_000 },
    (options) => {
      const image = madeImage(`-t ext4 -O inline_data ${options}`, 16);
      const writing = writeTo(image);
      const dice = new Prng(options.length);
      const root = writing.volume.record(2);
      const directory = new DirectoryWriter(
        writing.editor,
        root,
        new FileMap(writing.volume, root),
      );
      const files = Array.from({ length: 40 }, (_, i) => {
        return new InlineFile(writing, directory, `f${i}`);
      });
      for (let round = 0; round < 12; round++) {
        for (const file of files) file.change(dice);
        expect(files.map((file) => file.read())).toEqual(files.map(({ bytes }) => bytes));
        writing.journal.commit();
      }
      const inline = files.filter(({ isInline }) => isInline).length;
      expect(inline).toBeGreaterThan(0);
      expect(inline).toBeLessThan(40);
      writing.close();
      expect(e2fsckSays(image)).toEqual([]);
      expect(complaints(image)).toEqual([]);
      const path = scratch(places["tmpfs"] ?? places["disk"], "inline.img");
      const folder = `${path}.mount`;
      mkdirSync(folder);
      writeSparse(path, image);
      const theirs = withLoopMount(path, folder, "ro", (mounted) =>
        files.map((_, i) => new Uint8Array(readFileSync(join(mounted, `f${i}`)))),
      );
      expect(theirs).toEqual(files.map(({ bytes }) => bytes));
    },
  );
});
