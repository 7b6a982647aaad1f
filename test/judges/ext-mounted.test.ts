/**
 * Filesystems that we mount, change and unmount, against e2fsck.
 */
import { describe, expect, test } from "vitest";
import { S_IFCHR, S_IFIFO, S_IFLNK } from "../../src/vfs/modes.ts";
import { mountToWrite, plainDirectory, plainFile, writingOf } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";
import { MADE_IMAGES, madeImage } from "../support/made-images.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";

const e2fsprogs = programs(["mke2fs", "e2fsck"], "apt-get install e2fsprogs");
const kinds = Object.entries(MADE_IMAGES);

describe.skipIf(e2fsprogs.missing)(`e2fsck${e2fsprogs.hint}`, () => {
  test.each(kinds)("%s: mounted and unmounted", (_, options) => {
    const image = madeImage(options, options.includes("65536") ? 64 : 16);
    mountToWrite(image).unmount();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
  });

  test.each(kinds)("%s: every operation once", (_, options) => {
    const image = madeImage(options, options.includes("65536") ? 64 : 16);
    const filesystem = mountToWrite(image);
    const root = writingOf(filesystem.root);
    const a = root.make("a", plainDirectory);
    const b = root.make("b", plainDirectory);
    const file = writingOf(a).make("file", plainFile);
    writingOf(a).make("fast", { ...plainFile, mode: S_IFLNK, target: "x".repeat(59) });
    writingOf(a).make("slow", { ...plainFile, mode: S_IFLNK, target: "y".repeat(60) });
    writingOf(a).make("device", { ...plainFile, mode: S_IFCHR | 0o600, rdev: 0x12345 });
    writingOf(a).make("fifo", { ...plainFile, mode: S_IFIFO | 0o600 });
    writingOf(b).link("hard", file);
    writingOf(a).make("sub", plainDirectory);
    writingOf(a).rename("sub", b, "moved");
    writingOf(a).rename("file", b, "hard");
    writingOf(a).rename("fast", a, "slow");
    writingOf(b).rename("moved", a, "device", { exchange: true });
    writingOf(file).change({ mode: 0o4755, uid: 70_000, mtime: { sec: 2 ** 33, nsec: 5 } });
    writingOf(file).setxattr("user.a", new Uint8Array(40));
    writingOf(file).setxattr("user.b", new Uint8Array(600));
    writingOf(file).removexattr("user.a");
    const unnamed = writingOf(b).makeUnnamed(plainFile);
    writingOf(unnamed).hold();
    writingOf(b).link("named", unnamed);
    writingOf(unnamed).release();
    expect([...a.readdir(0)].map(({ name }) => name).toSorted()).toEqual(
      [".", "..", "device", "fifo", "file", "slow"].toSorted(),
    );
    writingOf(a).unlink("slow");
    writingOf(a).rmdir("device");
    writingOf(b).unlink("hard");
    filesystem.unmount();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
  });
});
