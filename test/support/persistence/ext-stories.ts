/** Every call that changes a filesystem, and its journal by itself. */
import type { ExtFilesystem } from "../../../src/fs/ext/filesystem.ts";
import { S_IFIFO, S_IFLNK, S_IFREG } from "../../../src/vfs/modes.ts";
import type { Inode } from "../../../src/vfs/filesystem.ts";
import {
  EXT4,
  STORIES,
  allocating,
  fill,
  fillInline,
  inline,
  on,
  sizing,
  story,
  text,
} from "../ext-flush-stories.ts";
import {
  type FlushedCall,
  type FlushedImage,
  type FlushedStory,
  cutStory,
} from "../ext-flushes.ts";
import { plainDirectory, plainFile, writingOf } from "../ext-mounted.ts";
import { cutEverywhere } from "../journal-crash.ts";
import { SCENARIOS } from "../journal-scenarios.ts";
import { tighten } from "../little-room.ts";
import { type Story, objectionOf } from "./story.ts";

/** Runs of recovery and check, at most. */
const LEAVES = [200, 1000] as const;

/** Extents, and no journal. */
const BARE: FlushedImage = {
  name: "ext4 without a journal",
  make: { type: "ext4", features: "^has_journal,^metadata_csum,^resize_inode" },
  promise: "order",
};
const BARE_INLINE: FlushedImage = {
  name: "ext4 without a journal, with inline data",
  make: { ...BARE.make, features: `${BARE.make.features},inline_data`, inodeSize: 256 },
  promise: "order",
};
const MAPS: FlushedImage = { name: "ext3", make: { type: "ext3" }, promise: "prefix" };

/** What a file has behind its end, too. */
const sectorsOf =
  (name: string) =>
  ({ root }: ExtFilesystem): string =>
    `sectors ${root.lookup(name)?.attributes().blocks}`;

/** A file that was an orphan is one no more: what it is given behind its end stays. */
const givenMore = (name: string): FlushedCall =>
  on(name, "fallocate, keep size", (file) => file.fallocate("allocate", 4096, 3072, true));

/** Files that have no name for a while. */
function unnamed(): FlushedCall[] {
  const files: Inode[] = [];
  const without = (name: string): FlushedCall => ({
    name: `${name} without a name`,
    run: ({ root }) => {
      const file = writingOf(root).makeUnnamed({ ...plainFile, mode: S_IFREG | 0o640 });
      writingOf(file).hold();
      writingOf(file).write(text(10), 0);
      files.push(file);
    },
  });
  const named = (name: string): FlushedCall => ({
    name: `${name} gets one`,
    run: ({ root }) => {
      const file = files.pop() as Inode;
      writingOf(root).link(name, file);
      writingOf(file).release();
    },
  });
  return [without("one"), without("two"), named("two"), named("one"), givenMore("one")];
}

/** Takes every free block, with bytes of its own in each. */
function takeAll(filesystem: ExtFilesystem): void {
  const file = writingOf(writingOf(filesystem.root).make("all", plainFile));
  const { free } = filesystem.writing as NonNullable<ExtFilesystem["writing"]>;
  // What the map of the file itself takes, and a directory's block.
  file.write(text((free.clusters - 12) * 1024, 8), 0);
}

/** A block of metadata is logged, freed, and is a file's by then: no replay may bring it back. */
const reuse = (name: string, image: FlushedImage, made: FlushedCall, gone: FlushedCall) =>
  story(image, `reused: ${name}`, [made, gone, { name: "all of it", run: takeAll }], fill);

const slow = { ...plainFile, mode: S_IFLNK | 0o777, target: "t".repeat(200) };

function scattered(file: ReturnType<typeof writingOf>): void {
  for (let at = 0; at < 12; at++) file.write(text(10, at), at * 2048);
}

const reused: readonly FlushedStory[] = [
  reuse(
    "a directory's block",
    EXT4,
    on("", "mkdir", (root) => root.make("sub", plainDirectory)),
    on("", "rmdir", (root) => root.rmdir("sub")),
  ),
  reuse(
    "a symlink's block",
    EXT4,
    on("", "symlink", (root) => root.make("slow", slow)),
    on("", "unlink", (root) => root.unlink("slow")),
  ),
  reuse(
    "a block of attributes",
    EXT4,
    on("file", "setxattr", (file) => file.setxattr("user.b", text(700))),
    on("file", "removexattr", (file) => file.removexattr("user.b")),
  ),
  reuse(
    "a node of extents",
    EXT4,
    on("d/inside", "scattered", scattered),
    on("d/inside", "truncate", (file) => file.truncate(0)),
  ),
  reuse(
    "an indirect block",
    MAPS,
    on("d/inside", "behind the direct ones", (file) => file.write(text(10), 20 * 1024)),
    on("d/inside", "truncate", (file) => file.truncate(0)),
  ),
];

/** Made and freed before it was ever committed: then its copy must not be. */
const fleeting = story(
  EXT4,
  "reused: a directory's block that was never committed",
  [
    // The log has begun by then.
    on("", "mknod", (root) => root.make("node", { ...plainFile, mode: S_IFIFO | 0o600 })),
    on("", "mkdir, and rmdir at once", (root) => {
      root.make("sub", plainDirectory);
      root.rmdir("sub");
    }),
    { name: "all of it", run: takeAll },
  ],
  fill,
);

/** Directories change places; what is empty takes the place of another. */
const directories = story(
  EXT4,
  "directories moved",
  [
    {
      name: "one into another",
      run: ({ root }) => writingOf(root).rename("one", root.lookup("two") as Inode, "one"),
    },
    { name: "over an empty one", run: ({ root }) => writingOf(root).rename("full", root, "empty") },
    {
      name: "two that change places",
      run: ({ root }) => {
        const two = root.lookup("two") as Inode;
        writingOf(root).rename("d", two, "one", { exchange: true });
      },
    },
  ],
  (filesystem) => {
    const root = writingOf(filesystem.root);
    for (const name of ["one", "two", "empty", "d"]) root.make(name, plainDirectory);
    writingOf(root.make("full", plainDirectory)).make("inside", plainFile);
  },
);

/** Files that lose their names while somebody has them: the next mount ends them. */
const orphans = story(
  EXT4,
  "two that are open lose their names",
  ["first", "second"].map((name) => ({
    name: `unlink ${name}`,
    run: ({ root }: ExtFilesystem) => {
      writingOf(root.lookup(name) as Inode).hold();
      writingOf(root).unlink(name);
    },
  })),
  (filesystem) => {
    for (const name of ["first", "second"]) {
      writingOf(writingOf(filesystem.root).make(name, plainFile)).write(text(1500), 0);
    }
  },
);

const longName = (i: number): string => `${i}`.padEnd(60, "n");

/** A directory becomes a hash tree, and a block of it is split. */
const indexed = story(
  { ...EXT4, make: { ...EXT4.make, inodes: 64 } },
  "a directory that is indexed",
  [
    on("d", "the second block", (d) => d.make(longName(13), plainFile)),
    on("d", "into the tree", (d) => d.make(longName(14), plainFile)),
    on("d", "split", (d) => {
      for (let i = 15; i < 24; i++) d.make(longName(i), plainFile);
    }),
    on("d", "out of the tree", (d) => d.unlink(longName(2))),
  ],
  (filesystem) => {
    const d = writingOf(writingOf(filesystem.root).make("d", plainDirectory));
    for (let i = 0; i < 13; i++) d.make(longName(i), plainFile);
  },
);

/** Space is free only when it is so on the device: what takes its place comes later. */
const replaced = story(
  EXT4,
  "removed, and others made at once",
  [
    {
      name: "removed and made",
      run: ({ root }) => {
        writingOf(root).unlink("file");
        const made = writingOf(writingOf(root).make("new", plainFile));
        made.write(text(5000, 40), 0);
      },
    },
  ],
  fill,
);

/** A truncation that takes several transactions. */
const inSteps: FlushedStory = {
  ...story(
    // Each transaction is committed before the next is begun.
    { ...EXT4, mount: { commit: 1e-9 } },
    "cut in steps",
    [
      {
        name: "truncate",
        run: (filesystem) => {
          tighten(filesystem);
          writingOf(filesystem.root.lookup("file") as Inode).truncate(100);
        },
      },
      givenMore("file"),
    ],
    (filesystem) => {
      const file = writingOf(writingOf(filesystem.root).make("file", plainFile));
      for (let at = 0; at < 100; at++) file.write(text(10, at), at * 2048);
    },
  ),
  also: sectorsOf("file"),
};

/** The size grows over blocks that are the file's already: nothing is allocated. */
const kept = story(
  BARE,
  "the size follows",
  [on("other", "fallocate", (file) => file.fallocate("allocate", 0, 4000))],
  (filesystem) => {
    fill(filesystem);
    writingOf(filesystem.root.lookup("other") as Inode).fallocate("allocate", 0, 4096, true);
  },
);

const MORE: readonly FlushedStory[] = [
  { ...story(EXT4, "without a name", unnamed()), also: sectorsOf("one") },
  kept,
  directories,
  orphans,
  indexed,
  replaced,
  inSteps,
  fleeting,
  ...reused,
  story(BARE, "set aside", allocating),
  story(BARE, "cut and grown", sizing),
  story(BARE_INLINE, "in inodes", inline, fillInline),
];

export const stories: readonly Story[] = [
  ...[...STORIES, ...MORE].map((told) => ({
    name: told.name,
    run: (patience: 0 | 1) => objectionOf(cutStory(told, {}, { leaves: LEAVES[patience] })),
  })),
  ...SCENARIOS.map((scenario) => ({
    name: `journal, ${scenario.name}`,
    run: (patience: 0 | 1) => {
      const leaves = [3000, 100_000][patience] as number;
      const extent = { depth: 1 + patience, leaves, torn: "line" } as const;
      return objectionOf(cutEverywhere(scenario, {}, { ...extent, stopAtFirst: true }));
    },
  })),
];
