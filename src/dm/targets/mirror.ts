/**
 * mirror: the same sectors on several devices (RAID 1). A log says which regions of them are the
 * same; all others are copied from the first leg when the device is resumed.
 *
 * A region counts as dirty until a flush of all legs has come back. Linux calls it clean when the
 * writes have come back, which legs with caches may lose, each in its own way.
 *
 * @module
 */
import { SECTOR_SIZE } from "../../block/block-device.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { Arguments, MOST_UINT } from "../arguments.ts";
import type { Leg } from "../leg.ts";
import type { DaxAnswer, LegRange, Target, TargetContext, TargetType } from "../target.ts";
import { sectorOf } from "./linear.ts";
import { readRegionLog, type RegionLog } from "./region-log.ts";

const MOST_MIRRORS = 9;

/** What is wrong with a leg, as the status prints it. */
type LegState = "A" | "D" | "S" | "R";

/** A leg and what became of it. */
interface Mirror extends LegRange {
  state: LegState;
}

/** What a target is made of. */
interface MirrorOptions {
  readonly mirrors: readonly Mirror[];
  readonly log: RegionLog;
  readonly features: readonly string[];
  readonly sectors: number;
  readonly context: TargetContext;
}

class MirrorTarget implements Target {
  readonly uses: readonly LegRange[];
  /** Sectors in a region. */
  readonly maxIoLength: number;
  readonly #options: MirrorOptions;
  readonly #mirrors: readonly Mirror[];
  readonly #log: RegionLog;
  /** The leg that is right where others may not be. */
  #default: Mirror;

  constructor(options: MirrorOptions) {
    const { mirrors, log } = options;
    const logUse = log.leg === undefined ? [] : [{ leg: log.leg, start: 0, sectors: 1 }];
    this.uses = [...mirrors, ...logUse];
    this.maxIoLength = log.regionSize;
    this.#options = options;
    this.#mirrors = mirrors;
    this.#log = log;
    this.#default = mirrors[0] as Mirror;
  }

  preresume(): void {
    this.#log.resume();
    this.#recover();
  }

  postsuspend(): void {
    this.flush();
  }

  read(sector: number, target: Uint8Array): void {
    const inSync = this.#log.isInSync(this.#region(sector));
    // Where all legs are the same, any of them is right.
    const others = inSync ? this.#mirrors.filter((one) => one !== this.#default) : [];
    let failure: unknown;
    for (const mirror of [this.#default, ...others]) {
      try {
        mirror.leg.device.read(mirror.start + sector, target);
        return;
      } catch (error) {
        if (!isDaxError(error)) throw error;
        failure ??= error;
        this.#fail(mirror, "R");
      }
    }
    throw failure;
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    this.#onAll(sector, ({ leg, start }) => leg.device.write(start + sector, source, flags));
  }

  writeZeroes(sector: number, sectors: number): void {
    this.#onAll(sector, ({ leg, start }) => leg.device.writeZeroes(start + sector, sectors));
  }

  /** All legs or none: what one of them keeps the others must not lose. */
  discard(): void {
    const { name } = this.#options.context;
    const detail = "a mirror's legs may differ after a discard; writeZeroes clears a range";
    throw new DaxError("ENOTSUP", { syscall: "discard", path: name, detail });
  }

  flush(): void {
    const kept = this.#mirrors.filter((one) => this.#tried(one, () => one.leg.device.flush()));
    if (!kept.includes(this.#default)) this.#refuse("flush");
    // Only what all legs hold for good is the same after a power cut.
    if (kept.length === this.#mirrors.length) this.#log.clean();
  }

  dax(): DaxAnswer {
    return { reason: "a store to memory reaches one leg only" };
  }

  table(): string {
    const { features } = this.#options;
    const legs = this.#mirrors.map(({ leg, start }) => `${leg.text} ${start}`).join(" ");
    const words = features.length === 0 ? "" : ` ${features.length} ${features.join(" ")}`;
    return `${this.#log.table()} ${this.#mirrors.length} ${legs}${words}`;
  }

  status(): string {
    const legs = this.#mirrors.map(({ leg }) => leg.text).join(" ");
    const { synced, regions } = this.#log;
    const letters = this.#mirrors.map(({ state }) => state).join("");
    const known = `${this.#mirrors.length} ${legs} ${synced}/${regions}`;
    return `${known} 1 ${letters} ${this.#log.status()}`;
  }

  #region(sector: number): number {
    return Math.floor(sector / this.maxIoLength);
  }

  /** Writes to every leg; to a region that is not in sync only the right leg is written. */
  #onAll(sector: number, write: (mirror: Mirror) => void): void {
    const region = this.#region(sector);
    if (!this.#log.isInSync(region)) {
      if (!this.#tried(this.#default, () => write(this.#default))) this.#refuse("write");
      return;
    }
    this.#log.dirty(region);
    const written = this.#mirrors.filter((mirror) => this.#tried(mirror, () => write(mirror)));
    if (written.length === this.#mirrors.length) return;
    // Even a write that fails as a whole may have reached some of them.
    const whole = this.#log.synced === this.#log.regions;
    this.#log.setInSync(region, false);
    this.#log.store();
    if (!written.includes(this.#default)) this.#choose(written[0], whole);
  }

  /**
   * Another leg is the right one from now on. Not where some region is right on the failing one
   * only; and not where errors are to be handled: Linux then holds the write until the table is
   * replaced, for after a restart the first leg would be believed again.
   */
  #choose(other: Mirror | undefined, whole: boolean): void {
    const { features } = this.#options;
    if (other === undefined || !whole || features.includes("handle_errors")) this.#refuse("write");
    this.#default = other;
  }

  #tried(mirror: Mirror, request: () => void): boolean {
    try {
      request();
      return true;
    } catch (error) {
      if (!isDaxError(error) || isDaxError(error, "EROFS", "EINVAL")) throw error;
      this.#fail(mirror, "D");
      return false;
    }
  }

  #fail(mirror: Mirror, state: LegState): void {
    if (mirror.state !== "D") mirror.state = state;
    this.#options.context.event();
  }

  /** Copies what is not in sync from the leg that is right. */
  #recover(): void {
    const { sectors, context } = this.#options;
    const stale = this.#log.nextStale();
    for (let region = stale; region !== -1; region = this.#log.nextStale()) {
      const start = region * this.maxIoLength;
      if (!this.#copy(start, Math.min(this.maxIoLength, sectors - start))) break;
      this.#log.setInSync(region, true);
    }
    if (stale === -1) return;
    // The copies first, and then the word that they are there.
    const kept = this.#mirrors.map((mirror) =>
      this.#tried(mirror, () => mirror.leg.device.flush()),
    );
    if (kept.every(Boolean)) this.#log.store();
    context.event();
  }

  #copy(start: number, sectors: number): boolean {
    const from = this.#default;
    const piece = 128;
    for (let done = 0; done < sectors; done += piece) {
      const at = start + done;
      const bytes = new Uint8Array(Math.min(piece, sectors - done) * SECTOR_SIZE);
      if (!this.#tried(from, () => from.leg.device.read(from.start + at, bytes))) return false;
      for (const to of this.#mirrors) {
        if (to === from) continue;
        if (!this.#tried(to, () => to.leg.device.write(to.start + at, bytes))) return false;
      }
    }
    return true;
  }

  #refuse(syscall: string): never {
    const { name } = this.#options.context;
    const detail = "the leg that is right failed, and no other can take its place";
    throw new DaxError("EIO", { syscall, path: name, detail });
  }
}

/** `mirror LOG COUNT ARGUMENT... COUNT (DEVICE START)... [COUNT FEATURE...]` */
export const mirror: TargetType = {
  name: "mirror",
  version: [1, 14, 0],
  make(words, context) {
    if (words.length < 2) {
      const cause = `"mirror LOG COUNT ..." has ${words.length}`;
      context.refuse("EINVAL", "Insufficient mirror log arguments", cause);
    }
    const given = new Arguments(words, context);
    const log = readRegionLog(given, context);
    const count = given.number(2, MOST_MIRRORS, "Invalid number of mirrors");
    if (given.left < 2 * count) {
      const cause = `${count} mirrors take ${2 * count}, here are ${given.left}`;
      context.refuse("EINVAL", "Too few mirror arguments", cause);
    }
    const mirrors = Array.from({ length: count }, (): Mirror => mirrorOf(given, context));
    const features = given.left > 0 ? featuresOf(given, context) : [];
    if (given.left > 0) {
      context.refuse("EINVAL", "Too many mirror arguments", `${given.left} are left over`);
    }
    return new MirrorTarget({ mirrors, log, features, sectors: context.length, context });
  },
};

function mirrorOf(given: Arguments, context: TargetContext): Mirror {
  const device = given.word();
  const start = sectorOf(given.word(), "Invalid offset", context);
  const leg: Leg = context.open(device, "Device lookup failure");
  return { leg, start, sectors: context.length, state: "A" };
}

function featuresOf(given: Arguments, context: TargetContext): string[] {
  const count = given.number(0, MOST_UINT, "Invalid number of features");
  if (count > given.left) {
    const cause = `${count} were announced, ${given.left} follow`;
    context.refuse("EINVAL", "Not enough arguments to support feature count", cause);
  }
  const features = given.take(count);
  for (const word of features) {
    if (word !== "handle_errors" && word !== "keep_log") {
      context.refuse("EINVAL", "Unrecognised feature requested", `"${word}" is none`);
    }
  }
  if (features.includes("keep_log") && !features.includes("handle_errors")) {
    const error = "keep_log feature requires the handle_errors feature";
    context.refuse("EINVAL", error, "name both");
  }
  // Once is enough, and the order is the kernel's.
  return ["handle_errors", "keep_log"].filter((word) => features.includes(word));
}
