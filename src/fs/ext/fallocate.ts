/**
 * fallocate(2): blocks for what is not written yet, holes, zeros, and ranges taken out of a file or
 * put into it.
 *
 * Bytes of a block that a range covers in part are zeroed in place at once, as the kernel does it;
 * everything else is metadata. A call is one transaction as far as that has the room. A longer one
 * goes on in the next, and a power cut between them leaves what `ext4_fallocate` leaves: a part of
 * the range done (from its front for `allocate` and `zero`, from its back for `punch`), and a file
 * that is whole. The same call again does the rest, except for `collapse` and `insert`: there the
 * gap lies somewhere on its way.
 *
 * @module
 */
import { EXT4_EXTENTS_FL, EXT4_INLINE_DATA_FL } from "../../format/ext-inode.ts";
import type { ErrnoCode } from "../../lib/errno.ts";
import { S_IFDIR, S_IFIFO, S_IFREG } from "../../vfs/modes.ts";
import { FALLOCATE_MODES, type FallocateMode } from "../../vfs/writing.ts";
import { allocateRange, zeroRange } from "./fallocate-allocate.ts";
import { punchRange } from "./fallocate-punch.ts";
import { collapseRange, insertRange } from "./fallocate-shift.ts";
import { mostBytes } from "./file-limits.ts";
import { becomePlain, stamp } from "./file-stamp.ts";
import { moveOut } from "./inline-file.ts";
import type { InodeState } from "./inode-state.ts";
import { assertContents, assertFree, refusal } from "./new-names.ts";
import type { ExtWriting } from "./writing.ts";

/** What other types of files get. */
const CODES: Readonly<Record<number, ErrnoCode>> = { [S_IFDIR]: "EISDIR", [S_IFIFO]: "ESPIPE" };

/** Bytes of a file. */
export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/**
 * Does what `mode` says to a range of a file, with the results of Linux's `ext4_fallocate`. Times
 * change and capabilities go even when the format then cannot do it, and contents leave the inode.
 * @throws EINVAL for a range that is none, that is not made of whole blocks (clusters) where it has
 *   to be, or that reaches the end of the file where it may not; EFBIG, EPERM, EISDIR, ESPIPE,
 *   ENODEV by type; EOPNOTSUPP for a file with a block map, which can only be punched; ENOSPC:
 *   what was allocated until then stays. EUCLEAN, EBADMSG, EIO, EROFS
 */
export function fallocate(
  writing: ExtWriting,
  state: InodeState,
  mode: FallocateMode,
  range: ByteRange,
  keepSize = false,
): void {
  checkCall(writing, state, mode, range, keepSize);
  begin(writing, state);
  if (mode === "punch") {
    punchRange(writing, state, range);
    return;
  }
  if (!state.record.has(EXT4_EXTENTS_FL)) {
    const detail = `inode ${state.record.ino} has a block map: it can only be punched`;
    throw refusal("EOPNOTSUPP", "fallocate", detail);
  }
  switch (mode) {
    case "allocate":
      allocateRange(writing, state, range, keepSize);
      return;
    case "zero":
      zeroRange(writing, state, range, keepSize);
      return;
    case "collapse":
      collapseRange(writing, state, range);
      return;
    default:
      insertRange(writing, state, range);
  }
}

/** What `vfs_fallocate` refuses, in its order. */
function checkCall(
  { editor }: ExtWriting,
  state: InodeState,
  mode: FallocateMode,
  { offset, length }: ByteRange,
  keepSize: boolean,
): void {
  const { record } = state;
  if (!(Number.isInteger(offset) && offset >= 0 && Number.isInteger(length) && length > 0)) {
    const detail = `${length} bytes from ${offset}; whole numbers, the length above 0`;
    throw refusal("EINVAL", "fallocate", detail);
  }
  if (!FALLOCATE_MODES.includes(mode)) {
    throw refusal("EOPNOTSUPP", "fallocate", `mode ${mode} is none`);
  }
  if (keepSize && (mode === "collapse" || mode === "insert")) {
    throw refusal("EOPNOTSUPP", "fallocate", `${mode} always changes the size`);
  }
  assertContents(state, "fallocate");
  if (mode !== "allocate") assertFree(state, "fallocate");
  if (record.type !== S_IFREG) {
    throw refusal(CODES[record.type] ?? "ENODEV", "fallocate", `inode ${record.ino} is no file`);
  }
  const most = mostBytes(editor.volume.superblock);
  if (offset + length <= most) return;
  const detail = `${length} bytes from ${offset}; a file here has ${most} bytes at most`;
  throw refusal("EFBIG", "fallocate", detail);
}

/** What every call does first (`ext4_convert_inline_data`, `file_modified`). */
function begin(writing: ExtWriting, state: InodeState): void {
  if (state.record.has(EXT4_INLINE_DATA_FL)) moveOut(writing, state);
  becomePlain(writing, state);
  writing.operate(1, (handle) => writing.store(handle, state, stamp(writing, state)));
}
