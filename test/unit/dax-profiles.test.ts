/**
 * Dax as kernels of other ages had it, and devices whose drivers lack something.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DaxDevice } from "../../src/dax/dax-device.ts";
import { attachPageMap } from "../../src/dax/pages.ts";
import {
  type DaxProfile,
  daxAsIn,
  directAccessBySector,
  operationsIn,
  withoutOperations,
} from "../../src/dax/profiles.ts";
import type { DaxOperations } from "../../src/dax/operations.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { pmemOf } from "../support/block-devices.ts";
import { noise } from "../support/bytes.ts";
import { scatteredDax } from "../support/dax-fakes.ts";
import { Prng } from "../../src/lib/prng.ts";
import { refusal } from "../support/refusal.ts";

const PAGE = 4096;
const ages: readonly DaxProfile[] = ["v4.13", "v4.14", "modern"];

/** All bytes of a device. */
function bytesOf(device: DaxDevice): Uint8Array {
  const bytes = new Uint8Array(device.pages * PAGE);
  for (let page = 0; page < device.pages; page++) {
    const { memory, start } = device.directAccess(page, 1);
    bytes.set(copyOf(memory, start, PAGE), page * PAGE);
  }
  return bytes;
}

/** Cache lines that a flush over the border of two runs reaches. */
function lines(age: DaxProfile): number {
  const { dax } = pmemOf(8 * PAGE, { segmentBytes: PAGE }).pmem;
  const before = dax.counters.flushedLines;
  daxAsIn(age, dax).flush(1, PAGE - 128, 256);
  return dax.counters.flushedLines - before;
}

describe("[0.2] [0.31] the operations of a kernel", () => {
  test("[0.42] [4.17] flush came with 4.13, and went with 4.14", () => {
    const all = ["v4.1", ...ages] as const;
    expect(all.filter((age) => operationsIn(age).includes("flush"))).toEqual(["v4.13"]);
    expect(operationsIn("modern")).toEqual(["directAccess", "zeroPageRange", "recoveryWrite"]);
  });

  test("a kernel that there is not is EINVAL, with those that there are", () => {
    const { dax } = pmemOf(8 * PAGE).pmem;
    for (const wrong of ["v9", "toString", undefined, 5] as unknown as DaxProfile[]) {
      for (const ask of [
        () => operationsIn(wrong),
        () => daxAsIn(wrong, dax),
        () => directAccessBySector(wrong, dax, 0),
      ]) {
        const { code, detail } = refusal(ask);
        expect([code, detail]).toEqual(["EINVAL", expect.stringContaining("v4.1, v4.13, v4.14")]);
      }
    }
  });

  test("[0.2] the page says which kernel has which", () => {
    const page = readFileSync(join(import.meta.dirname, "../../docs/profiles.md"), "utf8");
    const rows = page.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
    const [, ...columns] = rows.find((row) => row.includes("v4.13"))?.slice(1, -1) ?? [];
    const names = rows.flatMap(([, first]) => /^`([a-zA-Z]+)`$/u.exec(first ?? "")?.[1] ?? []);
    const told = columns.map((age, i) => [
      age,
      names.filter((name) => rows.some((row) => row[1] === `\`${name}\`` && row[2 + i] === "yes")),
    ]);
    const all = ["v4.1", ...ages] as const;
    const known = all.map((age) => [age, expect.arrayContaining([...operationsIn(age)])]);
    expect(told).toEqual(known);
    expect(told.map(([, list]) => list?.length)).toEqual(
      all.map((age) => operationsIn(age).length),
    );
  });

  test("[0.2] [0.39] a machine of Linux 4.1 has not what came later", () => {
    const table = "0 8192 linear pmem0 0";
    const description = { pmem: [{ size: "8M" }, { size: "8M" }], dm: [{ name: "md", table }] };
    const machine = bootMachine({ ...description, profile: "v4.1" });
    expect(machine.regions).toEqual([]);
    const mapped = machine.disk("mapper/md");
    expect(mapped.dax).toBe(undefined);
    expect(machine.mapper.find("md")?.daxReason).toMatch(/came with 4\.8/u);
    const sectors = new Uint8Array(512).fill(7);
    mapped.write(3, sectors);
    const read = new Uint8Array(512);
    machine.disk("pmem0").read(3, read);
    expect(read).toEqual(sectors);
    expect(refusal(() => attachPageMap(machine.dax("pmem1"))).code).toBe("EOPNOTSUPP");
    const disk = machine.disk("pmem1");
    const { environment } = machine;
    makeExt(disk, { type: "ext4", blockSize: 4096, inodes: 64 }, environment);
    const tree = new FileTree(ext.mount(disk, { write: true, dax: "always" }, environment));
    const file = tree.open("/data", { create: true, access: "readwrite" });
    file.pwrite(noise(3, PAGE), 0);
    const sync = refusal(() => file.map({ access: "write", sync: true }));
    expect([sync.code, sync.detail]).toEqual(["EOPNOTSUPP", expect.stringMatching(/4\.15/u)]);
    expect(refusal(() => file.map({ populate: "read" })).code).toBe("EFAULT");
    const mapping = file.map({ access: "write" });
    expect(refusal(() => mapping.mlock()).code).toBe("ENOMEM");
    // It maps all the same, a page at a time.
    mapping.setUint8(5, 9);
    expect(mapping.getUint8(5)).toBe(9);
    tree.close({ revoke: true });
    const today = bootMachine(description);
    expect([today.regions.length, today.disk("mapper/md").dax === undefined]).toEqual([2, false]);
  });

  test("[0.39] Linux 4.1 asks disks by sector, and nobody after it does", () => {
    const { dax } = pmemOf(8 * PAGE).pmem;
    const { span, bytes } = directAccessBySector("v4.1", dax, 16);
    expect(bytes).toBe(6 * PAGE);
    expect(span.pfn).toBe(dax.directAccess(2, 1).pfn);
    expect(refusal(() => directAccessBySector("v4.1", dax, 1)).code).toBe("EINVAL");
    expect(refusal(() => directAccessBySector("v4.1", dax, 64)).code).toBe("ERANGE");
    for (const age of ages) {
      expect(refusal(() => directAccessBySector(age, dax, 0)).code).toBe("EOPNOTSUPP");
    }
    expect(refusal(() => daxAsIn("v4.1", dax)).code).toBe("EOPNOTSUPP");
  });

  test.each(ages)("[0.9] %s copies, zeroes and translates the same bytes", (age) => {
    const below = scatteredDax(16, new Prng(3));
    const device = daxAsIn(age, below);
    const want = new Uint8Array(16 * PAGE);
    for (let round = 0; round < 20; round++) {
      const page = (round * 7) % 14;
      device.copyFromIter(page, 100, [noise(round, 5000)]);
      want.set(noise(round, 5000), page * PAGE + 100);
    }
    device.zeroPageRange(3, 4);
    want.fill(0, 3 * PAGE, 7 * PAGE);
    expect(bytesOf(device)).toEqual(want);
    expect(bytesOf(below)).toEqual(want);
  });

  test("[4.1] [0.42] 4.13 flushes what the first run has of a range, others all of it", () => {
    expect(ages.map(lines)).toEqual([2, 4, 4]);
  });

  test("poison is healed by a recovery write where there is one", () => {
    const { pmem, media } = pmemOf(8 * PAGE);
    media.injectPoison(2 * PAGE, 512);
    const source = noise(1, PAGE);
    expect(daxAsIn("v4.14", pmem.dax).recoveryWrite(2, 0, source)).toBe(0);
    expect(daxAsIn("modern", pmem.dax).recoveryWrite(2, 0, source)).toBe(PAGE);
  });
});

describe("[0.4] an operation that is switched off", () => {
  const names = ["copyFromIter", "flush", "recoveryWrite", "stitch", "fence"] as const;

  test.each(names)("%s: the others work as before", (off) => {
    const { dax } = pmemOf(8 * PAGE).pmem;
    const inner: DaxOperations = {
      directAccess: (pgoff, pages, mode) => dax.directAccess(pgoff, pages, mode),
      zeroPageRange: (pgoff, pages) => dax.zeroPageRange(pgoff, pages),
      recoveryWrite: (pgoff, start, source) => dax.recoveryWrite(pgoff, start, source),
      copyFromIter: (pgoff, start, sources) => dax.copyFromIter(pgoff, start, sources),
      flush: (pgoff, start, length) => dax.flush(pgoff, start, length),
      fence: () => dax.fence(),
      stitch: (pieces, writable) => dax.stitch(pieces, writable),
    };
    const operations = withoutOperations(inner, [off]);
    expect(names.filter((name) => operations[name] === undefined)).toEqual([off]);
    const { name, pages } = dax;
    const device = new DaxDevice({ name, pages, operations, writeCache: true, synchronous: true });
    device.copyFromIter(1, 10, [noise(1, 3000)]);
    device.flush(1, 10, 3000);
    device.fence();
    device.zeroPageRange(4, 1);
    const healed = device.recoveryWrite(5, 0, noise(2, PAGE));
    expect(healed).toBe(off === "recoveryWrite" ? 0 : PAGE);
    const { memory, start } = device.directAccess(1, 1);
    expect(copyOf(memory, start + 10, 3000)).toEqual(noise(1, 3000));
    expect(dax.counters.fences).toBe(off === "fence" ? 0 : 1);
    expect(device.counters.flushes > 0).toBe(off !== "flush");
  });
});
