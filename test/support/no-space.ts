/**
 * Calls of every kind on a disk that grants so many allocations, and then none.
 */
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../../src/vfs/modes.ts";
import type { FallocateMode } from "../../src/vfs/writing.ts";
import type { DataCall } from "./contents-stream.ts";
import { emptyImage } from "./ext-cut-work.ts";
import { mountToWrite } from "./ext-mounted.ts";
import { callOurs, linesOfOurs } from "./namespace-ours.ts";
import type { Call } from "./namespace-stream.ts";

type AnyCall = Call | DataCall;

/** Filesystems that run out of space. */
export const KINDS: Readonly<Record<string, MakeExtOptions>> = {
  "ext4, 1k": { type: "ext4", blockSize: 1024, features: "orphan_file" },
  ext2: { type: "ext2", blockSize: 1024, inodeSize: 256 },
  bigalloc: { type: "ext4", blockSize: 1024, clusterSize: 4096, features: "bigalloc" },
  "inline data": { type: "ext4", blockSize: 1024, inodeSize: 256, features: "inline_data" },
  "no journal, attributes in inodes": {
    type: "ext4",
    blockSize: 1024,
    features: "^has_journal,ea_inode",
  },
};

const make = (path: string, mode = S_IFREG | 0o644): Call => {
  return { op: "make", path, mode, rdev: 0, target: "nowhere/".repeat(40) };
};
const write = (at: string, offset: number, length: number): DataCall => {
  return { op: "write", at, offset, length, seed: 5 };
};
const fallocate = (mode: FallocateMode, offset: number, length: number): DataCall => {
  return { op: "fallocate", at: "frag", mode, offset, length, keepSize: mode === "punch" };
};
const xattr = (path: string, name: string, length: number): Call => {
  return { op: "setxattr", path, name, length, byte: 7, how: "any" };
};
const names = (folder: string, count: number, length: number): Call[] => {
  return Array.from({ length: count }, (_, i) => make(`${folder}/${i}${"x".repeat(length)}`));
};

/** What is there before. `frag` has more extents than a node has room for. */
const BEFORE: readonly AnyCall[] = [
  make("large", S_IFDIR | 0o755),
  ...names("large", 60, 40),
  make("small", S_IFDIR | 0o755),
  ...names("small", 20, 30),
  make("frag"),
  { op: "fallocate", at: "frag", mode: "allocate", offset: 0, length: 200 * 1024, keepSize: false },
  ...Array.from({ length: 84 }, (_, i) => write("frag", 2048 * i, 1024)),
  make("whole"),
  write("whole", 0, 200 * 1024),
  make("sparse"),
  write("sparse", 300_000, 10),
  make("short"),
  write("short", 0, 50),
  make("named"),
  xattr("named", "user.a", 30),
];

/** Calls one after the other, until one finds no room. */
export const WORK: Readonly<Record<string, readonly AnyCall[]>> = {
  "names in a directory that grows": names("small", 50, 50),
  "names in a directory with an index": names("large", 60, 80),
  "directories and links": [
    make("d", S_IFDIR | 0o755),
    make("d/e", S_IFDIR | 0o755),
    make("l", S_IFLNK | 0o777),
    make("d/e/m", S_IFLNK | 0o777),
  ],
  "names that move": [
    ...names("small", 15, 20),
    { op: "rename", from: "short", to: `small/${"r".repeat(200)}`, how: "" },
    { op: "link", from: "sparse", to: `small/${"s".repeat(200)}` },
    { op: "rename", from: "large", to: `small/${"t".repeat(200)}`, how: "" },
    { op: "unlink", path: "frag" },
  ],
  attributes: [
    xattr("named", "user.b", 300),
    xattr("named", "trusted.c", 500),
    xattr("short", "user.c", 200),
    xattr("frag", "user.long", 3000),
    xattr("named", "user.b", 20),
    { op: "removexattr", path: "named", name: "trusted.c" },
    { op: "chmod", path: "named", mode: 0o4755 },
  ],
  writes: [
    write("sparse", 0, 5000),
    write("sparse", 280_000, 40_000),
    write("short", 40, 300),
    write("short", 10_000, 10),
    { op: "append", at: "short", length: 5000, seed: 1 },
    write("frag", 1024 * 3 + 100, 200),
    write("frag", 1024 * 21, 2000),
    write("frag", 300_000, 3000),
  ],
  allocation: [
    fallocate("allocate", 100_000, 300_000),
    fallocate("zero", 2048 * 3, 1024),
    fallocate("zero", 5000, 30_000),
    fallocate("insert", 4096 * 5, 4096),
  ],
  holes: [
    ...Array.from({ length: 90 }, (_, i): DataCall => {
      return { ...fallocate("punch", 2048 * i + 1024, 1024), at: "whole" };
    }),
    fallocate("punch", 2048 * 10, 1024),
    fallocate("punch", 100_100, 1024 * 3),
    fallocate("collapse", 4096 * 20, 4096),
    fallocate("punch", 0, 90_000),
    { op: "truncate", at: "frag", size: 77_000 },
    { op: "truncate", at: "frag", size: 7_000_000 },
  ],
  "files without names": [
    { op: "unnamed", path: "small", slot: 1, mode: S_IFREG | 0o600 },
    { op: "write", at: 1, offset: 0, length: 3000, seed: 2 },
    { op: "name", slot: 1, to: `small/${"u".repeat(220)}` },
    { op: "hold", path: "frag", slot: 2 },
    { op: "unlink", path: "frag" },
    { op: "write", at: 2, offset: 250_000, length: 3000, seed: 2 },
    { op: "drop", slot: 2 },
  ],
};

/** Space that ends. */
interface Grant {
  /** Whether somebody was refused. */
  readonly isSpent: boolean;
  /** From now on there is enough. */
  renew(): void;
}

/** After so many allocations of blocks, or of inodes, there is nothing left. */
function grant({ writing }: ExtFilesystem, what: Scarce, most: number): Grant {
  const editor = writing?.editor;
  const from = what === "blocks" ? editor?.allocator : editor?.inodes;
  if (from === undefined) throw new Error("not mounted for writing");
  const allocate = from.allocate.bind(from) as (...given: readonly unknown[]) => unknown;
  let asked = 0;
  let renewed = false;
  Object.assign(from, {
    allocate: (...given: readonly unknown[]) => {
      if (renewed || asked++ < most) return allocate(...given);
      throw new DaxError("ENOSPC", { detail: "nothing is granted any more" });
    },
  });
  return {
    get isSpent() {
      return asked > most;
    },
    renew() {
      renewed = true;
    },
  };
}

/** What there is too little of. */
export type Scarce = "blocks" | "inodes";

/** A call that found no room. */
export interface Refused {
  readonly call: AnyCall;
  /** The tree before and after it. */
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** Runs calls on an image until one finds no room, and the others with enough of it. */
export function runOut(
  image: Uint8Array<ArrayBuffer>,
  calls: readonly AnyCall[],
  what: Scarce,
  most: number,
): Refused | undefined {
  const filesystem = mountToWrite(image);
  const space = grant(filesystem, what, most);
  let refused: Refused | undefined;
  for (const call of calls) {
    const before = refused === undefined ? linesOfOurs(filesystem) : [];
    const found = callOurs(filesystem, call) !== "ENOSPC" || !space.isSpent;
    if (found || refused !== undefined) continue;
    refused = { call, before, after: linesOfOurs(filesystem) };
    space.renew();
  }
  filesystem.unmount();
  return refused;
}

/** Whether a call may have done a part of what it was asked for. */
export function isPartial({ op }: AnyCall): boolean {
  return op === "write" || op === "append" || op === "fallocate";
}

/** An image with files and directories that are about to need more. */
export function prepared(options: MakeExtOptions): Uint8Array<ArrayBuffer> {
  const image = emptyImage({ inodes: 400, ...options }, 4);
  const filesystem = mountToWrite(image);
  const odd = BEFORE.map((call) => callOurs(filesystem, call)).filter((said) =>
    said.startsWith("E"),
  );
  if (odd.some((code) => code !== "EOPNOTSUPP")) throw new Error(odd.join());
  filesystem.unmount();
  return image;
}
