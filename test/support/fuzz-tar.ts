/**
 * Hostile archives: members of every kind in odd order, damaged headers and records, in pieces of
 * any size. What is taken makes a filesystem that is clean; what is not makes none.
 */
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { TarTree } from "../../src/fs/ext/mkfs-tar.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { TarReader } from "../../src/vfs/tar-reader.ts";
import { TreeFiller } from "../../src/vfs/tree-filler.ts";
import type { CaseNotes, FuzzSubject, FuzzTarget } from "./fuzz.ts";
import { NUMBERS, damageText } from "./fuzz-text.ts";
import { type Fields, file, header, long, padded, pax } from "./tar-archives.ts";

const MIB = 2 ** 20;
const NAMES = ["a", "b", "a/b", "a/b/c", "d/", "./", "d/e", "/abs", "x".repeat(99), "\u00ff"];
const NASTY_NAMES = ["..", "a/..", "", "//", "\u0000", "n".repeat(256), "y/".repeat(80), "a/./b//"];
const SPARSE = ["1,2,10,3", "0,5", "5,5", "0,0,9,0", "1,2,2,1,3,2"];
const RECORDS: readonly (readonly [string, readonly string[]])[] = [
  ["path", [...NAMES, ...NASTY_NAMES]],
  ["linkpath", NAMES],
  ["size", ["5", "0"]],
  ["uid", ["70000", "0"]],
  ["mtime", ["1.5", "-1.000000001", "1e9"]],
  ["SCHILY.xattr.user.a", ["v", "w".repeat(900)]],
  ["SCHILY.xattr.system.posix_acl_access", ["", "\u0002\u0000\u0000\u0000", "x"]],
  ["LIBARCHIVE.xattr.user.%41", ["AAAA", "A"]],
  ["SCHILY.acl.access", ["user::rwx,group::r--,other::---", "u:5:r--"]],
  ["GNU.sparse.size", ["20", "4000000"]],
  ["GNU.sparse.map", SPARSE],
  ["GNU.sparse.major", ["1", "0"]],
  ["GNU.sparse.realsize", ["100"]],
  ["GNU.sparse.offset", ["1"]],
  ["GNU.sparse.numbytes", ["5"]],
  ["SCHILY.devminor", ["70000"]],
];
const VOCABULARY = [...RECORDS.map(([key]) => key), ...NAMES, "=", " ", "\n", "\u0000"];
const FIELDS = ["name", "mode", "uid", "gid", "size", "mtime", "major", "minor", "prefix", "link"];
const TYPES = "0000125534656SLKxgVDMq7\u0000".split("");

class TarSubject implements FuzzSubject {
  run(prng: Prng, notes: CaseNotes): string {
    const bytes = damaged(archiveOf(prng, notes), prng, notes);
    if (prng.below(6) === 0) return filled(bytes, prng, notes);
    const tree = new TarTree({
      environment: seededEnvironment(1),
      read: (position, target) => void bytes.copy(target, 0, position),
    });
    const reader = new TarReader(tree);
    const skips = prng.below(2) === 0;
    for (let at = 0; at < bytes.length && !reader.ended;) {
      const piece = bytes.subarray(at, at + prng.pick([1, 100, 512, 5000, 20_000]));
      reader.push(piece);
      at += piece.length;
      if (!skips) continue;
      const skipped = Math.min(reader.skippable, bytes.length - at);
      reader.skip(skipped);
      at += skipped;
    }
    const { members } = reader.finish();
    if (members === 0) return "nothing";
    if (prng.below(4) !== 0) return "a tree";
    const device = new RamDisk({ name: "ram0", bytes: new Uint8Array(MIB) });
    makeExt(device, { tree: tree.root, force: true }, seededEnvironment(2));
    assertClean(device);
    return "a filesystem";
  }
}

function assertClean(device: RamDisk): void {
  for (const { where, text } of ext.check(device, seededEnvironment(3))) {
    throw new Error(`${where}: ${text}`);
  }
}

/** Fills a filesystem that is mounted, as far as it goes; it is clean whatever happens. */
function filled(bytes: Buffer, prng: Prng, notes: CaseNotes): string {
  const device = new RamDisk({ name: "ram0", bytes: new Uint8Array(MIB) });
  makeExt(device, { inodes: prng.pick([16, 64]), force: true }, seededEnvironment(2));
  const tree = new FileTree(ext.mount(device, { write: true }, seededEnvironment(4)));
  const filler = new TreeFiller(tree, {
    existing: prng.pick(["replace", "overwrite", "keep"]),
    stripComponents: prng.pick([0, 0, 0, 1]),
    keepDirectorySymlinks: prng.below(3) === 0,
    ...(prng.below(4) === 0 ? { credentials: { uid: 5, gid: 5 } } : {}),
  });
  const reader = new TarReader(filler);
  notes.attempt(() => {
    for (let at = 0; at < bytes.length; at += 3000) reader.push(bytes.subarray(at, at + 3000));
    reader.finish();
  });
  filler.abandon();
  notes.attempt(() => filler.finish());
  tree.close();
  assertClean(device);
  return filler.summary.members === 0 ? "nothing filled" : "filled";
}

function archiveOf(prng: Prng, notes: CaseNotes): Buffer {
  const parts: Buffer[] = [];
  for (let left = 1 + prng.below(7); left > 0; left--) parts.push(...memberOf(prng, notes));
  if (prng.below(8) !== 0) parts.push(Buffer.alloc(prng.pick([512, 1024, 1024, 9000])));
  return Buffer.concat(parts);
}

function memberOf(prng: Prng, notes: CaseNotes): Buffer[] {
  const parts: Buffer[] = [];
  const name = prng.below(10) === 0 ? prng.pick(NASTY_NAMES) : prng.pick(NAMES);
  if (prng.below(5) === 0) parts.push(long(prng.pick(["L", "K"]), name));
  if (prng.below(3) === 0) parts.push(recordsOf(prng, notes));
  const fields: Record<string, string> = { name: name.slice(0, 100) };
  fields["type"] = prng.below(3) === 0 ? prng.pick(TYPES) : prng.pick(["0", "0", "5", "2", "1"]);
  fields["link"] = prng.pick(NAMES);
  if (prng.below(4) === 0) fields["magic"] = prng.pick(["ustar  \u0000", "", "ustar\u000000"]);
  if (prng.below(6) === 0) fields[prng.pick(FIELDS)] = nastyField(prng);
  notes.say(`member ${JSON.stringify(fields)}`);
  const given = fields as Fields;
  if (fields["type"] === "0") return [...parts, file(given.name ?? "", content(prng), given)];
  return [...parts, header(given)];
}

function content(prng: Prng): string | Buffer {
  const text = prng.pick(["", "hello", "1\n0\n5\n", "x".repeat(600), "y".repeat(5000)]);
  return prng.below(6) === 0
    ? Buffer.concat([padded("2\n1\n2\n9\n3\n"), Buffer.from("hello")])
    : text;
}

function recordsOf(prng: Prng, notes: CaseNotes): Buffer {
  const pairs = Array.from({ length: 1 + prng.below(4) }, () => {
    const [key, values] = prng.pick(RECORDS);
    const value = prng.below(5) === 0 ? prng.pick(NUMBERS) : prng.pick(values);
    return [key, value] as const;
  });
  const whole = pax(pairs, prng.below(6) === 0 ? "g" : "x");
  if (prng.below(4) !== 0) {
    notes.say(`records ${JSON.stringify(pairs)}`);
    return whole;
  }
  const text = damageText(whole.subarray(512).toString("latin1"), prng, VOCABULARY, 4000);
  const odd = text.slice(0, 1 + text.lastIndexOf("\n"));
  notes.say(`records ${JSON.stringify(odd)}`);
  const size = prng.below(5) === 0 ? prng.pick(NUMBERS).slice(0, 11) : odd.length;
  return Buffer.concat([header({ name: "pax", type: "x", size }), padded(odd)]);
}

function nastyField(prng: Prng): string {
  if (prng.below(2) === 0) return prng.pick(NUMBERS).slice(0, 11);
  const byte = (): string => String.fromCharCode(prng.pick([0, 0x80, 0xff, 0x20, prng.below(256)]));
  return Array.from({ length: 8 }, byte).join("");
}

/** Cut, or with a few bytes changed behind the backs of checksums. */
function damaged(bytes: Buffer, prng: Prng, notes: CaseNotes): Buffer {
  if (prng.below(8) === 0) {
    const length = prng.below(bytes.length + 1);
    notes.say(`cut to ${length} bytes`);
    return bytes.subarray(0, length);
  }
  for (let left = prng.pick([0, 0, 0, 0, 1, 2]); left > 0; left--) {
    const at = prng.below(bytes.length);
    bytes[at] = prng.below(256);
    notes.say(`byte ${at} := ${bytes[at]}`);
  }
  return bytes;
}

/** Archives, and filesystems that are filled with them. */
export const tarTarget: FuzzTarget = {
  name: "tar",
  weight: 15,
  reaches: ["a tree", "a filesystem", "filled", "refused", "EUCLEAN", "EBADMSG", "EINVAL"],
  open: () => new TarSubject(),
};
