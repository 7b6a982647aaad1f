/**
 * Which engine this process can have.
 *
 * @module
 */
import { libc } from "../libc.unsafe.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { ThreadEngine } from "./thread-engine.ts";

/** The best engine; undefined where foreign calls cannot be made, and Node's sockets must do. */
export function makeEngine(options: EngineOptions = {}): Engine | undefined {
  return libc() === undefined ? undefined : new ThreadEngine(options);
}
