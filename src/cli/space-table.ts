/**
 * What `df` prints: the table of `df -k`, `-h` and `-i`, and the same as JSON.
 *
 * @module
 */
import type { Statfs } from "../vfs/filesystem.ts";
import { humanSize } from "./size.ts";

/** A filesystem and its sizes. */
export interface Space {
  /** As shown. */
  readonly image: string;
  readonly type: string;
  readonly statfs: Statfs;
}

/** How the table looks. */
export interface SpaceOptions {
  readonly human: boolean;
  readonly inodes: boolean;
  readonly type: boolean;
}

/** The table for people: a heading and a line for each filesystem. */
export function spaceLines(spaces: readonly Space[], options: SpaceOptions): string[] {
  const rows = [headings(options), ...spaces.map((space) => rowOf(space, options))];
  const left = options.type ? 2 : 1;
  const widths = headings(options).map((_, column) =>
    rows.reduce((most, cells) => Math.max(most, cells[column]?.length ?? 0), column === 0 ? 14 : 0),
  );
  return rows.map((cells) =>
    cells
      .map((cell, column) =>
        column < left ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join(" "),
  );
}

/** One filesystem for programs, in bytes. */
export function spaceRecord({ image, type, statfs }: Space): Record<string, unknown> {
  const { blockSize, blocks, bfree, bavail, files, ffree, nameLength } = statfs;
  return {
    image,
    type,
    blockSize,
    size: blocks * blockSize,
    used: (blocks - bfree) * blockSize,
    available: bavail * blockSize,
    inodes: files,
    inodesUsed: files - ffree,
    inodesFree: ffree,
    nameLength,
  };
}

function headings({ human, inodes, type }: SpaceOptions): string[] {
  const sizes = inodes
    ? ["Inodes", "IUsed", "IFree", "IUse%"]
    : human
      ? ["Size", "Used", "Avail", "Use%"]
      : ["1K-blocks", "Used", "Available", "Use%"];
  return ["Filesystem", ...(type ? ["Type"] : []), ...sizes];
}

function rowOf({ image, type, statfs }: Space, options: SpaceOptions): string[] {
  const { blockSize, blocks, bfree, bavail, files, ffree } = statfs;
  const show = (count: number): string => {
    if (options.inodes) return options.human ? humanSize(count) : String(count);
    const bytes = count * blockSize;
    return options.human ? humanSize(bytes) : String(Math.ceil(bytes / 1024));
  };
  const [total, used, free] = options.inodes
    ? [files, files - ffree, ffree]
    : [blocks, blocks - bfree, bavail];
  const name = options.type ? [image, type] : [image];
  return [...name, show(total), show(used), show(free), share(used, free)];
}

/** Rounded up, as df does; `-` where there is nothing to divide. */
function share(used: number, free: number): string {
  return used + free > 0 ? `${Math.ceil((used * 100) / (used + free))}%` : "-";
}
