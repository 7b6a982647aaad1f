/**
 * What is frozen is what an unmount would have left: e2fsck finds it clean, and this machine's
 * kernel mounts the copy and reads what was written last, while the volume is still open.
 */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { freezeFilesystem, thawFilesystem } from "../../src/vfs/freezing.ts";
import { noise, same } from "../support/bytes.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { places, scratch } from "../support/scratch.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const KINDS = {
  ext2: { type: "ext2" },
  ext3: { type: "ext3" },
  ext4: { type: "ext4" },
  "ext4, orphan file": { type: "ext4", features: "orphan_file" },
} as const;

const tools = programs(["e2fsck"], "apt-get install e2fsprogs");
const kernel = loopMounts();

describe.each(Object.keys(KINDS) as (keyof typeof KINDS)[])("%s", (kind) => {
  const work = () => {
    const bytes = emptyImage({ blockSize: 4096, ...KINDS[kind] });
    const disk = new RamDisk({ name: "ram0", bytes });
    const filesystem = ext.mount(disk, { write: true }, seededEnvironment(3));
    const tree = new FileTree(filesystem);
    tree.mkdir("/d");
    const file = tree.open("/d/f", { create: true, access: "readwrite" });
    file.write(noise(1, 100_000));
    freezeFilesystem(filesystem);
    return { tree, file, filesystem, bytes };
  };

  test.skipIf(tools.missing)(`[1.15] e2fsck finds it clean, twice${tools.hint}`, () => {
    const { tree, file, filesystem, bytes } = work();
    expect(e2fsckSays(bytes)).toEqual([]);
    thawFilesystem(filesystem);
    file.pwrite(noise(2, 9000), 99_000);
    tree.unlink("/d/f");
    file.close();
    freezeFilesystem(filesystem, { by: "device" });
    expect(e2fsckSays(bytes)).toEqual([]);
  });

  test.skipIf(kernel.missing)(`[1.15] the kernel mounts it${kernel.hint}`, () => {
    const image = scratch(places["tmpfs"] ?? places["disk"], "frozen.img");
    writeFileSync(image, work().bytes);
    const folder = mkdtempSync(join(image, "..", "mnt-"));
    withLoopMount(image, folder, "ro", () => {
      expect(same(readFileSync(join(folder, "d", "f")), noise(1, 100_000))).toBe(true);
    });
  });
});
