/** Filesystems that are frozen: what was done is there, and nothing comes after it until thaw. */
import type { BlockDevice } from "../../../src/block/block-device.ts";
import { EXT4_FEATURE_INCOMPAT_RECOVER } from "../../../src/format/ext-superblock.ts";
import type { MakeExtOptions } from "../../../src/fs/ext/mkfs-options.ts";
import { type Superblock, readSuperblock } from "../../../src/fs/ext/superblock.ts";
import { isDaxError } from "../../../src/lib/errno.ts";
import { FileTree } from "../../../src/vfs/file-tree.ts";
import { freezeFilesystem, thawFilesystem } from "../../../src/vfs/freezing.ts";
import { noise } from "../bytes.ts";
import { complaintsOf } from "../ext-writing.ts";
import type { Story } from "./story.ts";
import { type Ground, type World, brokenTree } from "./tree-check.ts";
import { FILE, type Work, imageOf, mountOn, storyOf } from "./works.ts";

const PAGE = 4096;
const RECORD = noise(3, 200);
const ONE = Uint8Array.of(1);

/** A page with records, and one that says how many of them there are. */
const LOG: Ground = {
  make: { type: "ext2", blockSize: PAGE, inodes: 16 },
  megabytes: 1,
  prepare: (tree) => {
    const file = tree.open("/log", { create: true, access: "write" });
    file.write(new Uint8Array(2 * PAGE));
    file.close();
  },
};

/** A log that is mapped: a record first, then the count. */
function append({ tree }: Pick<World, "tree">): () => void {
  const mapping = tree.open("/log", { access: "readwrite" }).map({ access: "write" });
  let count = 0;
  return () => {
    mapping.copyIn(PAGE + count * RECORD.length, RECORD);
    mapping.setUint8(0, ++count);
  };
}

const mapped: readonly Story[] = [
  {
    name: "freeze: what was stored through a mapping",
    run: (patience) =>
      brokenTree(
        LOG,
        ({ tree, promise }) => {
          append({ tree })();
          freezeFilesystem(tree.mounts.root.filesystem);
          promise({ path: "/log", bytes: RECORD, at: PAGE }, { path: "/log", bytes: ONE });
        },
        patience,
      ),
  },
  {
    name: "freeze: an overwrite, beside a file without a name",
    run: (patience) =>
      brokenTree(
        LOG,
        ({ tree, promise }) => {
          tree.open("/gone", { create: true, access: "write" });
          tree.unlink("/gone");
          const file = tree.open("/log", { access: "readwrite" });
          file.pwrite(RECORD.subarray(0, 9), PAGE);
          tree.sync();
          file.pwrite(RECORD, PAGE);
          freezeFilesystem(tree.mounts.root.filesystem);
          promise({ path: "/log", bytes: RECORD, at: PAGE });
        },
        patience,
      ),
  },
  {
    name: "freeze: a snapshot is not torn by stores through a mapping",
    run: (patience) =>
      brokenTree(
        LOG,
        ({ tree, promise }) => {
          const store = append({ tree });
          store();
          freezeFilesystem(tree.mounts.root.filesystem);
          const frozen = [
            { path: "/log", bytes: ONE },
            { path: "/log", bytes: new Uint8Array(RECORD.length), at: PAGE + RECORD.length },
          ];
          promise(...frozen);
          try {
            store();
          } catch (error) {
            if (!isDaxError(error, "EAGAIN")) throw error;
          }
          promise(...frozen);
        },
        patience,
      ),
  },
];

/** Memory may tear it, as long as there is a journal or nothing was said of it. */
function superblockOf(device: BlockDevice): Superblock | undefined {
  try {
    return readSuperblock(device);
  } catch (error) {
    if (isDaxError(error, "EBADMSG")) return undefined;
    throw error;
  }
}

const gone: Story = {
  name: "teardown: what was stored by the raw door when the device went",
  run: (patience) =>
    brokenTree(
      LOG,
      ({ tree, promise, media }) => {
        const file = tree.open("/log", { access: "readwrite" });
        const [extent] = file.extents();
        // Nobody can take that away, so the mapping lives on when all others have ended.
        if (file.map({ access: "write" }).bytes.length === 0) throw new Error("nothing is mapped");
        media.window(extent?.addr ?? 0).memory.setUint8(extent?.addr ?? 0, 1);
        tree.mounts.root.filesystem.device.dax?.device.kill();
        promise({ path: "/log", bytes: ONE });
      },
      patience,
    ),
};

/** What is wrong with an image that was frozen: it has to be clean, and whole. */
const works = (name: string, make: MakeExtOptions): Work => ({
  name: `${name}: frozen means clean`,
  initial: () => imageOf(make, 3000),
  run: (device, ack) => {
    const filesystem = mountOn(device, true);
    const tree = new FileTree(filesystem);
    const file = tree.open("/new", { create: true, access: "write" });
    file.write(FILE);
    freezeFilesystem(filesystem);
    ack("frozen");
    ack("thawing");
    thawFilesystem(filesystem);
    ack("thawed");
    tree.mkdir("/d");
    file.close();
    filesystem.sync();
  },
  check: (device, acked) => {
    const last = acked.at(-1);
    const found = superblockOf(device);
    if (found === undefined) return last === "frozen" ? "its superblock is torn" : undefined;
    const { state, featureIncompat } = found;
    const recovers = (featureIncompat & EXT4_FEATURE_INCOMPAT_RECOVER) !== 0;
    if (recovers) return last === "frozen" ? "the journal is to be recovered" : undefined;
    if ((state & 1) === 0) return last === "frozen" ? "it is not clean" : undefined;
    const said = complaintsOf(device);
    return said.length > 0 ? `clean, and ${said.join("; ")}` : undefined;
  },
});

export const stories: readonly Story[] = [
  ...mapped,
  gone,
  storyOf(works("ext2", { type: "ext2" })),
  storyOf(works("ext4", { type: "ext4", journalMegabytes: 1 })),
];
