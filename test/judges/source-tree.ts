/**
 * A tree of a few thousand files with everything that an ext image can hold: the source of
 * `mke2fs -d`. The same seed makes the same tree.
 */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { Prng } from "../../src/lib/prng.ts";

/** Bytes that differ from file to file and from place to place. */
export function pattern(random: Prng, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const chunk = Buffer.alloc(256);
  random.fill(chunk);
  for (let at = 0; at < length; at += 256) {
    chunk.writeUInt32LE(at, 0);
    chunk.copy(bytes, at);
  }
  return bytes;
}

function manyFiles(root: string, random: Prng, count: number): void {
  for (let d = 0; d < 12; d++) {
    const folder = join(root, `d${d}`, "nested", `level-${d}`);
    fs.mkdirSync(folder, { recursive: true });
    for (let i = 0; i < count / 12; i++) {
      const size = random.pick([0, 1, 59, 60, 61, 100, 159, 1023, 1024, 1025, 4095, 4096, 5000]);
      const path = join(folder, `file-${i}-${random.below(1e6)}`);
      fs.writeFileSync(path, pattern(random, size));
      fs.chownSync(path, random.pick([0, 1000, 65535, 70000]), random.pick([0, 100, 131072]));
      fs.chmodSync(path, random.pick([0o644, 0o600, 0o755, 0o4755, 0o2711, 0o1666, 0]));
      fs.utimesSync(path, 1e9 + i + 0.25, 1e9 + i * 1000 + 0.123);
    }
  }
}

function bigDirectory(root: string, random: Prng, count: number): void {
  const folder = join(root, "big");
  fs.mkdirSync(folder);
  for (let i = 0; i < count; i++) {
    const name = `entry-${i.toString(36)}-${"x".repeat(random.below(40))}`;
    fs.writeFileSync(join(folder, name), "");
  }
}

function oddNames(root: string): void {
  const folder = join(root, "names");
  fs.mkdirSync(folder);
  const names = [
    "n".repeat(255),
    "ü".repeat(127),
    " leading",
    "new\nline",
    "quote'\"",
    "-dash",
    "日本",
  ];
  for (const name of names) fs.writeFileSync(join(folder, name), name);
  const invalid = Buffer.concat([Buffer.from(`${folder}/bad-`), Buffer.from([0xff, 0xfe, 0xc3])]);
  fs.writeFileSync(invalid, "invalid utf-8");
}

function specials(root: string): void {
  const folder = join(root, "special");
  fs.mkdirSync(folder);
  fs.symlinkSync("short/target", join(folder, "fast"));
  fs.symlinkSync("s".repeat(59), join(folder, "fast59"));
  fs.symlinkSync("s".repeat(60), join(folder, "slow60"));
  fs.symlinkSync("long/".repeat(150), join(folder, "slow"));
  fs.writeFileSync(join(folder, "one"), "linked");
  fs.linkSync(join(folder, "one"), join(folder, "two"));
  fs.linkSync(join(folder, "one"), join(root, "three"));
  execFileSync("mknod", [join(folder, "fifo"), "p"]);
  execFileSync("mknod", [join(folder, "null"), "c", "1", "3"]);
  execFileSync("mknod", [join(folder, "disk"), "b", "259", "70000"]);
}

function sparse(root: string, random: Prng): void {
  const folder = join(root, "sparse");
  fs.mkdirSync(folder);
  const spots: Readonly<Record<string, readonly number[]>> = {
    head: [0, 9_000_000],
    tail: [3_000_000],
    dotted: Array.from({ length: 40 }, (_, i) => i * 65_536 + 4096),
  };
  for (const [name, offsets] of Object.entries(spots)) {
    const fd = fs.openSync(join(folder, name), "w");
    for (const offset of offsets) fs.writeSync(fd, pattern(random, 3000), 0, 3000, offset);
    fs.ftruncateSync(fd, 9_500_001);
    fs.closeSync(fd);
  }
  fs.writeFileSync(join(folder, "solid"), pattern(random, 3_333_333));
}

function escaped(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** Writes all attributes by one `setfattr --restore`: a process for each would take seconds. */
function attributes(root: string): void {
  const folder = join(root, "attr");
  fs.mkdirSync(folder);
  const lines: string[] = [];
  const add = (name: string, values: Readonly<Record<string, string>>): void => {
    fs.writeFileSync(join(folder, name), name);
    lines.push(`# file: ${name}`);
    for (const [key, value] of Object.entries(values)) lines.push(`${key}=0s${escaped(value)}`);
    lines.push("");
  };
  add("small", { "user.a": "1", "trusted.t": "root only", "security.label": "s" });
  add("empty", { "user.empty": "", [`user.${"k".repeat(200)}`]: "long name" });
  add(
    "block",
    Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`user.k${i}`, "v".repeat(i * 3)])),
  );
  add("binary", { "user.bin": "\u0000\u0001\u00ff=\n" });
  const capability = Buffer.from("0100000200200000000000000000000000000000", "hex");
  add("cap", {});
  lines.push(`# file: cap`, `security.capability=0s${capability.toString("base64")}`, "");
  execFileSync("setfattr", ["--restore=-"], { cwd: folder, input: lines.join("\n") });
  fs.mkdirSync(join(folder, "acl-dir"));
  const acl = ["-m", "u:1000:rw-,u:70000:r--,g:100:r-x,m::rwx"];
  execFileSync("setfacl", [...acl, join(folder, "small"), join(folder, "acl-dir")]);
  execFileSync("setfacl", ["-d", ...acl, join(folder, "acl-dir")]);
}

/** Makes the tree in `root`, which must be an empty folder on a filesystem with xattrs and ACLs. */
export function makeSourceTree(root: string, seed: number): void {
  const random = new Prng(seed);
  manyFiles(root, random, 1200);
  bigDirectory(root, random, 1500);
  oddNames(root);
  specials(root);
  sparse(root, random);
  attributes(root);
  fs.utimesSync(root, 1e9, 1e9);
}
