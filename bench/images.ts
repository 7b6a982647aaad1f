/**
 * The images that benches read, made by mke2fs on tmpfs, so that no disk is measured.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Prng } from "../src/lib/prng.ts";

/** A scratch folder in memory, removed when the process ends. */
export function scratch(): string {
  const folder = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "daxkit-bench-"));
  process.once("exit", () => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/**
 * An ext4 image of `size` (as truncate reads it), filled from the folder `source` if given; `words`
 * go to mke2fs.
 */
export function makeImage(
  path: string,
  size: string,
  source?: string,
  words: readonly string[] = [],
): string {
  execFileSync("truncate", ["-s", size, path]);
  const fill = source === undefined ? words : [...words, "-d", source];
  const lazy = ["-E", "lazy_itable_init=1,lazy_journal_init=1"];
  execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", "-b", "4096", ...lazy, ...fill, path], {
    stdio: "pipe",
  });
  return path;
}

/** A folder with one file `name` of `length` random bytes. */
export function folderWithFile(root: string, name: string, length: number): string {
  const folder = join(root, "source");
  mkdirSync(folder);
  const block = new Uint8Array(1 << 20);
  const random = new Prng(1);
  for (let i = 0; i < block.length; i++) block[i] = random.below(256);
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += block.length) {
    block[0] = at / block.length;
    bytes.set(block, at);
  }
  writeFileSync(join(folder, name), bytes);
  return folder;
}

/** A folder with `count` files of 0 to 4000 bytes, a hundred to a directory. */
export function folderWithManyFiles(root: string, count: number): string {
  const folder = join(root, "many");
  const random = new Prng(2);
  for (let i = 0; i < count; i++) {
    const directory = join(folder, `d${Math.floor(i / 100)}`);
    if (i % 100 === 0) mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, `f${i % 100}`), Buffer.alloc(random.below(4000), i % 251));
  }
  return folder;
}
