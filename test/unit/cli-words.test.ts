/**
 * Modes, sizes, times and values as the commands that change images read them.
 */
import { describe, expect, test } from "vitest";
import { nameText, parseName, parseValue, valueText } from "../../src/cli/attribute-text.ts";
import { dateTime, stampTime } from "../../src/cli/given-times.ts";
import { adjustMode, modeText, parseMode } from "../../src/cli/mode-words.ts";
import { parseBytes, parseSizeRule } from "../../src/cli/relative-size.ts";
import { checkDate, checkInterval, mountCount } from "../../src/cli/tune-words.ts";

const file = (text: string, before = 0o644, umask = 0o022) =>
  adjustMode(before, false, umask, parseMode(text)).mode.toString(8);
const directory = (text: string, before = 0o755, umask = 0o022) =>
  adjustMode(before, true, umask, parseMode(text)).mode.toString(8);

describe("modes", () => {
  test("octal ones leave setgid of directories alone, unless written with five digits", () => {
    expect(file("755", 0o4644)).toBe("755");
    expect(directory("755", 0o2700)).toBe("2755");
    expect(directory("00755", 0o2700)).toBe("755");
    expect(directory("0", 0o7777)).toBe("6000");
  });

  test("symbolic ones take who, operator and bits", () => {
    expect(file("u=rwx,go=")).toBe("700");
    expect(file("a-r")).toBe("200");
    expect(file("g=u")).toBe("664");
    expect(file("o=g,u+x")).toBe("744");
    expect(file("ug+s,+t", 0o755)).toBe("7755");
    expect(file("u+w-r+x")).toBe("344");
    expect(file("=")).toBe("0");
    expect(directory("g=s", 0o755)).toBe("2705");
    expect(directory("u=rwx", 0o6755)).toBe("6755");
    expect(directory("ug-s", 0o6755)).toBe("755");
  });

  test("without who the umask is kept", () => {
    expect(file("+w", 0o444)).toBe("644");
    expect(file("+w", 0o444, 0)).toBe("666");
    expect(file("-w", 0o666)).toBe("466");
    expect(file("=rw", 0o777, 0o077)).toBe("600");
  });

  test("X executes where somebody may already, and directories", () => {
    expect(file("a+X", 0o644)).toBe("644");
    expect(file("a+X", 0o744)).toBe("755");
    expect(directory("u=rwX,go=rX", 0o700)).toBe("755");
  });

  test("what is none is refused", () => {
    for (const text of ["9", "10000", "u=q", "u", "rwx", "", "u+7", "a=r,,b"]) {
      expect(() => parseMode(text)).toThrow(/invalid mode/u);
    }
    expect(modeText(0o100_4751)).toBe("4751 (rwsr-x--x)");
  });
});

function sized(rule: string, size: number): number {
  return parseSizeRule(rule, "-s")(size);
}

describe("sizes", () => {
  test("with units of 1024 and 1000", () => {
    expect(["10", "1K", "1KiB", "1KB", "2M", "0x10"].map((text) => parseBytes(text, "-l"))).toEqual(
      [10, 1024, 1024, 1000, 2_097_152, 16],
    );
    for (const text of ["", "K", "1.5K", "-1", "9E", "1Q", "1KIB"]) {
      expect(() => parseBytes(text, "-l")).toThrow(/option '-l' is/u);
    }
  });

  test("that depend on what is there", () => {
    expect([sized("+10", 5), sized("-10", 5), sized("<10", 50), sized(">10", 5)]).toEqual([
      15, 0, 10, 10,
    ]);
    expect([sized("/4", 10), sized("%4", 10), sized("%4", 8), sized("7", 1)]).toEqual([
      8, 12, 8, 7,
    ]);
    expect(() => parseSizeRule("%0", "-s")).toThrow(/a multiple of 0/u);
  });
});

const at = (text: string) => ({ sec: Date.parse(text) / 1000, nsec: 0 });

describe("times", () => {
  test("with zones, and to the nanosecond", () => {
    expect(dateTime("2024-02-29T12:00:00Z")).toEqual(at("2024-02-29T12:00:00Z"));
    expect(dateTime("2024-02-29 12:00:07.123456789 +0130")).toEqual({
      ...at("2024-02-29T10:30:07Z"),
      nsec: 123_456_789,
    });
    expect(dateTime("0001-01-01T00:00-05")).toEqual(at("0001-01-01T05:00:00Z"));
    expect(dateTime("2016-12-31T23:59:60Z")).toEqual(at("2017-01-01T00:00:00Z"));
    expect(dateTime("@1.5")).toEqual({ sec: 1, nsec: 500_000_000 });
    expect(dateTime("@-1.25")).toEqual({ sec: -2, nsec: 750_000_000 });
  });

  test("without a zone are those of this machine, days too", () => {
    expect(dateTime("2024-07-01")).toEqual(at("2024-07-01T00:00:00"));
    expect(dateTime("2024-07-01 08:30")).toEqual(at("2024-07-01T08:30:00"));
    expect(stampTime("202407010830.15")).toEqual(at("2024-07-01T08:30:15"));
    expect(stampTime("7001010000")).toEqual(at("1970-01-01T00:00:00"));
  });

  test("that there are none of are refused", () => {
    const none = [
      "2024-02-30",
      "2023-02-29",
      "2024-13-01",
      "2024-01-01T24:01",
      "monday 12",
      "",
      "1",
    ];
    for (const text of none) expect(() => dateTime(text)).toThrow(/invalid date/u);
    for (const text of ["02300000", "202413010000", "01012460", "x"]) {
      expect(() => stampTime(text)).toThrow(/invalid date format/u);
    }
  });
});

describe("values of attributes", () => {
  test("come back as they went", () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    for (const encoding of [undefined, "hex", "base64", "text"] as const) {
      expect([...parseValue(valueText(all, encoding))]).toEqual([...all]);
    }
    for (const text of ["", 'a "b" \\ c', "line\nline", "naïve"]) {
      const bytes = new TextEncoder().encode(text);
      expect([...parseValue(valueText(bytes))]).toEqual([...bytes]);
    }
  });

  test("are text where they are, and names are escaped", () => {
    expect(valueText(new TextEncoder().encode("plain"))).toBe('"plain"');
    expect(valueText(Uint8Array.of(1, 2))).toBe("0sAQI=");
    expect(valueText(new Uint8Array(0), "hex")).toBe("0x");
    expect(parseName(nameText("odd=name\n\\"))).toBe("odd=name\n\\");
    expect(() => parseValue("0sA")).toThrow(/no base64/u);
    expect(() => parseValue("0xabc")).toThrow(/pairs of digits/u);
  });
});

describe("words of tune2fs", () => {
  test("counts, intervals and times", () => {
    expect([mountCount("-1", "-c"), mountCount("0", "-c"), mountCount("16000", "-C")]).toEqual([
      -1, 0, 16_000,
    ]);
    expect(() => mountCount("-1", "-C")).toThrow(/0 to 16000/u);
    expect(["0", "1", "2d", "1w", "1m", "90s"].map(checkInterval)).toEqual([
      0, 86_400, 172_800, 604_800, 2_592_000, 90,
    ]);
    for (const text of ["5x", "", "-1", "99999999m"]) {
      expect(() => checkInterval(text)).toThrow(/option '-i'/u);
    }
    expect(checkDate("now", 77)).toBe(77);
    const local = new Date(2024, 1, 29, 23, 59, 58).getTime() / 1000;
    expect(checkDate("20240229235958", 0)).toBe(local);
    for (const text of ["20230229", "2024", "2024022925", "x"]) {
      expect(() => checkDate(text, 0)).toThrow(/option '-T'/u);
    }
  });
});
