/**
 * linear: sectors of one device, moved by a constant.
 *
 * @module
 */
import { SECTOR_SIZE } from "../../block/block-device.ts";
import type { Leg } from "../leg.ts";
import type { DaxAnswer, LegRange, Target, TargetContext, TargetType } from "../target.ts";
import { unsigned } from "../words.ts";
import { linearRoute } from "./linear-route.ts";

/** Passes every request on, at another place. */
export class LinearTarget implements Target {
  readonly uses: readonly LegRange[];
  readonly leg: Leg;
  /** The first sector on the leg. */
  readonly start: number;

  constructor(leg: Leg, start: number, sectors: number) {
    this.leg = leg;
    this.start = start;
    this.uses = [{ leg, start, sectors }];
  }

  read(sector: number, target: Uint8Array): void {
    this.leg.device.read(this.start + sector, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    this.leg.device.write(this.start + sector, source, flags);
  }

  writeZeroes(sector: number, sectors: number): void {
    this.leg.device.writeZeroes(this.start + sector, sectors);
  }

  discard(sector: number, sectors: number): void {
    this.leg.device.discard(this.start + sector, sectors);
  }

  readBytes(offset: number, target: Uint8Array): void {
    this.leg.device.readBytes(this.start * SECTOR_SIZE + offset, target);
  }

  writeBytes(offset: number, source: Uint8Array): void {
    this.leg.device.writeBytes(this.start * SECTOR_SIZE + offset, source);
  }

  dax(): DaxAnswer {
    return linearRoute(this.uses[0] as LegRange);
  }

  table(): string {
    return `${this.leg.text} ${this.start}`;
  }

  status(): string {
    return "";
  }
}

/** `linear DEVICE START` */
export const linear: TargetType = {
  name: "linear",
  version: [1, 4, 0],
  make(words, context) {
    if (words.length !== 2) {
      const cause = `"linear DEVICE START" takes 2 arguments, here are ${words.length}`;
      context.refuse("EINVAL", "Invalid argument count", cause);
    }
    const start = sectorOf(words[1], "Invalid device sector", context);
    return new LinearTarget(context.open(words[0], "Device lookup failed"), start, context.length);
  },
};

/** A number of a sector. @throws EINVAL with the given error */
export function sectorOf(
  word: string | undefined,
  error: string,
  { refuse }: Pick<TargetContext, "refuse">,
): number {
  const sector = unsigned(word, 2 ** 64);
  if (sector !== undefined) return sector;
  return refuse("EINVAL", error, `"${word ?? ""}" is no number of a sector`);
}
