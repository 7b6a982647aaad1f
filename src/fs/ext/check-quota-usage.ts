/**
 * What users, groups and projects use, as a check counts it.
 *
 * @module
 */
import { EXT4_ROOT_INO } from "../../format/ext-inode.ts";
import {
  EXT4_FEATURE_RO_COMPAT_PROJECT,
  EXT4_FEATURE_RO_COMPAT_QUOTA,
} from "../../format/ext-superblock.ts";
import { NumberTable } from "./check-tables.ts";
import { hasRoCompat } from "./features.ts";
import type { Superblock } from "./superblock.ts";

/** Whose an inode is. */
export interface Owned {
  readonly ino: number;
  readonly uid: number;
  readonly gid: number;
  readonly projectId: number;
}

/** What the ids of one kind use. */
export class Usage {
  /** Bytes by id plus one. */
  readonly space = new NumberTable();
  readonly inodes = new NumberTable();

  add(id: number, bytes: number, inodes: number): void {
    this.space.set(id + 1, (this.space.get(id + 1) ?? 0) + bytes);
    this.inodes.set(id + 1, (this.inodes.get(id + 1) ?? 0) + inodes);
  }
}

/** Counts what every id uses, where there are quota files. */
export class QuotaUsage {
  /** Users, groups, projects. */
  readonly kinds = [new Usage(), new Usage(), new Usage()] as const;
  readonly #superblock: Superblock;

  constructor(superblock: Superblock) {
    this.#superblock = superblock;
  }

  /** The inode of the quota file of a kind; 0 for none. */
  inumOf(kind: number): number {
    const { usrQuotaInum, grpQuotaInum, prjQuotaInum } = this.#superblock;
    if (!hasRoCompat(this.#superblock, EXT4_FEATURE_RO_COMPAT_QUOTA)) return 0;
    const projects = hasRoCompat(this.#superblock, EXT4_FEATURE_RO_COMPAT_PROJECT);
    return [usrQuotaInum, grpQuotaInum, projects ? prjQuotaInum : 0][kind] ?? 0;
  }

  /** Counts an inode that is no value of an attribute, with its clusters. */
  add(inode: Owned, clusters: number, inodes: number): void {
    const { firstIno, prjQuotaInum, orphanFileInum, clusterSize } = this.#superblock;
    const { ino, uid, gid, projectId } = inode;
    if (ino === prjQuotaInum || ino === orphanFileInum) return;
    if (ino !== EXT4_ROOT_INO && ino < firstIno) return;
    for (const [kind, id] of [uid, gid, projectId].entries()) {
      if (this.inumOf(kind) !== 0) this.kinds[kind]?.add(id, clusters * clusterSize, inodes);
    }
  }
}
