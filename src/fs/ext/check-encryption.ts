/**
 * Check of encrypted files: each has a policy, and everything in an encrypted directory that one's.
 *
 * @module
 */
import { EXT4_ENCRYPT_FL } from "../../format/ext-inode.ts";
import { EXT4_GOOD_OLD_INODE_SIZE } from "../../format/ext-superblock.ts";
import {
  EXT4_XATTR_INDEX_HURD,
  EXT4_XATTR_INDEX_POSIX_ACL_ACCESS,
  EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT,
  EXT4_XATTR_INDEX_SECURITY,
  EXT4_XATTR_INDEX_SYSTEM,
  EXT4_XATTR_INDEX_TRUSTED,
  EXT4_XATTR_INDEX_USER,
  EXT4_XATTR_MAGIC,
  Ext4XattrEntry as XE,
  Ext4XattrHeader as XH,
} from "../../format/ext-xattr.ts";
import { sizeof } from "../../lib/struct.ts";
import type { CheckContext } from "./check-context.ts";
import type { CheckedInode } from "./check-inode-record.ts";

/** The attribute is called `c` and holds a `struct fscrypt_context`, of one of two versions. */
const NAME = 0x63;
const SIZE_OF_VERSION: Readonly<Record<number, number>> = { 1: 28, 2: 40 };
/** Indices that put something before a name; all others leave it a `c`. */
const PREFIXED: ReadonlySet<number> = new Set([
  EXT4_XATTR_INDEX_USER,
  EXT4_XATTR_INDEX_POSIX_ACL_ACCESS,
  EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT,
  EXT4_XATTR_INDEX_TRUSTED,
  EXT4_XATTR_INDEX_SECURITY,
  EXT4_XATTR_INDEX_SYSTEM,
  EXT4_XATTR_INDEX_HURD,
]);
/** Bytes of it that say how; behind them is what makes each file its own. */
const POLICY_OF_VERSION: Readonly<Record<number, number>> = { 1: 12, 2: 24 };
/** Encrypted names are at least a block of the cipher. */
const SHORTEST_NAME = 16;

/** Checks the attribute of an inode that says that it is encrypted. @throws EIO */
export function checkEncryption(context: CheckContext, inode: CheckedInode): void {
  if (!inode.has(EXT4_ENCRYPT_FL)) return;
  const value = bodyValue(inode) ?? blockValue(context, inode);
  const report = (text: string): void =>
    context.error("ext.inode.encryption", inode.where, `it is encrypted, but ${text}`);
  if (value === undefined) {
    report("the attribute that says how is missing");
    return;
  }
  const version = value[0] ?? 0;
  const size = SIZE_OF_VERSION[version];
  if (version === 0 || (size !== undefined && size !== value.length)) {
    report(`the attribute that says how has version ${version} and ${value.length} bytes`);
    return;
  }
  const policy = value.subarray(0, POLICY_OF_VERSION[version] ?? 0);
  context.policies.set(inode.ino, policy.join());
}

/** Checks an entry of a directory: `.` and `..` are not to be given. */
export function checkEncryptedEntry(
  context: CheckContext,
  directory: number,
  entry: { readonly ino: number; readonly name: Uint8Array },
  where: string,
): void {
  const policy = context.policies.get(directory);
  if (policy === undefined) return;
  const report = (text: string): void => context.error("ext.directory.encryption", where, text);
  const { ino, name } = entry;
  if (name.length < SHORTEST_NAME) report(`an encrypted name has ${name.length} bytes`);
  const own = context.policies.get(ino);
  if (own === policy) return;
  if (own !== undefined) report(`inode ${ino} is encrypted in another way than its directory`);
  else if (isOfKindThatMust(context, ino)) report(`inode ${ino} is not encrypted`);
}

/** Devices, pipes and sockets have nothing to encrypt. */
function isOfKindThatMust(context: CheckContext, ino: number): boolean {
  const index = ino - 1;
  return (
    context.inodesRegular.has(index) ||
    context.inodesDirectory.has(index) ||
    context.inodesSymlink.has(index)
  );
}

function bodyValue(inode: CheckedInode): Uint8Array | undefined {
  const { bytes, view } = inode;
  const header = EXT4_GOOD_OLD_INODE_SIZE + inode.extraSize;
  if (header + 8 > bytes.length || view.getUint32(header, true) !== EXT4_XATTR_MAGIC) {
    return undefined;
  }
  return find(bytes, view, header + 4, header + 4);
}

function blockValue(context: CheckContext, inode: CheckedInode): Uint8Array | undefined {
  const { fileAcl } = inode;
  if (fileAcl === 0 || !context.isInside(fileAcl)) return undefined;
  const view = context.read(fileAcl, "attribute block");
  if (XH.magic.get(view, 0) !== EXT4_XATTR_MAGIC) return undefined;
  return find(new Uint8Array(view.buffer), view, sizeof(XH), 0);
}

/** The value of the attribute, where offsets of values count from `base`. */
function find(
  bytes: Uint8Array,
  view: DataView,
  first: number,
  base: number,
): Uint8Array | undefined {
  for (let at = first; at + sizeof(XE) <= bytes.length && view.getUint32(at, true) !== 0;) {
    const length = XE.nameLen.get(view, at);
    const named = length === 1 && bytes[at + sizeof(XE)] === NAME;
    if (named && !PREFIXED.has(XE.nameIndex.get(view, at))) {
      const start = base + XE.valueOffs.get(view, at);
      const size = XE.valueSize.get(view, at);
      return start + size <= bytes.length ? bytes.subarray(start, start + size) : undefined;
    }
    at += sizeof(XE) + ((length + 3) & ~3);
  }
  return undefined;
}
