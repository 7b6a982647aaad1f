/**
 * Page descriptors: where they go, what they cost, and the block that says so.
 */
import { describe, expect, test } from "vitest";
import { PFN_SB_OFFSET, PfnSuperblock } from "../../src/format/pfn.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { fletcher64 } from "../../src/lib/fletcher64.ts";
import { Prng } from "../../src/lib/prng.ts";
import { formatSize, parseSize } from "../../src/lib/size.ts";
import { type PageMapRequest, advisePageMap, planPageMap } from "../../src/platform/pfn-layout.ts";
import { decodePfnSuperblock, encodePfnSuperblock } from "../../src/platform/pfn-superblock.ts";
import { refusal } from "../support/refusal.ts";

const UUID = "00112233-4455-6677-8899-aabbccddeeff";
const PARENT = "ffeeddcc-bbaa-9988-7766-554433221100";
const GIB = 2 ** 30;
const MIB = 2 ** 20;

const plan = (size: string | number, map: PageMapRequest["map"], more = {}) =>
  planPageMap({ size: parseSize(size), map, ...more });

function sum(block: Uint8Array<ArrayBuffer>): string {
  const { checksum } = PfnSuperblock;
  return checksum.get(new DataView(block.buffer), 0).toString(16).padStart(16, "0");
}

describe("the layout is libnvdimm's", () => {
  // base, size, align, map; dataoff, npfns, end_trunc, checksum
  test.each([
    [4 * GIB, 4 * GIB, 2 * MIB, "dev", 69206016, 1031680, 0, "0f042bd2e7a6066e"],
    [4 * GIB, 4 * GIB, 2 * MIB, "mem", 2097152, 1048064, 0, "480027e4e3a6466d"],
    [4 * GIB, GIB, 2 * MIB, "dev", 18874368, 257536, 0, "0a812bd2e49a366e"],
    [4 * GIB, GIB, 4096, "dev", 18874368, 257536, 0, "8d5fdbd2e47a466e"],
    [4 * GIB, GIB, 4096, "mem", 2097152, 261632, 0, "9b9ed7e4e37a566d"],
    [4 * GIB, 2 * GIB, GIB, "mem", 1073741824, 262144, 0, "5d2807e4635a486d"],
    [4 * GIB, 4 * GIB, GIB, "dev", 1073741824, 786432, 0, "7ca80bd26362486e"],
    [4 * GIB, GIB + MIB, 2 * MIB, "dev", 18874368, 257536, 1048576, "49412bd2e4aa366e"],
    [4 * GIB, 16 * MIB, 2 * MIB, "dev", 2097152, 3584, 0, "093f2bd2e396566e"],
    [4 * GIB, 16 * MIB, 2 * MIB, "mem", 2097152, 3584, 0, "093f27e4e396566d"],
    [4 * GIB, 1024 * GIB, 2 * MIB, "dev", 17181966336, 264240640, 0, "0d003b96f3564672"],
    [4 * GIB + 16 * MIB, 64 * GIB, 2 * MIB, "dev", 1075838976, 16514560, 0, "69402bd22492466e"],
  ] as const)(
    "[2.40] [2.41] base %d, size %d, align %d, map %s",
    (base, size, align, map, dataOffset, npfns, endTrunc, checksum) => {
      const planned = planPageMap({ size, map, align, base });
      expect(planned).toMatchObject({ dataOffset, npfns, endTrunc });
      const block = encodePfnSuperblock(planned, { uuid: UUID, parent: PARENT });
      expect(sum(block)).toBe(checksum);
      const found = decodePfnSuperblock(block, { size, base, uuid: PARENT });
      expect(found).toMatchObject({ uuid: UUID, map, align, dataOffset, npfns, truncated: 0 });
    },
  );

  test("what is mapped as it is has another signature, what has no label no parent", () => {
    const planned = planPageMap({ size: 4 * GIB, map: "dev" });
    const devdax = { uuid: UUID, parent: PARENT, personality: "devdax" } as const;
    expect(sum(encodePfnSuperblock(planned, devdax))).toBe("1b2c03dcdba61069");
    expect(sum(encodePfnSuperblock(planned, { uuid: UUID }))).toBe("76e38d344dc7e40a");
    expect(PFN_SB_OFFSET).toBe(4096);
  });

  test.each(["mem", "dev"] as const)("1 GiB in 1 GiB is too much for map %s", (map) => {
    const error = refusal(() => plan("1G", map, { align: GIB }));
    expect(error.code).toBe("ENXIO");
    expect(error.message).toMatch(/unable to satisfy requested alignment.*smaller/u);
  });
});

describe("the price", () => {
  test("[2.26] [2.36] [X4] 64 bytes a page: 16 GiB a TiB, 6.25 TiB for 400 TiB", () => {
    expect(formatSize(plan("1T", "mem").costInMemory)).toBe("16 GiB");
    expect(plan("400T", "mem").costInMemory / 2 ** 40).toBeCloseTo(6.25, 6);
    expect(plan("400T", "dev")).toMatchObject({ costInMemory: 0 });
    expect(plan("400T", "dev").costOnDevice / 2 ** 40).toBeCloseTo(6.25, 6);
    expect(plan("1T", "none")).toMatchObject({ cost: 0, dataOffset: 0, npfns: 2 ** 28 });
  });

  test("[2.48] the room in front of the data holds every descriptor, and what is over", () => {
    for (const size of ["16M", "64M", "1G", "100G", "1T"]) {
      const { reserve, reserveUnused, costOnDevice, dataOffset } = plan(size, "dev");
      expect(reserve).toBe(dataOffset - 8192);
      expect(reserveUnused).toBe(reserve - costOnDevice);
      expect(reserveUnused).toBeGreaterThanOrEqual(0);
      expect(reserveUnused).toBeLessThan(2 * MIB);
    }
  });

  test("[2.42] descriptors on an uncached device are refused, written through they are not", () => {
    const error = refusal(() => plan("1G", "dev", { caching: "uncached" }));
    expect(error.code).toBe("EOPNOTSUPP");
    expect(error.message).toMatch(/write-through or cached, or take --map mem/u);
    expect(plan("1G", "dev", { caching: "write-through" }).costOnDevice).toBeGreaterThan(0);
    expect(plan("1G", "mem", { caching: "uncached" }).costInMemory).toBeGreaterThan(0);
  });

  test("[2.55] [2.57] what is advised goes by the kind of media, and nothing is chosen", () => {
    const memory = 64 * GIB;
    expect(advisePageMap("wearing", 2 ** 40, memory).map).toBe("none");
    expect(advisePageMap("dram", 2 ** 40, memory).map).toBe("dev");
    expect(advisePageMap("dram", 16 * GIB, memory).map).toBe("mem");
    expect(advisePageMap("foreign", GIB, memory).map).toBe("none");
    expect(advisePageMap("wearing", 2 ** 40, memory).why).toMatch(/16 GiB.*64 GiB.*wear/u);
  });

  test.each([
    ["size", { size: 0, map: "mem" }],
    ["size", { size: Number.NaN, map: "mem" }],
    ["alignment", { size: GIB, map: "mem", align: 3 * MIB }],
    ["address", { size: GIB, map: "mem", base: 4096 }],
  ] as const)("a %s that cannot be is EINVAL", (_, request) => {
    expect(refusal(() => planPageMap(request)).code).toBe("EINVAL");
  });
});

describe("[2.43] the block is believed only as a whole", () => {
  const base = 4 * GIB;
  const size = GIB;
  const good = (map: "mem" | "dev" = "dev") =>
    encodePfnSuperblock(planPageMap({ size, map }), { uuid: UUID });

  function changed(
    change: (view: DataView<ArrayBuffer>) => void,
    map?: "mem",
  ): Uint8Array<ArrayBuffer> {
    const block = good(map);
    const view = new DataView(block.buffer);
    change(view);
    PfnSuperblock.checksum.set(view, 0, 0n);
    PfnSuperblock.checksum.set(view, 0, fletcher64(block));
    return block;
  }

  const sb = PfnSuperblock;
  function startedLate(view: DataView<ArrayBuffer>): void {
    sb.align.set(view, 0, 4096);
    sb.startPad.set(view, 0, 4096);
  }

  test.each([
    ["ENODEV", "signature", changed((view) => view.setUint8(0, 0))],
    ["ENODEV", "namespace", changed((view) => view.setUint8(32, 1))],
    ["ENXIO", "mode 7", changed((view) => sb.mode.set(view, 0, 7))],
    ["EOPNOTSUPP", "pages of 65536", changed((view) => sb.pageSize.set(view, 0, 65_536))],
    ["EOPNOTSUPP", "descriptors of 56", changed((view) => sb.pageStructSize.set(view, 0, 56))],
    ["EOPNOTSUPP", "alignment", changed((view) => sb.align.set(view, 0, 2 * GIB))],
    ["EOPNOTSUPP", "data at", changed((view) => sb.dataOffset.set(view, 0, size))],
    ["EOPNOTSUPP", "data at", changed((view) => sb.dataOffset.set(view, 0, 2 * MIB + 4096))],
    ["EOPNOTSUPP", "it starts", changed(startedLate)],
    ["EOPNOTSUPP", "it ends", changed((view) => sb.endTrunc.set(view, 0, 4096))],
  ])("%s for another %s", (code, words, block) => {
    const error = refusal(() => decodePfnSuperblock(block, { size, base }));
    expect(error.code).toBe(code);
    expect(error.message).toContain(words);
  });

  test("a byte that changed is ENODEV, with both sums", () => {
    const block = good();
    block[60]! ^= 1;
    const error = refusal(() => decodePfnSuperblock(block, { size, base }));
    expect(error.code).toBe("ENODEV");
    expect(error.message).toMatch(/checksum [0-9a-f]+, and its bytes give [0-9a-f]+/u);
  });

  test("descriptors in memory may have any size, and older blocks mean what they meant", () => {
    const mem = changed((view) => sb.pageStructSize.set(view, 0, 56), "mem");
    expect(decodePfnSuperblock(mem, { size, base })).toMatchObject({ map: "mem" });
    const first = changed((view) => {
      sb.versionMinor.set(view, 0, 0);
      sb.endTrunc.set(view, 0, 12_345);
      sb.align.set(view, 0, 4096);
    }, "mem");
    expect(decodePfnSuperblock(first, { size, base })).toMatchObject({
      endTrunc: 0,
      align: 2 * MIB,
    });
  });

  /** The last byte of data; 0 where there is a typed refusal. */
  function dataEnd(block: Uint8Array): number {
    try {
      const { dataOffset, npfns } = decodePfnSuperblock(block, { size, base });
      return dataOffset + npfns * 4096;
    } catch (error) {
      if (error instanceof DaxError) return 0;
      throw error;
    }
  }

  test("nothing but refusals comes of a block that is damaged and sealed again", () => {
    const random = new Prng(7);
    for (let i = 0; i < 2000; i++) {
      const [at, value] = [48 + random.below(48), random.below(256)];
      const block = changed((view) => view.setUint8(at, value));
      expect(dataEnd(block)).toBeLessThanOrEqual(size);
    }
  });

  test("more pages than fit are cut, and the cut is told", () => {
    const block = changed((view) => sb.npfns.set(view, 0, 257_536 + 5));
    const info = decodePfnSuperblock(block, { size, base });
    expect(info).toMatchObject({ npfns: 257_536, truncated: 5 });
  });
});

const ask = (kind: string, size: unknown, memory: unknown) => () =>
  advisePageMap(kind as "dram", size as number, memory as number);

test("advice is for kinds and sizes that can be", () => {
  expect(ask("dram", 2 ** 30, 2 ** 40)()).toMatchObject({ map: "mem" });
  expect(ask("tape", 1, 1)).toThrow('the kinds are dram, wearing, foreign; given was "tape"');
  for (const wrong of [undefined, Number.NaN, -1, "1G"]) {
    expect(ask("dram", wrong, 2 ** 30)).toThrow("EINVAL");
    expect(ask("dram", 2 ** 30, wrong)).toThrow("EINVAL");
  }
});
