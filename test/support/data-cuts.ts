/**
 * Files that are written to on a disk whose power may be cut, and what may be found of them: the
 * bytes that a sync promised, or what was written over them since. Never what a block held before.
 */
import { daxRead } from "../../src/dax/file-io.ts";
import { ext, type ExtMountOptions } from "../../src/fs/ext/ext.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import type { Filesystem } from "../../src/vfs/filesystem.ts";
import { CutDisk } from "./cut-disk.ts";
import { DataStream, STALE } from "./data-stream.ts";
import { emptyImage } from "./ext-cut-work.ts";
import { fillFree } from "./fill-free.ts";
import type { SparseBytes } from "./sparse-bytes.ts";

type Models = ReadonlyMap<string, SparseBytes>;

/** A disk that is cut, and what its files held after each call. */
export interface DataWork {
  readonly disk: CutDisk;
  readonly versions: readonly Models[];
}

/** Writes, cuts and syncs; every sync is a promise. */
export function dataWork(
  options: MakeExtOptions,
  mount: ExtMountOptions,
  { calls, seed }: { readonly calls: number; readonly seed: number },
): DataWork {
  const image = emptyImage(options);
  fillFree(image, STALE);
  const disk = new CutDisk(image);
  const filesystem = ext.mount(disk.device, { write: true, ...mount }, seededEnvironment(seed));
  const stream = new DataStream(filesystem, new Prng(seed), {
    files: 3,
    reach: 150 << 10,
    longest: 65_536,
    deletes: false,
  });
  filesystem.sync?.();
  const versions = [stream.models];
  disk.promise(1);
  for (let i = 1; i <= calls; i++) {
    stream.step();
    versions.push(stream.models);
    if (i % 5 > 0) continue;
    filesystem.sync?.();
    disk.promise(versions.length);
  }
  filesystem.unmount();
  disk.promise(versions.length);
  return { disk, versions };
}

/**
 * What is wrong with the files that a recovery found; 0: none was promised yet. `repaired`: there
 * was no journal, and a repair may have made a file longer, up to the last block that it has.
 */
export function dataComplaints(
  filesystem: Filesystem,
  versions: readonly Models[],
  promised: number,
  repaired = false,
): string[] {
  const found: string[] = [];
  if (promised === 0) return found;
  for (const name of (versions[0] as Models).keys()) {
    const since = versions.slice(promised - 1).map((models) => models.get(name) as SparseBytes);
    found.push(...fileComplaints(filesystem, name, since, repaired));
  }
  return found;
}

function fileComplaints(
  filesystem: Filesystem,
  name: string,
  since: readonly SparseBytes[],
  repaired: boolean,
): string[] {
  const inode = filesystem.root.lookup(name);
  if (inode === undefined) return [`${name} is gone`];
  const { size } = inode;
  const sizes = since.map((version) => version.size);
  const grown = sizes.some((now, i) => i > 0 && size > (sizes[i - 1] as number) && size < now);
  const longer = repaired && size > Math.min(...sizes);
  if (!grown && !longer && !sizes.includes(size))
    return [`${name}: ${size} bytes; promised ${sizes[0]}`];
  const bytes = new Uint8Array(size);
  daxRead(inode, bytes, 0);
  const candidates = since.map((version) => version.read(0, size));
  // Zeros come in front of what a file that was cut and grows writes into its last block.
  const bad = bytes.findIndex((byte, i) => {
    if (longer && candidates.some((one) => one[i] === undefined)) return byte === STALE;
    return candidates.every((one) => (one[i] ?? 0) !== byte);
  });
  if (bad < 0) return [];
  const may = new Set(candidates.map((one) => one[bad]));
  return [`${name}: byte ${bad} of ${size} is ${bytes[bad]}, not ${[...may].join(" or ")}`];
}
