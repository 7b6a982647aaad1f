import { describe, expect, test } from "vitest";
import {
  type Region,
  RegionIds,
  type ReportedRange,
  checkAlign,
  checkAttach,
  createRegion,
  defaultAlign,
  legacyRanges,
  namespaceDisk,
} from "../../src/platform/regions.ts";
import { codeOf } from "../support/bytes.ts";

const MIB = 1n << 20n;

function region(start: bigint, length: bigint, more: Partial<ReportedRange> = {}): Region {
  return createRegion({ start, length, provider: "e820", ...more }, new RegionIds());
}

test("every range is a region with one namespace that spans it", () => {
  const ids = new RegionIds();
  const range = { start: 0x1_0000_0000n, length: 64n * MIB, provider: "ACPI.NFIT" } as const;
  expect(createRegion(range, ids)).toEqual({
    id: 0,
    mappings: 1,
    name: "region0",
    start: 0x1_0000_0000n,
    length: 64n * MIB,
    provider: "ACPI.NFIT",
    align: 16n * MIB,
    volatile: false,
    readOnly: false,
    persistence: "unknown",
    namespace: { name: "namespace0.0", disk: "pmem0", map: "none", mode: "fsdax" },
  });
  expect(createRegion(range, ids)).toMatchObject({ name: "region1", namespace: { disk: "pmem1" } });
});

test("[0.18] [0.19] [4.5] the domain of a range decides what ndctl is told", () => {
  expect(region(0n, 2n * MIB).persistence).toBe("unknown");
  expect(region(0n, 2n * MIB, { domain: "adr" }).persistence).toBe("memory_controller");
  expect(region(0n, 2n * MIB, { domain: "eadr" }).persistence).toBe("cpu_cache");
  const lost = region(0n, 2n * MIB, { domain: "volatile" });
  expect([lost.persistence, lost.volatile]).toEqual(["unknown", true]);
});

test("[2.92] only type 12 makes devices: not 6, which was once used for it, and not 7", () => {
  const entries = [6, 7, 12, 12].map((type, i) => ({
    start: BigInt(i) * MIB,
    length: i === 3 ? 0n : MIB,
    type,
  }));
  expect(legacyRanges(entries)).toEqual([entries[2]]);
});

test("names of disks", () => {
  expect([namespaceDisk(0), namespaceDisk(1, 2), namespaceDisk(0, 0, "btt")]).toEqual([
    "pmem0",
    "pmem1.2",
    "pmem0s",
  ]);
  expect(namespaceDisk(1, 2, "btt")).toBe("pmem1.2s");
});

describe("align", () => {
  test("16 MiB, a page in smaller regions, and as often as modules demand", () => {
    expect(defaultAlign(64n * MIB)).toBe(16n * MIB);
    expect(defaultAlign(16n * MIB - 1n)).toBe(4096n);
    expect(defaultAlign(64n * MIB, 2)).toBe(16n * MIB);
    expect(defaultAlign(64n * MIB, 3)).toBe(48n * MIB);
  });

  test.each<[align: bigint, mappings: number, code: string | undefined]>([
    [4096n, 0, undefined],
    [64n * MIB, 0, undefined],
    [128n * MIB, 0, "EINVAL"],
    [2048n, 0, "EINVAL"],
    [12288n, 0, "EINVAL"],
    [12288n, 3, undefined],
    [4096n, 3, "EINVAL"],
    [8192n, 3, "EINVAL"],
    [0n, 0, "EINVAL"],
    [-4096n, 0, "EINVAL"],
  ])("%d bytes over %d modules: %s", (align, mappings, code) => {
    expect(codeOf(() => checkAlign(align, 64n * MIB, mappings))).toBe(code);
  });
});

test.each<[string, bigint, bigint, Partial<ReportedRange>, string | undefined]>([
  ["2 MiB sections", 2n * MIB, 2n * MIB, {}, undefined],
  ["less than a page", 0x2000_0000n, 1000n, {}, "ENODEV"],
  ["page structures off 2 MiB", 0x2000_0000n, MIB, {}, "EOPNOTSUPP"],
  ["no page structures off 2 MiB", 0x2000_0000n, MIB, { mode: "raw" }, undefined],
  ["described off 2 MiB, which needs none", MIB, MIB, { provider: "ACPI.NFIT" }, undefined],
  ["off page borders", 0x2000_0800n, MIB, { mode: "raw" }, "EINVAL"],
  ["past 2^53", 1n << 53n, 2n * MIB, {}, "EOVERFLOW"],
  ["up to 2^53", (1n << 53n) - 2n * MIB, 2n * MIB, {}, undefined],
])("attaching to %s", (_, start, length, more, code) => {
  expect(codeOf(() => checkAttach(region(start, length, more)))).toBe(code);
});
