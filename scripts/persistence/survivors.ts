/** Mutants that nothing can notice, each with the reason: they do what the code did before. */
import type { Mutant } from "./runtime.ts";

/** One of them, or both of a point. */
export interface Survivor {
  readonly site: string;
  /** Both unless given. */
  readonly how?: Mutant["how"];
  readonly why: string;
}

/** Why a mutant may survive; undefined: it may not. */
export function reasonFor(survivors: readonly Survivor[], mutant: Mutant): string | undefined {
  return survivors.find(
    ({ site, how }) => site === mutant.site && (how === undefined || how === mutant.how),
  )?.why;
}

/** All that were looked into. */
export const SURVIVORS: readonly Survivor[] = [
  {
    site: "dax/raw-mapping.ts#RawMapping.flush this.#flush",
    how: "delay",
    why:
      "It waits for the device by itself, and what it is put off behind is the rest of the same " +
      "call: nothing is promised in between.",
  },
  {
    site: "vfs/mapping.ts#Mapping.flush this.#raw.writeBack",
    how: "delay",
    why:
      "It waits for the device by itself, and what it is put off behind is the rest of the same " +
      "msync: nothing is promised in between.",
  },
  {
    site: "dm/targets/writecache-table.ts#CacheTable.format this.#memory.persist",
    why:
      "A new cache's number is 0, so that no entry counts, whatever lies there; and the first " +
      "commit makes the entries durable before it counts on. The kernel flushes here, and so " +
      "do we.",
  },
  {
    site: "fs/ext/block-allocator.ts#BlockAllocator.#hold handle.onCommitted",
    how: "delete",
    why:
      "What was freed then waits longer than it has to before it is given out again, which no " +
      "state on the device shows; given out too early, as by the delay, it is noticed.",
  },
  {
    site: "fs/ext/fallocate-edges.ts#zeroEdges writing.contents.join",
    how: "delete",
    why:
      "The bytes are the file's already, and no metadata of the transaction leads to them; what " +
      "did not join a transaction is flushed by sync and fsync themselves. Joining saves that " +
      "second flush.",
  },
  {
    site: "fs/ext/writing.ts#ExtWriting.constructor writeBack",
    how: "delay",
    why:
      "The next fence is that of the commit in the same sync, and contents are flushed behind " +
      "it: what was put off is stored by then.",
  },
  {
    site: "dax/address-space.ts#AddressSpace.standStill this.writeBack",
    how: "delay",
    why:
      "A filesystem that freezes ends with a flush of its device, behind all that the mappings " +
      "wrote back: the fence of what was put off.",
  },
  {
    site: "vfs/mounted-device.ts#Standing.#tearDown spaces.writeBack",
    how: "delay",
    why:
      "A filesystem that ends with its device flushes it last, behind all that the mappings " +
      "wrote back: the fence of what was put off.",
  },
  {
    site: "node/nbd/mapped-store.ts#MappedStore.#writeByCall this.#calls.fdatasync",
    how: "delay",
    why:
      "The write goes on to drain its cache lines before it is answered, which is the next " +
      "fence: what was put off is done by then.",
  },
];
