/**
 * The check against `e2fsck -fn` over damage of every kind: each field of every structure with odd
 * values, checksums made right or not; blocks that hold something else; and what debugfs can do.
 * Where e2fsck has something to say we have a finding, and where it has not we have no error.
 *
 * A few hundred cases of it; `DAXKIT_CHECK_CASES=20000 npx vitest run` on this file is a long run.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Prng } from "../../src/lib/prng.ts";
import { checkCommands } from "../support/check-commands.ts";
import {
  CHECK_IMAGES,
  makeCheckImage,
  makeCheckTree,
  makeDeepTree,
} from "../support/check-images.ts";
import { Sweep, type Verdict } from "../support/check-sweep.ts";
import { places } from "../support/scratch.ts";
import { WHOLE } from "../support/slices.ts";
import { programs } from "./judge.ts";

const judges = programs(["e2fsck", "mke2fs", "debugfs"], "apt-get install e2fsprogs");
const CASES = Number(process.env["DAXKIT_CHECK_CASES"] ?? (WHOLE ? 500 : 100));
const SEED = Number(process.env["DAXKIT_CHECK_SEED"] ?? 31);

/** What only one of the two reports, by image, place and findings, and why. */
const DIFFERENCES: readonly (readonly [RegExp, string])[] = [
  [/extent block \d+ header 6 .*ext\.extent\.depth/u, "e2fsck goes by the root's depth"],
  [/journal (first|maxlen) .*ext\.journal /u, "e2fsck uses first and maxlen without a look"],
  [/inode 8 extra extraIsize .*ext\.journal /u, "Linux refuses such a journal inode"],
  [/ext\.quota\.file .*(magic|no regular)/u, "e2fsck makes a quota file anew that it cannot read"],
  [/ext\.quota\.file .*refer/u, "e2fsck looks at the entries of a quota file, not at its tree"],
  [/ext\.journal journal block \d+ .*hole/u, "e2fsck goes by the map's copy in the superblock"],
  [/index .*ext\.htree\.leaf .*(above|below)/u, "e2fsck judges nodes before what is below them"],
  [/bad blocks from \d+ on/u, "e2fsck moves tables away from bad blocks without a word"],
  [/ext\.orphan\.(list|file)|orphan .*ext\./u, "e2fsck looks at orphans only when it may repair"],
  [
    /ext\.super\.features superblock feature bits are set, but rev_level/u,
    "e2fsck says so only when it may repair",
  ],
];

const folder = mkdtempSync(join(places["tmpfs"] ?? tmpdir(), "daxkit-sweep-"));
afterAll(() => rmSync(folder, { recursive: true }));

const names = Object.keys(CHECK_IMAGES).filter((_, i) => WHOLE || i % 3 === 1);

function told({ image, site, before, after, sealed, theirs, ours }: Verdict): string {
  const found = ours.map(({ code, where, text }) => `${code} ${where} ${text}`).slice(0, 2);
  const change = `${site} ${before}->${after}${sealed ? "" : " (checksum left)"}`;
  const both = [`e2fsck: ${theirs.slice(0, 2).join(" / ")}`, `ours: ${found.join(" / ")}`];
  return `${image}: ${change} | ${both.join(" | ")}`;
}

/** What both should have agreed on, and did not. */
function disagreements(verdicts: readonly Verdict[]): string[] {
  const all = verdicts.filter(({ agree }) => !agree).map(told);
  return all.filter((text) => !DIFFERENCES.some(([rule]) => rule.test(text)));
}

describe.skipIf(judges.missing)(`e2fsck agrees${judges.hint}`, () => {
  const tree = join(folder, "tree");
  const deepTree = join(folder, "deep");
  beforeAll(() => {
    makeCheckTree(tree);
    makeDeepTree(deepTree);
  });

  describe.each(names)("%s", (name) => {
    let sweep: Sweep;
    const prng = new Prng(SEED);
    const share = Math.ceil(CASES / names.length / 3);
    beforeAll(() => {
      const image = CHECK_IMAGES[name];
      if (image === undefined) throw new Error(name);
      const bytes = makeCheckImage(image, image.deep === true ? deepTree : tree, folder);
      sweep = new Sweep(name, bytes, folder);
    });

    test("fields with odd values", () => {
      expect(disagreements(sweep.someFields(prng, share))).toEqual([]);
    });

    test("blocks with other contents", () => {
      expect(disagreements(sweep.someBlocks(prng, share))).toEqual([]);
    });

    // debugfs waits for other machines before it writes to such an image.
    if (name === "ext4-mmp") return;
    test("commands of debugfs", () => {
      const some = sweep.someCommands(prng, Math.ceil(share / 2), checkCommands());
      expect(disagreements(some)).toEqual([]);
    });
  });
});
