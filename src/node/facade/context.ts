/**
 * What the calls of one `volume.fs` share: the tree, the open descriptors, device numbers.
 *
 * @module
 */
import { DaxError, type ErrnoCode, type ErrorContext, isDaxError } from "../../lib/errno.ts";
import type { FileTree } from "../../vfs/file-tree.ts";
import type { Filesystem, Inode } from "../../vfs/filesystem.ts";
import type { Location } from "../../vfs/mounts.ts";
import type { OpenFile } from "../../vfs/open-file.ts";
import type { Credentials } from "../../vfs/permissions.ts";
import type { LastOpened } from "./opening.ts";
import type { CallObserver } from "./operation.ts";
import { type PathArgument, shownPath } from "./paths.ts";
import type { FilesystemFacts } from "./stats.ts";

/**
 * The first descriptor that is handed out. Real descriptors of a process are small: one of ours
 * that strays into `node:fs` gives EBADF there instead of reading some other file.
 */
const FIRST_DESCRIPTOR = 2 ** 20;
/** Descriptors that can be open at once; the kernel's usual hard limit. */
const MOST_DESCRIPTORS = 2 ** 20;
/** The first `st_dev`: a major number that no driver of Linux has. */
const FIRST_DEVICE = 0xf0000;

let devices = 0;

/** As whom a facade acts. */
export interface FacadeOptions {
  /** Checked as the kernel would, and the owner of what is made; nothing is unless given. */
  readonly credentials?: Credentials;
  /** Permission bits that new files do not get; the process's own mask unless given. */
  readonly umask?: number;
  /** Where relative paths start, asked anew for each call; the root unless given, or not there. */
  readonly workingDirectory?: () => string;
  /** Sees each call. */
  readonly observer?: CallObserver;
  /** What promises wait for before they do anything; nothing unless given. */
  readonly turn?: () => Promise<void>;
}

/** What every call of a facade says to the tree. */
export interface CallOptions {
  readonly syscall: string;
  readonly credentials?: Credentials;
  readonly from?: Location;
}

/** One filesystem facade; descriptors of one are not open in another. */
export class Context {
  #tree: FileTree;
  readonly #files = new Map<number, OpenFile>();
  readonly #free: number[] = [];
  readonly #facts = new WeakMap<Filesystem, FilesystemFacts>();
  readonly credentials: Credentials | undefined;
  readonly observer: CallObserver | undefined;
  readonly turn: FacadeOptions["turn"];
  /** Options that can be used again as they are. */
  readonly opened: { last: LastOpened | undefined } = { last: undefined };
  /** Whether relative paths start at a place that may be another one each time. */
  readonly moves: boolean;
  readonly #umask: number | undefined;
  readonly #workingDirectory: (() => string) | undefined;

  constructor(tree: FileTree, options: FacadeOptions = {}) {
    this.#tree = tree;
    this.credentials = options.credentials;
    this.observer = options.observer;
    this.turn = options.turn;
    this.#umask = options.umask;
    this.#workingDirectory = options.workingDirectory;
    this.moves = options.workingDirectory !== undefined;
  }

  get tree(): FileTree {
    return this.#tree;
  }

  /** From here on calls go to another tree; nothing is open there. */
  moveTo(tree: FileTree): void {
    this.closeAll();
    this.#free.length = 0;
    this.opened.last = undefined;
    this.#tree = tree;
  }

  /** Where relative paths start. */
  get workingDirectory(): string {
    return this.#workingDirectory?.() ?? "/";
  }

  /** Permission bits that new files do not get. */
  get umask(): number {
    return this.#umask ?? process.umask();
  }

  /** Names a call, and who makes it. */
  by(syscall: string): CallOptions {
    const { credentials } = this;
    const who = credentials === undefined ? { syscall } : { syscall, credentials };
    return this.#workingDirectory === undefined ? who : { ...who, from: this.#start() };
  }

  #start(): Location {
    try {
      return this.tree.locate(this.workingDirectory);
    } catch (error) {
      if (isDaxError(error)) return this.tree.root;
      throw error;
    }
  }

  /** What every inode of a filesystem shows alike. */
  readonly facts = ({ filesystem }: Inode): FilesystemFacts => {
    const known = this.#facts.get(filesystem);
    if (known !== undefined) return known;
    const facts = { dev: FIRST_DEVICE + ++devices, blksize: filesystem.statfs().blockSize };
    this.#facts.set(filesystem, facts);
    return facts;
  };

  /** A free descriptor for an open file. @throws EMFILE */
  add(file: OpenFile): number {
    if (this.#files.size >= MOST_DESCRIPTORS) {
      file.close();
      throw new DaxError("EMFILE", { syscall: "open", path: file.path });
    }
    const fd = this.#free.pop() ?? FIRST_DESCRIPTOR + this.#files.size;
    this.#files.set(fd, file);
    return fd;
  }

  /** What a descriptor stands for, if it is open. */
  openFile(fd: number): OpenFile | undefined {
    return this.#files.get(fd);
  }

  /** @throws EBADF */
  file(fd: number, syscall: string): OpenFile {
    const file = this.#files.get(fd);
    if (file === undefined || file.closed) throw new DaxError("EBADF", { syscall });
    return file;
  }

  /** @throws EBADF */
  close(fd: number): void {
    const file = this.file(fd, "close");
    this.#files.delete(fd);
    this.#free.push(fd);
    file.close();
  }

  /** Closes what is open. */
  closeAll(): void {
    for (const [fd, file] of this.#files) {
      if (file.closed) this.#files.delete(fd);
      else this.close(fd);
    }
  }
}

/** An error about a path, in Node's words. */
export function refusal(
  code: ErrnoCode,
  syscall: string,
  path?: PathArgument,
  dest?: PathArgument,
): DaxError {
  return asLibuv(
    new DaxError(code, {
      syscall,
      ...(path === undefined ? {} : { path: path.shown }),
      ...(dest === undefined ? {} : { dest: dest.shown }),
    }),
  );
}

/** libuv speaks of sockets wherever something is not supported, and programs know it so. */
function asLibuv(error: DaxError): DaxError {
  if (error.code !== "ENOTSUP" && error.code !== "EOPNOTSUPP") return error;
  const words = `${error.code}: operation not supported`;
  return Object.assign(error, { message: error.message.replace(words, `${words} on socket`) });
}

/** What programs look for in messages too; a detail would keep them from finding it. */
const EVERYDAY: ReadonlySet<ErrnoCode> = new Set<ErrnoCode>([
  ...(["EPERM", "ENOENT", "ENXIO", "E2BIG", "EBADF", "EACCES", "EBUSY", "EEXIST"] as const),
  ...(["EXDEV", "ENOTDIR", "EISDIR", "EINVAL", "EMFILE", "EFBIG", "ENOSPC", "EROFS"] as const),
  ...(["EMLINK", "ENAMETOOLONG", "ENOTEMPTY", "ELOOP"] as const),
]);

/** An error at its place, in Node's words; what more is known is its `detail`. */
function worded(error: DaxError, context: ErrorContext): DaxError {
  const named = error.at(context);
  const { code, syscall, path, dest, detail } = named;
  if (detail === undefined || !EVERYDAY.has(code)) return asLibuv(named);
  const plain = new DaxError(code, {
    ...(syscall === undefined ? {} : { syscall }),
    ...(path === undefined ? {} : { path }),
    ...(dest === undefined ? {} : { dest }),
  });
  return withDetail(plain, detail);
}

function withDetail(error: DaxError, detail: string | undefined): DaxError {
  return detail === undefined ? error : Object.assign(error, { detail });
}

/** Runs `body`; what it throws names the path as the caller gave it. */
export function onPath<T>(path: PathArgument, syscall: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (isDaxError(error)) throw worded(error, { syscall, path: path.shown });
    throw error;
  }
}

/** As {@link onPath}, for a call with two paths. */
export function onPaths<T>(
  path: PathArgument,
  dest: PathArgument,
  syscall: string,
  body: () => T,
): T {
  try {
    return body();
  } catch (error) {
    if (isDaxError(error)) throw worded(error, { syscall, path: path.shown, dest: dest.shown });
    throw error;
  }
}

/** Runs `body` on an open file; bytes that are no UTF-8 in the path of an error are U+FFFD. */
export function onFile<T>(syscall: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!isDaxError(error)) throw error;
    const { code, path, detail } = error;
    // A descriptor has no path: Node does not show one either.
    if (EVERYDAY.has(code)) throw withDetail(new DaxError(code, { syscall }), detail);
    throw error.at({ syscall, ...(path === undefined ? {} : { path: shownPath(path) }) });
  }
}
