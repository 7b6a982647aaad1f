/** Journals: what jbd2 and those that came after it got wrong. */
import type { PlantedBug } from "./bug.ts";

const COMMIT = "src/fs/ext/journal-commit.ts";
const JOURNAL = "src/fs/ext/journal.ts";
const RECOVERY = "src/fs/ext/journal-recovery.ts";
const SUPERBLOCK = "src/fs/ext/journal-superblock.ts";

const turns = "journal, no checksums: 5 transactions";

export const journalBugs: readonly PlantedBug[] = [
  {
    name: "the commit record with its payload",
    class: "commit before payload",
    what: "all of the commit block is written before the flush that makes its copies durable",
    seen: "ext3 without barriers, until they became the default (2008 to 2011); IRON file systems",
    story: turns,
    patches: [
      {
        file: COMMIT,
        snippet: "buffers.write(block, unmarked);",
        replacement: "buffers.write(block, commit);",
      },
    ],
  },
  {
    name: "no flush before the commit record",
    class: "missing flush",
    what: "descriptors and copies may come later than the word that makes them count",
    seen: "jbd2 with a journal on another device, before it flushed both",
    story: "journal, no checksums: data before the metadata that refers to it",
    patches: [{ file: COMMIT, snippet: "  buffers.device.flush();\n", replacement: "" }],
  },
  {
    name: "a commit record without FUA",
    class: "missing FUA",
    what: "the commit returns before its record is durable",
    seen: "disks that ignore FUA behind bridges (libata's blacklist)",
    story: turns,
    patches: [
      {
        file: COMMIT,
        snippet: "buffers.write(block, commit, { fua: true });",
        replacement: "buffers.write(block, commit);",
      },
    ],
  },
  {
    name: "revoke records are not written",
    class: "stale block reuse",
    what: "a replay puts old metadata over the data of whoever has the block now",
    seen: "ext3's reason for revoke records (Tweedie, 2000); reiserfs had no such thing",
    story: "journal, no checksums: a freed block is used for data",
    patches: [
      {
        file: COMMIT,
        snippet: "  writeRevokes(target.log, transaction, sequence, write);\n",
        replacement: "",
      },
    ],
  },
  {
    name: "a freed block is not revoked",
    class: "stale block reuse",
    what: "the journal is not told that a block of metadata was freed",
    seen: "ext4: attribute blocks freed without a revoke (ext4_xattr_release_block)",
    story: "ext4: reused: a block of attributes",
    patches: [
      {
        file: "src/fs/ext/handle.ts",
        snippet: "    revoked.add(block);\n",
        replacement: "",
      },
    ],
  },
  {
    name: "revoke records are ignored",
    class: "stale block reuse",
    what: "recovery writes copies of blocks that were freed later in the log",
    seen: "replay tools of their own (extlinux, GRUB's early ext3) that skip the revoke pass",
    story: "journal, checksums: a freed block is used for data",
    patches: [
      {
        file: "src/fs/ext/journal-replay.ts",
        snippet: "if (revocations.revokes(tag.block, record.sequence)) {",
        replacement: "if (tag.block < 0 && revocations.revokes(tag.block, record.sequence)) {",
      },
    ],
  },
  {
    name: "the tail moves before the checkpoint",
    class: "checkpoint order",
    what: "the log gives transactions up, and then they are written to their places",
    seen: "jbd: cleaning up the journal tail without waiting (fixed in 3.5, 79feb521a447)",
    story: turns,
    patches: [
      {
        file: JOURNAL,
        snippet: `    this.#checkpoints.write(count);
    const next = this.#checkpoints.transactionsInOrder()[count];
    this.#superblock.setTail(next?.sequence ?? this.#sequence, next?.start ?? this.#space.head);
`,
        replacement: `    const next = this.#checkpoints.transactionsInOrder()[count];
    this.#superblock.setTail(next?.sequence ?? this.#sequence, next?.start ?? this.#space.head);
    this.#checkpoints.write(count);
`,
      },
    ],
  },
  {
    name: "the tail moves without a barrier",
    class: "checkpoint order",
    what: "the new tail may be durable before what it gives up is in its place",
    seen: "jbd2: a flush was missing before the tail is updated (2012, 79feb521a447)",
    story: "journal, no checksums: 7 small transactions",
    patches: [
      {
        file: SUPERBLOCK,
        snippet: "[sequence, start], { barrier: true });",
        replacement: "[sequence, start]);",
      },
    ],
  },
  {
    name: "the log is closed before the last checkpoint",
    class: "checkpoint order",
    what: "an unmount empties the log and writes what it held afterwards",
    seen: "btrfs and f2fs: superblock of a clean unmount ahead of the last tree",
    story: turns,
    patches: [
      {
        file: JOURNAL,
        snippet: `      this.#checkpoints.write(transactions);
      if (this.#superblock.start !== 0) this.#superblock.setTail(this.#sequence, 0);
`,
        replacement: `
      if (this.#superblock.start !== 0) this.#superblock.setTail(this.#sequence, 0);
      this.#checkpoints.write(transactions);
`,
      },
    ],
  },
  {
    name: "recovery empties the log first",
    class: "recovery order",
    what: "a second power cut finds an empty log and half of what it held",
    seen: "jbd2_journal_recover without a flush before the superblock (2.6.x)",
    story: "journal, no checksums: mounted again",
    patches: [
      {
        file: RECOVERY,
        snippet: `  writeHome(buffers, replay.blocks);
  let last`,
        replacement: `  superblock.setTail(sequenceAfter(statistics.endTransaction), 0);
  writeHome(buffers, replay.blocks);
  let last`,
      },
    ],
  },
  {
    name: "recovery does not flush",
    class: "recovery order",
    what: "what was replayed may be lost after the log says that it is empty",
    seen: "sync_blockdev alone in jbd2_journal_recover, until the flush came with 2.6.37",
    story: "journal, no checksums: mounted again",
    patches: [
      {
        file: SUPERBLOCK,
        snippet: "if (checksummed || how.barrier === true) this.#buffers.device.flush();",
        replacement: "if (checksummed) this.#buffers.device.flush();",
      },
    ],
  },
  {
    name: "recovery keeps the number",
    class: "sequence number",
    what: "a transaction that was cut off and the one after recovery have the same number",
    seen: "jbd: ++journal->j_transaction_sequence after recovery, and why",
    story: "journal, no checksums: mounted again",
    patches: [
      {
        file: RECOVERY,
        snippet: "  superblock.setTail(sequenceAfter(last), 0);\n  if",
        replacement: "  superblock.setTail((last - 3) >>> 0, 0);\n  if",
      },
      {
        file: JOURNAL,
        snippet: "this.#sequence = sequenceAfter(this.#superblock.sequence);",
        replacement: "this.#sequence = this.#superblock.sequence;",
      },
    ],
  },
  {
    name: "the flag is taken back too early",
    class: "recovery flag",
    what: "the superblock says that nothing has to be recovered while the log holds transactions",
    seen: "ext4_mark_recovery_complete before the journal was flushed",
    story: turns,
    patches: [
      {
        file: JOURNAL,
        snippet: "    this.commit();\n    this.guarded(() => {\n",
        replacement: `    this.commit();
    if (this.#dirty) this.#options.hooks?.afterClean?.();
    this.guarded(() => {
`,
      },
    ],
  },
  {
    name: "the flag is set too late",
    class: "recovery flag",
    what: "a crash after the first commit is taken for a clean unmount",
    seen: "ext4: INCOMPAT_RECOVER must be durable before the first transaction",
    story: turns,
    patches: [
      {
        file: JOURNAL,
        snippet: "    if (!this.#dirty) this.#options.hooks?.beforeFirstCommit?.();\n",
        replacement: "    if (this.#dirty) this.#options.hooks?.beforeFirstCommit?.();\n",
      },
    ],
  },
  {
    name: "ordered data after the commit",
    class: "data before commit",
    what: "metadata refers to blocks whose data are written afterwards",
    seen: "data=ordered without waiting (ext3, 2.6.2x); delayed allocation's zero-length files",
    story: "journal, no checksums: data before the metadata that refers to it",
    patches: [
      {
        file: "src/fs/ext/metadata-commits.ts",
        snippet: `      for (const write of running.beforeCommit) write();
      this.write(running);
`,
        replacement: `      this.write(running);
      for (const write of running.beforeCommit) write();
`,
      },
    ],
  },
  {
    name: "data without metadata are not flushed",
    class: "missing flush",
    what: "an fsync that has no transaction to commit returns at once",
    seen: "ext4_sync_file without a barrier where nothing was to be committed (fixed 2010)",
    story: "journal, data without metadata",
    patches: [
      {
        file: JOURNAL,
        snippet: "      if (running.beforeCommit.length > 0) this.buffers.device.flush();\n",
        replacement: "",
      },
    ],
  },
  {
    name: "a torn superblock of the journal",
    class: "torn write",
    what: "no note says which word of the superblock was about to change",
    seen: "stores of memory are atomic by eight bytes only (PMFS, NOVA: checksums beside a word)",
    story: "journal, checksums: 5 transactions",
    patches: [
      {
        file: SUPERBLOCK,
        snippet: "      this.#buffers.write(physicalBlock(this.#map, this.#freeBlock()), note);\n",
        replacement: "      if (note.length === 0) this.#freeBlock();\n",
      },
    ],
  },
  {
    name: "an abort is not remembered",
    class: "error handling",
    what: "the error that ended the journal is not noted on the device",
    seen: "ext3/4 lost errors of the journal's superblock (jbd2_journal_abort, several fixes)",
    story: "journal, no checksums: an abort",
    patches: [
      { file: JOURNAL, snippet: "      this.#superblock.setErrno(EIO);\n", replacement: "" },
    ],
  },
  {
    name: "the error is forgotten before it is noted",
    class: "error handling",
    what: "the journal's errno is cleared before the filesystem says that it has errors",
    seen: "ext4_clear_journal_err and the order of its two writes",
    story: "an error of an earlier mount is not forgotten",
    patches: [
      {
        file: "src/fs/ext/mount-writing.ts",
        snippet: "  if (failed || journal instanceof InPlaceJournal) journal.commit();\n",
        replacement: "  if (journal instanceof InPlaceJournal) journal.commit();\n",
      },
    ],
  },
];
