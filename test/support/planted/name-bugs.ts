/** Names, links and what they lead to. */
import type { PlantedBug } from "./bug.ts";

const RENAME = "src/fs/ext/rename.ts";
const UNLINK = "src/fs/ext/unlink.ts";

export const nameBugs: readonly PlantedBug[] = [
  {
    name: "a link that is not counted",
    class: "link count",
    what: "the second name is there, the count is as before",
    seen: "btrfs and f2fs: wrong link count after fsync and a crash (CrashMonkey, B3)",
    story: "ext4: made",
    patches: [
      { file: UNLINK, snippet: "    setLinks(record, record.links + 1);\n", replacement: "" },
    ],
  },
  {
    name: "a link that is counted later",
    class: "link count",
    what: "the name and the count are in two transactions",
    seen: "NOVA: link count outside the journal's transaction (Chipmunk)",
    story: "ext4: made",
    patches: [
      {
        file: UNLINK,
        snippet: `    setLinks(record, record.links + 1);
    writing.storeAttributes(handle, target);
    writing.storeDirectory(handle, directory);
  });
`,
        replacement: `    writing.storeDirectory(handle, directory);
  });
  writing.journal.commit();
  writing.operate(credits, (handle) => {
    setLinks(record, record.links + 1);
    writing.storeAttributes(handle, target);
  });
`,
      },
    ],
  },
  {
    name: "an unlink that keeps the count",
    class: "link count",
    what: "the name goes, the inode keeps a link that nobody has",
    seen: "PMFS: unlink leaves the inode allocated (Vinter)",
    story: "ext4: moved and removed",
    patches: [
      {
        file: UNLINK,
        snippet: "setLinks(record, isDirectory ? 0 : record.links - 1);",
        replacement: "setLinks(record, isDirectory ? 0 : record.links);",
      },
    ],
  },
  {
    name: "rename takes the old name first",
    class: "rename atomicity",
    what: "between two transactions the file has no name",
    seen: "btrfs: rename across directories lost the file after a crash (B3); PMFS",
    story: "ext4: moved and removed",
    patches: [
      {
        file: RENAME,
        snippet: "  const goesOn = writing.operate(credits, (handle) => {\n    moveEntry(",
        replacement: `  writing.operate(MOVE_CREDITS, (handle) => {
    namesOf(writing.editor, from.directory).removeEntry(handle, names[0]);
    writing.storeDirectory(handle, from.directory);
  });
  writing.journal.commit();
  const goesOn = writing.operate(credits, (handle) => {
    moveEntry(`,
      },
      {
        file: RENAME,
        snippet: "  namesOf(editor, from.directory).removeEntry(handle, oldName);\n",
        replacement: "  if (oldName.length === 0) return;\n",
      },
    ],
  },
  {
    name: "rename gives the new name first",
    class: "rename atomicity",
    what: "between two transactions the file has two names and one link",
    seen: "ext2's own order, which e2fsck has to mend; NOVA before its rename journal",
    story: "ext4: moved and removed",
    patches: [
      {
        file: RENAME,
        snippet: "  namesOf(editor, from.directory).removeEntry(handle, oldName);\n",
        replacement: "  if (oldName.length === 0) return;\n",
      },
      {
        file: RENAME,
        snippet: "  if (goesOn && target !== undefined) finishDeletion(writing, target);\n",
        replacement: `  writing.journal.commit();
  writing.operate(MOVE_CREDITS, (handle) => {
    namesOf(writing.editor, from.directory).removeEntry(handle, names[0]);
    writing.storeDirectory(handle, from.directory);
  });
  if (goesOn && target !== undefined) finishDeletion(writing, target);
`,
      },
    ],
  },
  {
    name: "rename removes what it replaces first",
    class: "rename over a file",
    what: "between two transactions there is neither the old nor the new file",
    seen: "delayed allocation and rename over a file (ext4, 2009); btrfs (B3)",
    story: "ext4: moved and removed",
    patches: [
      {
        file: RENAME,
        snippet: "  const goesOn = writing.operate(credits, (handle) => {\n    moveEntry(",
        replacement: `  if (target !== undefined) {
    writing.operate(MOVE_CREDITS, (handle) => {
      namesOf(writing.editor, to.directory).removeEntry(handle, names[1]);
      writing.storeDirectory(handle, to.directory);
    });
    writing.journal.commit();
  }
  const goesOn = writing.operate(credits + 10, (handle) => {
    moveEntry(`,
      },
      {
        file: RENAME,
        snippet:
          "  if (to.inode === undefined) destination.addEntry(handle, newName, entryOf(inode));",
        replacement:
          "  if (newName.length > 0) destination.addEntry(handle, newName, entryOf(inode));",
      },
    ],
  },
  {
    name: "what rename replaced keeps its link",
    class: "rename over a file",
    what: "the file whose name was taken keeps a link and its blocks",
    seen: "PMFS and NOVA: the replaced inode leaks (Chipmunk)",
    story: "ext4: moved and removed",
    patches: [
      {
        file: RENAME,
        snippet: "  dropLink(writing, target);\n  return",
        replacement:
          "  writing.store(handle, target);\n  if (target.holds === 0) return false;\n  return",
      },
    ],
  },
  {
    name: "a directory that moved does not know its parent",
    class: "parent of a directory",
    what: "`..` leads to where the directory was",
    seen: "btrfs and f2fs: renamed directories after log replay (B3)",
    story: "ext4: directories moved",
    patches: [
      {
        file: RENAME,
        snippet: "  namesOf(writing.editor, child).setParent(handle, parent.record.ino);\n",
        replacement: "  if (handle.credits < 0) writing.store(handle, parent);\n",
      },
    ],
  },
  {
    name: "a directory that left is still counted",
    class: "link count",
    what: "the parent keeps the link of a directory that moved away",
    seen: "f2fs: i_links of directories after a rename and a crash",
    story: "ext4: directories moved",
    patches: [
      {
        file: RENAME,
        snippet:
          "    uncountDirectory(from.directory.record);\n" +
          "    if (to.inode === undefined) countDirectory(",
        replacement: "    if (to.inode === undefined) countDirectory(",
      },
    ],
  },
  {
    name: "an exchange in two steps",
    class: "rename atomicity",
    what: "RENAME_EXCHANGE leaves both names at one file for a while",
    seen: "RENAME_EXCHANGE of btrfs, whose log kept one half (2018)",
    story: "ext4: moved and removed",
    patches: [
      {
        file: RENAME,
        snippet: `replaceEntry(handle, names[0], entryOf(to.inode));
    namesOf(editor, to.directory).replaceEntry(handle, names[1], entryOf(from.inode));
`,
        replacement: `replaceEntry(handle, names[0], entryOf(to.inode));
    handle.stop();
    writing.journal.commit();
    handle = writing.journal.start(2 * MOVE_CREDITS);
    namesOf(editor, to.directory).replaceEntry(handle, names[1], entryOf(from.inode));
    handle.onCommitted(() => handle.stop());
    queueMicrotask(() => handle.stop());
`,
      },
    ],
  },
  {
    name: "a new file whose name comes later",
    class: "parent-directory flush",
    what: "fsync of a new file commits the inode, its name only with the next commit",
    seen: "POSIX says as much: fsync of the directory as well; xfs and ext4 do more",
    story: "ext4: made",
    patches: [
      {
        file: "src/fs/ext/make.ts",
        snippet: "    if (isDirectory) countDirectory(writing.editor, directory.record);\n",
        replacement: `    if (isDirectory) countDirectory(writing.editor, directory.record);
    namesOf(writing.editor, directory).removeEntry(handle, bytes);
    handle.onCommitted(() => {
      writing.operate(credits, (later) => {
        const target = { ino: record.ino, type: typeOfMode(plan.mode) };
        namesOf(writing.editor, directory).addEntry(later, bytes, target);
      });
    });
`,
      },
    ],
  },
  {
    name: "fsync of a directory does nothing",
    class: "parent-directory flush",
    what: "a kernel asks for a directory to be durable, and is told that it is",
    seen: "FUSE filesystems that leave fsyncdir out",
    story: "fuse: fsyncdir",
    patches: [
      {
        file: "src/fuse/listing.ts",
        snippet: '  c.node.inode.writing?.sync(data ? "data" : "all");\n',
        replacement: "",
      },
    ],
  },
  {
    name: "chattr +D is ignored",
    class: "parent-directory flush",
    what: "changes of a synchronous directory are not committed",
    seen: "ext4: DIRSYNC lost with inline directories",
    story: "file: chattr +D",
    patches: [
      {
        file: "src/fs/ext/writing.ts",
        snippet: "if ((state.record.flags & EXT4_DIRSYNC_FL) !== 0) handle.sync = true;",
        replacement: "",
      },
    ],
  },
  {
    name: "an index that does not know a block",
    class: "torn index",
    what: "a block of a hashed directory is split, and the tree leads to one half",
    seen: "ext4 htree splits (do_split), and B-trees of persistent memory (Witcher, RECIPE)",
    story: "ext4: a directory that is indexed",
    patches: [
      {
        file: "src/fs/ext/htree-writer.ts",
        snippet: "  DxEntry.block.set(view, at, block);\n  setCount(frame, count + 1);",
        replacement: "  DxEntry.block.set(view, at, block);",
      },
    ],
  },
  {
    name: "an orphan that is not listed",
    class: "orphan list",
    what: "a file that lost its name while it was open is never freed after a cut",
    seen: "ext4: inodes missing from the orphan list (ext4_orphan_add races)",
    story: "ext4: two that are open lose their names",
    patches: [
      {
        file: "src/fs/ext/deletion.ts",
        snippet: "    writing.orphans.add(handle, state.record);\n    return false;",
        replacement: "    return false;",
      },
    ],
  },
  {
    name: "an orphan that does not lead on",
    class: "orphan list order",
    what: "the list begins with the new orphan, which does not name the one before",
    seen: "ext3/4 orphan list corruption (s_last_orphan written before i_dtime)",
    story: "ext4: two that are open lose their names",
    patches: [
      {
        file: "src/fs/ext/orphans.ts",
        snippet:
          "    setDtime(record, next);\n" +
          "    storeRecord(this.#volume, handle, record);\n" +
          "    this.#superblock",
        replacement: "    storeRecord(this.#volume, handle, record);\n    this.#superblock",
      },
    ],
  },
  {
    name: "the list of orphans begins too early",
    class: "orphan list order",
    what: "the head of the list is committed before the inode that it names is an orphan",
    seen: "ext4_orphan_add: order of the superblock's and the inode's buffers",
    story: "ext4: two that are open lose their names",
    patches: [
      {
        file: "src/fs/ext/orphans.ts",
        snippet: "    this.#superblock.setLastOrphan(handle, ino);\n    const follower",
        replacement: "    const follower",
      },
    ],
  },
  {
    name: "a file without a name is no orphan",
    class: "orphan list",
    what: "O_TMPFILE makes an inode that nothing leads to and nobody frees",
    seen: "btrfs and f2fs: O_TMPFILE inodes after a crash",
    story: "ext4: without a name",
    patches: [
      {
        file: "src/fs/ext/make.ts",
        snippet: "    writing.orphans.add(handle, record);\n",
        replacement: "",
      },
    ],
  },
  {
    name: "a named file is an orphan still",
    class: "orphan list",
    what: "a file from O_TMPFILE gets a name, and the next mount cuts it to its size",
    seen: "entries that stay on a list after what they were for is done",
    story: "ext4: without a name",
    patches: [
      {
        file: UNLINK,
        snippet: "    if (record.links === 0) orphans.remove(handle, record);\n",
        replacement: "    if (record.links < 0) orphans.remove(handle, record);\n",
      },
    ],
  },
];
