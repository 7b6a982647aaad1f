/**
 * What a new filesystem is filled with: a tree of files as its maker describes it, numbered and
 * counted before anything is placed.
 *
 * @module
 */
import type { Range } from "../../lib/range-set.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import { S_IFMT, isDirectory } from "../../vfs/modes.ts";
import type { CopiedTimes } from "./mkfs-inode.ts";
import { refuse } from "./mkfs-options.ts";
import type { KeptAttribute } from "./xattr-layout.ts";

/** A file of any type. The same object under several names is one file with several links. */
export interface NewNode extends CopiedTimes {
  /** Type and permissions. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly attributes: readonly KeptAttribute[];
  /** Bytes, of a regular file. */
  readonly size: number;
  /** The parts of a regular file that hold data; everything else reads as zeros. */
  readonly data: readonly Range[];
  /** Fills `target` from a regular file's byte `offset` on; what is not there stays zero. */
  readonly read?: (offset: number, target: Uint8Array) => void;
  /** Where a symbolic link leads. */
  readonly target?: Uint8Array;
  /** Of a device. */
  readonly device?: { readonly major: number; readonly minor: number };
  /** What a directory holds, without `.` and `..`; in any order. */
  readonly children?: readonly NewChild[];
}

/** A name in a directory. */
export interface NewChild {
  readonly name: Uint8Array;
  readonly node: NewNode;
}

/** A node with its number. */
export interface Numbered {
  readonly node: NewNode;
  readonly ino: number;
  readonly parent: number;
  links: number;
  /** Of a directory: names in the order of their bytes. */
  readonly children: readonly NewChild[];
}

/** What only the maker of a filesystem puts into its root. */
const LOST_AND_FOUND = encodeUtf8("lost+found");
const MOST_LINKS = 65_000;
const NOTHING: readonly NewChild[] = [];

/** Whether a name in the root is that of what every filesystem has already. */
export function isLostAndFound(name: Uint8Array): boolean {
  return (
    name.length === LOST_AND_FOUND.length && name.every((byte, i) => byte === LOST_AND_FOUND[i])
  );
}

/**
 * Numbers a tree, directories before what they hold, by names in the order of their bytes; `take`
 * gives the numbers. The root has `rootInode`, and no `lost+found` is taken over from it.
 * @throws EINVAL for a tree that cannot be
 */
export function numberTree(
  root: NewNode,
  rootInode: number,
  take: () => number,
): Map<NewNode, Numbered> {
  const all = new Map<NewNode, Numbered>();
  const waiting: Numbered[] = [];
  const enter = (node: NewNode, ino: number, parent: number): void => {
    const directory = isDirectory(node.mode);
    const children = directory ? childrenOf(node, ino === rootInode) : NOTHING;
    const numbered = { node, ino, parent, links: directory ? 2 : 1, children };
    all.set(node, numbered);
    if (directory) waiting.push(numbered);
  };
  enter(root, rootInode, rootInode);
  for (let next = 0; next < waiting.length; next++) {
    const directory = waiting[next] as Numbered;
    for (const { name, node } of directory.children) {
      const known = all.get(node);
      if (isDirectory(node.mode)) directory.links++;
      if (known === undefined) enter(node, take(), directory.ino);
      else if (isDirectory(node.mode)) refuse("a directory has two names; it can have one");
      else if (++known.links > MOST_LINKS) {
        refuse(`a file has more than ${MOST_LINKS} names, among them ${shown(name)}`);
      }
    }
  }
  return all;
}

/** The names that a directory gets, in the order of their bytes. @throws EINVAL */
function childrenOf({ children = [] }: NewNode, root: boolean): NewChild[] {
  const kept = root ? children.filter(({ name }) => !isLostAndFound(name)) : [...children];
  kept.sort((a, b) => compareBytes(a.name, b.name));
  for (const [i, { name, node }] of kept.entries()) {
    const before = kept[i - 1];
    const twice = before !== undefined && compareBytes(before.name, name) === 0;
    if (twice || !isName(name)) refuse(`"${shown(name)}" cannot be a name, or not twice`);
    if ((node.mode & S_IFMT) === 0) refuse(`"${shown(name)}" has no type`);
  }
  return kept;
}

function isName(name: Uint8Array): boolean {
  if (name.length === 0 || name.length > 255) return false;
  const dots = name.every((byte) => byte === 0x2e);
  return !(dots && name.length < 3) && !name.includes(0x2f) && !name.includes(0);
}

function shown(name: Uint8Array): string {
  return String.fromCharCode(...name.subarray(0, 40)).replaceAll(/[^ -~]/gu, "?");
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
