/** What dmsetup and a kernel said to many command lines, good and bad, asked of ours. */
import { describe, expect, test } from "vitest";
import type { RamDisk } from "../../src/block/ram-disk.ts";
import { dmsetup } from "../../src/dm/dmsetup.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { GOLDEN_WORDS, type SaidLine, partsOf } from "../support/dmsetup-words.ts";
import { mapperOver, ramDisk } from "../support/mapped.ts";

const SECTORS = 32_768;
const NODES: readonly string[] = ["vdb", "vdc", "vdd", "vde"];
/** What tables might leave on their devices is gone before the next one is tried. */
const HEAD = new Uint8Array(256 << 10);

/** What the kernel logs of a refused table or call; who called it logs once more. */
const LOGGED = /: (?:table|ioctl): (?!error adding|unable to set up|remove_all left)/u;

/** Where our words are others on purpose: theirs, and ours. */
const BETTER: readonly (readonly [RegExp, string])[] = [
  // Numbers beyond 2^53 are not told to the last digit.
  [/ too small for target: start=\d{16,}, .*/u, " too small for target: start="],
  // Linux 6.1 says so of the second interval, too.
  [/flakey: Invalid up interval .*/u, "flakey: Invalid "],
  [/^dm_report: /u, ""],
];

function better(line: string): string {
  let told = line;
  for (const [theirs, ours] of BETTER) told = told.replace(theirs, ours);
  return told.replace(/\.$/u, "");
}

/** The first thing that an error says; undefined where it only says that there is one. */
function causeOf(stderr: readonly string[]): string | undefined {
  const [first] = stderr;
  return first === undefined || first === "Command failed." ? undefined : better(first);
}

/** What is another one with us; nothing if all is the same. */
function differences(said: SaidLine, ours: ReturnType<typeof dmsetup>): string[] {
  const { stdout, stderr, status, kernel } = said;
  const found: string[] = [];
  if (ours.status !== status) found.push(`status ${ours.status}, not ${status}`);
  const text = stdout.map((line) => `${line}\n`).join("");
  if (ours.stdout !== text) found.push(`printed ${JSON.stringify(ours.stdout)}, not ${text}`);
  const cause = status === 0 ? undefined : causeOf(stderr);
  const [first = ""] = ours.stderr.split("\n");
  if (cause !== undefined && better(first) !== cause) found.push(`said ${first}, not ${cause}`);
  for (const entry of kernel.filter((line) => LOGGED.test(line))) {
    if (!ours.stderr.includes(better(entry))) found.push(`did not say ${entry}`);
  }
  return found.map((what) => `${said.words.join(" ")}: ${what}; ${ours.stderr}`);
}

describe("dmsetup, word by word", () => {
  test.each(partsOf(GOLDEN_WORDS))("[4.2] $name", ({ lines }) => {
    const disks = NODES.map((name): [string, RamDisk] => [name, ramDisk(name, SECTORS)]);
    const { mapper } = mapperOver(Object.fromEntries(disks));
    const found: string[] = [];
    for (const said of lines) {
      if (said.isProbe && /\/dev\/vd[ce]/u.test(said.words.join(" "))) {
        for (const [, disk] of disks.slice(1)) disk.write(0, HEAD);
      }
      const read = (path: string | undefined): string => {
        if (path === undefined) return said.input;
        throw new DaxError("ENOENT", { syscall: "open", path });
      };
      found.push(...differences(said, dmsetup(mapper, said.words, { read })));
      if (said.isLast && mapper.find("probe") !== undefined) mapper.remove("probe");
    }
    expect(found).toEqual([]);
    expect(lines.length).toBeGreaterThan(10);
  });
});
