/**
 * The flags of inodes that users see.
 *
 * @module
 */
import {
  EXT4_APPEND_FL,
  EXT4_CASEFOLD_FL,
  EXT4_COMPR_FL,
  EXT4_DAX_FL,
  EXT4_DIRSYNC_FL,
  EXT4_ENCRYPT_FL,
  EXT4_EXTENTS_FL,
  EXT4_HUGE_FILE_FL,
  EXT4_IMMUTABLE_FL,
  EXT4_INDEX_FL,
  EXT4_INLINE_DATA_FL,
  EXT4_JOURNAL_DATA_FL,
  EXT4_NOATIME_FL,
  EXT4_NODUMP_FL,
  EXT4_NOTAIL_FL,
  EXT4_PROJINHERIT_FL,
  EXT4_SECRM_FL,
  EXT4_SYNC_FL,
  EXT4_TOPDIR_FL,
  EXT4_UNRM_FL,
  EXT4_VERITY_FL,
} from "../../format/ext-inode.ts";
import type { InodeRecord } from "./inode-record.ts";

/** Flags that chattr(1) shows (`EXT4_FL_USER_VISIBLE`). */
export const VISIBLE_FLAGS =
  (EXT4_SECRM_FL |
    EXT4_UNRM_FL |
    EXT4_COMPR_FL |
    EXT4_SYNC_FL |
    EXT4_IMMUTABLE_FL |
    EXT4_APPEND_FL |
    EXT4_NODUMP_FL |
    EXT4_NOATIME_FL |
    EXT4_ENCRYPT_FL |
    EXT4_INDEX_FL |
    EXT4_JOURNAL_DATA_FL |
    EXT4_NOTAIL_FL |
    EXT4_DIRSYNC_FL |
    EXT4_TOPDIR_FL |
    EXT4_HUGE_FILE_FL |
    EXT4_EXTENTS_FL |
    EXT4_VERITY_FL |
    EXT4_DAX_FL |
    EXT4_INLINE_DATA_FL |
    EXT4_PROJINHERIT_FL |
    EXT4_CASEFOLD_FL) >>>
  0;

/** The flags of an inode that users see. */
export function visibleFlags(record: InodeRecord): number {
  return (record.flags & VISIBLE_FLAGS) >>> 0;
}
