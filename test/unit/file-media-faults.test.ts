/**
 * A file cut behind our back: typed errors at the next checked call, and the process lives.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { libc } from "../../src/node/libc.unsafe.ts";
import { answerOf, runChild } from "../support/child.ts";
import { places, scratch } from "../support/scratch.ts";

const without = libc() === undefined ? " (needs the koffi package)" : "";

const gone = (path: string, offset: number) =>
  expect.stringMatching(`^EIO ${path} the page at offset ${offset} is gone: the file was cut`);

for (const [place, folder] of Object.entries(places)) {
  test.skipIf(without !== "")(
    `${place}: a load finds zeros, and the next call says EIO${without}`,
    () => {
      const path = scratch(folder);
      expect(answerOf("truncated", [path, "load"])).toEqual({
        before: 7,
        gone: 0,
        check: gone(path, 12288),
        again: "none",
        window: gone(path, 12288),
        other: "none",
        bad: [{ start: 12288, length: 4096 }],
      });
    },
  );

  test.skipIf(without !== "")(`${place}: copies, loops and stores survive it${without}`, () => {
    const path = scratch(folder);
    expect(answerOf("truncated", [path, "ways"])).toMatchObject({
      copy: [7, 7, 0, 0],
      atCopy: gone(path, 4096),
      loop: 0,
      atLoop: gone(path, 8192),
      atFlush: gone(path, 16384),
      flushElsewhere: "none",
      bad: [{ start: 4096, length: 16384 }],
    });
  });

  test.skipIf(without !== "")(`${place}: write-back instructions survive it${without}`, () => {
    const path = scratch(folder);
    expect(answerOf("truncated", [path, "lines"])).toEqual({
      immediate: gone(path, 8192),
      queued: "none",
      fence: gone(path, 512000),
      copy: gone(path, 999424),
      count: 3,
    });
  });

  test.skipIf(without !== "")(`${place}: pages that came back can be cleared${without}`, () => {
    const path = scratch(folder);
    expect(answerOf("truncated", [path, "repair"])).toEqual({
      lost: 0,
      error: gone(path, 8192),
      hopeless: 0,
      cleared: 4096,
      bad: [],
      healed: 9,
      fence: "none",
      window: "none",
    });
  });

  test.skipIf(without !== "")(`${place}: a stitched mapping survives it${without}`, () => {
    const path = scratch(folder);
    expect(answerOf("truncated", [path, "stitched"])).toEqual({
      gone: 0,
      hole: 0,
      kept: 7,
      error: gone(path, 8192),
      bad: [{ start: 8192, length: 4096 }],
    });
  });
}

test.skipIf(without !== "")(`thousands of faults at once are all known${without}`, () => {
  const path = scratch();
  expect(answerOf("truncated", [path, "flood"])).toMatchObject({
    zeros: 0,
    bad: [{ start: 4096, length: 5999 * 4096 }],
  });
});

test.skipIf(without !== "")(`workers and the main thread each keep their handler${without}`, () => {
  const path = scratch();
  expect(answerOf("truncated", [path, "workers"])).toEqual({
    inside: { value: 0, error: expect.stringContaining(`EIO ${path}.worker`) },
    value: 0,
    error: expect.stringContaining(`EIO ${path} the page at offset 49152`),
  });
});

test.skipIf(without !== "")(
  `without the handler, or by a signal sent, a process dies${without}`,
  () => {
    expect(runChild("truncated", [scratch(), "unguarded"]).signal).toBe("SIGBUS");
    expect(runChild("truncated", [scratch(), "foreign"]).signal).toBe("SIGBUS");
  },
);

test.skipIf(without !== "")(`metadata that is gone is EIO and no hole${without}`, () => {
  const image = scratch();
  const fixture = join(import.meta.dirname, "../../fixtures/ext/ext2-1k.img.gz");
  writeFileSync(image, gunzipSync(readFileSync(fixture)));
  expect(answerOf("truncated-image", [image, "/big", "/again"])).toEqual({
    size: 1_048_576,
    first: expect.stringMatching(/^EIO .* is gone: the file was cut to 4096 of/u),
    again: expect.stringMatching(/^EIO .*inode \d+ block map \d+ lies on poisoned memory/u),
    inode: expect.stringMatching(/^EIO .* is gone: the file was cut to 4096 of/u),
  });
});

test.skipIf(libc() === undefined)("a leg of a mapped device has what its file has now", () => {
  const path = scratch();
  const lost = expect.stringMatching(/^EIO/u);
  const small = expect.stringMatching(/^EINVAL .*too small for target: .*dev_size=2048/u);
  expect(answerOf("cut-leg", [path])).toEqual({
    cut: [lost, "none", lost],
    load: small,
    small: "none",
    partly: ["none", 0, lost],
    whole: ["none", "none", "none"],
    again: ["none", 7, "none"],
  });
});
