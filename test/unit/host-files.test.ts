/** What is read of this machine's files, with foreign calls and without. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import type { NewNode } from "../../src/fs/ext/mkfs-tree.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { hostTree } from "../../src/node/host-tree.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { codeOf } from "../support/bytes.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "daxkit-host-files-"));
const before = process.env["DAXKIT_FFI"];
afterAll(() => fs.rmSync(folder, { recursive: true }));
afterEach(() => {
  if (before === undefined) delete process.env["DAXKIT_FFI"];
  else process.env["DAXKIT_FFI"] = before;
});

function makeTree(): string {
  const root = join(folder, "tree");
  fs.mkdirSync(join(root, "d", "e".repeat(200)), { recursive: true });
  fs.writeFileSync(join(root, "d", "e".repeat(200), "deep"), "deep");
  fs.writeFileSync(join(root, "f"), "content");
  fs.linkSync(join(root, "f"), join(root, "d", "g"));
  fs.symlinkSync("f", join(root, "link"));
  fs.writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff])]), "odd");
  fs.truncateSync(join(root, "link"), 700_000);
  fs.utimesSync(join(root, "d", "g"), new Date(4e12), new Date(-1250));
  return root;
}

/** A tree as plain values, contents included. */
function shown(node: NewNode, seen = new Map<NewNode, number>()): unknown {
  const known = seen.get(node);
  if (known !== undefined) return known;
  seen.set(node, seen.size);
  const { mode, uid, gid, size, mtime, target, children } = node;
  const content = Buffer.alloc(Math.min(size, 20));
  node.read?.(0, content);
  const names = children?.map(({ name, node: child }) => [
    Buffer.from(name).toString("latin1"),
    shown(child, seen),
  ]);
  const link = target === undefined ? "" : Buffer.from(target).toString();
  return { mode, uid, gid, size, mtime, link, content: content.toString("latin1"), names };
}

test("both see the same", () => {
  const root = makeTree();
  const fast = shown(hostTree(root));
  process.env["DAXKIT_FFI"] = "off";
  expect(shown(hostTree(root))).toEqual(fast);
  expect(JSON.stringify(fast)).toContain('"content":"deep"');
  expect(JSON.stringify(fast)).toContain('{"sec":-2,"nsec":750000000}');
});

test.each(["", "off"])("what is not there, or no longer (DAXKIT_FFI=%s)", (ffi) => {
  process.env["DAXKIT_FFI"] = ffi;
  expect(codeOf(() => hostTree(join(folder, "none")))).toBe("ENOENT");
  const root = join(folder, `vanishes${ffi}`);
  fs.mkdirSync(root);
  fs.writeFileSync(join(root, "file"), "content");
  const tree = hostTree(root);
  fs.rmSync(join(root, "file"));
  const make = (): unknown => makeVolume(new RamMedia(2 ** 23), { tree });
  expect(make).toThrow(/ENOENT.*open '.*\/file'/u);
});

test("a path that the system does not take is an error", () => {
  const root = join(folder, "deep");
  fs.mkdirSync(root);
  // Made and removed from within: the paths are longer than any call takes.
  const steps = `n=$(printf 'x%.0s' {1..250}); for i in {1..20}; do mkdir $n; cd $n; done`;
  execFileSync("bash", ["-c", steps], { cwd: root });
  expect(codeOf(() => hostTree(root))).toBe("ENAMETOOLONG");
  execFileSync("rm", ["-r", root]);
});
