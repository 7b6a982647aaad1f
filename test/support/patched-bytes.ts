/** Bytes that can be damaged in place and put back: no copy of an image for each case. */

/** An array of bytes with an undo list. */
export class PatchedBytes {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  readonly #undo: [at: number, old: Uint8Array][] = [];
  /** As it was at first. */
  readonly #pristine: Uint8Array;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#pristine = Uint8Array.from(bytes);
  }

  /** Changes bytes; what would lie behind the end is cut off. */
  write(at: number, bytes: Uint8Array): void {
    const fitting = bytes.subarray(0, Math.max(this.bytes.length - at, 0));
    this.#undo.push([at, this.bytes.slice(at, at + fitting.length)]);
    this.bytes.set(fitting, at);
  }

  /** Puts everything back. */
  restore(): void {
    for (const [at, old] of this.#undo.toReversed()) this.bytes.set(old, at);
    this.#undo.length = 0;
  }

  /** @throws Error when the bytes are not what they were at first */
  audit(): void {
    if (Buffer.compare(this.bytes, this.#pristine) === 0) return;
    const at = this.bytes.findIndex((byte, i) => byte !== this.#pristine[i]);
    throw new Error(`byte ${at} is ${this.bytes[at]}, and was ${this.#pristine[at]}`);
  }
}
