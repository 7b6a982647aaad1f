/**
 * Names: FUSE_LOOKUP, and those that come, go and move. Who may is weighed by the kernel; what a
 * name may be done to is weighed by the vfs as for any other caller.
 *
 * @module
 */
import {
  FuseBatchForgetIn,
  FuseForgetIn,
  FuseForgetOne,
  FuseLinkIn,
  FuseMkdirIn,
  FuseMknodIn,
  FuseRename2In,
  FuseRenameIn,
} from "../format/fuse.ts";
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from "../format/fuse-flags.ts";
import { DaxError } from "../lib/errno.ts";
import type { Attributes, Inode } from "../vfs/filesystem.ts";
import type { MakeOptions } from "../vfs/making.ts";
import { isDirectory } from "../vfs/modes.ts";
import { lookUp } from "../vfs/path-walk.ts";
import { ENTRY_SIZE, putEntry, putNoEntry } from "./attributes.ts";
import {
  type Answer,
  type Conversation,
  IN_HEADER,
  NO_ANSWER,
  OUT_HEADER,
} from "./conversation.ts";
import { decodeDevice } from "./device-numbers.ts";
import type { Node } from "./nodes.ts";

const FORGET_SIZE = 8;
const FORGET_ONE_SIZE = 16;
const MKNOD_SIZE = 16;
const MKDIR_SIZE = 8;
const LINK_SIZE = 8;
const RENAME_SIZE = 8;
const RENAME2_SIZE = 16;

/** FUSE_LOOKUP. Absence is an answer, which the kernel keeps as well. */
export function lookup(c: Conversation): Answer {
  const { node } = c;
  const name = c.name(IN_HEADER);
  const inode = lookUp(c.tree.mounts, node.inode, name);
  if (inode === undefined) {
    node.askName(name);
    return putNoEntry(c, OUT_HEADER);
  }
  return answerEntry(c, node, name, inode);
}

function answerEntry(c: Conversation, parent: Node, name: string, inode: Inode): Answer {
  putEntry(c, OUT_HEADER, parent, name, inode);
  return ENTRY_SIZE;
}

function answerMade(c: Conversation, name: string, inode: Inode): Answer {
  c.onlookers.changes(c.node);
  return answerEntry(c, c.node, name, inode);
}

/** FUSE_FORGET. */
export function forget(c: Conversation): Answer {
  if (c.length < IN_HEADER + FORGET_SIZE) return NO_ANSWER;
  c.nodes.forget(c.nodeid, FuseForgetIn.nlookup.get(c.in, IN_HEADER));
  return NO_ANSWER;
}

/** FUSE_BATCH_FORGET. */
export function batchForget(c: Conversation): Answer {
  if (c.length < IN_HEADER + FORGET_SIZE) return NO_ANSWER;
  const fits = Math.floor((c.length - IN_HEADER - FORGET_SIZE) / FORGET_ONE_SIZE);
  const count = Math.min(FuseBatchForgetIn.count.get(c.in, IN_HEADER), fits);
  for (let i = 0, at = IN_HEADER + FORGET_SIZE; i < count; i++, at += FORGET_ONE_SIZE) {
    c.nodes.forget(FuseForgetOne.nodeid.get(c.in, at), FuseForgetOne.nlookup.get(c.in, at));
  }
  return NO_ANSWER;
}

/** For whom something is made, and where: the options of the vfs's calls. */
export function makeOptions(c: Conversation, mode: number, umask: number): MakeOptions {
  return { from: c.node, mode, umask, owner: { uid: c.uid, gid: c.gid } };
}

/** FUSE_MKNOD. */
export function mknod(c: Conversation): Answer {
  c.expect(MKNOD_SIZE);
  const mode = FuseMknodIn.mode.get(c.in, IN_HEADER);
  const rdev = decodeDevice(FuseMknodIn.rdev.get(c.in, IN_HEADER));
  const umask = FuseMknodIn.umask.get(c.in, IN_HEADER);
  const name = c.name(IN_HEADER + MKNOD_SIZE);
  const inode = c.tree.mknod(name, { ...makeOptions(c, mode, umask), rdev });
  return answerMade(c, name, inode);
}

/** FUSE_MKDIR. */
export function mkdir(c: Conversation): Answer {
  c.expect(MKDIR_SIZE);
  const mode = FuseMkdirIn.mode.get(c.in, IN_HEADER);
  const umask = FuseMkdirIn.umask.get(c.in, IN_HEADER);
  const name = c.name(IN_HEADER + MKDIR_SIZE);
  const inode = c.tree.mkdir(name, makeOptions(c, mode, umask));
  return answerMade(c, name, inode);
}

/** FUSE_SYMLINK: the name, and then where it leads. */
export function symlink(c: Conversation): Answer {
  const name = c.name(IN_HEADER);
  const target = c.text(c.next);
  const inode = c.tree.symlink(target, name, makeOptions(c, 0o777, 0));
  return answerMade(c, name, inode);
}

/** FUSE_LINK. */
export function link(c: Conversation): Answer {
  c.expect(LINK_SIZE);
  const existing = c.nodes.get(FuseLinkIn.oldnodeid.get(c.in, IN_HEADER));
  const name = c.name(IN_HEADER + LINK_SIZE);
  c.tree.link(existing, name, { from: c.node });
  return answerMade(c, name, existing.inode);
}

/** FUSE_UNLINK. */
export function unlink(c: Conversation): Answer {
  const name = c.name(IN_HEADER);
  const { node: from } = c;
  const victim = known(c, from, name);
  const last = keep(c, victim);
  c.tree.unlink(name, { from });
  c.onlookers.changes(from);
  if (victim !== undefined && last !== undefined) c.nodes.bury(victim, last);
  return 0;
}

/** FUSE_RMDIR. */
export function rmdir(c: Conversation): Answer {
  const name = c.name(IN_HEADER);
  keep(c, known(c, c.node, name));
  c.tree.rmdir(name, { from: c.node });
  c.onlookers.changes(c.node);
  return 0;
}

/**
 * What is about to lose a name lives on while the kernel knows it. But for what nobody has open, of
 * which only attributes can be asked any more: those are returned, and it may go at once, which
 * saves its way through the list of orphans.
 */
function keep(c: Conversation, victim: Node | undefined): Attributes | undefined {
  if (victim === undefined) return undefined;
  const { inode, opens } = victim;
  const directory = isDirectory(inode.mode);
  if (directory || opens > 0 || c.shown.noOpen) {
    victim.hold();
    return undefined;
  }
  const attributes = victim.attributes();
  return attributes.nlink === 1 ? attributes : undefined;
}

/** FUSE_RENAME. */
export function rename(c: Conversation): Answer {
  c.expect(RENAME_SIZE);
  return move(c, FuseRenameIn.newdir.get(c.in, IN_HEADER), 0, IN_HEADER + RENAME_SIZE);
}

/** FUSE_RENAME2. */
export function rename2(c: Conversation): Answer {
  c.expect(RENAME2_SIZE);
  const flags = FuseRename2In.flags.get(c.in, IN_HEADER);
  return move(c, FuseRename2In.newdir.get(c.in, IN_HEADER), flags, IN_HEADER + RENAME2_SIZE);
}

function move(c: Conversation, newdir: number, flags: number, at: number): Answer {
  if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) !== 0) {
    throw new DaxError("EINVAL", { syscall: "renameat2", detail: `flags 0x${flags.toString(16)}` });
  }
  const [from, to] = [c.node, c.nodes.get(newdir)];
  const name = c.name(at);
  const newName = c.name(c.next);
  const exchange = (flags & RENAME_EXCHANGE) !== 0;
  const noReplace = (flags & RENAME_NOREPLACE) !== 0;
  const [moved, target] = [known(c, from, name), known(c, to, newName)];
  const replaced = exchange || moved === target ? undefined : target;
  const last = keep(c, replaced);
  c.tree.rename(name, newName, { from, toFrom: to, exchange, noReplace });
  c.onlookers.changes(from);
  c.onlookers.changes(to);
  if (moved !== undefined) c.onlookers.changes(moved);
  if (replaced !== undefined && last !== undefined) c.nodes.bury(replaced, last);
  if (moved !== undefined && moved !== target) c.nodes.place(moved, to, newName);
  if (exchange && target !== undefined && moved !== target) {
    c.onlookers.changes(target);
    c.nodes.place(target, from, name);
  }
  return 0;
}

function known(c: Conversation, parent: Node, name: string): Node | undefined {
  const inode = lookUp(c.tree.mounts, parent.inode, name);
  return inode === undefined ? undefined : c.nodes.find(inode);
}

/** FUSE_READLINK. */
export function readlink(c: Conversation): Answer {
  const { inode, mount } = c.node;
  const target = inode.readlink();
  mount.accessed(inode);
  return c.putText(OUT_HEADER, target);
}
