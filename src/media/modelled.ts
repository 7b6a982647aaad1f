/**
 * Modelled media: memory with a persistence domain for each range, on which every store, flush and
 * fence is recorded, so that `crash/` can say exactly what a power cut may leave (crash model,
 * memory side). No clock, no dice: the same program leaves the same trace.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import type { Memo } from "../lib/memo.ts";
import { checkBounds, checkOpen, checkSize, isInside } from "./bounds.ts";
import { coverWithDomains, uniformDomain } from "./domains.ts";
import type {
  ByteRange,
  CachedRange,
  Caching,
  DomainRange,
  Durability,
  Media,
  PersistenceDomain,
  Window,
} from "./media.ts";
import { Recorder } from "./recorder.ts";
import { LINE_BYTES, Trace } from "./trace.ts";

/** How modelled media is made. */
export interface ModelledOptions {
  /** The persistence domain of all of it; `adr` unless told otherwise. */
  readonly domain?: PersistenceDomain;
  /** Or of each range: disjoint, covering the media, on 64-byte borders. */
  readonly domains?: readonly DomainRange[];
  /** Ranges that are not mapped write-back; 64-byte borders. A later entry wins. */
  readonly caching?: readonly CachedRange[];
}

/** What the model makes of a line. */
export const LineClass = {
  /** Stores wait in the cache for a flush and a fence. */
  cached: 0,
  /** Stores are flushed by themselves, and wait for a fence. */
  writeThrough: 1,
  /** Stores are durable in program order: battery-backed, or mapped uncached. */
  inOrder: 2,
  /** Nothing survives. */
  volatile: 3,
  /** Stores wait for a fence, and until then their atoms arrive in any order. */
  combining: 4,
} as const;
export type LineClass = (typeof LineClass)[keyof typeof LineClass];

const DOMAINS: ReadonlySet<PersistenceDomain> = new Set(["adr", "eadr", "volatile"]);
const CACHING: Readonly<Record<Caching, LineClass>> = {
  "write-back": LineClass.cached,
  "write-through": LineClass.writeThrough,
  "write-combining": LineClass.combining,
  uncached: LineClass.inOrder,
};

/** Addresses are kept in 32 bits, which halves the trace. */
const MAX_SIZE = 0xffff_ffc0;
const NONE: readonly ByteRange[] = [];

/** Media that remembers everything that was done to it. */
export class ModelledMedia implements Media {
  readonly size: number;
  readonly durability: Durability = "modelled";
  readonly readOnly = false;
  readonly domains: readonly DomainRange[];
  readonly caching: readonly CachedRange[];
  /** The memory behind the only window. */
  readonly recorder: Recorder;
  /** The {@link LineClass} of each line. */
  readonly classes: Uint8Array;
  /** Set by who runs the same programs on it again and again. */
  memo: Memo | undefined;
  readonly #window: Window;
  #open = true;

  /** @throws EINVAL for a size or ranges that cannot be: no whole lines, gaps, 4 GiB and more */
  constructor(size: number, options: ModelledOptions = {}) {
    checkSize("modelled", size);
    if (size % LINE_BYTES !== 0 || size > MAX_SIZE) {
      throw refusal(`${size} bytes; give a multiple of ${LINE_BYTES} up to ${MAX_SIZE}`);
    }
    this.size = size;
    this.domains =
      options.domains === undefined
        ? uniformDomain(size, options.domain ?? "adr")
        : coverWithDomains(size, options.domains);
    this.caching = options.caching ?? [];
    this.classes = classesOf(size, this.domains, this.caching);
    this.recorder = new Recorder(size, new Trace());
    this.#window = { start: 0, length: size, memory: this.recorder };
  }

  /** What was done so far. */
  get trace(): Trace {
    return this.recorder.trace;
  }

  window(offset: number): Window {
    if (!this.#open || !isInside(this.size, offset, 1)) this.#refuse("window", offset, 1);
    return this.#window;
  }

  flush(offset: number, length: number): void {
    if (!this.#open || !isInside(this.size, offset, length)) this.#refuse("flush", offset, length);
    if (length > 0) this.recorder.flushed(offset, length);
  }

  fence(): void {
    checkOpen(this.#open, "fence");
    this.recorder.fenced();
  }

  copyNonTemporal(offset: number, source: Uint8Array): void {
    const { length } = source;
    if (!this.#open || !isInside(this.size, offset, length)) this.#refuse("copy", offset, length);
    this.recorder.copyIn(offset, source, true);
  }

  /** Notes that the program promised something: from here on it must survive. */
  ack(label: unknown): void {
    checkOpen(this.#open, "ack");
    this.recorder.acked(label);
  }

  badRanges(): readonly ByteRange[] {
    checkOpen(this.#open, "badRanges");
    return NONE;
  }

  clearPoison(offset: number, length: number): number {
    if (!this.#open || !isInside(this.size, offset, length)) {
      this.#refuse("clearPoison", offset, length);
    }
    return length;
  }

  close(): void {
    this.#open = false;
  }

  #refuse(syscall: string, offset: number, length: number): never {
    checkOpen(this.#open, syscall);
    checkBounds(syscall, this.size, offset, length);
    throw refusal(`${offset}+${length}`);
  }
}

function classesOf(
  size: number,
  domains: readonly DomainRange[],
  caching: readonly CachedRange[],
): Uint8Array {
  const classes = new Uint8Array(size / LINE_BYTES);
  for (const range of caching) {
    checkBounds("modelled", size, range.start, range.length);
    const lineClass = CACHING[range.caching] as LineClass | undefined;
    if (lineClass === undefined) {
      const words = Object.keys(CACHING).join(", ");
      throw refusal(`caching "${range.caching}" is not known; the words are ${words}`);
    }
    fillLines(classes, range, lineClass);
  }
  for (const range of domains) {
    if (!DOMAINS.has(range.domain)) {
      const words = [...DOMAINS].join(", ");
      throw refusal(`domain "${range.domain}" is not known; the words are ${words}`);
    }
    if (range.domain === "eadr") fillLines(classes, range, LineClass.inOrder);
    else if (range.domain === "volatile") fillLines(classes, range, LineClass.volatile);
    else checkBorders(range);
  }
  return classes;
}

function fillLines(classes: Uint8Array, range: ByteRange, value: LineClass): void {
  checkBorders(range);
  const first = range.start / LINE_BYTES;
  classes.fill(value, first, first + range.length / LINE_BYTES);
}

function checkBorders({ start, length }: ByteRange): void {
  if (start % LINE_BYTES === 0 && length % LINE_BYTES === 0) return;
  throw refusal(`range ${start}+${length} splits a line; start and end on ${LINE_BYTES} bytes`);
}

function refusal(detail: string): DaxError {
  return new DaxError("EINVAL", { syscall: "modelled", detail });
}
