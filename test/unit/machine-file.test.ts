import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { bootMachine } from "../../src/machine/boot.ts";
import { describeMachine } from "../../src/machine/describe.ts";
import { machineFromFlags } from "../../src/machine/flags.ts";
import { loadMachine, parseMachineText, readMachineFile } from "../../src/node/machine-file.ts";
import { codeOf, noise, same } from "../support/bytes.ts";

const MIB = 2 ** 20;
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "daxkit-machine-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

function messageOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return String(error);
  }
  return "nothing thrown";
}

describe("loading", () => {
  test("files are sought beside the machine file, made with their size, and kept", () => {
    mkdirSync(join(folder, "media"));
    const path = join(folder, "machine.yaml");
    writeFileSync(path, "pmem:\n  - { file: media/nv0.img, size: 2M }\n");
    const bytes = noise(5, 4096);
    const first = loadMachine(path);
    first.disk("pmem0").write(0, bytes, { fua: true });
    first.shutdown();
    expect(statSync(join(folder, "media/nv0.img")).size).toBe(2 * MIB);
    const second = loadMachine(path);
    const seen = new Uint8Array(4096);
    second.disk("pmem0").read(0, seen);
    second.shutdown();
    expect(same(seen, bytes)).toBe(true);
  });

  test("a file in use is EBUSY, and a read-only module is a read-only disk", () => {
    const path = join(folder, "machine.yaml");
    writeFileSync(path, "pmem: { file: nv0.img, size: 2M }\n");
    const machine = loadMachine(path);
    expect(codeOf(() => loadMachine(path))).toBe("EBUSY");
    machine.shutdown();
    writeFileSync(path, "pmem: { file: nv0.img, readOnly: true }\n");
    const reader = loadMachine(path);
    expect(reader.devices()[0]?.readOnly).toBe(true);
    expect(codeOf(() => reader.disk("pmem0").write(0, new Uint8Array(512)))).toBe("EROFS");
    reader.shutdown();
  });

  test("JSON is read too, and the example boots", () => {
    const path = join(folder, "machine.json");
    writeFileSync(path, JSON.stringify({ ram: "1G", brd: ["4M"] }));
    expect(readMachineFile(path)).toEqual({ ram: "1G", brd: ["4M"] });
    const example = loadMachine(join(import.meta.dirname, "../../examples/machine.yaml"));
    expect(example.failures).toEqual([]);
    expect(
      example.devices().map(({ name, size, domains }) => [name, size / MIB, domains[0]?.domain]),
    ).toEqual([
      ["pmem0", 32, "eadr"],
      ["pmem1", 64, "adr"],
      ["ram0", 16, "volatile"],
    ]);
    example.shutdown();
  });

  test.each([
    ["missing.yaml", undefined, "ENOENT"],
    [".", undefined, "EISDIR"],
    ["long.yaml", `# ${"x".repeat(70_000)}`, "E2BIG"],
    ["latin1.yaml", Uint8Array.of(0x6e, 0x61, 0x6d, 0x65, 0x3a, 0x20, 0xe9), "EINVAL"],
  ])("%s: %s", (name, content, code) => {
    const path = join(folder, name);
    if (content !== undefined) writeFileSync(path, content);
    expect(codeOf(() => loadMachine(path))).toBe(code);
    expect(messageOf(() => loadMachine(path))).toContain(path);
  });
});

describe("errors name line and column", () => {
  test.each([
    ["ram: 4Q", "m:1:6", "64M"],
    ["name: a\npmem:\n  - size: 64M\n    domian: adr\n", "m:4:5", "did you mean domain?"],
    ["pmem:\n  size: 64M\n  domain: ADR", "m:3:11", "adr, eadr, volatile"],
    ["pmem:\n  - size: 64M\n  -\n    domain: adr", "m:4:5", "needs a size"],
    ["memmap: [64M!4G, 64M!5Gx]", "m:1:18", "after its end"],
    ["brd:\n  count: 900\n  size: 4K", "m:2:10", "at most 256"],
    ["ram: [", "m:1:7", ""],
    ["ram: 1G\nram: 2G", "m:2:1", "unique"],
    ["memmap: !range 64M!4G", "m:1:9", "tag"],
    ["a: &x [1]\nb: *x", "m:2:4", "aliases"],
    ["ram: 4G\n--- \nram: 8G", "m:2:1", "one machine"],
    ["? [a]\n: b", "m:1:3", "strings"],
    ["- ram: 4G", "m:1:1", "a mapping"],
    ["just text", "m:1:1", "a mapping"],
    ["<<: { ram: 4G }", "m:1:1", "no known key"],
  ])("%j", (text, place, words) => {
    const message = messageOf(() => parseMachineText(text, "m"));
    expect(message).toContain(`'${place}`);
    expect(message).toContain(words);
    expect(message.length).toBeLessThan(400);
    expect(codeOf(() => parseMachineText(text, "m"))).toBe("EINVAL");
  });

  test.each([
    ["brackets", "[".repeat(20_000)],
    ["braces", '{"ram":'.repeat(5000)],
    ["marks", "- ".repeat(20_000)],
    ["indented levels", Array.from({ length: 300 }, (_, i) => `${" ".repeat(i)}a:`).join("\n")],
  ])("%s nested thousands deep are refused", (_, text) => {
    expect(codeOf(() => parseMachineText(text, "m"))).toBe("EINVAL");
  });

  test("an empty file is a machine of defaults", () => {
    expect(parseMachineText("")).toEqual({});
    expect(parseMachineText("# nothing\n")).toEqual({});
  });

  test("a bomb of aliases ends at once", () => {
    const levels = Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`);
    const bomb = ["a0: &a0 [x]", ...levels].join("\n");
    expect(messageOf(() => parseMachineText(bomb))).toContain("aliases");
  });
});

describe("flags", () => {
  test("mean what a machine file means", () => {
    const input = machineFromFlags({
      ram: "8G",
      memmap: ["64M!4G", "2M!5G"],
      pmem: ["size=4M,domain=eadr", "size=2M,mode=raw,modelled=true"],
      brd: ["16M", "2x4M"],
      profile: "modern",
      seed: "7",
    });
    const machine = bootMachine(input);
    expect(machine.description.seed).toBe(7);
    expect(machine.devices().map(({ name, size }) => [name, size / MIB])).toEqual([
      ["pmem0", 4],
      ["pmem1", 2],
      ["pmem2", 64],
      ["pmem3", 2],
      ["ram0", 16],
      ["ram1", 4],
      ["ram2", 4],
    ]);
    expect(bootMachine(machineFromFlags({})).devices()).toEqual([]);
  });

  test("--pmem takes a file first, whatever its name", () => {
    const { pmem } = describeMachine(
      machineFromFlags({ pmem: ["a.img", "b=c.img,size=64M,readOnly=true", "file=d.img"] }),
    );
    expect(pmem.map(({ file, size, readOnly }) => [file, size, readOnly])).toEqual([
      ["a.img", undefined, false],
      ["b=c.img", 64 * MIB, true],
      ["d.img", undefined, false],
    ]);
  });

  test("--brd 0x400000 is a size, not a count", () => {
    expect(describeMachine(machineFromFlags({ brd: ["0x400000"] })).brd).toEqual([4 * MIB]);
  });

  test.each([
    [{ pmem: ["a.img,sise=4M"] }, "--pmem"],
    [{ pmem: ["a.img,size"] }, "--pmem"],
    [{ pmem: ["a.img,size=1M,size=2M"] }, "twice"],
    [{ pmem: ["a.img,readOnly=yes"] }, "true or false"],
    [{ pmem: [""] }, "pmem[0].file"],
    [{ pmem: ["a.img,size=4Q"] }, "pmem[0].size"],
    [{ seed: "-1" }, "--seed"],
    [{ ram: "lots" }, "ram"],
    [{ brd: ["4x"] }, "brd[0].size"],
    [{ brd: ["999x4K"] }, "brd[0].count"],
    [{ memmap: ["64M!4Gx"] }, "memmap[0]"],
    [{ profile: "v5" }, "profile"],
  ])("%j is refused", (flags, words) => {
    const call = (): unknown => describeMachine(machineFromFlags(flags));
    expect(codeOf(call)).toBe("EINVAL");
    expect(messageOf(call)).toContain(words);
  });
});
