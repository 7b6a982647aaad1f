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

describe("dmsetup", () => {
  test("[4.2] prints what dmsetup prints, and fails as it does", () => {
    const box = machine();
    expect(replay(section("linear"), box)).toBeGreaterThan(55);
    const errors = section("errors").filter(isKnown);
    expect(replay(errors, box)).toBeGreaterThan(30);
    expect(replay(section("striped"), box)).toBe(6);
    expect(replay(section("simple"), box)).toBe(26);
    expect(replay(section("mirror"), box)).toBe(18);
  });
});
