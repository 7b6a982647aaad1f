/**
 * The superblock of a new filesystem: its bytes, and the plain object that the rest of the driver
 * would read from them.
 *
 * @module
 */
import {
  EXT2_FLAGS_SIGNED_HASH,
  EXT2_FLAGS_TEST_FILESYS,
  EXT4_CRC32C_CHKSUM,
  EXT4_FEATURE_INCOMPAT_CASEFOLD,
  EXT4_FEATURE_INCOMPAT_CSUM_SEED,
  EXT4_FEATURE_INCOMPAT_ENCRYPT,
  EXT4_FEATURE_INCOMPAT_FLEX_BG,
  EXT4_FEATURE_RO_COMPAT_DIR_NLINK,
  EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE,
  EXT4_FEATURE_RO_COMPAT_GDT_CSUM,
  EXT4_FEATURE_RO_COMPAT_HUGE_FILE,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  EXT4_GOOD_OLD_FIRST_INO,
  EXT4_SUPER_MAGIC,
  EXT4_VALID_FS,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import { DX_HASH_HALF_MD4 } from "../../format/ext-directory.ts";
import { Ext4InodeExtra } from "../../format/ext-inode.ts";
import { crc32c } from "../../lib/crc32c.ts";
import type { Environment } from "../../lib/environment.ts";
import { type Field, sizeof } from "../../lib/struct.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import { UUID_SIZE, parseUuid, randomUuid } from "../../lib/uuid.ts";
import { hasIncompat, hasRoCompat } from "./features.ts";
import type { Fitted } from "./mkfs-fit.ts";
import { CREATORS, type MakeExtOptions, log2, refuse } from "./mkfs-options.ts";
import type { Settled } from "./mkfs-settle.ts";
import { type Superblock, parseSuperblock } from "./superblock.ts";

/** Numbers that are known only when all of the filesystem's own files are placed. */
export interface Totals {
  readonly freeBlocks: number;
  readonly freeInodes: number;
  readonly overheadClusters: number;
  /** 0: no journal in an inode. */
  readonly journalInum: number;
  /** Copy of the journal inode's map, with its size; undefined without a journal. */
  readonly journalBackup: Uint8Array | undefined;
  readonly usrQuotaInum: number;
  readonly grpQuotaInum: number;
  readonly prjQuotaInum: number;
  readonly orphanFileInum: number;
  /** 0: no multi-mount protection. */
  readonly mmpBlock: number;
  readonly mmpUpdateInterval: number;
}

/** What makes this filesystem itself. */
export interface Identity {
  readonly uuid: Uint8Array;
  readonly hashSeed: Uint8Array;
  /** Seconds since 1970. */
  readonly time: number;
}

/** `errors` by the words of `-e`. */
export const ERRORS = { continue: 1, "remount-ro": 2, panic: 3 } as const;
/** AES-256 in XTS for contents, in CTS for names. */
export const ENCRYPTION_MODES = Uint8Array.of(1, 4, 0, 0);
/** `encoding`: Unicode 12.1, as UTF-8. */
export const ENCODING_UTF8_12_1 = 1;
const STRICT_ENCODING = 1;
/** `maxMntCount`: no check after so many mounts. */
export const NEVER = 0xffff;
/** `jnlBackupType`: `jnlBlocks` holds the journal inode's map. */
export const EXT3_JNL_BACKUP_BLOCKS = 1;

/** Settles uuid, hash seed and time; reads the clock once. @throws EINVAL */
export function identify(options: MakeExtOptions, environment: Environment): Identity {
  const { uuid = "random", hashSeed } = options;
  const { sec } = environment.clock.now();
  return {
    uuid: settleUuid(uuid, environment),
    hashSeed: hashSeed === undefined ? randomUuid(environment.random) : parseUuid(hashSeed),
    time: sec,
  };
}

/** The 16 bytes of a uuid, `clear`, `null`, `random` or `time`. @throws EINVAL */
export function settleUuid(text: string, { clock, random }: Environment): Uint8Array {
  const word = text.toLowerCase();
  if (word === "null" || word === "clear") return new Uint8Array(UUID_SIZE);
  if (word === "random") return randomUuid(random);
  if (word !== "time") return parseUuid(text);
  return timeUuid(clock.now(), random);
}

/** A version 1 uuid with a random node. */
function timeUuid(
  { sec, nsec }: { readonly sec: number; readonly nsec: number },
  random: Environment["random"],
): Uint8Array {
  const bytes = randomUuid(random);
  // 100 ns since the start of the Gregorian calendar, 15 October 1582.
  const ticks = BigInt(sec) * 10_000_000n + BigInt(Math.floor(nsec / 100)) + 0x01b2_1dd2_1381_4000n;
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Number(ticks & 0xffff_ffffn));
  view.setUint16(4, Number((ticks >> 32n) & 0xffffn));
  view.setUint16(6, Number((ticks >> 48n) & 0x0fffn) | 0x1000);
  // The bit that says the node is no address of a network card.
  bytes[10] = (bytes[10] as number) | 1;
  return bytes;
}

/** Fills the fields of a name: what is too long is cut. */
function cut(field: Field<Uint8Array>, text: string): Uint8Array {
  return encodeUtf8(text).subarray(0, field.size);
}

/** Builds the bytes of superblocks. */
export class SuperblockMaker {
  readonly #view = new DataView(new ArrayBuffer(sizeof(SB)));
  readonly #checksummed: boolean;

  constructor(settled: Settled, fitted: Fitted, options: MakeExtOptions, identity: Identity) {
    this.#checksummed = hasRoCompat(fitted.features, EXT4_FEATURE_RO_COMPAT_METADATA_CSUM);
    this.#geometry(settled, fitted);
    this.#words(settled, fitted);
    this.#identity(settled, options, identity);
    this.#options(settled, options);
  }

  #geometry(settled: Settled, fitted: Fitted): void {
    const view = this.#view;
    const { blockSize, clusterSize, inodeSize, revision } = settled;
    SB.inodesCount.set(view, 0, fitted.groups * fitted.inodesPerGroup);
    setWide(view, SB.blocksCountLo, SB.blocksCountHi, fitted.blocks);
    setWide(view, SB.rBlocksCountLo, SB.rBlocksCountHi, fitted.reservedBlocks);
    SB.firstDataBlock.set(view, 0, fitted.firstDataBlock);
    SB.logBlockSize.set(view, 0, log2(blockSize / 1024));
    SB.logClusterSize.set(view, 0, log2(clusterSize / 1024));
    SB.blocksPerGroup.set(view, 0, fitted.blocksPerGroup);
    SB.clustersPerGroup.set(view, 0, fitted.clustersPerGroup);
    SB.inodesPerGroup.set(view, 0, fitted.inodesPerGroup);
    SB.revLevel.set(view, 0, revision);
    SB.firstIno.set(view, 0, EXT4_GOOD_OLD_FIRST_INO);
    SB.inodeSize.set(view, 0, inodeSize);
    SB.descSize.set(view, 0, settled.descSize);
    SB.reservedGdtBlocks.set(view, 0, fitted.reservedGdtBlocks);
    SB.backupBgs0.set(view, 0, fitted.backupBgs[0]);
    SB.backupBgs1.set(view, 0, fitted.backupBgs[1]);
    SB.logGroupsPerFlex.set(view, 0, settled.logGroupsPerFlex);
    if (revision === 0 || inodeSize <= 128) return;
    SB.minExtraIsize.set(view, 0, sizeof(Ext4InodeExtra));
    SB.wantExtraIsize.set(view, 0, sizeof(Ext4InodeExtra));
  }

  #words({ revision }: Settled, { features }: Fitted): void {
    const view = this.#view;
    SB.magic.set(view, 0, EXT4_SUPER_MAGIC);
    SB.state.set(view, 0, EXT4_VALID_FS);
    SB.maxMntCount.set(view, 0, NEVER);
    SB.defHashVersion.set(view, 0, DX_HASH_HALF_MD4);
    SB.featureCompat.set(view, 0, features.featureCompat);
    SB.featureIncompat.set(view, 0, features.featureIncompat);
    SB.featureRoCompat.set(view, 0, features.featureRoCompat);
    // user_xattr and acl.
    if (revision > 0) SB.defaultMountOpts.set(view, 0, 0x4 | 0x8);
    if (this.#checksummed) SB.checksumType.set(view, 0, EXT4_CRC32C_CHKSUM);
    if (hasIncompat(features, EXT4_FEATURE_INCOMPAT_ENCRYPT)) {
      SB.encryptAlgos.set(view, 0, ENCRYPTION_MODES);
    }
    const counts =
      EXT4_FEATURE_RO_COMPAT_HUGE_FILE |
      EXT4_FEATURE_RO_COMPAT_GDT_CSUM |
      EXT4_FEATURE_RO_COMPAT_DIR_NLINK |
      EXT4_FEATURE_RO_COMPAT_METADATA_CSUM |
      EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE;
    const flex = hasIncompat(features, EXT4_FEATURE_INCOMPAT_FLEX_BG);
    if (flex || (features.featureRoCompat & counts) !== 0) SB.kbytesWritten.set(view, 0, 1);
  }

  #identity(settled: Settled, options: MakeExtOptions, { uuid, hashSeed, time }: Identity): void {
    const view = this.#view;
    SB.uuid.set(view, 0, uuid);
    const seed = new DataView(hashSeed.buffer, hashSeed.byteOffset);
    for (const [i, field] of [SB.hashSeed0, SB.hashSeed1, SB.hashSeed2, SB.hashSeed3].entries()) {
      field.set(view, 0, seed.getUint32(i * 4, true));
    }
    SB.volumeName.set(view, 0, cut(SB.volumeName, options.label ?? ""));
    SB.lastMounted.set(view, 0, cut(SB.lastMounted, options.lastMounted ?? ""));
    for (const [low, high] of [
      [SB.wtime, SB.wtimeHi],
      [SB.lastcheck, SB.lastcheckHi],
      [SB.mkfsTime, SB.mkfsTimeHi],
    ] as const) {
      low.set(view, 0, time >>> 0);
      high.set(view, 0, Math.floor(time / 2 ** 32) & 0xff);
    }
    if (hasIncompat(settled.features, EXT4_FEATURE_INCOMPAT_CSUM_SEED)) {
      SB.checksumSeed.set(view, 0, crc32c(0xffff_ffff, uuid));
    }
  }

  #options(settled: Settled, options: MakeExtOptions): void {
    const view = this.#view;
    SB.errors.set(view, 0, ERRORS[options.errors ?? "continue"]);
    SB.creatorOs.set(view, 0, CREATORS[options.creatorOs ?? "linux"]);
    SB.raidStride.set(view, 0, checked(options.stride, 0xffff, "stride"));
    SB.raidStripeWidth.set(view, 0, checked(options.stripeWidth, 0xffff_ffff, "stripe_width"));
    const test = options.testFs === true ? EXT2_FLAGS_TEST_FILESYS : 0;
    SB.flags.set(view, 0, EXT2_FLAGS_SIGNED_HASH | test);
    if (!hasIncompat(settled.features, EXT4_FEATURE_INCOMPAT_CASEFOLD)) {
      if (options.strictEncoding !== undefined) refuse("encoding flags need an encoding");
      return;
    }
    SB.encoding.set(view, 0, ENCODING_UTF8_12_1);
    SB.encodingFlags.set(view, 0, options.strictEncoding === true ? STRICT_ENCODING : 0);
  }

  /** Sets what was left open. */
  finish(totals: Totals, features: Fitted["features"]): void {
    const view = this.#view;
    setWide(view, SB.freeBlocksCountLo, SB.freeBlocksCountHi, totals.freeBlocks);
    SB.freeInodesCount.set(view, 0, totals.freeInodes);
    SB.overheadClusters.set(view, 0, totals.overheadClusters);
    SB.journalInum.set(view, 0, totals.journalInum);
    SB.usrQuotaInum.set(view, 0, totals.usrQuotaInum);
    SB.grpQuotaInum.set(view, 0, totals.grpQuotaInum);
    SB.prjQuotaInum.set(view, 0, totals.prjQuotaInum);
    SB.orphanFileInum.set(view, 0, totals.orphanFileInum);
    SB.mmpBlock.set(view, 0, totals.mmpBlock);
    SB.mmpUpdateInterval.set(view, 0, totals.mmpUpdateInterval);
    SB.featureCompat.set(view, 0, features.featureCompat);
    SB.featureRoCompat.set(view, 0, features.featureRoCompat);
    if (totals.journalBackup === undefined) return;
    SB.jnlBackupType.set(view, 0, EXT3_JNL_BACKUP_BLOCKS);
    SB.jnlBlocks.set(view, 0, totals.journalBackup);
  }

  /** The copy of a group. A copy does not call itself whole: only the first one says that. */
  bytes(group: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.#view.buffer.slice(0));
    const view = new DataView(bytes.buffer);
    SB.blockGroupNr.set(view, 0, Math.min(group, 0xffff));
    if (group > 0) SB.state.set(view, 0, 0);
    if (this.#checksummed) {
      const sum = crc32c(0xffff_ffff, bytes.subarray(0, SB.checksum.offset));
      SB.checksum.set(view, 0, sum);
    }
    return bytes;
  }

  /** As a mount would read it; features that the driver does not read are passed over. */
  parsed(fitted: Fitted, blockSize: number): Superblock {
    const bytes = this.bytes(0);
    const view = new DataView(bytes.buffer);
    const unread = EXT4_FEATURE_INCOMPAT_CASEFOLD | EXT4_FEATURE_INCOMPAT_ENCRYPT;
    SB.featureIncompat.set(view, 0, fitted.features.featureIncompat & ~unread);
    const sum = crc32c(0xffff_ffff, bytes.subarray(0, SB.checksum.offset));
    SB.checksum.set(view, 0, sum);
    const superblock = parseSuperblock(view, 0, fitted.blocks * blockSize);
    return { ...superblock, ...fitted.features };
  }
}

function checked(value: number | undefined, most: number, name: string): number {
  if (value === undefined) return 0;
  if (Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
  return refuse(`${name} ${value}; give 0 to ${most}`);
}

function setWide(view: DataView, lo: Field<number>, hi: Field<number>, value: number): void {
  lo.set(view, 0, value >>> 0);
  hi.set(view, 0, Math.floor(value / 2 ** 32));
}
