/**
 * `daxkit replay` and programs that are not ours: e2fsck sees the losses that are reported and none
 * where none are, in the kernel's log and in those of a volume that writes over NBD.
 */
import { spawnSync } from "node:child_process";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { openVolume } from "../../src/node/volume.ts";
import { type Ended, daxkit, jsonLines } from "../support/daxkit.ts";
import { kernelLog, logWithoutBarriers } from "../support/kernel-log.ts";
import { startServer, testFolder } from "../support/nbd-server.ts";
import { programs } from "./judge.ts";

const e2fsprogs = programs(["mke2fs", "e2fsck"], "apt-get install e2fsprogs");

/** Recovery as at boot, which may repair nothing else; and then not a word. */
const E2FSCK = "e2fsck -p {image} >/dev/null; e2fsck -fn {image}";

let cwd = "";
beforeEach(() => {
  cwd = testFolder();
});
const replay = (...args: string[]): Ended => daxkit(["replay", "--json", ...args], { cwd });

interface Found {
  readonly verdict: string;
  readonly states: string;
  readonly runs: number;
  readonly failures: readonly { readonly state: string }[];
}
const found = ({ stdout }: Ended): Found => jsonLines(stdout)[0] as Found;

/** How e2fsck ends on a state, after it has replayed the journal. */
function e2fsckOn(state: string, log: string): number | null {
  const image = `${state.replaceAll(/\W/gu, "_")}.img`;
  expect(daxkit(["replay", "--to", image, "--state", state, log], { cwd }).status).toBe(0);
  spawnSync("e2fsck", ["-E", "journal_only", "-p", image], { cwd });
  return spawnSync("e2fsck", ["-fn", image], { cwd }).status;
}

describe.skipIf(e2fsprogs.missing)(`e2fsck${e2fsprogs.hint}`, () => {
  test("finds nothing in what a power cut leaves of the kernel's ext4", () => {
    writeFileSync(join(cwd, "k.log"), kernelLog());
    const args = ["--reorder", "--start-mark", "one-synced", "--end-mark", "two-synced"];
    const { status, stdout } = replay(...args, "--runs", "8", "--check", E2FSCK, "k.log");
    // Some of its instants have more states than that.
    expect([status, found({ status, stdout, stderr: "" }).failures]).toEqual([3, []]);
  });

  test("sees what our check saw lost, and is content with what it was content with", () => {
    writeFileSync(join(cwd, "k.log"), logWithoutBarriers());
    const args = ["--reorder", "--start-mark", "mkfs-done", "--check", "ext"];
    const [failure] = found(replay(...args, "k.log")).failures;
    const state = failure?.state ?? "";
    expect(state).toMatch(/^\d+e@4096:/u);
    expect(e2fsckOn(state, "k.log")).toBe(4);
    expect(e2fsckOn(state.replace(/:.*/u, ""), "k.log")).toBe(0);
  });

  test("and a volume of ours over NBD survives, exactly and before e2fsck", async () => {
    writeFileSync(join(cwd, "v.img"), "");
    truncateSync(join(cwd, "v.img"), 16 << 20);
    const options = ["-q", "-t", "ext4", "-b", "4096", "-J", "size=4", "v.img"];
    expect(spawnSync("mke2fs", options, { cwd }).status).toBe(0);
    const record = ["--record", join(cwd, "v.log"), "--record-base"];
    const server = await startServer(["-U", join(cwd, "s"), ...record, join(cwd, "v.img")]);
    const volume = openVolume(server.uri, { write: true });
    for (const name of ["/a", "/b"]) {
      volume.fs.writeFileSync(name, name.repeat(3000), { flush: true });
      volume.fs.renameSync(name, `${name}${name}`.replaceAll("/", "") === "aa" ? "/c" : "/d");
    }
    volume.sync();
    volume.fs.unlinkSync("/c");
    volume.close();
    expect(await server.end()).toBe(0);
    const args = ["--reorder", "--start-mark", "daxkit-base"];
    const exact = replay(...args, "--check", "ext", "v.log");
    expect([exact.status, found(exact).verdict]).toEqual([0, "survived"]);
    const judged = replay(...args, "--runs", "4", "--check", E2FSCK, "v.log");
    expect(found(judged).failures).toEqual([]);
    expect(found(judged).runs).toBeGreaterThan(10);
  });
});
