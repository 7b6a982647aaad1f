/** Making, growing and tuning filesystems, cut wherever that makes a difference. */
import type { BlockDevice } from "../../../src/block/block-device.ts";
import { Buffers } from "../../../src/block/buffers.ts";
import { RamDisk } from "../../../src/block/ram-disk.ts";
import { EXT4_SUPERBLOCK_OFFSET, Ext4SuperBlock } from "../../../src/format/ext-superblock.ts";
import { ext } from "../../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../../src/fs/ext/filesystem.ts";
import { makeExt } from "../../../src/fs/ext/mkfs.ts";
import type { MakeExtOptions } from "../../../src/fs/ext/mkfs-options.ts";
import { openJournal } from "../../../src/fs/ext/recovery.ts";
import { resizeExt } from "../../../src/fs/ext/resize-grow.ts";
import {
  parseSuperblock,
  readSuperblock,
  readSuperblockToRecover,
} from "../../../src/fs/ext/superblock.ts";
import { tuneExt } from "../../../src/fs/ext/tune.ts";
import { Volume } from "../../../src/fs/ext/volume.ts";
import { silent } from "../../../src/lib/environment.ts";
import { decodeUtf8 } from "../../../src/lib/utf8.ts";
import { DaxError, isDaxError } from "../../../src/lib/errno.ts";
import { FileTree } from "../../../src/vfs/file-tree.ts";
import { same } from "../bytes.ts";
import { complaintsOf } from "../ext-writing.ts";
import type { Story } from "./story.ts";
import { ENVIRONMENT, FILE, type Work, imageOf, mountOn, storyOf } from "./works.ts";

function withoutFile(device: BlockDevice): string | undefined {
  const found = new Uint8Array(FILE.length);
  new FileTree(mountOn(device)).open("/f").pread(found, 0);
  return same(found, FILE) ? undefined : "/f has other bytes";
}

/** What the superblock's copy in the second group says. */
function blocksOfCopy(device: BlockDevice): number {
  const copy = new Uint8Array(1024);
  device.readBytes(513 * 1024, copy);
  return parseSuperblock(new DataView(copy.buffer), 0, device.sectors * 512).blocks;
}

const grows = (name: string, make: MakeExtOptions, whole: boolean): Work => ({
  name: `grow: ${name}`,
  initial: () => imageOf(make, 4000, 5000),
  run: (device, ack) => {
    resizeExt(device, {}, ENVIRONMENT());
    ack("grown");
  },
  recover: whole,
  check: (device, acked) => {
    const { blocks, state } = readSuperblock(device);
    if (acked.length > 0 && blocks !== 5000) return `it has ${blocks} blocks`;
    // Without a journal it says itself that it may be damaged.
    const honest = (state & 2) !== 0 && acked.length === 0;
    if (acked.length > 0 && blocksOfCopy(device) !== 5000) return "a copy of the superblock is old";
    const said = honest ? [] : complaintsOf(device);
    return said.length > 0 ? said.join("; ") : withoutFile(device);
  },
});

/** The label in a superblock that is whole. */
function labelOf(device: BlockDevice): string {
  readSuperblock(device);
  const bytes = new Uint8Array(Ext4SuperBlock.volumeName.size);
  device.readBytes(EXT4_SUPERBLOCK_OFFSET + Ext4SuperBlock.volumeName.offset, bytes);
  return decodeUtf8(bytes).replace(/\0+$/u, "");
}

const SMALL_GROUPS = { blocksPerGroup: 512 };

const tunes: Work = {
  name: "tune: a label",
  initial: () => imageOf({ type: "ext4", journalMegabytes: 1, ...SMALL_GROUPS }, 4000),
  run: (device, ack) => {
    tuneExt(device, { label: "new" }, ENVIRONMENT());
    ack("tuned");
  },
  check: (device, acked) => {
    try {
      const label = labelOf(device);
      if (acked.length > 0 && label !== "new") return `the label is ${label}`;
      return withoutFile(device);
    } catch (error) {
      // A torn first superblock, as memory may leave it: the copies are whole then.
      if (acked.length > 0 || !isDaxError(error, "EBADMSG", "EUCLEAN")) throw error;
      const copy = new Uint8Array(1024);
      device.readBytes(513 * 1024, copy);
      parseSuperblock(new DataView(copy.buffer), 0, device.sectors * 512);
      return undefined;
    }
  },
};

const MMP: MakeExtOptions = { type: "ext4", journalMegabytes: 1, features: "mmp" };

/** The number by which another machine sees whether somebody has the filesystem. */
function sequenceOf(device: BlockDevice): number {
  const { mmpBlock, blockSize } = readSuperblockToRecover(device);
  const bytes = new Uint8Array(8);
  device.readBytes(mmpBlock * blockSize, bytes);
  return new DataView(bytes.buffer).getUint32(4, true);
}

const CLEAN = 0xff4d_4d50;

const claims: Work = {
  name: "multi-mount protection: another machine sees the claim",
  initial: () => imageOf(MMP, 2300),
  run: (device, ack) => {
    let now = 1e9;
    const clock = { now: () => ({ sec: now, nsec: 0 }) };
    const mounted = ext.mount(device, { write: true }, { ...ENVIRONMENT(), clock });
    ack("claimed");
    now += 100;
    (mounted as ExtFilesystem).tick();
    ack(String(sequenceOf(device)));
  },
  check: (device, acked) => {
    if (acked.length === 0) return undefined;
    const sequence = sequenceOf(device);
    if (sequence === CLEAN) return "nobody has it";
    return acked.length === 2 && String(sequence) !== acked[1] ? "the count is old" : undefined;
  },
};

const releases: Work = {
  name: "multi-mount protection: a claim is given up",
  initial: () => imageOf(MMP, 2300),
  run: (device, ack) => {
    mountOn(device, true).unmount();
    ack("released");
  },
  check: (device, acked) => {
    return acked.length > 0 && sequenceOf(device) !== CLEAN ? "somebody has it" : undefined;
  },
};

const claimForced: Work = {
  name: "tune: a claim is taken away",
  initial: () => {
    // Without a journal, which would have to be replayed first.
    const image = imageOf({ type: "ext2", features: "mmp" }, 2300);
    mountOn(new RamDisk({ name: "ram0", bytes: image }), true).sync();
    return image;
  },
  run: (device, ack) => {
    tuneExt(device, { clearMultiMount: true, force: true }, ENVIRONMENT());
    ack("cleared");
  },
  check: (device, acked) => {
    return acked.length > 0 && sequenceOf(device) !== CLEAN ? "somebody has it" : undefined;
  },
};

/** Over what was a filesystem: until the new one is whole there is none. */
const makes = (type: "ext2" | "ext4"): Work => ({
  name: `mkfs: ${type}`,
  initial: () => imageOf({ type: "ext2" }, 2300),
  run: (device, ack) => {
    const journal = type === "ext2" ? {} : { journalMegabytes: 1 };
    makeExt(device, { type, inodes: 64, blockSize: 1024, label: "new", ...journal }, ENVIRONMENT());
    ack("made");
  },
  check: (device, acked) => {
    let label: string;
    try {
      label = labelOf(device);
    } catch (error) {
      if (acked.length === 0 && isDaxError(error)) return undefined;
      throw error;
    }
    if (acked.length > 0 && label !== "new") return `the label is ${label}`;
    // What was there before may be damaged until it is no filesystem any more.
    if (label !== "new") return undefined;
    const said = complaintsOf(device);
    return said.length > 0 ? said.join("; ") : undefined;
  },
});

/** Without a journal nobody looks at a filesystem that calls itself clean: then it has to be. */
const clean: Work = {
  name: "ext2: clean means clean",
  initial: () => imageOf({ type: "ext2" }, 300),
  run: (device, ack) => {
    const filesystem = mountOn(device, true);
    const tree = new FileTree(filesystem);
    tree.mkdir("/d");
    const file = tree.open("/d/new", { create: true, access: "write" });
    file.write(FILE);
    file.close();
    tree.close();
    ack("unmounted");
  },
  check: (device, acked) => {
    let state: number;
    try {
      ({ state } = readSuperblock(device));
    } catch (error) {
      if (acked.length === 0 && isDaxError(error)) return undefined;
      throw error;
    }
    if ((state & 1) === 0) return acked.length > 0 ? "it is not clean" : undefined;
    const said = complaintsOf(device);
    return said.length > 0 ? `clean, and ${said.join("; ")}` : undefined;
  },
};

/** An error that ended the journal is known until the filesystem has taken note. */
const remembers: Work = {
  name: "an error of an earlier mount is not forgotten",
  initial: () => {
    const image = imageOf({ type: "ext4", journalMegabytes: 1 }, 2300);
    const filesystem = mountOn(new RamDisk({ name: "ram0", bytes: image }), true);
    filesystem.writing?.journal.abort(new DaxError("EIO", { syscall: "write" }));
    return image;
  },
  run: (device, ack) => {
    mountOn(device, true);
    ack("mounted");
  },
  check: (device, acked) => {
    const superblock = readSuperblockToRecover(device);
    const volume = new Volume(superblock, new Buffers(device, superblock.blockSize), silent);
    const { errno } = openJournal(volume).superblock;
    const seen = mountOn(device).volume.superblock.state;
    if (errno === 0 && (seen & 2) === 0)
      return "neither the journal nor the superblock tells of it";
    return acked.length > 0 && errno !== 0 ? "the journal tells of it still" : undefined;
  },
};

const works: readonly Work[] = [
  grows("ext4", { type: "ext4", journalMegabytes: 1, ...SMALL_GROUPS }, true),
  grows("ext3", { type: "ext3", journalMegabytes: 1, ...SMALL_GROUPS }, true),
  grows("ext2", { type: "ext2", ...SMALL_GROUPS }, false),
  tunes,
  claims,
  releases,
  claimForced,
  makes("ext2"),
  makes("ext4"),
  remembers,
  clean,
];

export const stories: readonly Story[] = works.map((work) => storyOf(work));
