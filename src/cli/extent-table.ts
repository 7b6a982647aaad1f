/**
 * What `extents` prints: the table of `filefrag -v`, in blocks, and the same as JSON, in bytes.
 *
 * @module
 */
import type { FileExtent } from "../vfs/extents.ts";

/** A file and what backs it. */
export interface ExtentFile {
  /** As shown. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** Bytes. */
  readonly blockSize: number;
  /** In order of the file; asked for twice, because a file may have more than fit in memory. */
  readonly extents: () => Iterable<FileExtent>;
}

/** The table for people, line by line. */
export function* extentLines(file: ExtentFile): Generator<string> {
  const { name, size, blockSize } = file;
  const blocks = Math.ceil(size / blockSize);
  const plural = blocks === 1 ? "block" : "blocks";
  yield `File size of ${name} is ${size} (${blocks} ${plural} of ${blockSize} bytes)`;
  const columns = measure(file);
  if (columns.count > 0) yield heading(columns);
  let index = 0;
  for (const step of stepsOf(file)) yield rowLine(file, step, index++, columns);
  yield `${name}: ${columns.pieces} extent${columns.pieces === 1 ? "" : "s"} found`;
}

/** The extents for programs. */
export function* extentRecords(file: ExtentFile): Generator<Record<string, unknown>> {
  for (const step of stepsOf(file)) {
    const { offset, length, addr } = step.extent;
    yield { offset, length, physical: addr ?? null, flags: flagsOf(file, step) };
  }
}

/** An extent between its neighbours. */
interface Step {
  readonly before: FileExtent | undefined;
  readonly extent: FileExtent;
  readonly last: boolean;
}

function* stepsOf({ extents }: ExtentFile): Generator<Step> {
  let before: FileExtent | undefined;
  let held: FileExtent | undefined;
  for (const extent of extents()) {
    if (held !== undefined) yield { before, extent: held, last: false };
    before = held;
    held = extent;
  }
  if (held !== undefined) yield { before, extent: held, last: true };
}

/** Widths of the columns, and the counts. */
interface Columns {
  logical: number;
  physical: number;
  length: number;
  count: number;
  /** In how many pieces the file lies on the media. */
  pieces: number;
}

/** Columns are at least as wide as filefrag's, so that small files line up with each other. */
function measure(file: ExtentFile): Columns {
  const columns = { logical: 8, physical: 10, length: 6, count: 0, pieces: 0 };
  for (const step of stepsOf(file)) {
    const { last, to, length, expected } = rowOf(file, step);
    columns.logical = Math.max(columns.logical, last.length);
    columns.physical = Math.max(columns.physical, to.length, expected.length);
    columns.length = Math.max(columns.length, length.length);
    columns.count++;
    if (expected !== "" || columns.pieces === 0) columns.pieces++;
  }
  return columns;
}

function heading({ logical, physical, length }: Columns): string {
  return [
    " ext:",
    "logical_offset:".padStart(logical * 2 + 3),
    "physical_offset:".padStart(physical * 2 + 3),
    "length:".padStart(length + 1),
    "expected:".padStart(physical + 1),
    "flags:",
  ].join(" ");
}

function rowLine(file: ExtentFile, step: Step, index: number, columns: Columns): string {
  const row = rowOf(file, step);
  const { logical, physical, length } = columns;
  return [
    `${String(index).padStart(4)}:`,
    `${row.first.padStart(logical)}..${row.last.padStart(logical)}:`,
    `${row.from.padStart(physical)}..${row.to.padStart(physical)}:`,
    `${row.length.padStart(length)}:`,
    `${row.expected.padStart(physical)}${row.expected === "" ? " " : ":"}`,
    flagsOf(file, step).join(","),
  ]
    .join(" ")
    .trimEnd();
}

/** The cells of one line. */
interface ExtentRow {
  readonly first: string;
  readonly last: string;
  readonly from: string;
  readonly to: string;
  readonly length: string;
  readonly expected: string;
}

function rowOf({ blockSize }: ExtentFile, step: Step): ExtentRow {
  const { offset, length: bytes, addr = 0 } = step.extent;
  const first = Math.floor(offset / blockSize);
  const length = Math.ceil(bytes / blockSize);
  const from = Math.floor(addr / blockSize);
  const expected = gapAt(step);
  return {
    first: String(first),
    last: String(first + length - 1),
    from: String(from),
    to: String(from + length - 1),
    length: String(length),
    expected: expected === undefined ? "" : String(Math.floor(expected / blockSize)),
  };
}

/**
 * Where an extent would start if the file went on without a seek, or undefined where it does: right
 * behind the extent before it, with or without room for the hole between them.
 */
function gapAt({ before, extent }: Step): number | undefined {
  if (extent.offset === 0) return undefined;
  const { offset, length, addr = 0 } = before ?? { offset: 0, length: 0 };
  const dense = addr + length;
  const spaced = dense + extent.offset - (offset + length);
  return extent.addr === dense || extent.addr === spaced ? undefined : spaced;
}

function flagsOf({ size }: ExtentFile, { extent, last }: Step): string[] {
  return [
    ...(last ? ["last"] : []),
    ...(extent.inline ? ["not_aligned", "inline"] : []),
    ...(extent.unwritten ? ["unwritten"] : []),
    ...(extent.shared ? ["shared"] : []),
    ...(extent.offset + extent.length >= size ? ["eof"] : []),
  ];
}
