/**
 * What carries the channels of a process: waits until the kernel asks something, and has it
 * answered.
 *
 * @module
 */
import type { FuseChannel } from "./channel.ts";

/** See the module. */
export interface FuseEngine {
  /** Serves a channel until it is gone, and says so then, once; the descriptor is closed before. */
  add(channel: FuseChannel, onGone: () => void): void;
  /** Serves it no more, and closes its descriptor. `onGone` is called, soon. */
  drop(channel: FuseChannel): void;
}

/** `shared`: the event loop has every other turn. `blocking`: the thread is there for mounts. */
export type FuseEngineKind = "shared" | "blocking";
