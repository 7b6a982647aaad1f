/**
 * Directories that we change, against e2fsck: order and checksums of the index, lengths, links.
 */
import { describe, expect, test } from "vitest";
import { Prng } from "../../src/lib/prng.ts";
import { DirectoryStream, wildNames } from "../support/ext-directory-stream.ts";
import { complaints, writeTo } from "../support/ext-writing.ts";
import { MADE_IMAGES, madeImage } from "../support/made-images.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";

const e2fsprogs = programs(["mke2fs", "e2fsck"], "apt-get install e2fsprogs");
const kinds = Object.entries(MADE_IMAGES);

describe(`e2fsck${e2fsprogs.hint}`, () => {
  test.skipIf(e2fsprogs.missing).each(kinds)("%s", { timeout: 60_000 }, (_, options) => {
    const image = madeImage(options, options.includes("65536") ? 64 : 16);
    const writing = writeTo(image);
    const stream = new DirectoryStream(writing, new Prng(3), wildNames(255));
    for (const count of [3, 20, 300, 500]) {
      stream.run(count, 70);
      writing.journal.commit();
      expect(stream.listed()).toEqual(stream.expected());
    }
    stream.finish();
    writing.close();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
  });
});
