/**
 * setxattr(2) and removexattr(2): by full name, with the rules that Linux has for each kind.
 *
 * @module
 */
import {
  EXT4_XATTR_INDEX_POSIX_ACL_ACCESS,
  EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT,
} from "../../format/ext-xattr.ts";
import { S_IFDIR, S_IFREG } from "../../vfs/modes.ts";
import { type AclKind, setAcl } from "./acl-writer.ts";
import type { InodeState } from "./inode-state.ts";
import { assertFree, refusal } from "./new-names.ts";
import type { ExtWriting } from "./writing.ts";
import { type StoredName, parseXattrName } from "./xattr-names.ts";
import { XATTR_CREDITS, type XattrMode, dropXattr, storeXattr } from "./xattr-writer.ts";

const USER = "user.";

/**
 * Sets an attribute; a list of access rights sets the mode too.
 * @throws EEXIST, ENODATA as `mode` says; E2BIG, ERANGE, ENOTSUP, EPERM, EACCES, EINVAL, ENOSPC
 *   with nothing changed; EUCLEAN, EBADMSG, EIO
 */
export function setAttribute(
  writing: ExtWriting,
  state: InodeState,
  name: string,
  value: Uint8Array,
  mode: XattrMode,
): void {
  const stored = checkName(state, name, "setxattr");
  const kind = aclKind(stored);
  const { editor } = writing;
  writing.operate(XATTR_CREDITS, (handle) => {
    if (kind === undefined) storeXattr(editor, handle, state.record, stored, value, mode);
    else setAcl(editor, handle, state.record, kind, value);
    writing.storeAttributes(handle, state);
    state.forgetAttributes();
  });
}

/** Takes an attribute out. @throws ENODATA, EPERM, ERANGE, ENOTSUP with nothing changed; EIO */
export function removeAttribute(writing: ExtWriting, state: InodeState, name: string): void {
  const stored = checkName(state, name, "removexattr");
  const kind = aclKind(stored);
  const { editor } = writing;
  writing.operate(XATTR_CREDITS, (handle) => {
    if (kind === undefined) dropXattr(editor, handle, state.record, stored);
    else setAcl(editor, handle, state.record, kind, new Uint8Array(0));
    writing.storeAttributes(handle, state);
    state.forgetAttributes();
  });
}

function checkName(state: InodeState, name: string, syscall: string): StoredName {
  const stored = parseXattrName(name);
  assertFree(state, syscall);
  const { type, ino } = state.record;
  if (name.startsWith(USER) && type !== S_IFREG && type !== S_IFDIR) {
    const rule = "only regular files and directories have attributes of users";
    throw refusal("EPERM", syscall, `inode ${ino}: ${rule}`);
  }
  return stored;
}

function aclKind({ nameIndex }: StoredName): AclKind | undefined {
  if (nameIndex === EXT4_XATTR_INDEX_POSIX_ACL_ACCESS) return "access";
  return nameIndex === EXT4_XATTR_INDEX_POSIX_ACL_DEFAULT ? "default" : undefined;
}
