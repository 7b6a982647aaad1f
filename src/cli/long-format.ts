/**
 * The lines of `ls -l`: aligned columns of mode, links, owners, size, time and name.
 *
 * @module
 */
import type { Timespec } from "../lib/environment.ts";
import { isDaxError } from "../lib/errno.ts";
import type { Attributes, Inode } from "../vfs/filesystem.ts";
import { formatMode, isDevice, isDirectory, isSymlink, majorOf, minorOf } from "../vfs/modes.ts";
import type { OwnerNames } from "./owners.ts";
import { humanSize } from "./size.ts";
import { listTime } from "./times.ts";

/** One file to list. */
export interface Listed {
  /** As shown, coloured or not. */
  readonly name: string;
  readonly ino: number;
  /** Undefined where the inode cannot be read. */
  readonly inode: Inode | undefined;
}

/** How the columns look. */
export interface LongOptions {
  /** Undefined shows numbers. */
  readonly owners: OwnerNames | undefined;
  readonly human: boolean;
  /** Show inode numbers first. */
  readonly inodes: boolean;
  readonly now: Timespec;
  /** Shows the target of a link. */
  readonly shownTarget: (target: string) => string;
}

/** `owner`: names to the left, numbers to the right. */
type Align = "left" | "right" | "owner";
const ALIGN: readonly Align[] = ["right", "left", "right", "owner", "owner", "right", "left"];

/** A line for each file. */
export function longLines(files: readonly Listed[], options: LongOptions): string[] {
  const rows = files.map((file) => rowOf(file, options));
  const widths = ALIGN.map((_, column) =>
    rows.reduce((most, cells) => Math.max(most, cells[column]?.length ?? 0), 0),
  );
  return rows.map((cells, line) => {
    const shown = cells
      .map((cell, column) => pad(cell, widths[column] ?? 0, ALIGN[column] ?? "left"))
      .filter((_, column) => column > 0 || options.inodes);
    return `${shown.join(" ")} ${files[line]?.name}${targetOf(files[line]?.inode, options)}`;
  });
}

/** Space that the files take, in KiB: what `ls` calls the total. */
export function totalKib(files: readonly Listed[]): number {
  const sectors = files.reduce((sum, { inode }) => sum + (inode?.attributes().blocks ?? 0), 0);
  return Math.ceil(sectors / 2);
}

function rowOf({ ino, inode }: Listed, options: LongOptions): string[] {
  if (inode === undefined) return [String(ino), "-?????????", "?", "?", "?", "?", "           ?"];
  const attributes = inode.attributes();
  const { mode, nlink, uid, gid, mtime } = attributes;
  const { owners } = options;
  return [
    String(ino),
    formatMode(mode) + accessMark(inode),
    String(nlink),
    owners?.user(uid) ?? String(uid),
    owners?.group(gid) ?? String(gid),
    sizeText(attributes, options.human),
    listTime(mtime, options.now),
  ];
}

function sizeText({ mode, rdev, size }: Attributes, human: boolean): string {
  if (isDevice(mode)) return `${majorOf(rdev)}, ${minorOf(rdev)}`;
  return human ? humanSize(size) : String(size);
}

/** `+` for an access control list, `.` for a security label alone. */
function accessMark(inode: Inode): string {
  const names = inode.listxattr();
  const lists = isDirectory(inode.mode)
    ? ["system.posix_acl_access", "system.posix_acl_default"]
    : ["system.posix_acl_access"];
  if (lists.some((name) => names.includes(name))) return "+";
  return names.includes("security.selinux") ? "." : "";
}

function targetOf(inode: Inode | undefined, options: LongOptions): string {
  if (inode === undefined || !isSymlink(inode.mode)) return "";
  try {
    return ` -> ${options.shownTarget(inode.readlink())}`;
  } catch (error) {
    if (isDaxError(error)) return " -> ?";
    throw error;
  }
}

function pad(cell: string, width: number, align: Align): string {
  const right = align === "right" || (align === "owner" && /^\d+$/u.test(cell));
  return right ? cell.padStart(width) : cell.padEnd(width);
}
