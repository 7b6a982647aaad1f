/**
 * Damaged journals: mounts of images that a power cut left dirty, fast commits included, and logs
 * of every layout. Checksums are made right again most of the time.
 */
import { JBD2_FEATURE_COMPAT_CHECKSUM } from "../../src/format/jbd2.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import { replayLog } from "../../src/fs/ext/journal-replay.ts";
import { openJournal } from "../../src/fs/ext/recovery.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { noise } from "./bytes.ts";
import { ExtEditor } from "./ext-editor.ts";
import { structuresOf } from "./ext-structures.ts";
import type { CaseNotes, FuzzSubject, FuzzTarget } from "./fuzz.ts";
import { StructurePool, damage } from "./fuzz-damage.ts";
import { diskOver } from "./fuzz-ext.ts";
import { READERS, type Reader } from "./fuzz-readers.ts";
import { HOME_BLOCKS, JournalBuilder, type Layout } from "./journal-builder.ts";
import { JournalEditor } from "./journal-structures.ts";
import { PatchedBytes } from "./patched-bytes.ts";
import { packedImage } from "./tiny-images.ts";

/** Each case of an image of 16 MiB that is not a small one. */
const IMAGES = [
  "ext-tiny/journal-v1",
  "ext-tiny/journal-v3",
  "ext-crash/fc-names",
  "ext-crash/fc-data",
  "ext-crash/dj",
  "ext-crash/ext3",
];

/** What a case damages and reads. */
interface Journal {
  readonly name: string;
  readonly image: PatchedBytes;
  readonly pool: StructurePool;
  readonly palette: readonly number[];
  read(prng: Prng, notes: CaseNotes): string;
}

function imageJournal(name: string): Journal {
  const editor = new ExtEditor(packedImage(name));
  const { volume, blockSize } = editor;
  const { journalInum, blocks, inodes } = volume.superblock;
  const log = openJournal(volume);
  const map = new FileMap(volume, volume.record(journalInum));
  const place = (n: number): number => (map.blockOf(n) as number) * blockSize;
  const journal = new JournalEditor(editor, log, place);
  const own = structuresOf(editor).filter(
    (structure) => structure.name === "superblock" || structure.name === `inode ${journalInum}`,
  );
  const { maxlen, first, start, sequence } = log.superblock;
  return {
    name,
    image: editor,
    pool: new StructurePool([...journal.structures(), ...own]),
    palette: [blocks, inodes, maxlen, first, start, sequence, blockSize, journalInum],
    read(prng, notes) {
      const reader = prng.pick(["walk", "walk", "check", "files"]);
      notes.say(reader);
      (READERS[reader] as Reader)(diskOver(editor.bytes, prng, notes), prng, notes);
      return reader;
    },
  };
}

const LAYOUTS: readonly Layout[] = [
  {},
  { incompat: 0x2 },
  { compat: JBD2_FEATURE_COMPAT_CHECKSUM },
  { incompat: 0x8 },
  { incompat: 0x12 },
  { incompat: 0x6, compat: JBD2_FEATURE_COMPAT_CHECKSUM },
  { incompat: 0x20, fcBlocks: 16 },
];

function builtJournal(layout: Layout, index: number): Journal {
  const builder = new JournalBuilder({ ...layout, start: 1 + index * 160 });
  for (let i = 0; i < 4; i++) {
    const writes = Array.from({ length: 3 }, (_, k) => [k + i, noise(i, 1024)] as const);
    builder.add({ writes, revokes: [(index + i) % 8] });
  }
  const image = new PatchedBytes(builder.image);
  const journal = new JournalEditor(image, builder.open(), (n) => builder.at(n));
  const limit = HOME_BLOCKS + builder.journalBlocks;
  return {
    name: `log of layout ${JSON.stringify(layout)}`,
    image,
    pool: new StructurePool([...journal.structures()]),
    palette: [limit, HOME_BLOCKS, builder.journalBlocks, builder.head, builder.sequence],
    read() {
      try {
        const { blocks } = replayLog(builder.open());
        for (const block of blocks.keys()) if (block >= limit) throw new Error(`block ${block}`);
        return "replayed";
      } catch (error) {
        if (!isDaxError(error) || error.message.includes("journal")) throw error;
        throw new Error("the message does not say 'journal'", { cause: error });
      }
    },
  };
}

class JournalSubject implements FuzzSubject {
  readonly #images = IMAGES.map((name) => imageJournal(name));
  readonly #built = LAYOUTS.map((layout, index) => builtJournal(layout, index));

  run(prng: Prng, notes: CaseNotes): string {
    const journal = prng.pick(prng.below(3) === 0 ? this.#built : this.#images);
    const { name, image, pool, palette } = journal;
    notes.say(name);
    try {
      for (let left = 1 + prng.below(4); left > 0; left--) {
        const structure = pool.pick(prng);
        notes.say(damage(image, structure, prng, palette));
        if (prng.below(8) !== 0) structure.seal?.();
      }
      return journal.read(prng, notes);
    } finally {
      image.restore();
    }
  }

  audit(): void {
    for (const { image } of [...this.#images, ...this.#built]) image.audit();
  }
}

/** Dirty journals. */
export const journalTarget: FuzzTarget = {
  name: "journal",
  weight: 15,
  reaches: ["walk", "check", "replayed", "refused", "EUCLEAN", "EBADMSG"],
  open: () => new JournalSubject(),
};
