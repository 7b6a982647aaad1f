/**
 * Which regions of a mirror are the same on all legs: in memory (`core`), and on a disk (`disk`),
 * where a region is marked before it is written to, so that a power cut leaves no doubt.
 *
 * @module
 */
import { SECTOR_SIZE } from "../../block/block-device.ts";
import {
  MIRROR_BITS,
  MIRROR_DISK_VERSION,
  MIRROR_MAGIC,
  MirrorLogHeader,
} from "../../format/dm-mirror.ts";
import { Bitmap } from "../../lib/bitmap.ts";
import { isDaxError } from "../../lib/errno.ts";
import { type Arguments, MOST_UINT } from "../arguments.ts";
import type { Leg } from "../leg.ts";
import type { TargetContext } from "../target.ts";
import { unsigned } from "../words.ts";

/** Regions that a log may have: its bits are kept in memory, and written as a whole. */
const MOST_REGIONS = 1 << 26;

/** What a log is made of. */
export interface RegionLogOptions {
  readonly regionSize: number;
  readonly regions: number;
  /** Given: what holds whatever the log says. */
  readonly sync: "sync" | "nosync" | undefined;
  /** Undefined: a core log. */
  readonly leg: Leg | undefined;
}

/** The state of each region. */
export class RegionLog {
  /** Sectors. */
  readonly regionSize: number;
  readonly regions: number;
  readonly leg: Leg | undefined;
  readonly #sync: RegionLogOptions["sync"];
  /** Regions that are the same on all legs, as long as they are not written to. */
  readonly #inSync: Bitmap;
  /** The log as it lies on its disk: the header, and what is in sync and not being written to. */
  readonly #image: Uint8Array<ArrayBuffer>;
  readonly #clean: Bitmap;
  /** Regions that are being written to: no flush of all legs has come back since. */
  readonly #dirty = new Set<number>();
  #failed = false;

  constructor({ regionSize, regions, sync, leg }: RegionLogOptions) {
    this.regionSize = regionSize;
    this.regions = regions;
    this.leg = leg;
    this.#sync = sync;
    this.#inSync = new Bitmap(regions);
    this.#image = new Uint8Array(logBytes(regions));
    this.#clean = new Bitmap(regions, this.#image.subarray(MIRROR_BITS));
    if (leg === undefined && sync === "nosync") this.#fill(0);
  }

  /** Regions that are in sync. */
  get synced(): number {
    return this.#inSync.count();
  }

  isInSync(region: number): boolean {
    return this.#inSync.get(region);
  }

  /** The first region that is not in sync; -1 when there is none. */
  nextStale(): number {
    return this.#inSync.nextClear();
  }

  /** Reads what a disk says; a new log, or a failing one, says what was asked for. */
  resume(): void {
    this.#dirty.clear();
    if (this.leg === undefined) return;
    const known = this.#read();
    if (this.#sync === "nosync") this.#fill(known);
    this.#write();
  }

  /** All legs of the region are about to be written: a disk has to know before. */
  dirty(region: number): void {
    if (this.#dirty.has(region)) return;
    this.#dirty.add(region);
    this.#clean.clear(region);
    this.#write();
  }

  /** What was written is on all legs and stays there. */
  clean(): void {
    if (this.#dirty.size === 0) return;
    for (const region of this.#dirty) if (this.#inSync.get(region)) this.#clean.set(region);
    this.#dirty.clear();
    this.#write();
  }

  /** The legs differ, or are the same again. */
  setInSync(region: number, inSync: boolean): void {
    if (inSync) this.#inSync.set(region);
    else this.#inSync.clear(region);
    if (inSync && !this.#dirty.has(region)) this.#clean.set(region);
    else this.#clean.clear(region);
  }

  /** Writes the states down. */
  store(): void {
    this.#write();
  }

  /** As `dmsetup table` prints it. */
  table(): string {
    const words: (string | number)[] = this.leg === undefined ? [] : [this.leg.text];
    words.push(this.regionSize, ...(this.#sync === undefined ? [] : [this.#sync]));
    return `${this.leg === undefined ? "core" : "disk"} ${words.length} ${words.join(" ")}`;
  }

  /** As `dmsetup status` prints it. */
  status(): string {
    if (this.leg === undefined) return "1 core";
    return `3 disk ${this.leg.text} ${this.#failed ? "D" : "A"}`;
  }

  #fill(from: number): void {
    this.#inSync.fill(from, this.regions - from, true);
    this.#clean.fill(from, this.regions - from, true);
  }

  /** Returns how many regions the disk knew of. */
  #read(): number {
    const bytes = new Uint8Array(logBytes(this.regions));
    try {
      this.leg?.device.read(0, bytes);
    } catch (error) {
      if (!isDaxError(error)) throw error;
      this.#failed = true;
      return 0;
    }
    const view = new DataView(bytes.buffer);
    const { magic, version, nrRegions } = MirrorLogHeader;
    const isOurs = magic.get(view, 0) === MIRROR_MAGIC;
    if (!isOurs || version.get(view, 0) > MIRROR_DISK_VERSION) return 0;
    const known = Math.min(nrRegions.get(view, 0), this.regions);
    for (let region = 0; region < known; region++) {
      const byte = bytes[MIRROR_BITS + (region >>> 3)] ?? 0;
      this.setInSync(region, ((byte >>> (region & 7)) & 1) === 1);
    }
    return known;
  }

  #write(): void {
    if (this.leg === undefined || this.#failed) return;
    const view = new DataView(this.#image.buffer);
    MirrorLogHeader.magic.set(view, 0, MIRROR_MAGIC);
    MirrorLogHeader.version.set(view, 0, MIRROR_DISK_VERSION);
    MirrorLogHeader.nrRegions.set(view, 0, this.regions);
    try {
      this.leg.device.write(0, this.#image);
      this.leg.device.flush();
    } catch (error) {
      if (!isDaxError(error)) throw error;
      this.#failed = true;
    }
  }
}

/** Whole sectors that hold the header and a bit for each region. */
function logBytes(regions: number): number {
  const bits = Math.ceil(regions / 32) * 4;
  return Math.ceil((MIRROR_BITS + bits) / SECTOR_SIZE) * SECTOR_SIZE;
}

/** The kernel's error does not tell what was wrong with the device; the cause behind it does. */
function openLog(device: string, context: TargetContext): Leg {
  try {
    return context.open(device, "Log device lookup failed");
  } catch (error) {
    if (!isDaxError(error)) throw error;
    const why = error.detail ?? error.message;
    return context.refuse("EINVAL", "Error creating mirror dirty log", why);
  }
}

/**
 * Reads `core COUNT REGION_SIZE [sync|nosync]` or `disk COUNT DEVICE REGION_SIZE [sync|nosync]`.
 * @throws EINVAL in the kernel's words
 */
export function readRegionLog(given: Arguments, context: TargetContext): RegionLog {
  const type = given.word();
  const count = given.number(0, MOST_UINT, "Invalid mirror log argument count");
  if (count > given.left) {
    const cause = `${count} were announced, ${given.left} follow`;
    context.refuse("EINVAL", "Insufficient mirror log arguments", cause);
  }
  const words = given.take(count);
  const wrong = (cause: string): never =>
    context.refuse("EINVAL", "Error creating mirror dirty log", `dirty region log: ${cause}`);
  if (type !== "core" && type !== "disk") {
    return wrong(`Module for logging type "${type ?? ""}" not found.`);
  }
  const device = type === "disk" ? words.shift() : undefined;
  const [size, sync, ...more] = words;
  if (size === undefined || more.length > 0) {
    return wrong(`wrong number of arguments to ${type === "disk" ? "disk " : ""}dirty region log`);
  }
  if (sync !== undefined && sync !== "sync" && sync !== "nosync") {
    return wrong(`unrecognised sync argument to dirty region log: ${sync}`);
  }
  const regionSize = unsigned(size, MOST_UINT, 32) ?? 0;
  const isPower = regionSize >= 2 && Number.isInteger(Math.log2(regionSize));
  if (!isPower || regionSize > context.length) return wrong(`invalid region size ${size}`);
  const regions = Math.ceil(context.length / regionSize);
  if (regions > MOST_REGIONS) return wrong(`${regions} regions; ${MOST_REGIONS} are the most`);
  const leg = device === undefined ? undefined : openLog(device, context);
  if (leg !== undefined && logBytes(regions) > leg.device.sectors * SECTOR_SIZE) {
    const need = `need ${logBytes(regions)} bytes`;
    return wrong(`log device ${leg.device.name} too small: ${need}`);
  }
  return new RegionLog({ regionSize, regions, sync, leg });
}
