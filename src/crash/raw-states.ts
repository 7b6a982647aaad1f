/**
 * Every raw state of a crash point, one after the other: the brute force that the exact explorer is
 * held against. Neighbours differ in one line (a reflected mixed-radix Gray code without loops), so
 * a state costs one line's copy and nothing is allocated.
 *
 * @module
 */
import { LINE_BYTES, type Trace } from "../media/trace.ts";
import { ModelledMedia } from "../media/modelled.ts";
import { CrashImage } from "./crash-image.ts";
import type { Exploration } from "./explorer.ts";
import { zeroVolatile } from "./ground.ts";
import { type CrashPoint, Frontier } from "./frontier.ts";
import { combinedContents } from "./combining.ts";
import { type Segment, type Torn, atomsIn, isCombining, stepsOf } from "./versions.ts";

const WORDS = LINE_BYTES / 4;

/** The states of one crash point. */
export class RawStates {
  /** Rule 4's product; what {@link visit} counts up to. */
  readonly space: bigint;
  /** The state that was visited last. It is the same array every time. */
  readonly bytes: Uint8Array;
  readonly #words: Uint32Array;
  /** The word of the image at which each undecided line starts. */
  readonly #at: Uint32Array;
  /** How many contents each line has, and where in {@link #contents} they start. */
  readonly #radix: Uint32Array;
  readonly #first: Uint32Array;
  readonly #contents: Uint32Array;

  /** The states at the instant where `frontier` stands; `durable` is what its image holds. */
  constructor(frontier: Frontier, durable: Uint8Array, trace: Trace, torn: Torn) {
    const lines = [...frontier.openLines()];
    this.bytes = durable.slice();
    this.#words = new Uint32Array(this.bytes.buffer);
    this.#at = Uint32Array.from(lines, (line) => line * WORDS);
    this.#radix = new Uint32Array(lines.length);
    this.#first = new Uint32Array(lines.length);
    const contents: number[] = [];
    for (const [i, line] of lines.entries()) {
      this.#first[i] = contents.length;
      const base = durable.subarray(line * LINE_BYTES, (line + 1) * LINE_BYTES);
      for (const content of rawContents(base, frontier.pending(line), trace.bytes, torn)) {
        contents.push(...new Uint32Array(content.buffer));
        this.#radix[i]!++;
      }
    }
    this.#contents = Uint32Array.from(contents);
    this.space = this.#radix.reduce((space, radix) => space * BigInt(radix), 1n);
  }

  /**
   * Visits every state, once each, until `each` returns `false`; returns how many it visited. The
   * array it hands over is {@link bytes}: what `each` changes there it must put back.
   */
  visit(each: (bytes: Uint8Array) => boolean | void): number {
    const n = this.#radix.length;
    const digits = new Uint32Array(n);
    const directions = new Int32Array(n).fill(1);
    const focus = Uint32Array.from({ length: n + 1 }, (_, j) => j);
    for (let j = 0; j < n; j++) this.#put(j, 0);
    for (let visited = 1; ; visited++) {
      if (each(this.bytes) === false) return visited;
      const j = focus[0] as number;
      focus[0] = 0;
      if (j === n) return visited;
      const digit = (digits[j] as number) + (directions[j] as number);
      digits[j] = digit;
      if (digit === 0 || digit === (this.#radix[j] as number) - 1) {
        directions[j] = -(directions[j] as number);
        focus[j] = focus[j + 1] as number;
        focus[j + 1] = j + 1;
      }
      this.#put(j, digit);
    }
  }

  #put(j: number, digit: number): void {
    const to = this.#at[j] as number;
    const from = (this.#first[j] as number) + digit * WORDS;
    for (let i = 0; i < WORDS; i++) this.#words[to + i] = this.#contents[from + i] as number;
  }
}

/** Visits every raw state of every crash point of a workload; returns how many it visited. */
export function visitRawStates(
  { initial, modelled, trace, torn }: Exploration,
  each: (bytes: Uint8Array, point: CrashPoint) => void,
): number {
  const media = new ModelledMedia(initial.length, modelled);
  media.recorder.image.set(initial);
  zeroVolatile(media);
  const image = new CrashImage(media.recorder.image);
  const frontier = new Frontier({ image, trace, classes: media.classes, torn, level: 0 });
  let visited = 0;
  for (const point of frontier.points()) {
    const states = new RawStates(frontier, image.bytes, trace, torn);
    visited += states.visit((bytes) => each(bytes, point));
  }
  return visited;
}

/** The contents of one line, equal ones included: as many as rule 4 counts. */
function* rawContents(
  base: Uint8Array,
  segments: readonly Segment[],
  arena: Uint8Array,
  torn: Torn,
): Generator<Uint8Array<ArrayBuffer>, void> {
  if (isCombining(segments)) {
    for (const { bytes } of combinedContents(base, segments, arena)) yield bytes;
    return;
  }
  const line = Uint8Array.from(base);
  yield line.slice();
  for (const segment of segments) {
    const atoms = atomsIn(segment.from, segment.length);
    const steps = stepsOf(segment, torn);
    // Bit `i` of a pattern: whether atom `i` arrived.
    const all = 2 ** atoms - 1;
    for (let step = 1; step <= steps; step++) {
      let pattern = all;
      if (steps === atoms) pattern = 2 ** step - 1;
      else if (steps === all) pattern = step;
      const content = line.slice();
      for (let at = segment.from; at < segment.from + segment.length; at++) {
        const atom = Math.floor(at / 8) - Math.floor(segment.from / 8);
        if (((pattern >>> atom) & 1) !== 0) content[at] = arena[segment.data + at - segment.from]!;
      }
      yield content;
      if (step === steps) line.set(content);
    }
  }
}
