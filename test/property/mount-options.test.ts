/** `-o`: laws on generated lists. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { readMountOptions, splitOptions } from "../../src/cli/mount-options.ts";
import { MOUNT_WORDS, WITHOUT_EFFECT } from "../../src/cli/mount-words.ts";
import { isDaxError } from "../../src/lib/errno.ts";

const VALUES: Readonly<Record<string, readonly string[]>> = {
  user: ["", "=joe"],
  uid: ["=0", "=1000"],
  gid: ["=4294967294"],
  umask: ["=0", "=0777"],
  fsname: ["=x", "=a=b"],
  subtype: ["="],
  offset: ["=512", "=1M"],
  partition: ["=1"],
  dax: ["", "=never", "=inode"],
  commit: ["=0", "=5"],
  errors: ["=panic", "=continue"],
  data: ["=ordered"],
};

const known = fc.constantFrom(
  ...Object.keys(MOUNT_WORDS).flatMap((name) => (VALUES[name] ?? [""]).map((v) => name + v)),
);
const other = fc.constantFrom(...WITHOUT_EFFECT, "x-y=z");
const words = fc.array(fc.oneof({ weight: 3, arbitrary: known }, other), { maxLength: 12 });

test("whatever text it is, it is read or refused with an errno", () => {
  const near = fc.array(fc.oneof(known, fc.string(), fc.constantFrom("=", ",", '"', "\\", "\0")));
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        near.map((each) => each.join("")),
      ),
      (text) => {
        try {
          readMountOptions([text]);
        } catch (error) {
          if (!isDaxError(error, "EINVAL", "ENOTSUP")) throw error;
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test("lists one behind the other are one list", () => {
  fc.assert(
    fc.property(words, words, (one, two) => {
      const apart = readMountOptions([one.join(","), two.join(",")]);
      expect(apart).toEqual(readMountOptions([[...one, ...two].join(",")]));
    }),
  );
});

test("a list said twice says the same as once, and the last word has the last word", () => {
  fc.assert(
    fc.property(words, known, (list, last) => {
      const once = readMountOptions([...list]).settings;
      expect(readMountOptions([...list, ...list]).settings).toEqual(once);
      const with1 = readMountOptions([...list, last]).settings;
      expect(readMountOptions([...list, last, last]).settings).toEqual(with1);
    }),
  );
});

test("what has no effect has none, wherever it stands", () => {
  fc.assert(
    fc.property(words, (list) => {
      const { settings, ignored } = readMountOptions(list);
      const rest = list.filter((word) => !ignored.includes(word));
      expect(readMountOptions(rest).settings).toEqual(settings);
    }),
  );
});

test("words are found again, however they are quoted", () => {
  const quotings = fc.constantFrom<(word: string) => string>(
    (word) => word.replaceAll(/[\\,"]/gu, String.raw`\$&`),
    (word) => `"${word.replaceAll(/[\\"]/gu, String.raw`\$&`)}"`,
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string({ minLength: 1 }), quotings)), (list) => {
      const text = list.map(([word, quote]) => quote(word)).join(",");
      expect(splitOptions(text)).toEqual(list.map(([word]) => word));
    }),
  );
});
