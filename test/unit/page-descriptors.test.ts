/**
 * Page descriptors: what has to have them, what they say, and whom a pin holds up.
 */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { mapRaw } from "../../src/block/raw-device.ts";
import type { Pmem } from "../../src/drivers/pmem.ts";
import { attachPageMap, detachPageMap, pageAt, pageMapOf } from "../../src/dax/pages.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { daxCapabilities } from "../../src/machine/capabilities.ts";
import { reportWear } from "../../src/machine/wear-report.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import {
  Pipe,
  directWrite,
  futexKey,
  isSameFutex,
  peek,
  spliceFrom,
  spliceTo,
  vmsplice,
} from "../../src/vfs/page-calls.ts";
import { pinPages } from "../../src/vfs/user-pages.ts";
import { pmemOf } from "../support/block-devices.ts";
import { noise } from "../support/bytes.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { mappedOf } from "../support/mapped.ts";
import { refusal } from "../support/refusal.ts";

const PAGE = 4096;
const image = emptyImage({ type: "ext4", blockSize: 4096, inodes: 64 }, 4);

function stage(withPages: boolean, dax: "always" | "inode" | "never" = "always") {
  const { pmem } = pmemOf(image.length);
  pmem.disk.write(0, image);
  const map = withPages ? attachPageMap(pmem.dax) : undefined;
  const environment = seededEnvironment(1);
  const tree = new FileTree(ext.mount(pmem.disk, { write: true, dax }, environment));
  const file = tree.open("/a", { create: true, access: "readwrite" });
  file.pwrite(noise(1, 8 * PAGE), 0);
  return { pmem, map, tree, file };
}

/** The page of the device that a page of a file lies on. */
function pageOf(file: OpenFile, index: number): number {
  const [extent] = [...file.extents()];
  return (extent!.addr ?? 0) / PAGE + index;
}

describe("[2.15] descriptors of a device's pages", () => {
  test("[2.44] are made anew, whatever lay where they are put", () => {
    const { dax } = pmemOf(4 * PAGE).pmem;
    const bytes = new Uint8Array(4 * 64).fill(0xff);
    const map = attachPageMap(dax, { memory: new DataView(bytes.buffer), start: 0 });
    const pfn = dax.directAccess(2, 1).pfn;
    expect(map.state(2)).toEqual({ pfn, references: 1, pins: 0, ino: 0, index: 0 });
    map.pin(2, 12, 7);
    expect(map.state(2)).toMatchObject({ references: 1025, pins: 1, ino: 12, index: 7 });
    expect([map.isBusy(0, 2), map.isBusy(1, 2)]).toEqual([false, true]);
    expect(refusal(() => detachPageMap(dax)).code).toBe("EBUSY");
    map.unpin(2);
    detachPageMap(dax);
    expect(pageMapOf(dax)).toBe(undefined);
    const again = attachPageMap(dax, { memory: new DataView(bytes.buffer), start: 0 });
    expect(again.state(2)).toMatchObject({ references: 1, ino: 0 });
  });

  test("[2.48] need room, and come once", () => {
    const { dax } = pmemOf(4 * PAGE).pmem;
    const memory = new DataView(new ArrayBuffer(300));
    expect(refusal(() => attachPageMap(dax, { memory, start: 100 })).code).toBe("EINVAL");
    attachPageMap(dax, { memory, start: 44 });
    expect(refusal(() => attachPageMap(dax)).code).toBe("EBUSY");
    expect(refusal(() => pageMapOf(dax)!.state(4)).code).toBe("ERANGE");
  });
});

/** Two disks in turns, page by page, the first of which has descriptors; under so many levels. */
function striped(depth: number) {
  const [A, B] = ["A", "B"].map((name) => pmemOf(16 * PAGE, { name }).pmem) as [Pmem, Pmem];
  const map = attachPageMap(A.dax);
  let disk: BlockDevice = mappedOf("0 256 striped 2 8 A 0 B 0", { A: A.disk, B: B.disk });
  for (let i = 1; i < depth; i++) disk = mappedOf("0 256 linear C 0", { C: disk });
  return { A, map, disk };
}

describe("[3.23] whether a page has a descriptor", () => {
  test.each([1, 3])("is known of each one through %i levels, and so is who keeps it", (depth) => {
    const { A, map, disk } = striped(depth);
    const dax = disk.dax!.device;
    // Chunks of a page: every other one lies on the leg that has descriptors.
    const found = Array.from({ length: 8 }, (_, page) => pageAt(dax, page)?.pgoff);
    expect(found).toEqual([0, undefined, 1, undefined, 2, undefined, 3, undefined]);
    expect(pageAt(dax, 2)?.map).toBe(map);
    const mapping = mapRaw(disk, { access: "write" });
    const pins = pinPages(mapping, 2 * PAGE, 10, { name: "a card", longTerm: true });
    expect([map.state(1).pins, map.isBusy(0, 1)]).toEqual([1, false]);
    expect(map.state(1).pfn).toBe(dax.directAccess(2, 1).pfn);
    expect(refusal(() => detachPageMap(A.dax)).code).toBe("EBUSY");
    pins.store(Uint8Array.of(5));
    expect(mapping.getUint8(2 * PAGE)).toBe(5);
    const half = refusal(() => pinPages(mapping, 0, 2 * PAGE, { name: "a card" }));
    expect([half.code, map.isBusy(0, 1)]).toEqual(["EFAULT", false]);
    expect(half.message).toContain("no page descriptors, for page 1");
    const { users } = A.dax;
    pins.release();
    expect(users - A.dax.users).toBe(1);
    detachPageMap(A.dax);
    expect(pageAt(dax, 2)).toBe(undefined);
  });

  test("[2.27] does not matter to a request: it names memory, and that is enough", () => {
    const { pmem } = pmemOf(4 * PAGE);
    const disk = new RamDisk({ name: "vdb", bytes: noise(4, 4 * PAGE) });
    const { bytes } = mapRaw(pmem.disk, { access: "write" });
    expect(pageAt(pmem.dax, 0)).toBe(undefined);
    disk.read(8, bytes.subarray(PAGE, 3 * PAGE));
    const sector = new Uint8Array(512);
    pmem.disk.read(9, sector);
    expect(sector).toEqual(noise(4, 4 * PAGE).subarray(9 * 512, 10 * 512));
    disk.write(0, bytes.subarray(2 * PAGE, 2 * PAGE + 512));
    disk.read(0, sector);
    expect(sector).toEqual(noise(4, 4 * PAGE).subarray(2 * PAGE, 2 * PAGE + 512));
  });
});

describe("a pin", () => {
  test("[1.19] [2.5] is refused without descriptors, and keeps a device with them", () => {
    const bare = stage(false);
    const refused = refusal(() => pinPages(bare.file.map(), 0, 10, { name: "x" }));
    expect(refused.code).toBe("EFAULT");
    expect(refused.message).toMatch(/pmem0 has no page descriptors/u);
    const { file, map, pmem } = stage(true);
    const before = pmem.dax.users;
    const pins = pinPages(file.map(), PAGE - 5, 10, { name: "x" });
    expect(pmem.dax.users).toBeGreaterThan(before + 2);
    expect(map!.state(pageOf(file, 0)).pins).toBe(1);
    const bytes = new Uint8Array(10);
    expect(pins.load(bytes)).toBe(10);
    expect(bytes).toEqual(noise(1, 8 * PAGE).subarray(PAGE - 5, PAGE + 5));
    pins.release();
    pins.release();
    expect(map!.state(pageOf(file, 0)).pins).toBe(0);
  });

  test.for(["inode", "never"] as const)("keeps the file's blocks on a mount with dax=%s", (dax) => {
    const { file, tree } = stage(true, dax);
    const mapping = file.map({ access: "write", lazy: true });
    const pins = pinPages(mapping, 0, 3 * PAGE, { name: "a card" });
    for (const change of [
      () => file.truncate(0),
      () => file.fallocate("punch", 0, PAGE, true),
      () => file.fallocate("collapse", 0, PAGE),
    ]) {
      expect(refusal(change).code).toBe("EBUSY");
    }
    const long = { name: "rdma", longTerm: true };
    expect(refusal(() => pinPages(mapping, 0, PAGE, long)).code).toBe("EOPNOTSUPP");
    pins.release();
    file.truncate(0);
    // The blocks may be somebody else's by now.
    expect(refusal(() => pins.store(new Uint8Array(PAGE))).code).toBe("EFAULT");
    expect(refusal(() => pins.load(new Uint8Array(PAGE))).code).toBe("EFAULT");
    tree.close({ revoke: true });
  });

  test("outlives its mapping, and then still keeps the file's blocks", () => {
    const { file, tree } = stage(true);
    const mapping = file.map();
    const pins = pinPages(mapping, 0, PAGE, { name: "a card" });
    mapping.unmap();
    const error = refusal(() => tree.truncate("/a", 0));
    expect(error.code).toBe("EBUSY");
    expect(error.message).toContain("a card");
    pins.release();
    tree.truncate("/a", 0);
    expect(file.attributes().size).toBe(0);
  });

  test("[2.20] for long is refused of a file, and leaves nothing behind", () => {
    const { file, map, pmem } = stage(true);
    const mapping = file.map();
    const before = pmem.dax.users;
    const error = refusal(() => pinPages(mapping, 0, PAGE, { name: "rdma", longTerm: true }));
    expect(error.code).toBe("EOPNOTSUPP");
    expect(map!.state(pageOf(file, 0)).pins).toBe(0);
    expect(pmem.dax.users).toBe(before);
  });

  test("of a private mapping is refused: its pages are its own", () => {
    const mapping = stage(true).file.map({ private: true, access: "write" });
    expect(refusal(() => pinPages(mapping, 0, 1, { name: "x" })).code).toBe("EOPNOTSUPP");
  });

  test("over a hole, over poison and past the end is refused as a whole", () => {
    const { file, map, tree } = stage(true);
    file.truncate(16 * PAGE);
    const mapping = file.map();
    expect(refusal(() => pinPages(mapping, 7 * PAGE, 2 * PAGE, { name: "x" })).code).toBe("EFAULT");
    expect(map!.state(pageOf(file, 7)).pins).toBe(0);
    expect(refusal(() => pinPages(mapping, 0, 17 * PAGE, { name: "x" })).code).toBe("EINVAL");
    mapping.unmap();
    expect(refusal(() => pinPages(mapping, 0, 1, { name: "x" })).code).toBe("EFAULT");
    tree.close({ revoke: true });
  });
});

describe("calls that hand pages around", () => {
  test("[2.22] [2.32] a gift is the page itself: what is stored later is in the pipe", () => {
    const { file } = stage(true);
    const mapping = file.map({ access: "write" });
    const pipe = new Pipe();
    vmsplice(mapping, 0, 2 * PAGE, pipe);
    mapping.setUint8(PAGE, 0xaa);
    expect(pipe.copied).toBe(0);
    expect(pipe.takeAll()[PAGE]).toBe(0xaa);
    file.truncate(0);
  });

  test("[2.22] [2.32] without pages a gift is refused whole, and a send copies", () => {
    const { file } = stage(false);
    const pipe = new Pipe();
    const error = refusal(() => vmsplice(file.map(), 0, 2 * PAGE, pipe));
    expect([error.code, pipe.length]).toEqual(["EFAULT", 0]);
    expect(error.message).toMatch(/no page descriptors/u);
    expect(spliceFrom(file, 0, 2 * PAGE, pipe)).toBe(2 * PAGE);
    expect(pipe.copied).toBe(2 * PAGE);
    const second = stage(false).file;
    expect(spliceTo(pipe, second, PAGE)).toBe(2 * PAGE);
    const bytes = new Uint8Array(2 * PAGE);
    second.pread(bytes, PAGE);
    expect(bytes).toEqual(noise(1, 8 * PAGE).subarray(0, 2 * PAGE));
  });

  test("[2.17] splice copies to pages of its own: what is stored later is not in it", () => {
    const { file } = stage(true);
    const pipe = new Pipe();
    expect(spliceFrom(file, 7 * PAGE + 1, 2 * PAGE, pipe)).toBe(PAGE - 1);
    file.pwrite(new Uint8Array(PAGE), 7 * PAGE);
    expect(pipe.copied).toBe(PAGE - 1);
    expect(pipe.takeAll()).toEqual(noise(1, 8 * PAGE).subarray(7 * PAGE + 1));
  });

  test("[2.13] a futex is a word of a file, not of a mapping", () => {
    const { file, tree } = stage(true);
    const [one, other] = [file.map(), file.map({ offset: PAGE })];
    expect(isSameFutex(futexKey(one, PAGE + 4), futexKey(other, 4))).toBe(true);
    expect(isSameFutex(futexKey(one, 4), futexKey(other, 4))).toBe(false);
    const second = tree.open("/b", { create: true, access: "readwrite" });
    second.pwrite(new Uint8Array(PAGE), 0);
    expect(isSameFutex(futexKey(one, 4), futexKey(second.map(), 4))).toBe(false);
    expect(refusal(() => futexKey(one, 2)).code).toBe("EINVAL");
  });

  test("[2.12] [2.19] direct I/O of a disk takes pages, of another file on dax none", () => {
    const bare = stage(false);
    const disk = new RamDisk({ name: "sda", bytes: image.slice() });
    const tree = new FileTree(ext.mount(disk, { write: true }, seededEnvironment(2)));
    const file = tree.open("/c", { create: true, access: "readwrite" });
    const transfer = { offset: 0, mapping: bare.file.map(), at: 3, length: 5000 };
    expect(refusal(() => directWrite({ ...transfer, file })).code).toBe("EFAULT");
    expect(directWrite({ ...transfer, file: stage(false).file })).toBe(5000);
    const paged = { ...transfer, mapping: stage(true).file.map() };
    expect(directWrite({ ...paged, file })).toBe(5000);
    const bytes = new Uint8Array(5000);
    file.pread(bytes, 0);
    expect(bytes).toEqual(noise(1, 8 * PAGE).subarray(3, 5003));
  });

  test("a debugger looks through pages", () => {
    expect(peek(stage(true).file.map(), 9, 20)).toEqual(noise(1, 8 * PAGE).subarray(9, 29));
    expect(refusal(() => peek(stage(false).file.map(), 9, 20)).code).toBe("EFAULT");
  });
});

/** Cells in words: `works`, copies, or the error. */
function cells(profile: "modern" | "v4.1"): Record<string, string> {
  return Object.fromEntries(
    daxCapabilities(profile).map(({ api, cells: row }) => [
      api,
      Object.values(row)
        .map(({ code, copies }) => code ?? String(copies))
        .join(" "),
    ]),
  );
}

describe("[X3] [1.24] what works in which mode is found by trying", () => {
  const modern = cells("modern");

  // Through the page cache, without descriptors, with them, device-dax: copies, or the error.
  test.each([
    ["read", "2 1 1 EINVAL"],
    ["write and fsync", "2 1 1 EINVAL"],
    ["mmap shared, load", "2 0 0 0"],
    ["mmap shared, store and flush", "2 0 0 0"],
    ["mmap private, store", "0 0 0 EINVAL"],
    ["mmap with MAP_SYNC", "EOPNOTSUPP 0 0"],
    ["MAP_POPULATE", "0 0 0"],
    ["mlock", "0 0 0"],
    ["load after truncation, locked", "EFAULT EFAULT EFAULT"],
    ["splice to a pipe", "1 1 1"],
    ["sendfile", "1 1 1"],
    ["vmsplice of a mapping", "1 EFAULT 0 0"],
    ["O_DIRECT from a disk to a mapping", "1 EFAULT 0 0"],
    ["O_DIRECT from a mapping to a disk", "1 EFAULT 0 0"],
    ["O_DIRECT from dax to a mapping", "3 1 1"],
    ["pin for one transfer", "1 EFAULT 0 0"],
    ["pin for RDMA", "1 EFAULT EOPNOTSUPP 0"],
    ["truncate under a pin", "1 EFAULT EBUSY"],
    ["futex in two mappings", "0 EFAULT 0 0"],
    ["ptrace", "1 EFAULT 0 0"],
  ])("[1.25] [2.11] [2.20] [2.24] [2.25] [2.30] [2.35] [2.38] [3.8] %s: %s", (api, row) => {
    expect(modern[api]).toBe(row);
  });

  test("[2.31] [2.24] no way to splice or send costs more by dax than from the page cache", () => {
    const rows = daxCapabilities().filter(({ api }) => /splice (?:to|from)|send/u.test(api));
    expect(rows).toHaveLength(3);
    for (const { cells: row } of rows) {
      const most = row["page-cache"]?.copies ?? -1;
      expect(row["page-less"]?.copies).toBeLessThanOrEqual(most);
      expect(row["page-backed"]?.copies).toBeLessThanOrEqual(most);
    }
  });

  test("[2.6] Linux 4.1 refuses page-less memory to direct I/O, futexes and debuggers", () => {
    const refused = daxCapabilities("v4.1").filter((row) => row.cells["page-less"]?.code);
    expect(refused.map(({ api, cells: row }) => [api, row["page-less"]?.code])).toEqual([
      ["MAP_POPULATE", "EFAULT"],
      ["mlock", "ENOMEM"],
      ["load after truncation, locked", "ENOMEM"],
      ["vmsplice of a mapping", "EFAULT"],
      ["O_DIRECT from a disk to a mapping", "EFAULT"],
      ["O_DIRECT from a mapping to a disk", "EFAULT"],
      ["pin for one transfer", "EFAULT"],
      ["pin for RDMA", "EFAULT"],
      ["truncate under a pin", "EFAULT"],
      ["futex in two mappings", "EFAULT"],
      ["ptrace", "EFAULT"],
    ]);
    for (const { cells: row } of refused) expect(row["page-less"]?.why).toBeTruthy();
  });

  test("[2.16] [2.23] [2.34] Linux 4.1 refuses, with a reason", () => {
    const old = cells("v4.1");
    expect(old["vmsplice of a mapping"]).toBe("1 EFAULT");
    expect(old["mmap with MAP_SYNC"]).toBe(undefined);
    expect([old["mlock"], old["MAP_POPULATE"]]).toEqual(["0 ENOMEM", "0 EFAULT"]);
    expect(old["load after truncation, locked"]).toBe("EFAULT ENOMEM");
    const row = daxCapabilities("v4.1").find(({ api }) => api === "ptrace");
    expect(row?.cells["page-less"]?.why).toMatch(/no page descriptors/u);
  });
});

/** Ranges by their names, by the way in which the work was done. */
function wearOf(map: "mem" | "dev", caching: "write-back" | "write-through") {
  const entries = reportWear({ writes: 100, map, caching }).map(({ mode, ranges }) => [
    mode,
    Object.fromEntries(ranges.map((range) => [range.name, range])),
  ]);
  return Object.fromEntries(entries) as Record<string, Record<string, { worst: number }>>;
}

describe("[X4] wear", () => {
  test("[2.37] a page cache writes a page once that dax writes each time", () => {
    const { "page-cache": cached, dax } = wearOf("mem", "write-back");
    expect(cached?.["file"]).toMatchObject({ bytesAtLeast: PAGE, worst: 1 });
    expect(dax?.["file"]).toMatchObject({ bytesAtLeast: 100 * PAGE, worst: 100 });
    expect(dax?.["descriptors"]).toBe(undefined);
  });

  test("[2.51] descriptors on the device are written with each use of a page", () => {
    const { dax } = wearOf("dev", "write-through");
    expect(dax?.["descriptors"]?.worst).toBeGreaterThanOrEqual(200);
    // A CPU's cache hides what it can.
    expect(wearOf("dev", "write-back")["dax"]?.["descriptors"]?.worst).toBe(0);
  });
});
