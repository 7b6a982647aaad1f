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
import { codeOf } from "../support/bytes.ts";

const SPACE = 48;
const NO_MERGE = new Set([12, 0xefff_ffff]);

const entry = fc
  .record({
    start: fc.bigInt(0n, BigInt(SPACE) - 1n),
    length: fc.bigInt(0n, 16n),
    type: fc.constantFrom(1, 1, 2, 3, 7, 12, 12, 0xefff_ffff),
  })
  .map(({ start, length, type }) => ({
    start,
    length: length > BigInt(SPACE) - start ? 0n : length,
    type,
  }));
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

  test("ranges are cut where the type changes, and where anything does under persistence", () => {
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

/** Children inside their parent, sorted, disjoint. */
function isSound(node: Resource): boolean {
  let from = node.start;
  for (const child of node.children) {
    if (child.start < from || child.last < child.start || child.last > node.last) return false;
    if (!isSound(child)) return false;
    from = child.last + 1n;
  }
  return true;
}

/** Every node in preorder, as one string. */
function dump(tree: ResourceTree): string {
  return [...tree.walk()].map(([node, depth]) => `${depth}:${node.start}-${node.last}`).join(" ");
}

interface AddressRange {
  start: bigint;
  length: bigint;
}

function sized({ start, last }: Resource): AddressRange {
  return { start, length: last - start + 1n };
}

function sorted(ranges: readonly AddressRange[]): AddressRange[] {
  return ranges.toSorted((a, b) => Number(a.start - b.start));
}

type Verb = "request" | "insert" | "expand" | "release" | "gaps";

/** Ranges that a verb claimed and gave back; `undefined` when it was refused. */
function perform(
  tree: ResourceTree,
  verb: Verb,
  range: AddressRange,
): { claimed: AddressRange[]; released: AddressRange[] } | undefined {
  const done = { claimed: [] as AddressRange[], released: [] as AddressRange[] };
  try {
    if (verb === "request") done.claimed.push(sized(tree.request(range, verb)));
    else if (verb === "insert") tree.insert(range, { name: verb });
    else if (verb === "expand") tree.insertExpanding(range, { name: verb });
    else if (verb === "gaps") done.claimed.push(...tree.reserveGaps(range, verb).map(sized));
    else if (tree.release(range)) done.released.push(range);
    else return undefined;
  } catch (error) {
    if (isDaxError(error, "EBUSY")) return undefined;
    throw error;
  }
  return done;
}

function overlap(a: AddressRange, b: AddressRange): boolean {
  return a.start < b.start + b.length && b.start < a.start + a.length;
}

describe("the resource tree", () => {
  const command = fc.record({
    verb: fc.constantFrom<Verb>("request", "insert", "expand", "release", "gaps"),
    start: fc.bigInt(0n, 40n),
    length: fc.bigInt(0n, 12n),
  });

  test("any mix of verbs keeps it sound; refusals change nothing; claims never overlap", () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 25 }), (commands) => {
        const tree = new ResourceTree();
        let claims: AddressRange[] = [];
        for (const { verb, start, length } of commands) {
          const before = dump(tree);
          const done = perform(tree, verb, { start, length });
          expect(isSound(tree.root)).toBe(true);
          expect(done === undefined && dump(tree) !== before).toBe(false);
          const { claimed = [], released = [] } = done ?? {};
          expect(claimed.some((c) => claims.some((other) => overlap(c, other)))).toBe(false);
          claims = claims.filter(
            (c) => !released.some((r) => r.start === c.start && r.length === c.length),
          );
          claims.push(...claimed);
          const busy = [...tree.walk()].map(([node]) => node).filter((node) => node.busy);
          expect(sorted(busy.map(sized))).toEqual(sorted(claims));
        }
      }),
    );
  });

  test("a request succeeds exactly where a naive walk finds room", () => {
    const described = fc.array(
      fc.record({
        start: fc.bigInt(0n, 40n),
        length: fc.bigInt(1n, 12n),
        busy: fc.boolean(),
      }),
      { maxLength: 8 },
    );
    const wanted = fc.record({ start: fc.bigInt(0n, 40n), length: fc.bigInt(1n, 12n) });
    fc.assert(
      fc.property(described, wanted, (nodes, range) => {
        const tree = new ResourceTree();
        for (const { start, length, busy } of nodes) {
          codeOf(() => tree.insert({ start, length }, { name: "n", busy }));
        }
        const last = range.start + range.length - 1n;
        // Room: every node that overlaps encloses the range and is not busy.
        const room = [...tree.walk()].every(
          ([n]) =>
            n.last < range.start ||
            n.start > last ||
            (n.start <= range.start && n.last >= last && !n.busy),
        );
        const granted = perform(tree, "request", range) !== undefined;
        expect(granted).toBe(room);
      }),
    );
  });
});
