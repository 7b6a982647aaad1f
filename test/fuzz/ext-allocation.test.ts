/**
 * Allocation on damaged images: every error is typed, and nothing is given out twice or of the
 * filesystem's own, whatever superblock, descriptors and bitmaps say.
 */
import { expect, test } from "vitest";
import { evict, processOrphans } from "../../src/fs/ext/evict.ts";
import { setLinks, storeRecord } from "../../src/fs/ext/inode-writer.ts";
import { Orphans } from "../../src/fs/ext/orphans.ts";
import { SystemZone } from "../../src/fs/ext/system-zone.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { type Writing, writeTo } from "../support/ext-writing.ts";
import { DamagedImage } from "../support/fuzz-ext.ts";
import { TINY_IMAGES } from "../support/tiny-images.ts";

const CASES = 25;

/** Runs something that damage may stop; undefined when it did. Anything untyped goes on. */
function attempt<T>(codes: string[], call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (!isDaxError(error)) throw error;
    codes.push(error.code);
    return undefined;
  }
}

/** Takes and gives back, and counts what was given out twice or of the filesystem's own. */
function exercise(
  { volume, editor, operate, journal }: Writing,
  prng: Prng,
  codes: string[],
): number {
  const zone = new SystemZone(volume);
  const taken: { start: number; count: number }[] = [];
  let wrong = 0;
  for (let i = 0; i < 30; i++) {
    const run = attempt(codes, () =>
      operate((handle) => {
        const goal = prng.below(volume.superblock.blocks);
        const align = prng.pick([1, 1, 16]);
        return editor.allocator.allocate(handle, { goal, count: 1 + prng.below(40), align });
      }),
    );
    const directory = prng.below(2) === 0;
    attempt(codes, () => operate((h) => editor.inodes.allocate(h, { parent: 2, directory })));
    attempt(codes, () => operate((h) => editor.inodes.free(h, prng.below(100), directory)));
    if (i % 7 === 0) attempt(codes, () => journal.commit());
    if (run === undefined) continue;
    if (zone.overlap(run.start, run.count) !== undefined) wrong++;
    const twice = ({ start, count }: { start: number; count: number }) =>
      start < run.start + run.count && run.start < start + count;
    if (taken.some(twice)) wrong++;
    taken.push(run);
  }
  const any = { start: prng.below(volume.superblock.blocks), count: 1 + prng.below(60) };
  for (const { start, count } of [...taken, any]) {
    const metadata = prng.below(2) === 0;
    attempt(codes, () =>
      operate((handle) => editor.allocator.free(handle, start, count, { metadata })),
    );
  }
  return wrong;
}

/** What the image says is left to do, and then some inodes that lose their names. */
function endInodes(
  { volume, editor, journal, operate }: Writing,
  prng: Prng,
  codes: string[],
): void {
  const orphans = attempt(codes, () => new Orphans(volume, editor.superblock));
  if (orphans === undefined) return;
  const evicting = { editor, journal, orphans };
  attempt(codes, () => processOrphans(evicting));
  for (let i = 0; i < 6; i++) {
    attempt(codes, () => {
      const record = volume.record(12 + prng.below(40));
      if (record.links === 0) return;
      operate((handle) => {
        setLinks(record, 0);
        orphans.add(handle, record);
        storeRecord(volume, handle, record);
      });
      evict(evicting, record);
    });
  }
}

test.each(TINY_IMAGES)("%s", (name) => {
  const image = new DamagedImage(`ext-tiny/${name}`);
  const prng = new Prng(name.length);
  const codes: string[] = [];
  let [opened, wrong] = [0, 0];
  for (let i = 0; i < CASES; i++) {
    const notes: string[] = [];
    image.damage(prng, { say: (text: string) => notes.push(text), errors: [] } as never);
    const bytes = Uint8Array.from(image.editor.bytes);
    image.editor.restore();
    try {
      const writing = attempt(codes, () => writeTo(bytes, i));
      if (writing === undefined) continue;
      opened++;
      wrong += exercise(writing, prng, codes);
      endInodes(writing, prng, codes);
      attempt(codes, () => writing.close());
    } catch (error) {
      throw new Error(`case ${i}: ${notes.join("; ")}`, { cause: error });
    }
  }
  expect(wrong).toBe(0);
  expect(opened).toBeGreaterThan(CASES / 4);
  expect(codes).toContain("EUCLEAN");
});
