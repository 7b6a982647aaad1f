/**
 * The tools of the fuzzer: what they make right again was right before, and what they change they
 * put back.
 */
import { describe, expect, test } from "vitest";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { openJournal } from "../../src/fs/ext/recovery.ts";
import { Prng } from "../../src/lib/prng.ts";
import { ExtEditor } from "../support/ext-editor.ts";
import { paletteOf, structuresOf } from "../support/ext-structures.ts";
import { damage, nastyNumber } from "../support/fuzz-damage.ts";
import { damageText } from "../support/fuzz-text.ts";
import { JournalEditor } from "../support/journal-structures.ts";
import { TINY_IMAGES, packedImage, tinyImage } from "../support/tiny-images.ts";

describe.each(TINY_IMAGES)("%s", (name) => {
  test("sealing an intact structure changes nothing; damage can be undone", () => {
    const editor = new ExtEditor(tinyImage(name));
    const structures = structuresOf(editor);
    expect(structures.length).toBeGreaterThan(30);
    for (const structure of structures) structure.seal?.();
    editor.audit();
    const prng = new Prng(5);
    const palette = paletteOf(editor, structures);
    for (const structure of structures) {
      damage(editor, structure, prng, palette);
      structure.seal?.();
    }
    expect(() => editor.audit()).toThrow(/is \d+, and was/u);
    editor.restore();
    editor.audit();
  });
});

test.each([
  "ext-tiny/journal-v1",
  "ext-tiny/journal-v3",
  "ext-crash/1k",
  "ext-crash/dj",
  "ext-crash/ext3",
  "ext-crash/fc-names",
  "ext-crash/fc-data",
])("sealing the intact journal of %s changes nothing", (name) => {
  const editor = new ExtEditor(packedImage(name));
  const { volume } = editor;
  const map = new FileMap(volume, volume.record(volume.superblock.journalInum));
  const place = (n: number): number => (map.blockOf(n) as number) * editor.blockSize;
  const journal = new JournalEditor(editor, openJournal(volume), place);
  expect([...journal.structures()].length).toBeGreaterThan(10);
  journal.seal();
  editor.audit();
});

test("nasty numbers fit their fields", () => {
  const prng = new Prng(1);
  for (const bits of [8, 16, 32, 64]) {
    const most = (1n << BigInt(bits)) - 1n;
    const seen = new Set<bigint>();
    for (let i = 0; i < 2000; i++) {
      const value = nastyNumber(prng, bits, most >> 1n, [3, 2 ** 40]) & most;
      seen.add(value);
    }
    for (const value of [0n, 1n, most, most - 1n, 1n << BigInt(bits - 1)]) {
      expect(seen).toContain(value);
    }
  }
});

test("damaged text stays within its bound", () => {
  const prng = new Prng(2);
  const texts = Array.from({ length: 500 }, () => damageText("64M!4G", prng, ["exactmap"], 100));
  expect(texts.every((text) => text.length <= 100)).toBe(true);
  expect(new Set(texts).size).toBeGreaterThan(200);
});
