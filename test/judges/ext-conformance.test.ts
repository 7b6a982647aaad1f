/**
 * ext images made by mke2fs from a tree of the host, through the suite for every filesystem.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe } from "vitest";
import { conformsToFilesystem } from "../conformance/filesystem-cases.ts";
import { mountBytes } from "../support/ext-images.ts";
import { withFolder } from "../support/host-tree.ts";
import { programs } from "./judge.ts";

const judge = programs(["mke2fs"], "apt-get install e2fsprogs");

/** The rarer kinds; blocks above a page are among them, which only some kernels mount. */
const VARIANTS = [
  "-t ext2 -b 1024 -r 0 -O none",
  "-t ext2 -b 4096 -O ^dir_index",
  "-t ext4 -b 4096 -O ea_inode,large_dir,metadata_csum_seed",
  "-t ext4 -b 1024 -g 1024 -O meta_bg,^resize_inode,^flex_bg",
  "-t ext4 -b 65536",
];

describe.skipIf(judge.missing)(`images by mke2fs${judge.hint}`, () => {
  for (const variant of VARIANTS) {
    const mount = (root: string): { filesystem: ReturnType<typeof mountBytes> } =>
      withFolder((folder) => {
        const image = join(folder, "image");
        const options = [...variant.split(" "), "-q", "-F", "-N", "2000", "-d", root];
        execFileSync("mke2fs", [...options, image, "48M"], { stdio: "pipe" });
        return { filesystem: mountBytes(readFileSync(image)) };
      });
    const limits = { extra: ["lost+found"], nanoseconds: 1e9, wideTimes: false };
    conformsToFilesystem(variant, mount, limits);
  }
});
