/**
 * A radix tree over unsigned integers with tags, as Linux's page cache uses it: a tag is kept in
 * every node on the way down, so that the next tagged index is found without a walk over the
 * others.
 *
 * @module
 */
import { assert } from "./errno.ts";

/** Bits of the index that one node resolves. */
const BITS = 5;
const SLOTS = 1 << BITS;

/** Levels that indexes of 53 bits need, and one more. */
const POWERS = Array.from({ length: 13 }, (_, level) => SLOTS ** level);
/** What shifts can take apart: six levels of five bits. */
const MOST_BITS = SLOTS ** 6 - 1;

/** A tag: one of three bits on every entry. */
export type Tag = 0 | 1 | 2;
const TAGS = 3;

/** An inner node or a leaf; one bit for each slot in `used` and in each tag. */
interface Node<T> {
  readonly slots: (Node<T> | T | undefined)[];
  used: number;
  readonly tags: Int32Array;
}

/** A map from unsigned safe integers to values, ordered, with tags. */
export class RadixTree<T> {
  #root: Node<T> = newNode();
  /** Levels of nodes; the tree holds indexes below SLOTS ** height. */
  #height = 1;
  #size = 0;

  /** Entries. */
  get size(): number {
    return this.#size;
  }

  /** The value at `index`; undefined when there is none. */
  get(index: number): T | undefined {
    assertIndex(index);
    if (index >= powerOf(this.#height)) return undefined;
    let node = this.#root;
    for (let level = this.#height - 1; level > 0; level--) {
      const slot = slotAt(index, level);
      if (!isSet(node.used, slot)) return undefined;
      node = node.slots[slot] as Node<T>;
    }
    const slot = slotAt(index, 0);
    return isSet(node.used, slot) ? (node.slots[slot] as T) : undefined;
  }

  /** Adds or replaces a value; the tags of a replaced one stay. */
  set(index: number, value: T): void {
    assertIndex(index);
    while (index >= powerOf(this.#height)) this.#grow();
    let node = this.#root;
    for (let level = this.#height - 1; level > 0; level--) {
      const slot = slotAt(index, level);
      if (!isSet(node.used, slot)) {
        node.slots[slot] = newNode<T>();
        node.used |= 1 << slot;
      }
      node = node.slots[slot] as Node<T>;
    }
    const slot = slotAt(index, 0);
    if (!isSet(node.used, slot)) this.#size++;
    node.used |= 1 << slot;
    node.slots[slot] = value;
  }

  /** Removes an entry with its tags and returns its value. */
  delete(index: number): T | undefined {
    const path = this.#path(index);
    const leaf = path?.at(-1);
    if (path === undefined || leaf === undefined) return undefined;
    for (let tag = 0; tag < TAGS; tag++) untag(path, index, tag as Tag);
    const value = leaf.slots[slotAt(index, 0)] as T;
    // Empty nodes go too: the tree must not grow with what once was.
    for (let level = 0; level < path.length; level++) {
      const node = path[path.length - 1 - level] as Node<T>;
      const slot = slotAt(index, level);
      node.used &= ~(1 << slot);
      node.slots[slot] = undefined;
      if (node.used !== 0) break;
    }
    this.#size--;
    return value;
  }

  /** Tags an entry; false when there is none. */
  setTag(index: number, tag: Tag): boolean {
    const path = this.#path(index);
    if (path === undefined) return false;
    for (const [i, node] of path.entries()) {
      node.tags[tag] = (node.tags[tag] as number) | (1 << slotAt(index, path.length - 1 - i));
    }
    return true;
  }

  /** Takes a tag off an entry; false when there is none. */
  clearTag(index: number, tag: Tag): boolean {
    const path = this.#path(index);
    if (path === undefined) return false;
    untag(path, index, tag);
    return true;
  }

  /** Whether there is an entry with the tag. */
  hasTag(index: number, tag: Tag): boolean {
    const leaf = this.#path(index)?.at(-1);
    return leaf !== undefined && isSet(leaf.tags[tag] as number, slotAt(index, 0));
  }

  /** The first index at or after `from` that has an entry, with the tag if one is given; or -1. */
  next(from: number, tag?: Tag): number {
    assertIndex(from);
    if (from >= powerOf(this.#height)) return -1;
    return nextIn(this.#root, this.#height - 1, from, tag);
  }

  /** Entries in ascending order; the tree may change meanwhile. */
  *entries(): IterableIterator<[number, T]> {
    for (let index = this.next(0); index >= 0; index = this.next(index + 1)) {
      yield [index, this.get(index) as T];
    }
  }

  #grow(): void {
    const root = newNode<T>();
    if (this.#root.used !== 0) {
      root.slots[0] = this.#root;
      root.used = 1;
      for (let tag = 0; tag < TAGS; tag++) root.tags[tag] = this.#root.tags[tag] === 0 ? 0 : 1;
    }
    this.#root = root;
    this.#height++;
  }

  /** The nodes from the root to the leaf of an existing entry. */
  #path(index: number): Node<T>[] | undefined {
    assertIndex(index);
    if (index >= powerOf(this.#height)) return undefined;
    const path = [this.#root];
    for (let level = this.#height - 1; ; level--) {
      const node = path.at(-1) as Node<T>;
      const slot = slotAt(index, level);
      if (!isSet(node.used, slot)) return undefined;
      if (level === 0) return path;
      path.push(node.slots[slot] as Node<T>);
    }
  }
}

function newNode<T>(): Node<T> {
  return { slots: Array.from({ length: SLOTS }), used: 0, tags: new Int32Array(TAGS) };
}

function isSet(bits: number, slot: number): boolean {
  return (bits & (1 << slot)) !== 0;
}

/** Division where an index may have more than 31 bits. */
function slotAt(index: number, level: number): number {
  if (index <= MOST_BITS) return level > 5 ? 0 : (index >> (BITS * level)) & (SLOTS - 1);
  return Math.floor(index / powerOf(level)) % SLOTS;
}

/** How many indexes a subtree of so many levels holds. */
function powerOf(levels: number): number {
  return POWERS[levels] as number;
}

/** Clears upwards as long as no sibling keeps the tag alive. */
function untag<T>(path: readonly Node<T>[], index: number, tag: Tag): void {
  for (let level = 0; level < path.length; level++) {
    const { tags } = path[path.length - 1 - level] as Node<T>;
    tags[tag] = (tags[tag] as number) & ~(1 << slotAt(index, level));
    if (tags[tag] !== 0) return;
  }
}

/** The first index in this node's share at or after `from`, which lies in it; or -1. */
function nextIn<T>(node: Node<T>, level: number, from: number, tag: Tag | undefined): number {
  const step = powerOf(level);
  const base = from - (from % (step * SLOTS));
  const first = slotAt(from, level);
  const bits = tag === undefined ? node.used : (node.tags[tag] as number);
  for (let slot = first; slot < SLOTS; slot++) {
    if (!isSet(bits, slot)) continue;
    const start = base + slot * step;
    if (level === 0) return start;
    const inner = nextIn(node.slots[slot] as Node<T>, level - 1, Math.max(start, from), tag);
    if (inner >= 0) return inner;
  }
  return -1;
}

function assertIndex(index: number): void {
  assert(Number.isSafeInteger(index) && index >= 0, () => `index ${index} of a radix tree`);
}
