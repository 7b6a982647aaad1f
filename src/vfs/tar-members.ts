/**
 * Members of a tar archive as their headers together describe them.
 *
 * @module
 */
import type { Timespec } from "../lib/environment.ts";
import type { Range } from "../lib/range-set.ts";
import { aclOfText } from "./tar-acl.ts";
import { type RawHeader, tarDamage } from "./tar-headers.ts";
import { type TarRecords, bytesOfLetters } from "./tar-records.ts";

/** What a member makes; `link` is another name for a file that came before. */
export type TarKind = "file" | "link" | "symlink" | "character" | "block" | "directory" | "fifo";

/** An extended attribute as it is set; the name as bytes. */
export type TarXattr = readonly [name: Uint8Array, value: Uint8Array];

/** A member of an archive that is read. */
export interface TarMember {
  readonly kind: TarKind;
  /** Byte of the archive at which its own header starts. */
  readonly at: number;
  /** As it stands in the archive: any bytes, absolute or not. */
  readonly name: Uint8Array;
  /** Of links of both kinds: where they lead. */
  readonly link: Uint8Array;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly uname: Uint8Array;
  readonly gname: Uint8Array;
  /** Bytes of a file, holes included. */
  readonly size: number;
  /** Where a file holds data, in order; they lie one behind the other in the archive. */
  readonly data: readonly Range[];
  /** Byte of the archive at which the data start. */
  readonly dataAt: number;
  readonly mtime: Timespec;
  readonly atime: Timespec | undefined;
  readonly ctime: Timespec | undefined;
  readonly major: number;
  readonly minor: number;
  readonly xattrs: readonly TarXattr[];
}

/** Everything but the data's places. */
export type MemberHead = Omit<TarMember, "data" | "dataAt" | "size">;

const KINDS: Readonly<Record<string, TarKind>> = {
  "0": "file",
  "1": "link",
  "2": "symlink",
  "3": "character",
  "4": "block",
  "5": "directory",
  "6": "fifo",
  // Contiguous files, GNU's directories with a list of what was in them, GNU's sparse files.
  "7": "file",
  D: "directory",
  S: "file",
};
const SLASH = 0x2f;
const MOST_MAJOR = 0xfff;
const MOST_MINOR = 0xfffff;

/** What came before a member's header: names too long for it, and records. */
export interface Extensions {
  readonly longName: Uint8Array | undefined;
  readonly longLink: Uint8Array | undefined;
  readonly records: TarRecords;
}

/** Bytes that follow a header, whatever they mean; records may say it where 12 bytes do not. */
export function storedSize(header: RawHeader, { records }: Extensions): number {
  const { type } = header;
  // POSIX: links have none, whatever the field says; neither have those that are no files.
  if (/[1-6]/u.test(type)) return 0;
  return records.size("size") ?? header.size;
}

/** Whether a letter is one that POSIX or GNU gave a meaning; others are read as files. */
export function isKnownType(type: string): boolean {
  return Object.hasOwn(KINDS, type);
}

/** What headers say of a member. @throws EUCLEAN */
export function memberHead(header: RawHeader, extensions: Extensions): MemberHead {
  const { records, longName, longLink } = extensions;
  const { at } = header;
  const sparseName = records.bytes("GNU.sparse.name");
  const name = sparseName ?? records.bytes("path") ?? longName ?? header.name;
  return {
    kind: kindOf(header, name),
    at,
    name,
    link: records.bytes("linkpath") ?? longLink ?? header.link,
    mode: header.mode,
    uid: records.id("uid") ?? header.uid,
    gid: records.id("gid") ?? header.gid,
    uname: records.bytes("uname") ?? header.uname,
    gname: records.bytes("gname") ?? header.gname,
    mtime: records.time("mtime") ?? header.mtime,
    atime: records.time("atime") ?? header.atime,
    ctime: records.time("ctime") ?? header.ctime,
    ...deviceOf(header, records),
    xattrs: attributesOf(records),
  };
}

/** v7 knew no directories: they are files whose names end in a slash. */
function kindOf({ type }: RawHeader, name: Uint8Array): TarKind {
  const kind = isKnownType(type) ? (KINDS[type] as TarKind) : "file";
  return type === "0" && name.at(-1) === SLASH ? "directory" : kind;
}

function deviceOf(header: RawHeader, records: TarRecords): { major: number; minor: number } {
  if (header.type !== "3" && header.type !== "4") return { major: 0, minor: 0 };
  const major = records.size("SCHILY.devmajor") ?? header.major;
  const minor = records.size("SCHILY.devminor") ?? header.minor;
  const known = major >= 0 && major <= MOST_MAJOR && minor >= 0 && minor <= MOST_MINOR;
  if (known) return { major, minor };
  throw tarDamage(header.at, `a device is ${major}:${minor}; up to ${MOST_MAJOR}:${MOST_MINOR}`);
}

const ACLS = [
  ["SCHILY.acl.access", "system.posix_acl_access"],
  ["SCHILY.acl.default", "system.posix_acl_default"],
] as const;
const SELINUX = "RHT.security.selinux";

/** In the order of their names. */
function attributesOf(records: TarRecords): TarXattr[] {
  const values = new Map(records.xattrs);
  for (const [key, name] of ACLS) {
    const text = records.text(key);
    const value = text === undefined || values.has(name) ? undefined : aclOfText(text);
    if (value !== undefined) values.set(name, value);
  }
  const label = records.bytes(SELINUX);
  if (label !== undefined && !values.has("security.selinux")) {
    values.set("security.selinux", Uint8Array.of(...label, 0));
  }
  const names = [...values.keys()].toSorted((a, b) => (a < b ? -1 : 1));
  return names.map((name) => [bytesOfLetters(name), values.get(name) as Uint8Array]);
}

/** Lists of access rights that name somebody who has no number here. */
export function unreadableAcls(records: TarRecords): readonly string[] {
  return ACLS.flatMap(([key, name]) => {
    const text = records.xattrs.has(name) ? undefined : records.text(key);
    return text !== undefined && aclOfText(text) === undefined ? [name] : [];
  });
}
