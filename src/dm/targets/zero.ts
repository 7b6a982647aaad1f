/**
 * zero: reads find zeros, writes are dropped.
 *
 * @module
 */
import type { DaxAnswer, LegRange, Target, TargetType } from "../target.ts";

class ZeroTarget implements Target {
  readonly uses: readonly LegRange[] = [];

  read(_sector: number, target: Uint8Array): void {
    target.fill(0);
  }

  write(): void {}

  writeZeroes(): void {}

  discard(): void {}

  readBytes(_offset: number, target: Uint8Array): void {
    target.fill(0);
  }

  writeBytes(): void {}

  dax(): DaxAnswer {
    return { reason: "it has no memory" };
  }

  table(): string {
    return "";
  }

  status(): string {
    return "";
  }
}

/** `zero` */
export const zero: TargetType = {
  name: "zero",
  version: [1, 1, 0],
  make(words, { refuse }) {
    if (words.length > 0) refuse("EINVAL", "No arguments required", `here are ${words.length}`);
    return new ZeroTarget();
  },
};
