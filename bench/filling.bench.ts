/**
 * A new ext4 filesystem with 10,000 small files in it: `daxkit mkfs.ext4 -d` against `mke2fs -d` as
 * whole processes, from a directory and from a tar archive (which mke2fs 1.47.0 cannot read: it is
 * timed with GNU tar unpacking it first), and in one process against ext2fs (libext2fs as
 * WebAssembly), which makes the same files in an empty image one by one, through promises.
 * Everything lies on tmpfs.
 *
 * Each round runs all of them; a ratio is the median of the rounds' ratios.
 */
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { hostTree } from "../src/node/host-tree.ts";
import { makeVolume } from "../src/node/make-volume.ts";
import { awaitQuiet, watchForeign } from "./foreign-load.ts";
import { folderWithManyFiles, makeImage, scratch } from "./images.ts";
import { median, report } from "./measure.ts";

const COUNT = 10_000;
const ROUNDS = 9;
/** Rounds with the peer that takes several seconds for each. */
const SLOW_ROUNDS = 3;
const SIZE = "128M";
/** Of a processor that others may use while something is measured. */
const QUIET = 0.25;
const PATIENCE_MS = 5000;

interface PeerFs {
  readonly promises: {
    mkdir(path: string): Promise<void>;
    writeFile(path: string, data: Uint8Array): Promise<void>;
  };
}
interface Peer {
  withMountedDisk<T>(disk: object, offset: number, body: (fs: PeerFs) => Promise<T>): Promise<T>;
}

const root = scratch();
const folder = folderWithManyFiles(root, COUNT);
const archive = join(root, "many.tar");
execFileSync("tar", ["-C", folder, "-cf", archive, "."]);
const MAIN = join(import.meta.dirname, "..", "dist", "cli", "main.js");
const EMPTY = ["-q", "-F", "-b", "4096"];

/** Runs a command on a new image and says how long it took, in milliseconds. */
function time(name: string, run: (image: string) => void): number {
  const image = join(root, name);
  fs.rmSync(image, { force: true });
  const start = performance.now();
  run(image);
  return performance.now() - start;
}

function execute(command: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}`);
}

function ours(source: string): number {
  return time("ours", (image) =>
    execute(process.execPath, [MAIN, "mkfs.ext4", ...EMPTY, "-d", source, image, SIZE]),
  );
}

function theirs(source: string): number {
  return time("theirs", (image) =>
    execute("mke2fs", ["-t", "ext4", ...EMPTY, "-d", source, image, SIZE]),
  );
}

/** What its users do who have an archive. */
function theirsOfArchive(): number {
  const unpacked = join(root, "unpacked");
  fs.mkdirSync(unpacked);
  const start = performance.now();
  execute("tar", ["-C", unpacked, "-xf", archive]);
  const unpacking = performance.now() - start;
  const making = theirs(unpacked);
  fs.rmSync(unpacked, { recursive: true });
  return unpacking + making;
}

/** In this process, as a library. */
function oursInProcess(source: string): number {
  return time("ours", (image) => {
    makeVolume(image, { tree: hostTree(source), blockSize: 4096, size: { bytes: 2 ** 27 } });
  });
}

/** Without making the empty image that it starts from. */
async function peer(source: string): Promise<number> {
  const ext2fs = createRequire(import.meta.url)("ext2fs") as Peer;
  const path = join(root, "peer");
  fs.rmSync(path, { force: true });
  const fd = fs.openSync(makeImage(path, SIZE), "r+");
  const disk = {
    read: async (buffer: Buffer, at: number, length: number, position: number) => ({
      bytesRead: fs.readSync(fd, buffer, at, length, position),
      buffer,
    }),
    write: async (buffer: Buffer, at: number, length: number, position: number) => ({
      bytesWritten: fs.writeSync(fd, buffer, at, length, position),
      buffer,
    }),
    discard: async () => {},
    flush: async () => {},
    getCapacity: async () => fs.fstatSync(fd).size,
  };
  const start = performance.now();
  await ext2fs.withMountedDisk(disk, 0, ({ promises }) => copyTo(promises, source, ""));
  const took = performance.now() - start;
  fs.closeSync(fd);
  return took;
}

async function copyTo(target: PeerFs["promises"], source: string, path: string): Promise<void> {
  // Its operations are queued one behind the other anyway.
  /* oxlint-disable no-await-in-loop */
  for (const entry of fs.readdirSync(source, { withFileTypes: true })) {
    const [from, to] = [join(source, entry.name), `${path}/${entry.name}`];
    if (!entry.isDirectory()) await target.writeFile(to, fs.readFileSync(from));
    else {
      await target.mkdir(to);
      await copyTo(target, from, to);
    }
  }
  /* oxlint-enable no-await-in-loop */
}

/** As `folder`, but all files in one directory. */
function flatFolder(): string {
  const flat = join(root, "flat");
  fs.mkdirSync(flat);
  for (const directory of fs.readdirSync(folder)) {
    for (const name of fs.readdirSync(join(folder, directory))) {
      fs.linkSync(join(folder, directory, name), join(flat, `${directory}-${name}`));
    }
  }
  return flat;
}

const rounds: { dir: number; mke2fs: number; tar: number; unpacked: number; load: number }[] = [];
for (let round = 0; round <= ROUNDS; round++) {
  // oxlint-disable-next-line no-await-in-loop -- one after the other on purpose
  await awaitQuiet(QUIET, PATIENCE_MS);
  const foreign = watchForeign([]);
  const [dir, mke2fs] = [ours(folder), theirs(folder)];
  const [tar, unpacked] = [ours(archive), theirsOfArchive()];
  // The first round reads programs from disk.
  if (round > 0) rounds.push({ dir, mke2fs, tar, unpacked, load: foreign() });
}
const middle = (of: (round: (typeof rounds)[number]) => number): number => median(rounds.map(of));
const ms = (of: (round: (typeof rounds)[number]) => number): string =>
  `${middle(of).toFixed(0)} ms`;
const load = `${middle(({ load: other }) => other).toFixed(2)} of a processor used by others`;
const toDirectory = middle(({ dir, mke2fs }) => dir / mke2fs);
report({
  what: "mkfs.ext4 -d of 10,000 small files, against mke2fs -d",
  figure: `${toDirectory.toFixed(2)}x its time`,
  target: "at most 2x",
  met: toDirectory <= 2,
  detail: `${ms(({ dir }) => dir)} against ${ms(({ mke2fs }) => mke2fs)}, whole processes; ${load}`,
});
const toArchive = middle(({ tar, unpacked }) => tar / unpacked);
report({
  what: "… of a tar archive of them, against tar -xf and mke2fs -d",
  figure: `${toArchive.toFixed(2)}x their time`,
  target: "at most 2x",
  met: toArchive <= 2,
  detail: `${ms(({ tar }) => tar)} against ${ms(({ unpacked }) => unpacked)}`,
});

/** Files as the other rows have them, and where its linear search of directories shows. */
for (const [source, where] of [
  [folder, "100 to a directory"],
  [flatFolder(), "in one directory"],
] as const) {
  const ratios: number[] = [];
  const times: [number, number][] = [];
  for (let round = 0; round <= SLOW_ROUNDS; round++) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other on purpose
    const [mine, other] = [oursInProcess(source), await peer(source)];
    if (round === 0) continue;
    ratios.push(other / mine);
    times.push([mine, other]);
  }
  const [mine, other] = [0, 1].map((i) => median(times.map((pair) => pair[i] as number)));
  report({
    what: `… ${where}, in one process, against ext2fs, which makes them one by one`,
    figure: `${median(ratios).toFixed(1)}x as fast`,
    target: "at least 20x",
    met: median(ratios) >= 20,
    detail: `${mine?.toFixed(0)} ms against ${other?.toFixed(0)} ms`,
  });
}
