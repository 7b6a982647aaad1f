/** What checks have looked at: every state has one way, whatever order runs come in. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { LookTree, type Look, chainOf } from "../../src/node/prove/mounted/look-tree.ts";

/** A check that looks at some bytes of a state, in an order of its own, and says what it found. */
function look(state: readonly number[], order: readonly number[]): { looks: Look[]; said: string } {
  const looks: Look[] = [];
  const at = new Map<number, number>();
  const read = (byte: number): number => {
    if (!at.has(byte)) looks.push({ at: byte, length: 1 });
    at.set(byte, state[byte] ?? 0);
    return state[byte] ?? 0;
  };
  // What it looks at next depends on what it found, but not what it says in the end.
  let said = "";
  for (const byte of order.includes(0) ? [0] : []) read(byte);
  const wanted = read(0) === 0 ? [1, 2] : [2, 3];
  for (const byte of order.filter((each) => wanted.includes(each))) read(byte);
  for (const byte of wanted) said += String(read(byte));
  return { looks, said };
}

const content = (state: readonly number[]) => (at: Look) => String(state[at.at] ?? 0);

test("whatever order runs look in, each state ends as its own run does", () => {
  const byte = fc.integer({ min: 0, max: 2 });
  const state = fc.array(byte, { minLength: 4, maxLength: 4 });
  const order = fc.shuffledSubarray([0, 1, 2, 3]);
  fc.assert(
    fc.property(fc.array(fc.tuple(state, order), { maxLength: 60 }), (runs) => {
      const tree = new LookTree();
      for (const [bytes, way] of runs) {
        const found = tree.walk(["a"], content(bytes));
        const { looks, said } = look(bytes, way);
        if ("fill" in found) {
          const known = new Set(found.looks.map(({ at }) => at));
          const added = looks.filter(({ at }) => !known.has(at));
          found.fill(chainOf(added, { said }, content(bytes)));
        }
        expect("said" in found ? found : { said }).toEqual({ said });
        expect(tree.walk(["a"], content(bytes))).toEqual({ said });
      }
    }),
  );
});

test("states without a difference that anybody saw are one; promises tell them apart", () => {
  const tree = new LookTree();
  const first = tree.walk(["a"], content([0, 5, 9]));
  if (!("fill" in first)) throw new Error("nobody was here");
  first.fill(chainOf([{ at: 0, length: 1 }], { said: "bad" }, content([0])));
  expect(tree.walk(["a"], content([0, 7, 1]))).toEqual({ said: "bad" });
  expect(tree.walk(["a", "b"], content([0, 7, 1]))).toHaveProperty("fill");
  expect(tree.walk(["b"], content([0, 7, 1]))).toHaveProperty("fill");
  const [one, other] = [tree.walk(["a"], content([1, 0])), tree.walk(["a"], content([1, 4]))];
  if (!("key" in one) || !("key" in other)) throw new Error("nobody was there");
  expect(one.key).toBe(other.key);
});
