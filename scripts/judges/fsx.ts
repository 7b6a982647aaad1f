/**
 * fsx: random reads, writes, mappings and changes of size of one file, compared with a model.
 */
import { join, resolve } from "node:path";
import type { Figures, Judge, Place } from "./judge.ts";
import { Failure, inOrder, run } from "./processes.ts";

/** How much of its output tells what went wrong. */
const SHOWN = 6000;
/** At each reopening fsx has the machine drop all its caches, which takes long: so often a run. */
const REOPENINGS = 200;
/** Each seed has other bounds: small files that change size often, large ones, reopened ones. */
const styles = (operations: number): readonly (readonly string[])[] => [
  [],
  ["-l", "1048576", "-o", "131072"],
  ["-l", "65536", "-o", "8192", "-s", "1"],
  ["-c", String(Math.max(100, Math.floor(operations / REOPENINGS)))],
];

async function fsx({ folder, scratch, seed, given, number, say }: Place): Promise<Figures> {
  const program = resolve(given["fsx"] ?? "");
  const operations = number("operations", 5000, 1_000_000);
  const count = number("seeds", 2, 12);
  const seeds = Array.from({ length: count }, (_, i) => seed + i);
  const offered = styles(operations);
  await inOrder(seeds, async (current) => {
    const style = offered[current % offered.length] ?? [];
    const args = ["-q", "-S", String(current), "-N", String(operations), "-P", scratch, ...style];
    const file = join(folder, `fsx-${current}`);
    const { status, said, seconds } = await run(program, [...args, file], { timeout: 7200 });
    if (status !== 0) {
      throw new Failure(`fsx ${args.join(" ")}: status ${status}\n${said.slice(-SHOWN)}`);
    }
    say(
      `fsx -S ${current} ${style.join(" ")}: ${operations} operations in ${seconds.toFixed(1)} s`,
    );
  });
  return { seeds: count, operations: operations * count };
}

export const FSX: Judge = {
  name: "fsx",
  summary: "one file against a model, mapped reads and writes included",
  mib: { small: 128, full: 512 },
  programs: [],
  wants: { option: "fsx", what: "a built fsx (xfstests: ltp/fsx)" },
  run: fsx,
};
