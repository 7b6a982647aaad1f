/**
 * Notices to the kernel, written in order by another thread: it may wait in that write for a
 * request that only this one answers.
 *
 * @module
 */
import type { FuseChannel } from "./channel.ts";
import { type SlowCalls, slowCalls } from "./fuse-calls.unsafe.ts";

/** See the module. */
export class NoticeQueue {
  readonly #channel: FuseChannel;
  readonly #calls: SlowCalls;
  /** The last one that was added. */
  #last: Promise<void> = Promise.resolve();

  constructor(channel: FuseChannel) {
    this.#channel = channel;
    this.#calls = slowCalls();
  }

  readonly add = (frame: Uint8Array<ArrayBuffer>): void => {
    if (!this.#channel.isOpen) return;
    this.#channel.record?.("notice", frame);
    this.#last = this.#last.then(() => this.#write(frame));
  };

  /** Resolves when all that was added is written. */
  settled(): Promise<void> {
    return this.#last;
  }

  /** No failure matters: what the kernel does not know, it need not forget. */
  async #write(frame: Uint8Array<ArrayBuffer>): Promise<void> {
    const fd = this.#channel.borrow();
    if (fd === undefined) return;
    await this.#calls.write(fd, frame, frame.length);
    this.#channel.giveBack();
  }
}
