/**
 * Seeded streams of calls on names and attributes, errors included: the same calls for us, for a
 * naive model, and for a kernel.
 */
import type { Prng } from "../../src/lib/prng.ts";
import { S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } from "../../src/vfs/modes.ts";

/** One call; paths are relative, without dots. */
export type Call =
  | {
      readonly op: "make";
      readonly path: string;
      /** With the type. */
      readonly mode: number;
      readonly rdev: number;
      readonly target: string;
    }
  | { readonly op: "link"; readonly from: string; readonly to: string }
  | {
      readonly op: "rename";
      readonly from: string;
      readonly to: string;
      readonly how: "" | "noreplace" | "exchange";
    }
  | { readonly op: "unlink" | "rmdir"; readonly path: string }
  | { readonly op: "empty"; readonly path: string }
  | { readonly op: "chmod"; readonly path: string; readonly mode: number }
  | { readonly op: "chown"; readonly path: string; readonly uid: number; readonly gid: number }
  | {
      readonly op: "utimes";
      readonly path: string;
      /** Seconds and nanoseconds of both times. */
      readonly atime: readonly [number, number];
      readonly mtime: readonly [number, number];
    }
  | {
      readonly op: "setxattr";
      readonly path: string;
      readonly name: string;
      /** So many bytes of this. */
      readonly length: number;
      readonly byte: number;
      readonly how: "any" | "create" | "replace";
    }
  | { readonly op: "removexattr"; readonly path: string; readonly name: string }
  /** Opens what is there, of any type; the slot's file before is closed. */
  | { readonly op: "hold"; readonly path: string; readonly slot: number }
  /** O_TMPFILE in a directory. */
  | { readonly op: "unnamed"; readonly path: string; readonly slot: number; readonly mode: number }
  /** Gives the file of a slot a name. */
  | { readonly op: "name"; readonly slot: number; readonly to: string }
  /** Closes it; gives its links. */
  | { readonly op: "drop"; readonly slot: number };

const SLOTS = 6;

const NAMES = ["a", "b", "c", "d", "e", "f", "Ünï", "g".repeat(100), "h".repeat(255)];
const TOO_LONG = "i".repeat(256);
const TYPES = [S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK, S_IFCHR, S_IFIFO, S_IFSOCK];
const XATTRS = ["user.a", "user.bb", "trusted.c", "security.d"];
/** Seconds that calls give as times. */
export const GIVEN = [
  -(2 ** 31),
  -1,
  0,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 + 5,
  2 ** 33,
  15_032_385_535,
];

/** Whether a time was given by a call: the others are those of the clock. */
export function isGiven(seconds: number): boolean {
  return GIVEN.includes(seconds);
}

/** A stream of calls: mostly on few names, and some in a directory that becomes large. */
export class NamespaceStream {
  readonly #dice: Prng;
  readonly #large: number;
  readonly #types: readonly number[];

  /** `large`: how many names the large directory may have. `filling`: what is made takes blocks. */
  constructor(dice: Prng, large: number, what: "mixed" | "filling" = "mixed") {
    this.#dice = dice;
    this.#large = large;
    this.#types = what === "mixed" ? TYPES : [S_IFDIR, S_IFLNK];
  }

  /** The next call. */
  next(): Call {
    const dice = this.#dice;
    const path = this.#path();
    switch (dice.below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return this.#make(path);
      case 5:
        return { op: "link", from: path, to: this.#path() };
      case 6:
      case 7:
      case 8: {
        const how = dice.pick(["", "", "", "noreplace", "exchange"] as const);
        return { op: "rename", from: path, to: this.#path(), how };
      }
      case 9:
      case 10:
        return { op: "unlink", path };
      case 11:
        return { op: "rmdir", path };
      case 12:
        return this.#attribute(path);
      case 13: {
        const time = (): [number, number] => [dice.pick(GIVEN), dice.below(1e9)];
        return { op: "utimes", path, atime: time(), mtime: time() };
      }
      case 14: {
        const how = dice.pick(["any", "any", "create", "replace"] as const);
        const [length, byte] = [dice.below(90), dice.below(256)];
        return { op: "setxattr", path, name: dice.pick(XATTRS), length, byte, how };
      }
      case 15:
        return { op: "removexattr", path, name: dice.pick(XATTRS) };
      default:
        return this.#open(path);
    }
  }

  #open(path: string): Call {
    const dice = this.#dice;
    const slot = dice.below(SLOTS);
    switch (dice.below(4)) {
      case 0:
        return { op: "drop", slot };
      case 1:
        return { op: "unnamed", path, slot, mode: S_IFREG | dice.below(0o10000) };
      case 2:
        return { op: "name", slot, to: path };
      default:
        return { op: "hold", path, slot };
    }
  }

  #path(): string {
    const dice = this.#dice;
    if (dice.below(3) === 0) return `large/n${dice.below(this.#large)}`;
    const depth = 1 + dice.below(3);
    const names = Array.from({ length: depth }, () => dice.pick(NAMES));
    if (dice.below(80) === 0) names[depth - 1] = TOO_LONG;
    return names.join("/");
  }

  #make(path: string): Call {
    const dice = this.#dice;
    const type = dice.pick(this.#types);
    const mode = type | dice.below(0o10000);
    // Never a name: links in the middle of a path lead nowhere.
    const target = `nowhere/${"t".repeat(dice.pick([1, 51, 52, 300, 1100]))}`;
    return { op: "make", path, mode, rdev: dice.pick([0x102, 0x12345, 0xfff_fff00]), target };
  }

  #attribute(path: string): Call {
    const dice = this.#dice;
    if (dice.below(3) === 0) return { op: "empty", path };
    if (dice.below(2) === 0) return { op: "chmod", path, mode: dice.below(0o10000) };
    const id = (): number => dice.pick([0, 1000, 65_536, 2 ** 32 - 2]);
    return { op: "chown", path, uid: id(), gid: id() };
  }
}

/** What starts every stream. */
export const LARGE: Call = {
  op: "make",
  path: "large",
  mode: S_IFDIR | 0o755,
  rdev: 0,
  target: "",
};
