/**
 * How exhibits read.
 *
 * @module
 */
import { fold } from "../../crash/layout.ts";
import { table } from "../text-table.ts";
import type { Style } from "../terminal.ts";
import { type Acted, type Exhibit, isSettled } from "./exhibit.ts";

/** Columns of a page. */
const WIDTH = 96;

/** Colours a piece of text. */
type Paint = (style: Style, text: string) => string;

/** Names and questions. */
export function listLines(exhibits: readonly Exhibit[]): string[] {
  return table(exhibits.map(({ name, question }) => [name, question]));
}

/** All of one exhibit, as a reader gets it. */
export function exhibitLines(exhibit: Exhibit, acted: Acted, paint: Paint): string[] {
  const { name, question, argued, settled } = exhibit;
  const { scene = [], figures, measured = [] } = acted;
  const rows = figures.map(({ what, counted, expected }) => {
    return [what, String(counted), counted === expected ? "" : `but should be ${expected}`];
  });
  const times = measured.map(({ what, milliseconds }) => `${what} ${milliseconds.toFixed(1)} ms`);
  const lines = [
    paint("heading", `${name}: ${question}`),
    "",
    ...argued.map((said) => `   ${said}`),
    "",
    ...(scene.length === 0 ? [] : [...scene.map((line) => `   ${line}`), ""]),
    ...table(rows).map((line) => `   ${line}`),
    ...times.map((line) => `   ${line}`),
    "",
    `   ${isSettled(acted) ? settled : "Not settled: a figure is not what it has to be."}`,
    "",
  ];
  return fold(lines, WIDTH);
}

/** One exhibit for programs. */
export function recordOf(exhibit: Exhibit, acted: Acted): Record<string, unknown> {
  const { name, question, argued, settled } = exhibit;
  return { name, question, argued, ...acted, settled: isSettled(acted), conclusion: settled };
}
