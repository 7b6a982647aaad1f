import { describe, expect, test } from "vitest";
import { iomemText, reserveEarly, reserveLate } from "../../src/platform/iomem.ts";
import { type ResourceDescriptor, ResourceTree } from "../../src/platform/resources.ts";
import { codeOf } from "../support/bytes.ts";

const at = (start: number, length: number): { start: bigint; length: bigint } => ({
  start: BigInt(start),
  length: BigInt(length),
});

/** `10-1f:a{14-17:b}`: the tree in one line. */
function shape(tree: ResourceTree): string {
  return iomemText(tree)
    .trimEnd()
    .split("\n")
    .map((line) => line.replaceAll(/\b0{1,7}(?=[0-9a-f]+[- ])/gu, "").replace(" : ", ":"))
    .join("|");
}

describe("request", () => {
  test("claims land in the innermost node that is not busy, and inherit what it is", () => {
    const tree = new ResourceTree();
    tree.insert(at(0x1000, 0x1000), { name: "outer", descriptor: "persistent-memory" });
    const claim = tree.request(at(0x1400, 0x100), "claim");
    expect(shape(tree)).toBe("1000-1fff:outer|  1400-14ff:claim");
    expect(claim).toMatchObject({ busy: true, descriptor: "persistent-memory", systemRam: false });
  });

  test.each([
    ["the same range again", 0x1400, 0x100],
    ["a part of a claim", 0x1410, 0x10],
    ["across the edge of what is not busy", 0x1f00, 0x200],
    ["nothing", 0x100, 0],
  ])("%s is EBUSY", (_, start, length) => {
    const tree = new ResourceTree();
    tree.insert(at(0x1000, 0x1000), { name: "outer" });
    tree.request(at(0x1400, 0x100), "claim");
    const before = shape(tree);
    expect(codeOf(() => tree.request(at(start, length), "late"))).toBe("EBUSY");
    expect(shape(tree)).toBe(before);
  });

  test("[2.111] the refusal names both ranges, each with one 0x", () => {
    const tree = new ResourceTree();
    tree.request(at(0x10_0000, 0x10_0000), "System RAM");
    let message = "";
    try {
      tree.request(at(0x18_0000, 0x1000), "namespace0.0");
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain("could not reserve region [mem 0x00180000-0x00180fff]");
    expect(message).toContain("System RAM [mem 0x00100000-0x001fffff]");
    expect(message).not.toContain("0x0x");
  });

  test("what leaves the address space is EBUSY", () => {
    const tree = new ResourceTree("PCI IO", 0xffffn);
    expect(codeOf(() => tree.request(at(0xff00, 0x200), "ports"))).toBe("EBUSY");
    expect(codeOf(() => tree.request({ start: -1n, length: 2n }, "ports"))).toBe("EBUSY");
  });
});

describe("insert", () => {
  test("a newcomer adopts what it encloses, and goes below what encloses it", () => {
    const tree = new ResourceTree();
    tree.request(at(0x1100, 0x100), "a");
    tree.request(at(0x1300, 0x100), "b");
    tree.insert(at(0x1000, 0x1000), { name: "outer" });
    tree.insert(at(0x1000, 0x800), { name: "middle" });
    expect(shape(tree)).toBe("1000-1fff:outer|  1000-17ff:middle|    1100-11ff:a|    1300-13ff:b");
  });

  test("with an identical range the newcomer becomes the parent", () => {
    const tree = new ResourceTree();
    tree.insert(at(0x1000, 0x1000), { name: "old" });
    tree.insert(at(0x1000, 0x1000), { name: "new" });
    expect(shape(tree)).toBe("1000-1fff:new|  1000-1fff:old");
  });

  test("partial overlap is EBUSY and changes nothing", () => {
    const tree = new ResourceTree();
    tree.insert(at(0x1000, 0x1000), { name: "a" });
    tree.insert(at(0x3000, 0x1000), { name: "b" });
    expect(codeOf(() => tree.insert(at(0x1000, 0x2800), { name: "c" }))).toBe("EBUSY");
    expect(codeOf(() => tree.insert(at(0x1800, 0x1000), { name: "c" }))).toBe("EBUSY");
    expect(shape(tree)).toBe("1000-1fff:a|3000-3fff:b");
  });

  test("expanding swallows partial overlaps", () => {
    const tree = new ResourceTree();
    tree.insert(at(0x1000, 0x1000), { name: "a" });
    tree.insert(at(0x3000, 0x1000), { name: "b" });
    tree.insertExpanding(at(0x1800, 0x2000), { name: "c" });
    expect(shape(tree)).toBe("1000-3fff:c|  1000-1fff:a|  3000-3fff:b");
    expect(codeOf(() => tree.insertExpanding(at(0, 0), { name: "d" }))).toBe("EBUSY");
  });
});

describe("release and remove", () => {
  test("release wants the exact range of a busy node", () => {
    const tree = new ResourceTree();
    tree.insert(at(0x1000, 0x1000), { name: "outer" });
    tree.request(at(0x1400, 0x100), "claim");
    expect(tree.release(at(0x1400, 0x80))).toBe(false);
    expect(tree.release(at(0x1000, 0x1000))).toBe(false);
    expect(tree.release(at(0x5000, 0x1000))).toBe(false);
    expect(tree.release(at(0x1400, 0x100))).toBe(true);
    expect(tree.release(at(0x1400, 0x100))).toBe(false);
    expect(shape(tree)).toBe("1000-1fff:outer");
  });

  test("remove takes the node itself, with all below", () => {
    const tree = new ResourceTree();
    const outer = tree.insert(at(0x1000, 0x1000), { name: "outer" });
    const claim = tree.request(at(0x1000, 0x1000), "claim");
    expect(tree.remove(claim)).toBe(true);
    expect(tree.remove(claim)).toBe(false);
    expect(tree.remove(outer)).toBe(true);
    expect(iomemText(tree)).toBe("");
  });
});

test("[4.16] a range meets nodes of a kind: disjoint, intersects, mixed", () => {
  const tree = new ResourceTree();
  const insert = (start: number, name: string, descriptor: ResourceDescriptor): void => {
    tree.insert(at(start, 0x1000), { name, descriptor });
  };
  insert(0x1000, "pmem", "persistent-memory");
  insert(0x2000, "pmem", "persistent-memory");
  insert(0x3000, "reserved", "reserved");
  tree.insert(at(0x5000, 0x1000), { name: "window" });
  tree.insert(at(0x5000, 0x800), { name: "pmem", descriptor: "persistent-memory" });
  const match = { descriptor: "persistent-memory" } as const;
  const ask = (start: number, length: number): string => tree.intersects(at(start, length), match);
  expect(ask(0, 0x1000)).toBe("disjoint");
  expect(ask(0, 0x1800)).toBe("mixed");
  expect(ask(0x1000, 0x2000)).toBe("intersects");
  expect(ask(0x1000, 0x3000)).toBe("mixed");
  expect(ask(0x3000, 0x1000)).toBe("disjoint");
  expect(ask(0x5000, 0x800)).toBe("intersects");
  expect(ask(0x5000, 0x1000)).toBe("mixed");
  expect(tree.intersects(at(0x1000, 0x3000), { systemRam: true })).toBe("disjoint");
});

describe("/proc/iomem", () => {
  test("addresses have eight digits or more, the last is inclusive, levels stop at five", () => {
    const tree = new ResourceTree();
    for (let depth = 0; depth < 7; depth++) {
      tree.insert(at(0x1000, 0x1000 - depth), { name: `level ${depth}` });
    }
    tree.insert({ start: 0x1_0000_0000n, length: 0x1000n }, { name: "" });
    const lines = iomemText(tree).split("\n");
    expect(lines[0]).toBe("00001000-00001fff : level 0");
    expect(lines[5]).toBe("          00001000-00001ffa : level 5");
    expect(lines[6]).toBe("          00001000-00001ff9 : level 6");
    expect(lines[7]).toBe("100000000-100000fff : <BAD>");
  });

  test("I/O ports have four digits", () => {
    const tree = new ResourceTree("PCI IO", 0xffffn);
    tree.request(at(0x60, 1), "keyboard");
    expect(iomemText(tree)).toBe("0060-0060 : keyboard\n");
  });

  test("the unprivileged see names and no addresses", () => {
    const tree = new ResourceTree();
    tree.insert(at(0x1000, 0x1000), { name: "outer" });
    tree.request(at(0x1000, 0x10), "inner");
    expect(iomemText(tree, { privileged: false })).toBe(
      "00000000-00000000 : outer\n  00000000-00000000 : inner\n",
    );
  });
});

describe("the map's own entries", () => {
  const entries = [
    { start: 0n, length: 0x9_f000n, type: 1 },
    { start: 0x9_f000n, length: 0x1000n, type: 12 },
    { start: 0x10_0000n, length: 0x10_0000n, type: 1 },
    { start: 0x20_0000n, length: 0x10_0000n, type: 7 },
    { start: 0x400_0000n, length: 0x10_0000n, type: 12 },
    { start: 0x800_0000n, length: 0x1000n, type: 2 },
  ];

  test("[2.99] persistent and reserved ranges may be claimed, unless below 1 MiB", () => {
    for (const profile of ["v4.1", "modern"] as const) {
      const tree = new ResourceTree();
      reserveEarly(tree, entries, profile);
      reserveLate(tree, entries, profile);
      expect(codeOf(() => tree.request(at(0x9_f000, 0x1000), "pmem"))).toBe("EBUSY");
      expect(codeOf(() => tree.request(at(0x10_0000, 0x1000), "pmem"))).toBe("EBUSY");
      expect(tree.request(at(0x400_0000, 0x10_0000), "pmem").busy).toBe(true);
      expect(tree.request(at(0x800_0000, 0x1000), "pmem").busy).toBe(true);
      // Linux 4.1 did not know type 7: it was some busy memory.
      const standard = codeOf(() => tree.request(at(0x20_0000, 0x1000), "pmem"));
      expect(standard).toBe(profile === "v4.1" ? "EBUSY" : undefined);
    }
  });

  test("a filler ends where the addresses end, and none stands behind them", () => {
    const tree = new ResourceTree("PCI mem", 0x10_ffffn);
    const ram = [
      { start: 0n, length: 0x10_8000n, type: 1 },
      { start: 0x4000_0000n, length: 0x1000n, type: 1 },
    ];
    reserveEarly(tree, ram);
    reserveLate(tree, ram);
    expect(shape(tree)).toBe("0-107fff:System RAM|108000-10ffff:RAM buffer");
  });

  test("a filler stands behind RAM, around what is there already", () => {
    const tree = new ResourceTree();
    reserveEarly(tree, entries);
    expect(reserveLate(tree, entries)).toEqual([
      "e820: reserve RAM buffer [mem 0x0009f000-0x0009ffff]",
    ]);
    expect(shape(tree)).not.toContain("RAM buffer");
    const gap = new ResourceTree();
    const ram = [
      { start: 0n, length: 0x101_0000n, type: 1 },
      { start: 0x102_0000n, length: 0x1000n, type: 2 },
    ];
    reserveEarly(gap, ram);
    reserveLate(gap, ram);
    expect(shape(gap)).toBe(
      "0-100ffff:System RAM|1010000-101ffff:RAM buffer|1020000-1020fff:Reserved|" +
        "1021000-3ffffff:RAM buffer",
    );
  });
});
