/**
 * What `daxkit dax wear` prints.
 *
 * @module
 */
import type { Caching } from "../media/media.ts";
import { type WearWork, reportWear } from "../machine/wear-report.ts";
import { UsageError } from "./command.ts";
import type { DaxInvocation } from "./commands/dax.ts";
import { table } from "./text-table.ts";

const WRITES = 1000;
/** It takes a minute, and says no more than a thousand do. */
const MOST_WRITES = 1_000_000;

/** Does the work in both ways and prints what each range went through. @throws UsageError */
export function showWear({ values, json, out }: DaxInvocation): void {
  const { writes = WRITES, map = "mem", caching = "write-back" } = values;
  if (writes < 1 || writes > MOST_WRITES) {
    throw new UsageError(`'--writes ${writes}': give 1 to ${MOST_WRITES}`);
  }
  if (map === "none") throw new UsageError("'--map none' has no descriptors to wear anything");
  const work: WearWork = { writes, map: map as "mem" | "dev", caching: caching as Caching };
  const modes = reportWear(work);
  if (json) {
    out.json({ ...work, modes });
    return;
  }
  out.line(`a page of a file overwritten and pinned ${writes} times, then one fsync`);
  out.line();
  const rows = modes.flatMap(({ mode, ranges }) =>
    ranges.map(({ name, bytesAtLeast, worst }) => {
      return [mode, name, String(bytesAtLeast), String(worst)];
    }),
  );
  const heading = ["way", "range", "bytes of media written", "most of one line"];
  for (const line of table([heading, ...rows])) out.line(line);
}
