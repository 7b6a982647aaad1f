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
  readonly extents: readonly FileExtent[];
}

/** The table for people. */
export function extentLines(file: ExtentFile): string[] {
  const { name, size, blockSize, extents } = file;
  const blocks = Math.ceil(size / blockSize);
  const plural = blocks === 1 ? "block" : "blocks";
  const pieces = piecesOf(file);
  return [
    `File size of ${name} is ${size} (${blocks} ${plural} of ${blockSize} bytes)`,
    ...(extents.length === 0 ? [] : table(file)),
    `${name}: ${pieces} extent${pieces === 1 ? "" : "s"} found`,
  ];
}

/** One extent for programs. */
export function extentRecord(file: ExtentFile, index: number): Record<string, unknown> {
  const extent = file.extents[index];
  return {
    offset: extent?.offset,
    length: extent?.length,
    physical: extent?.addr ?? null,
    flags: flagsOf(file, index),
  };
}

/** Columns are at least as wide as filefrag's, so that small files line up with each other. */
function table(file: ExtentFile): string[] {
  const rows = file.extents.map((_, index) => rowOf(file, index));
  const width = (least: number, columns: readonly (keyof ExtentRow)[]): number =>
    rows.reduce(
      (most, row) => columns.reduce((wide, column) => Math.max(wide, row[column].length), most),
      least,
    );
  const logical = width(8, ["first", "last"]);
  const physical = width(10, ["from", "to", "expected"]);
  const length = width(6, ["length"]);
  const heading = [
    " ext:",
    "logical_offset:".padStart(logical * 2 + 3),
    "physical_offset:".padStart(physical * 2 + 3),
    "length:".padStart(length + 1),
    "expected:".padStart(physical + 1),
    "flags:",
  ];
  const lines = rows.map((row, index) =>
    [
      `${String(index).padStart(4)}:`,
      `${row.first.padStart(logical)}..${row.last.padStart(logical)}:`,
      `${row.from.padStart(physical)}..${row.to.padStart(physical)}:`,
      `${row.length.padStart(length)}:`,
      `${row.expected.padStart(physical)}${row.expected === "" ? " " : ":"}`,
      row.flags,
    ]
      .join(" ")
      .trimEnd(),
  );
  return [heading.join(" "), ...lines];
}

/** The cells of one line. */
interface ExtentRow {
  readonly first: string;
  readonly last: string;
  readonly from: string;
  readonly to: string;
  readonly length: string;
  readonly expected: string;
  readonly flags: string;
}

function rowOf(file: ExtentFile, index: number): ExtentRow {
  const { blockSize, extents } = file;
  const extent = extents[index];
  const first = Math.floor((extent?.offset ?? 0) / blockSize);
  const length = Math.ceil((extent?.length ?? 0) / blockSize);
  const from = Math.floor((extent?.addr ?? 0) / blockSize);
  const expected = gapAt(file, index);
  return {
    first: String(first),
    last: String(first + length - 1),
    from: String(from),
    to: String(from + length - 1),
    length: String(length),
    expected: expected === undefined ? "" : String(Math.floor(expected / blockSize)),
    flags: flagsOf(file, index).join(","),
  };
}

/**
 * Where an extent would start if the file went on without a seek, or undefined where it does: right
 * behind the extent before it, with or without room for the hole between them.
 */
function gapAt({ extents }: ExtentFile, index: number): number | undefined {
  const extent = extents[index];
  if (extent === undefined || extent.offset === 0) return undefined;
  const { offset, length, addr = 0 } = extents[index - 1] ?? { offset: 0, length: 0 };
  const dense = addr + length;
  const spaced = dense + extent.offset - (offset + length);
  return extent.addr === dense || extent.addr === spaced ? undefined : spaced;
}

/** In how many pieces the file lies on the media. */
function piecesOf(file: ExtentFile): number {
  const gaps = file.extents.filter((_, index) => gapAt(file, index) !== undefined).length;
  const joined = file.extents.length > 0 && gapAt(file, 0) === undefined ? 1 : 0;
  return gaps + joined;
}

function flagsOf({ size, extents }: ExtentFile, index: number): string[] {
  const extent = extents[index];
  if (extent === undefined) return [];
  return [
    ...(index === extents.length - 1 ? ["last"] : []),
    ...(extent.inline ? ["not_aligned", "inline"] : []),
    ...(extent.unwritten ? ["unwritten"] : []),
    ...(extent.shared ? ["shared"] : []),
    ...(extent.offset + extent.length >= size ? ["eof"] : []),
  ];
}
