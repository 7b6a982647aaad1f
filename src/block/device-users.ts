/**
 * Who has a device in use, and who may be there beside him. Linux claims a block device for one
 * holder: a filesystem, or device-mapper, whose tables share it; a disk and its partitions count as
 * one. Who merely has it open (a raw mapping, a client) is no holder, and only kept apart from
 * filesystems here: what he stores would be theirs.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import { isShared } from "../dax/media-failures.ts";
import { DaxError } from "../lib/errno.ts";
import { givenText } from "../lib/given.ts";
import { type BlockDevice, type DeviceUser, SECTOR_SIZE } from "./block-device.ts";

/**
 * What somebody does with a device: a filesystem that only reads it, or one that is written, or
 * made; a table of device-mapper; a raw mapping; somebody who has it open, as a client of a server
 * does; a filesystem that reaches it through tables.
 */
export type DeviceUse = "read" | "write" | "table" | "raw" | "open" | "through";

/** A run of sectors of a device. */
export interface SectorRange {
  readonly start: number;
  readonly sectors: number;
}

interface Joined extends SectorRange {
  readonly user: DeviceUser;
}

/** All of a device, whatever size it gets. */
const WHOLE: SectorRange = { start: 0, sectors: Number.POSITIVE_INFINITY };

const SYSCALLS: Record<DeviceUse, string> = {
  read: "mount",
  write: "mount",
  through: "mount",
  raw: "mmap",
  table: "open",
  open: "open",
};

/** Of all disks over a dax device that somebody has used. */
const overDax = new WeakMap<DaxDevice, Set<DeviceUsers>>();

/** The users of one device. */
export class DeviceUsers {
  readonly #device: Pick<BlockDevice, "name" | "dax">;
  readonly #joined = new Set<Joined>();

  constructor(device: Pick<BlockDevice, "name" | "dax">) {
    this.#device = device;
  }

  /**
   * Somebody uses the device, or a run of its sectors, until the returned function is called; that
   * may be called again.
   * @throws EBUSY naming who is there already and cannot be beside him, EINVAL for who does not say
   *   what he does
   */
  hold(user: DeviceUser, range = WHOLE): () => void {
    this.#assertUser(user);
    this.#assertUnclaimed(user);
    for (const other of this.#joined) if (excludes(user, range, other)) this.#refuse(user, other);
    const joined = { user, start: range.start, sectors: range.sectors };
    this.#joined.add(joined);
    this.#beKnown();
    return () => void this.#joined.delete(joined);
  }

  /** Who uses some of the sectors, each once. */
  of(range = WHOLE): DeviceUser[] {
    const there = Array.from(this.#joined).filter((joined) => overlap(joined, range));
    return [...new Set(there.map(({ user }) => user))];
  }

  /** Whether somebody is one of them. */
  has(user: DeviceUser): boolean {
    return Array.from(this.#joined).some((joined) => joined.user === user);
  }

  /** Whoever takes the memory away knows no disk. */
  #beKnown(): void {
    const dax = this.#device.dax?.device;
    if (dax === undefined) return;
    const known = overDax.get(dax) ?? new Set();
    overDax.set(dax, known.add(this));
  }

  #assertUser(user: Partial<DeviceUser> | undefined): void {
    const { name, use = "" } = user ?? {};
    if (typeof name === "string" && Object.hasOwn(SYSCALLS, use)) return;
    const uses = Object.keys(SYSCALLS).join(", ");
    const given = `${givenText(user)} with use ${givenText(use)}`;
    const detail = `a user has a name, and a use, one of ${uses}; given was ${given}`;
    throw new DaxError("EINVAL", { syscall: "open", path: this.#device.name, detail });
  }

  /** Who claims the memory stores to it by himself. */
  #assertUnclaimed({ use, syscall = SYSCALLS[use] }: DeviceUser): void {
    const { name, dax } = this.#device;
    const holder = dax?.device.holder;
    if (use === "open" || holder === undefined || isShared(holder)) return;
    const detail = `its memory is held by ${holder.name}; end that first`;
    throw new DaxError("EBUSY", { syscall, path: name, detail });
  }

  #refuse({ use, syscall = SYSCALLS[use] }: DeviceUser, by: Joined): never {
    const { name } = this.#device;
    const bytes = `bytes ${by.start * SECTOR_SIZE}+${by.sectors * SECTOR_SIZE} of ${name} are`;
    const what = by.sectors === WHOLE.sectors ? `${name} is` : bytes;
    const detail = `${what} in use by ${by.user.name}; end that first`;
    throw new DaxError("EBUSY", { syscall, path: name, detail });
  }
}

/** The names of a device's users for a message: `ext4 on pmem0p1, mounted at /a`. */
export function namesOf(users: Iterable<DeviceUser>): string {
  return Array.from(users, ({ name }) => name).join(" and ");
}

/** Who uses disks over a dax device, each once. */
export function usersOver(dax: DaxDevice): readonly DeviceUser[] {
  const all = Array.from(overDax.get(dax) ?? [], (users) => users.of());
  return [...new Set(all.flat())];
}

/**
 * Who keeps a device from being taken away, for a message: everybody but raw mappings, which end
 * with it, unless memory was handed out. Undefined when nobody does.
 */
export function keepersOf(dax: DaxDevice, users = usersOver(dax)): string | undefined {
  const { alive, holder, users: entered } = dax;
  const kept = entered > 0 || holder !== undefined || users.some(({ use }) => use !== "raw");
  if (!alive || !kept) return undefined;
  // Filesystems and tables share a holder, and are users of the disk, too.
  const known = holder === undefined || (isShared(holder) && users.length > 0);
  const inside = entered === 0 ? [] : [`${entered} mappings or operations`];
  const held = known ? [] : [`held by ${holder.name}`];
  const used = users.length === 0 ? [] : [`in use by ${namesOf(users)}`];
  return [...inside, ...held, ...used].join(", ");
}

/**
 * Does something to all of a device that nobody else may have in use meanwhile: `call` is what the
 * EBUSY says.
 * @throws EBUSY naming who is there, with nothing done
 */
export function holdAlone<T>(device: BlockDevice, call: string, body: () => T): T {
  const user = { name: `${call} of ${device.name}`, use: "write", syscall: call } as const;
  const release = device.hold?.(user);
  try {
    return body();
  } finally {
    release?.();
  }
}

function overlap(one: SectorRange, two: SectorRange): boolean {
  return one.start < two.start + two.sectors && two.start < one.start + one.sectors;
}

function excludes(user: DeviceUser, range: SectorRange, other: Joined): boolean {
  if (user === other.user || !overlap(range, other)) return false;
  const uses = new Set([user.use, other.user.use]);
  if (uses.has("open")) return false;
  if (uses.has("raw")) return [user, other.user].some((one) => reachesFilesystem(one));
  if (uses.has("through")) return false;
  if (user.use === "read" && other.user.use === "read") return false;
  const same = range.start === other.start && range.sectors === other.sectors;
  return user.use !== "table" || other.user.use !== "table" || !same;
}

/** Whether it is a filesystem, or has one on top of it. */
export function reachesFilesystem(user: DeviceUser): boolean {
  if (user.use !== "table") return user.use !== "raw" && user.use !== "open";
  return user.above?.().some(reachesFilesystem) ?? false;
}
