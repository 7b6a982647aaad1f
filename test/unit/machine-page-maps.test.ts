/** Page descriptors of modules, by a machine's description. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { pageMapOf } from "../../src/dax/pages.ts";
import { PFN_SB_OFFSET } from "../../src/format/pfn.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { makeExt } from "../../src/fs/ext/mkfs.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { NIL_UUID } from "../../src/lib/uuid.ts";
import { bootMachine } from "../../src/machine/boot.ts";
import type { PmemInput } from "../../src/machine/input.ts";
import { ndctlList } from "../../src/machine/list.ts";
import type { Machine } from "../../src/machine/machine.ts";
import { fileHost } from "../../src/node/machine-file.ts";
import { planPageMap } from "../../src/platform/pfn-layout.ts";
import { decodePfnSuperblock, encodePfnSuperblock } from "../../src/platform/pfn-superblock.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { Pipe, vmsplice } from "../../src/vfs/page-calls.ts";
import { pinPages } from "../../src/vfs/user-pages.ts";
import { codeOf, noise } from "../support/bytes.ts";

const MIB = 2 ** 20;
const PAGE = 4096;
const BASE = 4 * 2 ** 30;

function boot(pmem: PmemInput, more = {}): Machine {
  return bootMachine({ ram: "64M", pmem: { start: BASE, size: "64M", ...pmem }, ...more });
}

const plan = (map: "mem" | "dev") => planPageMap({ size: 64 * MIB, map, base: BASE });
const errorOf = (machine: Machine): string => {
  const error = machine.failures[0]?.error;
  return error === undefined ? "" : `${error.code} ${error.detail}`;
};

/** The media behind a machine's only module. */
const mediaOf = (machine: Machine) => machine.slots[0]!.backing!.media.window(0).memory;

/** Whether a page of a file on the disk can be given to somebody by its address. */
function givesPages(machine: Machine, name = "pmem0"): string | undefined {
  const disk = machine.disk(name);
  makeExt(disk, { type: "ext4", blockSize: PAGE, inodes: 64 }, machine.environment);
  const options = { write: true, dax: "always" } as const;
  const tree = new FileTree(ext.mount(disk, options, machine.environment));
  const file = tree.open("/a", { create: true, access: "readwrite" });
  file.pwrite(noise(1, 2 * PAGE), 0);
  const pipe = new Pipe();
  const code = codeOf(() => vmsplice(file.map(), 0, 2 * PAGE, pipe));
  // Pages in a pipe are in use until somebody takes them out.
  expect(pipe.takeAll()).toEqual(code === undefined ? noise(1, 2 * PAGE) : new Uint8Array(0));
  tree.close({ revoke: true });
  return code;
}

describe("[2.40] descriptors in memory", () => {
  test("come with the device, and take none of it", () => {
    const machine = boot({ map: "mem" });
    expect(pageMapOf(machine.dax("pmem0"))?.pages).toBe((64 * MIB) / PAGE);
    expect(machine.devices()[0]?.size).toBe(64 * MIB);
    expect(ndctlList(machine)).toMatchObject([{ mode: "fsdax", map: "mem", size: 64 * MIB }]);
    expect(givesPages(machine)).toBe(undefined);
    machine.shutdown();
  });

  test("[2.59] and with nobody who did not ask for them", () => {
    for (const pmem of [{}, { map: "none" }, { mode: "raw" }] as const) {
      const machine = boot(pmem);
      expect(pageMapOf(machine.dax("pmem0"))).toBe(undefined);
      expect(givesPages(machine)).toBe("EFAULT");
      machine.shutdown();
    }
  });
});

describe("[2.41] descriptors on the device", () => {
  test("lie in front of the data, behind a block that says so", () => {
    const machine = boot({ map: "dev" });
    const { dataOffset, npfns, data } = plan("dev");
    const block = copyOf(mediaOf(machine), PFN_SB_OFFSET, PAGE);
    expect(decodePfnSuperblock(block, { size: 64 * MIB, base: BASE })).toMatchObject({
      map: "dev",
      dataOffset,
      npfns,
    });
    expect(machine.devices()).toMatchObject([{ size: data, physicalStart: BASE + dataOffset }]);
    expect(ndctlList(machine)).toMatchObject([{ mode: "fsdax", map: "dev", size: data }]);
    // All of the module is in use, its descriptors too.
    expect(machine.iomem()).toContain("100000000-103ffffff : namespace0.0");
    expect(machine.dax("pmem0").directAccess(0, 1).pfn).toBe((BASE + dataOffset) / PAGE);
    expect(givesPages(machine)).toBe(undefined);
    machine.shutdown();
  });

  test("[2.51] are written when a page is pinned, and anew when the device is back", () => {
    const machine = boot({ map: "dev" });
    const media = mediaOf(machine);
    const at = 2 * PAGE + 3 * 64;
    const before = copyOf(media, at, 64);
    const mapping = machine.map("pmem0", { access: "write" });
    const pins = pinPages(mapping, 3 * PAGE, 10, { name: "a card" });
    expect(copyOf(media, at, 64)).not.toEqual(before);
    mapping.copyIn(3 * PAGE, noise(5, 100));
    expect(codeOf(() => machine.disable("pmem0"))).toBe("EBUSY");
    pins.release();
    mapping.unmap();
    machine.disable("pmem0");
    for (let i = 0; i < 64; i++) media.setUint8(at + i, 0xff);
    machine.enable("namespace0.0");
    expect(copyOf(media, at, 64)).toEqual(before);
    const back = new Uint8Array(100);
    machine.disk("pmem0").readBytes(3 * PAGE, back);
    expect(back).toEqual(noise(5, 100));
    machine.shutdown();
  });

  test("are no work that a proof would see", () => {
    const machine = boot({ map: "dev", modelled: true });
    expect(machine.modelled("pmem0")?.trace.count).toBe(0);
    machine.disk("pmem0").write(0, noise(1, 512));
    expect(machine.modelled("pmem0")?.trace.count).toBeGreaterThan(0);
    machine.shutdown();
  });

  test("[2.42] are refused on uncached memory, and those in memory are not", () => {
    const refused = boot({ map: "dev", caching: "uncached" });
    expect(errorOf(refused)).toMatch(/^EOPNOTSUPP page descriptors on uncached memory/u);
    expect(codeOf(() => refused.disk("pmem0"))).toBe("ENODEV");
    refused.shutdown();
    for (const pmem of [
      { map: "mem", caching: "uncached" },
      { map: "dev", caching: "write-through" },
    ] as const) {
      const machine = boot(pmem);
      expect(errorOf(machine)).toBe("");
      machine.shutdown();
    }
  });

  test("leave a module too small for them without a device", () => {
    const machine = boot({ map: "dev", size: "2M" });
    expect(errorOf(machine)).toMatch(/^ENXIO unable to satisfy requested alignment/u);
    machine.shutdown();
  });

  test("are found through device-mapper", () => {
    const pmem = [
      { size: "16M", map: "dev" },
      { size: "16M", map: "mem" },
    ] as const;
    const sectors = (planPageMap({ size: 16 * MIB, map: "dev", base: BASE }).data / 512) | 0;
    const table = [`0 ${sectors} linear pmem0 0`, `${sectors} 32768 linear pmem1 0`];
    const dm = { name: "both", table };
    const machine = bootMachine({ ram: "64M", pmem: [...pmem], dm });
    expect(machine.unmapped).toEqual([]);
    expect(givesPages(machine, "mapper/both")).toBe(undefined);
    machine.shutdown();
  });
});

/** Where the data of a file as a module lies, or why it has no device. */
function booted(bytes: Uint8Array | undefined, map: "mem" | "dev", readOnly = false): string {
  const folder = mkdtempSync(join(tmpdir(), "daxkit-maps-"));
  try {
    const file = join(folder, "module.img");
    if (bytes !== undefined) writeFileSync(file, bytes);
    const pmem = { file, size: "64M", start: BASE, map, readOnly };
    const machine = bootMachine({ ram: "64M", pmem }, fileHost(folder));
    const [disk] = machine.devices();
    const said = errorOf(machine) || `${(disk?.physicalStart ?? 0) - BASE}+${disk?.size}`;
    machine.shutdown();
    return said;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A file with an info block. */
const withBlock = (map: "mem" | "dev", change: (view: DataView) => void = () => {}) => {
  const bytes = new Uint8Array(64 * MIB);
  const block = encodePfnSuperblock(plan(map), { uuid: NIL_UUID });
  change(new DataView(block.buffer));
  bytes.set(block, PFN_SB_OFFSET);
  return bytes;
};

describe("[2.43] a file with descriptors on it", () => {
  test.each(["mem", "dev"] as const)("is laid out as its block says: %s", (map) => {
    const { dataOffset, data } = plan(map);
    expect(booted(withBlock(map), map)).toBe(`${dataOffset}+${data}`);
  });

  test("has a block, or nothing of it is written", () => {
    expect(booted(undefined, "dev")).toMatch(/^EOPNOTSUPP the file has no info block/u);
    const damaged = withBlock("dev", (view) => view.setUint8(60, 9));
    expect(booted(damaged, "dev")).toMatch(/^EOPNOTSUPP the file has no info block/u);
    expect(booted(undefined, "mem")).toBe(`0+${64 * MIB}`);
  });

  test("says the same as the description, and can be written", () => {
    expect(booted(withBlock("mem"), "dev")).toMatch(/^EINVAL map is dev, and .* says mem/u);
    expect(booted(withBlock("dev"), "mem")).toMatch(/^EINVAL map is mem, and .* says dev/u);
    expect(booted(withBlock("dev"), "dev", true)).toMatch(/^EROFS descriptors on the device/u);
  });
});

test.each([
  [{ map: "dev", mode: "raw" }, "pmem[0].map is dev, which mode: raw cannot have"],
  [{ map: "mem", as: "e820" }, "pmem[0].map is mem, which a module of the e820 map cannot have"],
  [{ map: "disk" }, 'pmem.map is "disk"; it takes one of none, mem, dev'],
])("a description that cannot be is refused: %j", (pmem, message) => {
  expect(() => boot(pmem as PmemInput)).toThrow(message);
});

test("a module of Linux 4.1 has no descriptors", () => {
  expect(() => boot({ map: "mem" }, { profile: "v4.1" })).toThrow("e820 map cannot have");
});
