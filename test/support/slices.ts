/** In CI, or with `DAXKIT_MATRIX=whole`, all cases are run; a developer's run takes a part. */
export const WHOLE = process.env["CI"] !== undefined || process.env["DAXKIT_MATRIX"] === "whole";

/** All cases where everything is run, else each `n`-th, the first among them. */
export function inSlices<T>(cases: readonly T[], n: number): readonly T[] {
  return WHOLE ? cases : cases.filter((_, i) => i % n === 0);
}
