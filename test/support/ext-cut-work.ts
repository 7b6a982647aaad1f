/**
 * A mounted filesystem on a disk that is cut, under a stream of calls.
 */
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import { changeData } from "./ext-cut-data.ts";
import { CutDisk } from "./cut-disk.ts";
import { plainFile, writingOf } from "./ext-mounted.ts";
import { callOurs, linesOfOurs } from "./namespace-ours.ts";
import { LARGE, NamespaceStream } from "./namespace-stream.ts";

const SYNC_EVERY = 7;

/** Images whose power is cut. */
export const CUT_KINDS = {
  "ext4, 1k": { type: "ext4", blockSize: 1024 },
  "ext4, 4k, orphan file": { type: "ext4", blockSize: 4096, features: "orphan_file" },
  "ext4, no checksums": { type: "ext4", blockSize: 1024, features: "^metadata_csum,^64bit" },
  ext3: { type: "ext3", blockSize: 1024 },
} as const satisfies Readonly<Record<string, MakeExtOptions>>;

/** An image of some MiB, without mke2fs. */
export function emptyImage(options: MakeExtOptions, megabytes = 8): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(megabytes << 20);
  const disk = new RamDisk({ name: "ram0", bytes });
  makeExt(disk, { inodes: 1024, ...options }, seededEnvironment(5));
  return bytes;
}

/** A mounted filesystem on a disk that is cut, and the trees that its calls made. */
export interface Work {
  readonly disk: CutDisk;
  /** The tree after so many calls. */
  readonly trees: readonly string[];
}

/** Everything in a filesystem. */
export function treeOf(filesystem: ExtFilesystem): string {
  return linesOfOurs(filesystem).join("\n");
}

/** Calls on names, attributes and contents; some files are deleted while they are held. */
export function work(options: MakeExtOptions, calls: number): Work {
  const disk = new CutDisk(emptyImage(options));
  const filesystem = ext.mount(disk.device, { write: true }, seededEnvironment(1));
  const mounted = filesystem as ExtFilesystem;
  const stream = new NamespaceStream(new Prng(11), 150);
  const prng = new Prng(12);
  const trees = [treeOf(mounted)];
  callOurs(mounted, LARGE);
  trees.push(treeOf(mounted));
  for (let i = 2; i <= calls; i++) {
    if (i % 50 === 0) {
      const held = writingOf(mounted.root).make(`held${i}`, plainFile);
      writingOf(held).hold();
      trees.push(treeOf(mounted));
      writingOf(mounted.root).unlink(`held${i}`);
      i++;
    } else if (i % 3 === 0) changeData(mounted, prng);
    else callOurs(mounted, stream.next());
    trees.push(treeOf(mounted));
    if (i % SYNC_EVERY > 0) continue;
    filesystem.sync?.();
    disk.promise(trees.length - 1);
  }
  filesystem.unmount();
  disk.promise(trees.length - 1);
  return { disk, trees };
}
