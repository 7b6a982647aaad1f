import { describe, expect, test } from "vitest";
import { DaxDevice } from "../../src/dax/dax-device.ts";
import { DaxHosts } from "../../src/dax/hosts.ts";
import { type DaxHolder, type DaxOperations, PAGE_SIZE } from "../../src/dax/operations.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { fakeDax } from "../support/dax-fakes.ts";

const PAGES = 16;

function holderNamed(name: string): DaxHolder & { readonly told: string[] } {
  const told: string[] = [];
  const notifyFailure: DaxHolder["notifyFailure"] = (offset, length, reason) => {
    told.push(`${reason} ${offset}+${length}`);
  };
  return { name, told, notifyFailure };
}

/** A device whose driver answers what the test says. */
function deviceWith(operations: Partial<DaxOperations>): DaxDevice {
  const memory = new DataView(new ArrayBuffer(PAGES * PAGE_SIZE));
  return new DaxDevice({
    name: "dax0",
    pages: PAGES,
    operations: {
      directAccess: (pgoff, pages) => ({ memory, start: pgoff * PAGE_SIZE, pages, pfn: pgoff }),
      zeroPageRange: () => {},
      ...operations,
    },
    writeCache: true,
    synchronous: true,
  });
}

function throwing(code: "EHWPOISON" | "EIO"): () => never {
  return () => {
    throw new DaxError(code, { detail: "by the driver" });
  };
}

describe("the error contract of the entry points", () => {
  test.each([
    { pgoff: 0, pages: 1, code: undefined },
    { pgoff: PAGES - 1, pages: 1, code: undefined },
    { pgoff: PAGES - 1, pages: 100, code: undefined },
    { pgoff: 0, pages: 0, code: "EINVAL" },
    { pgoff: 0, pages: -1, code: "EINVAL" },
    { pgoff: 0, pages: 1.5, code: "EINVAL" },
    { pgoff: 0, pages: Number.NaN, code: "EINVAL" },
    { pgoff: 0.5, pages: 1, code: "EINVAL" },
    { pgoff: Number.NaN, pages: 1, code: "EINVAL" },
    { pgoff: PAGES, pages: 1, code: "ERANGE" },
    { pgoff: -1, pages: 1, code: "ERANGE" },
    { pgoff: 2 ** 40, pages: 1, code: "ERANGE" },
  ])("[0.34] [2.109] direct_access at $pgoff of $pages pages: $code", ({ pgoff, pages, code }) => {
    const { device } = fakeDax(PAGES);
    expect(codeOf(() => device.directAccess(pgoff, pages))).toBe(code);
  });

  test("[0.34] a driver that translates nothing is ERANGE, one that says more is cut", () => {
    const memory = new DataView(new ArrayBuffer(PAGES * PAGE_SIZE));
    const answering = (pages: number): DaxDevice =>
      deviceWith({ directAccess: () => ({ memory, start: 0, pages, pfn: 0 }) });
    expect(codeOf(() => answering(0).directAccess(0, 4))).toBe("ERANGE");
    expect(codeOf(() => answering(-3).directAccess(0, 4))).toBe("ERANGE");
    expect(answering(9).directAccess(0, 4).pages).toBe(4);
    expect(answering(2).directAccess(0, 4).pages).toBe(2);
  });

  test("[0.34] a driver that answers what cannot be is EIO by its name", () => {
    const memory = new DataView(new ArrayBuffer(PAGES * PAGE_SIZE));
    const right = { memory, start: 0, pages: 1, pfn: 7 };
    const wrong: unknown[] = [
      undefined,
      null,
      { ...right, memory: undefined },
      { ...right, pages: 1.5 },
      { ...right, pages: undefined },
      { ...right, start: PAGES * PAGE_SIZE },
      { ...right, start: PAGES * PAGE_SIZE - 100 },
      { ...right, start: -PAGE_SIZE },
      { ...right, start: Number.NaN },
      { ...right, start: 0.5 },
      { ...right, start: (PAGES - 1) * PAGE_SIZE, pages: 9 },
    ];
    for (const answer of wrong) {
      const device = deviceWith({ directAccess: () => answer as typeof right });
      expect(codeOf(() => device.directAccess(3, 2))).toBe("EIO");
      expect(() => device.directAccess(3, 2)).toThrow("dax0: its driver translates page 3 to");
    }
    const bare = { directAccess: () => undefined as unknown as typeof right };
    expect(codeOf(() => deviceWith(bare).zero(3, 0, 64))).toBe("EIO");
    const last = { ...right, start: (PAGES - 1) * PAGE_SIZE };
    expect(deviceWith({ directAccess: () => last }).directAccess(3, 2)).toBe(last);
  });

  test("[0.34] what the driver throws comes through", () => {
    const device = deviceWith({ directAccess: throwing("EHWPOISON") });
    expect(codeOf(() => device.directAccess(0, 1))).toBe("EHWPOISON");
  });

  test("[0.10] translations count pages and say which frame they start with", () => {
    const { device } = fakeDax(PAGES);
    const span = device.directAccess(3, 5);
    expect([span.start, span.pages, span.pfn]).toEqual([3 * PAGE_SIZE, 5, 0x103]);
  });

  test.each([
    { pgoff: 0, pages: PAGES, code: undefined },
    { pgoff: PAGES, pages: 0, code: undefined },
    { pgoff: 0, pages: PAGES + 1, code: "ERANGE" },
    { pgoff: PAGES, pages: 1, code: "ERANGE" },
    { pgoff: -1, pages: 1, code: "ERANGE" },
    { pgoff: 0, pages: -1, code: "EINVAL" },
    { pgoff: 0, pages: 0.5, code: "EINVAL" },
    { pgoff: Number.NaN, pages: 1, code: "EINVAL" },
  ])("zero_page_range at $pgoff of $pages pages: $code", ({ pgoff, pages, code }) => {
    const { device, bytes } = fakeDax(PAGES);
    bytes.fill(0xff);
    expect(codeOf(() => device.zeroPageRange(pgoff, pages))).toBe(code);
    const zeroed = bytes.filter((byte) => byte === 0).length;
    expect(zeroed).toBe(code === undefined ? pages * PAGE_SIZE : 0);
  });

  test("zero_page_range turns the driver's EHWPOISON into EIO and leaves the rest", () => {
    const poisoned = deviceWith({ zeroPageRange: throwing("EHWPOISON") });
    expect(codeOf(() => poisoned.zeroPageRange(0, 1))).toBe("EIO");
    expect(codeOf(() => poisoned.zero(0, 0, 2 * PAGE_SIZE))).toBe("EIO");
    const broken = deviceWith({ zeroPageRange: throwing("EIO") });
    expect(codeOf(() => broken.zeroPageRange(0, 1))).toBe("EIO");
    const hidden = deviceWith({ directAccess: throwing("EHWPOISON") });
    expect(codeOf(() => hidden.zero(0, 1, 10))).toBe("EIO");
  });

  test("recovery_write is 0 bytes without a driver that heals", () => {
    expect(deviceWith({}).recoveryWrite(0, 0, noise(1, PAGE_SIZE))).toBe(0);
  });

  test.each([
    { start: PAGES * PAGE_SIZE - 1, length: 2 },
    { start: -1, length: 1 },
    { start: 2 ** 60, length: 1 },
  ])("bytes $start+$length are ERANGE for every byte operation", ({ start, length }) => {
    const { device, bytes, flushed } = fakeDax(PAGES);
    const source = new Uint8Array(length).fill(1);
    expect(codeOf(() => device.copyFromIter(0, start, [source]))).toBe("ERANGE");
    expect(codeOf(() => device.recoveryWrite(0, start, source))).toBe("ERANGE");
    expect(codeOf(() => device.flush(0, start, length))).toBe("ERANGE");
    expect(codeOf(() => device.zero(0, start, length))).toBe("ERANGE");
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    expect(flushed).toEqual([]);
  });

  test.each([Number.NaN, Infinity, 0.5])("start %d is EINVAL", (start) => {
    const { device } = fakeDax(PAGES);
    expect(codeOf(() => device.copyFromIter(0, start, [noise(1, 1)]))).toBe("EINVAL");
    expect(codeOf(() => device.flush(0, start, 1))).toBe("EINVAL");
    expect(codeOf(() => device.zero(0, 0, -1))).toBe("EINVAL");
  });

  test("faults of the memory come through check_fault, where the driver knows them", () => {
    expect(codeOf(() => deviceWith({}).checkFault())).toBe(undefined);
    expect(codeOf(() => deviceWith({ checkFault: throwing("EIO") }).checkFault())).toBe("EIO");
  });

  test("stitch checks its pieces and is undefined where the driver cannot", () => {
    const none = deviceWith({});
    expect(none.stitch([{ pgoff: 0, pages: 1 }])).toBe(undefined);
    expect(codeOf(() => none.stitch([{ pgoff: PAGES, pages: 1 }]))).toBe("ERANGE");
    const seen: unknown[] = [];
    const device = deviceWith({
      stitch: (pieces, writable) => {
        seen.push(pieces, writable);
        return { bytes: new Uint8Array(1), release: () => {} };
      },
    });
    const pieces = [{ pgoff: 1, pages: 2 }, { hole: true, length: PAGE_SIZE } as const];
    expect(device.stitch(pieces)?.bytes.length).toBe(1);
    expect(seen).toEqual([pieces, false]);
  });

  test("[4.8] a driver without a flush of its own is asked for none, one with it gets each", () => {
    const seen: number[][] = [];
    const device = deviceWith({ flush: (...at) => void seen.push(at) });
    device.flush(2, 5000, 70);
    expect(seen).toEqual([[2, 5000, 70]]);
    deviceWith({}).flush(0, 0, 64);
    expect(device.counters.flushes).toBe(1);
  });
});

describe("[0.29] the life of a device", () => {
  test("after kill every operation but flush and fence is ENXIO", () => {
    const { device } = fakeDax(PAGES);
    device.kill();
    expect(device.alive).toBe(false);
    const page = noise(1, PAGE_SIZE);
    const calls = [
      () => device.directAccess(0, 1),
      () => device.zeroPageRange(0, 1),
      () => device.zero(0, 0, 1),
      () => device.recoveryWrite(0, 0, page),
      () => device.copyFromIter(0, 0, [page]),
      () => device.stitch([{ pgoff: 0, pages: 1 }]),
      () => device.claim(holderNamed("ext4")),
      () => device.enter(),
      () => device.notifyFailure(0, 1),
    ];
    expect(calls.map(codeOf)).toEqual(calls.map(() => "ENXIO"));
    expect(codeOf(() => device.flush(0, 0, 64))).toBe(undefined);
    expect(codeOf(() => device.fence())).toBe(undefined);
  });

  test("kill tells the holder once, while the device still works, then lets it go", () => {
    const { device, bytes } = fakeDax(PAGES);
    const told: string[] = [];
    const holder: DaxHolder = {
      name: "xfs",
      notifyFailure: (offset, length, reason) => {
        told.push(`${reason} ${offset}+${length}`);
        device.copyFromIter(0, 0, [noise(1, 64)]);
        device.kill();
      },
    };
    device.claim(holder);
    device.kill();
    device.kill();
    expect(told).toEqual([`pre-remove 0+${PAGES * PAGE_SIZE}`]);
    expect(same(bytes.subarray(0, 64), noise(1, 64))).toBe(true);
    expect(device.holder).toBe(undefined);
  });

  test("a holder that fails does not keep the device alive", () => {
    const { device } = fakeDax(PAGES);
    device.claim({ name: "bad", notifyFailure: throwing("EIO") });
    expect(codeOf(() => device.kill())).toBe("EIO");
    expect(device.alive).toBe(false);
    expect(device.holder).toBe(undefined);
  });

  test("kill is finished when the last user has left; late ones are refused", () => {
    const { device } = fakeDax(PAGES);
    const events: string[] = [];
    device.enter();
    device.enter();
    device.kill(() => events.push("first"));
    device.kill(() => events.push("second"));
    expect(codeOf(() => device.enter())).toBe("ENXIO");
    device.exit();
    expect(events).toEqual([]);
    expect(device.users).toBe(1);
    device.exit();
    expect(events).toEqual(["first", "second"]);
    device.kill(() => events.push("third"));
    expect(events).toEqual(["first", "second", "third"]);
  });

  test("exit without enter is a bug of the caller", () => {
    expect(codeOf(() => fakeDax(1).device.exit())).toContain("AssertionError");
  });
});

describe("holders", () => {
  test("one holder at a time; the same one again is fine", () => {
    const { device } = fakeDax(PAGES);
    const [first, second] = [holderNamed("ext4"), holderNamed("dm-0")];
    device.claim(first);
    device.claim(first);
    expect(() => device.claim(second)).toThrow("held by ext4");
    expect(codeOf(() => device.claim(second))).toBe("EBUSY");
    device.release(second);
    expect(device.holder).toBe(first);
    device.release(first);
    device.claim(second);
    expect(device.holder).toBe(second);
  });

  test("are told of poison; without one the answer is no", () => {
    const { device } = fakeDax(PAGES);
    expect(device.notifyFailure(0, 4096)).toBe(false);
    const holder = holderNamed("ext4");
    device.claim(holder);
    expect(device.notifyFailure(8192, 4096)).toBe(true);
    expect(holder.told).toEqual(["poison 8192+4096"]);
  });
});

describe("hosts", () => {
  test("[0.11] [0.30] a disk's name finds its device; an unknown one finds none", () => {
    const hosts = new DaxHosts();
    const { device } = fakeDax(1);
    hosts.register("pmem0", device);
    expect(hosts.find("pmem0")).toBe(device);
    expect(hosts.find("pmem1")).toBe(undefined);
    expect([...hosts.hosts()]).toEqual(["pmem0"]);
  });

  test("[0.11] a killed device is not found, and its name is free again", () => {
    const hosts = new DaxHosts();
    const [old, next] = [fakeDax(1).device, fakeDax(1).device];
    hosts.register("pmem0", old);
    old.kill();
    expect(hosts.find("pmem0")).toBe(undefined);
    expect([...hosts.hosts()]).toEqual([]);
    hosts.register("pmem0", next);
    expect(hosts.find("pmem0")).toBe(next);
    hosts.unregister("pmem0", old);
    expect(hosts.find("pmem0")).toBe(next);
    hosts.unregister("pmem0", next);
    expect(hosts.find("pmem0")).toBe(undefined);
  });

  test("a name in use is EBUSY, for the same device it is not", () => {
    const hosts = new DaxHosts();
    const [one, other] = [fakeDax(1).device, fakeDax(1).device];
    hosts.register("pmem0", one);
    hosts.register("pmem0", one);
    expect(codeOf(() => hosts.register("pmem0", other))).toBe("EBUSY");
    expect(hosts.find("pmem0")).toBe(one);
  });
});
