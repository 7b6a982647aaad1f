/**
 * A server made of bytes: what a client is told, whatever it says.
 */
import type { Ask, Talk } from "../../src/nbd/talk.ts";
import { DaxError } from "../../src/lib/errno.ts";

/** Big-endian numbers of the given widths in bits, text and bytes, one after the other. */
export function wire(...parts: readonly (readonly [16 | 32 | 64, number] | string | Uint8Array)[]) {
  const pieces = parts.map((part) => {
    if (typeof part === "string") return Buffer.from(part);
    if (part instanceof Uint8Array) return part;
    const [bits, value] = part;
    const word = BigInt(value);
    return Uint8Array.from({ length: bits / 8 }, (_, i) =>
      Number((word >> BigInt(bits - 8 * (i + 1))) & 255n),
    );
  });
  return new Uint8Array(Buffer.concat(pieces));
}

export const HELLO = wire("NBDMAGIC", "IHAVEOPT", [16, 3]);

/** A reply to an option. */
export function optionReply(option: number, type: number, data: Uint8Array = new Uint8Array(0)) {
  return wire([64, 0x3e889045565a9], [32, option], [32, type], [32, data.length], data);
}

/** The end of GO: size and flags, and ACK. */
export function going(size: number, flags: number, more: readonly Uint8Array[] = []): Uint8Array {
  const infos = [wire([16, 0], [64, size], [16, flags]), ...more];
  return wire(...infos.map((info) => optionReply(7, 3, info)), optionReply(7, 1));
}

/** How a talk went with a server that says just these bytes. */
export interface Heard<T> {
  readonly result: T | undefined;
  readonly error: unknown;
  /** What the client said. */
  readonly said: Uint8Array;
  /** Bytes of the script that it did not hear. */
  readonly left: number;
  readonly steps: number;
}

/** Holds a talk with a script; when the script is used up, the connection ends. */
export function hear<T>(talk: Talk<T>, script: Uint8Array): Heard<T> {
  const said: Uint8Array[] = [];
  let at = 0;
  let steps = 0;
  const answer = (ask: Ask): IteratorResult<Ask, T> => {
    if (ask.kind === "send") said.push(...ask.pieces.map((piece) => piece.slice()));
    if (ask.kind !== "fill") return talk.next();
    if (at + ask.target.length > script.length) {
      at = script.length;
      return talk.throw(new DaxError("ECONNRESET", { syscall: "recv" }));
    }
    ask.target.set(script.subarray(at, at + ask.target.length));
    at += ask.target.length;
    return talk.next();
  };
  try {
    let step = talk.next();
    while (step.done !== true) {
      steps++;
      step = answer(step.value);
    }
    const result = step.value;
    return { result, error: undefined, said: Buffer.concat(said), left: script.length - at, steps };
  } catch (error) {
    const left = script.length - at;
    return { result: undefined, error, said: Buffer.concat(said), left, steps };
  }
}
