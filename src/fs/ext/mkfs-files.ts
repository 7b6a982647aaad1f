/**
 * The files that a new filesystem is born with: root, lost+found, and its own hidden ones. All are
 * planned before anything is written, in the order in which mke2fs takes their blocks.
 *
 * @module
 */
import {
  EXT4_BAD_INO,
  EXT4_GRP_QUOTA_INO,
  EXT4_IMMUTABLE_FL,
  EXT4_INDEX_FL,
  EXT4_JOURNAL_INO,
  EXT4_NDIR_BLOCKS,
  EXT4_RESIZE_INO,
  EXT4_ROOT_INO,
  EXT4_USR_QUOTA_INO,
} from "../../format/ext-inode.ts";
import { EXT4_MMP_MAGIC, EXT4_MMP_SEQ_CLEAN, MmpStruct as MP } from "../../format/ext-group.ts";
import {
  EXT4_FEATURE_COMPAT_HAS_JOURNAL,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_COMPAT_RESIZE_INODE,
  EXT4_FEATURE_INCOMPAT_EXTENTS,
  EXT4_FEATURE_INCOMPAT_INLINE_DATA,
  EXT4_FEATURE_INCOMPAT_MMP,
  EXT4_FEATURE_RO_COMPAT_QUOTA,
} from "../../format/ext-superblock.ts";
import { crc32c } from "../../lib/crc32c.ts";
import type { Range } from "../../lib/range-set.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import { S_IFDIR, S_IFREG } from "../../vfs/modes.ts";
import { hasCompat, hasIncompat, hasRoCompat } from "./features.ts";
import { groupStart, inodeTableBlocks, superBlockNumber, superGroups } from "./geometry.ts";
import { EXT4_FT_DIR } from "../../format/ext-directory.ts";
import {
  type FillHost,
  directoryLinks,
  entriesOf,
  fillTree,
  placeAttributes,
} from "./mkfs-fill.ts";
import { directoryBlock } from "./mkfs-directory.ts";
import type { NewInode } from "./mkfs-inode.ts";
import {
  type FileMap,
  type MappedRun,
  type PlannedBlock,
  allocatePieces,
  doubleIndirectOnly,
  mapBytes,
  wordsBlock,
} from "./mkfs-maps.ts";
import { planDirectory } from "./mkfs-htree.ts";
import { type JournalSize, journalGoal, journalSize, journalSuperblock } from "./mkfs-journal.ts";
import { type MakeExtOptions, type QuotaType, inBlocks, noRoom, refuse } from "./mkfs-options.ts";
import { type NewNode, type Numbered, numberTree } from "./mkfs-tree.ts";
import { orphanBlock, orphanBlocks } from "./mkfs-orphans.ts";
import { type Usage, quotaFile } from "./mkfs-quota.ts";
import type { Space } from "./mkfs-space.ts";
import type { Superblock } from "./superblock.ts";

/** Blocks of a file: `bytes` bytes from `offset` on, which `node` reads, and zeros behind them. */
export interface DataRun {
  readonly start: number;
  readonly length: number;
  readonly node: NewNode;
  readonly offset: number;
  readonly bytes: number;
}

/** Everything that goes into the new filesystem besides tables and superblocks. */
export interface Contents {
  readonly inodes: NewInode[];
  readonly blocks: PlannedBlock[];
  /** Data of files, in the order in which they lie. */
  readonly data: DataRun[];
  /** Runs that must read as zeros, unless they are among `blocks`. */
  readonly zeroes: MappedRun[];
  /** Numbers of the inodes in use that are not among the reserved ones. */
  readonly used: number[];
  /** Inodes in use that are directories. */
  readonly directories: number[];
  /** Undefined without a journal. */
  journal: { readonly size: JournalSize; readonly backup: Uint8Array } | undefined;
  readonly quotaInums: Record<QuotaType, number>;
  orphanFileInum: number;
  mmpBlock: number;
  mmpUpdateInterval: number;
}

/** What the contents are planned from. */
export interface ContentWishes {
  readonly superblock: Superblock;
  readonly space: Space;
  readonly options: MakeExtOptions;
  readonly quotaTypes: readonly QuotaType[];
  /** Seconds since 1970. */
  readonly time: number;
}

const LOST_AND_FOUND = "lost+found";
const FILE_MODE = S_IFREG | 0o600;
/** lost+found has room for many names, so that e2fsck need not allocate when it needs it. */
const LOST_BYTES = 16384;
/** Seconds, where nobody says otherwise, and at most. */
const MMP_INTERVAL = 5;
const MMP_MOST = 300;

/** Plans all of them; takes their blocks from the space. @throws ENOSPC, EINVAL */
export function planContents(wishes: ContentWishes): Contents {
  return new Planner(wishes).plan();
}

class Planner {
  readonly #wishes: ContentWishes;
  readonly #sb: Superblock;
  readonly #extents: boolean;
  readonly #contents: Contents = {
    inodes: [],
    blocks: [],
    data: [],
    zeroes: [],
    used: [],
    directories: [],
    journal: undefined,
    quotaInums: { usr: 0, grp: 0, prj: 0 },
    orphanFileInum: 0,
    mmpBlock: 0,
    mmpUpdateInterval: 0,
  };
  #nextInode: number;

  constructor(wishes: ContentWishes) {
    this.#wishes = wishes;
    this.#sb = wishes.superblock;
    this.#extents = hasIncompat(this.#sb, EXT4_FEATURE_INCOMPAT_EXTENTS);
    this.#nextInode = this.#sb.firstIno;
  }

  plan(): Contents {
    const lost = this.#takeInode();
    const { tree } = this.#wishes.options;
    const numbered =
      tree === undefined ? undefined : numberTree(tree, EXT4_ROOT_INO, () => this.#takeInode());
    const [rootMap, lostMap] = this.#directories(lost, numbered);
    this.#reservedInodes();
    if (hasCompat(this.#sb, EXT4_FEATURE_COMPAT_RESIZE_INODE)) this.#resizeInode();
    if (hasCompat(this.#sb, EXT4_FEATURE_COMPAT_HAS_JOURNAL)) this.#journal();
    if (hasIncompat(this.#sb, EXT4_FEATURE_INCOMPAT_MMP)) this.#mmp();
    if (hasRoCompat(this.#sb, EXT4_FEATURE_RO_COMPAT_QUOTA)) {
      if (numbered !== undefined) refuse("quota files are not made with a tree; leave quota away");
      this.#quota(rootMap.sectors * 512, lostMap.sectors * 512);
    }
    const orphans = hasCompat(this.#sb, EXT4_FEATURE_COMPAT_ORPHAN_FILE);
    if (orphans && this.#contents.journal !== undefined) this.#orphanFile();
    if (numbered !== undefined) fillTree(this.#fillHost(), numbered);
    return this.#contents;
  }

  #takeInode(): number {
    const ino = this.#nextInode++;
    if (ino > this.#sb.inodes) noRoom(`${this.#sb.inodes} inodes are too few; ask for more`);
    this.#contents.used.push(ino);
    return ino;
  }

  #fillHost(): FillHost {
    const { superblock, space } = this.#wishes;
    return {
      superblock,
      space,
      contents: this.#contents,
      allocate: (ino, goal, pieces) => this.#allocatePieces(ino, goal, pieces),
      time: this.#wishes.time,
      add: (inode) => void this.#contents.inodes.push(inode),
    };
  }

  #allocate(ino: number, goal: number, count: number): FileMap {
    return this.#allocatePieces(ino, goal, count === 0 ? [] : [{ start: 0, length: count }]);
  }

  #allocatePieces(ino: number, goal: number, pieces: readonly Range[]): FileMap {
    const { superblock, space } = this.#wishes;
    const nodeGoal = groupStart(superblock, 0);
    const wishes = { superblock, space, ino, extents: this.#extents, nodeGoal };
    const map = allocatePieces(wishes, goal, pieces);
    this.#contents.blocks.push(...map.nodes);
    return map;
  }

  #add(inode: Omit<NewInode, "time">): void {
    this.#contents.inodes.push({ ...inode, time: this.#wishes.time });
  }

  #directories(
    lost: number,
    numbered: ReadonlyMap<NewNode, Numbered> | undefined,
  ): [root: FileMap, lost: FileMap] {
    const sb = this.#sb;
    const start = groupStart(sb, 0);
    const rootMap = numbered === undefined ? this.#bareRoot(lost) : this.#root(lost, numbered);
    const lostMap = this.#allocate(lost, start, this.#lostBlocks());
    const size = this.#lostBlocks() * sb.blockSize;
    this.#add({ ino: lost, mode: S_IFDIR | 0o700, links: 2, size, ...lostMap });
    this.#contents.directories.push(EXT4_ROOT_INO, lost);
    // With inline_data it is one that outgrew its inode: an empty entry follows.
    const grown = hasIncompat(sb, EXT4_FEATURE_INCOMPAT_INLINE_DATA);
    this.#directoryBlocks(lost, lostMap, [
      { ino: lost, name: "." },
      { ino: EXT4_ROOT_INO, name: ".." },
      ...(grown ? [{ ino: 0, name: "" }] : []),
    ]);
    return [rootMap, lostMap];
  }

  #bareRoot(lost: number): FileMap {
    const { blockSize } = this.#sb;
    const { uid, gid } = this.#wishes.options.rootOwner ?? { uid: 0, gid: 0 };
    const map = this.#allocate(EXT4_ROOT_INO, groupStart(this.#sb, 0), 1);
    const mode = S_IFDIR | 0o755;
    this.#add({ ino: EXT4_ROOT_INO, mode, links: 3, uid, gid, size: blockSize, ...map });
    this.#directoryBlocks(EXT4_ROOT_INO, map, [
      { ino: EXT4_ROOT_INO, name: "." },
      { ino: EXT4_ROOT_INO, name: ".." },
      { ino: lost, name: LOST_AND_FOUND },
    ]);
    return map;
  }

  /** The root of a tree, with lost+found in it. */
  #root(lost: number, numbered: ReadonlyMap<NewNode, Numbered>): FileMap {
    const [root] = numbered.values();
    const { node, links } = root as Numbered;
    const found = { name: encodeUtf8(LOST_AND_FOUND), ino: lost, type: EXT4_FT_DIR };
    const entries = [found, ...entriesOf(root as Numbered, numbered)];
    const plan = planDirectory(this.#sb, EXT4_ROOT_INO, EXT4_ROOT_INO, entries);
    const count = plan.blocks.length;
    const map = this.#allocate(EXT4_ROOT_INO, groupStart(this.#sb, 0), count);
    for (const run of map.runs) {
      for (let i = 0; i < run.length; i++) {
        const bytes = plan.blocks[run.logical + i] as () => Uint8Array;
        this.#contents.blocks.push({ block: run.start + i, bytes });
      }
    }
    const { blocks, ...attributes } = placeAttributes(this.#fillHost(), node);
    const { uid, gid } = this.#wishes.options.rootOwner ?? node;
    this.#add({
      ino: EXT4_ROOT_INO,
      mode: node.mode,
      links: directoryLinks(this.#sb, links + 1),
      uid,
      gid,
      size: count * this.#sb.blockSize,
      ...map,
      flags: map.flags | (plan.indexed ? EXT4_INDEX_FL : 0),
      sectors: map.sectors + (blocks * this.#sb.clusterSize) / 512,
      times: node,
      ...attributes,
    });
    return map;
  }

  /** With inline_data the first block comes only when the directory outgrows its inode. */
  #lostBlocks(): number {
    const { blockSize } = this.#sb;
    let added = 0;
    for (let i = 1; i < EXT4_NDIR_BLOCKS; i++) {
      if (i * blockSize >= LOST_BYTES && i >= 2) break;
      added++;
    }
    return hasIncompat(this.#sb, EXT4_FEATURE_INCOMPAT_INLINE_DATA) ? added : added + 1;
  }

  #directoryBlocks(
    ino: number,
    map: FileMap,
    entries: readonly { readonly ino: number; readonly name: string }[],
  ): void {
    const sb = this.#sb;
    for (const run of map.runs) {
      for (let i = 0; i < run.length; i++) {
        const content = run.logical + i === 0 ? entries : [];
        const bytes = (): Uint8Array => directoryBlock(sb, ino, content);
        this.#contents.blocks.push({ block: run.start + i, bytes });
      }
    }
  }

  /** Unused ones are written too, for their checksums; that of bad blocks has its times. */
  #reservedInodes(): void {
    const bare = { mode: 0, links: 0, size: 0, sectors: 0, flags: 0, bare: true } as const;
    for (let ino = 1; ino < this.#sb.firstIno; ino++) {
      const time = ino === EXT4_BAD_INO ? this.#wishes.time : 0;
      if (ino !== EXT4_ROOT_INO) this.#contents.inodes.push({ ...bare, ino, time });
    }
  }

  /** Maps the reserved descriptor blocks, and in each of them those of the copies. */
  #resizeInode(): void {
    const sb = this.#sb;
    const { descriptorBlocks, reservedGdtBlocks, blockSize, clusterSize } = sb;
    const perBlock = blockSize / 4;
    const first = superBlockNumber(sb) + 1 + descriptorBlocks;
    const goal = first + reservedGdtBlocks + 1 + inodeTableBlocks(sb);
    const top = this.#wishes.space.takeOne(goal);
    const copies = [...superGroups(sb)].filter((group) => group > 0).toSorted((a, b) => a - b);
    const words = Array.from({ length: perBlock }, () => 0);
    for (let i = 0; i < reservedGdtBlocks; i++) {
      const block = first + i;
      words[(descriptorBlocks + i) % perBlock] = block;
      const backups = copies.map((group) => block + group * sb.blocksPerGroup);
      this.#contents.blocks.push({ block, bytes: () => wordsBlock(blockSize, backups) });
    }
    this.#contents.blocks.push({ block: top, bytes: () => wordsBlock(blockSize, words) });
    const blocks = 1 + reservedGdtBlocks * (1 + copies.length);
    this.#add({
      ino: EXT4_RESIZE_INO,
      mode: FILE_MODE,
      links: 1,
      size: (perBlock * perBlock + perBlock + EXT4_NDIR_BLOCKS) * blockSize,
      sectors: (blocks * clusterSize) / 512,
      flags: 0,
      block: doubleIndirectOnly(top),
    });
  }

  #journal(): void {
    const { superblock: sb, space, options } = this.#wishes;
    const free = sb.blocks - sb.firstDataBlock - space.used.total;
    const size = journalSize(sb, options, free);
    if (size === undefined) return;
    const { journalLocation, packedMetaBlocks = false } = options;
    // Block by block, without extents, the journal goes where any file of its inode would.
    const wished = this.#extents ? journalGoal(sb, space) : groupStart(sb, 0);
    const given = journalLocation ?? (packedMetaBlocks ? { blocks: 0 } : undefined);
    const goal = given === undefined ? wished : inBlocks(given, sb.blockSize);
    const count = size.logBlocks + size.fastCommitBlocks;
    const map = this.#allocate(EXT4_JOURNAL_INO, goal, count);
    const bytes = count * sb.blockSize;
    this.#add({ ino: EXT4_JOURNAL_INO, mode: FILE_MODE, links: 1, size: bytes, ...map });
    this.#contents.zeroes.push(...map.runs);
    const block = (map.runs[0] as MappedRun).start;
    this.#contents.blocks.push({ block, bytes: () => journalSuperblock(sb, size) });
    this.#contents.journal = { size, backup: journalBackup(mapBytes(map.block), bytes) };
  }

  #mmp(): void {
    const { superblock: sb, space, options, time } = this.#wishes;
    const interval = options.mmpUpdateInterval || MMP_INTERVAL;
    if (!Number.isSafeInteger(interval) || interval < 0 || interval > MMP_MOST) {
      refuse(`mmp_update_interval ${interval}; give up to ${MMP_MOST} seconds`);
    }
    const block = space.takeOne(0);
    this.#contents.mmpBlock = block;
    this.#contents.mmpUpdateInterval = interval;
    this.#contents.blocks.push({ block, bytes: () => mmpBlock(sb, interval, time) });
  }

  /** Root and lost+found are all that counts. */
  #quota(rootSpace: number, lostSpace: number): void {
    const { rootOwner = { uid: 0, gid: 0 } } = this.#wishes.options;
    const owners = { usr: rootOwner.uid, grp: rootOwner.gid, prj: 0 };
    for (const type of this.#wishes.quotaTypes) {
      const usages = mergeUsages([
        { id: 0, inodes: 1, space: lostSpace },
        { id: owners[type], inodes: 1, space: rootSpace },
      ]);
      const reserved = { usr: EXT4_USR_QUOTA_INO, grp: EXT4_GRP_QUOTA_INO, prj: 0 }[type];
      const ino = reserved === 0 ? this.#takeInode() : reserved;
      this.#contents.quotaInums[type] = ino;
      this.#quotaFile(ino, quotaFile(type, usages));
    }
  }

  #quotaFile(ino: number, bytes: Uint8Array): void {
    const { blockSize } = this.#sb;
    const map = this.#allocate(ino, groupStart(this.#sb, 0), Math.ceil(bytes.length / blockSize));
    const flags = map.flags | EXT4_IMMUTABLE_FL;
    this.#add({ ino, mode: FILE_MODE, links: 1, size: bytes.length, ...map, flags });
    for (const run of map.runs) {
      for (let i = 0; i < run.length; i++) {
        const at = (run.logical + i) * blockSize;
        const content = new Uint8Array(blockSize);
        content.set(bytes.subarray(at, at + blockSize));
        this.#contents.blocks.push({ block: run.start + i, bytes: () => content });
      }
    }
  }

  #orphanFile(): void {
    const { superblock: sb, options } = this.#wishes;
    const ino = this.#takeInode();
    const count = orphanBlocks(sb, options);
    const map = this.#allocate(ino, 0, count);
    this.#add({ ino, mode: FILE_MODE, links: 1, size: count * sb.blockSize, ...map });
    for (const run of map.runs) {
      for (let i = 0; i < run.length; i++) {
        const block = run.start + i;
        this.#contents.blocks.push({ block, bytes: () => orphanBlock(sb, ino, block) });
      }
    }
    this.#contents.orphanFileInum = ino;
  }
}

/** The map as the superblock keeps it: 60 bytes, then the size, upper word first. */
function journalBackup(map: Uint8Array, size: number): Uint8Array {
  const bytes = new Uint8Array(map.length + 8);
  bytes.set(map);
  const view = new DataView(bytes.buffer);
  view.setUint32(map.length, Math.floor(size / 2 ** 32), true);
  view.setUint32(map.length + 4, size >>> 0, true);
  return bytes;
}

function mmpBlock(superblock: Superblock, interval: number, time: number): Uint8Array {
  const bytes = new Uint8Array(superblock.blockSize);
  const view = new DataView(bytes.buffer);
  MP.magic.set(view, 0, EXT4_MMP_MAGIC);
  MP.seq.set(view, 0, EXT4_MMP_SEQ_CLEAN);
  MP.time.set(view, 0, Math.max(0, time));
  MP.checkInterval.set(view, 0, Math.max(interval, MMP_INTERVAL));
  if (superblock.metadataCsum) {
    const sum = crc32c(superblock.checksumSeed, bytes.subarray(0, MP.checksum.offset));
    MP.checksum.set(view, 0, sum);
  }
  return bytes;
}

function mergeUsages(usages: readonly Usage[]): Usage[] {
  const byId = new Map<number, Usage>();
  for (const { id, inodes, space } of usages) {
    const known = byId.get(id) ?? { id, inodes: 0, space: 0 };
    byId.set(id, { id, inodes: known.inodes + inodes, space: known.space + space });
  }
  return [...byId.values()].toSorted((a, b) => a.id - b.id);
}
