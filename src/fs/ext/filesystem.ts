/**
 * A mounted ext2, ext3 or ext4 filesystem, for reading or for both.
 *
 * @module
 */
import type { BlockDevice } from "../../block/block-device.ts";
import type { BytesOwner } from "../../dax/media-failures.ts";
import { EXT4_EA_INODE_FL, EXT4_ROOT_INO } from "../../format/ext-inode.ts";
import { DaxError } from "../../lib/errno.ts";
import type { Range } from "../../lib/range-set.ts";
import type { Statfs } from "../../vfs/filesystem.ts";
import { Freezing } from "../../vfs/freezing.ts";
import { S_IFDIR } from "../../vfs/modes.ts";
import { ownersOf } from "./block-owners.ts";
import { corrupt } from "./corruption.ts";
import { typeName } from "./features.ts";
import { type DaxPolicy, ExtInode, type InodeOwner } from "./inode.ts";
import { InodeCache } from "./inode-cache.ts";
import { type InodeRecord, checkRecord } from "./inode-record.ts";
import { InodeState } from "./inode-state.ts";
import { statfsOf } from "./statfs.ts";
import type { Volume } from "./volume.ts";
import type { ExtWriting } from "./writing.ts";

/** How a mounted filesystem behaves. */
export interface Behaviour {
  readonly daxPolicy: DaxPolicy;
  readonly minixdf: boolean;
  /** What changes it, where it is mounted for that. */
  readonly writing?: ExtWriting | undefined;
  /** Called when it is unmounted: somebody else may have the device. */
  readonly leaveDevice: () => void;
}

/** The mounted filesystem; its parts are read when they are asked for. */
export class ExtFilesystem implements InodeOwner {
  readonly type: "ext2" | "ext3" | "ext4";
  readonly device: BlockDevice;
  readonly volume: Volume;
  readonly daxPolicy: DaxPolicy;
  readonly root: ExtInode;
  readonly writing: ExtWriting | undefined;
  readonly freezing: Freezing;
  readonly #minixdf: boolean;
  #statfs: Statfs | undefined;
  readonly #inodes: InodeCache;
  readonly #leaveDevice: () => void;

  /** Reads the root. @throws EUCLEAN, EBADMSG, EIO */
  constructor(volume: Volume, { daxPolicy, minixdf, writing, leaveDevice }: Behaviour) {
    this.type = typeName(volume.superblock);
    this.device = volume.device;
    this.volume = volume;
    this.daxPolicy = daxPolicy;
    this.#minixdf = minixdf;
    this.#leaveDevice = leaveDevice;
    this.writing = writing;
    this.freezing = new Freezing(this, {
      quiesce: () => writing?.quiesce(),
      resume: () => writing?.resume(),
    });
    writing?.freezeBy(this.freezing);
    this.#inodes = writing?.inodes ?? new InodeCache(false);
    this.root = this.#load(EXT4_ROOT_INO, 0);
    this.#inodes.hold(this.root);
    if ((this.root.mode & 0o170000) !== S_IFDIR) {
      throw corrupt("root inode", "mode", `0o${this.root.mode.toString(8)}`, "not a directory");
    }
  }

  inode(ino: number): ExtInode {
    if (ino === EXT4_ROOT_INO) return this.root;
    const known = this.#inodes.get(ino);
    if (known !== undefined) return known;
    const { inodes } = this.volume.superblock;
    const possible = Number.isInteger(ino) && ino >= 1 && ino <= inodes;
    if (!possible || this.#isHidden(ino) || this.volume.isNeverUsed(ino)) return stale(ino);
    const record = this.volume.record(ino);
    if (record.links === 0 || record.has(EXT4_EA_INODE_FL)) return stale(ino);
    return this.#remember(record);
  }

  inodeOfEntry(ino: number, directory: number): ExtInode {
    if (ino === EXT4_ROOT_INO) return this.root;
    return this.#inodes.get(ino) ?? this.#load(ino, directory);
  }

  renew({ ino, generation }: ExtInode): InodeState {
    const now = this.inode(ino);
    if (now.generation !== generation) return stale(ino);
    return now.state;
  }

  /** A new inode joins those in use: its fsync waits for the transaction that makes it. */
  adopt(record: InodeRecord): ExtInode {
    const inode = this.#remember(record);
    this.#waitFor(inode.state);
    return inode;
  }

  statfs(): Statfs {
    const { writing } = this;
    if (writing !== undefined) return statfsOf(this.volume, this.#minixdf, writing.free);
    // Nothing changes while it is mounted, and the counts are spread over every descriptor.
    return (this.#statfs ??= statfsOf(this.volume, this.#minixdf));
  }

  ownersOf(
    start: number,
    length: number,
    ranges: readonly Range[] = [{ start, length }],
  ): readonly BytesOwner[] {
    const held = new Set(this.#inodes.held.map(({ ino }) => ino));
    return ownersOf(this.volume, ranges, held);
  }

  failed(owners: readonly BytesOwner[]): void {
    for (const { ino, kind, what } of owners) {
      const state = ino === undefined ? undefined : this.#inodes.get(ino)?.state;
      if (state === undefined || kind !== "file") continue;
      const detail = `memory under ${what} has failed`;
      state.writeError = new DaxError("EIO", { detail });
    }
  }

  shutDown(reason: string): void {
    this.writing?.shutDown(reason);
  }

  sync(): void {
    this.writing?.sync();
  }

  tick(): void {
    this.writing?.tick();
  }

  unmount(): void {
    try {
      this.writing?.close();
    } finally {
      this.#inodes.clear();
      this.#leaveDevice();
      this.volume.trace.event("ext.unmount", { device: this.device.name });
    }
  }

  #load(ino: number, directory: number): ExtInode {
    const { inodes } = this.volume.superblock;
    if (ino < 1 || ino > inodes || this.#isHidden(ino)) {
      throw corrupt(holder(directory), "entry inode", ino, "no entry can name that inode");
    }
    const record = this.volume.record(ino);
    if (record.links === 0)
      throw corrupt(holder(directory), "entry inode", ino, "that inode was deleted");
    if (record.has(EXT4_EA_INODE_FL)) {
      throw corrupt(holder(directory), "entry inode", ino, "that inode holds an attribute's value");
    }
    return this.#remember(record);
  }

  /** The filesystem's own inodes, which have no names. */
  #isHidden(ino: number): boolean {
    const { firstIno, usrQuotaInum, grpQuotaInum, prjQuotaInum, orphanFileInum } =
      this.volume.superblock;
    if (ino < firstIno) return ino !== EXT4_ROOT_INO;
    if (ino === usrQuotaInum || ino === grpQuotaInum) return true;
    return ino === prjQuotaInum || ino === orphanFileInum;
  }

  #waitFor(state: InodeState): void {
    state.transaction = this.writing?.journal.newest ?? 0;
    state.dataTransaction = state.transaction;
  }

  #remember(record: InodeRecord): ExtInode {
    checkRecord(this.volume.superblock, record);
    const inode = new ExtInode(this, new InodeState(this.volume, record));
    // It may have been changed, and forgotten since: nobody knows any more by which transaction.
    if (this.#inodes.hasForgotten) this.#waitFor(inode.state);
    this.#inodes.set(inode);
    return inode;
  }
}

function stale(ino: number): never {
  throw new DaxError("ESTALE", { syscall: "open", detail: `inode ${ino} is not in use` });
}

/** What has an entry, for errors; 0 for the superblock, which has the root. */
function holder(directory: number): string {
  return directory === 0 ? "superblock" : `inode ${directory} directory`;
}
