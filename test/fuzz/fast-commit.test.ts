/** Damaged fast commits with good checksums: typed errors only, whatever they say. */
import { expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { crashImage } from "../support/ext-crash-images.ts";
import { mountBytes, still, walkTree } from "../support/ext-images.ts";
import { sealTails, tagsOf } from "../support/fast-commit-area.ts";

const ROUNDS = 100;

test.each(["fc-names", "fc-data"])("%s, one field changed", (name) => {
  const image = crashImage(name);
  const tags = tagsOf(image);
  expect(tags.length).toBeGreaterThan(30);
  const prng = new Prng(name.length);
  const outcomes = new Map<string, number>();
  const severities = new Set<string>();
  for (let round = 0; round < ROUNDS; round++) {
    const damaged = Uint8Array.from(image);
    const { at, length } = prng.pick(tags);
    for (let i = prng.below(3); i >= 0; i--) {
      damaged[at + 4 + prng.below(Math.max(1, length))] = prng.pick([
        0,
        1,
        0x7f,
        0xff,
        prng.below(256),
      ]);
    }
    sealTails(damaged, tags);
    let outcome = "shown";
    try {
      for (const { inode } of walkTree(mountBytes(damaged).root)) inode.attributes();
    } catch (error) {
      if (!isDaxError(error)) throw error;
      outcome = error.code;
    }
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (round % 5 > 0) continue;
    for (const { severity } of ext.check(new RamDisk({ name: "ram0", bytes: damaged }), still)) {
      severities.add(severity);
    }
  }
  expect([...severities]).toContain("error");
  expect([...outcomes.keys()].toSorted()).toContain("EUCLEAN");
  expect(outcomes.get("shown") ?? 0).toBeGreaterThan(ROUNDS / 4);
});
