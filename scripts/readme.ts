/**
 * `node scripts/run.mjs readme [--check]`: puts today's real output of the tour into README.md.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";

const root = join(import.meta.dirname, "..");
const BLOCK = /(<!-- tour -->\n+```text\n)([\s\S]*?)(```\n+<!-- \/tour -->)/u;

/** What the tour prints, run from the root of the repository. */
export function tourOutput(): string {
  const tour = spawnSync(process.execPath, ["dist/cli/main.js", "tour"], {
    cwd: root,
    encoding: "utf8",
  });
  if (tour.status !== 0) throw new Error(tour.stderr);
  return tour.stdout.replace(/^\n/u, "");
}

/** Times differ from run to run, and nothing else does. */
export function withoutTimes(text: string): string {
  return text.replaceAll(/\d+(\.\d+)? ms/gu, "N ms");
}

/** The transcript that README.md shows. */
export function shownOutput(): string {
  return BLOCK.exec(readFileSync(join(root, "README.md"), "utf8"))?.[2] ?? "";
}

if (import.meta.filename === process.argv[1]) {
  const path = join(root, "README.md");
  const fresh = tourOutput();
  const text = readFileSync(path, "utf8");
  writeFileSync(
    path,
    text.replace(BLOCK, (_, open: string, _old, close: string) => open + fresh + close),
  );
}
