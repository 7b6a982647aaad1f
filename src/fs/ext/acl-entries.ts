/**
 * Access control lists as lists: decoded from what setxattr(2) takes, proved, encoded as they are
 * stored, and brought together with modes.
 *
 * @module
 */
import {
  ACL_GROUP,
  ACL_GROUP_OBJ,
  ACL_MASK,
  ACL_OTHER,
  ACL_USER,
  ACL_USER_OBJ,
  EXT4_ACL_VERSION,
  Ext4AclEntryShort,
  Ext4AclHeader,
  POSIX_ACL_XATTR_VERSION,
  PosixAclXattrEntry as PE,
} from "../../format/ext-xattr.ts";
import { DaxError } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";

const HEADER = sizeof(Ext4AclHeader);
const SHORT = sizeof(Ext4AclEntryShort);
const FULL = sizeof(PE);

/** One entry: who, and which of 4 (read), 2 (write) and 1 (execute). */
export interface AclEntry {
  readonly tag: number;
  readonly perm: number;
  /** Of `ACL_USER` and `ACL_GROUP`; it means nothing elsewhere. */
  readonly id: number;
}

/**
 * A list in the version 2 form of setxattr(2); empty when there is nothing to set.
 * @throws EINVAL for a list that is none, ENOTSUP for another version
 */
export function decodeAcl(value: Uint8Array): AclEntry[] {
  if (value.length === 0) return [];
  const view = new DataView(value.buffer, value.byteOffset, value.length);
  if (value.length < HEADER) throw invalid(`${value.length} bytes have no room for a version`);
  const version = view.getUint32(0, true);
  if (version !== POSIX_ACL_XATTR_VERSION) {
    const detail = `an ACL of version ${version}; only ${POSIX_ACL_XATTR_VERSION} is known`;
    throw new DaxError("ENOTSUP", { syscall: "setxattr", detail });
  }
  if ((value.length - HEADER) % FULL !== 0) throw invalid(`${value.length} bytes cut an entry`);
  const entries: AclEntry[] = [];
  for (let at = HEADER; at < value.length; at += FULL) {
    entries.push({
      tag: PE.tag.get(view, at),
      perm: PE.perm.get(view, at),
      id: PE.id.get(view, at),
    });
  }
  checkAcl(entries);
  return entries;
}

function invalid(rule: string): DaxError {
  return new DaxError("EINVAL", { syscall: "setxattr", detail: `ACL: ${rule}` });
}

/** What may follow each kind of entry; `ACL_OTHER` is the last. */
const RANKS = [ACL_USER_OBJ, ACL_USER, ACL_GROUP_OBJ, ACL_GROUP, ACL_MASK, ACL_OTHER];
const REPEATED = new Set([ACL_USER, ACL_GROUP]);

/** As Linux: in order, owner, group and others once, and a mask where anybody is named. */
function checkAcl(entries: readonly AclEntry[]): void {
  if (entries.length === 0) return;
  let previous = -1;
  for (const { tag, perm } of entries) {
    const rank = RANKS.indexOf(tag);
    if (rank < 0) throw invalid(`no entry has tag ${tag}`);
    if (perm > 7) throw invalid(`permissions are ${perm}, from 0 to 7`);
    if (rank < previous || (rank === previous && !REPEATED.has(tag))) {
      throw invalid(`the entry with tag ${tag} is out of order`);
    }
    previous = rank;
  }
  const has = (tag: number): boolean => entries.some((entry) => entry.tag === tag);
  if (!has(ACL_USER_OBJ) || !has(ACL_GROUP_OBJ) || !has(ACL_OTHER)) {
    throw invalid("owner, group or others are missing");
  }
  if ((has(ACL_USER) || has(ACL_GROUP)) && !has(ACL_MASK)) {
    throw invalid("somebody is named, and the mask is missing");
  }
}

/** The form that the filesystem stores. */
export function encodeStoredAcl(entries: readonly AclEntry[]): Uint8Array {
  const bytes = new Uint8Array(HEADER + entries.length * (SHORT + 4));
  const view = new DataView(bytes.buffer);
  Ext4AclHeader.version.set(view, 0, EXT4_ACL_VERSION);
  let at = HEADER;
  for (const { tag, perm, id } of entries) {
    Ext4AclEntryShort.tag.set(view, at, tag);
    Ext4AclEntryShort.perm.set(view, at, perm);
    at += SHORT;
    if (!REPEATED.has(tag)) continue;
    view.setUint32(at, id, true);
    at += 4;
  }
  return bytes.subarray(0, at);
}

/** The permissions of a list for a mode, and whether the mode says all that the list does. */
export function modeOfAcl(entries: readonly AclEntry[]): { bits: number; minimal: boolean } {
  const perm = (tag: number): number => entries.find((entry) => entry.tag === tag)?.perm ?? 0;
  const mask = entries.find(({ tag }) => tag === ACL_MASK);
  const group = mask?.perm ?? perm(ACL_GROUP_OBJ);
  const bits = (perm(ACL_USER_OBJ) << 6) | (group << 3) | perm(ACL_OTHER);
  return { bits, minimal: entries.length === 3 && mask === undefined };
}

/** The list with the permissions of a mode, as chmod(2) changes it. */
export function aclWithMode(entries: readonly AclEntry[], mode: number): AclEntry[] {
  return withBits(entries, mode, (_own, wanted) => wanted);
}

/** The list that a new file of `mode` inherits: no more than the mode asks for. */
export function inheritedAcl(entries: readonly AclEntry[], mode: number): AclEntry[] {
  return withBits(entries, mode, (own, wanted) => own & wanted);
}

/** Changes the entries that a mode has bits for; the group's are the mask's where there is one. */
function withBits(
  entries: readonly AclEntry[],
  mode: number,
  change: (own: number, wanted: number) => number,
): AclEntry[] {
  const masked = entries.some(({ tag }) => tag === ACL_MASK);
  const shifts = new Map([
    [ACL_USER_OBJ, 6],
    [masked ? ACL_MASK : ACL_GROUP_OBJ, 3],
    [ACL_OTHER, 0],
  ]);
  return entries.map((entry) => {
    const shift = shifts.get(entry.tag);
    if (shift === undefined) return entry;
    return { ...entry, perm: change(entry.perm, (mode >> shift) & 7) };
  });
}
