/**
 * What a file may do that whoever runs it may not: its capabilities. They go when its contents
 * change, whoever changes them. Setuid and setgid stay for those who may set them
 * (`should_remove_suid`, CAP_FSETID): who acts for somebody else takes them away.
 *
 * @module
 */
import type { ExtEditor } from "./editor.ts";
import type { Handle } from "./handle.ts";
import type { InodeState } from "./inode-state.ts";
import { parseXattrName } from "./xattr-names.ts";
import { XATTR_CREDITS, dropXattr } from "./xattr-writer.ts";
import { readXattrs } from "./xattr.ts";

const CAPABILITY = "security.capability";

/** Whether a change of contents takes something away. @throws EUCLEAN, EBADMSG, EIO */
export function isPrivileged({ volume }: ExtEditor, state: InodeState): boolean {
  return (state.xattrs ??= readXattrs(volume, state.record)).has(CAPABILITY);
}

/** Whether {@link isPrivileged} is known to be false. */
export function isKnownPlain({ xattrs }: InodeState): boolean {
  return xattrs !== undefined && !xattrs.has(CAPABILITY);
}

/** Credits that {@link dropPrivileges} takes. */
export function privilegeCredits(editor: ExtEditor, state: InodeState): number {
  return isPrivileged(editor, state) ? XATTR_CREDITS : 0;
}

/**
 * Takes capabilities away. The caller stores the record.
 * @throws ENOSPC with nothing changed, when what stays needs a block of its own; EUCLEAN, EBADMSG,
 *   EIO
 */
export function dropPrivileges(editor: ExtEditor, handle: Handle, state: InodeState): void {
  if (!isPrivileged(editor, state)) return;
  dropXattr(editor, handle, state.record, parseXattrName(CAPABILITY));
  state.forgetAttributes();
}
