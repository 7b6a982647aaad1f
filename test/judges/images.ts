/**
 * Makes the images of the matrix with mke2fs and this machine's kernel.
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { age, dirty } from "./ageing.ts";
import { withLoopMount } from "./loop-mount.ts";
import type { Variant } from "./variants.ts";

/** Exit status of e2fsck. */
const CORRECTED = 1;

/** Where one variant lives while it is judged. */
export interface MatrixImage {
  /** What daxkit reads. */
  readonly image: string;
  /** What the kernel mounts: the same bytes, in a file of its own because replay writes. */
  readonly reference: string;
}

function run(command: string, ...args: readonly string[]): void {
  execFileSync(command, args, { stdio: "pipe" });
}

/** Has e2fsck repair what it finds. */
function correct(image: string): void {
  const { status, stderr } = spawnSync("e2fsck", ["-fy", image], { encoding: "utf8" });
  if (status !== 0 && status !== CORRECTED) throw new Error(`e2fsck -fy: ${status} ${stderr}`);
}

function sparseCopy(from: string, to: string): void {
  run("cp", "--sparse=always", from, to);
}

/**
 * A quiet mount: long commit interval, so that what is dirty at the copy stays in the journal. The
 * kernel writes committed blocks in place when the log is full or at a sync, and neither happens.
 */
function quiet({ mke2fs, mount }: Variant): string {
  const journal = !mke2fs.includes("ext2") && !mke2fs.some((word) => word.includes("^has_journal"));
  return [journal ? "commit=900" : "rw", "noatime", ...(mount === undefined ? [] : [mount])].join();
}

/** Makes the image of `variant` from `source` in `folder`; `mount` is an empty folder. */
export function makeImage(
  variant: Variant,
  source: string,
  folder: string,
  mount: string,
): MatrixImage {
  const image = join(folder, `${variant.name}.img`);
  const reference = join(folder, `${variant.name}.reference.img`);
  run("truncate", "-s", variant.size ?? "64M", image);
  run("mke2fs", "-q", "-F", ...variant.mke2fs, "-d", source, image);
  // mke2fs counts what each owner uses before -d fills the image; e2fsck counts again.
  if (variant.quota === true) correct(image);
  const options = quiet(variant);
  if (variant.life === "aged") withLoopMount(image, mount, options, age);
  if (variant.life === "dirty") {
    const live = `${image}.live`;
    fs.renameSync(image, live);
    withLoopMount(live, mount, options, (root) => {
      age(root);
      dirty(root);
      sparseCopy(live, image);
    });
    fs.unlinkSync(live);
  }
  sparseCopy(image, reference);
  return { image, reference };
}
