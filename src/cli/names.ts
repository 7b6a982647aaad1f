/**
 * File names on screen: their order, their colours, and how many fit beside each other.
 *
 * @module
 */
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "../vfs/modes.ts";
import { type Output, printable } from "./output.ts";
import type { Style, Terminal } from "./terminal.ts";

/** A name as the reader of `out` needs it: exact for programs, harmless for people. */
export function shownName(out: Output, name: string): string {
  return out.isTerminal ? printable(name) : name;
}

/** A name in the colour of its kind of file. */
export function colouredName(terminal: Terminal, out: Output, name: string, mode: number): string {
  const shown = shownName(out, name);
  const style = styleOf(mode);
  return style === undefined ? shown : terminal.style(style, shown);
}

function styleOf(mode: number): Style | undefined {
  const type = mode & S_IFMT;
  if (type === S_IFDIR) return "directory";
  if (type === S_IFLNK) return "symlink";
  if (type !== S_IFREG) return "warning";
  return (mode & 0o111) === 0 ? undefined : "executable";
}

/** A text and how wide it is on screen; colours have no width. */
export interface Cell {
  readonly text: string;
  readonly width: number;
}

/** The fewest lines that hold the cells in columns, filled downwards as `ls` does. */
export function inColumns(cells: readonly Cell[], width: number): string[] {
  if (cells.length === 0) return [];
  // A column takes at least one character and two of space.
  let columns = Math.max(1, Math.min(cells.length, Math.ceil(width / 3)));
  while (columns > 1) {
    const total = columnWidths(cells, Math.ceil(cells.length / columns));
    if (total.reduce((sum, one) => sum + one + 2, -2) <= width) break;
    columns--;
  }
  const lines = Math.ceil(cells.length / columns);
  const widths = columnWidths(cells, lines);
  return Array.from({ length: lines }, (_, line) =>
    widths
      .flatMap((wide, column) => {
        const cell = cells[column * lines + line];
        if (cell === undefined) return [];
        const last = cells[(column + 1) * lines + line] === undefined;
        return last ? [cell.text] : [cell.text + " ".repeat(wide - cell.width)];
      })
      .join("  "),
  );
}

function columnWidths(cells: readonly Cell[], lines: number): number[] {
  const columns = Math.ceil(cells.length / lines);
  return Array.from({ length: columns }, (_, column) =>
    cells
      .slice(column * lines, (column + 1) * lines)
      .reduce((most, { width }) => Math.max(most, width), 0),
  );
}

/** How wide a text is on screen, to a good approximation: a column for each character. */
export function widthOf(text: string): number {
  return Array.from(text).length;
}
