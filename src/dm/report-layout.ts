/**
 * Reports as libdevmapper lays them out: a row for each thing, a column for each field; aligned, or
 * for programs.
 *
 * @module
 */
import { UsageError } from "./dmsetup-options.ts";

/** A field of a report. */
export interface Field<Row> {
  readonly id: string;
  readonly head: string;
  readonly width: number;
  /** Numbers stand at the right. */
  readonly isNumber?: boolean;
  readonly cell: (row: Row) => string;
}

/** How a report looks. */
export interface Layout {
  readonly headings: boolean;
  /** Between cells, which are not aligned then. */
  readonly separator: string | undefined;
  /** `DM_NAME='a'` */
  readonly prefixes: boolean;
  /** With quotes behind prefixes. */
  readonly quoted: boolean;
  /** A line for each field. */
  readonly rows: boolean;
}

/** The layout that options ask for. */
export function layoutOf(flags: ReadonlySet<string>, values: ReadonlyMap<string, string>): Layout {
  const headings = !flags.has("noheadings");
  const [prefixes, rows] = [flags.has("nameprefixes"), flags.has("rows")];
  const usual = headings ? (prefixes || rows ? " " : undefined) : ":";
  const separator = values.get("separator") ?? usual;
  return { headings, separator, prefixes, quoted: !flags.has("unquoted"), rows };
}

/** Fields by what `-o` says; a `+` in front adds to the usual ones. @throws UsageError */
export function fieldsOf<Row>(
  wanted: string | undefined,
  usual: string,
  all: readonly Field<Row>[],
  groups: Readonly<Record<string, string>> = {},
): readonly Field<Row>[] {
  const text = wanted?.startsWith("+") === true ? `${usual},${wanted.slice(1)}` : wanted;
  if (text === "") return [];
  return (text ?? usual)
    .split(",")
    .flatMap((word) => (Object.hasOwn(groups, word) ? (groups[word] ?? "").split(",") : [word]))
    .map((word) => fieldOf(word, all));
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll("_", "");
}

/** By its name, in letters of any case and with or without underscores. @throws UsageError */
export function fieldOf<Row>(word: string, all: readonly Field<Row>[], what = "field"): Field<Row> {
  const field = word === "" ? undefined : all.find(({ id }) => plain(id) === plain(word));
  if (field !== undefined) return field;
  const known = all.map(({ id }) => id).join(", ");
  throw new UsageError(`Unrecognised ${what}: ${word.slice(0, 200)}\nthere are ${known}`);
}

/** Rows in the order of `-O`: fields with `+` or `-` in front. @throws UsageError */
export function sorted<Row>(
  rows: readonly Row[],
  keys: string | undefined,
  all: readonly Field<Row>[],
): readonly Row[] {
  if (keys === undefined || keys === "") return rows;
  const fields = keys.split(",").map((key) => {
    const field = fieldOf(key.replace(/^[+-]/u, ""), all);
    return { field, sign: key.startsWith("-") ? -1 : 1 };
  });
  return rows.toSorted((a, b) => {
    for (const { field, sign } of fields) {
      const [one, other] = [field.cell(a), field.cell(b)];
      const order = field.isNumber === true ? Number(one) - Number(other) : byText(one, other);
      if (order !== 0) return sign * order;
    }
    return 0;
  });
}

function byText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The text of a report. */
export function layOut<Row>(
  fields: readonly Field<Row>[],
  rows: readonly Row[],
  layout: Layout,
): string {
  const { headings, separator, prefixes, quoted } = layout;
  const quote = quoted ? "'" : "";
  const cells = rows.map((row) =>
    fields.map((field) => {
      const text = field.cell(row);
      return prefixes ? `DM_${field.id.toUpperCase()}=${quote}${text}${quote}` : text;
    }),
  );
  const heads = fields.map(({ head }) => head);
  if (separator === undefined) return aligned(fields, heads, cells);
  const lines = headings ? [heads, ...cells] : cells;
  const turned = layout.rows ? fields.map((_, i) => lines.map((line) => line[i] ?? "")) : lines;
  return turned.map((line) => `${line.join(separator)}\n`).join("");
}

function aligned<Row>(
  fields: readonly Field<Row>[],
  heads: readonly string[],
  cells: readonly (readonly string[])[],
): string {
  const widths = fields.map(({ width }, i) =>
    Math.max(width, ...cells.map((row) => (row[i] as string).length)),
  );
  const head = heads.map((text, i) => text.padEnd(widths[i] as number));
  const body = cells.map((row) =>
    row.map((cell, i) => {
      const width = widths[i] as number;
      return fields[i]?.isNumber === true ? cell.padStart(width) : cell.padEnd(width);
    }),
  );
  return [head, ...body].map((row) => `${row.join(" ")}\n`).join("");
}
