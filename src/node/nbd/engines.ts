/**
 * Which engine this process can have.
 *
 * @module
 */
import { libc } from "../libc.unsafe.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { PolledEngine } from "./polled-engine.ts";

/** The best engine; undefined where foreign calls cannot be made, and Node's sockets must do. */
export function makeEngine(_options: EngineOptions = {}): Engine | undefined {
  return libc() === undefined ? undefined : new PolledEngine();
}
