/**
 * The platform against models simple enough to be right: one byte an address.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isDaxError } from "../../src/lib/errno.ts";
import type { E820Entry } from "../../src/platform/e820.ts";
import { removeRange, retypeRange } from "../../src/platform/editing.ts";
import { type Resource, ResourceTree } from "../../src/platform/resources.ts";
import { sanitise } from "../../src/platform/sanitise.ts";

const SPACE = 48;
const NO_MERGE = new Set([12, 0xefff_ffff]);

const entry = fc
  .record({
    start: fc.bigInt(0n, BigInt(SPACE) - 1n),
    length: fc.bigInt(0n, 16n),
    type: fc.constantFrom(1, 1, 2, 3, 7, 12, 12, 0xefff_ffff),
  })
  .map((e) => ({ ...e, length: e.length > BigInt(SPACE) - e.start ? 0n : e.length }));
const table = fc.array(entry, { minLength: 2, maxLength: 12 });

/** The types that cover each address, sorted. */
function typesAt(entries: readonly E820Entry[]): number[][] {
  return Array.from({ length: SPACE }, (_, address) =>
    entries
      .filter((e) => e.start <= address && address < e.start + e.length)
      .map((e) => e.type)
      .toSorted((a, b) => a - b),
  );
}

describe("[2.94] sanitise", () => {
  test("its output is sorted, disjoint, and has the largest type of every address", () => {
    fc.assert(
      fc.property(table, (entries) => {
        const output = sanitise(entries) as E820Entry[];
        for (let i = 1; i < output.length; i++) {
          const [before, after] = [output[i - 1]!, output[i]!];
          expect(before.start + before.length).toBeLessThanOrEqual(after.start);
        }
        expect(output.every((e) => e.length > 0n)).toBe(true);
        const largest = typesAt(entries).map((types) => types.slice(-1));
        expect(typesAt(output)).toEqual(largest);
      }),
    );
  });

  test("ranges are cut where the type changes, and where anything changes under persistence", () => {
    fc.assert(
      fc.property(table, (entries) => {
        const edges = new Set(
          entries.flatMap((e) => (e.length > 0n ? [e.start, e.start + e.length] : [])),
        );
        const largest = typesAt(entries).map((types) => types.at(-1) ?? 0);
        const expected: E820Entry[] = [];
        for (const [address, type] of largest.entries()) {
          if (type === 0) continue;
          const last = expected.at(-1);
          const same = last?.type === type && last.start + last.length === BigInt(address);
          const cut = NO_MERGE.has(type) && edges.has(BigInt(address));
          if (same && !cut) expected[expected.length - 1] = { ...last, length: last.length + 1n };
          else expected.push({ start: BigInt(address), length: 1n, type });
        }
        expect(sanitise(entries)).toEqual(expected);
      }),
    );
  });

  test("sanitising again changes nothing", () => {
    fc.assert(
      fc.property(table, (entries) => {
        const once = sanitise(entries) as E820Entry[];
        expect(sanitise(once) ?? once).toEqual(once);
      }),
    );
  });
});

describe("editing touches exactly the addresses of the range", () => {
  const range = fc.record({ start: fc.nat(SPACE), length: fc.nat(SPACE) });

  test("retype", () => {
    fc.assert(
      fc.property(table, range, (entries, { start, length }) => {
        const model = typesAt(entries).map((types, address) =>
          address >= start && address < start + length
            ? types.map((type) => (type === 1 ? 12 : type)).toSorted((a, b) => a - b)
            : types,
        );
        const edited = retypeRange(entries, BigInt(start), BigInt(length), 1, 12);
        expect(typesAt(edited.entries)).toEqual(model);
        const changed = typesAt(entries)
          .slice(start, start + length)
          .flat()
          .filter((type) => type === 1);
        expect(edited.bytes).toBe(BigInt(changed.length));
      }),
    );
  });

  test("remove, of one type or any", () => {
    const only = fc.constantFrom(undefined, 1, 12);
    fc.assert(
      fc.property(table, range, only, (entries, { start, length }, type) => {
        const model = typesAt(entries).map((types, address) =>
          address >= start && address < start + length
            ? types.filter((seen) => type !== undefined && seen !== type)
            : types,
        );
        const edited = removeRange(entries, BigInt(start), BigInt(length), type);
        expect(typesAt(edited.entries)).toEqual(model);
      }),
    );
  });
});

describe("the resource tree", () => {
  const command = fc.record({
    verb: fc.constantFrom("request", "insert", "expand", "release", "gaps"),
    start: fc.nat(40),
    length: fc.nat(12),
  });

  /** Children inside their parent, sorted, disjoint. */
  function assertSound(node: Resource): void {
    let from = node.start;
    for (const child of node.children) {
      expect(child.start).toBeGreaterThanOrEqual(from);
      expect(child.last).toBeGreaterThanOrEqual(child.start);
      expect(child.last).toBeLessThanOrEqual(node.last);
      from = child.last + 1n;
      assertSound(child);
    }
  }

  /** Every node in preorder, as one string. */
  function dump(tree: ResourceTree): string {
    return [...tree.walk()].map(([node, depth]) => `${depth}:${node.start}-${node.last}`).join(" ");
  }

  /** Naive: busy addresses of claims that are still there. */
  test("any mix of verbs keeps it sound; refusals change nothing; claims never overlap", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 25 }), (commands) => {
        const tree = new ResourceTree();
        const claims: { start: bigint; length: bigint }[] = [];
        for (const { verb, start: first, length: bytes } of commands) {
          const range = { start: BigInt(first), length: BigInt(bytes) };
          const before = dump(tree);
          const overlaps = claims.some(
            (c) => c.start < range.start + range.length && range.start < c.start + c.length,
          );
          try {
            if (verb === "request") {
              tree.request(range, verb);
              expect(overlaps).toBe(false);
              claims.push(range);
            } else if (verb === "insert") tree.insert(range, { name: verb });
            else if (verb === "expand") tree.insertExpanding(range, { name: verb });
            else if (verb === "gaps") claims.push(...tree.reserveGaps(range, verb).map(sized));
            else if (tree.release(range)) {
              const index = claims.findIndex(
                (c) => c.start === range.start && c.length === range.length,
              );
              expect(index).not.toBe(-1);
              claims.splice(index, 1);
            } else expect(dump(tree)).toBe(before);
          } catch (error) {
            expect(isDaxError(error, "EBUSY")).toBe(true);
            expect(dump(tree)).toBe(before);
          }
          assertSound(tree.root);
        }
        const busyNodes = [...tree.walk()].map(([node]) => node).filter((node) => node.busy);
        expect(busyNodes.map(sized).toSorted(byStart)).toEqual(claims.toSorted(byStart));
      }),
    );
  });

  function sized({ start, last }: Resource): { start: bigint; length: bigint } {
    return { start, length: last - start + 1n };
  }

  function byStart(a: { start: bigint }, b: { start: bigint }): number {
    return Number(a.start - b.start);
  }

  test("a request succeeds exactly where a naive walk finds room", () => {
    const described = fc.array(
      fc.record({ start: fc.nat(40), length: fc.integer({ min: 1, max: 12 }), busy: fc.boolean() }),
      { maxLength: 8 },
    );
    const wanted = fc.record({ start: fc.nat(40), length: fc.integer({ min: 1, max: 12 }) });
    fc.assert(
      fc.property(described, wanted, (nodes, { start, length }) => {
        const tree = new ResourceTree();
        for (const node of nodes) {
          try {
            tree.insert(
              { start: BigInt(node.start), length: BigInt(node.length) },
              { name: "n", busy: node.busy },
            );
          } catch (error) {
            expect(isDaxError(error, "EBUSY")).toBe(true);
          }
        }
        const last = BigInt(start + length - 1);
        // Room: every node that overlaps encloses the range and is not busy.
        const room = [...tree.walk()].every(
          ([n]) =>
            n.last < start || n.start > last || (n.start <= start && n.last >= last && !n.busy),
        );
        let granted = true;
        try {
          tree.request({ start: BigInt(start), length: BigInt(length) }, "claim");
        } catch {
          granted = false;
        }
        expect(granted).toBe(room);
      }),
    );
  });
});
