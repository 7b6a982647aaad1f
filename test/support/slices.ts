/** Every case of everything, which takes an hour: `DAXKIT_MATRIX=whole`. */
export const EVERYTHING = process.env["DAXKIT_MATRIX"] === "whole";

/** CI runs nearly all cases, of the longest matrices each second or third; a developer a part. */
export const WHOLE = EVERYTHING || process.env["CI"] !== undefined;

/**
 * Each `n`-th of the cases, the first among them; in CI each `inCi`-th, all of them unless given;
 * all with `DAXKIT_MATRIX=whole`.
 */
export function inSlices<T>(cases: readonly T[], n: number, inCi = 1): readonly T[] {
  if (EVERYTHING) return cases;
  const step = WHOLE ? inCi : n;
  return cases.filter((_, i) => i % step === 0);
}

/** Those that are short; in CI each second of the others too; all with `DAXKIT_MATRIX=whole`. */
export function shortOnes<T extends { readonly short?: boolean | undefined }>(
  cases: readonly T[],
): readonly T[] {
  return cases.filter(({ short }, i) => EVERYTHING || short === true || (WHOLE && i % 2 === 0));
}
