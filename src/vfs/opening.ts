/**
 * open(2): what is there already, what is made by it, and files without names, in the order in
 * which Linux asks (`path_openat`, `may_open`).
 *
 * @module
 */
import { changeLayout, cutFrom } from "./layout-changes.ts";
import { DaxError } from "../lib/errno.ts";
import { dropPrivileges } from "./attribute-changes.ts";
import { type CallOptions, inCall, walkOptions, writingOf } from "./calls.ts";
import type { Inode } from "./filesystem.ts";
import { assertMayCreate, makeIn, newFile } from "./making.ts";
import { S_IFIFO, S_IFMT, S_IFREG, isDirectory, isSymlink, openRefusal } from "./modes.ts";
import type { Location, MountTable } from "./mounts.ts";
import { OpenFile } from "./open-file.ts";
import type { OpenMode } from "./open-mode.ts";
import { type NamedPlace, walk, walkToNew } from "./path-walk.ts";
import {
  type Credentials,
  FS_APPEND_FL,
  MAY_EXEC,
  MAY_READ,
  MAY_WRITE,
  assertPermitted,
  denied,
} from "./permissions.ts";

/** How a file is opened. */
export interface OpenOptions extends CallOptions {
  /** Refuse a link in the last place (O_NOFOLLOW): ELOOP. */
  readonly noFollow?: boolean;
  /** Refuse what is no directory (O_DIRECTORY): ENOTDIR. */
  readonly directory?: boolean;
  /** For reading unless given. */
  readonly access?: "read" | "write" | "readwrite";
  /** Make it when it is not there (O_CREAT). */
  readonly create?: boolean;
  /** With `create`: refuse what is there (O_EXCL). With `unnamed`: it never gets a name. */
  readonly exclusive?: boolean;
  /** Empty it (O_TRUNC). */
  readonly truncate?: boolean;
  /** Every write goes to the end (O_APPEND). */
  readonly append?: boolean;
  /** The path is a directory, in which a file without a name is made (O_TMPFILE). */
  readonly unnamed?: boolean;
  /** Every write is durable before it returns: with all (O_SYNC), or what reads it (O_DSYNC). */
  readonly sync?: "all" | "data";
  /** Only the place (O_PATH): of any type, and nothing is asked of the file. */
  readonly path?: boolean;
  /** Permission bits of what is made; 0o666 unless given. */
  readonly mode?: number;
  /** Bits that are taken from `mode`; of no effect in directories with a default ACL. */
  readonly umask?: number;
}

const PERMISSIONS = 0o7777;
const STICKY_FOR_ALL = 0o1002;

/** Opens a file. @throws as `FileTree.open` */
export function openFile(table: MountTable, path: string, options: OpenOptions): OpenFile {
  const { syscall = "open" } = options;
  return inCall({ syscall, path }, () => {
    checkFlags(options);
    if (options.path === true) return openPlace(table, path, options, syscall);
    if (options.unnamed === true) return openUnnamed(table, path, options, syscall);
    if (options.create === true) return openOrMake(table, path, options, syscall);
    const follow = options.noFollow !== true;
    return openFound(walk(table, path, walkOptions(options, syscall, follow)), options);
  });
}

function checkFlags({ create, directory, unnamed, access }: OpenOptions): void {
  if (create === true && directory === true) throw denied("EINVAL", "create makes no directories");
  if (unnamed !== true) return;
  if (access === undefined || access === "read") {
    throw denied("EINVAL", "a file without a name is opened to be written");
  }
  if (create === true) throw denied("EINVAL", "a file is made with a name or without one");
}

function openPlace(
  table: MountTable,
  path: string,
  options: OpenOptions,
  syscall: string,
): OpenFile {
  const follow = options.noFollow !== true;
  const location = walk(table, path, walkOptions(options, syscall, follow));
  const wrong = options.directory === true && !isDirectory(location.inode.mode);
  if (wrong) throw denied("ENOTDIR");
  return new OpenFile(location, { access: "none", credentials: options.credentials });
}

function modeOf(options: OpenOptions): OpenMode {
  const { access = "read", append = false, sync, credentials } = options;
  return { access, append, sync, credentials };
}

function openUnnamed(
  table: MountTable,
  path: string,
  options: OpenOptions,
  syscall: string,
): OpenFile {
  const { credentials, owner, mode = 0o666, umask = 0, noFollow, exclusive = false } = options;
  const follow = noFollow !== true;
  const directory = walk(table, path, walkOptions(options, syscall, follow));
  if (!isDirectory(directory.inode.mode)) throw denied("ENOTDIR");
  const writing = writingOf(directory.inode);
  assertPermitted(directory.inode, MAY_WRITE | MAY_EXEC, credentials);
  const wanted = { mode: S_IFREG | (mode & PERMISSIONS) };
  const inode = writing.makeUnnamed(
    newFile(directory.inode, wanted, { credentials, owner, umask }),
  );
  const { mount } = directory;
  const location = { inode, mount, parent: directory, name: `#${inode.ino}` };
  return new OpenFile(location, { ...modeOf(options), linkable: !exclusive });
}

function openOrMake(
  table: MountTable,
  path: string,
  options: OpenOptions,
  syscall: string,
): OpenFile {
  const { credentials, owner, mode = 0o666, umask = 0, exclusive = false, noFollow } = options;
  const follow = !exclusive && noFollow !== true;
  const walked = walkToNew(table, path, walkOptions(options, syscall, follow));
  const { place, found } = walked;
  if (found !== undefined) {
    if (exclusive) throw denied("EEXIST");
    if (isDirectory(found.inode.mode)) throw denied("EISDIR");
    assertNoTrap(place.directory.inode, found.inode, credentials);
    return openFound(found, options);
  }
  const writing = writingOf(place.directory.inode);
  assertMayCreate(place, credentials);
  const wanted = { mode: S_IFREG | (mode & PERMISSIONS) };
  const inode = makeIn(table, place, writing, wanted, { credentials, owner, umask });
  return new OpenFile(locationOf(place, inode), modeOf(options));
}

/**
 * With `create`, what others left in a sticky directory for everybody is not opened, regular files
 * and fifos excepted (`may_create_in_sticky` where nothing more is protected). @throws EACCES
 */
function assertNoTrap(directory: Inode, found: Inode, credentials?: Credentials): void {
  const type = found.mode & S_IFMT;
  if (type === S_IFREG || type === S_IFIFO || credentials === undefined) return;
  if ((directory.mode & STICKY_FOR_ALL) !== STICKY_FOR_ALL) return;
  const { uid } = found.attributes();
  if (uid === directory.attributes().uid || uid === credentials.uid) return;
  throw denied("EACCES", "it is another user's, in a sticky directory for everybody");
}

function locationOf({ directory, name }: NamedPlace, inode: Inode): Location {
  return { inode, mount: directory.mount, parent: directory, name };
}

/** Opens what is there. */
function openFound(location: Location, options: OpenOptions): OpenFile {
  assertMayOpen(location.inode, options);
  const file = new OpenFile(location, modeOf(options));
  if (options.truncate === true) cutOpened(file, options);
  return file;
}

/** @throws ENOTDIR, ELOOP, EISDIR, ENXIO, EROFS, EACCES, EPERM */
export function assertMayOpen(inode: Inode, options: OpenOptions): void {
  const { mode } = inode;
  const { directory = false, access = "read", truncate = false, credentials } = options;
  if (directory && !isDirectory(mode)) throw denied("ENOTDIR");
  if (isSymlink(mode)) throw denied("ELOOP");
  const writes = access !== "read" || truncate;
  if (writes && isDirectory(mode)) throw denied("EISDIR");
  const reads = access !== "write";
  // A device on a filesystem that is not written to may be written to.
  const want = (reads ? MAY_READ : 0) | (writes ? MAY_WRITE : 0);
  assertPermitted(inode, want, credentials);
  const refusal = openRefusal(mode);
  if (refusal !== undefined) {
    throw new DaxError(refusal, {
      detail: "devices, fifos and sockets of an image have nobody at their other end",
    });
  }
  assertAppends(inode, options);
}

/** What is append-only is written at its end, and never cut. @throws EPERM */
function assertAppends({ ino, writing }: Inode, options: OpenOptions): void {
  if (((writing?.flags ?? 0) & FS_APPEND_FL) === 0) return;
  const { access = "read", append = false, truncate = false } = options;
  if (!truncate && (access === "read" || append)) return;
  throw denied("EPERM", `inode ${ino} is append-only; open it with append`);
}

function cutOpened(file: OpenFile, { credentials }: OpenOptions): void {
  try {
    changeLayout(file.inode, cutFrom(0), {}, () => {
      dropPrivileges(file.inode, credentials);
      writingOf(file.inode).truncate(0);
    });
    file.mount.watches.tell("modify", file.location);
  } catch (error) {
    file.close();
    throw error;
  }
}
