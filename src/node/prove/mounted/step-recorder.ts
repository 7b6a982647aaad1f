/**
 * Writes down what a kernel asks of a mounted volume, with the promises between: before each
 * request is answered, what the command has written until then is read.
 *
 * @module
 */
import { FuseOutHeader } from "../../../format/fuse.ts";
import type { FrameSink } from "../../fuse/channel.ts";
import type { AckSource } from "./ack-source.ts";
import type { RecordedStep } from "./recorded-run.ts";
import { RequestWords } from "./request-words.ts";

/** Bytes of requests that are kept. */
export const MOST_BYTES = 1 << 30;
const ENOSPC = 28;

function errorOf(reply: Uint8Array): number {
  return new DataView(reply.buffer, reply.byteOffset).getInt32(FuseOutHeader.error.offset, true);
}

/** Writes down what passes, with the promises between. */
export class StepRecorder {
  readonly steps: RecordedStep[] = [];
  /** Called when there is too much of it. */
  onFull: () => void = () => {};
  readonly #acks: AckSource | undefined;
  readonly #onAck: ((label: string) => void) | undefined;
  readonly #words = new RequestWords();
  #request: Uint8Array | undefined;
  #bytes = 0;
  #noRoom = false;

  /** Without a source nothing is promised. */
  constructor(acks?: AckSource, onAck?: (label: string) => void) {
    this.#acks = acks;
    this.#onAck = onAck;
  }

  /** Whether the volume was full at some time. */
  get noRoom(): boolean {
    return this.#noRoom;
  }

  get full(): boolean {
    return this.#bytes > MOST_BYTES;
  }

  readonly sink: FrameSink = (kind, frame) => {
    if (kind === "notice") return;
    if (kind === "reply") {
      this.#answered(frame);
      return;
    }
    this.#answered(undefined);
    this.#note(this.#acks?.take() ?? []);
    if (this.full) return;
    this.#request = frame.slice();
    this.#bytes += frame.length;
    if (this.full) this.onFull();
  };

  /** Nothing comes any more. */
  finish(): void {
    this.#answered(undefined);
    this.#note(this.#acks?.finish() ?? []);
  }

  #answered(reply: Uint8Array | undefined): void {
    const frame = this.#request;
    if (frame === undefined) return;
    this.#request = undefined;
    if (reply !== undefined && errorOf(reply) === -ENOSPC) this.#noRoom = true;
    const call = reply === undefined ? undefined : this.#words.callOf(frame, reply);
    this.steps.push({ frame, call });
  }

  #note(labels: readonly string[]): void {
    for (const ack of labels) {
      this.steps.push({ ack });
      this.#onAck?.(ack);
    }
  }
}
