/**
 * A session: answers what a kernel asks of a tree of files, over the FUSE protocol, without a
 * device. A request goes in and its answer comes out, at once, since nothing below waits.
 *
 * @module
 */
import { FuseOpcode as Op } from "../format/fuse-flags.ts";
import { type DaxError, isDaxError } from "../lib/errno.ts";
import type { FileTree } from "../vfs/file-tree.ts";
import type { MountUser } from "../vfs/mounts.ts";
import type { Watch } from "../vfs/watches.ts";
import { getattr, setattr, statfs, statx } from "./attributes.ts";
import { getxattr, listxattr, removexattr, setxattr } from "./attribute-values.ts";
import * as contents from "./contents.ts";
import { type Answer, Conversation, type Handler, NO_ANSWER, refusal } from "./conversation.ts";
import { init } from "./init.ts";
import { ioctl } from "./ioctls.ts";
import * as listing from "./listing.ts";
import * as naming from "./naming.ts";
import { Nodes } from "./nodes.ts";
import { type NoticeSink, Notices } from "./notices.ts";
import { type FuseSessionOptions, shownAs } from "./options.ts";
import type { FuseReply, FuseServer } from "./server.ts";

const silence: Handler = () => NO_ANSWER;

/**
 * What has an answer of its own; the rest is ENOSYS, after which a kernel does not ask again: locks
 * are its own then, files are always ready, permissions are weighed by itself.
 */
const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [Op.LOOKUP, naming.lookup],
  [Op.FORGET, naming.forget],
  [Op.BATCH_FORGET, naming.batchForget],
  [Op.MKNOD, naming.mknod],
  [Op.MKDIR, naming.mkdir],
  [Op.SYMLINK, naming.symlink],
  [Op.LINK, naming.link],
  [Op.UNLINK, naming.unlink],
  [Op.RMDIR, naming.rmdir],
  [Op.RENAME, naming.rename],
  [Op.RENAME2, naming.rename2],
  [Op.READLINK, naming.readlink],
  [Op.GETATTR, getattr],
  [Op.SETATTR, setattr],
  [Op.STATX, statx],
  [Op.STATFS, statfs],
  [Op.GETXATTR, getxattr],
  [Op.LISTXATTR, listxattr],
  [Op.SETXATTR, setxattr],
  [Op.REMOVEXATTR, removexattr],
  [Op.OPENDIR, listing.opendir],
  [Op.RELEASEDIR, listing.releasedir],
  [Op.READDIR, listing.readdir],
  [Op.READDIRPLUS, listing.readdirplus],
  [Op.FSYNCDIR, listing.fsyncdir],
  [Op.OPEN, contents.open],
  [Op.CREATE, contents.create],
  [Op.TMPFILE, contents.tmpfile],
  [Op.READ, contents.read],
  [Op.WRITE, contents.write],
  [Op.FLUSH, contents.flush],
  [Op.RELEASE, contents.release],
  [Op.FSYNC, contents.fsync],
  [Op.SYNCFS, contents.syncfs],
  [Op.FALLOCATE, contents.fallocate],
  [Op.LSEEK, contents.lseek],
  [Op.COPY_FILE_RANGE, contents.copyFileRange],
  [Op.COPY_FILE_RANGE_64, contents.copyFileRange64],
  [Op.IOCTL, ioctl],
  // Every request was answered before the next is read: there is nothing left to interrupt.
  [Op.INTERRUPT, silence],
  [Op.NOTIFY_REPLY, silence],
]);

/** Whatever becomes of them, nobody waits to hear it. */
const UNANSWERED: ReadonlySet<number> = new Set([
  Op.FORGET,
  Op.BATCH_FORGET,
  Op.INTERRUPT,
  Op.NOTIFY_REPLY,
]);

/** What changes more than the kernel believes when it fails. */
const CHANGING: ReadonlySet<number> = new Set([Op.SETATTR, Op.OPEN, Op.WRITE, Op.FALLOCATE]);

/** See the module. It keeps the volume busy until it ends. */
export class FuseSession implements FuseServer, MountUser {
  readonly #c: Conversation;
  readonly #nodes: Nodes;
  readonly #notices: Notices;
  readonly #tap: Watch;
  #ready = false;
  #ended = false;

  constructor(tree: FileTree, options: FuseSessionOptions = {}) {
    this.#nodes = new Nodes(tree.root);
    this.#c = new Conversation(tree, this.#nodes, shownAs(options));
    this.#notices = new Notices(this.#nodes);
    this.#c.onlookers.overtake = (node) => this.#notices.overtake(node);
    this.#tap = tree.mounts.watches.tap(this.#notices);
    tree.root.mount.join(this);
  }

  get request(): Uint8Array<ArrayBuffer> {
    return this.#c.request;
  }

  get reply(): FuseReply {
    return this.#c.reply;
  }

  get ready(): boolean {
    return this.#ready;
  }

  get onNotice(): NoticeSink | undefined {
    return this.#notices.sink;
  }

  set onNotice(sink: NoticeSink | undefined) {
    this.#notices.sink = sink;
  }

  answer(length: number): void {
    const c = this.#c;
    const opcode = c.begin(length);
    const { watches } = c.tree.mounts;
    c.reply.pieceCount = 0;
    watches.muted = this.#notices;
    try {
      c.finish(this.#handle(opcode));
    } catch (error) {
      if (!isDaxError(error)) throw error;
      if (CHANGING.has(opcode)) this.#unsettle();
      c.finish(UNANSWERED.has(opcode) ? NO_ANSWER : errnoOf(error));
    } finally {
      watches.muted = undefined;
    }
  }

  spoiled(): void {
    this.#c.finish(refusal("EIO"));
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#ready = false;
    this.#tap.close();
    this.#notices.sink = undefined;
    this.#c.tree.root.mount.leave(this);
    this.#nodes.end();
  }

  describe(): string {
    return "a mount by FUSE";
  }

  revoke(): void {
    this.end();
  }

  /** A call that failed may have changed times and modes, of which the kernel hears nothing. */
  #unsettle(): void {
    const node = this.#nodes.at(this.#c.nodeid);
    if (node !== undefined) this.#c.onlookers.forget(node);
  }

  #handle(opcode: number): Answer {
    if (opcode === Op.INIT) return this.#init();
    if (opcode === Op.DESTROY) {
      this.end();
      return 0;
    }
    if (!this.#ready) {
      if (UNANSWERED.has(opcode)) return NO_ANSWER;
      return refusal(this.#ended ? "ENODEV" : "EIO");
    }
    const handler = HANDLERS.get(opcode);
    return handler === undefined ? refusal("ENOSYS") : handler(this.#c);
  }

  #init(): Answer {
    if (this.#ended) return refusal("ENODEV");
    const answer = init(this.#c);
    this.#ready = this.#c.minor > 0;
    return answer;
  }
}

/** Poison is an error of the device to whoever reads a file. */
function errnoOf({ code, errno }: DaxError): Answer {
  return code === "EHWPOISON" ? refusal("EIO") : errno;
}
