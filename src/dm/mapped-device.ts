/**
 * A mapped device: a disk whose sectors are served by the targets of a table, which can be replaced
 * while it is in use. It has two slots: the live table, and one that was loaded and waits for
 * `resume`.
 *
 * Requests are synchronous, so none ever waits: one that meets a suspended device is EAGAIN, where
 * Linux holds it back until the device is resumed.
 *
 * @module
 */
import {
  type BlockDevice,
  type DeviceUser,
  type QueueLimits,
  SECTOR_SIZE,
} from "../block/block-device.ts";
import { DeviceFreeze } from "../block/device-freeze.ts";
import type { SectorRange } from "../block/device-users.ts";
import type { DeviceNumber } from "../block/device-numbers.ts";
import {
  checkBytes,
  checkRequest,
  checkSectors,
  checkWritable,
  readBytesBySector,
  writeBytesBySector,
} from "../block/request.ts";
import type { DaxDevice } from "../dax/dax-device.ts";
import type { DaxRange } from "../dax/iomap.ts";
import { PAGE_SIZE } from "../dax/operations.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import { surely } from "../lib/for-every.ts";
import { routedDax, routesChange } from "./dax-routing.ts";
import { numberText } from "./device-directory.ts";
import { passUp } from "./failure-routing.ts";
import type { FailureListener } from "../dax/media-failures.ts";
import type { MappedOptions, SuspendOptions } from "./mapped-options.ts";
import { sendMessage } from "./message.ts";
import { byteRun, part, runOf } from "./request-parts.ts";
import { reachThrough, tableUser } from "./leg.ts";
import { NO_LIMITS, type Table } from "./table.ts";
import { loadTable, noTable } from "./table-loader.ts";
import type { TableLine } from "./words.ts";

/** A device of a {@link DeviceMapper}. */
export class MappedDevice implements BlockDevice {
  /** Without `/dev/mapper/`; renaming changes it. */
  name: string;
  /** Empty unless it was given one. */
  uuid: string;
  readonly number: DeviceNumber;
  /** Users that have it open: tables above it, and whoever called `open`. */
  openCount = 0;
  /** Removal waits for the last user. */
  deferred = false;
  /** Sectors, as dmsetup tells them; nothing is read ahead here. */
  readAhead = 256;
  /** It had a table once; before that the kernel has no disk for it. */
  loaded = false;
  readonly #options: MappedOptions;
  readonly #failed: FailureListener = (...what) => passUp(this.#active, this.#dax, ...what);
  #active: Table | undefined;
  #inactive: Table | undefined;
  #dax: DaxDevice | undefined;
  #suspended = false;
  /** Of filesystems, and of mapped devices above: for `suspend`, and for what happens below. */
  readonly #standing = new DeviceFreeze(this);
  #thaw = (): void => {};
  #removed = false;
  #events = 0;
  readonly #watchers = new Set<() => void>();

  /** @internal */
  constructor(options: MappedOptions) {
    this.#options = options;
    this.name = options.name;
    this.uuid = options.uuid;
    this.number = options.number;
  }

  get sectors(): number {
    return this.#active?.sectors ?? 0;
  }

  get limits(): QueueLimits {
    return this.#active?.limits ?? NO_LIMITS;
  }

  get readOnly(): boolean {
    return this.#active?.readOnly ?? false;
  }

  get freezing(): DeviceFreeze {
    return this.#standing;
  }

  /** By requests wherever a target has no dax, and where a leg asks for it. */
  get metadataBySector(): boolean {
    return this.#active?.legs.some(({ device }) => device.metadataBySector === true) ?? false;
  }

  /** Whole pages; undefined unless every target and leg offers dax. */
  get dax(): DaxRange | undefined {
    const device = this.#dax;
    if (device === undefined || this.#active?.dax === undefined) return undefined;
    return { device, start: 0, length: device.pages * PAGE_SIZE };
  }

  /** Why the device offers no dax: which target or device is to blame; undefined if it does. */
  get daxReason(): string | undefined {
    if (this.#options.dax === "never") return `${this.name} was made with dax=never`;
    if (this.#active === undefined) return `${this.name} has no table`;
    return this.#active.daxReason;
  }

  /** The table that serves requests. @internal */
  get active(): Table | undefined {
    return this.#active;
  }

  /** The table that waits for `resume`. @internal */
  get inactive(): Table | undefined {
    return this.#inactive;
  }

  get suspended(): boolean {
    return this.#suspended;
  }

  /** Events so far: what `dmsetup wait` counts. */
  get events(): number {
    return this.#events;
  }

  /** The devices of its tables, live or loaded. */
  get below(): readonly BlockDevice[] {
    return [this.#active, this.#inactive].flatMap((table) =>
      (table?.legs ?? []).map(({ device }) => device),
    );
  }

  /** Something happened that a waiting program wants to know. */
  event(): void {
    this.#events++;
    this.#tell();
  }

  /** Calls back after each event, `resume` and removal. Returns what ends that. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => void this.#watchers.delete(watcher);
  }

  /**
   * Puts a table into the inactive slot, in place of one that waits there. A bad table leaves both
   * slots as they were.
   * @throws EINVAL and what targets throw; EINVAL also for a table without dax while somebody uses
   *   the dax that the live one has
   */
  load(lines: readonly TableLine[], readOnly = false): void {
    this.#assertThere("load");
    const table = loadTable(lines, {
      ...this.#options.context,
      owner: this,
      number: numberText(this.number),
      readOnly,
      event: () => this.event(),
      failed: this.#failed,
      user: tableUser(this, this.#standing, () => {
        if (!this.#suspended) this.#active?.postsuspend();
      }),
    });
    if (this.#losesDax(table)) {
      table.destroy();
      throw new DaxError("EINVAL", {
        syscall: "load",
        path: this.name,
        detail:
          "device-mapper: ioctl: can't change device type (old=3 vs new=1) after initial table " +
          `load; the device is in use, and the new table has no dax: ${table.daxReason ?? ""}`,
      });
    }
    this.#inactive?.destroy();
    this.#inactive = table;
    this.loaded = true;
  }

  /** Empties the inactive slot. */
  clear(): void {
    this.#assertThere("clear");
    this.#inactive?.destroy();
    this.#inactive = undefined;
  }

  /**
   * Stops requests: first mounted filesystems and raw mappings are frozen, then the targets bring
   * home what they hold. As in Linux a target that cannot keeps nobody from standing still: its
   * status tells. A device that is suspended stays so.
   * @throws EBUSY, EIO when a filesystem or a mapping cannot stand still: then nothing is suspended
   */
  suspend({ nolockfs = false }: SuspendOptions = {}): void {
    this.#assertThere("suspend");
    if (this.#suspended) return;
    this.#thaw = this.#standing.begin(!nolockfs);
    this.#active?.presuspend();
    this.#suspended = true;
    routesChange();
    this.#active?.postsuspend();
  }

  /**
   * Makes a loaded table the live one, and lets requests through. A filesystem that then fails, for
   * the new table has no room for it, fails by itself, as in Linux.
   * @throws what a target throws that cannot go on. A new table waits then in its slot again, and
   *   the old one goes on as before; a device without another table stays suspended
   */
  resume(options: SuspendOptions = {}): void {
    this.#assertThere("resume");
    const [wasSuspended, old, next] = [this.#suspended, this.#active, this.#inactive];
    if (next !== undefined) {
      if (!wasSuspended) this.suspend(options);
      this.#activate(next, undefined);
    }
    if (!this.#suspended) return;
    if (this.#active === undefined) throw noTable(this.name);
    try {
      this.#active.preresume();
    } catch (error) {
      if (next !== undefined) this.#goBack(old, next, wasSuspended);
      throw error;
    }
    if (next !== undefined) old?.destroy();
    this.#goOn();
  }

  /**
   * Hands a message to the target that serves a sector.
   * @throws EINVAL for a sector behind the end, and for what the target does not know
   */
  message(sector: number, text: string): string | undefined {
    this.#assertThere("message");
    return sendMessage(this, sector, text);
  }

  /** Takes the device into use; the returned function ends that, once. @throws ENXIO */
  open(name = "somebody who has it open"): () => void {
    return this.hold({ name, use: "open" });
  }

  /** As {@link open}; `suspend` freezes a filesystem. @throws ENXIO, EBUSY naming who is there */
  hold(user: DeviceUser, range?: SectorRange): () => void {
    this.#assertThere("open");
    const leave = this.#standing.users.hold(user, range);
    reachThrough(user, this.below, leave);
    if (user.use === "through") return leave;
    this.openCount++;
    let open = true;
    return () => {
      if (!open) return;
      open = false;
      leave();
      this.openCount--;
      this.#options.closed();
    };
  }

  users(range?: SectorRange): readonly DeviceUser[] {
    return this.#standing.users.of(range);
  }

  /** Ends the device: its mapper has seen to it that nobody uses it. Idempotent. */
  destroy(): void {
    if (this.#removed) return;
    this.#removed = true;
    routesChange();
    this.#dax?.kill();
    const [active, inactive] = [this.#active, this.#inactive];
    const steps = [
      () => this.#suspended || active?.presuspend(),
      () => this.#suspended || active?.postsuspend(),
      () => inactive?.destroy(),
      () => active?.destroy(),
    ];
    [this.#active, this.#inactive] = [undefined, undefined];
    surely(steps, (step) => void step());
    this.#tell();
  }

  read(sector: number, target: Uint8Array): void {
    const table = this.#ready("read");
    checkRequest(this, "read", sector, target.length);
    const sectors = target.length / SECTOR_SIZE;
    for (let done = 0; done < sectors;) {
      const placed = (table as Table).at(sector + done);
      const from = sector + done - placed.begin;
      const run = runOf(placed, from, sectors - done);
      placed.target.read(from, part(target, done * SECTOR_SIZE, run * SECTOR_SIZE));
      done += run;
    }
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    const table = this.#ready("write");
    checkWritable(this);
    checkRequest(this, "write", sector, source.length);
    const sectors = source.length / SECTOR_SIZE;
    for (let done = 0; done < sectors;) {
      const placed = (table as Table).at(sector + done);
      const from = sector + done - placed.begin;
      const run = runOf(placed, from, sectors - done);
      placed.target.write(from, part(source, done * SECTOR_SIZE, run * SECTOR_SIZE), flags);
      done += run;
    }
  }

  writeZeroes(sector: number, sectors: number): void {
    const table = this.#ready("write_zeroes");
    checkWritable(this);
    checkSectors(this, "write_zeroes", sector, sectors);
    for (let done = 0; done < sectors;) {
      const placed = (table as Table).at(sector + done);
      const from = sector + done - placed.begin;
      const run = runOf(placed, from, sectors - done);
      placed.target.writeZeroes(from, run);
      done += run;
    }
  }

  discard(sector: number, sectors: number): void {
    const table = this.#ready("discard");
    checkWritable(this);
    checkSectors(this, "discard", sector, sectors);
    for (let done = 0; done < sectors;) {
      const placed = (table as Table).at(sector + done);
      const from = sector + done - placed.begin;
      const run = Math.min(sectors - done, placed.length - from);
      placed.target.discard(from, run);
      done += run;
    }
  }

  /** Reaches every leg, each once where targets only pass it on. */
  flush(): void {
    const table = this.#ready("flush");
    if (table === undefined) return;
    for (const device of table.flushed) device.flush();
    for (const target of table.flushing) target.flush?.();
  }

  readBytes(offset: number, target: Uint8Array): void {
    const table = this.#ready("read");
    if (table?.byBytes !== true) {
      readBytesBySector(this, offset, target);
      return;
    }
    checkBytes(this, "read", offset, target.length);
    for (let done = 0; done < target.length;) {
      const placed = table.at(Math.floor((offset + done) / SECTOR_SIZE));
      const from = offset + done - placed.begin * SECTOR_SIZE;
      const run = byteRun(placed, from, target.length - done);
      placed.target.readBytes?.(from, part(target, done, run));
      done += run;
    }
  }

  writeBytes(offset: number, source: Uint8Array): void {
    const table = this.#ready("write");
    if (table?.byBytes !== true) {
      writeBytesBySector(this, offset, source);
      return;
    }
    checkWritable(this);
    checkBytes(this, "write", offset, source.length);
    for (let done = 0; done < source.length;) {
      const placed = table.at(Math.floor((offset + done) / SECTOR_SIZE));
      const from = offset + done - placed.begin * SECTOR_SIZE;
      const run = byteRun(placed, from, source.length - done);
      placed.target.writeBytes?.(from, part(source, done, run));
      done += run;
    }
  }

  #tell(): void {
    // A watcher may well end itself.
    for (const watcher of Array.from(this.#watchers)) watcher();
  }

  #activate(table: Table | undefined, inactive: Table | undefined): void {
    this.#active = table;
    this.#inactive = inactive;
    if (table !== undefined) this.#bindDax(table);
    routesChange();
  }

  /** The new table cannot be used: everything is as it was before it was tried. */
  #goBack(old: Table | undefined, next: Table, wasSuspended: boolean): void {
    next.postsuspend();
    this.#activate(old, next);
    if (wasSuspended) return;
    try {
      old?.preresume();
    } catch (error) {
      // What suspending did not find out: now neither of them can be used.
      if (!isDaxError(error)) throw error;
      return;
    }
    this.#goOn();
  }

  #goOn(): void {
    this.#active?.resume();
    this.#suspended = false;
    routesChange();
    // Who stands on it has said what is wrong, and refuses to be written to.
    surely([this.#thaw], (thaw) => thaw());
    this.#tell();
  }

  /** One dax device for the whole life: whoever holds it sees the routes change. */
  #bindDax(table: Table): void {
    if (this.#options.dax === "never" || table.dax === undefined) return;
    const { writeCache, synchronous } = table.dax;
    const pages = Math.floor((table.sectors * SECTOR_SIZE) / PAGE_SIZE);
    if (this.#dax === undefined) {
      this.#dax = routedDax(this, { name: this.name, pages, writeCache, synchronous });
      return;
    }
    Object.assign(this.#dax, { pages, writeCache, synchronous });
  }

  /** Mappings and filesystems that were promised dax cannot do without it. */
  #losesDax(table: Table): boolean {
    const dax = this.dax?.device;
    if (dax === undefined || table.dax !== undefined) return false;
    return this.openCount > 0 || dax.users > 0 || dax.holder !== undefined;
  }

  #ready(syscall: string): Table | undefined {
    if (this.#removed || this.#suspended) this.#assertThere(syscall);
    if (!this.#suspended) return this.#active;
    const detail = "the device is suspended; resume it first";
    throw new DaxError("EAGAIN", { syscall, path: this.name, detail });
  }

  #assertThere(syscall: string): void {
    if (!this.#removed) return;
    throw new DaxError("ENXIO", { syscall, path: this.name, detail: "the device was removed" });
  }
}
