/**
 * Seeded streams of calls on names, attributes and contents: files that are written to are linked,
 * moved, removed and held open meanwhile.
 */
import type { Prng } from "../../src/lib/prng.ts";
import { S_IFDIR, S_IFREG } from "../../src/vfs/modes.ts";
import { type At, type DataCall, DataStream, type DataStreamOptions } from "./contents-stream.ts";
import { type Call, LARGE, NamespaceStream } from "./namespace-stream.ts";

const SLOTS = 6;
const FILES = 10;
const FOLDER = "data";

const make = (path: string, mode: number): Call => ({
  op: "make",
  path,
  mode,
  rdev: 0,
  target: "",
});

/** What starts a stream. */
export const BEGINNING: readonly Call[] = [
  LARGE,
  make(FOLDER, S_IFDIR | 0o755),
  ...Array.from({ length: FILES }, (_, i) => make(`${FOLDER}/f${i}`, S_IFREG | 0o644)),
];

/** A stream of calls of every kind. */
export class MixedStream {
  readonly #dice: Prng;
  readonly #names: NamespaceStream;
  readonly #contents: DataStream;

  constructor(dice: Prng, options: DataStreamOptions) {
    this.#dice = dice;
    this.#names = new NamespaceStream(dice, 300);
    this.#contents = new DataStream(dice, () => this.#file(), options);
  }

  /** The next call. */
  next(): Call | DataCall {
    const dice = this.#dice;
    const path = `${FOLDER}/f${dice.below(FILES)}`;
    const other = `${FOLDER}/f${dice.below(FILES)}`;
    switch (dice.below(24)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#names.next();
      case 4:
        return make(path, S_IFREG | dice.below(0o10000));
      case 5:
        return { op: "protect", at: this.#file(), flags: 0 };
      case 6:
        return dice.pick([
          { op: "unlink", path },
          { op: "protect", at: path, flags: 0 },
          { op: "link", from: path, to: other },
          { op: "rename", from: path, to: other, how: "" },
          { op: "chmod", path, mode: dice.below(0o10000) },
          { op: "setxattr", path, name: "user.a", length: dice.below(200), byte: 7, how: "any" },
        ] as const);
      case 7:
        return dice.pick([
          { op: "hold", path, slot: dice.below(SLOTS) },
          { op: "hold", path, slot: dice.below(SLOTS) },
          { op: "drop", slot: dice.below(SLOTS) },
          { op: "unnamed", path: FOLDER, slot: dice.below(SLOTS), mode: S_IFREG | 0o600 },
          { op: "name", slot: dice.below(SLOTS), to: path },
        ] as const);
      default:
        return this.#contents.next();
    }
  }

  #file(): At {
    const dice = this.#dice;
    const kind = dice.below(20);
    if (kind === 0) return dice.pick(["a", "b", "c", FOLDER, "d/e", "large/n1"]);
    return kind < 5 ? dice.below(SLOTS) : `${FOLDER}/f${dice.below(FILES)}`;
  }
}
