import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RadixTree, type Tag } from "../../src/lib/radix-tree.ts";

/** Indexes that meet in nodes, and some that need a tall tree. */
const index = fc.oneof(
  fc.nat({ max: 70 }),
  fc.nat({ max: 5000 }),
  fc.constantFrom(2 ** 31, 2 ** 32 + 5, 2 ** 40, 2 ** 53 - 2),
);
const tag = fc.constantFrom<Tag>(0, 1, 2);
const operation = fc.constantFrom("set", "delete", "setTag", "clearTag", "hasTag", "get");
const step = fc.record({ index, tag, operation });

/** The tree as a map, and its tags as sets of indexes. */
class Model {
  readonly values = new Map<number, number>();
  readonly tags = [new Set<number>(), new Set<number>(), new Set<number>()] as const;

  next(from: number, tagged?: Tag): number {
    const all = [...(tagged === undefined ? this.values.keys() : this.tags[tagged])];
    const after = all.filter((at) => at >= from);
    return after.length === 0 ? -1 : Math.min(...after);
  }
}

/** Does one step to both; what the tree answered, and what it should have. */
function apply(
  tree: RadixTree<number>,
  model: Model,
  { index: at, tag: bit, operation: what }: { index: number; tag: Tag; operation: string },
): [unknown, unknown] {
  const has = model.values.has(at);
  const value = model.values.get(at);
  if (what === "set") {
    tree.set(at, at + 1);
    model.values.set(at, at + 1);
    return [tree.get(at), at + 1];
  }
  if (what === "delete") {
    model.values.delete(at);
    for (const tagged of model.tags) tagged.delete(at);
    return [tree.delete(at), value];
  }
  if (what === "setTag") {
    if (has) model.tags[bit].add(at);
    return [tree.setTag(at, bit), has];
  }
  if (what === "clearTag") {
    model.tags[bit].delete(at);
    return [tree.clearTag(at, bit), has];
  }
  if (what === "hasTag") return [tree.hasTag(at, bit), model.tags[bit].has(at)];
  return [tree.get(at), value];
}

describe("a radix tree", () => {
  test("is an ordered map with tags", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), index, (steps, from) => {
        const tree = new RadixTree<number>();
        const model = new Model();
        for (const each of steps) {
          const [got, want] = apply(tree, model, each);
          expect(got).toBe(want);
        }
        expect(tree.size).toBe(model.values.size);
        expect(tree.next(from)).toBe(model.next(from));
        for (const bit of [0, 1, 2] as const)
          expect(tree.next(from, bit)).toBe(model.next(from, bit));
        const sorted = [...model.values].toSorted(([a], [b]) => a - b);
        expect([...tree.entries()]).toEqual(sorted);
      }),
      { numRuns: 300 },
    );
  });

  test("refuses what is no index", () => {
    const tree = new RadixTree<number>();
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => tree.get(bad)).toThrow("of a radix tree");
      expect(() => tree.set(bad, 1)).toThrow("of a radix tree");
    }
  });
});
