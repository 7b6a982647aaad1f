/**
 * Requests of a kernel in words: which call they come from, of which file, by which program. Nodes
 * have numbers there; their paths follow from the requests themselves.
 *
 * @module
 */
import { FATTR_SIZE, FuseOpcode as Op } from "../../../format/fuse-flags.ts";
import {
  FuseCopyFileRangeIn,
  FuseDirent,
  FuseFallocateIn,
  FuseFsyncIn,
} from "../../../format/fuse-calls.ts";
import {
  FuseEntryOut,
  FuseInHeader,
  FuseLinkIn,
  FuseOpenIn,
  FuseOutHeader,
  FuseRename2In,
  FuseRenameIn,
  FuseSetattrIn,
  FuseWriteIn,
} from "../../../format/fuse.ts";
import { programOf } from "../../processes.ts";
import { decodeUtf8 } from "../../../lib/utf8.ts";
import type { ForeignCall } from "../calls.ts";

const IN = 40;
const OUT = 16;
const ROOT = 1;
const ENTRY = 128;
const DIRENT = 24;
const ALIGN = 8;
const O_TRUNC = 0o1000;
const FSYNC_DATA = 1;
const EXCHANGE = 2;
/** Path components before somebody is surely going round in circles. */
const DEEPEST = 4096;

/** Where the name stands behind the header, of requests that are answered by an entry. */
const ENTRIES: ReadonlyMap<number, readonly [string, number]> = new Map([
  [Op.LOOKUP, ["lookup", 0]],
  [Op.MKNOD, ["creat", 16]],
  [Op.MKDIR, ["mkdir", 8]],
  [Op.CREATE, ["creat", 16]],
  [Op.SYMLINK, ["symlink", 0]],
  [Op.LINK, ["link", 8]],
]);

const SIMPLE: ReadonlyMap<number, string> = new Map([
  [Op.SETXATTR, "setxattr"],
  [Op.REMOVEXATTR, "removexattr"],
  [Op.FLUSH, "close"],
  [Op.SYNCFS, "syncfs"],
]);

interface Place {
  parent: number;
  name: string;
}

const EIO = 5;
/** Requests whose failure is told: what they say in words is in the request alone. */
const TOLD: ReadonlySet<number> = new Set([
  Op.WRITE,
  Op.FLUSH,
  Op.FSYNC,
  Op.FSYNCDIR,
  Op.FALLOCATE,
  Op.SYNCFS,
]);

/** Knows the paths of nodes, and follows them. */
export class RequestWords {
  readonly #places = new Map<number, Place>();
  readonly #programs = new Map<number, string>();

  /** What a request was that has been answered; undefined: it changes nothing, or was refused. */
  callOf(request: Uint8Array, reply: Uint8Array): ForeignCall | undefined {
    const view = viewOf(request);
    const error = viewOf(reply).getInt32(FuseOutHeader.error.offset, true);
    // What the device fails is told; what is refused changes nothing.
    if (error < 0 && (error !== -EIO || !TOLD.has(FuseInHeader.opcode.get(view, 0)))) {
      return undefined;
    }
    const said = this.#said(request, view, viewOf(reply));
    if (said === undefined) return undefined;
    const program = this.#programOf(FuseInHeader.pid.get(view, 0));
    const detail = [said.detail ?? "", program === "" ? "" : `by ${program}`].join(" ").trim();
    const places = [said.path ?? "", said.to ?? ""].join(" ").replaceAll(/\d+/gu, "#");
    const threw = error < 0 ? { threw: "EIO" } : {};
    return { ...said, place: places, ...(detail === "" ? {} : { detail }), ...threw };
  }

  #said(request: Uint8Array, view: DataView, reply: DataView): ForeignCall | undefined {
    const opcode = FuseInHeader.opcode.get(view, 0);
    const node = FuseInHeader.nodeid.get(view, 0);
    const entry = ENTRIES.get(opcode);
    if (entry !== undefined) return this.#entered(request, reply, opcode, node, entry);
    if (opcode === Op.READDIRPLUS) this.#listed(reply, node);
    const path = this.#pathOf(node);
    const simple = SIMPLE.get(opcode);
    if (simple !== undefined) return { name: simple, path };
    switch (opcode) {
      case Op.WRITE: {
        const [at, size] = [FuseWriteIn.offset.get(view, IN), FuseWriteIn.size.get(view, IN)];
        return { name: "pwrite", path, bytes: size, detail: `at ${at}` };
      }
      case Op.OPEN: {
        const truncates = (FuseOpenIn.flags.get(view, IN) & O_TRUNC) !== 0;
        return truncates ? { name: "truncate", path, detail: "when opened" } : undefined;
      }
      case Op.SETATTR: {
        const sizes = (FuseSetattrIn.valid.get(view, IN) & FATTR_SIZE) !== 0;
        if (!sizes) return { name: "setattr", path };
        return { name: "truncate", path, detail: `to ${FuseSetattrIn.size.get(view, IN)}` };
      }
      case Op.FSYNC:
      case Op.FSYNCDIR: {
        const data = (FuseFsyncIn.fsyncFlags.get(view, IN) & FSYNC_DATA) !== 0;
        return { name: data ? "fdatasync" : "fsync", path };
      }
      case Op.FALLOCATE: {
        const [at, size] = [FuseFallocateIn.offset.get(view, IN), FuseFallocateIn.length];
        return { name: "fallocate", path, detail: `${at}+${size.get(view, IN)}` };
      }
      case Op.COPY_FILE_RANGE:
      case Op.COPY_FILE_RANGE_64: {
        const to = FuseCopyFileRangeIn.nodeidOut.get(view, IN);
        return { name: "copy_file_range", path: this.#pathOf(to) };
      }
      case Op.UNLINK:
      case Op.RMDIR: {
        const name = opcode === Op.UNLINK ? "unlink" : "rmdir";
        return { name, path: this.#below(node, nameAt(request, IN).name) };
      }
      case Op.RENAME:
      case Op.RENAME2:
        return this.#moved(request, view, node, opcode === Op.RENAME2);
      default:
        return undefined;
    }
  }

  #entered(
    request: Uint8Array,
    reply: DataView,
    opcode: number,
    parent: number,
    [call, at]: readonly [string, number],
  ): ForeignCall | undefined {
    const { name } = nameAt(request, IN + at);
    const path = this.#below(parent, name);
    const existing =
      opcode === Op.LINK ? this.#pathOf(FuseLinkIn.oldnodeid.get(viewOf(request), IN)) : undefined;
    const made = reply.byteLength >= OUT + ENTRY ? FuseEntryOut.nodeid.get(reply, OUT) : 0;
    // The first name of a file with several stays what it is called.
    if (made > ROOT && existing === undefined) this.#places.set(made, { parent, name });
    if (opcode === Op.LOOKUP) return undefined;
    return existing === undefined ? { name: call, path } : { name: call, path: existing, to: path };
  }

  /** Entries with a node each, and their names behind them. */
  #listed(reply: DataView, parent: number): void {
    for (let at = OUT; at + ENTRY + DIRENT <= reply.byteLength;) {
      const length = FuseDirent.namelen.get(reply, at + ENTRY);
      const bytes = new Uint8Array(reply.buffer, reply.byteOffset, reply.byteLength);
      const start = at + ENTRY + DIRENT;
      const name = decodeUtf8(bytes, start, Math.min(start + length, bytes.length));
      const node = FuseEntryOut.nodeid.get(reply, at);
      if (node > ROOT && name !== "." && name !== "..") this.#places.set(node, { parent, name });
      at += Math.ceil((ENTRY + DIRENT + length) / ALIGN) * ALIGN;
    }
  }

  #moved(request: Uint8Array, view: DataView, from: number, second: boolean): ForeignCall {
    const to = (second ? FuseRename2In : FuseRenameIn).newdir.get(view, IN);
    const exchanges = second && (FuseRename2In.flags.get(view, IN) & EXCHANGE) !== 0;
    const { name: old, next } = nameAt(request, IN + (second ? 16 : 8));
    const { name } = nameAt(request, next);
    const [path, target] = [this.#below(from, old), this.#below(to, name)];
    for (const place of this.#places.values()) {
      if (place.parent === from && place.name === old) [place.parent, place.name] = [to, name];
      else if (exchanges && place.parent === to && place.name === name) {
        [place.parent, place.name] = [from, old];
      }
    }
    return { name: "rename", path, to: target };
  }

  #below(parent: number, name: string): string {
    const path = this.#pathOf(parent);
    return path === "/" ? `/${name}` : `${path}/${name}`;
  }

  #pathOf(node: number): string {
    const names: string[] = [];
    for (let at = node; at !== ROOT && names.length < DEEPEST;) {
      const place = this.#places.get(at);
      if (place === undefined) return `/?${node}`;
      names.unshift(place.name);
      at = place.parent;
    }
    return `/${names.join("/")}`;
  }

  /** The kernel asks for some programs of its own accord, as number 0. */
  #programOf(pid: number): string {
    if (pid === 0) return "";
    let name = this.#programs.get(pid);
    if (name === undefined) {
      name = programOf(pid);
      this.#programs.set(pid, name);
    }
    return name;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function nameAt(request: Uint8Array, at: number): { name: string; next: number } {
  const found = request.indexOf(0, at);
  const stop = found === -1 ? request.length : found;
  return { name: decodeUtf8(request, at, stop), next: stop + 1 };
}
