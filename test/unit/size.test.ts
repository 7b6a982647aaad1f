import { describe, expect, test } from "vitest";
import { isDaxError } from "../../src/lib/errno.ts";
import { formatSize, memparse, parseSize, parseUnsigned } from "../../src/lib/size.ts";

describe("memparse reads what the kernel's reads", () => {
  const cases: [text: string, value: bigint, next: number][] = [
    ["64M", 64n << 20n, 3],
    ["64m!4G", 64n << 20n, 3],
    ["4G", 4n << 30n, 2],
    ["2t", 2n << 40n, 2],
    ["3P", 3n << 50n, 2],
    ["1E", 1n << 60n, 2],
    ["0x1000", 0x1000n, 6],
    ["0X1f", 0x1fn, 4],
    ["0x10k", 0x4000n, 5],
    ["0x4E", 0x4en, 4],
    ["0x", 0n, 1],
    ["0xg", 0n, 1],
    ["010", 8n, 3],
    ["08", 0n, 1],
    ["0", 0n, 1],
    ["", 0n, 0],
    ["M", 0n, 1],
    ["-1", 0n, 0],
    ["1KK", 1024n, 2],
    ["1.5G", 1n, 1],
    ["16E", 0n, 3],
    ["18446744073709551615", 0xffff_ffff_ffff_ffffn, 20],
    ["18446744073709551616", 0n, 20],
    ["0x10000000000000001", 1n, 19],
  ];
  test.each(cases)("%j", (text, value, next) => {
    const parsed = memparse(text);
    expect([parsed.value, parsed.next]).toEqual([value, next]);
    expect(parsed.digits).toBe(/^\d/u.test(text));
  });

  test("it starts where it is told", () => {
    expect(memparse("64M!4G", 4)).toEqual({ value: 4n << 30n, next: 6, digits: true });
    expect(parseUnsigned("a-12+7", 2)).toEqual({ value: 12n, next: 4, digits: true });
  });
});

describe("parseSize", () => {
  test.each([
    [0, 0],
    [4096, 4096],
    ["0", 0],
    ["4096", 4096],
    ["64M", 64 * 2 ** 20],
    ["64MiB", 64 * 2 ** 20],
    ["1g", 2 ** 30],
    ["0x1000", 4096],
    ["0x1eM", 30 * 2 ** 20],
    ["0x1E", 30],
    ["010", 8],
    ["7P", 7 * 2 ** 50],
  ])("%j", (input, bytes) => expect(parseSize(input)).toBe(bytes));

  test.each([
    "",
    "M",
    "64MB",
    "64Q",
    "-1",
    "1.5G",
    " 64M",
    "0x",
    "08K1",
    "1e6",
    "9P",
    "16E",
    "99999999999999999999",
    "9".repeat(10_000),
    -1,
    1.5,
    Number.NaN,
    2 ** 53,
    null,
    true,
    [],
    {},
  ])("%j is refused by name", (input) => {
    let error: unknown;
    try {
      parseSize(input, "pmem[0].size");
    } catch (thrown) {
      error = thrown;
    }
    expect(isDaxError(error, "EINVAL")).toBe(true);
    expect(String(error)).toContain("pmem[0].size");
    expect(String(error).length).toBeLessThan(250);
  });

  test("an octal-looking number with an impossible digit is decimal, as people mean it", () => {
    expect(parseSize("08")).toBe(8);
  });
});

test("formatSize prints powers of 1024", () => {
  expect([0, 512, 1023, 1024, 1536, 67_108_864, 2 ** 30 * 1.5, 2 ** 40].map(formatSize)).toEqual([
    "0 B",
    "512 B",
    "1023 B",
    "1 KiB",
    "1.5 KiB",
    "64 MiB",
    "1.5 GiB",
    "1 TiB",
  ]);
  expect(formatSize(2 ** 20 - 1)).toBe("1 MiB");
  expect(formatSize(1234)).toBe("1.21 KiB");
  expect(formatSize(1n << 60n)).toBe("1 EiB");
});
