/** What a mount for writing does though nobody calls it. */
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { MmpStruct } from "../../src/format/ext-group.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { type Environment, seededEnvironment } from "../../src/lib/environment.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { bytesOf } from "../support/writable-pair.ts";

/** A world whose clock stands still until it is told otherwise. */
function withClock(): {
  readonly environment: Environment;
  readonly pass: (seconds: number) => void;
} {
  let sec = 1_000_000_000;
  const environment = { ...seededEnvironment(1), clock: { now: () => ({ sec, nsec: 0 }) } };
  return { environment, pass: (seconds) => void (sec += seconds) };
}

function mountWith(features: string, commit: number) {
  const media = new RamMedia(2 ** 23);
  makeVolume(media, { zeroed: true, features });
  const bytes = bytesOf({ media });
  const world = withClock();
  const disk = new RamDisk({ name: "ram0", bytes });
  const filesystem = ext.mount(disk, { write: true, commit }, world.environment) as ExtFilesystem;
  return { bytes, filesystem, ...world };
}

describe("a tick", () => {
  test("commits what is older than it may be, and nothing else", () => {
    const { filesystem, pass } = mountWith("", 30);
    const tree = new FileTree(filesystem);
    tree.mkdir("/dir");
    const { journal } = filesystem.writing!;
    const before = journal.committed;
    pass(29);
    filesystem.tick();
    expect(journal.committed).toBe(before);
    pass(2);
    filesystem.tick();
    expect(journal.committed).not.toBe(before);
    tree.close();
    filesystem.tick();
  });

  test("counts on for other machines, and finds out that one of them took it", () => {
    const { bytes, filesystem, pass } = mountWith("mmp", 30);
    const { mmpBlock, blockSize } = filesystem.volume.superblock;
    const view = new DataView(bytes.buffer, bytes.byteOffset + mmpBlock * blockSize);
    const sequence = (): number => MmpStruct.seq.get(view, 0);
    const first = sequence();
    filesystem.tick();
    expect(sequence()).toBe(first);
    pass(60);
    filesystem.tick();
    expect(sequence()).toBe(first + 1);
    // Whatever is there now, it is not what was written.
    bytes.fill(0, mmpBlock * blockSize, mmpBlock * blockSize + 4);
    pass(60);
    let code = "none";
    try {
      filesystem.tick();
    } catch (error) {
      if (isDaxError(error)) ({ code } = error);
    }
    expect(code).toMatch(/^(EBUSY|EUCLEAN)$/u);
    expect(filesystem.writing?.journal.error).toBeDefined();
    filesystem.tick();
    expect(() => filesystem.unmount()).toThrow(/^EIO/u);
  });
});
