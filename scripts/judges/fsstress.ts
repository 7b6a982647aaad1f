/**
 * fsstress: several processes that make random calls on one tree.
 */
import { resolve } from "node:path";
import { type Figures, type Judge, type Place, folderIn } from "./judge.ts";
import { must } from "./processes.ts";

async function fsstress({ folder, seed, given, number }: Place): Promise<Figures> {
  const program = resolve(given["fsstress"] ?? "");
  const processes = number("processes", 4, 6);
  const seconds = number("seconds", 5, 600);
  const place = folderIn(folder, "fsstress");
  const args = ["-d", place, "-p", String(processes), "-s", String(seed), `--duration=${seconds}`];
  const ended = await must(program, [...args, "-n", "1000000000"], { timeout: seconds + 600 });
  return { processes, seconds: Number(ended.seconds.toFixed(1)) };
}

export const FSSTRESS: Judge = {
  name: "fsstress",
  summary: "several processes make random calls on one tree",
  // So much that ten minutes do not fill it: what is mapped and written finds no room only later.
  mib: { small: 512, full: 16_384 },
  programs: [],
  wants: { option: "fsstress", what: "a built fsstress (xfstests: ltp/fsstress)" },
  run: fsstress,
};
