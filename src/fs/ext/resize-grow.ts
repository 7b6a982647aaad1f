/**
 * Growing an ext2, ext3 or ext4 filesystem that nobody has mounted, in the manner of resize2fs.
 *
 * Whatever power does, the filesystem has its old size or its new one, or one between that is as
 * good. What the new groups need is durable first, where nobody looks; then all blocks that the
 * filesystem uses change in one transaction of its journal, the superblock among them; the copies
 * for emergencies follow. Without a journal, or with one that is too short, the filesystem says
 * while they change that it has errors: then e2fsck looks closer after a power cut, and finds
 * everything in its old place.
 *
 * @module
 */
import { type BlockDevice, SECTOR_SIZE } from "../../block/block-device.ts";
import { Buffers } from "../../block/buffers.ts";
import { holdAlone } from "../../block/device-users.ts";
import {
  EXT4_ERROR_FS,
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_INCOMPAT_MMP,
  EXT4_FEATURE_INCOMPAT_RECOVER,
  EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT,
  EXT4_FEATURE_RO_COMPAT_QUOTA,
  EXT4_SUPERBLOCK_OFFSET,
  EXT4_VALID_FS,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import type { Environment } from "../../lib/environment.ts";
import { DaxError } from "../../lib/errno.ts";
import { copyIn, copyOf } from "../../lib/memory.ts";
import { sizeof } from "../../lib/struct.ts";
import { checkExt } from "./check.ts";
import { randomWord } from "./editor.ts";
import { hasCompat, hasIncompat, hasRoCompat } from "./features.ts";
import { groupStart } from "./geometry.ts";
import type { Handle, MetadataJournal } from "./handle.ts";
import { InPlaceJournal } from "./in-place-journal.ts";
import { Journal, journalFeaturesFor } from "./journal.ts";
import { fixedMap } from "./journal-map.ts";
import { MultiMountGuard } from "./multi-mount.ts";
import { superblockChecksumOf, writeRecoverFlag } from "./recover-flag.ts";
import { journalMapOf } from "./recovery.ts";
import { type Growth, GrowthPlan } from "./resize-plan.ts";
import {
  descriptorRoom,
  fittingBlocks,
  groupsIn,
  mostPlainGroups,
  refuseResize,
} from "./resize-size.ts";
import { type Superblock, readSuperblock } from "./superblock.ts";
import { Volume } from "./volume.ts";
import { checkWritable } from "./write-features.ts";

/** How a filesystem is resized. */
export interface ResizeExtOptions {
  /** Blocks that it is to have; as many as the device has unless given. */
  readonly blocks?: number;
  /**
   * Neither asks for a check of a filesystem that has errors or was mounted since it was last
   * checked, nor makes one.
   */
  readonly force?: boolean;
}

/** What a resize came to. */
export interface ResizeSummary {
  /** Bytes. */
  readonly blockSize: number;
  readonly blocksBefore: number;
  readonly blocks: number;
  readonly groups: number;
}

/** Blocks of a page: without a size whole pages are used, as resize2fs does it. */
const PAGE_SIZE = 4096;

/**
 * The size that a filesystem would get; nothing is written.
 * @throws EINVAL for a size that it cannot have or that is smaller; ENOTSUP, EUCLEAN, EBADMSG, EIO
 */
export function planResizeExt(
  device: BlockDevice,
  options: ResizeExtOptions,
  deviceBytes = device.sectors * SECTOR_SIZE,
): ResizeSummary {
  const superblock = readSuperblock(device);
  const { blockSize, blocks: blocksBefore } = superblock;
  const available = Math.floor(deviceBytes / blockSize);
  const wanted = options.blocks ?? available - (available % Math.max(1, PAGE_SIZE / blockSize));
  if (!Number.isSafeInteger(wanted) || wanted <= 0) refuseResize(`a size of ${wanted} blocks`);
  if (wanted > available) {
    const detail = `the device has ${available} blocks of ${blockSize} bytes, not ${wanted}`;
    throw new DaxError("ENOSPC", { syscall: "resize", detail });
  }
  const blocks = wanted === blocksBefore ? wanted : fittingBlocks(superblock, wanted);
  // A last group that is too short to be kept makes no difference to what is there.
  if (wanted < blocksBefore) {
    const what = `${wanted} blocks are fewer than the filesystem's ${blocksBefore}`;
    refuseResize(`${what}: filesystems are not shrunk here; resize2fs does`);
  }
  const kept = Math.max(blocks, blocksBefore);
  return { blockSize, blocksBefore, blocks: kept, groups: groupsIn(superblock, kept) };
}

/**
 * Lets a filesystem that is not mounted grow; one that has the size already is left as it is.
 * @throws EINVAL for a size that it cannot have or that is smaller, ENOSPC for more than the device
 *   has, EUCLEAN for one that is to be checked first, ENOTSUP for features that would not be kept
 *   right, EBUSY while it is in use here or another machine has it, EROFS, all with nothing
 *   written; EBADMSG, EIO
 */
export function resizeExt(
  device: BlockDevice,
  options: ResizeExtOptions,
  environment: Environment,
): ResizeSummary {
  if (device.readOnly) {
    throw new DaxError("EROFS", { syscall: "resize", detail: `${device.name} is read-only` });
  }
  return holdAlone(device, "resize", () => resizeAlone(device, options, environment));
}

function resizeAlone(
  device: BlockDevice,
  options: ResizeExtOptions,
  environment: Environment,
): ResizeSummary {
  const superblock = readSuperblock(device);
  const summary = planResizeExt(device, options);
  // What a resize does not touch may be counted: quotas.
  const counted = superblock.featureRoCompat & ~EXT4_FEATURE_RO_COMPAT_QUOTA;
  checkWritable({ ...superblock, featureRoCompat: counted });
  assertSound(device, superblock, options, environment);
  if (summary.blocks === superblock.blocks) return summary;
  const guard = claim(device, superblock, environment);
  new Grower(device, superblock, summary.blocks, environment).run();
  guard?.release();
  return summary;
}

/** @throws EUCLEAN for a filesystem that has to be checked, or recovered, before */
function assertSound(
  device: BlockDevice,
  superblock: Superblock,
  { force = false }: ResizeExtOptions,
  environment: Environment,
): void {
  const { state, lastOrphan } = superblock;
  const orphans = hasRoCompat(superblock, EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT);
  if (hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_RECOVER) || lastOrphan !== 0 || orphans) {
    unsound("it was not unmounted: mount it once for writing, or run e2fsck -f");
  }
  if (force) return;
  if ((state & EXT4_VALID_FS) === 0 || (state & EXT4_ERROR_FS) !== 0) {
    unsound("it has errors or was not unmounted: run e2fsck -f");
  }
  if (isCheckedSinceMount(device)) return;
  for (const { severity, where, text } of checkExt(device, environment)) {
    if (severity === "error") unsound(`${where}: ${text}; run e2fsck -f`);
  }
}

function isCheckedSinceMount(device: BlockDevice): boolean {
  const bytes = new Uint8Array(sizeof(SB));
  device.readBytes(EXT4_SUPERBLOCK_OFFSET, bytes);
  const raw = new DataView(bytes.buffer);
  const checked = SB.lastcheck.get(raw, 0) + SB.lastcheckHi.get(raw, 0) * 2 ** 32;
  return checked >= SB.mtime.get(raw, 0) + SB.mtimeHi.get(raw, 0) * 2 ** 32;
}

function unsound(detail: string): never {
  throw new DaxError("EUCLEAN", { syscall: "resize", detail });
}

function claim(
  device: BlockDevice,
  superblock: Superblock,
  { clock, random, trace }: Environment,
): MultiMountGuard | undefined {
  if (!hasIncompat(superblock, EXT4_FEATURE_INCOMPAT_MMP)) return undefined;
  const word = new Uint8Array(4);
  const buffers = new Buffers(device, superblock.blockSize);
  return new MultiMountGuard(new Volume(superblock, buffers, trace), {
    nodename: "daxkit",
    now: () => clock.now(),
    random: () => randomWord(random, word),
  });
}

class Grower {
  readonly #device: BlockDevice;
  readonly #blocks: number;
  readonly #environment: Environment;
  /** Share of the blocks that is reserved, in percent, as resize2fs reckons. */
  readonly #reservedPercent: number;
  #superblock: Superblock;

  constructor(
    device: BlockDevice,
    superblock: Superblock,
    blocks: number,
    environment: Environment,
  ) {
    this.#device = device;
    this.#superblock = superblock;
    this.#blocks = blocks;
    this.#environment = environment;
    this.#reservedPercent = (superblock.reservedBlocks * 100) / superblock.blocks;
  }

  run(): void {
    while (this.#superblock.blocks < this.#blocks) {
      this.#superblock = this.#step();
      this.#tell(this.#superblock.blocks);
    }
  }

  /** How far it is, by the block that was written. */
  #tell(block: number): void {
    this.#environment.trace.event("ext.resize", { done: block, total: this.#blocks });
  }

  /** As far as one transaction goes; answers the superblock from then on. */
  #step(): Superblock {
    const { trace } = this.#environment;
    const buffers = new Buffers(this.#device, this.#superblock.blockSize);
    const volume = new Volume(this.#superblock, buffers, trace);
    const journal = this.#openJournal(volume);
    const plan = this.#planFor(volume, journal?.mostCredits ?? Infinity);
    if (plan.announces) return this.#announce(buffers, plan, journal);
    for (const { start, length } of plan.zeroes()) this.#zero(start, length);
    for (const { block, bytes } of plan.fresh()) {
      buffers.write(block, bytes);
      this.#tell(block);
    }
    // Nothing leads there yet: what does is committed, or follows a note of errors, which flushes.
    if (journal !== undefined && plan.changes.size <= journal.mostCredits) {
      changeAll(journal, plan.changes);
    } else this.#changeInPlace(buffers, plan);
    journal?.close();
    for (const { block, bytes } of plan.backups()) buffers.write(block, bytes);
    this.#device.flush();
    return readSuperblock(this.#device);
  }

  /** Says first where plain descriptors will end, which means nothing without meta_bg. */
  #announce(buffers: Buffers, plan: GrowthPlan, journal: Journal | undefined): Superblock {
    const maker = journal ?? new InPlaceJournal(buffers, { environment: this.#environment });
    changeAll(maker, plan.announcement());
    maker.close();
    return readSuperblock(this.#device);
  }

  /** The largest step that a transaction has room for; where none does, all of it. */
  #planFor(volume: Volume, credits: number): GrowthPlan {
    const { groups } = volume.superblock;
    const all = this.#plan(volume, this.#blocks);
    let plan = all;
    while (plan.changes.size > credits) {
      const more = Math.floor((plan.after.groups - groups) / 2);
      if (more === 0) return all;
      plan = this.#plan(volume, groupStart(plan.after, groups + more));
    }
    return plan;
  }

  #plan(volume: Volume, wanted: number): GrowthPlan {
    const { superblock } = volume;
    let blocks = wanted;
    let room = descriptorRoom(superblock, groupsIn(superblock, blocks));
    if (room === undefined) {
      blocks = groupStart(superblock, mostPlainGroups(superblock));
      room = descriptorRoom(superblock, mostPlainGroups(superblock));
    }
    if (blocks > 2 ** 32 && room !== undefined && room.reservedGdtBlocks > 0) {
      const what = "blocks reserved for descriptors have no copies behind block 2^32";
      refuseResize(`${what}; take them away before: tune2fs -O ^resize_inode`);
    }
    // A superblock that is torn must not be one of a filesystem with other places for descriptors.
    if (room?.becomesMetaBg === true) blocks = superblock.blocks;
    const reservedBlocks = Math.floor((this.#reservedPercent * blocks) / 100);
    const now = this.#environment.clock.now();
    return new GrowthPlan(volume, { blocks, room, reservedBlocks, now } as Growth);
  }

  #openJournal(volume: Volume): Journal | undefined {
    const { superblock, buffers } = volume;
    const own = superblock.journalInum !== 0;
    if (!own || !hasCompat(superblock, EXT4_FEATURE_COMPAT_HAS_JOURNAL)) return undefined;
    // Linux sets these whenever it mounts; the numbers of blocks want them only from 2^32 on.
    const wide = this.#blocks > 2 ** 32;
    const features = wide ? { features: journalFeaturesFor(superblock) } : {};
    return new Journal(buffers, fixedMap(journalMapOf(volume)), {
      environment: this.#environment,
      wholeLog: true,
      ...features,
      hooks: {
        beforeFirstCommit: () => {
          writeRecoverFlag(buffers, true);
          buffers.device.flush();
        },
        afterClean: () => writeRecoverFlag(buffers, false),
      },
    });
  }

  #zero(start: number, length: number): void {
    const per = this.#superblock.blockSize / SECTOR_SIZE;
    this.#device.writeZeroes(start * per, length * per);
  }

  /** The superblock last; until it is written the filesystem says that it has errors. */
  #changeInPlace(buffers: Buffers, plan: GrowthPlan): void {
    const journal = new InPlaceJournal(buffers, { environment: this.#environment });
    const others = new Map(plan.changes);
    others.delete(plan.superBlock);
    if (others.size > 0) {
      const handle = journal.start(1);
      markErrors(handle, plan);
      handle.stop();
      journal.commit();
      changeAll(journal, others);
    }
    const bytes = plan.changes.get(plan.superBlock) as Uint8Array;
    changeAll(journal, new Map([[plan.superBlock, bytes]]));
    journal.close();
  }
}

/** Changes these blocks in one transaction. */
function changeAll(journal: MetadataJournal, changes: ReadonlyMap<number, Uint8Array>): void {
  const handle = journal.start(changes.size, 0);
  for (const [block, bytes] of changes) copyIn(handle.get(block).memory, 0, bytes);
  handle.stop();
  journal.commit();
}

function markErrors(handle: Handle, { superBlock, after }: GrowthPlan): void {
  const { memory } = handle.get(superBlock, "superblock");
  const at = EXT4_SUPERBLOCK_OFFSET % after.blockSize;
  SB.state.set(memory, at, SB.state.get(memory, at) | EXT4_ERROR_FS);
  if (!after.metadataCsum) return;
  SB.checksum.set(memory, at, superblockChecksumOf(copyOf(memory, at, sizeof(SB))));
}
