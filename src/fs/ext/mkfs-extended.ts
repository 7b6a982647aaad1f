/**
 * The lists that mke2fs takes with `-E` and `-J`, and its way of writing numbers of blocks.
 *
 * @module
 */
import { parseUnsigned } from "../../lib/size.ts";
import { closest } from "../../lib/suggest.ts";
import { type BlockCount, type MakeExtOptions, type QuotaType, refuse } from "./mkfs-options.ts";

type Mutable = { -readonly [K in keyof MakeExtOptions]: MakeExtOptions[K] };
/** Takes one item's value, undefined when it has none, and notes what it means. */
type Take = (options: Mutable, value: string | undefined, name: string) => void;

/**
 * A number of blocks as mke2fs reads it: plain ones are blocks, those with K, M, G or T bytes, and
 * with `s` sectors of 512 bytes.
 * @throws EINVAL
 */
export function parseBlockCount(text: string, what: string): BlockCount {
  const sectors = /^(\d+)s$/u.exec(text);
  const bytes = /[0-9a-f][KMGT]$/iu.test(text);
  if (sectors === null && !bytes) return { blocks: number(text, what, UNITS) };
  const power = "KMGT".indexOf(text.slice(-1).toUpperCase()) + 1;
  const unit = sectors === null ? 1024 ** power : 512;
  const total = number(text.slice(0, -1), what) * unit;
  if (!Number.isSafeInteger(total)) refuse(`${what} ${text} is above 2^53 bytes`);
  return { bytes: total };
}

/** Of any number below 2^53, with `0x`, and of none above 2^64. */
const MOST_DIGITS = 18;

/** What a number of blocks may have behind it. */
const UNITS = ", or one with s, K, M, G or T";

/** An unsigned number, as C writes them. */
function number(text: string, what: string, more = ""): number {
  // Longer ones could have wrapped at 2^64.
  if (text.length <= MOST_DIGITS) {
    const { value, next, digits } = parseUnsigned(text);
    if (digits && next === text.length && value < 2n ** 53n) return Number(value);
  }
  return refuse(`${what} is "${text.slice(0, 40)}"; write an unsigned number below 2^53${more}`);
}

function needed(value: string | undefined, name: string): string {
  if (value !== undefined && value !== "") return value;
  return refuse(`${name} needs a value: ${name}=…`);
}

type Numeric = "stride" | "stripeWidth" | "backupSuperblocks" | "descSize" | "mmpUpdateInterval";
type Counted = "resize" | "orphanFileSize" | "journalLocation";
type Flag = "testFs" | "lazyItableInit" | "lazyJournalInit" | "packedMetaBlocks" | "zeroed";

const numeric =
  (key: Numeric | "journalMegabytes" | "fastCommitKilobytes"): Take =>
  (options, value, name) => {
    options[key] = number(needed(value, name), name);
  };
const counted =
  (key: Counted): Take =>
  (options, value, name) => {
    options[key] = parseBlockCount(needed(value, name), name);
  };
/** On when nothing or a number other than 0 is said. */
const flag =
  (key: Flag): Take =>
  (options, value, name) => {
    options[key] = value === undefined || number(value, name) !== 0;
  };
const plain =
  (take: (options: Mutable) => void): Take =>
  (options, value, name) => {
    if (value !== undefined) refuse(`${name} takes no value`);
    take(options);
  };

const takeOwner: Take = (options, value, name) => {
  const parts = needed(value, name).split(":");
  if (parts.length !== 2) refuse(`${name} is "${value}"; write it as uid:gid`);
  const [uid, gid] = parts.map((part) => number(part, name)) as [number, number];
  if (Math.max(uid, gid) > 0xffff_ffff) refuse(`${name} ${value}: ids are below 2^32`);
  options.rootOwner = { uid, gid };
};

const QUOTAS: Readonly<Record<string, QuotaType>> = {
  usr: "usr",
  usrquota: "usr",
  grp: "grp",
  grpquota: "grp",
  prj: "prj",
  prjquota: "prj",
};

const takeQuota: Take = (options, value, name) => {
  const types = new Set<QuotaType>();
  for (const item of needed(value, name).split(":")) {
    const clear = item.startsWith("^");
    const word = clear ? item.slice(1) : item;
    const type = Object.hasOwn(QUOTAS, word) ? QUOTAS[word] : undefined;
    if (type === undefined) refuse(`${name}: "${word}" is none of usr, grp, prj`);
    if (clear) types.delete(type);
    else types.add(type);
  }
  options.quotaTypes = [...types];
};

const takeEncoding: Take = (options, value, name) => {
  const text = needed(value, name);
  if (text !== "utf8" && text !== "utf8-12.1") {
    refuse(`${name} "${text.slice(0, 40)}" is not known; write utf8 or utf8-12.1`);
  }
  options.encoding = text;
};

const takeEncodingFlags: Take = (options, value, name) => {
  const text = needed(value, name);
  if (!/^\^?strict$/u.test(text)) refuse(`${name} "${text.slice(0, 40)}"; write strict or ^strict`);
  options.strictEncoding = text === "strict";
};

const EXTENDED: Readonly<Record<string, Take>> = {
  stride: numeric("stride"),
  stripe_width: numeric("stripeWidth"),
  "stripe-width": numeric("stripeWidth"),
  resize: counted("resize"),
  lazy_itable_init: flag("lazyItableInit"),
  lazy_journal_init: flag("lazyJournalInit"),
  assume_storage_prezeroed: flag("zeroed"),
  packed_meta_blocks: flag("packedMetaBlocks"),
  root_owner: takeOwner,
  test_fs: plain((options) => void (options.testFs = true)),
  hash_seed: (options, value, name) => void (options.hashSeed = needed(value, name)),
  num_backup_sb: numeric("backupSuperblocks"),
  desc_size: numeric("descSize"),
  "desc-size": numeric("descSize"),
  mmp_update_interval: numeric("mmpUpdateInterval"),
  quotatype: takeQuota,
  encoding: takeEncoding,
  encoding_flags: takeEncodingFlags,
  orphan_file_size: counted("orphanFileSize"),
  // How files are copied and space given back is not the filesystem's affair.
  no_copy_xattrs: plain(() => {}),
  discard: plain(() => {}),
  nodiscard: plain(() => {}),
};

const JOURNAL: Readonly<Record<string, Take>> = {
  size: numeric("journalMegabytes"),
  fast_commit_size: numeric("fastCommitKilobytes"),
  location: counted("journalLocation"),
};

/** Names of `-E` that decide what is done to the device, and not what is made on it. */
export interface DeviceWishes {
  /** Give back all space first; true unless told otherwise. */
  readonly discard?: boolean;
  /** Byte at which the filesystem starts. */
  readonly offset?: number;
}

/** Reads the list of `-E`. @throws EINVAL for what is not known or makes no sense */
export function parseExtended(list: string): { made: MakeExtOptions; device: DeviceWishes } {
  const device: { discard?: boolean; offset?: number } = {};
  const made = parseList(list, EXTENDED, "extended option", (name, value) => {
    if (name === "discard" || name === "nodiscard") device.discard = name === "discard";
    if (name !== "offset") return false;
    device.offset = number(needed(value, name), name);
    return true;
  });
  return { made, device };
}

/** Reads the list of `-J`. @throws EINVAL for what is not known or makes no sense */
export function parseJournal(list: string): MakeExtOptions {
  return { journal: true, ...parseList(list, JOURNAL, "journal option", refuseDevice) };
}

function refuseDevice(name: string): boolean {
  if (name !== "device") return false;
  return refuse("a journal on another device is not made; leave device away for one in a file");
}

function parseList(
  list: string,
  known: Readonly<Record<string, Take>>,
  what: string,
  special: (name: string, value: string | undefined) => boolean,
): MakeExtOptions {
  const options: Mutable = {};
  for (const item of list.split(",")) {
    if (item === "") continue;
    const equals = item.indexOf("=");
    const name = equals === -1 ? item : item.slice(0, equals);
    const value = equals === -1 ? undefined : item.slice(equals + 1);
    if (special(name, value)) continue;
    const take = Object.hasOwn(known, name) ? known[name] : undefined;
    if (take === undefined) {
      const near = closest(name, Object.keys(known));
      const all = Object.keys(known).join(", ");
      const hint = near === undefined ? `known are ${all}` : `did you mean ${near}?`;
      refuse(`${what} "${name.slice(0, 40)}" is not known; ${hint}`);
    }
    take(options, value, name);
  }
  return options;
}
