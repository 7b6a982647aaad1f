/**
 * Notices: what the kernel has to forget because somebody else than itself changed it. It hears of
 * a file, or of a name, once, and again only after it has asked about it.
 *
 * @module
 */
import { FuseNotifyInvalEntryOut, FuseNotifyInvalInodeOut } from "../format/fuse-calls.ts";
import { FuseOutHeader } from "../format/fuse.ts";
import { FuseNotify } from "../format/fuse-flags.ts";
import { encodeUtf8 } from "../lib/utf8.ts";
import type { Inode } from "../vfs/filesystem.ts";
import type { Tap } from "../vfs/watches.ts";
import { OUT_HEADER } from "./conversation.ts";
import type { Node, Nodes } from "./nodes.ts";

const INODE_SIZE = 24;
const ENTRY_SIZE = 16;

/** Takes a notice: a whole frame, which is its own. */
export type NoticeSink = (frame: Uint8Array<ArrayBuffer>) => void;

/** Hears of the changes of a tree, and words them for a kernel. */
export class Notices implements Tap {
  readonly #nodes: Nodes;
  sink: NoticeSink | undefined;

  constructor(nodes: Nodes) {
    this.#nodes = nodes;
  }

  changed(inode: Inode): void {
    const node = this.#nodes.find(inode);
    if (node !== undefined) this.#forgetFile(node);
  }

  renamed(directory: Inode, name: string, inode: Inode): void {
    const parent = this.#nodes.find(directory);
    if (parent !== undefined) {
      if (parent.tellName(name)) this.#forgetName(parent, name);
      this.#forgetFile(parent);
    }
    this.changed(inode);
  }

  /** The kernel forgets attributes, and those that are on their way to it; not contents. */
  overtake(node: Node): void {
    if (this.sink === undefined) return;
    const [frame, view] = notice(FuseNotify.INVAL_INODE, INODE_SIZE);
    FuseNotifyInvalInodeOut.ino.set(view, OUT_HEADER, node.id);
    // Minus one: no contents.
    view.setBigInt64(OUT_HEADER + FuseNotifyInvalInodeOut.off.offset, -1n, true);
    this.sink(frame);
  }

  #forgetFile(node: Node): void {
    if (node.told || this.sink === undefined) return;
    node.told = true;
    const [frame, view] = notice(FuseNotify.INVAL_INODE, INODE_SIZE);
    FuseNotifyInvalInodeOut.ino.set(view, OUT_HEADER, node.id);
    this.sink(frame);
  }

  #forgetName(parent: Node, name: string): void {
    if (this.sink === undefined) return;
    const bytes = encodeUtf8(name);
    const [frame, view] = notice(FuseNotify.INVAL_ENTRY, ENTRY_SIZE + bytes.length + 1);
    FuseNotifyInvalEntryOut.parent.set(view, OUT_HEADER, parent.id);
    FuseNotifyInvalEntryOut.namelen.set(view, OUT_HEADER, bytes.length);
    frame.set(bytes, OUT_HEADER + ENTRY_SIZE);
    this.sink(frame);
  }
}

function notice(code: number, size: number): [Uint8Array<ArrayBuffer>, DataView] {
  const frame = new Uint8Array(OUT_HEADER + size);
  const view = new DataView(frame.buffer);
  FuseOutHeader.len.set(view, 0, frame.length);
  FuseOutHeader.error.set(view, 0, code);
  return [frame, view];
}
