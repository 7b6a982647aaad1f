/**
 * The image that a power cut left, with the bytes that nobody has looked at yet still open; and the
 * way back: whatever a run changes can be undone line by line.
 *
 * @module
 */
import { assert } from "../lib/errno.ts";
import { LINE_BYTES } from "../media/trace.ts";
import type { Group } from "./versions.ts";

const FIRST_SAVES = 64;

/** Bytes of which some are undecided. */
export class CrashImage {
  readonly bytes: Uint8Array;
  /** Bit `i` of `lo[line]`, or of `hi[line]` for bytes from 32: byte `i` of the line is open. */
  readonly lo: Uint32Array;
  readonly hi: Uint32Array;
  /** The scope in which a line was last saved. */
  readonly #savedIn: Uint32Array;
  #scope = 0;
  #lastScope = 0;
  readonly #marks: number[] = [];
  #saves = 0;
  #lines = new Uint32Array(FIRST_SAVES);
  #masks = new Uint32Array(FIRST_SAVES * 2);
  #contents = new Uint8Array(FIRST_SAVES * LINE_BYTES);

  constructor(bytes: Uint8Array) {
    const lines = bytes.length / LINE_BYTES;
    this.bytes = bytes;
    this.lo = new Uint32Array(lines);
    this.hi = new Uint32Array(lines);
    this.#savedIn = new Uint32Array(lines);
  }

  /** From here on changes can be undone. Scopes nest. */
  open(): void {
    this.#marks.push(this.#saves);
    this.#scope = ++this.#lastScope;
  }

  /** Undoes everything since the matching {@link open}. */
  close(): void {
    const mark = this.#marks.pop();
    assert(mark !== undefined, "no scope is open");
    while (this.#saves > mark) this.#restore(--this.#saves);
    // A fresh number: what the inner scope saved is not saved for the outer one.
    this.#scope = this.#marks.length === 0 ? 0 : ++this.#lastScope;
  }

  /** To be called before a line or its mask changes. */
  save(line: number): void {
    if (this.#scope === 0 || this.#savedIn[line] === this.#scope) return;
    this.#savedIn[line] = this.#scope;
    const at = this.#saves++;
    if (at === this.#lines.length) this.#grow();
    this.#lines[at] = line;
    this.#masks[at * 2] = this.lo[line] as number;
    this.#masks[at * 2 + 1] = this.hi[line] as number;
    const start = line * LINE_BYTES;
    this.#contents.set(this.bytes.subarray(start, start + LINE_BYTES), at * LINE_BYTES);
  }

  /** The line's open bytes become those that all of the group share; the rest stays open. */
  decide(line: number, group: Group): void {
    this.save(line);
    const lo = this.lo[line] as number;
    const hi = this.hi[line] as number;
    const { bytes } = group.versions[0] as { bytes: Uint8Array };
    const start = line * LINE_BYTES;
    for (let i = 0; i < 32; i++) {
      if (((lo >>> i) & 1) !== 0) this.bytes[start + i] = bytes[i] as number;
      if (((hi >>> i) & 1) !== 0) this.bytes[start + 32 + i] = bytes[32 + i] as number;
    }
    this.lo[line] = lo & group.open.lo;
    this.hi[line] = hi & group.open.hi;
  }

  #restore(at: number): void {
    const line = this.#lines[at] as number;
    const start = at * LINE_BYTES;
    this.bytes.set(this.#contents.subarray(start, start + LINE_BYTES), line * LINE_BYTES);
    this.lo[line] = this.#masks[at * 2] as number;
    this.hi[line] = this.#masks[at * 2 + 1] as number;
  }

  #grow(): void {
    const room = this.#lines.length * 2;
    const lines = new Uint32Array(room);
    const masks = new Uint32Array(room * 2);
    const contents = new Uint8Array(room * LINE_BYTES);
    lines.set(this.#lines);
    masks.set(this.#masks);
    contents.set(this.#contents);
    this.#lines = lines;
    this.#masks = masks;
    this.#contents = contents;
  }
}
