/**
 * `volume.fs`: the reading half of `node:fs` over a tree of files, and the writing half refused.
 *
 * One table describes every operation; the synchronous, callback and promise flavours come from it.
 * Whoever takes an `fs` (glob, a bundler, a static server) works on an image with it.
 *
 * What differs from the real one, on purpose: relative paths start at the root of the tree;
 * absolute links stay inside it; the caller may read everything, as root; `watch` and `glob` are
 * ENOTSUP, and so is whatever else is missing (`unsupported.ts`); a recursive listing follows no
 * link back to where it comes from.
 *
 * @module
 */
import * as fs from "node:fs";
import type { FileTree } from "../../vfs/file-tree.ts";
import type { Function_ } from "./arguments.ts";
import { Context } from "./context.ts";
import { Directory } from "./directory.ts";
import { equipHandles, handleOf, isHandle, streamOf } from "./file-handle.ts";
import { existsWithCallback, promised, synchronous, withCallback } from "./flavours.ts";
import { LISTING, NATIVE_REALPATH } from "./listing.ts";
import { type Operation, type OperationTable, operation } from "./operation.ts";
import { pathOf } from "./paths.ts";
import { READING } from "./reading.ts";
import { fillMissing, fillMissingPromises } from "./unsupported.ts";
import { WRITING } from "./writing.ts";

const TABLE: OperationTable = { ...READING, ...LISTING, ...WRITING };
equipHandles(TABLE);

/** Calls of `node:fs` that `volume.fs` answers. */
export type FsReadingCall =
  | "access"
  | "close"
  | "createReadStream"
  | "exists"
  | "fstat"
  | "lstat"
  | "open"
  | "openAsBlob"
  | "opendir"
  | "read"
  | "readFile"
  | "readdir"
  | "readlink"
  | "readv"
  | "realpath"
  | "stat"
  | "statfs";
/** Calls of `node:fs` that change something: `volume.fs` has them, and refuses with EROFS. */
export type FsRefusedCall =
  | "appendFile"
  | "chmod"
  | "chown"
  | "copyFile"
  | "cp"
  | "createWriteStream"
  | "fchmod"
  | "fchown"
  | "fdatasync"
  | "fsync"
  | "ftruncate"
  | "futimes"
  | "lchown"
  | "link"
  | "lutimes"
  | "mkdir"
  | "mkdtemp"
  | "rename"
  | "rm"
  | "rmdir"
  | "symlink"
  | "truncate"
  | "unlink"
  | "utimes"
  | "write"
  | "writeFile"
  | "writev";
/** The synchronous flavour of calls. */
export type FsSyncCall<N extends string> = Extract<`${N}Sync`, keyof typeof fs>;
/** What `volume.fs` has of `node:fs` beside calls. */
export type FsValue = "Dir" | "Dirent" | "ReadStream" | "Stats" | "WriteStream" | "constants";

/** The promise flavour, as `node:fs` types it. */
export type VolumePromises = Pick<
  typeof fs.promises,
  Extract<FsReadingCall | FsRefusedCall | "constants", keyof typeof fs.promises>
>;

/** What `volume.fs` offers, as `node:fs` types it. */
export type VolumeFs = Pick<
  typeof fs,
  FsReadingCall | FsRefusedCall | FsSyncCall<FsReadingCall | FsRefusedCall> | FsValue
> & {
  readonly promises: VolumePromises;
};

/** Operations on descriptors have no promise flavour of their own: `FileHandle` has them. */
const ON_DESCRIPTORS = new Set(
  [
    "close",
    "exists",
    "fchmod",
    "fchown",
    "fdatasync",
    "fstat",
    "fsync",
    "ftruncate",
    "futimes",
  ].concat("read", "readv", "write", "writev"),
);

/** A handle where Node takes a path or a handle, and no bare descriptor. */
function unwrapped(row: Operation): Operation {
  return operation((context, [target, ...rest], flavour) => {
    if (isHandle(target)) return row.prepare(context, [target.fd, ...rest], flavour);
    if (typeof target === "number" && row.onDescriptorToo === true) pathOf(target);
    return row.prepare(context, [target, ...rest], flavour);
  });
}

function promisesOf(context: Context): VolumePromises {
  const calls: Record<string, unknown> = { constants: fs.constants };
  for (const [name, row] of Object.entries(TABLE)) {
    if (!ON_DESCRIPTORS.has(name)) calls[name] = promised(context, unwrapped(row));
  }
  calls["realpath"] = promised(context, NATIVE_REALPATH);
  const open = promised(context, TABLE["open"] as Operation) as (
    ...args: unknown[]
  ) => Promise<number>;
  calls["open"] = async (...args: unknown[]) => handleOf(context, await open(...args));
  fillMissingPromises(calls);
  return calls as unknown as VolumePromises;
}

function streamsOf(facade: object): Record<string, Function_> {
  return {
    createReadStream(path, options) {
      const given =
        typeof options === "string" ? { encoding: options } : { ...(options as object) };
      const { fd } = given as { fd?: unknown };
      if (isHandle(fd)) return streamOf(fd, given);
      return fs.createReadStream(path as string, { ...given, fs: facade } as object);
    },
    createWriteStream(path, options) {
      const given =
        typeof options === "string" ? { encoding: options } : { ...(options as object) };
      return fs.createWriteStream(path as string, { ...given, fs: facade } as object);
    },
  };
}

/** A class whose objects are those of a function, as `fs.ReadStream` can be called with `new`. */
function classOf(make: Function_, like: { readonly prototype: object }): Function_ {
  const made = function made(...args: readonly unknown[]) {
    return make(...args);
  };
  // Whatever asks `instanceof` means the streams of Node, which these are.
  return Object.defineProperty(made, "prototype", { value: like.prototype });
}

/** A file as a blob of its bytes. @throws as `readFile`, and in its words */
async function blobOf(context: Context, path: unknown, options: unknown): Promise<Blob> {
  const read = promised(context, TABLE["readFile"] as Operation);
  pathOf(path);
  const { type = "" } = (options ?? {}) as { type?: string };
  return new Blob([(await read(path)) as Buffer], { type });
}

/** The `fs` of a tree, and what ends its descriptors. */
export interface Facade {
  readonly fs: VolumeFs;
  /** Closes every descriptor that is open. */
  closeAll(): void;
}

/** Makes the facade of a tree. */
export function makeFacade(tree: FileTree): Facade {
  const context = new Context(tree);
  const facade: Record<string, unknown> = {
    promises: promisesOf(context),
    constants: fs.constants,
    F_OK: fs.constants.F_OK,
    R_OK: fs.constants.R_OK,
    W_OK: fs.constants.W_OK,
    X_OK: fs.constants.X_OK,
    Stats: fs.Stats,
    Dirent: fs.Dirent,
  };
  for (const [name, row] of Object.entries(TABLE)) {
    facade[name] = withCallback(context, row);
    facade[`${name}Sync`] = synchronous(context, row);
  }
  facade["exists"] = existsWithCallback(context, TABLE["exists"] as Operation);
  for (const [name, make] of [
    ["realpath", withCallback],
    ["realpathSync", synchronous],
  ] as const) {
    Object.assign(facade[name] as object, { native: make(context, NATIVE_REALPATH) });
  }
  const streams = streamsOf(facade);
  Object.assign(facade, streams, {
    Dir: Directory,
    ReadStream: classOf(streams["createReadStream"] as Function_, fs.ReadStream),
    WriteStream: classOf(streams["createWriteStream"] as Function_, fs.WriteStream),
    openAsBlob: (path: unknown, options: unknown) => blobOf(context, path, options),
  });
  fillMissing(facade);
  return { fs: facade as unknown as VolumeFs, closeAll: () => context.closeAll() };
}
