/**
 * Who may still be reading what he was told of a file. A kernel keeps attributes when the thread
 * that asked for them gets to run, and by then another thread's call may have changed them: for
 * changes of names and extended attributes it only forgets what it had, and then keeps what is old.
 * So whoever changes a file whose attributes were told to another thread that has not asked for
 * anything since has the kernel told once more to forget: what was on its way counts as older.
 *
 * @module
 */
import type { Node } from "./nodes.ts";

/** Threads that are remembered; of more than that none. */
const MOST_THREADS = 1024;

/** Places for files that a thread keeps when it was told of many at once. */
const MOST_KEPT = 64;

/** What one thread was told last. */
interface Told {
  readonly nodes: Node[];
  /** When each was told, as `Node.overtaken` counts. */
  readonly times: number[];
  count: number;
}

/** See the module. */
export class Onlookers {
  readonly #threads = new Map<number, Told>();
  #current: Told = { nodes: [], times: [], count: 0 };
  /** Has the kernel forget the attributes of a file. */
  overtake: ((node: Node) => void) | undefined;

  /** A thread asks: what it was told before has arrived. */
  asks(thread: number): void {
    const told = this.#threads.get(thread) ?? this.#meet(thread);
    for (let i = 0; i < told.count; i++) {
      const node = told.nodes[i] as Node;
      if (node.overtaken === told.times[i]) node.onlookers--;
    }
    told.count = 0;
    if (told.nodes.length > MOST_KEPT) told.nodes.length = told.times.length = 0;
    this.#current = told;
  }

  /** The thread that asks is told of a file. */
  tell(node: Node): void {
    const told = this.#current;
    told.nodes[told.count] = node;
    told.times[told.count++] = node.overtaken;
    node.onlookers++;
  }

  /** The thread that asks has changed a file. */
  changes(node: Node): void {
    if (node.onlookers > 0) this.forget(node);
  }

  /** It has changed a file in a way that the kernel knows nothing of. */
  forget(node: Node): void {
    node.onlookers = 0;
    node.overtaken++;
    this.overtake?.(node);
  }

  #meet(thread: number): Told {
    if (this.#threads.size >= MOST_THREADS) {
      for (const other of this.#threads.keys()) this.asks(other);
      this.#threads.clear();
    }
    const told: Told = { nodes: [], times: [], count: 0 };
    this.#threads.set(thread, told);
    return told;
  }
}
