/**
 * The check of ext filesystems: silent about clean images, and every kind of damage by its name.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import type { Finding } from "../../src/vfs/filesystem.ts";
import { same } from "../support/bytes.ts";
import { EXT_FIXTURES, type ExtFixture, fixtureImage, still } from "../support/ext-images.ts";
import { MUTATIONS } from "../support/mutations/all.ts";
import { type Mutation, Target } from "../support/mutations/target.ts";

function check(bytes: Uint8Array): Finding[] {
  return [...ext.check(new RamDisk({ name: "ram0", bytes }), still)];
}

test.each(EXT_FIXTURES)("%s, as Linux unmounted it, yields nothing", (name) => {
  const image = fixtureImage(name);
  const before = Uint8Array.from(image);
  expect(check(image)).toEqual([]);
  expect(same(image, before)).toBe(true);
});

test("docs/ext-check.md lists every code", () => {
  const root = join(import.meta.dirname, "..", "..");
  const folder = join(root, "src", "fs", "ext");
  const sources = readdirSync(folder).filter((name) => name.startsWith("check"));
  const codes = sources.flatMap((name) => {
    const text = readFileSync(join(folder, name), "utf8");
    return [...text.matchAll(/"(ext\.[a-z-]+\.[a-z.-]+)"/gu)].map(([, code]) => code as string);
  });
  const listed = new Set<string>();
  const table = readFileSync(join(root, "docs", "ext-check.md"), "utf8");
  for (const [, cell] of table.matchAll(/^\| (ext\.[^|]+)\|/gmu)) {
    let group = "";
    for (const code of (cell as string).trim().split(", ")) {
      // ".flags" stands for the same group as the code before it.
      if (!code.startsWith(".")) group = code.slice(0, code.lastIndexOf("."));
      listed.add(code.startsWith(".") ? group + code : code);
    }
  }
  expect(codes.filter((code) => !listed.has(code))).toEqual([]);
});

/** Damages the first fixture that has what the mutation needs. */
function damaged(mutation: Mutation): Target {
  const order: ExtFixture[] = ["ext4-default", "ext4-1k", "ext2-1k", "ext4-inline", "ext3-4k"];
  for (const name of order) {
    const target = new Target(name);
    if (mutation.edit(target) !== false) return target;
  }
  throw new Error(`no fixture has what "${mutation.name}" needs`);
}

describe("damage", () => {
  const found = MUTATIONS.filter(({ code }) => code !== "");
  test.each(found.map((mutation) => [mutation.name, mutation] as const))("%s", (_, mutation) => {
    const codes = check(damaged(mutation).bytes).map(({ code }) => code);
    expect(codes.filter((code) => code.startsWith(mutation.code))).not.toEqual([]);
  });

  const tolerated = MUTATIONS.filter(({ code }) => code === "");
  test.each(tolerated.map((mutation) => [mutation.name, mutation] as const))(
    "%s is none",
    (_, mutation) => {
      expect(check(damaged(mutation).bytes)).toEqual([]);
    },
  );
});

describe("what is no filesystem, or only part of one", () => {
  test("a device too small for a superblock", () => {
    expect(check(new Uint8Array(1024))).toMatchObject([{ code: "ext.check.stopped" }]);
  });

  test("zeros", () => {
    const codes = check(new Uint8Array(1 << 20)).map(({ code }) => code);
    expect(codes).toEqual(["ext.super.magic", "ext.check.stopped"]);
  });

  test("an image cut off in its middle", () => {
    const findings = check(fixtureImage("ext4-default").subarray(0, 8 << 20));
    expect(findings.map(({ code }) => code)).toEqual(["ext.super.value", "ext.check.stopped"]);
    expect(findings[0]?.text).toMatch(/blocks_count is 4096, the device has only 2048/u);
  });

  test("an inode table of noise: findings stay few for each structure", () => {
    const target = new Target("ext4-default");
    const table = target.inodeAt(1);
    for (let i = 0; i < 64 * 256; i++) target.bytes[table + i] = (i * 37 + (i >> 8) * 11) & 0xff;
    const findings = check(target.bytes);
    const perInode = findings.filter(({ where }) => where === "inode 12").length;
    expect(findings.length).toBeGreaterThan(50);
    expect(perInode).toBeLessThanOrEqual(17);
  });

  test("a device that fails in the middle ends the check with a finding", () => {
    const image = fixtureImage("ext4-default");
    const disk = new RamDisk({ name: "ram0", bytes: image });
    const target = new Target("ext4-default");
    const from = target.inodeAt(257);
    const read = disk.readBytes.bind(disk);
    disk.readBytes = (offset, bytes) => {
      // The inode table from its second part on cannot be read.
      if (offset >= from && offset < from + 65_536) disk.read(disk.sectors, new Uint8Array(512));
      read(offset, bytes);
    };
    const findings = [...ext.check(disk, still)];
    expect(findings.at(-1)).toMatchObject({ code: "ext.check.stopped", severity: "error" });
    expect(findings.at(-1)?.text).toContain("EIO");
  });
});
