/**
 * `daxkit nbd --record` before clients that are not ours: what they wrote is in the log, and the
 * log makes the same disk again.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { LogEntry } from "../../src/block/write-log.ts";
import { daxkit } from "../support/daxkit.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { testFolder } from "../support/nbd-server.ts";
import { programs } from "./judge.ts";

const qemu = programs(["qemu-io"], "apt-get install qemu-utils");
const libnbd = programs(["nbdcopy"], "apt-get install libnbd-bin");
const e2fsprogs = programs(["mke2fs", "e2fsck"], "apt-get install e2fsprogs");

const MIB = 1 << 20;

let cwd = "";
beforeEach(() => {
  cwd = testFolder();
});

/** Serves an image of zeros to a command that knows $uri, and reads what was recorded. */
function record(mebibytes: number, command: string, ...options: string[]): LogEntry[] {
  if (!existsSync(join(cwd, "d.img"))) {
    writeFileSync(join(cwd, "d.img"), new Uint8Array(mebibytes * MIB));
  }
  const args = ["nbd", "--record", "d.log", ...options, "--run", command, "d.img"];
  const { status, stdout, stderr } = daxkit(args, { cwd });
  expect(`${status}: ${stderr}${stdout}`).toMatch(/^0:/u);
  return [...logOf().entries()];
}

const logOf = () => MemoryLog.of(readFileSync(join(cwd, "d.log"))).open();

/** Applies a log to an empty disk. */
function replayed(bytes: number): Uint8Array {
  const disk = new Uint8Array(bytes);
  const log = logOf();
  for (const entry of log.entries()) {
    const range = disk.subarray(entry.start, entry.start + entry.length);
    if (entry.discard) range.fill(0);
    else log.read(entry, 0, range);
  }
  return disk;
}

/** Matchers compare large arrays number by number. */
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

const ordered = (entries: readonly LogEntry[]) =>
  entries.map(({ start, length, flush, fua, discard, mark }) => {
    if (mark !== undefined) return mark;
    const what = flush ? "flush" : fua ? "fua" : discard ? "discard" : "write";
    return length === 0 ? what : `${what} ${start}+${length}`;
  });

describe(`QEMU's client${qemu.hint}`, () => {
  test.skipIf(qemu.missing)("writes, flushes and trims as it was told", () => {
    const commands = [
      "write -P 1 0 4096",
      "flush",
      "write -P 2 -f 8192 512",
      "write -P 3 4096 1024",
      "discard 65536 65536",
      "write -z 0 512",
    ];
    const line = commands.map((command) => `-c '${command}'`).join(" ");
    // QEMU flushes when it closes what it has written to.
    const entries = record(1, `qemu-io -t writeback -f raw ${line} "$uri"`);
    expect(ordered(entries)).toEqual([
      "daxkit-size 1048576",
      "write 0+4096",
      "flush",
      "fua 8192+512",
      "write 4096+1024",
      "discard 65536+65536",
      "write 0+512",
      "flush",
      "dm-log-writes-end",
    ]);
    expect(same(replayed(MIB), readFileSync(join(cwd, "d.img")))).toBe(true);
  });
});

describe(`a filesystem${libnbd.hint}${e2fsprogs.hint}`, () => {
  test.skipIf(libnbd.missing || e2fsprogs.missing)("goes through the log whole", () => {
    const made = spawnSync("mke2fs", ["-q", "-t", "ext4", "made.img", "8M"], { cwd });
    expect(made.status).toBe(0);
    record(8, 'nbdcopy --flush made.img "$uri"');
    writeFileSync(join(cwd, "again.img"), replayed(8 * MIB));
    const { status, stdout } = spawnSync("e2fsck", ["-fn", "again.img"], { cwd });
    expect(`${status} ${stdout.toString()}`).toMatch(/^0 /u);
    expect(same(replayed(8 * MIB), readFileSync(join(cwd, "made.img")))).toBe(true);
  });

  test.skipIf(libnbd.missing)("that was there before is the beginning of the log", () => {
    const image = new Uint8Array(2 * MIB);
    image.fill(5, 10_000, 20_000);
    writeFileSync(join(cwd, "d.img"), image);
    const entries = record(2, "true", "--record-base");
    expect(ordered(entries).slice(-3)).toEqual(["flush", "daxkit-base", "dm-log-writes-end"]);
    expect(same(replayed(2 * MIB), image)).toBe(true);
  });
});

/** `DAXKIT_REPLAY_LOG`: where replay-log of xfstests, or of josefbacik/log-writes, was built. */
const tool = process.env["DAXKIT_REPLAY_LOG"];

const replayLog = (...args: string[]) => {
  const run = spawnSync(tool ?? "", ["--log", "d.log", ...args], { cwd, encoding: "utf8" });
  expect(`${run.status}: ${run.stderr}`).toBe("0: ");
  return run.stdout.trim();
};

// It is in no package: who has built it says so, and nobody else is told that it is missing.
describe.skipIf(qemu.missing).each(tool === undefined ? [] : [tool])("replay-log: %s", () => {
  test("accepts our log: entries, marks, flushes, and the same disk", () => {
    const marks = join(cwd, "marks");
    const client = [
      `qemu-io -t writeback -f raw -c 'write -P 1 0 65536' -c flush "$uri"`,
      `${process.execPath} -e 'const s=require("net").connect("${marks}");s.end("half\\n")'`,
      `qemu-io -t writeback -f raw -c 'write -P 2 -f 4096 4096' -c 'discard 32768 4096' "$uri"`,
    ];
    const entries = record(1, client.join(" && "), "--marks", marks);
    expect(Number(replayLog("--num-entries"))).toBe(entries.length);
    const index = entries.findIndex(({ mark }) => mark === "half");
    expect(Number(replayLog("--find", "--end-mark", "half"))).toBe(index);
    expect(Number(replayLog("--find", "--next-flush"))).toBe(
      entries.findIndex(({ flush }) => flush),
    );
    expect(Number(replayLog("--find", "--next-fua"))).toBe(entries.findIndex(({ fua }) => fua));
    writeFileSync(join(cwd, "out.img"), new Uint8Array(MIB));
    replayLog("--replay", "out.img");
    const made = readFileSync(join(cwd, "out.img"));
    expect(same(made, readFileSync(join(cwd, "d.img")))).toBe(true);
  });
});
