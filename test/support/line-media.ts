/**
 * RAM media with a second copy of what is durable: a line gets there by flush and fence, or by a
 * non-temporal store and fence. Counts what it is asked. Much simpler than the crash model, and
 * written apart from it.
 */
import type { ByteRange, DomainRange, Media, Window } from "../../src/media/media.ts";
import { RamMedia } from "../../src/media/ram.ts";

const LINE = 64;

/** What {@link LineMedia} takes. */
export interface LineMediaOptions {
  readonly domains?: readonly DomainRange[];
  readonly segmentBytes?: number;
  /** Whether it knows non-temporal stores. */
  readonly nonTemporal?: boolean;
}

export class LineMedia implements Media {
  readonly size: number;
  readonly durability = "modelled";
  readonly readOnly = false;
  readonly domains: readonly DomainRange[];
  /** What a power cut leaves now. */
  readonly durable: Uint8Array;
  /** Ranges that `flush` was asked for, in order. */
  readonly flushed: ByteRange[] = [];
  /** Ranges of non-temporal stores, in order. */
  readonly around: ByteRange[] = [];
  fences = 0;
  declare readonly copyNonTemporal?: (offset: number, source: Uint8Array) => void;
  readonly #inner: RamMedia;
  #pending: { at: number; bytes: Uint8Array }[] = [];

  constructor(size: number, options: LineMediaOptions = {}) {
    const { segmentBytes = 2 ** 20, nonTemporal = true } = options;
    this.size = size;
    this.domains = options.domains ?? [{ start: 0, length: size, domain: "adr" }];
    this.durable = new Uint8Array(size);
    this.#inner = new RamMedia(size, { segmentBytes });
    if (nonTemporal) {
      this.copyNonTemporal = (offset, source) => {
        this.around.push({ start: offset, length: source.length });
        for (const [i, byte] of source.entries()) {
          const window = this.window(offset + i);
          window.memory.setUint8(offset + i - window.start, byte);
        }
        this.#pend(offset, source.length);
      };
    }
  }

  window(offset: number): Window {
    return this.#inner.window(offset);
  }

  flush(offset: number, length: number): void {
    this.flushed.push({ start: offset, length });
    this.#pend(offset, length);
  }

  fence(): void {
    this.fences++;
    for (const { at, bytes } of this.#pending) this.durable.set(bytes, at);
    this.#pending = [];
  }

  badRanges(): readonly ByteRange[] {
    return this.#inner.badRanges();
  }

  clearPoison(offset: number, length: number): number {
    return this.#inner.clearPoison(offset, length);
  }

  close(): void {
    this.#inner.close();
  }

  /** What a reader sees: the caches over the media. */
  contents(offset: number, length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, i) => {
      const window = this.window(offset + i);
      return window.memory.getUint8(offset + i - window.start);
    });
  }

  #pend(offset: number, length: number): void {
    const first = Math.floor(offset / LINE) * LINE;
    const stop = Math.min(this.size, Math.ceil((offset + length) / LINE) * LINE);
    if (length > 0) this.#pending.push({ at: first, bytes: this.contents(first, stop - first) });
  }
}
