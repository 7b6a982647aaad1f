/**
 * The words of `-o`: what each means to a mount of ours, which are accepted because they change
 * nothing here, and which are refused because they would promise something.
 *
 * @module
 */
import { parseSize } from "../lib/size.ts";
import type { DataMode, OnErrors } from "../fs/ext/writing-options.ts";
import type { AccessTimes } from "../vfs/access-times.ts";

/** What `-o` says, put together; what is undefined was not said. */
export interface MountSettings {
  readOnly: boolean;
  noexec: boolean;
  nodev: boolean;
  nosuid: boolean;
  atime: AccessTimes;
  nodiratime: boolean;
  /** Undefined: as it is the custom for who mounts. */
  allowOther: boolean | undefined;
  uid: number | undefined;
  gid: number | undefined;
  umask: number | undefined;
  writebackCache: boolean;
  noOpen: boolean;
  nonempty: boolean;
  autoUnmount: boolean;
  fsname: string | undefined;
  subtype: string | undefined;
  offset: number | undefined;
  partition: number | undefined;
  dax: "always" | "inode" | "never" | undefined;
  /** Seconds. */
  commit: number | undefined;
  errors: OnErrors | undefined;
  data: DataMode | undefined;
  noload: boolean;
  nodelalloc: boolean;
  minixdf: boolean;
  /** A mount that is there already is to change. */
  remount: boolean;
}

/** Users and groups by their names. */
export interface Owners {
  user(text: string): number | undefined;
  group(text: string): number | undefined;
}

/** A value that cannot be; the message says what can. */
export class WrongValue extends Error {
  override readonly name = "WrongValue";
}

/** What a word does. */
export interface MountWord {
  /** How its value is written in messages; undefined for a word without one. */
  readonly value?: string;
  /** It may stand without its value. */
  readonly optional?: true;
  set(settings: MountSettings, value: string, owners: Owners): void;
}

type Flag = {
  [K in keyof MountSettings]: MountSettings[K] extends boolean ? K : never;
}[keyof MountSettings];

function flag(name: Flag, on = true): MountWord {
  return { set: (settings) => void (settings[name] = on) };
}

function access(times: AccessTimes): MountWord {
  return { set: (settings) => void (settings.atime = times) };
}

/** What somebody else than root may mount; a later word may allow it again, as in fstab. */
function forUsers(program: boolean, value?: string): MountWord {
  return {
    ...(value === undefined ? {} : { value, optional: true }),
    set(settings) {
      settings.nosuid = true;
      settings.nodev = true;
      if (program) settings.noexec = true;
    },
  };
}

function oneOf<T extends string>(choices: readonly T[], value: string): T {
  const found = choices.find((each) => each === value);
  if (found === undefined) throw new WrongValue(`it is ${choices.join(", ")}`);
  return found;
}

function count(value: string, most: number, what: string): number {
  const number = /^\d{1,10}$/u.test(value) ? Number(value) : Number.NaN;
  if (!(number <= most)) throw new WrongValue(`${what}, at most ${most}`);
  return number;
}

/** The last number of 32 bits says "as it is" to chown(2), and is nobody's. */
const MOST_ID = 2 ** 32 - 2;
/** `INT_MAX / HZ` of a kernel whose clock ticks a thousand times. */
const MOST_SECONDS = 2_147_483;

const DAX: readonly NonNullable<MountSettings["dax"]>[] = ["always", "never", "inode"];
const ERRORS: readonly OnErrors[] = ["continue", "remount-ro", "panic"];
const DATA: readonly DataMode[] = ["ordered", "writeback"];

function idOf(value: string, kind: "user" | "group", owners: Owners): number {
  const found = /^\d/u.test(value) ? count(value, MOST_ID, "a number") : owners[kind](value);
  if (found === undefined) throw new WrongValue(`no ${kind} of this machine has that name`);
  return found;
}

function sizeOf(value: string): number {
  try {
    return parseSize(value);
  } catch {
    throw new WrongValue("it is a number of bytes, or with a suffix as in 1M");
  }
}

function text(value: string): string {
  if (value.includes("\0")) throw new WrongValue("it has no NUL");
  return value;
}

/** Words that do something. */
export const MOUNT_WORDS: Readonly<Record<string, MountWord>> = {
  ro: flag("readOnly"),
  rw: flag("readOnly", false),
  noatime: access("none"),
  norelatime: access("relative"),
  relatime: access("relative"),
  strictatime: access("strict"),
  nostrictatime: access("relative"),
  atime: access("relative"),
  nodiratime: flag("nodiratime"),
  diratime: flag("nodiratime", false),
  noexec: flag("noexec"),
  exec: flag("noexec", false),
  nodev: flag("nodev"),
  dev: flag("nodev", false),
  nosuid: flag("nosuid"),
  suid: flag("nosuid", false),
  user: forUsers(true, "NAME"),
  users: forUsers(true),
  owner: forUsers(false),
  group: forUsers(false),
  allow_other: { set: (settings) => void (settings.allowOther = true) },
  noallow_other: { set: (settings) => void (settings.allowOther = false) },
  uid: {
    value: "USER",
    set: (settings, value, owners) => void (settings.uid = idOf(value, "user", owners)),
  },
  gid: {
    value: "GROUP",
    set: (settings, value, owners) => void (settings.gid = idOf(value, "group", owners)),
  },
  umask: {
    value: "OCTAL",
    set(settings, value) {
      const mask = /^[0-7]{1,5}$/u.test(value) ? Number.parseInt(value, 8) : Number.NaN;
      if (!(mask <= 0o777)) throw new WrongValue("it is octal, from 0 to 777");
      settings.umask = mask;
    },
  },
  writeback_cache: flag("writebackCache"),
  no_open: flag("noOpen"),
  nonempty: flag("nonempty"),
  auto_unmount: flag("autoUnmount"),
  noauto_unmount: flag("autoUnmount", false),
  fsname: { value: "TEXT", set: (settings, value) => void (settings.fsname = text(value)) },
  subtype: { value: "TEXT", set: (settings, value) => void (settings.subtype = text(value)) },
  offset: {
    value: "BYTES",
    set(settings, value) {
      settings.offset = sizeOf(value);
      settings.partition = undefined;
    },
  },
  partition: {
    value: "N",
    set(settings, value) {
      const partition = count(value, 1_000_000, "partitions count from 1");
      if (partition === 0) throw new WrongValue("partitions count from 1");
      settings.partition = partition;
      settings.offset = undefined;
    },
  },
  dax: {
    value: "always|never|inode",
    optional: true,
    set: (settings, value) => void (settings.dax = value === "" ? "always" : oneOf(DAX, value)),
  },
  commit: {
    value: "SECONDS",
    set: (settings, value) => void (settings.commit = count(value, MOST_SECONDS, "seconds")),
  },
  errors: {
    value: ERRORS.join("|"),
    set: (settings, value) => void (settings.errors = oneOf(ERRORS, value)),
  },
  data: {
    value: DATA.join("|"),
    set(settings, value) {
      if (value === "journal") throw new WrongValue("data go where they belong; fsync makes sure");
      settings.data = oneOf(DATA, value);
    },
  },
  noload: flag("noload"),
  norecovery: flag("noload"),
  delalloc: flag("nodelalloc", false),
  nodelalloc: flag("nodelalloc"),
  minixdf: flag("minixdf"),
  bsddf: flag("minixdf", false),
  remount: flag("remount"),
};

/**
 * Words that change nothing: what fstab says to others, what is so here anyway, and what tunes the
 * kernel's driver without a difference that anybody could see.
 */
export const WITHOUT_EFFECT: ReadonlySet<string> = new Set(
  (
    "defaults auto noauto nofail _netdev nouser nousers noowner nogroup comment helper uhelper " +
    "loop sizelimit async silent loud quiet mand nomand iversion noiversion i_version " +
    "lazytime nolazytime default_permissions max_read rootmode user_id group_id " +
    "acl user_xattr nogrpid sysvgroups noquota orlov oldalloc bh nobh nocheck " +
    "barrier nobarrier discard nodiscard auto_da_alloc noauto_da_alloc block_validity " +
    "noblock_validity dioread_lock dioread_nolock init_itable noinit_itable mblk_io_submit " +
    "nomblk_io_submit inode_readahead_blks stripe max_batch_time min_batch_time " +
    "journal_ioprio no_mbcache nombcache prefetch_block_bitmaps no_prefetch_block_bitmaps " +
    "mb_optimize_scan journal_checksum"
  ).split(" "),
);

const QUOTA = "quotas are not kept; repair them with the kernel's mount, or tune2fs -O ^quota";
const SELINUX = "labels are the files' own here";

/** Words that Linux knows, and what to do without them. */
export const REFUSED: Readonly<Record<string, string>> = {
  sync: "not every write is made durable; fsync does it, or commit=1 every second",
  dirsync: "not every change of names is made durable; fsync does it, or commit=1 every second",
  nosymfollow: "links are followed; the kernel does not tell FUSE",
  noacl: "access lists always count",
  nouser_xattr: "attributes are always there",
  grpid: "new files have the group of who makes them; chmod g+s does it for a directory",
  bsdgroups: "new files have the group of who makes them; chmod g+s does it for a directory",
  quota: QUOTA,
  usrquota: QUOTA,
  grpquota: QUOTA,
  prjquota: QUOTA,
  usrjquota: QUOTA,
  grpjquota: QUOTA,
  jqfmt: QUOTA,
  resuid: "reserved blocks are root's; daxkit tune says whose they are",
  resgid: "reserved blocks are root's; daxkit tune says whose they are",
  sb: "the first superblock is used; e2fsck -b repairs it from another",
  abort: "there is nothing to try out",
  journal_dev: "journals are inside the filesystem",
  journal_path: "journals are inside the filesystem",
  journal_async_commit: "a commit waits for its blocks",
  data_err: "contents that cannot be written are an error of who wrote them",
  allow_root: "allow_other with the permissions of the directory above does it",
  fd: "the descriptor is opened here",
  bind: "that is mount(8)'s own; leave the type out",
  rbind: "that is mount(8)'s own; leave the type out",
  move: "that is mount(8)'s own; leave the type out",
  context: SELINUX,
  fscontext: SELINUX,
  defcontext: SELINUX,
  rootcontext: SELINUX,
};
