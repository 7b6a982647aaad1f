/**
 * flakey: a device that works for a while and then does not, in turns. The seconds are those of the
 * mapper's clock.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import type { Environment } from "../../lib/environment.ts";
import { Arguments, MOST_UINT } from "../arguments.ts";
import type { Leg } from "../leg.ts";
import type { DaxAnswer, LegRange, Target, TargetType } from "../target.ts";
import { type FlakeyFeatures, featureWords, readFeatures } from "./flakey-features.ts";
import { sectorOf } from "./linear.ts";

/** Bits of a request that `corrupt_bio_byte` may ask for; a request has no others here. */
const REQ_FUA = 1 << 17;
/** The share of requests is given in parts of this. */
const RANDOM_BASE = 1_000_000_000;

/** What a target is made of. */
interface FlakeyOptions {
  readonly leg: Leg;
  readonly start: number;
  readonly sectors: number;
  /** Seconds. */
  readonly up: number;
  /** Seconds. */
  readonly down: number;
  readonly features: FlakeyFeatures;
  readonly name: string;
  readonly environment: Environment;
}

class FlakeyTarget implements Target {
  readonly uses: readonly LegRange[];
  readonly #options: FlakeyOptions;
  readonly #loaded: number;
  readonly #dice = new Uint8Array(4);

  constructor(options: FlakeyOptions) {
    const { leg, start, sectors, environment } = options;
    this.#options = options;
    this.uses = [{ leg, start, sectors }];
    this.#loaded = environment.clock.now().sec;
  }

  read(sector: number, target: Uint8Array): void {
    const { leg, start, features } = this.#options;
    const down = this.#isDown();
    if (down && features.errorReads) this.#fail("read");
    leg.device.read(start + sector, target);
    if (!down) return;
    const { corrupt } = features;
    if (corrupt?.direction === "r" && corrupt.flags === 0)
      spoil(target, corrupt.byte, corrupt.value);
    if (this.#happens(features.randomRead)) this.#spoilAnywhere(target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    const { leg, start, features } = this.#options;
    if (!this.#isDown()) {
      leg.device.write(start + sector, source, flags);
      return;
    }
    if (this.#swallows("write")) return;
    const { corrupt } = features;
    const asked = flags?.fua === true ? REQ_FUA : 0;
    let data = source;
    if (corrupt?.direction === "w" && (asked & corrupt.flags) === corrupt.flags) {
      data = data.slice();
      spoil(data, corrupt.byte, corrupt.value);
    }
    if (this.#happens(features.randomWrite)) {
      data = data.slice();
      this.#spoilAnywhere(data);
    }
    leg.device.write(start + sector, data, flags);
  }

  writeZeroes(sector: number, sectors: number): void {
    const { leg, start } = this.#options;
    if (this.#isDown() && this.#swallows("write_zeroes")) return;
    leg.device.writeZeroes(start + sector, sectors);
  }

  discard(sector: number, sectors: number): void {
    const { leg, start } = this.#options;
    if (this.#isDown() && this.#swallows("discard")) return;
    leg.device.discard(start + sector, sectors);
  }

  flush(): void {
    if (this.#isDown() && this.#swallows("flush")) return;
    this.#options.leg.device.flush();
  }

  dax(): DaxAnswer {
    return { reason: "stores to memory cannot be made to fail" };
  }

  table(): string {
    const { leg, start, up, down, features } = this.#options;
    return `${leg.text} ${start} ${up} ${down} ${featureWords(features)}`;
  }

  status(): string {
    return "";
  }

  #isDown(): boolean {
    const { up, down, environment } = this.#options;
    return (environment.clock.now().sec - this.#loaded) % (up + down) >= up;
  }

  /** Whether a write is dropped. @throws EIO where it fails */
  #swallows(syscall: string): boolean {
    const { dropWrites, errorWrites } = this.#options.features;
    if (errorWrites) this.#fail(syscall);
    return dropWrites;
  }

  #happens(share: number): boolean {
    return share > 0 && this.#random(RANDOM_BASE) < share;
  }

  #spoilAnywhere(bytes: Uint8Array): void {
    if (bytes.length > 0) spoil(bytes, 1 + this.#random(bytes.length), this.#random(256));
  }

  #random(bound: number): number {
    this.#options.environment.random.fill(this.#dice);
    return Math.floor((new DataView(this.#dice.buffer).getUint32(0) / 2 ** 32) * bound);
  }

  #fail(syscall: string): never {
    const { name, up, down } = this.#options;
    const detail = `flakey is down, for ${down} s after each ${up} s`;
    throw new DaxError("EIO", { syscall, path: name, detail });
  }
}

/** `byte` counts from 1. */
function spoil(bytes: Uint8Array, byte: number, value: number): void {
  if (byte <= bytes.length) bytes[byte - 1] = value;
}

/** `flakey DEVICE START UP DOWN [COUNT FEATURE...]` */
export const flakey: TargetType = {
  name: "flakey",
  version: [1, 5, 0],
  make(words, context) {
    const { refuse, length, name, environment } = context;
    if (words.length < 4) {
      refuse("EINVAL", "Invalid argument count", `DEVICE START UP DOWN; here are ${words.length}`);
    }
    const given = new Arguments(words, context);
    const device = given.word();
    const start = sectorOf(given.word(), "Invalid device sector", context);
    const up = given.number(0, MOST_UINT, "Invalid up interval");
    const down = given.number(0, MOST_UINT, "Invalid down interval");
    if ((up + down) % (MOST_UINT + 1) === 0) {
      refuse("EINVAL", "Total (up + down) interval is zero", "one of them takes a second");
    }
    if (up + down > MOST_UINT) refuse("EINVAL", "Interval overflow", `${up} and ${down} seconds`);
    const features = readFeatures(given, context);
    const leg = context.open(device, "Device lookup failed");
    return new FlakeyTarget({ leg, start, sectors: length, up, down, features, name, environment });
  },
};
