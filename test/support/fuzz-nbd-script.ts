/** Writes what a client of NBD sends. */

/** What one conversation may have; longer ones are cut. */
export const MOST_BYTES = 96 * 1024;

/** Messages, one behind the other. */
export class Script {
  readonly bytes: Uint8Array = new Uint8Array(MOST_BYTES);
  readonly #view = new DataView(this.bytes.buffer);
  length = 0;
  /** Where each message begins. */
  readonly starts: number[] = [];

  clear(): void {
    this.length = 0;
    this.starts.length = 0;
  }

  message(): void {
    this.starts.push(this.length);
  }

  hasRoom(length: number): boolean {
    return this.length + length + 64 <= MOST_BYTES;
  }

  u16(value: number): void {
    this.#view.setUint16(this.length, value);
    this.length += 2;
  }

  u32(value: number): void {
    this.#view.setUint32(this.length, value);
    this.length += 4;
  }

  u64(value: number): void {
    this.u32(Math.floor(value / 2 ** 32));
    this.u32(value >>> 0);
  }

  text(text: string): void {
    for (let i = 0; i < text.length; i++) this.bytes[this.length++] = text.charCodeAt(i);
  }

  fill(value: number, length: number): void {
    this.bytes.fill(value, this.length, this.length + length);
    this.length += length;
  }

  counted(text: string): void {
    this.u32(text.length);
    this.text(text);
  }

  /** An option whose data `body` writes. */
  option(type: number, body: () => void): void {
    this.message();
    this.u32(0x49484156);
    this.u32(0x454f5054);
    this.u32(type);
    const at = this.length;
    this.u32(0);
    body();
    this.#view.setUint32(at, this.length - at - 4);
  }
}
