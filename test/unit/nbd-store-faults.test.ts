/**
 * A mapped store whose file is cut, or whose file system is full: errors, and the process lives.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { isDaxError } from "../../src/lib/errno.ts";
import { openFileMedia } from "../../src/node/file-media.ts";
import { libc } from "../../src/node/libc.unsafe.ts";
import { shareStore } from "../../src/node/nbd/mapped-store.ts";
import { answerOf } from "../support/child.ts";
import { places, scratch } from "../support/scratch.ts";

const none = libc() === undefined;
const why = none ? " (no foreign calls here)" : "";

for (const [name, parent] of Object.entries(places)) {
  test.skipIf(none)(`a file cut behind our back is EIO, on ${name}${why}`, () => {
    const path = scratch(parent);
    expect(answerOf("nbd-store-faults", [path])).toEqual({
      readBefore: "ok",
      read: "EIO",
      readAcross: "EIO",
      write: "EIO",
      zeroes: "EIO",
      trim: "EIO",
      persist: "EIO",
      flush: "EIO",
      allocation: "EIO",
      writeBefore: "ok",
      size: 4 << 20,
    });
    // A write to what is gone has not brought it back.
    expect(statSync(path).size).toBe(8192);
  });
}

function tinyTmpfs(): string | undefined {
  const folder = mkdtempSync(join(tmpdir(), "daxkit-full-"));
  const mounted =
    spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]).status === 0;
  onTestFinished(() => {
    if (mounted) spawnSync("umount", [folder]);
    rmSync(folder, { recursive: true, force: true });
  });
  return mounted ? folder : undefined;
}

const unable = none || process.getuid?.() !== 0;
test.skipIf(unable)(
  `a full tmpfs is ENOSPC${unable ? " (needs root to mount)" : ""}`,
  (context) => {
    const folder = tinyTmpfs();
    if (folder === undefined) context.skip("mounting is refused here");
    expect(answerOf("nbd-store-faults", [join(folder!, "disk"), "full"])).toMatchObject({
      readBefore: "ok",
      write: "ENOSPC",
      zeroes: "ENOSPC",
      persist: "ok",
      flush: "ok",
      allocation: "ok",
      writeBefore: "ok",
    });
  },
);

test.skipIf(none)(`media that is shared is not closed under those who hold it${why}`, () => {
  const path = scratch();
  writeFileSync(path, new Uint8Array(8192));
  const media = openFileMedia(path);
  const first = shareStore(media)!;
  const second = shareStore(media)!;
  first.release();
  first.release();
  expect(() => media.close()).toThrow(expect.toSatisfy((error) => isDaxError(error, "EBUSY")));
  second.release();
  media.close();
});

test.skipIf(none)(`a store of media that grew reaches each of its mappings${why}`, () => {
  const media = openFileMedia(scratch(), { create: 8192 });
  media.grow(65536);
  const shared = shareStore(media)!;
  const { store } = shared;
  const bytes = Uint8Array.from({ length: 65536 }, (_, i) => (i * 7) & 255);
  store.write(0, bytes);
  store.persist(4096, 8192);
  const target = new Uint8Array(65536);
  store.read(0, target);
  expect(Buffer.compare(target, bytes)).toBe(0);
  expect(store.direct.addressOf(0, 65536)).toBe(0);
  expect(store.direct.addressOf(16_384, 4096)).toBeGreaterThan(0);
  shared.release();
  media.close();
});
