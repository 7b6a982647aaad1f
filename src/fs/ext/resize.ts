/**
 * Cutting a file to nothing, in as many transactions as that takes.
 *
 * @module
 */
import { EXT4_INLINE_DATA_FL } from "../../format/ext-inode.ts";
import type { Handle } from "./handle.ts";
import { setInlineRest } from "./inode-attributes.ts";
import type { InodeState } from "./inode-state.ts";
import { setBlockBytes, setSize, setTime } from "./inode-writer.ts";
import { mapCredits } from "./map-writer.ts";
import { assertFree, refusal } from "./new-names.ts";
import { ORPHAN_CREDITS } from "./orphans.ts";
import { truncateStep } from "./truncate.ts";
import type { ExtWriting } from "./writing.ts";

/**
 * Gives a regular file a new size, which is 0 so far.
 * @throws EPERM, ENOTSUP for another size; EUCLEAN, EBADMSG, EIO
 */
export function truncate(writing: ExtWriting, state: InodeState, size: number): void {
  assertFree(state, "truncate");
  if (size !== 0) {
    throw refusal("ENOTSUP", "truncate", `a size of ${size}; files are only emptied so far`);
  }
  const credits = mapCredits(state.record) + ORPHAN_CREDITS + 1;
  for (let first = true, done = false; !done; first = false) {
    done = writing.operate(credits, (handle) => emptyStep(writing, handle, state, first));
  }
}

/** An inode whose blocks do not all go at once is an orphan until they have. */
function emptyStep(
  writing: ExtWriting,
  handle: Handle,
  state: InodeState,
  first: boolean,
): boolean {
  const { record, map } = state;
  const { editor, orphans } = writing;
  const { volume } = editor;
  if (record.has(EXT4_INLINE_DATA_FL)) {
    setInlineRest(volume, record, new Uint8Array(0));
    setBlockBytes(record, new Uint8Array(0));
  }
  setSize(volume.superblock, record, 0);
  const done = truncateStep(editor, handle, record);
  map.clear();
  state.forgetAttributes();
  if (first) setTime(record, "mtime", editor.now());
  if (done) orphans.remove(handle, record);
  else orphans.add(handle, record);
  writing.store(handle, state);
  return done;
}
