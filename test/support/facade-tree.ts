/** A small tree to change, made through an `fs`, and what is in a tree. */
import type * as nodeFs from "node:fs";
import type { NodeFs } from "../../src/node/facade/facade.ts";

type Fs = typeof nodeFs | NodeFs;

/** Fills an empty folder. */
export function fill(fs: Fs, root: string): void {
  const at = (path: string): string => `${root}/${path}`;
  fs.mkdirSync(at("dir/deep/deeper"), { recursive: true });
  fs.mkdirSync(at("empty-dir"));
  fs.writeFileSync(at("tiny"), "tiny\n");
  fs.writeFileSync(at("dir/page"), Buffer.alloc(4096, 7));
  fs.writeFileSync(at("dir/deep/file"), "deep");
  fs.writeFileSync(at("dir/deep/big"), Buffer.alloc(100_000, "big"));
  fs.symlinkSync("tiny", at("link"));
  fs.symlinkSync("dir/deep", at("dir-link"));
  fs.symlinkSync("../tiny", at("dir/up-link"));
  fs.symlinkSync("nowhere", at("dangling"));
  fs.symlinkSync("loop-b", at("loop-a"));
  fs.symlinkSync("loop-a", at("loop-b"));
  fs.linkSync(at("tiny"), at("dir/hard"));
  fs.chmodSync(at("tiny"), 0o4751);
  fs.utimesSync(at("tiny"), 1e9 + 0.25, -1000.5);
}

/** Seconds of a time that was set, which is none of now. */
function settled(milliseconds: number): number | "now" {
  return Math.abs(Date.now() - milliseconds) < 3_600_000 ? "now" : milliseconds;
}

/** Everything below a folder that does not depend on which filesystem it is. */
export function snapshot(fs: Fs, root: string, path = root): unknown[] {
  return fs
    .readdirSync(path)
    .toSorted()
    .flatMap((name) => {
      const inside = `${path}/${name}`;
      const stat = fs.lstatSync(inside);
      const { mode, uid, gid, nlink, size } = stat;
      const seen = [inside.slice(root.length), mode.toString(8), uid, gid, settled(stat.mtimeMs)];
      if (stat.isDirectory()) return ([seen] as unknown[]).concat(snapshot(fs, root, inside));
      if (stat.isSymbolicLink()) return [seen, fs.readlinkSync(inside)];
      return [seen, nlink, size, fs.readFileSync(inside, "latin1").slice(0, 200)];
    });
}
