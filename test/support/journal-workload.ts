/**
 * A long random program on a journal: blocks of metadata change, are freed and become data, data
 * come before what refers to them, and a model says what every prefix of it leaves.
 */
import type { Buffers } from "../../src/block/buffers.ts";
import type { Journal } from "../../src/fs/ext/journal.ts";
import type { Handle } from "../../src/fs/ext/handle.ts";
import { Prng } from "../../src/lib/prng.ts";
import { noise, same } from "./bytes.ts";

/** Bytes of each block after each step; a block that is missing may hold anything. */
type State = ReadonlyMap<number, Uint8Array>;

/** Runs steps, and remembers what each leaves. */
export class JournalWorkload {
  readonly #states: State[];
  readonly #buffers: Buffers;
  readonly #homes: readonly number[];
  /** Blocks of somebody's data: the journal does not know them. */
  readonly #data = new Map<number, Uint8Array>();
  readonly #random: Prng;

  constructor(buffers: Buffers, homes: readonly number[], seed: number) {
    this.#buffers = buffers;
    this.#homes = homes;
    this.#random = new Prng(seed);
    const first = homes.map((block) => {
      const bytes = new Uint8Array(buffers.blockSize);
      buffers.read(block, bytes, "home");
      return [block, bytes] as const;
    });
    this.#states = [new Map(first)];
  }

  /** A transaction; it is durable when this returns, and `steps` counts it. */
  step(journal: Journal): void {
    const handle = journal.start(6, 1);
    const state = new Map([...(this.#states.at(-1) as State), ...this.#data]);
    for (let i = 0; i < 6; i++) this.#change(handle, state);
    if (this.#random.below(3) === 0) this.#free(handle, state);
    handle.stop();
    this.#states.push(state);
    journal.commit();
  }

  /** Transactions so far. */
  get steps(): number {
    return this.#states.length - 1;
  }

  /** The step after which the image is as it is, `promised` or later; undefined: none is right. */
  stepOf(image: Uint8Array, promised: number): number | undefined {
    const size = this.#buffers.blockSize;
    for (let step = promised; step < this.#states.length; step++) {
      const blocks = [...(this.#states[step] as State)];
      if (blocks.every(([n, bytes]) => same(image.subarray(n * size, (n + 1) * size), bytes))) {
        return step;
      }
    }
    return undefined;
  }

  #change(handle: Handle, state: Map<number, Uint8Array>): void {
    const block = this.#random.pick(this.#homes);
    if (this.#data.has(block)) return;
    const bytes = this.#contents();
    handle.get(block).bytes.set(bytes);
    state.set(block, bytes);
  }

  /** From the commit on the block belongs to data, and no replay may touch it. */
  #free(handle: Handle, state: Map<number, Uint8Array>): void {
    const block = this.#random.pick(this.#homes);
    if (this.#data.size > this.#homes.length / 4 || this.#data.has(block)) return;
    const bytes = this.#contents();
    this.#data.set(block, bytes);
    handle.forget(block);
    state.delete(block);
    handle.onCommitted(() => {
      this.#buffers.write(block, bytes);
      this.#buffers.device.flush();
    });
  }

  /** Every third block looks like one of the journal's own. */
  #contents(): Uint8Array {
    const bytes = noise(this.#random.u32(), this.#buffers.blockSize);
    if (this.#random.below(3) === 0) bytes.set([0xc0, 0x3b, 0x39, 0x98]);
    return bytes;
  }
}
