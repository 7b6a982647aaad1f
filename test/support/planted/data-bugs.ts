/** Contents, sizes and space. */
import type { PlantedBug } from "./bug.ts";

const WRITER = "src/fs/ext/data-writer.ts";
const ALLOCATOR = "src/fs/ext/block-allocator.ts";
const WRITING = "src/fs/ext/writing.ts";
const IN_PLACE = "src/fs/ext/in-place-journal.ts";

export const dataBugs: readonly PlantedBug[] = [
  {
    name: "the size before the data",
    class: "size before data",
    what: "a file has its blocks and its size when its bytes are still to come",
    seen: "data=writeback; ext4's zero-length files after a rename (2009)",
    story: "ext4: written",
    patches: [
      {
        file: WRITER,
        snippet: "  const failed = putAround(writing, run, bytes, offset);\n",
        replacement: `  const kept = bytes.slice();
  handle.onCommitted(() => void putAround(writing, run, kept, offset));
  const failed = undefined as DaxError | undefined;
`,
      },
    ],
  },
  {
    name: "written before the data",
    class: "fallocate",
    what: "an unwritten extent is written when its bytes are still to come",
    seen: "ext4: conversion of unwritten extents ahead of the I/O (dioread_nolock)",
    story: "ext4: set aside",
    patches: [
      {
        file: WRITER,
        snippet: "  const failed = putAround(writing, run, bytes, offset);\n",
        replacement: `  const kept = bytes.slice();
  const later = () => void putAround(writing, run, kept, offset);
  if (run.unwritten) handle.onCommitted(later);
  const failed = run.unwritten ? undefined : putAround(writing, run, bytes, offset);
`,
      },
    ],
  },
  {
    name: "new blocks show what was there",
    class: "stale data",
    what: "of a new block only the bytes that were written are put there",
    seen: "ext3 data=writeback; PMFS",
    story: "ext4: written",
    patches: [
      {
        file: WRITER,
        snippet: "if (fresh || unwritten) {",
        replacement: "if (!fresh && unwritten) {",
      },
    ],
  },
  {
    name: "behind the end lies what was there",
    class: "stale data",
    what: "a file grows over bytes of its last block that nobody has zeroed",
    seen: "tails of blocks after truncate (many filesystems; PMFS and NOVA by Chipmunk)",
    story: "ext4: cut and grown",
    patches: [
      {
        file: "src/fs/ext/tail.ts",
        snippet: "  if (last < end) contents.zero(last + shift, end - last);\n",
        replacement: "",
      },
      {
        file: "src/fs/ext/tail.ts",
        snippet: "  if (first > size) contents.zero(size + shift, first - size);\n",
        replacement: "",
      },
    ],
  },
  {
    name: "zeros behind an end that is not durable",
    class: "truncate",
    what: "a file that was cut is zeroed before the cut is committed",
    seen: "truncate and append in one transaction, torn by a crash",
    story: "ext4: cut, then grown at once",
    patches: [
      {
        file: "src/fs/ext/tail.ts",
        snippet: "if (cutIn > journal.committed) journal.commitThrough(cutIn);",
        replacement: "",
      },
    ],
  },
  {
    name: "allocated space is called written",
    class: "fallocate",
    what: "fallocate maps blocks without the mark that nothing was written to them",
    seen: "fallocate that shows stale data (ext4 punch and zero range fixes)",
    story: "ext4: set aside",
    patches: [
      {
        file: "src/fs/ext/fallocate-allocate.ts",
        snippet: "mapBlocks(editor, handle, record, at, to - at, { unwritten: true });",
        replacement: "mapBlocks(editor, handle, record, at, to - at, { unwritten: false });",
      },
    ],
  },
  {
    name: "freed blocks are free at once",
    class: "stale block reuse",
    what: "what a transaction frees is given out again before it is committed",
    seen: "ext3/4: freed blocks wait for the commit (j_committed_data, s_freed_data_list)",
    story: "ext4: removed, and others made at once",
    patches: [
      {
        file: ALLOCATOR,
        snippet: "    if (fresh.covers(bit, count)) free.give(bit, count);\n",
        replacement: "    if (count > 0) free.give(bit, count);\n",
      },
    ],
  },
  {
    name: "a bitmap that was not changed",
    class: "bitmap before descriptor",
    what: "the descriptor counts what was taken, the bitmap does not have it",
    seen: "ext4: block bitmap and group descriptor disagree after a crash",
    story: "ext4: written",
    patches: [
      { file: ALLOCATOR, snippet: "    bitmap.fill(bit, count, true);\n", replacement: "" },
    ],
  },
  {
    name: "a descriptor that was not changed",
    class: "bitmap before descriptor",
    what: "the bitmap has what was taken, the descriptor's count is as before",
    seen: "ext4: free counts wrong after recovery (e2fsck's most frequent finding)",
    story: "ext4: written",
    patches: [
      {
        file: ALLOCATOR,
        snippet: "- count;\n    this.#writer.change(handle, group, { freeClusters: free });\n",
        replacement:
          "- count;\n" +
          "    if (free < 0) this.#writer.change(handle, group, { freeClusters: free });\n",
      },
    ],
  },
  {
    name: "an inode that is not freed",
    class: "inode reuse",
    what: "the last name goes, the bitmap of inodes keeps the number",
    seen: "leaked inodes of PMFS and NOVA (Vinter, Chipmunk)",
    story: "ext4: moved and removed",
    patches: [
      {
        file: "src/fs/ext/evict.ts",
        snippet: "  inodes.free(handle, record.ino, record.type === S_IFDIR);\n",
        replacement: "",
      },
    ],
  },
  {
    name: "an inode number twice",
    class: "inode reuse",
    what: "an inode is given out whose bit stays clear: the next file gets it as well",
    seen: "inode bitmaps that are not part of the transaction",
    story: "ext4: made",
    patches: [
      { file: "src/fs/ext/inode-allocator.ts", snippet: "    bitmap.set(bit);\n", replacement: "" },
    ],
  },
  {
    name: "a block of attributes that is lost",
    class: "attribute blocks",
    what: "the last attribute goes, the block stays taken",
    seen: "ext4: mbcache and the reference counts of attribute blocks",
    story: "ext4: reused: a block of attributes",
    patches: [
      {
        file: "src/fs/ext/xattr-writer.ts",
        snippet: "  allocator.free(handle, number, 1, { metadata: true });\n",
        replacement: "  if (number === 0) allocator.free(handle, number, 1, { metadata: true });\n",
      },
    ],
  },
  {
    name: "an inode of which fsync does not know",
    class: "fsync without the inode",
    what: "a change of an inode is not what fsync waits for",
    seen: "btrfs: fsync that returns for an inode already logged (B3)",
    story: "ext4: written",
    patches: [
      {
        file: WRITING,
        snippet: "    state.dataTransaction = handle.transaction;\n",
        replacement: "",
      },
      {
        file: WRITING,
        snippet: "    state.transaction = handle.transaction;\n    if",
        replacement: "    if",
      },
    ],
  },
  {
    name: "fdatasync without the size",
    class: "fdatasync without the size",
    what: "bytes that were appended are durable, the size is not",
    seen: "ext4 and f2fs: fdatasync after fallocate beyond the end (B3)",
    story: "file: fdatasync of what was appended",
    patches: [
      {
        file: WRITING,
        snippet: "    state.dataTransaction = handle.transaction;\n",
        replacement: "",
      },
    ],
  },
  {
    name: "fsync that is fdatasync",
    class: "fsync without the inode",
    what: "fsync of a file whose mode has changed does not commit that",
    seen: "attributes lost after fsync (btrfs: xattrs and modes in the log tree)",
    story: "file: fsync after chmod",
    patches: [
      {
        file: "src/fs/ext/inode-writing.ts",
        snippet: 'how === "all" ? state.transaction : state.dataTransaction',
        replacement: 'how === "all" ? 0 : state.dataTransaction',
      },
    ],
  },
  {
    name: "fsync leaves the bytes",
    class: "fsync without data",
    what: "an overwrite changes no metadata, and nothing is flushed",
    seen: "fsync that has nothing to commit returns early (ext4 without barriers)",
    story: "ext4: written",
    patches: [
      {
        file: WRITING,
        snippet: "    this.journal.commitThrough(transaction);\n    this.contents.flush();\n",
        replacement: "    this.journal.commitThrough(transaction);\n",
      },
    ],
  },
  {
    name: "chattr +S is ignored",
    class: "O_SYNC ignored",
    what: "writes to a synchronous file return before they are durable",
    seen: "attributes of files that a write path does not ask for",
    story: "file: chattr +S",
    patches: [
      {
        file: "src/fs/ext/inode-writing.ts",
        snippet: '    if ((state.record.flags & EXT4_SYNC_FL) !== 0) this.sync("data");\n',
        replacement: "",
      },
    ],
  },
  {
    name: "O_SYNC is ignored",
    class: "O_SYNC ignored",
    what: "write returns before its bytes are durable",
    seen: "O_SYNC of several filesystems meant O_DSYNC, or nothing, until 2.6.33",
    story: "file: O_SYNC",
    patches: [
      {
        file: "src/vfs/open-file.ts",
        snippet:
          "      if (this.#sync !== undefined) writing.sync(this.#sync);\n" +
          '      this.mount.watches.tell("modify", this.location);\n' +
          "      return count;",
        replacement: '      this.mount.watches.tell("modify", this.location);\n      return count;',
      },
    ],
  },
  {
    name: "inline bytes before their block",
    class: "inline data to extents",
    what: "a file leaves its inode, and the bytes reach their block after the commit",
    seen: "ext4 inline_data: conversion to extents (several fixes)",
    story: "ext4 with inline data: in inodes",
    patches: [
      {
        file: "src/fs/ext/inline-writer.ts",
        snippet: "  volume.buffers.write(block, bytes);\n",
        replacement: "  handle.onCommitted(() => volume.buffers.write(block, bytes));\n",
      },
    ],
  },
  {
    name: "names before inodes",
    class: "ext2 order",
    what: "without a journal: what points to a new block is written together with it",
    seen: "ext2, soft updates' reason to be (Ganger and Patt, 1994)",
    story: "ext2: made",
    patches: [
      {
        file: IN_PLACE,
        snippet:
          "    if (created.size > 0 || beforeCommit.length > 0) this.buffers.device.flush();\n",
        replacement: "",
      },
    ],
  },
  {
    name: "pointers before blocks",
    class: "ext2 order",
    what: "without a journal: new blocks are written last",
    seen: "ext2's order of writes is that of the cache",
    story: "ext2: made",
    patches: [
      {
        file: IN_PLACE,
        snippet: "    for (const copy of all) if (created.has(copy.block)) this.#put(copy);\n",
        replacement: "",
      },
      {
        file: IN_PLACE,
        snippet: "    for (const block of copies.keys()) this.buffers.dropOverlay(block);\n",
        replacement: `    for (const copy of all) if (created.has(copy.block)) this.#put(copy);
    this.buffers.device.flush();
    for (const block of copies.keys()) this.buffers.dropOverlay(block);
`,
      },
    ],
  },
  {
    name: "clean, and still written to",
    class: "clean flag",
    what: "without a journal: the superblock says clean while the filesystem is mounted",
    seen: "the state word of ext2 and FAT's dirty bit",
    story: "ext2: clean means clean",
    patches: [
      {
        file: "src/fs/ext/superblock-writer.ts",
        snippet: "SB.state.set(memory, at, SB.state.get(memory, at) & ~EXT4_VALID_FS);",
        replacement: "",
      },
    ],
  },
  {
    name: "clean before the rest",
    class: "clean flag",
    what: "without a journal: unmount says clean together with the last changes",
    seen: "clean flags ahead of the data they speak of",
    story: "ext2: clean means clean",
    patches: [
      {
        file: WRITING,
        snippet: "    if (!this.#journalled) this.journal.commit();\n",
        replacement: "",
      },
    ],
  },
  {
    name: "a filesystem before its tables",
    class: "mkfs order",
    what: "mkfs stores the magic number together with all the rest",
    seen: "interrupted mkfs that mounts",
    story: "mkfs: ext4",
    patches: [
      {
        file: "src/fs/ext/mkfs.ts",
        snippet: `    this.#device.writeBytes(EXT4_SUPERBLOCK_OFFSET, body);
    this.#device.flush();
`,
        replacement: "    this.#device.writeBytes(EXT4_SUPERBLOCK_OFFSET, body);\n",
      },
    ],
  },
  {
    name: "all superblocks at once",
    class: "redundant copies",
    what: "the first superblock and its copies are written in one epoch",
    seen: "backups that are torn together with what they back up",
    story: "tune: a label",
    patches: [
      {
        file: "src/fs/ext/tune.ts",
        snippet: "  descriptors?.writeCopies();\n  device.flush();\n",
        replacement: "  descriptors?.writeCopies();\n",
      },
    ],
  },
  {
    name: "a claim that nobody sees",
    class: "multi-mount protection",
    what: "the sequence number is written without FUA",
    seen: "MMP writes with REQ_SYNC | REQ_META | REQ_PRIO, and no cache in between",
    story: "multi-mount protection: another machine sees the claim",
    patches: [
      {
        file: "src/fs/ext/multi-mount.ts",
        snippet: "    buffers.write(mmpBlock, bytes, { fua: true });",
        replacement: "    buffers.write(mmpBlock, bytes);",
      },
    ],
  },
];
