import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe } from "vitest";
import { openVolume } from "../../src/node/volume.ts";
import { programs } from "../judges/judge.ts";
import { makeFolder } from "../support/host-tree.ts";
import { conformsToFilesystem } from "./filesystem-cases.ts";

const mke2fs = programs(["mke2fs"], "apt-get install e2fsprogs");

/** What mke2fs is told, by what it makes. */
const KINDS: Readonly<Record<string, readonly string[]>> = {
  "ext2, 1 KiB blocks, small inodes": ["-t", "ext2", "-b", "1024", "-I", "128"],
  "ext3, 2 KiB blocks": ["-t", "ext3", "-b", "2048"],
  "ext4, 4 KiB blocks": ["-t", "ext4", "-b", "4096"],
  "ext4 with inline data": ["-t", "ext4", "-b", "1024", "-O", "inline_data"],
  "ext4 with bigalloc": ["-t", "ext4", "-b", "4096", "-O", "bigalloc", "-C", "65536"],
};

describe.skipIf(mke2fs.missing)(`ext${mke2fs.hint}`, () => {
  for (const [name, options] of Object.entries(KINDS)) {
    conformsToFilesystem(
      name,
      (root) => {
        const folder = makeFolder();
        const image = join(folder, "image");
        // mke2fs 1.47 forgets a hole at the end of a file when it may store data inline.
        if (options.includes("inline_data")) rmSync(join(root, "tail"));
        execFileSync("mke2fs", ["-q", "-F", ...options, "-d", root, image, "32M"], {
          stdio: "pipe",
        });
        const volume = openVolume(image);
        const done = (): void => {
          volume.close();
          rmSync(folder, { recursive: true });
        };
        return { filesystem: volume.filesystem, done };
      },
      // mke2fs -d keeps whole seconds, and 32 bits of them.
      { extra: ["lost+found"], nanoseconds: 1e9, wideTimes: false },
    );
  }
});
