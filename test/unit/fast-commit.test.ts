/** Which fast commits count, as Linux 6.18 judges them. */
import { describe, expect, test } from "vitest";
import {
  EXT4_FC_TAG_CREAT,
  EXT4_FC_TAG_HEAD,
  EXT4_FC_TAG_INODE,
  EXT4_FC_TAG_TAIL,
} from "../../src/format/ext4-fast-commit.ts";
import { crashImage } from "../support/ext-crash-images.ts";
import { manifestOf, mountBytes } from "../support/ext-images.ts";
import { type Tag, sealTails, tagsOf } from "../support/fast-commit-area.ts";

const NAME = "fc-names";

/** Changes the `n`-th record of a kind; `seal` makes the checksums right again. */
function changed(
  tag: number,
  n: number,
  seal: boolean,
  edit: (view: DataView, record: Tag) => void,
): Uint8Array {
  const image = crashImage(NAME);
  const tags = tagsOf(image);
  const record = tags.filter((one) => one.tag === tag).at(n) as Tag;
  edit(new DataView(image.buffer, record.at + 4, record.length), record);
  if (seal) sealTails(image, tags);
  return image;
}

function paths(image: Uint8Array): string[] {
  return manifestOf(mountBytes(image)).files.map((line) => line.split(" ")[4] as string);
}

describe("fast commits", () => {
  test("a first tail that fails refuses the journal", () => {
    const image = changed(EXT4_FC_TAG_TAIL, 0, false, (view) => view.setUint32(4, 1));
    expect(() => mountBytes(image)).toThrow(/EBADMSG.*fast-commit area.*tail/u);
    expect(() => mountBytes(image, { noload: true })).not.toThrow();
  });

  test("a later tail that fails ends the area", () => {
    const image = changed(EXT4_FC_TAG_TAIL, 1, false, (view) => view.setUint32(4, 1));
    const shown = paths(image);
    expect(shown).toContain("./new1/file");
    expect(shown).not.toContain("./new2/file");
    expect(shown).not.toContain("./last");
  });

  test("an area of another transaction does not count", () => {
    const image = changed(EXT4_FC_TAG_HEAD, 0, true, (view) => view.setUint32(4, 99, true));
    expect(paths(image)).not.toContain("./new1");
  });

  test("unknown features are refused", () => {
    const image = changed(EXT4_FC_TAG_HEAD, 0, true, (view) => view.setUint32(0, 2, true));
    expect(() => mountBytes(image)).toThrow(/ENOTSUP.*unknown features 0x2/u);
  });

  test("an area that does not start with a head does not count", () => {
    const image = crashImage(NAME);
    const [first] = tagsOf(image);
    image[(first as Tag).at] = 0;
    expect(paths(image)).not.toContain("./new1");
  });

  test("a created file without its inode is refused", () => {
    const image = changed(EXT4_FC_TAG_CREAT, 0, true, (view) => view.setUint32(4, 500, true));
    expect(() => mountBytes(image)).toThrow(/EUCLEAN.*created inode is 500/u);
  });

  test("an inode that no file can have is refused", () => {
    for (const ino of [0, 8, 100_000]) {
      const image = changed(EXT4_FC_TAG_INODE, 0, true, (view) => view.setUint32(0, ino, true));
      expect(() => mountBytes(image)).toThrow(/EUCLEAN.*fast commit: inode is/u);
    }
  });
});
