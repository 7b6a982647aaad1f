/**
 * Mounts: several filesystems in one tree, and who keeps one of them busy.
 *
 * @module
 */
import { AddressSpaces } from "../dax/address-spaces.ts";
import { DaxError, assert } from "../lib/errno.ts";
import { type AccessRule, noteAccess } from "./access-times.ts";
import type { Filesystem, Inode } from "./filesystem.ts";
import { joinDevice } from "./mounted-device.ts";
import { isDirectory } from "./modes.ts";
import { NameCache } from "./name-cache.ts";
import { Watches } from "./watches.ts";

/** Something that keeps a mount busy while it lives: an open file, a mapping. */
export interface MountUser {
  /** For the EBUSY message: `open file /a/b`. */
  describe(): string;
  /**
   * Ends it against its owner's will: later use of it throws.
   * @throws EBUSY when memory was handed out that cannot be taken back; `mediaCloses` says that
   * closing the media takes it back right after
   */
  revoke(mediaCloses: boolean): void;
  /** Whether memory was handed out that may be stored to, and that nobody can take back. */
  readonly storesRaw?: boolean;
}

/** What unmounting does with users: refuse (EBUSY), or end them. */
export interface UnmountOptions {
  /** End open files and mappings, and unmount what is mounted below. */
  readonly revoke?: boolean;
  /** With `revoke`: the media is closed next, so aliases of it may be left to that. */
  readonly mediaCloses?: boolean;
}

/** A place in the tree: an inode and how the walk came to it. */
export interface Location {
  readonly inode: Inode;
  readonly mount: Mount;
  /** Undefined for the root of the tree. */
  readonly parent: Location | undefined;
  /** The last name of the path; empty for the root of the tree. */
  readonly name: string;
}

/** The absolute path of a place, without links. */
export function pathOf(location: Location): string {
  let path = "";
  for (let at = location; at.parent !== undefined; at = at.parent) path = `/${at.name}${path}`;
  return path === "" ? "/" : path;
}

/** One filesystem at one place of the tree. */
export class Mount {
  readonly filesystem: Filesystem;
  /** The directory that this mount covers; undefined for the root of the tree. */
  readonly at: Location | undefined;
  /** The root of the filesystem as a place of the tree. */
  readonly root: Location;
  /** Who wants to hear of changes; all mounts of a tree share it. */
  readonly watches: Watches;
  /** Files that are mapped; all trees over a filesystem share it. */
  readonly spaces: AddressSpaces;
  /** Whether reading leaves a trace; undefined where it leaves none. */
  accessRule: AccessRule | undefined;
  readonly #users = new Set<MountUser>();
  readonly #leaveDevice: () => void;
  #live = true;

  /** @throws ENXIO when the device is gone already, EBUSY when somebody else has it alone */
  constructor(filesystem: Filesystem, at: Location | undefined, watches = new Watches()) {
    this.watches = watches;
    this.spaces = AddressSpaces.of(filesystem);
    this.#leaveDevice = joinDevice(filesystem, this);
    this.filesystem = filesystem;
    this.at = at;
    this.root = { inode: filesystem.root, mount: this, parent: at?.parent, name: at?.name ?? "" };
  }

  /** Where it is, as an absolute path. */
  get path(): string {
    return pathOf(this.root);
  }

  /** False from the moment it is unmounted. */
  get live(): boolean {
    return this.#live;
  }

  /** How many open files and mappings keep it busy. */
  get users(): number {
    return this.#users.size;
  }

  /** Counts a user in; `leave` counts it out. */
  join(user: MountUser): void {
    this.#users.add(user);
  }

  /** Counts a user out; one that never joined is no error. */
  leave(user: MountUser): void {
    this.#users.delete(user);
  }

  /** Somebody has read an inode through this mount: its atime follows as the rule says. */
  accessed(inode: Inode): void {
    if (this.accessRule !== undefined) noteAccess(inode, this.accessRule);
  }

  /** Somebody to whom memory was handed out that may be stored to; undefined when there is none. */
  rawStorer(): MountUser | undefined {
    for (const user of this.#users) if (user.storesRaw === true) return user;
    return undefined;
  }

  /** Makes everything durable that was done to the filesystem. @throws EIO */
  sync(): void {
    this.writeBack();
    this.filesystem.sync?.();
  }

  /** Writes back what was stored through mappings, of one file or of all. @throws EIO */
  writeBack(inode?: Inode): void {
    if (inode === undefined) this.spaces.writeBack();
    else this.spaces.get(inode.ino)?.writeBack();
  }

  /** @throws EBUSY naming a user */
  assertIdle(): void {
    const [first] = this.#users;
    if (first === undefined) return;
    const others = this.#users.size - 1;
    throw new DaxError("EBUSY", {
      syscall: "umount",
      path: pathOf(this.root),
      detail:
        `${first.describe()}${others > 0 ? ` and ${others} more` : ""}; ` +
        "close and unmap them first, or unmount with revoke",
    });
  }

  /** Ends every user. @throws EBUSY when one cannot be ended; the others are ended all the same */
  revokeUsers(mediaCloses: boolean): void {
    let refusal: unknown;
    for (const user of this.#users) {
      try {
        user.revoke(mediaCloses);
        this.#users.delete(user);
      } catch (error) {
        refusal ??= error;
      }
    }
    if (refusal !== undefined) throw refusal;
  }

  /** Unmounts the filesystem; the caller has seen to users and children. @throws EIO, once */
  end(): void {
    assert(this.#live && this.#users.size === 0, "a mount ends once, and idle");
    this.#live = false;
    try {
      this.filesystem.unmount();
    } finally {
      this.#leaveDevice();
    }
  }
}

/** Which filesystem covers which directory. */
export class MountTable {
  readonly root: Mount;
  /** Names that walks through this table have met. */
  readonly names = new NameCache();
  /** Who wants to hear of changes. */
  readonly watches = new Watches();
  /** In the order of mounting; only a few, so that they are searched one by one. */
  readonly #mounts = new Set<Mount>();

  constructor(filesystem: Filesystem) {
    this.root = new Mount(filesystem, undefined, this.watches);
  }

  /** All mounts, the root first, then in the order of mounting. */
  *[Symbol.iterator](): Generator<Mount> {
    yield this.root;
    yield* this.#mounts;
  }

  /** The place that a walk reaches at `location`: the root of what is mounted there, or itself. */
  across(location: Location): Location {
    if (this.#mounts.size === 0) return location;
    return this.#mountAt(location.inode)?.root ?? location;
  }

  /**
   * Covers a directory.
   * @throws ENOTDIR, EBUSY when the place is a mount already or the filesystem is mounted
   */
  mount(at: Location, filesystem: Filesystem): Mount {
    const path = pathOf(at);
    if (!isDirectory(at.inode.mode)) throw new DaxError("ENOTDIR", { syscall: "mount", path });
    if (at.mount.root === at) {
      throw new DaxError("EBUSY", {
        syscall: "mount",
        path,
        detail: "this is the root of a mount; unmount it, or take a directory below",
      });
    }
    for (const { filesystem: other, root } of this) {
      if (other !== filesystem) continue;
      const where = pathOf(root);
      throw new DaxError("EBUSY", { syscall: "mount", path, detail: `mounted at ${where}` });
    }
    const mount = new Mount(filesystem, at, this.watches);
    this.#mounts.add(mount);
    return mount;
  }

  /**
   * Uncovers a directory and unmounts what covered it.
   * @throws EBUSY while files, mappings or mounts below are in use; EINVAL for the tree's root
   */
  unmount(mount: Mount, options: UnmountOptions = {}): void {
    const at = mount.at;
    if (at === undefined || !this.#mounts.has(mount)) {
      throw new DaxError("EINVAL", {
        syscall: "umount",
        path: pathOf(mount.root),
        detail: at === undefined ? "close the tree to unmount its root" : "not mounted any more",
      });
    }
    this.#release(mount, options);
    this.#mounts.delete(mount);
    mount.end();
  }

  /**
   * Unmounts everything, the last mounted first.
   * @throws EBUSY; without `revoke` the tree is as it was, with it some users may have ended. EIO
   *   when what was written last is not durable; everything is unmounted all the same
   */
  close(options: UnmountOptions = {}): void {
    const mounts = [...this].toReversed();
    if (options.revoke !== true) for (const mount of mounts) mount.assertIdle();
    let failure: unknown;
    for (const mount of mounts) {
      if (!mount.live) continue;
      mount.revokeUsers(options.mediaCloses ?? false);
      this.#mounts.delete(mount);
      try {
        mount.end();
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  /** Makes everything durable, on every filesystem. @throws EIO of the first that could not */
  sync(): void {
    let failure: unknown;
    for (const mount of this) {
      try {
        mount.sync();
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  /** Whether a directory is covered: then its name can neither be moved nor removed. */
  isCovered(inode: Inode): boolean {
    return this.#mounts.size > 0 && this.#mountAt(inode) !== undefined;
  }

  /** By filesystem and number: a filesystem may have made the inode's object anew since. */
  #mountAt({ filesystem, ino }: Inode): Mount | undefined {
    for (const mount of this.#mounts) {
      const { at } = mount;
      if (at?.inode.ino === ino && at.inode.filesystem === filesystem) return mount;
    }
    return undefined;
  }

  #release(mount: Mount, options: UnmountOptions): void {
    const below = [...this].filter(({ at }) => at?.mount === mount);
    if (options.revoke !== true) {
      const [child] = below;
      if (child !== undefined) {
        throw new DaxError("EBUSY", {
          syscall: "umount",
          path: pathOf(mount.root),
          detail: `${pathOf(child.root)} is mounted below; unmount that first`,
        });
      }
      mount.assertIdle();
    }
    for (const child of below.toReversed()) this.unmount(child, options);
    mount.revokeUsers(options.mediaCloses ?? false);
  }
}
