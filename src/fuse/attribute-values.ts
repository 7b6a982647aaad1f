/**
 * Extended attributes: FUSE_GETXATTR, FUSE_LISTXATTR, FUSE_SETXATTR and FUSE_REMOVEXATTR.
 *
 * @module
 */
import { FuseGetxattrIn, FuseGetxattrOut, FuseSetxattrIn } from "../format/fuse-calls.ts";
import {
  FUSE_SETXATTR_ACL_KILL_SGID,
  FUSE_SETXATTR_EXT,
  XATTR_CREATE,
  XATTR_REPLACE,
} from "../format/fuse-flags.ts";
import { encodeUtf8 } from "../lib/utf8.ts";
import { changeMode } from "../vfs/attribute-changes.ts";
import { XATTR_SIZE_MAX } from "../vfs/filesystem.ts";
import { getXattr, listXattrs, removeXattr, setXattr } from "../vfs/xattr-rules.ts";
import { type Answer, type Conversation, IN_HEADER, OUT_HEADER, refusal } from "./conversation.ts";

const GET_SIZE = 8;
const SIZE_OUT = 8;
const SET_SIZE = 8;
const SET_EXT_SIZE = 16;
const S_ISGID = 0o2000;

/** FUSE_GETXATTR. */
export function getxattr(c: Conversation): Answer {
  c.expect(GET_SIZE);
  const value = getXattr(c.node.inode, c.text(IN_HEADER + GET_SIZE));
  return value === undefined ? refusal("ENODATA") : putValue(c, value);
}

/** FUSE_LISTXATTR: names, each with a zero behind it. */
export function listxattr(c: Conversation): Answer {
  c.expect(GET_SIZE);
  const names = listXattrs(c.node.inode, { uid: c.uid, gid: c.gid });
  return putValue(c, encodeUtf8(names.map((name) => `${name}\0`).join("")));
}

/** What is asked for, or how long it is for who asks for nothing. */
function putValue(c: Conversation, value: Uint8Array): Answer {
  const size = FuseGetxattrIn.size.get(c.in, IN_HEADER);
  if (size === 0) {
    FuseGetxattrOut.size.set(c.out, OUT_HEADER, value.length);
    FuseGetxattrOut.padding.set(c.out, OUT_HEADER, 0);
    return SIZE_OUT;
  }
  if (value.length > size) return refusal("ERANGE");
  // No kernel takes more of either.
  if (value.length > Math.min(c.room, XATTR_SIZE_MAX)) return refusal("E2BIG");
  c.reply.bytes.set(value, OUT_HEADER);
  return value.length;
}

/** FUSE_SETXATTR. */
export function setxattr(c: Conversation): Answer {
  const extended = (c.flags & FUSE_SETXATTR_EXT) !== 0;
  const head = extended ? SET_EXT_SIZE : SET_SIZE;
  c.expect(head);
  const { in: view, node } = c;
  const size = FuseSetxattrIn.size.get(view, IN_HEADER);
  const flags = FuseSetxattrIn.flags.get(view, IN_HEADER);
  const more = extended ? FuseSetxattrIn.setxattrFlags.get(view, IN_HEADER) : 0;
  const name = c.text(IN_HEADER + head);
  const value = c.payload(c.next, size).slice();
  setXattr(node.inode, name, value, howOf(flags));
  const { mode } = node.inode;
  const loses = (more & FUSE_SETXATTR_ACL_KILL_SGID) !== 0 && (mode & S_ISGID) !== 0;
  if (loses) changeMode(node.inode, mode & ~S_ISGID);
  c.tree.mounts.watches.tell("attributes", node);
  c.onlookers.changes(node);
  return 0;
}

function howOf(flags: number): "create" | "replace" | undefined {
  if ((flags & XATTR_CREATE) !== 0) return "create";
  return (flags & XATTR_REPLACE) === 0 ? undefined : "replace";
}

/** FUSE_REMOVEXATTR. */
export function removexattr(c: Conversation): Answer {
  removeXattr(c.node.inode, c.text(IN_HEADER));
  c.tree.mounts.watches.tell("attributes", c.node);
  c.onlookers.changes(c.node);
  return 0;
}
