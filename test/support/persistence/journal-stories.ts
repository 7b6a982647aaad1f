/** Journals by themselves: what waits in memory stays within its bounds, and all is kept. */
import { InPlaceJournal } from "../../../src/fs/ext/in-place-journal.ts";
import { Journal } from "../../../src/fs/ext/journal.ts";
import { seededEnvironment } from "../../../src/lib/environment.ts";
import { ModelledMedia } from "../../../src/media/modelled.ts";
import { BLOCK, type JournalGeometry, buffersOn, cleanImage, mapOf } from "../journal-device.ts";
import { PLAIN } from "../journal-scenarios.ts";
import type { Story } from "./story.ts";

const GEOMETRY: JournalGeometry = { homes: 30, journalBlocks: 40, incompat: PLAIN };
const WAITING_BYTES = 6 * BLOCK;
const OPTIONS = { environment: seededEnvironment(1), waitingBytes: WAITING_BYTES };

function buffers() {
  const image = cleanImage(GEOMETRY);
  const media = new ModelledMedia(image.length);
  media.recorder.image.set(image);
  return buffersOn(media, {});
}

/** Changes two blocks that no step before has changed. */
function change(journal: Journal | InPlaceJournal, step: number): void {
  const handle = journal.start(2, 0);
  for (const block of [2 + 2 * step, 3 + 2 * step]) handle.get(block).bytes[8] = step + 1;
  handle.stop();
}

const STEPS = Array.from({ length: 12 }, (_, step) => step);

const story = (name: string, run: () => string | undefined): Story => ({ name, run });

export const stories: readonly Story[] = [
  story("journal: what was committed and waits for its place is bounded", () => {
    const journal = new Journal(buffers(), mapOf(GEOMETRY), OPTIONS);
    for (const step of STEPS) {
      change(journal, step);
      journal.commit();
      if (journal.waiting * BLOCK > WAITING_BYTES) return `${journal.waiting} blocks wait`;
    }
    return undefined;
  }),
  ...[
    () => new Journal(buffers(), mapOf(GEOMETRY), OPTIONS),
    () => new InPlaceJournal(buffers(), OPTIONS),
  ].map((open, i) =>
    story(`${["journal", "in place"][i]}: what is to be committed is bounded`, () => {
      const journal = open();
      for (const step of STEPS) {
        change(journal, step);
        // Two blocks a step: what is beyond three of them has been committed.
        const most = WAITING_BYTES / (2 * BLOCK);
        if (journal.newest < Math.ceil((step + 1) / most)) return `step ${step} waits with others`;
      }
      return undefined;
    }),
  ),
];
