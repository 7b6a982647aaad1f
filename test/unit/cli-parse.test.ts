import { describe, expect, test } from "vitest";
import { UsageError, command } from "../../src/cli/command.ts";
import { parseArguments } from "../../src/cli/parse.ts";
import { humanSize, parseCount } from "../../src/cli/size.ts";
import { closest, editDistance } from "../../src/lib/suggest.ts";

const sample = command({
  name: "sample",
  summary: "stand in for a command",
  description: [],
  json: "lines",
  operands: [
    { name: "IMAGE", text: "an image" },
    { name: "REST", text: "more", count: "any" },
  ],
  options: {
    long: { type: "flag", short: "l", text: "long" },
    all: { type: "flag", short: "a", text: "all" },
    partition: { type: "count", short: "p", value: "N", text: "part" },
    offset: { type: "size", value: "BYTES", text: "start" },
    memmap: { type: "text", value: "SPEC", text: "map", many: true },
    weigh: { type: "size", short: "w", value: "BYTES", text: "weigh", many: true },
    format: { type: "choice", value: "HOW", text: "how", choices: ["json", "text"] },
    file: { type: "file", short: "f", value: "FILE", text: "where to" },
  },
  exclusive: [["partition", "offset"]],
  examples: [{ line: "daxkit sample x", text: "x" }],
  run: () => 0,
});

const parse = (...argv: string[]) => parseArguments(sample, argv);

describe("the parser", () => {
  test("takes options and operands in any order", () => {
    const { values, operands } = parse("disk.img", "-la", "/a", "--partition", "3", "/b");
    expect(operands).toEqual(["disk.img", "/a", "/b"]);
    expect(values).toMatchObject({ long: true, all: true, partition: 3, offset: undefined });
  });

  test.each([
    ["--partition=3", ["--partition=3"]],
    ["--partition 3", ["--partition", "3"]],
    ["-p3", ["-p3"]],
    ["-p 3", ["-p", "3"]],
    ["behind flags", ["-lap3"]],
    ["the last one counts", ["-p1", "-p3"]],
  ])("reads a value written as %s", (_, argv) => {
    expect(parse("i", ...argv).values["partition"]).toBe(3);
  });

  test("takes everything behind -- as operands, and - as one", () => {
    const { operands, values } = parse("-", "--", "-l", "--", "--json");
    expect(operands).toEqual(["-", "-l", "--", "--json"]);
    expect(values["long"]).toBe(false);
  });

  test("collects an option that may be given several times", () => {
    expect(parse("i", "--memmap=1M!1M", "--memmap", "2M!2M").values["memmap"]).toEqual([
      "1M!1M",
      "2M!2M",
    ]);
    expect(parse("i", "-w1K", "-w", "0x10").values["weigh"]).toEqual([1024, 16]);
    expect(parse("i").values["memmap"]).toEqual([]);
  });

  test("a value may look like an option or hold an equals sign", () => {
    expect(parse("i", "--file", "-l").values["file"]).toBe("-l");
    expect(parse("i", "--file=a=b").values["file"]).toBe("a=b");
  });

  test("--help wins over missing operands", () => {
    expect(parse("--help").help).toBe(true);
    expect(parse("-h").help).toBe(true);
  });

  test.each([
    [["i", "--parti", "3"], "unknown option '--parti': write it in full, '--partition'"],
    [["i", "--pratition=3"], "unknown option '--pratition'; did you mean '--partition'?"],
    [["i", "--zzz"], "unknown option '--zzz'"],
    [["-l"], "IMAGE is missing"],
    [["i", "-z"], "unknown option '-z'"],
    [["i", "-json"], "unknown option '-j' in '-json' (long options start with two dashes)"],
    [["i", "--long=1"], "option '--long' takes no value"],
    [["i", "--file"], "option '--file' needs a value: --file FILE"],
    [["i", "-f"], "option '-f' needs a value: -f FILE"],
    [["i", "--file="], "option '--file' has an empty value"],
    [["i", "-p", "-1"], "option '-p' is '-1'; write an unsigned decimal number"],
    [["i", "--format", "jsn"], "one of json, text, not 'jsn'; did you mean 'json'?"],
    [["i", "-p1", "--offset=1M"], "options '--partition' and '--offset' exclude each other"],
    [["i", "--constructor"], "unknown option '--constructor'"],
    [["i", "--__proto__=1"], "unknown option '--__proto__'"],
  ])("refuses %j", (argv, message) => {
    expect(() => parse(...argv)).toThrow(UsageError);
    expect(() => parse(...argv)).toThrow(message);
  });

  test("refuses an operand too many", () => {
    const one = { ...sample, operands: sample.operands.slice(0, 1) };
    expect(() => parseArguments(one, ["a", "b"])).toThrow("'b' is one operand too many");
  });

  test("leaves -h to a command that has another use for it", () => {
    const human = {
      ...sample,
      options: { human: { type: "flag", short: "h", text: "h" } },
    } as const;
    const parsed = parseArguments(human, ["-h", "i"]);
    expect(parsed.help).toBe(false);
    expect(parsed.values["human"]).toBe(true);
  });
});

const size = (text: string) => parse("i", "--offset", text).values["offset"];

describe("sizes", () => {
  test("are read with a suffix, and refused with what is accepted", () => {
    expect(["0", "0x1000", "64K", "1GiB"].map(size)).toEqual([0, 4096, 65_536, 2 ** 30]);
    for (const text of ["K", "-1", "1.5G", "1KB", "8P", "9".repeat(99)]) {
      expect(() => size(text)).toThrow(UsageError);
      expect(() => size(text)).toThrow(/^option '--offset' is .*;/u);
    }
  });

  test.each(["", "1K", "0x1", "-1", "99999999999999999"])("'%s' is no count", (text) => {
    expect(() => parseCount(text, "--n")).toThrow(UsageError);
  });

  test.each([
    [0, "0"],
    [1023, "1023"],
    [1024, "1.0K"],
    [1025, "1.1K"],
    [10_137, "9.9K"],
    [10_138, "10K"],
    [1024 * 1024 - 1, "1.0M"],
    [1.5 * 2 ** 30, "1.5G"],
    [2 ** 53, "8.0P"],
  ])("%d bytes read %s, as ls -h rounds them", (bytes, text) => {
    expect(humanSize(bytes)).toBe(text);
  });
});

describe("did you mean", () => {
  const known = ["ls", "list", "tree", "cat", "stat", "df", "extents", "check", "prove"];
  test.each([
    ["lst", "ls"],
    ["sl", "ls"],
    ["exents", "extents"],
    ["exte", "extents"],
    ["chekc", "check"],
    ["ct", "cat"],
  ])("%s -> %s", (word, expected) => {
    expect(closest(word, known)).toBe(expected);
  });

  test.each(["mkfs", "frobnicate", "x"])("%s is like nothing", (word) => {
    expect(closest(word, known)).toBeUndefined();
  });

  test("distance counts a swap of neighbours as one", () => {
    expect(editDistance("kitten", "sitting")).toBe(3);
    expect(editDistance("ab", "ba")).toBe(1);
    expect(editDistance("", "abc")).toBe(3);
    expect(editDistance("aaaaaaaa", "bbbbbbbb", 3)).toBeGreaterThanOrEqual(3);
  });
});
