/**
 * A superblock in words, line by line as `tune2fs -l` and `dumpe2fs -h` print it.
 *
 * @module
 */
import {
  EXT2_FLAGS_SIGNED_HASH,
  EXT2_FLAGS_TEST_FILESYS,
  EXT2_FLAGS_UNSIGNED_HASH,
  EXT4_ERROR_FS,
  EXT4_FEATURE_COMPAT_DIR_INDEX,
  EXT4_FEATURE_COMPAT_ORPHAN_FILE,
  EXT4_FEATURE_INCOMPAT_64BIT,
  EXT4_FEATURE_INCOMPAT_CASEFOLD,
  EXT4_FEATURE_INCOMPAT_CSUM_SEED,
  EXT4_FEATURE_INCOMPAT_MMP,
  EXT4_FEATURE_RO_COMPAT_BIGALLOC,
  EXT4_FEATURE_RO_COMPAT_METADATA_CSUM,
  EXT4_VALID_FS,
} from "../format/ext-superblock.ts";
import { hasCompat, hasIncompat, hasRoCompat } from "../fs/ext/features.ts";
import { storedFeatureNames } from "../fs/ext/mkfs-features.ts";
import { mountDefaultNames } from "../fs/ext/mount-defaults.ts";
import { decodeUtf8 } from "../lib/utf8.ts";
import { formatUuid, isNilUuid } from "../lib/uuid.ts";
import type { StoredSuperblock } from "../node/tune-volume.ts";
import type { OwnerNames } from "./owners.ts";

const SYSTEMS = ["Linux", "GNU/Hurd", "Masix", "FreeBSD", "Lites"];
const BEHAVIOURS = ["", "Continue", "Remount read-only", "Panic"];
const HASHES = [
  "legacy",
  "half_md4",
  "tea",
  "legacy_unsigned",
  "half_md4_unsigned",
  "tea_unsigned",
  "siphash",
];
/** `firstErrorErrcode` and `lastErrorErrcode`, from 1. */
const ERRORS = (
  "UNKNOWN EIO ENOMEM EFSBADCRC EFSCORRUPTED ENOSPC ENOKEY EROFS EFBIG EEXIST ERANGE EOVERFLOW " +
  "EBUSY ENOTDIR ENOTEMPTY ESHUTDOWN EFAULT"
).split(" ");

/** Where the values stand. */
const COLUMN = 26;
/** As the field's own program writes these two. */
const TABBED = "Inode size:\t          ";

type Line = readonly [name: string, value: number | string | undefined];

/** All lines of a superblock; values that do not apply are left out. */
export function superblockLines(sb: StoredSuperblock, owners: OwnerNames): string[] {
  const lines: Line[] = [
    ...identity(sb),
    ...counts(sb),
    ...history(sb),
    ...inodes(sb, owners),
    ...damage(sb),
    ...protection(sb),
  ];
  return lines
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => {
      if (name === "Inode size") return `${TABBED}${value}`;
      if (name === "Journal device") return `Journal device:\t          ${value}`;
      return `${`${name}:`.padEnd(COLUMN)}${value}`;
    });
}

function identity(sb: StoredSuperblock): Line[] {
  const revision = ["original", "dynamic"][sb.revLevel] ?? "unknown";
  const features = storedFeatureNames(sb);
  const options = text(sb.mountOpts);
  const valid = (sb.state & EXT4_VALID_FS) === 0 ? "not clean" : "clean";
  const errors = (sb.state & EXT4_ERROR_FS) === 0 ? "" : " with errors";
  return [
    ["Filesystem volume name", text(sb.volumeName) || "<none>"],
    ["Last mounted on", text(sb.lastMounted) || "<not available>"],
    ["Filesystem UUID", formatUuid(sb.uuid)],
    ["Filesystem magic number", `0x${sb.magic.toString(16).toUpperCase()}`],
    ["Filesystem revision #", `${sb.revLevel} (${revision})`],
    ["Filesystem features", features.join(" ") || "(none)"],
    ["Filesystem flags", sb.flags === 0 ? undefined : flagNames(sb.flags)],
    ["Default mount options", mountDefaultNames(sb.defaultMountOpts).join(" ") || "(none)"],
    ["Mount options", options === "" ? undefined : options],
    ["Filesystem state", `${valid}${errors}`],
    ["Errors behavior", BEHAVIOURS[sb.errors] || "Unknown (continue)"],
    ["Filesystem OS type", SYSTEMS[sb.creatorOs] ?? "(unknown os)"],
  ];
}

function flagNames(flags: number): string {
  const names = [
    [EXT2_FLAGS_SIGNED_HASH, "signed_directory_hash "],
    [EXT2_FLAGS_UNSIGNED_HASH, "unsigned_directory_hash "],
    [EXT2_FLAGS_TEST_FILESYS, "test_filesystem "],
  ] as const;
  const set = names.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  return set.join("") || "(none)";
}

function counts(sb: StoredSuperblock): Line[] {
  const wide = hasIncompat(sb, EXT4_FEATURE_INCOMPAT_64BIT);
  const count = (low: number, high: number): number => low + (wide ? high * 2 ** 32 : 0);
  const clusters = hasRoCompat(sb, EXT4_FEATURE_RO_COMPAT_BIGALLOC);
  const blockSize = 1024 * 2 ** sb.logBlockSize;
  const inodeSize = sb.revLevel === 0 ? 128 : sb.inodeSize;
  const unit = clusters ? "Cluster" : "Fragment";
  return [
    ["Inode count", sb.inodesCount],
    ["Block count", count(sb.blocksCountLo, sb.blocksCountHi)],
    ["Reserved block count", count(sb.rBlocksCountLo, sb.rBlocksCountHi)],
    ["Overhead clusters", sb.overheadClusters || undefined],
    ["Free blocks", count(sb.freeBlocksCountLo, sb.freeBlocksCountHi)],
    ["Free inodes", sb.freeInodesCount],
    ["First block", sb.firstDataBlock],
    ["Block size", blockSize],
    [`${unit} size`, 1024 * 2 ** sb.logClusterSize],
    ["Group descriptor size", wide ? sb.descSize : undefined],
    ["Reserved GDT blocks", sb.reservedGdtBlocks || undefined],
    ["Blocks per group", sb.blocksPerGroup],
    [`${unit}s per group`, sb.clustersPerGroup],
    ["Inodes per group", sb.inodesPerGroup],
    ["Inode blocks per group", Math.ceil((sb.inodesPerGroup * inodeSize) / blockSize)],
    ["First meta block group", sb.firstMetaBg || undefined],
    ["RAID stride", sb.raidStride || undefined],
    ["RAID stripe width", sb.raidStripeWidth || undefined],
    ["Flex block group size", sb.logGroupsPerFlex ? 2 ** sb.logGroupsPerFlex : undefined],
  ];
}

function history(sb: StoredSuperblock): Line[] {
  const mounted = seconds(sb.mtime, sb.mtimeHi);
  const made = seconds(sb.mkfsTime, sb.mkfsTimeHi);
  const checked = seconds(sb.lastcheck, sb.lastcheckHi);
  const { checkinterval, kbytesWritten } = sb;
  return [
    ["Filesystem created", made === 0 ? undefined : date(made)],
    ["Last mount time", mounted === 0 ? "n/a" : date(mounted)],
    ["Last write time", date(seconds(sb.wtime, sb.wtimeHi))],
    ["Mount count", sb.mntCount],
    ["Maximum mount count", (sb.maxMntCount << 16) >> 16],
    ["Last checked", date(checked)],
    ["Check interval", `${checkinterval} (${interval(checkinterval)})`],
    ["Next check after", checkinterval === 0 ? undefined : date(checked + checkinterval)],
    ["Lifetime writes", kbytesWritten === 0 ? undefined : amount(kbytesWritten)],
  ];
}

function inodes(sb: StoredSuperblock, owners: OwnerNames): Line[] {
  const dynamic = sb.revLevel > 0;
  const user = owners.user(sb.defResuid);
  const group = owners.group(sb.defResgid);
  const indexed = hasCompat(sb, EXT4_FEATURE_COMPAT_DIR_INDEX) || sb.defHashVersion !== 0;
  const seed = wordBytes([sb.hashSeed0, sb.hashSeed1, sb.hashSeed2, sb.hashSeed3]);
  const backup = sb.jnlBackupType === 1 ? "inode blocks" : `type ${sb.jnlBackupType}`;
  return [
    ["Reserved blocks uid", `${sb.defResuid} (user ${named(sb.defResuid, user)})`],
    ["Reserved blocks gid", `${sb.defResgid} (group ${named(sb.defResgid, group)})`],
    ["First inode", dynamic ? sb.firstIno : undefined],
    ["Inode size", dynamic ? sb.inodeSize : undefined],
    ["Required extra isize", dynamic ? sb.minExtraIsize || undefined : undefined],
    ["Desired extra isize", dynamic ? sb.wantExtraIsize || undefined : undefined],
    ["Journal UUID", isNilUuid(sb.journalUuid) ? undefined : formatUuid(sb.journalUuid)],
    ["Journal inode", sb.journalInum || undefined],
    ["Journal device", sb.journalDev ? `0x${hex(sb.journalDev, 4)}` : undefined],
    ["First orphan inode", sb.lastOrphan || undefined],
    ["Default directory hash", indexed ? hashName(sb.defHashVersion) : undefined],
    ["Directory Hash Seed", isNilUuid(seed) ? undefined : formatUuid(seed)],
    ["Journal backup", sb.jnlBackupType === 0 ? undefined : backup],
    ["Backup block groups", backups(sb)],
  ];
}

function named(id: number, name: string): string {
  return name === String(id) ? "unknown" : name;
}

function hashName(version: number): string {
  return HASHES[version] ?? `HASHALG_${version}`;
}

function backups({ backupBgs0, backupBgs1 }: StoredSuperblock): string | undefined {
  const groups = [backupBgs0, backupBgs1].filter((group) => group !== 0);
  return groups.length === 0 ? undefined : groups.map((group) => `${group} `).join("");
}

function code(number: number): string | undefined {
  return number === 0 ? undefined : (ERRORS[number - 1] ?? String(number));
}

function damage(sb: StoredSuperblock): Line[] {
  const first = seconds(sb.firstErrorTime, sb.firstErrorTimeHi);
  const last = seconds(sb.lastErrorTime, sb.lastErrorTimeHi);
  const at = (time: number, lines: Line[]): Line[] => (time === 0 ? [] : lines);
  return [
    ["FS Error count", sb.errorCount || undefined],
    ...at(first, [
      ["First error time", date(first)],
      ["First error function", text(sb.firstErrorFunc)],
      ["First error line #", sb.firstErrorLine],
      ["First error inode #", sb.firstErrorIno || undefined],
      ["First error block #", sb.firstErrorBlock || undefined],
      ["First error err", code(sb.firstErrorErrcode)],
    ]),
    ...at(last, [
      ["Last error time", date(last)],
      ["Last error function", text(sb.lastErrorFunc)],
      ["Last error line #", sb.lastErrorLine],
      ["Last error inode #", sb.lastErrorIno || undefined],
      ["Last error block #", sb.lastErrorBlock || undefined],
      ["Last error err", code(sb.lastErrorErrcode)],
    ]),
  ];
}

function protection(sb: StoredSuperblock): Line[] {
  const multiMount = hasIncompat(sb, EXT4_FEATURE_INCOMPAT_MMP);
  const checksummed = hasRoCompat(sb, EXT4_FEATURE_RO_COMPAT_METADATA_CSUM);
  const seeded = hasIncompat(sb, EXT4_FEATURE_INCOMPAT_CSUM_SEED);
  const folded = hasIncompat(sb, EXT4_FEATURE_INCOMPAT_CASEFOLD);
  const orphans = hasCompat(sb, EXT4_FEATURE_COMPAT_ORPHAN_FILE);
  const encoding = sb.encoding === 1 ? "utf8-12.1" : `UNKNOWN_ENCODING_${sb.encoding}`;
  const kind = sb.checksumType === 1 ? "crc32c" : `unknown 0x${sb.checksumType.toString(16)}`;
  return [
    ["MMP block number", multiMount ? sb.mmpBlock : undefined],
    ["MMP update interval", multiMount ? sb.mmpUpdateInterval : undefined],
    ["User quota inode", sb.usrQuotaInum || undefined],
    ["Group quota inode", sb.grpQuotaInum || undefined],
    ["Project quota inode", sb.prjQuotaInum || undefined],
    ["Checksum type", checksummed ? kind : undefined],
    ["Checksum", checksummed ? `0x${hex(sb.checksum, 8)}` : undefined],
    ["Encryption PW Salt", isNilUuid(sb.encryptPwSalt) ? undefined : formatUuid(sb.encryptPwSalt)],
    ["Checksum seed", seeded ? `0x${hex(sb.checksumSeed, 8)}` : undefined],
    ["Character encoding", folded ? encoding : undefined],
    ["Orphan file inode", orphans ? sb.orphanFileInum : undefined],
  ];
}

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decodeUtf8(end < 0 ? bytes : bytes.subarray(0, end));
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

function wordBytes(words: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(words.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [i, word] of words.entries()) view.setUint32(i * 4, word, true);
  return bytes;
}

function seconds(low: number, high: number): number {
  return low + high * 2 ** 32;
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** As ctime(3) writes it, in the time zone of this machine. */
function date(sec: number): string {
  const at = new Date(sec * 1000);
  const clock = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":");
  const day = `${DAYS[at.getDay()]} ${MONTHS[at.getMonth()]} ${String(at.getDate()).padStart(2)}`;
  return `${day} ${clock} ${at.getFullYear()}`;
}

/** `3 weeks, 2 days`; months have 30 days. */
function interval(total: number): string {
  if (total === 0) return "<none>";
  const parts: string[] = [];
  let left = total;
  for (const [unit, size] of [
    ["month", 2_592_000],
    ["week", 604_800],
    ["day", 86_400],
  ] as const) {
    const many = Math.floor(left / size);
    left -= many * size;
    if (many > 0) parts.push(`${many} ${unit}${many > 1 ? "s" : ""}`);
  }
  const minutes = Math.floor(left / 60) % 60;
  if (left > 0) parts.push(`${Math.floor(left / 3600)}:${two(minutes)}:${two(left % 60)}`);
  return parts.join(", ");
}

/** KiB in the unit that leaves few digits. */
function amount(kib: number): string {
  const units = ["kB", "MB", "GB", "TB", "PB"];
  let power = 0;
  while (power < 4 && kib >= 2 ** (13 + 10 * power)) power++;
  const rounded = Math.floor((kib + (power === 0 ? 0 : 2 ** (10 * power - 1))) / 2 ** (10 * power));
  return `${rounded} ${units[power]}`;
}
