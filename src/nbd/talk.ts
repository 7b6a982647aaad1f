/**
 * Talks: what a client says and waits for, as generators without sockets. A transport runs one: it
 * does what the talk asks for and calls `next`, or `throw` with the error that kept it from that.
 * One that blocks and one that awaits run the same talk.
 *
 * @module
 */
import type { NbdUriTls } from "./uri.ts";

/** What a talk asks of its transport. */
export type Ask =
  /** Send these bytes, all of them and in this order, before going on. */
  | { readonly kind: "send"; readonly pieces: readonly Uint8Array[] }
  /** Receive until `target` is full; the end of the stream before that is ECONNRESET. */
  | { readonly kind: "fill"; readonly target: Uint8Array }
  /** Go on with TLS. */
  | { readonly kind: "secure"; readonly options: NbdUriTls };

/** See the module. */
export type Talk<T> = Generator<Ask, T, void>;

/** Sends bytes. */
export function* send(...pieces: Uint8Array[]): Talk<void> {
  yield { kind: "send", pieces };
}

/** Fills `target` from what the server sends. */
export function* fill(target: Uint8Array): Talk<void> {
  if (target.length > 0) yield { kind: "fill", target };
}

/** The next `length` bytes; the caller bounds it. */
export function* take(length: number): Talk<DataView<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  yield* fill(bytes);
  return new DataView(bytes.buffer);
}
