/** What dmsetup and a kernel said to commands, asked of ours. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dmsetup } from "../../src/dm/dmsetup.ts";
import { TARGET_TYPES } from "../../src/dm/target-types.ts";
import { type Mapped, mapperOver, ramDisk } from "../support/mapped.ts";

/** One command and what became of it. */
interface Said {
  readonly words: readonly string[];
  readonly output: string;
  readonly status: number;
  /** What the kernel logged. */
  readonly kernel: readonly string[];
}

const SECTORS = 32_768;
const NODES: Readonly<Record<string, string>> = { A: "vdb", B: "vdc", C: "vdd", D: "vde" };
const text = readFileSync(join(import.meta.dirname, "dmsetup.txt"), "utf8");

/** The commands of a section, up to its first one that is no dmsetup, if `quiet`. */
function section(name: string): Said[] {
  const found = new RegExp(`^## ${name}\\n([\\s\\S]*?)(?=^## |(?![\\s\\S]))`, "mu").exec(text)?.[1];
  return [...(found ?? "").matchAll(/^\$ (.*)\n([\s\S]*?)^= (\d+)\n((?:K .*\n)*)/gmu)]
    .filter(([, command]) => command!.startsWith("dmsetup "))
    .map(([, command, body, status, kernel]) => said(command!, body!, Number(status), kernel!));
}

function said(command: string, body: string, status: number, kernel: string): Said {
  const [before = "", table] = command.split(" --table ");
  const words = before.split(" ").slice(1);
  const lines = table === undefined ? "" : (/^(?:\d+ \d+ [a-z].*\n)*/u.exec(body)?.[0] ?? "");
  if (table !== undefined) words.push("--table", nodes(`${table}\n${lines}`.trimEnd()));
  const logged = kernel.split("\n").flatMap((line) => (line === "" ? [] : [line.slice(2)]));
  return { words, output: body.slice(lines.length), status, kernel: logged };
}

function nodes(table: string): string {
  return table.replaceAll(/\b[A-D]\b/gu, (letter) => `/dev/${NODES[letter]}`);
}

function machine(): Mapped {
  return mapperOver(
    Object.fromEntries(Object.values(NODES).map((name) => [name, ramDisk(name, SECTORS)])),
  );
}

/** What we do otherwise on purpose, or what took a module that somebody loaded. */
const OTHERWISE = [/7:77/u, /^targets/u, /^version/u];

function isKnown({ words }: Said): boolean {
  const target = words.at(-1)?.split(" ")[2];
  return target === undefined || target === "nonsense" || TARGET_TYPES.has(target);
}

/** What the kernel logs of a refused table or call; who called it logs once more. */
const LOGGED = /: (?:table|ioctl): (?!error adding|unable to set up)/u;

/** Runs commands and compares everything that they print. */
function replay(commands: readonly Said[], { mapper }: Mapped): number {
  let compared = 0;
  for (const { words, output, status, kernel } of commands) {
    const line = words.join(" ");
    if (OTHERWISE.some((pattern) => pattern.test(line))) continue;
    const ours = dmsetup(mapper, words);
    const [first = ""] = output.split("\n");
    const wanted = [line, status, status === 0 ? output : first];
    const told = status === 0 ? ours.stdout + ours.stderr : ours.stderr.split("\n")[0];
    expect([line, ours.status, told]).toEqual(wanted);
    const logged = kernel.filter((entry) => LOGGED.test(entry) && !ours.stderr.includes(entry));
    expect([line, logged]).toEqual([line, []]);
    if (words[1] === "bad" && mapper.find("bad") !== undefined) mapper.remove("bad");
    compared++;
  }
  return compared;
}

function row(name: string): string {
  return `${name}\n`;
}

describe("dmsetup", () => {
  test("prints what dmsetup prints, and fails as it does", () => {
    const box = machine();
    expect(replay(section("linear"), box)).toBeGreaterThan(55);
    const errors = section("errors").filter(isKnown);
    expect(replay(errors, box)).toBeGreaterThan(30);
    expect(replay(section("striped"), box)).toBe(6);
    expect(replay(section("simple"), box)).toBe(26);
    expect(replay(section("mirror"), box)).toBe(18);
  });

  test("an empty table is refused, and the old one stays", () => {
    const { mapper } = machine();
    mapper.create("d", "0 8 zero");
    for (const table of ["", "# nothing\n\n"]) {
      const { status, stderr } = dmsetup(mapper, ["load", "d", "--table", table]);
      expect(status).toBe(1);
      expect(stderr).toMatch(/^device-mapper: reload ioctl on d {2}failed: Invalid argument\n/u);
      expect(stderr).toContain("device-mapper: ioctl: populate_table: no targets specified");
    }
    expect(dmsetup(mapper, ["resume", "d"]).status).toBe(0);
    expect(dmsetup(mapper, ["table", "d"]).stdout).toBe("0 8 zero \n");
    const bad = dmsetup(mapper, ["load", "d", "--table", "0 64"]).stderr.split("\n");
    expect(bad.slice(0, 2)).toEqual([
      "Invalid format on line 1 of table .",
      '"0 64"; it takes START LENGTH TARGET [ARGUMENT]...',
    ]);
  });

  test("devices are named by uuid and by number, too", () => {
    const { mapper } = machine();
    mapper.create("a", "0 8 zero", { uuid: "U" });
    mapper.create("b", "0 8 dust /dev/vdb 0 512", { uuid: "V", minor: 7 });
    const names = (...words: string[]): string =>
      dmsetup(mapper, ["info", "-c", "--noheadings", "-o", "name", ...words]).stdout;
    expect(names("-u", "V")).toBe(row("b"));
    expect(names("-j", "253", "-m", "0")).toBe(row("a"));
    expect(names("b", "a")).toBe(row("b") + row("a"));
    const refused = (...words: string[]): string => {
      const { stdout, stderr, status } = dmsetup(mapper, words);
      expect([words, stdout, status]).toEqual([words, "", 1]);
      return stderr.split("\n")[0]!;
    };
    expect(refused("info", "-u", "NOPE")).toBe("Device does not exist.");
    const none = "failed: No such device or address";
    expect(refused("suspend", "-u", "NOPE")).toBe(`device-mapper: suspend ioctl on  NOPE ${none}`);
    expect(refused("clear", "-j", "253", "-m", "9")).toBe(
      `device-mapper: clear ioctl on  (253:9) ${none}`,
    );
    expect(refused("info", "-j", "254", "-m", "0")).toBe("Device does not exist.");
    expect(refused("info", "-m", "0")).toContain("both major number and minor number");
    for (const by of [["-u", "V"], ["-j", "253", "-m", "7"], ["b"]]) {
      const { stdout, stderr } = dmsetup(mapper, ["message", ...by, "0", "countbadblocks"]);
      expect([stdout, stderr]).toEqual(["countbadblocks: 0 badblock(s) found\n", ""]);
    }
    expect(dmsetup(mapper, ["load", "-u", "U", "file"], { read: String }).stderr).toContain(
      "Invalid format on line 1 of table file.",
    );
  });

  test("a command takes several names, up to the first one that it cannot serve", () => {
    const { mapper } = machine();
    for (const name of ["x", "y", "z"]) mapper.create(name, "0 8 zero");
    expect(dmsetup(mapper, ["table", "z", "y"]).stdout).toBe("z: 0 8 zero \ny: 0 8 zero \n");
    dmsetup(mapper, ["suspend", "z", "y"]);
    expect(mapper.devices.map(({ suspended }) => suspended)).toEqual([false, true, true]);
    dmsetup(mapper, ["resume", "z", "y"]);
    expect(mapper.devices.map(({ suspended }) => suspended)).toEqual([false, false, false]);
    expect(dmsetup(mapper, ["status", "y", "nosuch", "x"])).toMatchObject({
      stdout: "y: 0 8 zero \n",
      stderr: "Device does not exist.\nCommand failed.\n",
      status: 1,
    });
    expect(dmsetup(mapper, ["remove", "x", "y", "nosuch", "z"])).toMatchObject({
      stdout: "",
      stderr: expect.stringContaining("remove ioctl on nosuch  failed") as string,
      status: 1,
    });
    expect(mapper.devices.map(({ name }) => name)).toEqual(["z"]);
  });

  test("remove_all goes on behind devices whose removal was deferred", () => {
    const { mapper } = machine();
    mapper.create("other", "0 8 zero");
    mapper.create("p1", "0 8 zero");
    mapper.create("p2", "0 8 linear /dev/mapper/p1 0");
    dmsetup(mapper, ["remove", "--deferred", "p1"]);
    expect(dmsetup(mapper, ["remove_all"])).toEqual({ stdout: "", stderr: "", status: 0 });
    expect(mapper.devices).toEqual([]);
  });
});
