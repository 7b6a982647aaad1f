/**
 * Access control lists as archives hold them, `user::rwx,user:joe:r--:1000,mask::rwx`, as the
 * attributes that getxattr(2) hands out.
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
  POSIX_ACL_XATTR_VERSION,
} from "../format/ext-xattr.ts";

interface Entry {
  readonly tag: number;
  readonly permissions: number;
  readonly id: number;
}

const HEADER = 4;
const ENTRY = 8;
const NO_ID = 0xffff_ffff;
const TAGS: Readonly<Record<string, readonly [own: number, named: number]>> = {
  user: [ACL_USER_OBJ, ACL_USER],
  u: [ACL_USER_OBJ, ACL_USER],
  group: [ACL_GROUP_OBJ, ACL_GROUP],
  g: [ACL_GROUP_OBJ, ACL_GROUP],
  mask: [ACL_MASK, 0],
  m: [ACL_MASK, 0],
  other: [ACL_OTHER, 0],
  o: [ACL_OTHER, 0],
};

/** The attribute's value; undefined for text that is no list, or names ids only by names. */
export function aclOfText(text: string): Uint8Array | undefined {
  const entries: Entry[] = [];
  for (const part of text.split(/[,\n]/u)) {
    const words = part.replace(/#.*$/u, "").trim();
    if (words === "") continue;
    const entry = entryOf(words.split(":"));
    if (entry === undefined) return undefined;
    entries.push(entry);
  }
  entries.sort((a, b) => a.tag - b.tag || a.id - b.id);
  const bytes = new Uint8Array(HEADER + entries.length * ENTRY);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, POSIX_ACL_XATTR_VERSION, true);
  for (const [i, { tag, permissions, id }] of entries.entries()) {
    const at = HEADER + i * ENTRY;
    view.setUint16(at, tag, true);
    view.setUint16(at + 2, permissions, true);
    view.setUint32(at + 4, id, true);
  }
  return entries.length === 0 ? undefined : bytes;
}

/** `kind:name:rwx`, with a number behind it where star or libarchive wrote it. */
function entryOf([kind = "", name = "", rights = "", number]: readonly string[]):
  | Entry
  | undefined {
  const tags = Object.hasOwn(TAGS, kind) ? TAGS[kind] : undefined;
  if (tags === undefined || !/^[r-][w-][x-]$/u.test(rights)) return undefined;
  const permissions =
    (rights[0] === "r" ? 4 : 0) + (rights[1] === "w" ? 2 : 0) + (rights[2] === "x" ? 1 : 0);
  const [own, named] = tags;
  if (name === "") return { tag: own, permissions, id: NO_ID };
  const id = number ?? name;
  if (named === 0 || !/^\d{1,10}$/u.test(id) || Number(id) >= NO_ID) return undefined;
  return { tag: named, permissions, id: Number(id) };
}
