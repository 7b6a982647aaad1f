/**
 * The resource tree: who has claimed which physical addresses.
 *
 * Siblings are sorted and never overlap, children lie inside their parent. A node that is busy
 * belongs to somebody; one that is not merely describes, and may be claimed piece by piece.
 *
 * @module
 */
import { DaxError, assert } from "../lib/errno.ts";

const HIGHEST = (1n << 64n) - 1n;

/** What a range is, beyond its name: the kernel's IORES_DESC_* values that matter here. */
export type ResourceDescriptor =
  | "none"
  | "acpi-tables"
  | "acpi-nv-storage"
  | "reserved"
  | "soft-reserved"
  | "persistent-memory"
  | "persistent-memory-legacy";

/** Physical addresses `[start, start + length)`. */
export interface AddressRange {
  readonly start: bigint;
  readonly length: bigint;
}

/** What a new node is. */
export interface ResourceAttributes {
  readonly name: string;
  readonly busy?: boolean;
  /** Whether it is ordinary memory: IORESOURCE_SYSTEM_RAM. */
  readonly systemRam?: boolean;
  readonly descriptor?: ResourceDescriptor;
}

/** A node of the tree. */
export interface Resource {
  readonly name: string;
  readonly start: bigint;
  /** The last address that belongs to it. */
  readonly last: bigint;
  readonly busy: boolean;
  readonly systemRam: boolean;
  readonly descriptor: ResourceDescriptor;
  readonly children: readonly Resource[];
}

/** How a range lies to the nodes of one kind. */
export type Intersection = "disjoint" | "intersects" | "mixed";

/** Which nodes {@link ResourceTree.intersects} looks for; what is left out does not matter. */
export type ResourceMatch = Pick<ResourceAttributes, "systemRam" | "descriptor">;

class Node implements Resource {
  readonly name: string;
  start: bigint;
  last: bigint;
  readonly busy: boolean;
  readonly systemRam: boolean;
  readonly descriptor: ResourceDescriptor;
  children: Node[] = [];

  constructor(start: bigint, last: bigint, attributes: ResourceAttributes) {
    this.start = start;
    this.last = last;
    this.name = attributes.name;
    this.busy = attributes.busy ?? false;
    this.systemRam = attributes.systemRam ?? false;
    this.descriptor = attributes.descriptor ?? "none";
  }

  encloses(other: Node): boolean {
    return this.start <= other.start && this.last >= other.last;
  }

  /** Index of the first child that ends at or after `address`. */
  childFrom(address: bigint): number {
    let low = 0;
    let high = this.children.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.children[middle] as Node).last < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Puts `node` among the children, or returns whoever is in the way (this, if it sticks out). */
  tryAdd(node: Node): Node | undefined {
    if (node.last < node.start || !this.encloses(node)) return this;
    const index = this.childFrom(node.start);
    const next = this.children[index];
    if (next !== undefined && next.start <= node.last) return next;
    this.children.splice(index, 0, node);
    return undefined;
  }
}

/** One address space: `/proc/iomem`, or the smaller one of I/O ports. */
export class ResourceTree {
  readonly #root: Node;

  constructor(name = "PCI mem", last: bigint = HIGHEST) {
    this.#root = new Node(0n, last, { name });
  }

  get root(): Resource {
    return this.#root;
  }

  /**
   * Claims a range for a driver: a leaf, busy, that inherits what its parent is, unless told
   * otherwise. It lands in the innermost node that is not busy.
   * @throws EBUSY naming the node in the way, for a range of nothing too
   */
  request(
    range: AddressRange,
    name: string,
    { busy: isBusy = true, ...given }: Omit<ResourceAttributes, "name"> = {},
  ): Resource {
    let parent = this.#root;
    for (;;) {
      const { systemRam, descriptor } = parent;
      const attributes = { systemRam, descriptor, ...given, name, busy: isBusy };
      const node = new Node(range.start, lastOf(range), attributes);
      const conflict = parent.tryAdd(node);
      if (conflict === undefined) return node;
      if (conflict === parent || conflict.busy) throw busy("request", name, range, conflict);
      parent = conflict;
    }
  }

  /**
   * Inserts a description: it goes as deep as nodes enclose it, and adopts what it encloses. With
   * exactly the range of an existing node the newcomer becomes its parent.
   * @throws EBUSY on partial overlap, with the tree untouched
   */
  insert(range: AddressRange, attributes: ResourceAttributes): Resource {
    const node = new Node(range.start, lastOf(range), attributes);
    const conflict = this.#insert(node);
    if (conflict !== undefined) throw busy("insert", attributes.name, range, conflict);
    return node;
  }

  /** As {@link insert}; undefined, with nothing changed, where something is in the way. */
  tryInsert(range: AddressRange, attributes: ResourceAttributes): Resource | undefined {
    const node = new Node(range.start, lastOf(range), attributes);
    return this.#insert(node) === undefined ? node : undefined;
  }

  /**
   * As {@link insert}, but a partial overlap widens the newcomer until it swallows it.
   * @throws EBUSY for a range that is empty or leaves the address space
   */
  insertExpanding(range: AddressRange, attributes: ResourceAttributes): Resource {
    const node = new Node(range.start, lastOf(range), attributes);
    for (;;) {
      const conflict = this.#insert(node);
      if (conflict === undefined) return node;
      if (conflict === this.#root) throw busy("insert", attributes.name, range, conflict);
      if (conflict.start < node.start) node.start = conflict.start;
      if (conflict.last > node.last) node.last = conflict.last;
    }
  }

  /** Makes busy nodes of every part of the range, as far as the tree goes, that nothing covers. */
  reserveGaps(range: AddressRange, name: string): Resource[] {
    const made: Resource[] = [];
    const last = lastOf(range) < this.#root.last ? lastOf(range) : this.#root.last;
    let start = range.start;
    const taken = this.#root.children.slice(this.#root.childFrom(start));
    for (const node of taken) {
      if (node.start > last) break;
      if (node.start > start) made.push(this.#fill(start, node.start - 1n, name));
      start = node.last + 1n;
    }
    if (start <= last) made.push(this.#fill(start, last, name));
    return made;
  }

  /**
   * Gives a claimed range back. It must match a busy node exactly; anything else changes nothing
   * and returns false (the kernel logs "Trying to free nonexistent resource").
   */
  release(range: AddressRange): boolean {
    const last = lastOf(range);
    let parent = this.#root;
    for (;;) {
      const index = parent.childFrom(range.start);
      const node = parent.children[index];
      if (node === undefined || node.start > range.start || node.last < last) return false;
      if (!node.busy) {
        parent = node;
        continue;
      }
      if (node.start !== range.start || node.last !== last) return false;
      parent.children.splice(index, 1);
      return true;
    }
  }

  /** Takes a node, with all below it, out of the tree. Returns false when it is not there. */
  remove(resource: Resource): boolean {
    let parent = this.#root;
    for (;;) {
      const index = parent.childFrom(resource.start);
      const node = parent.children[index];
      if (node === undefined || node.start > resource.start) return false;
      if (node === resource) {
        parent.children.splice(index, 1);
        return true;
      }
      parent = node;
    }
  }

  /**
   * Whether the range consists of nodes of a kind (`intersects`), meets none (`disjoint`), or meets
   * such nodes beside others or beside addresses that no node covers (`mixed`).
   */
  intersects(range: AddressRange, match: ResourceMatch): Intersection {
    const last = lastOf(range);
    let matched = 0n;
    for (const node of overlapping(this.#root, range.start, last)) {
      matched += coverage(node, range.start, last, match);
    }
    if (matched === 0n) return "disjoint";
    return matched === range.length ? "intersects" : "mixed";
  }

  /** Every node below the root in address order, parents first, with its depth from 0. */
  *walk(): Generator<readonly [resource: Resource, depth: number]> {
    const stack: [Node, number][] = this.#root.children.toReversed().map((node) => [node, 0]);
    for (;;) {
      const top = stack.pop();
      if (top === undefined) return;
      yield top;
      const [node, depth] = top;
      for (const child of node.children.toReversed()) stack.push([child, depth + 1]);
    }
  }

  #fill(start: bigint, last: bigint, name: string): Resource {
    const node = new Node(start, last, { name, busy: true });
    const conflict = this.#root.tryAdd(node);
    assert(conflict === undefined, () => `${name}: a gap that is none`);
    return node;
  }

  #insert(node: Node): Node | undefined {
    let parent = this.#root;
    for (;;) {
      const conflict = parent.tryAdd(node);
      if (conflict === undefined) return undefined;
      if (conflict === parent) return parent;
      const same = conflict.start === node.start && conflict.last === node.last;
      if (same || !conflict.encloses(node)) break;
      parent = conflict;
    }
    return adopt(parent, node);
  }
}

/** Puts `node` between `parent` and the run of its children that `node` overlaps. */
function adopt(parent: Node, node: Node): Node | undefined {
  const first = parent.childFrom(node.start);
  let past = first;
  for (; past < parent.children.length; past++) {
    const child = parent.children[past] as Node;
    if (child.start > node.last) break;
    if (!node.encloses(child)) return child;
  }
  node.children = parent.children.splice(first, past - first, node);
  return undefined;
}

function lastOf({ start, length }: AddressRange): bigint {
  return start + length - 1n;
}

function* overlapping(parent: Node, start: bigint, last: bigint): Generator<Node> {
  for (let i = parent.childFrom(start); i < parent.children.length; i++) {
    const node = parent.children[i] as Node;
    if (node.start > last) return;
    yield node;
  }
}

function overlap(node: Node, start: bigint, last: bigint): bigint {
  const from = node.start > start ? node.start : start;
  const to = node.last < last ? node.last : last;
  return to - from + 1n;
}

/** How many addresses of the range belong to the outermost matching nodes at and below `node`. */
function coverage(node: Node, start: bigint, last: bigint, match: ResourceMatch): bigint {
  if (matches(node, match)) return overlap(node, start, last);
  let sum = 0n;
  for (const child of overlapping(node, start, last)) sum += coverage(child, start, last, match);
  return sum;
}

function matches(node: Node, { systemRam, descriptor }: ResourceMatch): boolean {
  return (
    (systemRam === undefined || node.systemRam === systemRam) &&
    (descriptor === undefined || node.descriptor === descriptor)
  );
}

function busy(verb: string, name: string, range: AddressRange, conflict: Node): DaxError {
  const wanted = `[mem ${hex(range.start)}-${hex(lastOf(range))}]`;
  const seen = `${conflict.name} [mem ${hex(conflict.start)}-${hex(conflict.last)}]`;
  return new DaxError("EBUSY", {
    syscall: `${verb}_resource`,
    detail: `${name}: could not reserve region ${wanted}: ${seen} is in the way`,
  });
}

function hex(value: bigint): string {
  return value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16).padStart(8, "0")}`;
}
