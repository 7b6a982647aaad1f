/** Persistent memory, mappings, disks above them, and what a client across a wire is told. */
import type { PlantedBug } from "./bug.ts";

const RANGE = "src/dax/media-range.ts";
const DISK = "src/block/media-disk.ts";
const PAGES = "src/vfs/mapped-pages.ts";
const SPACE = "src/dax/address-space.ts";
const TRANSMISSION = "src/nbd/transmission.ts";
const STORE = "src/nbd/media-store.ts";

export const memoryBugs: readonly PlantedBug[] = [
  {
    name: "the first leg only",
    class: "first-leg-only flush",
    what: "a flush over several ranges writes back the first of them",
    seen: "stacked targets whose dax flush reached one leg only",
    story: "dax: copies of a striped range",
    patches: [
      {
        file: RANGE,
        snippet: "      at = until;\n",
        replacement: "      at = stop;\n",
      },
    ],
  },
  {
    name: "a battery behind all of it",
    class: "persistence domain",
    what: "a range of which half is battery-backed is never flushed",
    seen: "platform capabilities of ACPI NFIT, taken for all ranges",
    story: "dax: copies of a striped range",
    patches: [
      {
        file: RANGE,
        snippet: "    if (this.#way !== undefined) return;\n",
        replacement: '    if (this.#way !== "flush") return;\n',
      },
    ],
  },
  {
    name: "the write cache flag the wrong way round",
    class: "write cache flag",
    what: "flushes are left out where the cache is volatile",
    seen: "dax_write_cache and the inverted sense of write_cache (4.12, 4.13)",
    story: "disk: a pmem disk",
    patches: [
      {
        file: DISK,
        snippet: "if (this.#device.writeCache) this.#device.fence();",
        replacement: "if (!this.#device.writeCache) this.#device.fence();",
      },
    ],
  },
  {
    name: "the tail of a copy around the cache",
    class: "non-temporal tail",
    what: "the bytes behind the last whole line are stored through the cache and not written back",
    seen: "__copy_user_nocache: heads and tails that are not 8 bytes (pmem, 4.x)",
    story: "dax: copies around the cache",
    patches: [
      {
        file: RANGE,
        snippet: "        dirty = at + head + body;\n        this.#store(dirty,",
        replacement: "        dirty = at + length;\n        this.#store(at + head + body,",
      },
    ],
  },
  {
    name: "the head of a copy around the cache",
    class: "non-temporal tail",
    what: "the bytes in front of the first whole line are not written back",
    seen: "memcpy_flushcache and unaligned destinations (4.13)",
    story: "dax: copies around the cache",
    patches: [
      {
        file: RANGE,
        snippet: "        this.#writeBack(dirty, at + head - dirty);\n",
        replacement: "        dirty = at + head;\n",
      },
    ],
  },
  {
    name: "zeros that are not written back",
    class: "missing flush",
    what: "a range is zeroed through the cache",
    seen: "dax_zero_page_range without a flush",
    story: "disk: a pmem disk",
    patches: [
      {
        file: RANGE,
        snippet: "      at += run;\n    }\n    this.#writeBack(offset, length);\n",
        replacement: "      at += run;\n    }\n",
      },
    ],
  },
  {
    name: "lines rounded down",
    class: "wrong range",
    what: "a flush of a part of a line stops in front of it",
    seen: "flush loops that step by lines from an unaligned start (PMFS; Agamotto)",
    story: "mapping: flush of a view",
    patches: [
      {
        file: PAGES,
        snippet: "    device.flush(pgoff, at - pgoff * PAGE_SIZE, to - from);\n",
        replacement: "    device.flush(pgoff, at - pgoff * PAGE_SIZE, (to - from) & ~0x1fff);\n",
      },
    ],
  },
  {
    name: "a flush without a fence",
    class: "missing fence",
    what: "msync writes lines back and does not wait",
    seen: "the most frequent bug of PM programs (PMDebugger, XFDetector)",
    story: "mapping: MAP_SYNC",
    patches: [
      {
        file: SPACE,
        snippet: "      device.fence();\n",
        replacement: "",
      },
    ],
  },
  {
    name: "a fence without a flush",
    class: "missing flush",
    what: "msync waits for lines that it has not written back",
    seen: "the other half of the same (Agamotto, Witcher)",
    story: "mapping: flush",
    patches: [
      {
        file: "src/dax/writeback.ts",
        snippet: "    flushFrame(frame.device, frame.start, pages * PAGE_SIZE);\n",
        replacement: "",
      },
    ],
  },
  {
    name: "what was mapped is forgotten",
    class: "missing flush",
    what: "stores through a mapping that is gone are not written back by a later fsync",
    seen: "dirty pages that leave the radix tree too early (dax, 4.x)",
    story: "mapping: unmapped, and then fsync",
    patches: [
      {
        file: SPACE,
        snippet: "    try {\n      this.writeBack();\n    } finally {\n",
        replacement: "    try {\n      this.unmap();\n    } finally {\n",
      },
    ],
  },
  {
    name: "MAP_SYNC without the metadata",
    class: "MAP_SYNC",
    what: "new blocks are mapped and stored to before anything durable leads to them",
    seen: "the reason for MAP_SYNC (4.15)",
    story: "mapping: MAP_SYNC, page by page",
    patches: [
      {
        file: "src/dax/fault.ts",
        snippet: '  if (write && isSync && backing.dirty) return "sync";\n',
        replacement: "",
      },
    ],
  },
  {
    name: "fsync past mappings",
    class: "fsync without data",
    what: "fsync does not write back what was stored through mappings",
    seen: "fsync and dax mappings before 4.5 (dax: radix tree of dirty entries)",
    story: "mapping: fdatasync",
    patches: [
      {
        file: "src/vfs/open-file.ts",
        snippet: "      this.mount.writeBack(this.inode);\n",
        replacement: "",
      },
    ],
  },
  {
    name: "FUA ignored by the disk",
    class: "FUA ignored",
    what: "a write with FUA returns as any other",
    seen: "pmem and brd before they looked at REQ_FUA (4.12)",
    story: "disk: a pmem disk",
    patches: [
      { file: DISK, snippet: "    if (flags?.fua === true) this.flush();\n", replacement: "" },
    ],
  },
  {
    name: "FUA lost by a partition",
    class: "FUA ignored",
    what: "a layer passes the write on, and its flags not",
    seen: "stacked block drivers that drop REQ_FUA",
    story: "disk: a partition",
    patches: [
      {
        file: "src/block/partition.ts",
        snippet: "this.disk.write(this.start + sector, source, flags)",
        replacement: "this.disk.write(this.start + sector, source)",
      },
    ],
  },
  {
    name: "flush ends at the recorder",
    class: "missing flush",
    what: "a layer that records a flush does not pass it on",
    seen: "targets without num_flush_bios",
    story: "disk: a recorded disk",
    patches: [
      {
        file: "src/block/recorded-device.ts",
        snippet: "    this.inner.flush();\n",
        replacement: "",
      },
    ],
  },
  {
    name: "FUA ignored by the server",
    class: "FUA ignored",
    what: "an NBD write with FUA is answered when it is in memory",
    seen: "NBD servers that offer SEND_FUA and do nothing for it",
    story: "nbd: media",
    patches: [
      {
        file: TRANSMISSION,
        snippet: "        this.#store.persist(request.offset, request.length);\n",
        replacement: "",
      },
    ],
  },
  {
    name: "zeroes with FUA ignored",
    class: "FUA ignored",
    what: "WRITE_ZEROES with FUA is answered when it is in memory",
    seen: "FUA of the newer commands, forgotten (qemu and nbd-server, 2016 to 2018)",
    story: "nbd: media",
    patches: [
      {
        file: TRANSMISSION,
        snippet: "      if ((flags & NBD_CMD_FLAG_FUA) !== 0) store.persist(offset, length);\n",
        replacement: "",
      },
    ],
  },
  {
    name: "flush answered before it is done",
    class: "flush answered early",
    what: "NBD_CMD_FLUSH is answered at once",
    seen: "disks and bridges that acknowledge cache flushes (the SYNCHRONIZE CACHE lie)",
    story: "nbd: a pmem disk",
    patches: [
      {
        file: TRANSMISSION,
        snippet: "    if (type === NBD_CMD_FLUSH) store.flush();\n",
        replacement: "    if (type === NBD_CMD_FLUSH) store.cache(offset, length);\n",
      },
    ],
  },
  {
    name: "FUA for the first line",
    class: "wrong range",
    what: "of a write with FUA only the first line is written back",
    seen: "ranges computed from the wrong end (Agamotto's corpus)",
    story: "nbd: media",
    patches: [
      {
        file: STORE,
        snippet:
          "    this.#media.flush(offset, length);\n" +
          "    this.#media.fence();\n" +
          "    this.#media.checkFault?.();\n" +
          "    this.#clean",
        replacement:
          "    this.#media.flush(offset, 1);\n" +
          "    this.#media.fence();\n" +
          "    this.#media.checkFault?.();\n" +
          "    this.#clean",
      },
    ],
  },
  {
    name: "flush of the first run",
    class: "first-leg-only flush",
    what: "NBD_CMD_FLUSH writes back the first run that was written, and forgets the others",
    seen: "dirty lists that are emptied too early",
    story: "nbd: several runs, one flush",
    patches: [
      {
        file: STORE,
        snippet: "      if (extent.dirty) this.#media.flush(at, extent.length);\n",
        replacement:
          "      if (extent.dirty) this.#media.flush(at, extent.length);\n" +
          "      if (extent.dirty) break;\n",
      },
    ],
  },
  {
    name: "a slice makes another range durable",
    class: "wrong range",
    what: "a part of a store persists the range of the whole",
    seen: "offsets that one of two paths adds",
    story: "nbd: a slice of media",
    patches: [
      {
        file: "src/nbd/slice-store.ts",
        snippet: "    this.#whole.persist(this.#start + offset, length);\n",
        replacement: "    this.#whole.persist(offset, length);\n",
      },
    ],
  },
  {
    name: "a flush that is not recorded",
    class: "write log",
    what: "the log of a store has its writes, and none of its flushes",
    seen: "dm-log-writes: flushes with data, which were logged without it (4.x)",
    story: "log of a store",
    patches: [
      {
        file: "src/nbd/recorded-store.ts",
        snippet: "    if (this.recording) this.#log.flush();\n",
        replacement: "",
      },
    ],
  },
  {
    name: "O_DSYNC of a kernel ignored",
    class: "O_SYNC ignored",
    what: "a write that a kernel marks O_DSYNC is answered when it is in memory",
    seen: "FUSE filesystems that do not look at the flags of a write",
    story: "fuse: O_DSYNC",
    patches: [
      {
        file: "src/fuse/contents.ts",
        snippet:
          'if ((flags & O_DSYNC) !== 0) file.sync((flags & O_SYNC_BIT) === 0 ? "data" : "all");',
        replacement: "",
      },
    ],
  },
  {
    name: "fsync of a kernel past mappings",
    class: "fsync without data",
    what: "FUSE_FSYNC does not write back what this process stored through a mapping",
    seen: "two views of a file with a cache each",
    story: "fuse: fsync of what was mapped beside it",
    patches: [
      {
        file: "src/fuse/contents.ts",
        snippet: "  node.mount.writeBack(node.inode);\n",
        replacement: "",
      },
    ],
  },
  {
    name: "flush of writeFile ignored",
    class: "O_SYNC ignored",
    what: "writeFile with `flush` returns before anything is durable",
    seen: "the option came to Node with v21; who does not know it, ignores it",
    story: "fs: writeFile with flush",
    patches: [
      {
        file: "src/node/facade/write-files.ts",
        snippet: '    if (request.flush) onFile("fsync", () => file.sync("all"));\n',
        replacement: "",
      },
    ],
  },
];
