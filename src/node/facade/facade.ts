/**
 * `volume.fs`: `node:fs` over a tree of files.
 *
 * One table describes every operation; the synchronous, callback and promise flavours come from it.
 * Whoever takes an `fs` (a bundler, a static server, a database) works on an image with it.
 *
 * What differs from the real one, on purpose: relative paths start at the root of the tree;
 * absolute links stay inside it; without credentials the caller may do everything, as root;
 * watchers hear of what is done through the tree; what is missing is ENOTSUP (`unsupported.ts`); a
 * recursive listing follows no link back to where it comes from.
 *
 * @module
 */
import * as fs from "node:fs";
import type { FileTree } from "../../vfs/file-tree.ts";
import { notImplemented } from "./arguments.ts";
import { ATTRIBUTES } from "./attributes.ts";
import { Context, type FacadeOptions } from "./context.ts";
import { copyFile } from "./copy-file.ts";
import { cp } from "./copy-tree.ts";
import { Directory } from "./directory.ts";
import { temporaryLater, temporarySync } from "./disposable.ts";
import { equipHandles, handleOf, isHandle } from "./file-handle.ts";
import { existsWithCallback, promised, synchronous, withCallback } from "./flavours.ts";
import { type GlobCalls, globLater, globOf } from "./glob.ts";
import { LISTING, NATIVE_REALPATH } from "./listing.ts";
import { type Mmap, mmap } from "./mapping-files.ts";
import { NAMING } from "./naming.ts";
import { type Operation, type OperationTable, observable, operation } from "./operation.ts";
import { pathOf } from "./paths.ts";
import { Polls } from "./polling.ts";
import { READING } from "./reading.ts";
import { REMOVING } from "./removing.ts";
import { streamsOf } from "./streams.ts";
import { fillMissing, fillMissingPromises } from "./unsupported.ts";
import { watch, watchLater } from "./watching.ts";
import { WRITING_FILES } from "./write-files.ts";

const ROWS: OperationTable = {
  ...READING,
  ...LISTING,
  ...WRITING_FILES,
  ...NAMING,
  ...REMOVING,
  ...ATTRIBUTES,
  copyFile,
  cp,
};
const TABLE: OperationTable = Object.fromEntries(
  Object.entries(ROWS).map(([name, row]) => [name, observable(name, row)]),
);
equipHandles(TABLE);

/** Calls of `node:fs` that look. */
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
/** Calls of `node:fs` that change something: EROFS on a volume that is open for reading. */
export type FsWritingCall =
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
/** Calls of `node:fs` that tell of changes. */
export type FsWatchingCall = "unwatchFile" | "watch" | "watchFile";
/** What `volume.fs` has of `node:fs` beside calls. */
export type FsValue = "Dir" | "Dirent" | "ReadStream" | "Stats" | "WriteStream" | "constants";

/** The promise flavour, as `node:fs` types it. */
export type VolumePromises = Pick<
  typeof fs.promises,
  Extract<FsReadingCall | FsWritingCall | "constants" | "watch", keyof typeof fs.promises>
>;

/** What `volume.fs` has of `node:fs`, as that types it. */
export type NodeFs = Pick<
  typeof fs,
  | FsReadingCall
  | FsWritingCall
  | FsSyncCall<FsReadingCall | FsWritingCall>
  | FsWatchingCall
  | FsValue
> & {
  readonly promises: VolumePromises;
};

/** What `volume.fs` offers. */
export type VolumeFs = NodeFs & GlobCalls & { readonly mmapSync: Mmap };

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
  calls["lchmod"] = async () => {
    throw notImplemented("lchmod");
  };
  calls["glob"] = (...args: unknown[]) => globLater(context, args);
  calls["watch"] = (...args: unknown[]) => watchLater(context, args);
  return calls as unknown as VolumePromises;
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
  /** Closes them, and turns to another tree: cheaper than another facade. */
  moveTo(tree: FileTree): void;
}

/** Makes the facade of a tree. */
export function makeFacade(tree: FileTree, options: FacadeOptions = {}): Facade {
  const context = new Context(tree, options);
  const polls = new Polls(context);
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
  Object.assign(facade, streamsOf(facade), globOf(context), {
    Dir: Directory,
    mmapSync: (...args: unknown[]) => mmap(context, args),
    openAsBlob: (path: unknown, given: unknown) => blobOf(context, path, given),
    unwatchFile: (...args: unknown[]) => polls.unwatch(args),
    watch: (...args: unknown[]) => watch(context, args),
    watchFile: (...args: unknown[]) => polls.watch(args),
  });
  facade["mkdtempDisposableSync"] = temporarySync(facade as unknown as VolumeFs);
  const { promises } = facade as unknown as { promises: Record<string, unknown> };
  promises["mkdtempDisposable"] = temporaryLater(facade as unknown as VolumeFs);
  fillMissing(facade);
  fillMissingPromises(promises);
  const closeAll = (): void => {
    polls.close();
    context.closeAll();
  };
  const moveTo = (to: FileTree): void => {
    polls.close();
    context.moveTo(to);
  };
  return { fs: facade as unknown as VolumeFs, closeAll, moveTo };
}
