/**
 * `daxkit replay` as people run it, on a log that the kernel made of its own ext4.
 */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { mkdtempSync, rmSync } from "node:fs";
import { type Ended, daxkit, jsonLines } from "../support/daxkit.ts";
import { kernelDisk, kernelLog, logWithoutBarriers } from "../support/kernel-log.ts";
import { testFolder } from "../support/nbd-server.ts";

let logs = "";
let cwd = "";
beforeAll(() => {
  logs = mkdtempSync(join(tmpdir(), "daxkit-replay-test-"));
  writeFileSync(join(logs, "good.log"), kernelLog());
  writeFileSync(join(logs, "bad.log"), logWithoutBarriers());
});
afterAll(() => rmSync(logs, { recursive: true, force: true }));
beforeEach(() => {
  cwd = testFolder();
});

const GOOD = (): string => join(logs, "good.log");
const BAD = (): string => join(logs, "bad.log");
const run = (...args: string[]): Ended => daxkit(["replay", ...args], { cwd });
const FROM_MKFS = ["--start-mark", "mkfs-done"];

/** The record that `--json` prints. */
function verdict(ended: Ended): Record<string, unknown> & { failures: { state: string }[] } {
  return jsonLines(ended.stdout)[0] as never;
}

const sum = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

describe("without a check", () => {
  test("sums a log up", () => {
    const { status, stdout } = run(GOOD());
    expect(status).toBe(0);
    expect(stdout).toContain("entries: 88 (67 writes, 13 flushes, 12 FUA, 3 discards)");
    expect(stdout).toContain("mark:    42 one-synced");
    expect(verdict(run("--json", GOOD()))).toMatchObject({ entries: 88, reach: 16 << 20 });
  });

  test("finds entries", () => {
    expect(run("--find", "--end-mark", "one-synced", GOOD()).stdout).toBe("42\n");
    expect(run("--find", "--at", "fua", GOOD()).stdout).toBe("30\n");
    expect(run("--find", "--at", "flush", "--start-entry", "41", GOOD()).stdout).toBe("52\n");
    expect(run("--find", "--at", "mark", "--start-mark", "end", GOOD()).stdout).toBe("87\n");
    expect(run("--find", "--at", "fua", "--limit", "20", GOOD()).status).toBe(1);
  });

  test("makes the disk that the kernel had", () => {
    expect(run("--to", "out.img", GOOD()).status).toBe(0);
    expect(sum(readFileSync(join(cwd, "out.img")))).toBe(sum(kernelDisk()));
    expect(run("--to", "out.img", GOOD()).stderr).toMatch(/EEXIST/u);
    expect(run("--to", "one.img", "--end-mark", "one-synced", GOOD()).status).toBe(0);
    const listed = daxkit(["ls", "one.img"], { cwd });
    expect(listed.stdout.split("\n")).toContain("one");
  });
});

describe("power cuts inside recovery", () => {
  test("are covered as well, and none loses what a kernel wrote", () => {
    const once = verdict(run("--json", "--reorder", "--check", "ext", ...FROM_MKFS, GOOD()));
    const args = ["--json", "--reorder", "--depth", "2", "--check", "ext", ...FROM_MKFS, GOOD()];
    const twice = verdict(run(...args));
    expect(twice["verdict"]).toBe("survived");
    expect(twice["covered"]).toBe(twice["states"]);
    const both = BigInt(String(once["states"])) + BigInt(String(twice["inRecovery"]));
    expect(BigInt(String(twice["states"]))).toBe(both);
    expect(once["inRecovery"]).toBe("0");
  });

  test("are made again by their names", () => {
    const name = "52f@4096/0/0";
    expect(run("--check", "ext", "--state", name, GOOD()).stdout).toContain("nothing is wrong");
    expect(run("--to", "inner.img", "--state", name, GOOD()).status).toBe(0);
    expect(readFileSync(join(cwd, "inner.img")).length).toBe(16 << 20);
    expect(run("--check", "ext", "--state", "52f@4096/0/99999", GOOD()).status).toBe(2);
    expect(run("--check", "true", "--state", name, GOOD()).stderr).toContain("--check ext");
    expect(run("--check", "true", "--depth", "2", GOOD()).stderr).toContain("--check ext");
  });
});

describe("with our own check", () => {
  test("the kernel's ext4 survives in every state that a disk of 4096 may be left in", () => {
    const args = ["--json", "--reorder", "--check", "ext", ...FROM_MKFS, GOOD()];
    const one = run(...args);
    expect(one.status).toBe(0);
    const found = verdict(one);
    expect(found).toMatchObject({ verdict: "survived", instants: 13, looked: 13, incomplete: 0 });
    expect(found["covered"]).toBe(found["states"]);
    expect(BigInt(found["states"] as string)).toBeGreaterThan(1_000_000_000n);
    // Threads find the same.
    const { runs: _, log: _log, ...rest } = found;
    expect(verdict(run("-j", "3", ...args))).toMatchObject(rest);
  });

  test("a superblock is torn where sectors have 512 bytes", () => {
    const { status, stdout } = run(
      "--reorder",
      "--junit",
      "found.xml",
      "--sector",
      "512",
      "--check",
      "ext",
      ...FROM_MKFS,
      GOOD(),
    );
    expect(status).toBe(1);
    expect(stdout).toContain("lost of entry 30: sector 2\n    superblock: mtime, mntCount, ");
    expect(stdout).toContain("128 of 256 states fail there");
    const xml = readFileSync(join(cwd, "found.xml"), "utf8");
    expect(xml).toContain('tests="1" failures="1" errors="0" skipped="0"');
    expect(xml).toMatch(/testcase name="30w" .*\n.*during the FUA write of entry 30[^]*mntCount/u);
  });

  test("without barriers it is lost, and the state can be looked at again", () => {
    const args = ["--check", "ext", BAD()];
    const found = verdict(run("--json", "--reorder", ...FROM_MKFS, ...args));
    expect(found).toMatchObject({ verdict: "lost" });
    const { state } = found.failures[0]!;
    const again = run("--state", state, ...args);
    expect([again.status, again.stdout.startsWith(`${state}: ext.`)]).toEqual([1, true]);
    expect(run("--state", state.replace(/:.*/u, ""), ...args).status).toBe(0);
    expect(run("--to", "bad.img", "--state", state, BAD()).status).toBe(0);
    expect(daxkit(["check", "bad.img"], { cwd }).status).toBe(1);
  });
});

describe("a disk of a tebibyte", () => {
  const TEBIBYTE = ["--size", "1T"];

  test("is replayed with what is written in memory, and has the same states", () => {
    const args = ["--json", "--reorder", "--check", "ext", ...FROM_MKFS];
    const { log: _, ...small } = verdict(run(...args, GOOD()));
    expect(verdict(run(...args, ...TEBIBYTE, GOOD()))).toMatchObject(small);
    const cut = run("--reorder", "--depth", "2", "--check", "ext", ...TEBIBYTE, GOOD());
    expect([cut.status, cut.stderr]).toEqual([2, expect.stringMatching(/EFBIG.*'--depth'/u)]);
  });

  test("is a sparse file to a command, in each state, and to whoever saves one", () => {
    const line =
      `test "$(stat -c %s {image})" = ${2 ** 40} || exit 8; ` +
      "test $(stat -c %b {image}) -lt 20000 || exit 9";
    const args = ["--json", "--at", "mark", "--resume", "notes", ...TEBIBYTE, "--check", line];
    const found = verdict(run(...args, GOOD()));
    expect(found).toMatchObject({ instants: 5, looked: 5, failures: [] });
    expect(verdict(run(...args, GOOD()))).toMatchObject({ instants: 5, looked: 5, failures: [] });
    const state = "52f@4096";
    expect(run("--to", "big.img", ...TEBIBYTE, "--state", state, GOOD()).status).toBe(0);
    expect(run("--to", "small.img", "--state", state, GOOD()).status).toBe(0);
    expect(statSync(join(cwd, "big.img")).size).toBe(2 ** 40);
    const listed = (name: string) => daxkit(["ls", "-l", name], { cwd }).stdout;
    expect(listed("big.img")).toBe(listed("small.img"));
    const based = ["--base", "big.img", "--check", `cmp -n 16777216 small.img {image}`];
    expect(run("--limit", "0", "--at", "entry", "--reorder", ...based, GOOD()).status).toBe(0);
  });
});

describe("with a command", () => {
  test("finds what it objects to, gives it each state afresh, and tells of the mark", () => {
    const line =
      'test "$DAXKIT_MARK" = mkfs-done -o "$DAXKIT_MARK" = "" || exit 9; ' +
      "test \"$(od -An -c -N1 {image} | tr -d ' ')\" = '\\0' || exit 7; printf x > {image}";
    const found = verdict(run("--json", "--at", "mark", "--check", line, GOOD()));
    expect(found).toMatchObject({ verdict: "lost", instants: 5, looked: 2 });
    expect(found.failures).toEqual([
      {
        instant: "42",
        mark: "one-synced",
        failing: "1",
        atLeast: false,
        of: "1",
        state: "42",
        said: "exit status 9",
        lost: [],
      },
    ]);
  });

  test("says what share of the states was checked", () => {
    const args = ["--reorder", "--runs", "3", ...FROM_MKFS, "--check", "test -s {image}"];
    const { status, stdout } = run(...args, "--limit", "45", GOOD());
    expect(status).toBe(3);
    expect(stdout).toMatch(/not measured: the check has nothing against a disk of zeros/u);
    expect(stdout).toMatch(/not measured: \d instants with more states than 3 runs cover/u);
  });

  test("ends one that hangs, with all that it started", () => {
    const line = "sh -c 'sleep 60; exit 1' {image}; exit 1";
    const { status, stdout } = run("--at", "mark", "--timeout", "1", "--check", line, GOOD());
    expect(status).toBe(1);
    expect(stdout).toContain("the check did not end within 1 s");
    const images = readdirSync(tmpdir()).filter((name) => name.startsWith("daxkit-replay-"));
    expect(images.filter((name) => !name.startsWith("daxkit-replay-test-"))).toEqual([]);
  });
});

test("is interrupted between two runs, and leaves nothing behind", () => {
  const line = "kill -INT $(ps -o ppid= -p $$); sleep 0.3; test -s {image}";
  const args = ["--at", "entry", "--resume", "notes", "--check", line, GOOD()];
  const { status, stdout } = daxkit(["replay", ...args], { cwd, env: { TMPDIR: cwd } });
  expect([status, stdout]).toEqual([130, expect.stringMatching(/SIGINT ended it, with \d+ of/u)]);
  expect(readdirSync(cwd)).toEqual(["notes"]);
});

test("goes on from what it noted", () => {
  const args = ["--json", "--reorder", "--check", "ext", ...FROM_MKFS, "--resume", "notes"];
  const first = verdict(run(...args, GOOD()));
  const notes = readFileSync(join(cwd, "notes"), "utf8").split("\n");
  expect(notes.length).toBe(1 + 13 + 1);
  // As whoever was killed in the middle of a line leaves it.
  writeFileSync(join(cwd, "notes"), `${notes.slice(0, 6).join("\n")}\n${notes[6]!.slice(0, 20)}`);
  expect(verdict(run(...args, GOOD()))).toEqual(first);
  expect(readFileSync(join(cwd, "notes"), "utf8").split("\n").length).toBe(15);
  const other = run(...args, "--seed", "9", GOOD());
  expect([other.status, other.stderr]).toEqual([2, expect.stringMatching(/with other options/u)]);
});

describe("refuses", () => {
  const cases: [title: string, args: string[], message: RegExp][] = [
    ["what is no log", ["x.img"], /EINVAL.*no log of writes/u],
    ["a log that is cut off", ["cut.log"], /EUCLEAN.*entry \d+.*cut off.*'--limit'/u],
    ["a log that is not there", ["none"], /ENOENT/u],
    ["a mark that is not there", ["--check", "ext", "--start-mark", "m", "g.log"], /no mark 'm'/u],
    ["a mark that is not there", ["--to", "o", "--end-mark", "m", "g.log"], /no mark 'm'/u],
    ["a state without a form", ["--state", "x", "--check", "ext", "g.log"], /looks like 57/u],
    ["a state of no instant", ["--state", "99f", "--check", "ext", "g.log"], /no such instant/u],
    ["a unit that is decided", ["--state", "40f:9=0", "--to", "o", "g.log"], /cannot be lost/u],
    ["a content of none", ["--state", "40f:72=9", "--to", "o", "g.log"], /contents 0 to 1/u],
    ["a disk too small", ["--size", "1M", "--check", "ext", "g.log"], /EUCLEAN.*leave the disk/u],
    ["a disk of no pages", ["--size", "5000", "--check", "ext", "g.log"], /multiple of 4096/u],
    ["a disk too large", ["--size", "2P", "--check", "ext", "g.log"], /EFBIG/u],
    ["a check that is not there", ["--check", "./none {image}", "g.log"], /the check cannot run/u],
    ["to find nothing", ["--find", "g.log"], /'--find' needs/u],
    ["a base that is not there", ["--base", "b", "--check", "ext", "g.log"], /ENOENT.*'b'/u],
    ["odd tears", ["--torn", "100", "--check", "ext", "g.log"], /multiple of 8/u],
  ];
  test.for(cases)("%s: %s", ([, args, message]) => {
    writeFileSync(join(cwd, "x.img"), new Uint8Array(8192));
    writeFileSync(join(cwd, "g.log"), kernelLog());
    writeFileSync(join(cwd, "cut.log"), kernelLog().subarray(0, 1 << 20));
    const { status, stdout, stderr } = run(...args);
    expect(stderr).toMatch(message);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });

  test("and what is cut off can be used up to there", () => {
    writeFileSync(join(cwd, "cut.log"), kernelLog().subarray(0, 1 << 20));
    expect(run("--limit", "8", "cut.log").stdout).toContain("entries: 8 ");
  });
});
