/**
 * Lines of a report on a screen that is not wide enough for them.
 *
 * @module
 */

/** Columns of the words that head a line, and what surrounds them. */
const HEAD = /^ {2}(?:\S[^\n]{0,11}|) {2,}/u;
// What paints has no width.
// oxlint-disable-next-line no-control-regex
const PAINT = /\u001B\[[\d;]*m/gu;
/** A screen narrower than this gets lines as they are. */
const NARROWEST = 40;

/** Columns that a text takes. */
export function widthOf(text: string): number {
  return text.replaceAll(PAINT, "").length;
}

/** The lines, those that are too long continued below their words. */
export function fold(lines: readonly string[], width: number | undefined): string[] {
  if (width === undefined || width < NARROWEST) return [...lines];
  return lines.flatMap((line) => (widthOf(line) <= width ? [line] : folded(line, width)));
}

function folded(line: string, width: number): string[] {
  const plain = line.replaceAll(PAINT, "");
  const head = HEAD.exec(plain)?.[0].length ?? 0;
  const leading = /^ */u.exec(plain)?.[0].length ?? 0;
  const margin = " ".repeat(Math.min(head > 4 ? head : leading + 2, Math.floor(width / 2)));
  const rows: string[] = [];
  let row = "";
  for (const word of line.split(/(?<=\S) (?=\S)/u)) {
    const longer = row === "" ? word : `${row} ${word}`;
    if (row !== "" && row.trim() !== "" && widthOf(longer) > width) {
      rows.push(row);
      row = margin + word;
    } else row = longer;
  }
  return [...rows, row];
}
