/**
 * What backs a part of a file that is about to be stored to: blocks that are the file's own, full
 * of zeros where they are new. For those who store by themselves, a writable mapping above all; a
 * write of the driver's own puts the bytes there itself (`data-writer.ts`).
 *
 * @module
 */
import type { Iomap, IomapIntent } from "../../dax/iomap.ts";
import { EXT4_INLINE_DATA_FL } from "../../format/ext-inode.ts";
import { DaxError } from "../../lib/errno.ts";
import { prove } from "./data-writer.ts";
import { stamp } from "./file-stamp.ts";
import type { Handle } from "./handle.ts";
import { moveOut } from "./inline-file.ts";
import type { InodeState } from "./inode-state.ts";
import { convertBlocks, mapBlocks, mapCredits, mapRevokes } from "./map-writer.ts";
import { assertContents, refusal } from "./new-names.ts";
import type { ExtWriting } from "./writing.ts";

/**
 * As `Iomappable.iomapBegin` for `write`, `fault` and `zero`. A hole in front of the end of the
 * file is filled, for `zero` it stays one; a file in its inode moves out. `fault` says by `dirty`
 * whether what it found depends on what is not committed yet.
 * @throws EFAULT behind the last block of the file; ENOSPC, EPERM; EUCLEAN, EBADMSG, EIO
 */
export function mapForWriting(
  writing: ExtWriting,
  state: InodeState,
  { offset, length }: { readonly offset: number; readonly length: number },
  intent: IomapIntent,
): Iomap {
  writing.assertChangeable(intent === "fault" ? "mmap" : "write");
  assertContents(state, "write");
  if (state.record.has(EXT4_INLINE_DATA_FL)) moveOut(writing, state);
  const map = state.map.iomap(offset);
  if (map.type === "mapped") {
    if (map !== state.proved) prove(writing, state, map);
    return intent === "fault" ? { ...map, dirty: isDirty(writing, state) } : map;
  }
  if (intent === "zero") return map;
  const spread = fill(writing, state, offset, length);
  const filled = state.map.iomap(offset);
  prove(writing, state, filled);
  return { ...filled, fresh: true, spread, dirty: true };
}

function isDirty({ journal }: ExtWriting, { dataTransaction }: InodeState): boolean {
  return dataTransaction > journal.committed;
}

/**
 * Gives blocks of zeros to the hole, or the unwritten range, at `offset`; as many as one run. True
 * when others around it were filled, too.
 */
function fill(writing: ExtWriting, state: InodeState, offset: number, length: number): boolean {
  const { record } = state;
  const { blockSize } = writing.editor.volume.superblock;
  const first = Math.floor(offset / blockSize);
  const limit = Math.ceil(record.size / blockSize);
  if (first >= limit) {
    const detail = `byte ${offset} lies behind the ${record.size} bytes of inode ${record.ino}`;
    throw refusal("EFAULT", "mmap", detail);
  }
  const wanted = Math.ceil((offset + Math.max(1, length)) / blockSize);
  const count = Math.min(limit, wanted) - first;
  const copies = 2 * mapCredits(record) + 1;
  const step = (handle: Handle) => fillStep(writing, handle, state, [first, count]);
  return writing.operate(copies, step, mapRevokes(record));
}

function fillStep(
  writing: ExtWriting,
  handle: Handle,
  state: InodeState,
  [first, most]: readonly [first: number, most: number],
): boolean {
  const { editor, contents } = writing;
  const { record, map } = state;
  const { blockSize } = editor.volume.superblock;
  const zero = (block: number, count: number) => {
    contents.zero(block * blockSize, count * blockSize);
  };
  const { block, count, unwritten } = mapBlocks(editor, handle, record, first, most, {
    unwritten: false,
  });
  contents.join(handle);
  zero(block, count);
  let spread = false;
  if (!unwritten) map.put(first, block, count);
  else {
    const range = [first, first + count] as const;
    const around = (start: number, blocks: number): void => {
      spread = true;
      zero(start, blocks);
    };
    const done = convertBlocks(editor, handle, record, range, "written", { zero: around });
    if (spread) map.clear();
    else map.forget(first, count);
    if (done === first) {
      const detail = `a change of inode ${record.ino} does not fit into the journal`;
      throw new DaxError("ENOSPC", { syscall: "mmap", detail });
    }
  }
  writing.store(handle, state, stamp(writing, state));
  return spread;
}
