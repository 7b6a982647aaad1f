/**
 * Everything that may change a filesystem, by chance and through every door: calls on paths and
 * open files, stores through mappings, and what happens by itself.
 */
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import type { FileTree } from "../../src/vfs/file-tree.ts";
import type { Mapping } from "../../src/vfs/mapping.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import { noise } from "./bytes.ts";

const PAGE = 4096;

/** A tree with a file that is open and mapped, with one that has lost its name, and their doors. */
export interface Stormy {
  readonly tree: FileTree;
  readonly file: OpenFile;
  readonly mapping: Mapping;
  readonly nameless: OpenFile;
}

/** Opens what a storm needs. */
export function stormy(tree: FileTree): Stormy {
  tree.mounts.root.accessRule = { times: "strict" };
  const file = tree.open("/mapped", { create: true, access: "readwrite" });
  file.write(noise(3, 8 * PAGE));
  const mapping = file.map({ access: "write" });
  const nameless = tree.open("/nameless", { create: true, access: "readwrite" });
  nameless.write(noise(4, 2 * PAGE));
  tree.unlink("/nameless");
  nameFiles(tree);
  return { tree, file, mapping, nameless };
}

/** The names that a storm takes away. */
export function nameFiles(tree: FileTree): void {
  if (![...tree.readdir("/")].some(({ name }) => name === "d")) tree.mkdir("/d");
  tree.open("/d/f", { create: true, access: "write" }).close();
}

/** What a call said: a word, or the code of its error. */
export type Said = readonly [door: string, outcome: string];

/** Each door once, in an order by chance, with bytes by chance. */
export function storm({ tree, file, mapping, nameless }: Stormy, seed: number): Said[] {
  const prng = new Prng(seed);
  const at = () => prng.u32() % (7 * PAGE);
  const bytes = () => noise(prng.u32(), 1 + (prng.u32() % 5000));
  const doors: Readonly<Record<string, () => unknown>> = {
    pwrite: () => file.pwrite(bytes(), at()),
    grow: () => file.pwrite(bytes(), 40 * PAGE + at()),
    store: () => mapping.copyIn(at(), bytes().subarray(0, 400)),
    "scalar store": () => mapping.setUint32(at(), prng.u32()),
    truncate: () => file.truncate(PAGE + at()),
    fallocate: () => file.fallocate("punch", PAGE, PAGE),
    create: () => tree.open(`/n${prng.u32()}`, { create: true, access: "write" }).close(),
    mkdir: () => tree.mkdir(`/m${prng.u32()}`),
    symlink: () => tree.symlink("x", `/s${prng.u32()}`),
    link: () => tree.link("/d/f", `/l${prng.u32()}`),
    rename: () => tree.rename("/d/f", `/r${prng.u32()}`),
    unlink: () => tree.unlink("/d/f"),
    rmdir: () => tree.rmdir("/d"),
    chmod: () => tree.chmod("/mapped", 0o600 + (prng.u32() % 8)),
    utimes: () => tree.utimes("/mapped", { mtime: { sec: prng.u32(), nsec: 0 } }),
    setxattr: () => tree.setxattr("/mapped", "user.a", bytes().subarray(0, 20)),
    read: () => file.pread(new Uint8Array(100), at()),
    load: () => mapping.getUint32(at()),
    list: () => [...tree.readdir("/")],
    msync: () => mapping.flush(),
    fsync: () => file.sync(),
    sync: () => tree.sync(),
    tick: () => tree.mounts.root.filesystem.tick?.(),
    "nameless write": () => nameless.pwrite(bytes(), at()),
  };
  const names = Object.keys(doors);
  const said: Said[] = [];
  while (names.length > 0) {
    const [name] = names.splice(prng.u32() % names.length, 1) as [string];
    said.push([name, outcomeOf(doors[name] as () => unknown)]);
  }
  return said;
}

function outcomeOf(call: () => unknown): string {
  try {
    call();
    return "done";
  } catch (error) {
    if (isDaxError(error)) return error.code;
    throw error;
  }
}
