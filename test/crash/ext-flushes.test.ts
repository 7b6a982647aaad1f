/**
 * A mounted filesystem in modelled memory, with every state that a power cut may leave: what was
 * acknowledged is there, a call is there as a whole or not at all, the check finds nothing. And
 * each flush that the driver makes is needed for that.
 *
 * CI leaves out each place in turn; `DAXKIT_LONG=1` also looks at every state of every story.
 */
import { describe, expect, test } from "vitest";
import { cutStory, flushSitesInSource, flushSitesOf } from "../support/ext-flushes.ts";
import { STORIES } from "../support/ext-flush-stories.ts";
import { WHOLE, inSlices } from "../support/slices.ts";

const LONG = process.env["DAXKIT_LONG"] !== undefined;
/** Runs of recovery and check: of each story, and to find out that a flush is missed. */
const LEAVES = LONG ? 1_000_000 : 400;
const PATIENCE = [200, 3000];

describe("every state that a power cut may leave", () => {
  test.each(inSlices(STORIES, 5))("$name", (story) => {
    const { failure, unmeasurable, cut } = cutStory(story, {}, { leaves: LEAVES });
    expect(failure?.objection.said).toBeUndefined();
    expect(unmeasurable).toBeUndefined();
    expect(LONG && cut).toBe(false);
  });
});

/** Sites whose need is shown elsewhere, or cannot be on one device, and why. */
const EXEMPT: readonly (readonly [file: RegExp, why: string])[] = [
  [/^(?:in-place-)?journal/u, "test/crash/journal.test.ts, where logs are short and come around"],
  [/^own-sync\./u, "test/crash/prove-sync-rules.test.ts: it promises one file, not a whole tree"],
  [/^multi-mount\./u, "other machines have to see who has the filesystem, not a later mount"],
];

const hint = WHOLE ? "" : " (skipped: takes long; set CI=true)";

describe.runIf(WHOLE)(`every flush is needed${hint}`, () => {
  const sites = flushSitesInSource().filter((site) => !EXEMPT.some(([file]) => file.test(site)));
  const users = STORIES.map((story) => [story, flushSitesOf(story)] as const);

  test.each(sites)("%s", (site) => {
    const concerned = users.filter(([, used]) => used.has(site));
    const noticed = PATIENCE.some((leaves) =>
      concerned.some(
        ([story]) => cutStory(story, { without: site }, { leaves }).failure !== undefined,
      ),
    );
    expect(noticed).toBe(true);
  });
});
