/**
 * Numbers in a row, and the next one that is large enough, in logarithmic time.
 *
 * @module
 */

/** A fixed row of unsigned 32-bit numbers, all 0 at first. */
export class MaxTree {
  readonly length: number;
  readonly #leaves: number;
  readonly #nodes: Uint32Array;

  constructor(length: number) {
    this.length = length;
    let leaves = 1;
    while (leaves < length) leaves *= 2;
    this.#leaves = leaves;
    this.#nodes = new Uint32Array(2 * leaves);
  }

  /** The largest of all. */
  get max(): number {
    return this.#nodes[1] as number;
  }

  get(index: number): number {
    return this.#nodes[this.#leaves + index] as number;
  }

  set(index: number, value: number): void {
    const nodes = this.#nodes;
    let node = this.#leaves + index;
    nodes[node] = value;
    for (node >>>= 1; node > 0; node >>>= 1) {
      const high = Math.max(nodes[node * 2] as number, nodes[node * 2 + 1] as number);
      if (nodes[node] === high) return;
      nodes[node] = high;
    }
  }

  /** The first index from `from` on whose number is `value` (above 0) or more; -1 for none. */
  nextAtLeast(from: number, value: number): number {
    if (from >= this.length) return -1;
    const nodes = this.#nodes;
    let node = this.#leaves + from;
    // Up, until a subtree to the right has one; then down to its first.
    while ((nodes[node] as number) < value) {
      while ((node & 1) === 1) node >>>= 1;
      if (node === 0) return -1;
      node++;
    }
    while (node < this.#leaves) {
      node *= 2;
      if ((nodes[node] as number) < value) node++;
    }
    return node - this.#leaves;
  }
}
