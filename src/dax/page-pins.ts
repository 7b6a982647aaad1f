/**
 * Pins: pages that somebody works with by their address (Linux: get_user_pages), so that they have
 * to stay the file's until he has finished.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";

/** Pages that stay where they are until they are released. */
export interface Pin {
  /** Pages from the start of the file. */
  readonly first: number;
  readonly pages: number;
  /** Idempotent. */
  release(): void;
}

/** What is pinned. */
export interface PinRequest {
  /** Pages from the start of the file. */
  readonly first: number;
  readonly pages: number;
  /** Who pins, for EBUSY messages: `direct I/O of /a`. */
  readonly name: string;
  /** For as long as somebody likes (RDMA), and not for one transfer. */
  readonly longTerm?: boolean;
}

/** The pins of one file. */
export class PagePins {
  readonly #pins = new Map<Pin, string>();
  readonly #longTerm: boolean;

  /** `longTerm`: whether pins may last. */
  constructor(longTerm: boolean) {
    this.#longTerm = longTerm;
  }

  /** Pins that were not released. */
  get size(): number {
    return this.#pins.size;
  }

  /**
   * Pins pages: a change of the layout finds them busy.
   * @throws EOPNOTSUPP for one that may last where blocks may have to move (a file), as in Linux;
   *   EINVAL for no pages
   */
  pin({ first, pages, name, longTerm = false }: PinRequest): Pin {
    if (longTerm && !this.#longTerm) {
      const detail = `${name}: blocks of a file may have to move; long-term pins need device-dax`;
      throw new DaxError("EOPNOTSUPP", { syscall: "pin_user_pages", detail });
    }
    if (!(pages >= 1 && first >= 0 && Number.isSafeInteger(first + pages))) {
      const detail = `${name}: pages ${first}+${pages}`;
      throw new DaxError("EINVAL", { syscall: "pin_user_pages", detail });
    }
    const pin: Pin = { first, pages, release: () => void this.#pins.delete(pin) };
    this.#pins.set(pin, name);
    return pin;
  }

  /** Who has pinned a page of the range; undefined when nobody has. */
  holderOf(first: number, pages: number): string | undefined {
    for (const [pin, name] of this.#pins) {
      if (pin.first >= first + pages || pin.first + pin.pages <= first) continue;
      return `pages ${pin.first}+${pin.pages} are pinned (${name})`;
    }
    return undefined;
  }
}
