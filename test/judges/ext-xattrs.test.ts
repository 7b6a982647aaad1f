/**
 * Attributes that we change, against e2fsck and debugfs, beside a map of what there should be.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Ext4XattrHeader } from "../../src/format/ext-xattr.ts";
import { openDirectory } from "../../src/fs/ext/directory.ts";
import { DirectoryWriter } from "../../src/fs/ext/directory-writer.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import type { Handle } from "../../src/fs/ext/handle.ts";
import { type InodeRecord, fileAcl, sectorsUsed } from "../../src/fs/ext/inode-record.ts";
import { newRecord, setFileAcl, setSectors, storeRecord } from "../../src/fs/ext/inode-writer.ts";
import { readXattrs, xattrValue } from "../../src/fs/ext/xattr.ts";
import { sealBlock } from "../../src/fs/ext/xattr-layout.ts";
import { parseXattrName } from "../../src/fs/ext/xattr-names.ts";
import {
  XATTR_REVOKES,
  dropXattr,
  releaseXattrs,
  storeXattr,
  xattrCredits,
} from "../../src/fs/ext/xattr-writer.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import { encodeUtf8 } from "../../src/lib/utf8.ts";
import { complaints, type Writing, writeTo } from "../support/ext-writing.ts";
import { madeImage } from "../support/made-images.ts";
import { places, scratch } from "../support/scratch.ts";
import { writeSparse } from "../support/sparse-file.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";
import { loopMounts, withLoopMount } from "./loop-mount.ts";

const tools = ["mke2fs", "e2fsck", "debugfs"];
const e2fsprogs = programs(tools, "apt-get install e2fsprogs");
const kernel = e2fsprogs.missing ? e2fsprogs : loopMounts();
const KINDS: readonly (readonly [string, string])[] = [
  ["ext2, short inodes", "-t ext2 -b 1024 -I 128"],
  ["ext2 without ext_attr", "-t ext2 -b 1024 -I 256 -O ^ext_attr"],
  ["ext3", "-t ext3 -b 4096"],
  ["ext4, 1k", "-t ext4 -b 1024"],
  ["ext4, 4k", "-t ext4 -b 4096"],
  ["ext4 without checksums, long inodes", "-t ext4 -b 4096 -O ^metadata_csum,^64bit -I 512"],
  ["bigalloc", "-t ext4 -b 4096 -O bigalloc"],
];

/** Attributes that Linux puts into inodes of their own. */
const MAKE_VALUES = `
import os, sys
for name in 'de':
    path = sys.argv[1] + '/' + name
    os.mkdir(path)
    os.setxattr(path, 'user.big', bytes(40000))
    os.setxattr(path, 'user.small', b'x')
os.setxattr(sys.argv[1] + '/d', 'user.alone', bytes(range(250)) * 200)
`;

const READ_VALUE = `
import os, sys
sys.stdout.buffer.write(os.getxattr(sys.argv[1], 'user.ours'))
`;

type Model = Map<string, Uint8Array>;

function makeFiles(writing: Writing, count: number): InodeRecord[] {
  const { editor, volume, operate } = writing;
  const root = volume.record(2);
  const directory = new DirectoryWriter(editor, root, new FileMap(volume, root));
  return Array.from({ length: count }, (_, i) =>
    operate((handle) => {
      const ino = editor.inodes.allocate(handle, { parent: 2, directory: false });
      const start = { mode: 0o100644, uid: 0, gid: 0, links: 1, flags: 0, generation: i };
      const record = newRecord(volume, ino, { ...start, time: editor.now() });
      storeRecord(volume, handle, record);
      directory.addEntry(handle, encodeUtf8(`file ${i}`), { ino, type: 1 });
      return record;
    }),
  );
}

function found({ volume }: Writing, ino: number): [string, Uint8Array][] {
  const record = volume.record(ino);
  const list = [...readXattrs(volume, record)].map(([name, entry]): [string, Uint8Array] => [
    name,
    xattrValue(volume, record, entry) as Uint8Array,
  ]);
  return list.toSorted(byName);
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

/** With the credits that a change is said to take, and no more. */
function tightly(
  { journal, volume }: Writing,
  operation: (handle: Handle) => void,
  length = 0,
): void {
  const handle = journal.start(xattrCredits(volume, length), XATTR_REVOKES);
  try {
    operation(handle);
  } finally {
    handle.stop();
  }
}

function change(writing: Writing, record: InodeRecord, model: Model, dice: Prng): string {
  const prefix = ["user.", "trusted.", "security."][dice.below(3)] as string;
  const name = `${prefix}${"n".repeat(dice.below(12))}${dice.below(6)}`;
  const stored = parseXattrName(name);
  try {
    if (dice.below(4) === 0) {
      tightly(writing, (handle) => dropXattr(writing.editor, handle, record, stored));
      model.delete(name);
      return "removed";
    }
    const most = [8, 60, 500, 5000][dice.below(4)] as number;
    const value = Uint8Array.from({ length: dice.below(most) }, () => dice.below(256));
    const mode = (["any", "any", "create", "replace"] as const)[dice.below(4)] as "any";
    tightly(writing, (handle) => storeXattr(writing.editor, handle, record, stored, value, mode));
    model.set(name, value);
    return "set";
  } catch (error) {
    if (!isDaxError(error)) throw error;
    const { code } = error;
    const right = { EEXIST: model.has(name), ENODATA: !model.has(name), ENOSPC: true }[
      code as string
    ];
    if (right !== true) throw error;
    return code;
  }
}

/** Lets `other` use the attribute block of `record`, as Linux does with equal blocks. */
function share({ operate, volume }: Writing, record: InodeRecord, other: InodeRecord): void {
  const { superblock } = volume;
  operate((handle) => {
    const number = fileAcl(superblock, record);
    const copy = handle.get(number);
    Ext4XattrHeader.refcount.set(copy.memory, 0, 2);
    sealBlock(superblock, number, copy.bytes);
    volume.blocks.put(copy, "xattr", superblock.checksumSeed);
    setFileAcl(superblock, other, number);
    setSectors(superblock, other, sectorsUsed(superblock, record));
    storeRecord(volume, handle, other);
  });
}

describe(`e2fsck${e2fsprogs.hint}`, () => {
  test.skipIf(e2fsprogs.missing).each(KINDS)("%s", { timeout: 60_000 }, (_, options) => {
    const image = madeImage(options, 16);
    const writing = writeTo(image);
    const dice = new Prng(11);
    const files = makeFiles(writing, 6);
    const models = files.map((): Model => new Map());
    const seen = new Set<string>();
    for (let i = 0; i < 600; i++) {
      const at = dice.below(files.length);
      seen.add(change(writing, files[at] as InodeRecord, models[at] as Model, dice));
      if (i % 50 === 49) writing.journal.commit();
    }
    expect([...seen].toSorted()).toEqual(["EEXIST", "ENODATA", "ENOSPC", "removed", "set"]);
    for (const [i, { ino }] of files.entries()) {
      expect(found(writing, ino)).toEqual([...(models[i] as Model)].toSorted(byName));
    }
    writing.close();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
  });

  test.skipIf(e2fsprogs.missing)("a shared block is copied, and freed by the last", () => {
    const image = madeImage("-t ext4 -b 4096", 16);
    const writing = writeTo(image);
    const { editor, operate, volume } = writing;
    const [first, second, third] = makeFiles(writing, 3) as [InodeRecord, InodeRecord, InodeRecord];
    const free = editor.allocator.freeBlocks;
    const big = new Uint8Array(1000).fill(7);
    const set = (record: InodeRecord, name: string, value: Uint8Array): void =>
      operate((handle) => storeXattr(editor, handle, record, parseXattrName(name), value));
    set(first, "user.big", big);
    share(writing, first, second);
    set(second, "user.other", new Uint8Array(500));
    expect(found(writing, first.ino).map(([name]) => name)).toEqual(["user.big"]);
    expect(found(writing, second.ino).map(([name]) => name)).toEqual(["user.big", "user.other"]);
    share(writing, second, third);
    operate((handle) => dropXattr(editor, handle, third, parseXattrName("user.other")));
    operate((handle) => dropXattr(editor, handle, third, parseXattrName("user.big")));
    expect(fileAcl(volume.superblock, third)).toBe(0);
    operate((handle) => releaseXattrs(editor, handle, first));
    writing.journal.commit();
    expect(editor.allocator.freeBlocks).toBe(free - 1);
    writing.close();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
    const path = scratch(places["tmpfs"] ?? places["disk"], "ea.img");
    writeSparse(path, image);
    const { stdout } = spawnSync("debugfs", ["-R", `ea_list "/file 1"`, path], {
      encoding: "utf8",
    });
    expect(stdout).toContain("user.big (1000)");
    expect(stdout).toContain("user.other (500)");
  });

  test.skipIf(kernel.missing)(`values in inodes go with the last reference${kernel.hint}`, () => {
    const path = scratch(places["tmpfs"] ?? places["disk"], "value.img");
    const folder = `${path}.mount`;
    mkdirSync(folder);
    writeFileSync(path, madeImage("-t ext4 -b 1024 -O ea_inode", 16));
    // Equal values share an inode: the first one has two references, the second one has one.
    withLoopMount(path, folder, "user_xattr", (mounted) => {
      execFileSync("python3", ["-c", MAKE_VALUES, mounted]);
    });
    const image = new Uint8Array(readFileSync(path));
    expect(e2fsckSays(image)).toEqual([]);
    const writing = writeTo(image);
    const { editor, operate, volume } = writing;
    const root = volume.record(2);
    const directory = openDirectory(volume, root, new FileMap(volume, root));
    const [d, e] = ["d", "e"].map((name) => volume.record(directory.lookup(encodeUtf8(name)))) as [
      InodeRecord,
      InodeRecord,
    ];
    expect(found(writing, d.ino).map(([, { length }]) => length)).toEqual([50_000, 40_000, 1]);
    const big = parseXattrName("user.big");
    const inodes = editor.inodes.freeInodes;
    const gone: number[] = [];
    operate((handle) => dropXattr(editor, handle, d, big));
    gone.push(editor.inodes.freeInodes - inodes);
    operate((handle) => storeXattr(editor, handle, e, big, new Uint8Array(3)));
    gone.push(editor.inodes.freeInodes - inodes);
    operate((handle) => dropXattr(editor, handle, d, parseXattrName("user.alone")));
    gone.push(editor.inodes.freeInodes - inodes);
    expect(gone).toEqual([0, 1, 2]);
    writing.journal.commit();
    // And the other way round: Linux reads what we put into inodes of their own.
    const ours = Uint8Array.from({ length: 60_001 }, (_, i) => i % 251);
    const name = parseXattrName("user.ours");
    tightly(writing, (handle) => storeXattr(editor, handle, e, name, ours), ours.length);
    const other = ours.subarray(1);
    tightly(writing, (handle) => storeXattr(editor, handle, d, name, other), ours.length);
    expect(found(writing, e.ino).find(([one]) => one === "user.ours")?.[1]).toEqual(ours);
    operate((handle) => dropXattr(editor, handle, d, name));
    expect(editor.inodes.freeInodes - inodes).toBe(1);
    writing.close();
    expect(e2fsckSays(image)).toEqual([]);
    expect(complaints(image)).toEqual([]);
    writeSparse(path, image);
    const theirs = withLoopMount(path, folder, "ro,user_xattr", (mounted) =>
      execFileSync("python3", ["-c", READ_VALUE, `${mounted}/e`]),
    );
    expect(new Uint8Array(theirs)).toEqual(ours);
  });
});
