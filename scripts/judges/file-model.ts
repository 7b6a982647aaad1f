/**
 * Random calls on one file, mappings included, compared with a model of it.
 */
import { join } from "node:path";
import { type Figures, type Judge, type Place, beside } from "./judge.ts";
import { inOrder, must } from "./processes.ts";

const LARGEST = [1 << 20, 200_000, 12_000];

async function fileModel({ folder, seed, number, say }: Place): Promise<Figures> {
  const operations = number("operations", 1500, 30_000);
  const count = number("seeds", 3, 12);
  const seeds = Array.from({ length: count }, (_, i) => seed + i);
  const leftOut = new Set<string>();
  await inOrder(seeds, async (current) => {
    const largest = LARGEST[current % LARGEST.length] ?? 0;
    const args = [join(folder, `model-${current}`), operations, current, largest].map(String);
    const { output } = await must("python3", [beside("file-model.py"), ...args]);
    leftOut.add(output.trim());
  });
  const [left = ""] = leftOut;
  say(`file-model: ${left}`);
  return { operations: operations * count, seeds: count };
}

export const FILE_MODEL: Judge = {
  name: "file-model",
  summary: "random calls on a file against a model: mappings, fallocate, copies, holes",
  mib: { small: 128, full: 256 },
  programs: ["python3"],
  run: fileModel,
};
