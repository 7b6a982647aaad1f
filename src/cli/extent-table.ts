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
  const rows = extents.map((_, index) => rowOf(file, index));
  return [
    `File size of ${name} is ${size} (${blocks} ${plural} of ${blockSize} bytes)`,
    ...(rows.length === 0 ? [] : aligned([HEADINGS, ...rows])),
    `${name}: ${extents.length} extent${extents.length === 1 ? "" : "s"} found`,
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

const HEADINGS = ["ext:", "logical_offset:", "physical_offset:", "length:", "expected:", "flags:"];

function rowOf(file: ExtentFile, index: number): string[] {
  const { blockSize, extents } = file;
  const extent = extents[index];
  const first = extent === undefined ? 0 : Math.floor(extent.offset / blockSize);
  const length = Math.ceil((extent?.length ?? 0) / blockSize);
  const physical = extent?.addr === undefined ? 0 : Math.floor(extent.addr / blockSize);
  return [
    `${index}:`,
    `${first}..${first + length - 1}:`,
    `${physical}..${physical + length - 1}:`,
    `${length}:`,
    expectedOf(file, index, physical),
    flagsOf(file, index).join(","),
  ];
}

/** Where an extent would have started, had the file gone on without a gap on the media. */
function expectedOf({ blockSize, extents }: ExtentFile, index: number, physical: number): string {
  const before = extents[index - 1];
  const extent = extents[index];
  if (before?.addr === undefined || extent === undefined) return "";
  const gap = extent.offset - (before.offset + before.length);
  const expected = Math.floor((before.addr + before.length + gap) / blockSize);
  return expected === physical ? "" : `${expected}:`;
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

/** Columns as wide as their widest cell; the flags are left-aligned, the rest is right-aligned. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = HEADINGS.map((_, column) =>
    rows.reduce((most, cells) => Math.max(most, cells[column]?.length ?? 0), 0),
  );
  return rows.map((cells) =>
    cells
      .map((cell, column) =>
        column === HEADINGS.length - 1 ? cell : cell.padStart(widths[column] ?? 0),
      )
      .join(" ")
      .trimEnd(),
  );
}
