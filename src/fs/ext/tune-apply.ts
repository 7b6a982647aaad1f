/**
 * The superblock's bytes while they are changed: each option of tune2fs and the fields that follow.
 *
 * @module
 */
import { DX_HASH_HALF_MD4, DX_HASH_LEGACY, DX_HASH_TEA } from "../../format/ext-directory.ts";
import {
  EXT2_FLAGS_TEST_FILESYS,
  EXT4_ERROR_FS,
  EXT4_FEATURE_COMPAT_DIR_INDEX,
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_CASEFOLD,
  EXT4_FEATURE_INCOMPAT_CSUM_SEED,
  EXT4_FEATURE_INCOMPAT_ENCRYPT,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  EXT4_GOOD_OLD_REV,
  Ext4SuperBlock as SB,
} from "../../format/ext-superblock.ts";
import { crc32c } from "../../lib/crc32c.ts";
import type { Environment } from "../../lib/environment.ts";
import { isDaxError } from "../../lib/errno.ts";
import type { Field } from "../../lib/struct.ts";
import { encodeUtf8 } from "../../lib/utf8.ts";
import { isNilUuid, randomUuid } from "../../lib/uuid.ts";
import { type Features, hasCompat, hasIncompat, hasRoCompat } from "./features.ts";
import { ENCODING_UTF8_12_1, ENCRYPTION_MODES, ERRORS, NEVER, settleUuid } from "./mkfs-super.ts";
import { editMountDefaults } from "./mount-defaults.ts";
import { superblockChecksumOf } from "./recover-flag.ts";
import type { Superblock } from "./superblock.ts";
import { tunedFeatures } from "./tune-features.ts";
import { type TuneExtOptions, refuse, refuseFeature, within } from "./tune-options.ts";

/** The most that `-c` and `-C` take. */
const MOST_MOUNTS = 16000;
const MOST_SECONDS = 0xffff_ffff;
const MOST_PERCENT = 50;
const MMP_INTERVAL = 5;
const MOST_MMP_INTERVAL = 300;
const HASHES = { legacy: DX_HASH_LEGACY, half_md4: DX_HASH_HALF_MD4, tea: DX_HASH_TEA } as const;
/** Features that are set without the driver being able to read what follows. */
const UNREAD = EXT4_FEATURE_INCOMPAT_CASEFOLD | EXT4_FEATURE_INCOMPAT_ENCRYPT;

/** A superblock that is being tuned. */
export class TunedSuperblock {
  /** Without a checksum that holds. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  readonly notes: string[] = [];
  changed = false;
  uuidChanged = false;
  readonly #before: Superblock;
  readonly #environment: Environment;

  constructor(bytes: Uint8Array<ArrayBuffer>, before: Superblock, environment: Environment) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
    this.#before = before;
    this.#environment = environment;
  }

  /** Obeys all options, or throws. @throws EINVAL, ENOTSUP */
  apply(options: TuneExtOptions): void {
    this.#checks(options);
    this.#reserved(options);
    this.#names(options);
    this.#extended(options);
    if (options.features !== undefined) this.#features(options.features);
    if (options.uuid !== undefined) this.#uuid(options.uuid);
    if (this.changed) this.#time(SB.wtime, SB.wtimeHi, this.#environment.clock.now().sec);
  }

  /** As the driver may read it: with a checksum, and without features that it does not read. */
  readable(): Uint8Array<ArrayBuffer> {
    const copy = this.bytes.slice();
    const view = new DataView(copy.buffer);
    SB.featureIncompat.set(view, 0, (SB.featureIncompat.get(view, 0) & ~UNREAD) >>> 0);
    SB.checksum.set(view, 0, superblockChecksumOf(copy));
    return copy;
  }

  #set<T>(field: Field<T>, value: T, note?: string): void {
    field.set(this.view, 0, value);
    this.changed = true;
    if (note !== undefined) this.notes.push(note);
  }

  #time(low: Field<number>, high: Field<number>, sec: number): void {
    this.#set(low, sec >>> 0);
    this.#set(high, Math.floor(sec / 2 ** 32) & 0xff);
  }

  #checks({ maxMounts, mounts, checkInterval, lastCheck, errors }: TuneExtOptions): void {
    if (maxMounts !== undefined) {
      const most = maxMounts === -1 ? 0 : within(maxMounts, MOST_MOUNTS, "the maximal mount count");
      const said = most === 0 ? -1 : most;
      this.#set(SB.maxMntCount, most || NEVER, `Setting maximal mount count to ${said}`);
    }
    if (mounts !== undefined) {
      const count = within(mounts, MOST_MOUNTS, "the mount count");
      this.#set(SB.mntCount, count, `Setting current mount count to ${count}`);
    }
    if (errors !== undefined) {
      this.#set(SB.errors, ERRORS[errors], `Setting error behavior to ${ERRORS[errors]}`);
    }
    if (checkInterval !== undefined) {
      const seconds = within(checkInterval, MOST_SECONDS, "the interval between checks");
      const note = `Setting interval between checks to ${seconds} seconds`;
      this.#set(SB.checkinterval, seconds, note);
    }
    if (lastCheck !== undefined) {
      this.#time(SB.lastcheck, SB.lastcheckHi, within(lastCheck, 2 ** 40 - 1, "the time"));
    }
  }

  #reserved(options: TuneExtOptions): void {
    const { reservedPercent: percent, reservedUid, reservedGid } = options;
    if (percent !== undefined && options.reservedBlocks === undefined) {
      if (!(percent >= 0 && percent <= MOST_PERCENT)) {
        refuse(`the share of reserved blocks is ${percent}; it takes 0 to ${MOST_PERCENT} percent`);
      }
      const count = Math.floor((percent * this.#before.blocks) / 100);
      const share = `${Number(percent.toPrecision(6))}%`;
      this.#reserve(count, `Setting reserved blocks percentage to ${share} (${count} blocks)`);
    }
    if (options.reservedBlocks !== undefined) {
      const most = Math.floor(this.#before.blocks / 2);
      const count = within(options.reservedBlocks, most, "the number of reserved blocks");
      this.#reserve(count, `Setting reserved blocks count to ${count}`);
    }
    if (reservedGid !== undefined) {
      const gid = within(reservedGid, 0xffff, "the gid");
      this.#set(SB.defResgid, gid, `Setting reserved blocks gid to ${gid}`);
    }
    if (reservedUid !== undefined) {
      const uid = within(reservedUid, 0xffff, "the uid");
      this.#set(SB.defResuid, uid, `Setting reserved blocks uid to ${uid}`);
    }
  }

  #reserve(count: number, note: string): void {
    this.#set(SB.rBlocksCountLo, count % 2 ** 32, note);
    if (hasIncompat(this.#before, EXT4_FEATURE_INCOMPAT_64BIT)) {
      this.#set(SB.rBlocksCountHi, Math.floor(count / 2 ** 32));
    }
  }

  #names({ label, lastMounted, mountOptions }: TuneExtOptions): void {
    if (label !== undefined) this.#text(SB.volumeName, label);
    if (lastMounted !== undefined) this.#text(SB.lastMounted, lastMounted);
    if (mountOptions === undefined) return;
    const word = SB.defaultMountOpts.get(this.view, 0);
    this.#set(SB.defaultMountOpts, editMountDefaults(word, mountOptions));
  }

  #text(field: Field<Uint8Array>, text: string): void {
    const bytes = new Uint8Array(field.size);
    bytes.set(encodeUtf8(text).subarray(0, field.size));
    this.#set(field, bytes);
  }

  #extended(options: TuneExtOptions): void {
    const { forceCheck, testFs, stride, stripeWidth, hashAlgorithm, mountOptionText } = options;
    if (options.mmpUpdateInterval !== undefined) this.#mmpInterval(options.mmpUpdateInterval);
    if (forceCheck === true) {
      const state = SB.state.get(this.view, 0) | EXT4_ERROR_FS;
      this.#set(SB.state, state, "Setting filesystem error flag to force fsck.");
    }
    if (testFs !== undefined) {
      const flags = SB.flags.get(this.view, 0) & ~EXT2_FLAGS_TEST_FILESYS;
      const note = `${testFs ? "Setting" : "Clearing"} test filesystem flag`;
      this.#set(SB.flags, (flags | (testFs ? EXT2_FLAGS_TEST_FILESYS : 0)) >>> 0, note);
    }
    if (stride !== undefined) {
      this.#set(
        SB.raidStride,
        within(stride, 0xffff, "stride"),
        `Setting stride size to ${stride}`,
      );
    }
    if (stripeWidth !== undefined) {
      const width = within(stripeWidth, MOST_SECONDS, "stripe_width");
      this.#set(SB.raidStripeWidth, width, `Setting stripe width to ${width}`);
    }
    if (hashAlgorithm !== undefined) {
      const hash = HASHES[hashAlgorithm];
      const note = `Setting default hash algorithm to ${hashAlgorithm} (${hash})`;
      this.#set(SB.defHashVersion, hash, note);
    }
    if (mountOptionText === undefined) return;
    if (encodeUtf8(mountOptionText).length >= SB.mountOpts.size) {
      refuse(`mount_opts takes at most ${SB.mountOpts.size - 1} bytes`);
    }
    this.#text(SB.mountOpts, mountOptionText);
    this.notes.push(`Setting extended default mount options to '${mountOptionText}'`);
  }

  #mmpInterval(wanted: number): void {
    const seconds = within(wanted, MOST_MMP_INTERVAL, "mmp_update_interval") || MMP_INTERVAL;
    const unit = seconds === 1 ? "second" : "seconds";
    const note = `Setting multiple mount protection update interval to ${seconds} ${unit}`;
    this.#set(SB.mmpUpdateInterval, seconds, note);
  }

  #features(list: string): void {
    const { view } = this;
    const before = this.#before;
    const stored: Features = {
      featureCompat: SB.featureCompat.get(view, 0),
      featureIncompat: SB.featureIncompat.get(view, 0),
      featureRoCompat: SB.featureRoCompat.get(view, 0),
    };
    const after = tunedFeatures(stored, list);
    const words = ["featureCompat", "featureIncompat", "featureRoCompat"] as const;
    if (words.every((word) => stored[word] === after[word])) return;
    if (before.revLevel === EXT4_GOOD_OLD_REV) {
      refuseFeature("a filesystem of revision 0 has no features; use tune2fs");
    }
    for (const word of words) this.#set(SB[word], after[word]);
    this.#followCsumSeed(stored, after);
    if (hasCompat(after, EXT4_FEATURE_COMPAT_DIR_INDEX)) this.#indexed();
    const { featureIncompat } = after;
    const fresh = featureIncompat & ~stored.featureIncompat;
    if ((fresh & EXT4_FEATURE_INCOMPAT_ENCRYPT) !== 0) {
      this.#set(SB.encryptAlgos, ENCRYPTION_MODES);
    }
    if ((fresh & EXT4_FEATURE_INCOMPAT_CASEFOLD) !== 0) {
      this.#set(SB.encoding, ENCODING_UTF8_12_1);
      this.#set(SB.encodingFlags, 0);
    }
  }

  #followCsumSeed(stored: Features, after: Features): void {
    const had = hasIncompat(stored, EXT4_FEATURE_INCOMPAT_CSUM_SEED);
    const has = hasIncompat(after, EXT4_FEATURE_INCOMPAT_CSUM_SEED);
    if (had === has) return;
    if (has) {
      if (!hasRoCompat(after, EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)) {
        refuse("feature metadata_csum_seed needs metadata_csum");
      }
      this.#set(SB.checksumSeed, this.#before.checksumSeed);
      return;
    }
    if (crc32c(0xffff_ffff, SB.uuid.get(this.view, 0)) === this.#before.checksumSeed) return;
    refuseFeature(
      "feature metadata_csum_seed cannot be cleared: the uuid is not the one that checksums " +
        "begin with, so all of them would have to be written anew; use tune2fs",
    );
  }

  /** What indexed directories need. */
  #indexed(): void {
    const { view } = this;
    if (SB.defHashVersion.get(view, 0) === 0) this.#set(SB.defHashVersion, DX_HASH_HALF_MD4);
    const at = SB.hashSeed0.offset;
    if (isNilUuid(this.bytes, at)) this.bytes.set(randomUuid(this.#environment.random), at);
  }

  #uuid(text: string): void {
    const uuid = this.#parsed(text);
    const old = SB.uuid.get(this.view, 0);
    this.#set(SB.uuid, uuid);
    this.uuidChanged = uuid.some((byte, i) => byte !== old[i]);
    const word = {
      featureCompat: 0,
      featureIncompat: SB.featureIncompat.get(this.view, 0),
      featureRoCompat: 0,
    };
    if (!this.uuidChanged || !this.#before.metadataCsum) return;
    if (hasIncompat(word, EXT4_FEATURE_INCOMPAT_CSUM_SEED)) return;
    refuseFeature(
      "every checksum of the filesystem begins with its uuid; keep the old seed " +
        "(-O metadata_csum_seed, together with -U), or use tune2fs, which writes them all anew",
    );
  }

  #parsed(text: string): Uint8Array {
    try {
      return settleUuid(text, this.#environment);
    } catch (error) {
      if (!isDaxError(error, "EINVAL")) throw error;
      return refuse(error.detail ?? "that is no uuid");
    }
  }
}
