/** What a mount finds: logs to be replayed, fast commits, orphans, and what it leaves of them. */
import type { BlockDevice } from "../../../src/block/block-device.ts";
import { Buffers } from "../../../src/block/buffers.ts";
import { RamDisk } from "../../../src/block/ram-disk.ts";
import { Ext4Inode } from "../../../src/format/ext-inode.ts";
import {
  JBD2_FEATURE_INCOMPAT_CSUM_V3,
  JBD2_FEATURE_INCOMPAT_FAST_COMMIT,
} from "../../../src/format/jbd2.ts";
import { ext } from "../../../src/fs/ext/ext.ts";
import { sectorsUsed } from "../../../src/fs/ext/inode-record.ts";
import { commitToLog } from "../../../src/fs/ext/journal-commit.ts";
import { fixedMap } from "../../../src/fs/ext/journal-map.ts";
import { replayLog } from "../../../src/fs/ext/journal-replay.ts";
import { LogSpace } from "../../../src/fs/ext/journal-space.ts";
import { JournalSuperblockWriter } from "../../../src/fs/ext/journal-superblock.ts";
import { makeExt } from "../../../src/fs/ext/mkfs.ts";
import { writeRecoverFlag } from "../../../src/fs/ext/recover-flag.ts";
import { journalMapOf, openJournal, recoverOnDevice } from "../../../src/fs/ext/recovery.ts";
import { resizeExt } from "../../../src/fs/ext/resize-grow.ts";
import { readSuperblockToRecover } from "../../../src/fs/ext/superblock.ts";
import { Volume } from "../../../src/fs/ext/volume.ts";
import { silent } from "../../../src/lib/environment.ts";
import { PoisonedDevice } from "../../../src/node/prove/fault-injector.ts";
import { FileTree } from "../../../src/vfs/file-tree.ts";
import { noise, same } from "../bytes.ts";
import { CutDisk } from "../cut-disk.ts";
import { crashImage, crashManifest } from "../ext-crash-images.ts";
import { needOf } from "../ext-flushes.ts";
import { manifestOf, mountBytes } from "../ext-images.ts";
import { tighten } from "../little-room.ts";
import type { Story } from "./story.ts";
import { ENVIRONMENT, FILE, type Work, imageOf, mountOn, storyOf, unasked } from "./works.ts";

function recovering(image: Uint8Array<ArrayBuffer>): CutDisk {
  const disk = new CutDisk(image);
  const superblock = readSuperblockToRecover(disk.device);
  recoverOnDevice(superblock, disk.device, silent);
  return disk;
}

/** Of all that was committed to its log all but one block has long been in its place. */
function checkpointed(image: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const disk = new RamDisk({ name: "ram0", bytes: image });
  const superblock = readSuperblockToRecover(disk);
  const buffers = new Buffers(disk, superblock.blockSize);
  const volume = new Volume(superblock, buffers, silent);
  const [log, map] = [openJournal(volume), fixedMap(journalMapOf(volume))];
  const { blocks, statistics } = replayLog(log);
  for (const [block, bytes] of blocks) buffers.write(block, bytes);
  const [[block, bytes] = [0, new Uint8Array()]] = blocks;
  const copies = new Map([[block, { block, bytes }]]);
  const space = new LogSpace(log, log.area.first);
  const sequence = statistics.endTransaction - 1;
  new JournalSuperblockWriter(buffers, map, log).setTail(sequence, space.head);
  const transaction = { copies, revoked: new Set<number>() };
  commitToLog({ buffers, log, map, space }, transaction, sequence, { sec: 0, nsec: 0 });
  return image;
}

/** The same, in every state of memory that a cut leaves, recovered again. */
const replays: Work = {
  name: "recovery of fast commits: every state",
  initial: () => crashImage("fc-names"),
  run: (device) => {
    const superblock = readSuperblockToRecover(device);
    recoverOnDevice(superblock, device, silent);
  },
  recover: true,
  check: (device) => {
    const seen = JSON.stringify(manifestOf(mountOn(device)));
    const wanted = JSON.stringify(crashManifest("fc-names", "replayed"));
    return seen === wanted ? undefined : "recovered to something else";
  },
};

/** Recovery of fast commits, cut at random: half of it twice leads to the same as all of it. */
function fastCommits(name: string, patience: 0 | 1, prepare = crashImage): string | undefined {
  const expected = JSON.stringify(crashManifest(name, "replayed"));
  const first = recovering(prepare(name));
  for (const { image } of first.states(3, [12, 60][patience] ?? 12, true)) {
    const seen = JSON.stringify(manifestOf(mountBytes(image)));
    if (seen !== expected) return "whoever looks sees something else";
    recovering(image);
    if (JSON.stringify(manifestOf(mountBytes(image))) !== expected)
      return "recovered to something else";
  }
  return undefined;
}

/** The journal of what lies on a device. */
function journalOn(device: BlockDevice) {
  const superblock = readSuperblockToRecover(device);
  return openJournal(new Volume(superblock, new Buffers(device, superblock.blockSize), silent));
}

/** Who reads no fast commits, or replays nothing, may have it. */
const cleaned: Work = {
  name: "recovery: nothing is to be recovered any more",
  initial: () => crashImage("fc-names"),
  run: (device, ack) => {
    const superblock = readSuperblockToRecover(device);
    recoverOnDevice(superblock, device, silent);
    ack("recovered");
    device.flush();
    ack("flushed");
  },
  check: (device, acked) => {
    if (acked.length === 0) return undefined;
    if (acked.length === 2 && needOf(device) !== "none") return "it asks for recovery";
    const { featureIncompat } = journalOn(device).superblock;
    return featureIncompat & JBD2_FEATURE_INCOMPAT_FAST_COMMIT ? "it has fast commits" : undefined;
  },
};

/** A log that nobody asks to replay; it is emptied, or nothing could be committed. */
const discarded: Work = {
  name: "recovery: a log that nobody asks for makes room",
  initial: () => {
    const image = imageOf({ type: "ext4", journalMegabytes: 1 }, 2300);
    const disk = new RamDisk({ name: "ram0", bytes: image });
    mountOn(disk, true).sync();
    writeRecoverFlag(new Buffers(disk, 1024), false);
    return image;
  },
  run: (device, ack) => {
    const tree = new FileTree(mountOn(device, true));
    tree.mkdir("/after");
    tree.sync();
    ack("made");
  },
  check: (device, acked) => {
    if (acked.length === 0) return undefined;
    return mountOn(device).root.lookup("after") === undefined ? "it was lost" : undefined;
  },
};

/** A journal is written as the filesystem wants it: here with checksums. */
const featured: Work = {
  name: "the journal gets its features",
  initial: () => {
    const image = new Uint8Array(2300 << 10);
    const disk = new RamDisk({ name: "ram0", bytes: image });
    const make = { inodes: 32, blockSize: 1024, journalMegabytes: 1 } as const;
    makeExt(disk, { type: "ext4", features: "metadata_csum", ...make }, ENVIRONMENT());
    return image;
  },
  run: (device, ack) => {
    const tree = new FileTree(mountOn(device, true));
    tree.mkdir("/made");
    tree.sync();
    ack("committed");
  },
  check: (device, acked) => {
    const { featureIncompat } = journalOn(device).superblock;
    if (acked.length === 0 || featureIncompat & JBD2_FEATURE_INCOMPAT_CSUM_V3) return undefined;
    return "what was committed has no checksums";
  },
};

const EXT3 = { type: "ext3", journalMegabytes: 1 } as const;

/** e2fsck -p gives up on a journal with something in it that nobody asks to replay. */
const asked: readonly Work[] = [
  {
    name: "a log with something in it is asked for: a mount",
    initial: () => imageOf(EXT3, 2300),
    run: (device) => {
      const tree = new FileTree(mountOn(device, true));
      tree.mkdir("/made");
      tree.sync();
    },
    check: unasked,
  },
  {
    name: "a log with something in it is asked for: growing",
    initial: () => imageOf({ ...EXT3, blocksPerGroup: 512 }, 4000, 5000),
    run: (device) => void resizeExt(device, {}, ENVIRONMENT()),
    check: unasked,
  },
];

/** The inode of the file in pieces: the second file of all. */
const PIECES = 13;

/** A file in pieces, so that its blocks do not go at once. */
function scattered(): Uint8Array<ArrayBuffer> {
  const image = imageOf({ type: "ext4", journalMegabytes: 1 }, 2300);
  const tree = new FileTree(mountOn(new RamDisk({ name: "ram0", bytes: image }), true));
  const file = tree.open("/pieces", { create: true, access: "write" });
  for (let at = 0; at < 100; at++) file.pwrite(noise(at, 10), at * 2048);
  file.close();
  tree.close();
  return image;
}

/** A file without a name that is there still is known as one. */
const deleted: Work = {
  name: "deleted in steps: what is left is an orphan",
  initial: scattered,
  run: (device) => {
    // Each transaction is committed before the next is begun.
    const options = { write: true, commit: 1e-9 } as const;
    const filesystem = ext.mount(device, options, ENVIRONMENT());
    tighten(filesystem as ReturnType<typeof mountOn>);
    new FileTree(filesystem).unlink("/pieces");
  },
  check: (device) => {
    const { volume } = mountOn(device);
    const record = volume.record(PIECES);
    const isLeft = record.links === 0 && sectorsUsed(volume.superblock, record) > 0;
    if (!isLeft || volume.superblock.lastOrphan === PIECES) return undefined;
    return "blocks are left, and nobody knows";
  },
};

/** What cannot be read cannot be freed, and waits for a check. */
const damaged: Work = {
  name: "deleted and damaged: what is left is an orphan",
  initial: () => {
    const image = scattered();
    const { volume } = mountOn(new RamDisk({ name: "ram0", bytes: image }));
    const { view } = volume.record(PIECES);
    // The first entry of the root, behind its header, leads to a node.
    const node = view.getUint32(Ext4Inode.block.offset + 12 + 4, true);
    image.fill(0x55, node * 1024, node * 1024 + 64);
    return image;
  },
  run: (device, ack) => {
    const options = { write: true, errors: "continue" } as const;
    const tree = new FileTree(ext.mount(device, options, ENVIRONMENT()));
    tree.unlink("/pieces");
    tree.sync();
    ack("unlinked");
  },
  check: (device, acked) => {
    if (acked.length === 0) return undefined;
    const { lastOrphan } = mountOn(device).volume.superblock;
    return lastOrphan === PIECES ? undefined : "nobody knows of the rest";
  },
};

/** Bytes wait in memory, and the size does not: what lay behind the end is gone by then. */
const ahead: Work = {
  name: "delalloc: the size goes ahead of the bytes",
  initial: () => {
    const image = imageOf({ type: "ext4", features: "^has_journal,^metadata_csum" }, 300);
    const file = new FileTree(mountOn(new RamDisk({ name: "ram0", bytes: image }))).open("/f");
    const { addr = 0, offset = 0, length = 0 } = [...file.extents()].at(-1) ?? {};
    image.fill(0xee, addr + FILE.length - offset, addr + length);
    return image;
  },
  run: (device, ack) => {
    // Nobody aliases its blocks.
    const plain = new PoisonedDevice(device, [], () => {});
    const options = { write: true, delalloc: true } as const;
    const tree = new FileTree(ext.mount(plain, options, ENVIRONMENT()));
    tree.open("/f", { access: "write" }).pwrite(noise(1, 100), FILE.length + 100);
    tree.sync();
    ack("synced");
  },
  check: (device, acked) => {
    const file = new FileTree(mountOn(device)).open("/f");
    const found = new Uint8Array(300);
    const more = file.pread(found, FILE.length);
    if (acked.length > 0 && !same(found.subarray(100, 200), noise(1, 100))) return "it was lost";
    return found.subarray(0, Math.min(more, 100)).includes(0xee)
      ? "old bytes are shown"
      : undefined;
  },
};

const works: readonly Work[] = [
  ahead,
  replays,
  cleaned,
  discarded,
  featured,
  ...asked,
  deleted,
  damaged,
];

export const stories: readonly Story[] = [
  ...works.map((work) => storyOf(work)),
  ...["fc", "fc-names"].map((name): Story => ({
    name: `recovery of fast commits: ${name}`,
    run: (patience) => fastCommits(name, patience),
  })),
  ...["fc-names", "fc-data"].map((name): Story => ({
    name: `recovery of fast commits behind a checkpoint: ${name}`,
    run: (patience) => fastCommits(name, patience, (one) => checkpointed(crashImage(one))),
  })),
];
