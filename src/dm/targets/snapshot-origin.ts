/**
 * snapshot-origin: a device of which there are snapshots. What is written to it, they keep first.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import { SECTOR_SIZE } from "../../block/block-device.ts";
import type { DaxAnswer, LegRange, Target, TargetContext, TargetType } from "../target.ts";
import type { Leg } from "../leg.ts";
import { keepForSnapshots } from "./origins.ts";

class OriginTarget implements Target {
  readonly uses: readonly LegRange[];
  readonly #leg: Leg;
  readonly #begin: number;
  readonly #name: string;

  constructor(leg: Leg, { begin, length, name }: TargetContext) {
    this.#leg = leg;
    this.#begin = begin;
    this.#name = name;
    this.uses = [{ leg, start: begin, sectors: length }];
  }

  read(sector: number, target: Uint8Array): void {
    this.#leg.device.read(this.#begin + sector, target);
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    const { device } = this.#leg;
    keepForSnapshots(device, this.#begin + sector, source.length / SECTOR_SIZE);
    device.write(this.#begin + sector, source, flags);
  }

  writeZeroes(sector: number, sectors: number): void {
    const { device } = this.#leg;
    keepForSnapshots(device, this.#begin + sector, sectors);
    device.writeZeroes(this.#begin + sector, sectors);
  }

  discard(): void {
    const detail = "an origin knows no discard; writeZeroes clears a range";
    throw new DaxError("ENOTSUP", { syscall: "discard", path: this.#name, detail });
  }

  dax(): DaxAnswer {
    return { reason: "a store to memory cannot wait for snapshots" };
  }

  table(): string {
    return this.#leg.text;
  }

  status(): string {
    return "";
  }
}

/** `snapshot-origin DEVICE` */
export const snapshotOrigin: TargetType = {
  name: "snapshot-origin",
  version: [1, 9, 0],
  make(words, context) {
    if (words.length !== 1) {
      const cause = `one device; here are ${words.length}`;
      context.refuse("EINVAL", "origin: incorrect number of arguments", cause);
    }
    return new OriginTarget(context.open(words[0], "Cannot get target device"), context);
  },
};
