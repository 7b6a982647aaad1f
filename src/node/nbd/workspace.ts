/**
 * What a thread that carries connections keeps for all of them.
 *
 * @module
 */
import { Message, type Pinned, pinned, type SocketCalls, socketCalls } from "./sockets.unsafe.ts";

/** What the connections of a thread share: each uses it only while it runs. */
export interface Workspace {
  readonly calls: SocketCalls;
  /** Received bytes that no session has used yet. */
  readonly staging: Pinned;
  readonly message: Message;
}

/** @param stagingBytes how much one call receives; above what a handshake must hold (64 KiB) */
export function makeWorkspace(stagingBytes: number): Workspace {
  return { calls: socketCalls(), staging: pinned(stagingBytes), message: new Message() };
}
