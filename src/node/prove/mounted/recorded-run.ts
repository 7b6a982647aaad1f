/**
 * What a command did on a mounted volume: the requests that its kernel made, and what the command
 * promised, in their order.
 *
 * @module
 */
import type { ForeignCall } from "../calls.ts";

/** A request of the kernel, a whole frame. */
export interface RecordedRequest {
  readonly frame: Uint8Array;
  /** What it was in words, where it may change the volume. */
  readonly call: ForeignCall | undefined;
}

/** A promise. */
export interface RecordedAck {
  readonly ack: string;
}

/** One of many. */
export type RecordedStep = RecordedRequest | RecordedAck;

/** A run, from an empty volume on. */
export interface RecordedRun {
  /** What the command for setup did; empty where there is none. */
  readonly setup: readonly RecordedStep[];
  readonly steps: readonly RecordedStep[];
}
