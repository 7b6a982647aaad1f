/** Address spaces: who maps a file, and the one way to take rights to its pages away. */
import { expect, test } from "vitest";
import { AddressSpace, type Area } from "../../src/dax/address-space.ts";
import { AddressSpaces } from "../../src/dax/address-spaces.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { codeOf } from "../support/bytes.ts";
import { fakeDax } from "../support/dax-fakes.ts";

const PAGE = 4096;

interface FakeArea extends Area {
  readonly told: string[];
}

function area(offset: number, length: number, more: Partial<Area> = {}): FakeArea {
  const told: string[] = [];
  return {
    offset,
    length,
    pinsBlocks: false,
    told,
    describe: () => `area at ${offset}`,
    writeProtect: (first, pages) => told.push(`protect ${first}+${pages}`) && 1,
    unmap: (first, pages, copies) => told.push(`unmap ${first}+${pages} ${copies}`) && 2,
    writeBack: () => void told.push("write back"),
    detach: (reason) => void told.push(reason),
    ...more,
  };
}

/** A space with dirty entries at the given pages, and the device that they lead to. */
function dirtySpace(...indexes: readonly number[]) {
  const fake = fakeDax(64);
  const space = new AddressSpace({ owner: "fake0", ino: 12 });
  for (const index of indexes) dirty(space, index, fake);
  return { fake, space };
}

function clean(space: AddressSpace, index: number, { device }: ReturnType<typeof fakeDax>): void {
  const entry = space.entries.grab(index, 0, () => {}).next().value;
  if (typeof entry !== "object" || !("kind" in entry)) throw new Error("not grabbed");
  space.entries.put(entry, { device, start: (index % 64) * PAGE, copy: undefined });
  space.entries.unlock(entry);
}

function dirty(space: AddressSpace, index: number, fake: ReturnType<typeof fakeDax>): void {
  clean(space, index, fake);
  const entry = space.entries.grab(index, 0, () => {}).next().value;
  if (typeof entry !== "object" || !("kind" in entry)) throw new Error("not grabbed");
  space.entries.markDirty(entry);
  space.entries.unlock(entry);
}

test("[1.23] write-protecting and writing back cost what is dirty, in every area", () => {
  const { fake, space } = dirtySpace(3, 1_000_000_000, 40);
  const [one, other] = [area(0, 100), area(0, 5 * PAGE)];
  space.attach(one);
  space.attach(other);
  expect(space.writeProtect()).toBe(6);
  expect(one.told).toEqual(["protect 3+1", "protect 40+1", "protect 1000000000+1"]);
  expect(space.dirty).toBe(3);
  space.writeBack(0, 41);
  expect([space.dirty, fake.flushed, fake.device.counters.fences]).toEqual([
    1,
    [
      [3 * PAGE, PAGE],
      [40 * PAGE, PAGE],
    ],
    1,
  ]);
  expect(one.told.slice(3)).toEqual(["protect 3+1", "protect 40+1", "write back"]);
  space.writeBack(0, 41);
  expect(fake.flushed).toHaveLength(2);
  expect(space.counters).toMatchObject({ writtenBack: 2, flushedBytes: 2 * PAGE });
});

test("what could not be flushed stays dirty, and what was not fenced is fenced later", () => {
  const { fake, space } = dirtySpace(3, 5);
  const { device } = fake;
  const flush = device.flush.bind(device);
  const fence = device.fence.bind(device);
  device.flush = () => {
    throw new DaxError("EIO");
  };
  expect(codeOf(() => space.writeBack())).toBe("EIO");
  expect(space.dirty).toBe(2);
  device.flush = flush;
  device.fence = () => {
    throw new DaxError("EAGAIN");
  };
  expect(codeOf(() => space.writeBack())).toBe("EAGAIN");
  expect(space.dirty).toBe(0);
  device.fence = fence;
  const { fences } = device.counters;
  space.writeBack();
  expect(device.counters.fences).toBe(fences + 1);
});

test("the last area to leave writes back, and the space goes", () => {
  const owner = {};
  const spaces = AddressSpaces.of(owner);
  expect(AddressSpaces.of(owner)).toBe(spaces);
  const space = spaces.open({ owner: "fake0", ino: 12 });
  expect(spaces.open({ owner: "fake0", ino: 12 })).toBe(space);
  const fake = fakeDax(8);
  const [one, other] = [area(0, PAGE), area(0, PAGE)];
  space.attach(one);
  space.attach(other);
  dirty(space, 2, fake);
  space.leave(one);
  space.leave(one);
  expect([fake.flushed.length, spaces.get(12)]).toEqual([0, space]);
  space.leave(other);
  expect([fake.flushed.length, spaces.get(12), spaces.size]).toEqual([1, undefined, 0]);
});

test("[X2] removing a range unmaps it everywhere, and forgets what was dirty in it", () => {
  const { fake, space } = dirtySpace(3, 5, 9);
  const one = area(0, PAGE);
  space.attach(one);
  space.remove(4, 5, true);
  expect(one.told).toEqual(["unmap 4+5 true", "unmap 5+1 false"]);
  expect([space.dirty, space.entries.find(5), fake.flushed]).toEqual([2, undefined, []]);
  expect(space.counters.unmapped).toBe(4);
});

test("revoke ends every area, though one cannot be ended", () => {
  const space = new AddressSpace({ owner: "fake0", ino: 12 });
  const stuck = area(0, PAGE, {
    detach: () => {
      throw new DaxError("EBUSY", { detail: "stuck" });
    },
  });
  const loose = area(0, PAGE);
  space.attach(stuck);
  space.attach(loose);
  expect(codeOf(() => space.revoke("gone"))).toBe("EBUSY");
  expect(loose.told).toEqual(["gone"]);
});

test("memory that was handed out, and pins, keep their bytes where they are", () => {
  const space = new AddressSpace({ owner: "fake0", ino: 12 });
  space.attach(area(2 * PAGE, PAGE, { pinsBlocks: true }));
  expect(codeOf(() => space.assertLoose(2 * PAGE + 5))).toBe("EBUSY");
  expect(codeOf(() => space.assertLoose(3 * PAGE))).toBe(undefined);
  expect(codeOf(() => space.assertLoose(0, 2 * PAGE))).toBe(undefined);
  const pin = space.pins.pin({ first: 10, pages: 2, name: "direct I/O" });
  expect(() => space.assertLoose(11 * PAGE, 10)).toThrow(/EBUSY.*pinned \(direct I\/O\)/);
  expect(codeOf(() => space.assertLoose(12 * PAGE))).toBe(undefined);
  pin.release();
  pin.release();
  expect([codeOf(() => space.assertLoose(11 * PAGE)), space.pins.size]).toEqual([undefined, 0]);
  const longTerm = { first: 0, pages: 1, name: "rdma", longTerm: true };
  expect(codeOf(() => space.pins.pin(longTerm))).toBe("EOPNOTSUPP");
  const devdax = new AddressSpace({ owner: "dax0.0", ino: 0, longTermPins: true });
  expect(devdax.pins.pin(longTerm).pages).toBe(1);
  expect(codeOf(() => space.pins.pin({ ...longTerm, pages: 0, longTerm: false }))).toBe("EINVAL");
});

test("[1.17][1.22][1.23] standing still costs ten dirty pages, not the 100,000 mapped", () => {
  const { fake, space } = dirtySpace();
  for (let page = 0; page < 100_000; page++) clean(space, page, fake);
  for (let page = 0; page < 10; page++) dirty(space, page * 9_991, fake);
  const [kept, taken] = [
    area(0, 100_000 * PAGE),
    area(0, PAGE, { takeBack: () => void taken.told.push("take back") }),
  ];
  space.attach(kept);
  space.attach(taken);
  space.standStill("write-protect");
  expect(kept.told.filter((said) => said.startsWith("protect"))).toHaveLength(10);
  expect(kept.told.filter((said) => said.startsWith("unmap"))).toEqual([]);
  expect(taken.told.at(-1)).toBe("take back");
  expect([space.dirty, space.counters.writtenBack, space.counters.unmapped]).toEqual([0, 10, 0]);
  // Again there is nothing to write; to unmap takes every page, to be faulted in anew.
  space.standStill("unmap");
  expect([space.counters.writtenBack, space.counters.unmapped]).toEqual([10, 4]);
  expect(kept.told.at(-1)).toMatch(/^unmap 0\+/u);
});
