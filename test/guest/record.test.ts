/**
 * A kernel's ext4 on a disk that we record: what a power cut leaves of it, in every state.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { programs } from "../judges/judge.ts";
import { MAIN, daxkit, jsonLines } from "../support/daxkit.ts";
import { type GuestRun, guestTools, runGuest } from "./guest.ts";

const e2fsprogs = programs(["mke2fs"], "apt-get install e2fsprogs");

describe.skipIf(guestTools.missing || e2fsprogs.missing)(
  `a kernel's ext4, recorded${guestTools.hint}${e2fsprogs.hint}`,
  () => {
    let folder = "";
    let guest: GuestRun;
    let ended: unknown;

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "daxkit-guest-"));
      const image = join(folder, "d0.img");
      writeFileSync(image, "");
      truncateSync(image, 16 << 20);
      execFileSync("mke2fs", ["-q", "-t", "ext4", "-b", "4096", "-J", "size=4", image]);
      const socket = join(folder, "s");
      const ready = join(folder, "pid");
      const record = ["--record", join(folder, "log"), "--record-base"];
      const words = ["nbd", "-U", socket, "--pid-file", ready, ...record, image];
      const server = spawn(process.execPath, [MAIN, ...words], { stdio: "ignore" });
      const end = new Promise<unknown>((resolve) => server.once("close", resolve));
      await vi.waitUntil(() => existsSync(ready) || server.exitCode !== null, { timeout: 120_000 });
      const disks = [`nbd+unix:///d0.img?socket=${socket}`];
      guest = await runGuest("record", join(folder, "run"), { disks });
      server.kill("SIGTERM");
      ended = await end;
    });
    afterAll(() => rmSync(folder, { recursive: true }));

    test("flushes, and the server ends well", () => {
      expect([ended, guest.file("cache").trim()]).toEqual([0, "write back"]);
      const [sum] = jsonLines(daxkit(["replay", "--json", "log"], { cwd: folder }).stdout);
      const { flushes, writes } = sum as { flushes: number; writes: number };
      expect(flushes).toBeGreaterThan(8);
      expect(writes).toBeGreaterThan(20);
    });

    test("survives in every state", () => {
      const args = ["--json", "--reorder", "--start-mark", "daxkit-base", "--check", "ext", "log"];
      const { status, stdout } = daxkit(["replay", ...args], { cwd: folder });
      const [found] = jsonLines(stdout) as { verdict: string; failures: unknown[] }[];
      expect([status, found!.verdict, found!.failures]).toEqual([0, "survived", []]);
    });
  },
);
