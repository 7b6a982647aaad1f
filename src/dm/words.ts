/**
 * The words of dmsetup: lines of a table, arguments of a target, numbers as the kernel reads them.
 *
 * @module
 */
import { SECTOR_SIZE } from "../block/block-device.ts";
import { DaxError } from "../lib/errno.ts";

/** One line of a table: which sectors are served by which target. */
export interface TableLine {
  /** The first sector of the mapped device. */
  readonly start: number;
  /** Sectors. */
  readonly length: number;
  /** The target's name. */
  readonly target: string;
  /** Its arguments, as they were written. */
  readonly parameters: string;
}

/** Sectors that a device may have at most: its bytes are numbers below 2^53. */
export const MOST_SECTORS = Math.floor(Number.MAX_SAFE_INTEGER / SECTOR_SIZE);
/** Lines that a table may have; the kernel's limit is the 4 GiB of one ioctl. */
const MOST_LINES = 1 << 20;
/** Bytes that the kernel has for the name of a target, with the zero behind it. */
const MOST_TYPE_NAME = 16;

/**
 * Reads a table as dmsetup does: a target a line, `#` begins a comment, empty lines are nothing.
 * Whether the lines fit together is for whoever loads them.
 * @throws EINVAL naming the line
 */
export function parseTable(text: string): TableLine[] {
  const lines: TableLine[] = [];
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    if (lines.length === MOST_LINES) refuseLine(index, line, `more than ${MOST_LINES} targets`);
    lines.push(parseLine(index, line));
  }
  return lines;
}

/** As scanf takes `%llu %llu %s`: what ends a number begins the next thing. */
function parseLine(index: number, line: string): TableLine {
  const match = /^([+-]?\d+)(?!\d)\s*([+-]?\d+)(?!\d)\s*(\S+)\s*([^#]*)/u.exec(line);
  if (match === null) refuseLine(index, line, "it takes START LENGTH TARGET [ARGUMENT]...");
  const [, start, length, target = "", parameters = ""] = match;
  if (target.length >= MOST_TYPE_NAME) {
    const detail = `Target type name ${target.slice(0, 200)} is too long.`;
    throw new DaxError("EINVAL", { syscall: "load", detail });
  }
  return { start: scanned(start), length: scanned(length), target, parameters };
}

/** As scanf reads an unsigned number: below zero is far beyond all, and so is too much. */
function scanned(word: string | undefined): number {
  const value = Number(word);
  return value < 0 ? Math.max(2 ** 64 + value, 0) : Math.min(value, 2 ** 64);
}

function refuseLine(index: number, line: string, why: string): never {
  const seen = line.length > 60 ? `${line.slice(0, 57)}...` : line;
  throw new DaxError("EINVAL", {
    syscall: "load",
    detail: `Invalid format on line ${index + 1} of table: "${seen}"; ${why}`,
  });
}

/** The text of a table that {@link parseTable} reads, as `dmsetup table` prints it. */
export function formatTable(lines: readonly TableLine[]): string {
  return lines
    .map(({ start, length, target, parameters }) => `${start} ${length} ${target} ${parameters}\n`)
    .join("");
}

/**
 * Splits arguments as the kernel does: at white space, a backslash takes the next character as it
 * is.
 */
export function splitArguments(text: string): string[] {
  const words: string[] = [];
  for (const [word] of text.matchAll(/(?:\\[\s\S]|[^\s\\])+/gu)) {
    words.push(word.replaceAll(/\\([\s\S])/gu, "$1"));
  }
  return words;
}

/** Bits of the types that arguments have in the kernel: `%llu`, and `%u`. */
type Bits = 64 | 32;

/**
 * An unsigned decimal number, and nothing else; undefined for all that the kernel refuses. As its
 * `sscanf` does, this takes the lowest bits of what is too long for the type.
 */
export function unsigned(
  word: string | undefined,
  most = Number.MAX_SAFE_INTEGER,
  bits: Bits = 64,
): number | undefined {
  if (word === undefined || !/^\d{1,4096}$/u.test(word)) return undefined;
  const value = Number(BigInt.asUintN(bits, BigInt(word)));
  return value <= most ? value : undefined;
}

/** As the kernel's `kstrtouint`: one `+` may stand in front, and nothing is cut off. */
export function wholeUnsigned(word: string | undefined, most: number): number | undefined {
  if (word === undefined || !/^\+?\d{1,4096}$/u.test(word)) return undefined;
  const value = Number(word);
  return value <= most ? value : undefined;
}
