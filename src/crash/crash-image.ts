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
const LINE_WORDS = LINE_BYTES / 4;

let epochs = 0;

function newEpoch(): number {
  return ++epochs;
}

/** Bytes of which some are undecided. */
export class CrashImage {
  readonly bytes: Uint8Array;
  /** Bit `i` of `lo[line]`, or of `hi[line]` for bytes from 32: byte `i` of the line is open. */
  readonly lo: Uint32Array;
  readonly hi: Uint32Array;
  /** The same as {@link bytes}: lines are copied by words. */
  readonly #words: Uint32Array;
  /** The scope in which a line was last saved. */
  readonly #savedIn: Uint32Array;
  /** Of each line: 1 when it ever changed. */
  readonly #changed: Uint8Array;
  #epoch = newEpoch();
  #scope = 0;
  #lastScope = 0;
  readonly #marks: number[] = [];
  #saves = 0;
  #lines = new Uint32Array(FIRST_SAVES);
  #masks = new Uint32Array(FIRST_SAVES * 2);
  #contents = new Uint32Array(FIRST_SAVES * LINE_WORDS);

  /** `bytes` are whole lines, and lie at a multiple of four. */
  constructor(bytes: Uint8Array) {
    const lines = bytes.length / LINE_BYTES;
    this.bytes = bytes;
    this.#words = new Uint32Array(bytes.buffer, bytes.byteOffset, lines * LINE_WORDS);
    this.lo = new Uint32Array(lines);
    this.hi = new Uint32Array(lines);
    this.#savedIn = new Uint32Array(lines);
    this.#changed = new Uint8Array(lines);
  }

  /** The bytes were exchanged for others, while no scope was open. */
  renew(): void {
    this.#changed.fill(0);
    this.#epoch = newEpoch();
  }

  /** Changes when a line changes that never changed before; of no two images the same. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Whether no line of these bytes ever changed, for good or to be undone. */
  isSteady(at: number, length: number): boolean {
    const last = Math.floor((at + length - 1) / LINE_BYTES);
    for (let line = Math.floor(at / LINE_BYTES); line <= last; line++) {
      if (this.#changed[line] === 1) return false;
    }
    return true;
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

  /** Keeps what changed since the matching {@link open}, for the scope around it to undo. */
  keep(): void {
    this.#marks.pop();
    this.#scope = this.#marks.length === 0 ? 0 : ++this.#lastScope;
  }

  /** To be called before a line or its mask changes. */
  save(line: number): void {
    if (this.#changed[line] === 0) {
      this.#changed[line] = 1;
      this.#epoch = newEpoch();
    }
    if (this.#scope === 0 || this.#savedIn[line] === this.#scope) return;
    this.#savedIn[line] = this.#scope;
    const at = this.#saves++;
    if (at === this.#lines.length) this.#grow();
    this.#lines[at] = line;
    this.#masks[at * 2] = this.lo[line] as number;
    this.#masks[at * 2 + 1] = this.hi[line] as number;
    const from = line * LINE_WORDS;
    const to = at * LINE_WORDS;
    for (let i = 0; i < LINE_WORDS; i++) this.#contents[to + i] = this.#words[from + i] as number;
  }

  /** The line's open bytes become those that all of the group share; the rest stays open. */
  decide(line: number, group: Group): void {
    this.save(line);
    const lo = this.lo[line] as number;
    const hi = this.hi[line] as number;
    const { bytes } = group.versions[0] as { bytes: Uint8Array };
    const start = line * LINE_BYTES;
    for (let bits = lo; bits !== 0; bits &= bits - 1) {
      const i = 31 - Math.clz32(bits & -bits);
      this.bytes[start + i] = bytes[i] as number;
    }
    for (let bits = hi; bits !== 0; bits &= bits - 1) {
      const i = 63 - Math.clz32(bits & -bits);
      this.bytes[start + i] = bytes[i] as number;
    }
    this.lo[line] = lo & group.open.lo;
    this.hi[line] = hi & group.open.hi;
  }

  #restore(at: number): void {
    const line = this.#lines[at] as number;
    const from = at * LINE_WORDS;
    const to = line * LINE_WORDS;
    for (let i = 0; i < LINE_WORDS; i++) this.#words[to + i] = this.#contents[from + i] as number;
    this.lo[line] = this.#masks[at * 2] as number;
    this.hi[line] = this.#masks[at * 2 + 1] as number;
  }

  #grow(): void {
    const room = this.#lines.length * 2;
    const lines = new Uint32Array(room);
    const masks = new Uint32Array(room * 2);
    const contents = new Uint32Array(room * LINE_WORDS);
    lines.set(this.#lines);
    masks.set(this.#masks);
    contents.set(this.#contents);
    this.#lines = lines;
    this.#masks = masks;
    this.#contents = contents;
  }
}
