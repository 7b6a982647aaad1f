/**
 * Bytes that a socket of Node's has handed over and a session has not used yet.
 *
 * @module
 */
import type { ServerSession } from "../../nbd/session-contract.ts";

/** The socket is paused while so much waits. */
const FULL_BYTES = 128 * 1024;

/** See the module. */
export class NetInput {
  /** The client sends no more. */
  ended = false;
  #chunks: Uint8Array[] = [];
  #bytes = 0;
  /** Where chunks are joined, with room for more. */
  #joined = new Uint8Array(0);
  /** The session looked at the first chunk and needs more than it holds. */
  #starved = false;

  /** No more should be read from the socket. */
  get full(): boolean {
    return this.#bytes >= FULL_BYTES;
  }

  /** Something waits that the session can use. */
  get pending(): boolean {
    return this.#chunks.length > 0 && !this.#starved;
  }

  /** Keeps a chunk; it is not copied. */
  add(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#starved) this.#join();
  }

  /** Nothing of it is wanted any more. */
  drop(): void {
    this.#chunks = [];
    this.#bytes = 0;
    this.#starved = false;
  }

  /** Gives the session what it takes: until it has answers to send, or all is used. */
  feed(session: ServerSession): void {
    while (this.pending && !session.replies.full && !this.#waits(session)) {
      const [chunk] = this.#chunks;
      if (chunk === undefined) return;
      const used = session.receive(chunk, 0, chunk.length);
      this.#bytes -= used;
      if (used === chunk.length) {
        this.#chunks.shift();
        continue;
      }
      this.#chunks[0] = chunk.subarray(used);
      if (session.state === "starttls" || session.state === "closing") return;
      // Stopping short of the end means: send first, wait, or a header that is not whole.
      if (session.replies.full || this.#waits(session)) return;
      if (this.#chunks.length > 1) this.#join();
      else this.#starved = true;
    }
  }

  /** Of what has ended nothing waits: it is answered, whatever the export's gate says. */
  #waits(session: ServerSession): boolean {
    return session.export?.gate?.open === false && !this.ended;
  }

  /**
   * The session wants the first two in one piece; the first is short, being less than it needs. A
   * client that sends byte by byte costs no copy of all for each of them.
   */
  #join(): void {
    const [first, second, ...rest] = this.#chunks;
    if (first === undefined || second === undefined) return;
    const length = first.length + second.length;
    const stop = first.byteOffset + first.length;
    if (first.buffer !== this.#joined.buffer || stop + second.length > this.#joined.length) {
      this.#joined = new Uint8Array(2 * length);
      this.#joined.set(first);
      this.#joined.set(second, first.length);
      this.#chunks = [this.#joined.subarray(0, length), ...rest];
    } else {
      this.#joined.set(second, stop);
      this.#chunks = [this.#joined.subarray(first.byteOffset, stop + second.length), ...rest];
    }
    this.#starved = false;
  }
}
