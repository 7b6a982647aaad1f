/** What the tests cost that take long: `npm run costs` measures them anew. */
import { readFileSync } from "node:fs";
import { join, relative, sep } from "node:path";
import type { FileCost } from "./part-choice.ts";

const root = join(import.meta.dirname, "..");
export const COSTS_PATH: string = join(root, "costs.json");
const table: unknown = JSON.parse(readFileSync(COSTS_PATH, "utf8"));

/** What a whole file costs. */
export interface WholeCost extends FileCost {
  /** A developer's cases of it, all of them. */
  readonly all: number;
  /** CI's. */
  readonly ci?: number;
}

/** By the path of the test file below `test/`. Others are cheap. */
export const COSTS: Readonly<Record<string, WholeCost>> = table as typeof COSTS;

/** How the table calls a file. */
export function costName(path: string): string {
  return relative(root, path).split(sep).join("/");
}
