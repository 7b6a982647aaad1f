/**
 * error: every request fails.
 *
 * @module
 */
import { DaxError } from "../../lib/errno.ts";
import type { DaxAnswer, LegRange, Target, TargetType } from "../target.ts";

class ErrorTarget implements Target {
  readonly uses: readonly LegRange[] = [];
  readonly #name: string;

  constructor(name: string) {
    this.#name = name;
  }

  read(): void {
    this.#fail("read");
  }

  write(): void {
    this.#fail("write");
  }

  writeZeroes(): void {
    this.#fail("write_zeroes");
  }

  discard(): void {
    this.#fail("discard");
  }

  /** It has no part in flushes: the table's other targets are flushed. */
  flush(): void {}

  dax(): DaxAnswer {
    return { reason: "it fails every request" };
  }

  table(): string {
    return "";
  }

  status(): string {
    return "";
  }

  #fail(syscall: string): never {
    throw new DaxError("EIO", {
      syscall,
      path: this.#name,
      detail: "the target error fails every request",
    });
  }
}

/** `error`; arguments are allowed and mean nothing. */
export const error: TargetType = {
  name: "error",
  version: [1, 5, 0],
  wildcard: true,
  make: (_words, { name }) => new ErrorTarget(name),
};
