/**
 * Images that a booted kernel wrote, through its block layer and through DAX, and whose machine was
 * reset: daxkit reads from the dirty image what the kernel reads after its replay.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { programs } from "../judges/judge.ts";
import { daxkit } from "../support/daxkit.ts";
import { complaintsOf } from "./check.ts";
import { type GuestRun, guestTools, runGuest } from "./guest.ts";

const mke2fs = programs(["mke2fs", "dumpe2fs"], "apt-get install e2fsprogs");

interface Case {
  readonly name: string;
  readonly mke2fs: readonly string[];
  readonly mount: string;
  /** Device in the guest: a disk, or virtio-pmem, which has DAX. */
  readonly device: string;
}

function image(name: string, options: string, mount: string, device: string): Case {
  return { name, mke2fs: options.split(" "), mount: `noatime,commit=600,${mount}`, device };
}

const CASES: readonly Case[] = [
  image("ext4 with 4K blocks", "-t ext4 -b 4096", "data=ordered", "d0"),
  image("ext4 with 1K blocks and inline data", "-t ext4 -b 1024 -O inline_data", "discard", "d1"),
  image("ext4 with all data in the journal", "-t ext4 -b 4096 -J size=16", "data=journal", "d2"),
  image("ext3 with 1K blocks", "-t ext3 -b 1024", "data=ordered", "d3"),
  image("ext4 through DAX", "-t ext4 -b 4096", "dax=always", "pmem0"),
];

function tarSum(path: string): string {
  const { status, stdout, stderr } = daxkit(["tar", path]);
  if (status !== 0 || stderr !== "") throw new Error(`daxkit tar: ${status} ${stderr}`);
  expect(stdout).toContain("./late4\0");
  return createHash("sha256").update(Buffer.from(stdout, "latin1")).digest("hex");
}

function needsRecovery(path: string): boolean {
  const features = execFileSync("dumpe2fs", ["-h", path], { encoding: "utf8", stdio: "pipe" });
  return /^Filesystem features:.*needs_recovery/mu.test(features);
}

const missing = guestTools.missing || mke2fs.missing;

describe.skipIf(missing)(`a kernel's images${guestTools.hint}${mke2fs.hint}`, () => {
  let folder = "";
  const live = (device: string): string => join(folder, `${device}.img`);
  const dirty = (device: string): string => join(folder, `${device}.dirty.img`);
  let written: GuestRun;
  let replayed: GuestRun;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "daxkit-guest-"));
    for (const { device, mke2fs: options } of CASES) {
      writeFileSync(live(device), "");
      truncateSync(live(device), 64 * 2 ** 20);
      execFileSync("mke2fs", ["-q", "-F", ...options, live(device)], { stdio: "pipe" });
    }
    const paths = (what: RegExp): string[] =>
      CASES.filter(({ device }) => what.test(device)).map(({ device }) => live(device));
    const mounts = CASES.map(({ device, mount }) => `${device} ${mount}\n`).join("");
    const devices = CASES.map(({ device }) => device).join(" ");
    const files = { mounts, devices };
    const hardware = { virtioPmem: paths(/^pmem/u), disks: paths(/^d/u), files };
    written = await runGuest("write-ext", join(folder, "write"), hardware);
    for (const { device } of CASES) copyFileSync(live(device), dirty(device));
    replayed = await runGuest("read-trees", join(folder, "read"), hardware);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("the kernel mounted with DAX, and replayed journals", () => {
    expect(written.file("mounts")).toMatch(/^\/dev\/pmem0 .*dax=always/mu);
    expect(replayed.file("messages").match(/recovery complete/gu)).toHaveLength(CASES.length);
  });

  test.each(CASES)("$name: the tree in the dirty image", ({ device }) => {
    expect(needsRecovery(dirty(device))).toBe(true);
    expect(tarSum(dirty(device))).toBe(replayed.file(`${device}.sum`).trim());
  });

  test.each(CASES)("$name: the tree after the kernel's replay", ({ device }) => {
    expect(needsRecovery(live(device))).toBe(false);
    expect(tarSum(live(device))).toBe(replayed.file(`${device}.sum`).trim());
  });

  test.each(CASES)("$name: the check finds nothing", ({ device }) => {
    expect(complaintsOf(dirty(device))).toEqual([]);
  });
});
