/**
 * Mount options that a superblock holds as bits: what `tune2fs -o` sets and dumpe2fs prints.
 *
 * @module
 */
import { closest } from "../../lib/suggest.ts";
import { refuse } from "./tune-options.ts";

/** The bits that say how data are journalled: one value of three, or none. */
const JOURNAL_MODE = 0x60;

const NAMES: Readonly<Record<string, number>> = {
  debug: 0x1,
  bsdgroups: 0x2,
  user_xattr: 0x4,
  acl: 0x8,
  uid16: 0x10,
  journal_data: 0x20,
  journal_data_ordered: 0x40,
  journal_data_writeback: 0x60,
  nobarrier: 0x100,
  block_validity: 0x200,
  discard: 0x400,
  nodelalloc: 0x800,
};

/** The names of the bits of `word`, the journal's mode first. */
export function mountDefaultNames(word: number): string[] {
  const names: string[] = [];
  for (const [name, bits] of Object.entries(NAMES)) {
    const mode = (bits & JOURNAL_MODE) !== 0;
    if (mode && (word & JOURNAL_MODE) === bits) names.unshift(name);
    if (!mode && (word & bits) !== 0) names.push(name);
  }
  for (let bit = 0; bit < 32; bit++) {
    const known = bit < 12 && bit !== 7;
    if (!known && ((word >>> bit) & 1) === 1) names.push(`MNTOPT_${bit}`);
  }
  return names;
}

/**
 * Changes `word` as a list says: `name` sets, `^name` or `-name` clears. Names are separated by
 * commas or blanks, in either case of letters. @throws EINVAL for a name that is not known
 */
export function editMountDefaults(word: number, list: string): number {
  let changed = word;
  for (const item of list.split(/[\s,]+/u)) {
    if (item === "") continue;
    const clear = /^[\^-]/u.test(item);
    const bits = bitsOf(item.replace(/^[\^+-]/u, "").toLowerCase());
    if (!clear && (bits & JOURNAL_MODE) !== 0) changed &= ~JOURNAL_MODE;
    changed = clear ? changed & ~bits : changed | bits;
  }
  return changed >>> 0;
}

function bitsOf(name: string): number {
  const bits = Object.hasOwn(NAMES, name) ? NAMES[name] : undefined;
  if (bits !== undefined) return bits;
  const known = Object.keys(NAMES);
  const near = closest(name, known);
  const hint = near === undefined ? `known are ${known.join(", ")}` : `did you mean ${near}?`;
  return refuse(`mount option "${name.slice(0, 40)}" is not known; ${hint}`);
}
