/** Bytes for tests, and comparisons that stay fast on megabytes. */
import { Prng } from "../../src/lib/prng.ts";

/** Reproducible noise. */
export function noise(seed: number, length: number): Uint8Array<ArrayBuffer> {
  const prng = new Prng(seed);
  const words = new Uint32Array(Math.ceil(length / 4));
  for (let i = 0; i < words.length; i++) words[i] = prng.u32();
  return new Uint8Array(words.buffer, 0, length);
}

/** Whether two runs of bytes are equal, as memcmp says. */
export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** The error code of a call, or `undefined` when it returns. */
export function codeOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}
