/** Small random programs on modelled media, for property tests of the crash explorer. */
import fc from "fast-check";
import type { Program } from "../../src/crash/program.ts";
import { copyIn, copyOf, fill, storeBytes } from "../../src/lib/memory.ts";
import type { ModelledMedia, ModelledOptions } from "../../src/media/modelled.ts";

export const LINES = 4;
export const SIZE = LINES * 64;

export type Step =
  | { do: "store" | "copy" | "copyNonTemporal"; at: number; length: number; value: number }
  | { do: "u16" | "u32" | "u64"; at: number; value: number }
  | { do: "fill"; at: number; length: number; value: number }
  | { do: "flush"; at: number; length: number }
  | { do: "fence" }
  | { do: "ack" };

/** Few values and few places, so that stores meet and conditions hold. */
const value = fc.integer({ min: 0, max: 3 });
const place = fc.oneof(
  fc.constantFrom(0, 8, 56, 60, 64, 72, 120, 128, 192),
  fc.integer({ min: 0, max: SIZE - 8 }),
);
const length = fc.oneof(fc.constantFrom(1, 4, 8, 16), fc.integer({ min: 1, max: 40 }));

function within<T extends { at: number; length: number }>(step: T): T {
  return { ...step, length: Math.min(step.length, SIZE - step.at) };
}

const bytes = (kind: "store" | "copy" | "copyNonTemporal") =>
  fc.record({ do: fc.constant(kind), at: place, length, value }).map(within);
const scalar = (kind: "u16" | "u32" | "u64") =>
  fc.record({ do: fc.constant(kind), at: place, value });

export const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: bytes("store") },
  { weight: 3, arbitrary: bytes("copy") },
  { weight: 1, arbitrary: bytes("copyNonTemporal") },
  { weight: 1, arbitrary: scalar("u16") },
  { weight: 1, arbitrary: scalar("u32") },
  { weight: 3, arbitrary: scalar("u64") },
  {
    weight: 1,
    arbitrary: fc
      .record({ do: fc.constant("fill" as const), at: place, length, value })
      .map(within),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("flush" as const), at: place, length }).map(within),
  },
  { weight: 3, arbitrary: fc.constant({ do: "fence" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "ack" as const }) },
);

function pattern(count: number, first: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => first + (i >> 3));
}

export function perform(media: ModelledMedia, step: Step): void {
  const { memory } = media.window(0);
  switch (step.do) {
    case "store":
      return storeBytes(memory, step.at, pattern(step.length, step.value));
    case "copy":
      return copyIn(memory, step.at, pattern(step.length, step.value));
    case "copyNonTemporal":
      return media.copyNonTemporal(step.at, pattern(step.length, step.value));
    case "u16":
      return memory.setUint16(step.at, step.value * 0x101, true);
    case "u32":
      return memory.setUint32(step.at, step.value * 0x1010101, true);
    case "u64":
      return memory.setBigUint64(step.at, BigInt(step.value) * 0x101010101010101n, true);
    case "fill":
      return fill(memory, step.at, step.length, step.value);
    case "flush":
      return media.flush(step.at, step.length);
    case "fence":
      return media.fence();
    case "ack":
      return media.ack("promised");
  }
}

/** A load whose answer decides whether the rest runs: this is what makes exploration lazy. */
interface Guarded {
  readonly at: number;
  readonly width: 1 | 2 | 4 | 8 | 20;
  readonly bound: number;
  readonly steps: readonly Step[];
}

const guarded: fc.Arbitrary<Guarded> = fc.record({
  at: place,
  width: fc.constantFrom<Guarded["width"][]>(1, 2, 4, 8, 20),
  bound: fc.integer({ min: 0, max: 3 }),
  steps: fc.array(stepArbitrary, { maxLength: 3 }),
});

function load(media: ModelledMedia, at: number, width: number): number {
  const { memory } = media.window(0);
  const start = Math.min(at, SIZE - width);
  if (width === 1) return memory.getUint8(start);
  if (width === 2) return memory.getUint16(start, true) & 0xff;
  if (width === 4) return memory.getUint32(start, true) >>> 24;
  if (width === 8) return Number(memory.getBigUint64(start, true) & 0xffn);
  return copyOf(memory, start, width).reduce((sum, byte) => sum + byte, 0) & 3;
}

export interface RandomProgram {
  readonly recover: readonly Guarded[];
  readonly check: readonly Guarded[];
  readonly throws: boolean;
  /** Check objects to about a third of all that its loads may be: nothing wrong goes unseen. */
  readonly sensitive: boolean;
}

export const programArbitrary: fc.Arbitrary<RandomProgram> = fc.record({
  recover: fc.array(guarded, { maxLength: 3 }),
  check: fc.array(guarded, { minLength: 1, maxLength: 3 }),
  throws: fc.boolean(),
  sensitive: fc.boolean(),
});

/** Recovery stores where its loads say so; check fails when all of its loads are above a bound. */
export function programOf({ recover, check, throws, sensitive }: RandomProgram): Program {
  return {
    recover(media) {
      let seen = 0;
      for (const { at, width, bound, steps } of recover) {
        const found = load(media, at, width);
        seen += found;
        if (found <= bound) for (const step of steps) perform(media, step);
      }
      return seen;
    },
    check(media, acked, recovered) {
      if (sensitive) {
        let hash = recovered as number;
        for (const { at, width } of check) hash = (hash * 31 + load(media, at, width)) % 65521;
        return hash % 3 !== 1;
      }
      for (const { at, width, bound } of check) {
        if (load(media, at, width) < bound) return true;
      }
      if (throws) throw new Error(`promised ${acked.length}, recovered ${String(recovered)}`);
      return acked.length > 0 ? "promise broken" : (recovered as number) % 2 === 0;
    },
  };
}

const ranges = fc
  .array(fc.constantFrom("adr" as const, "eadr" as const, "volatile" as const), {
    minLength: LINES,
    maxLength: LINES,
  })
  .map((domains) => domains.map((domain, line) => ({ start: line * 64, length: 64, domain })));
const caching = fc
  .array(fc.constantFrom("write-back", "write-through", "write-combining", "uncached"), {
    minLength: LINES,
    maxLength: LINES,
  })
  .map((kinds) => kinds.map((kind, line) => ({ start: line * 64, length: 64, caching: kind })));

export const optionsArbitrary = fc.oneof(
  fc.constantFrom<ModelledOptions>({}, { domain: "eadr" }, { domain: "volatile" }),
  fc.record({ domains: ranges }),
  fc.record({ domains: ranges, caching }),
  fc.record({ caching }),
) as fc.Arbitrary<ModelledOptions>;
