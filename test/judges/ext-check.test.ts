/**
 * The check against `e2fsck -fn`: both say that an image is clean, or both that it is not. Where
 * they differ on purpose, the difference is listed with its reason.
 */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { EXT_FIXTURES, type ExtFixture, fixtureImage, still } from "../support/ext-images.ts";
import { MUTATIONS } from "../support/mutations/all.ts";
import { type Mutation, Target } from "../support/mutations/target.ts";
import { places } from "../support/scratch.ts";
import { programs } from "./judge.ts";

const e2fsck = programs(["e2fsck"], "apt-get install e2fsprogs");

/** Damage that only one of the two reports, and why. */
const DIFFERENCES: Readonly<Record<string, string>> = {
  "node depth": "e2fsck goes by the root's depth; Linux refuses such a tree (EUCLEAN)",
};

/** Lines of e2fsck that are no complaint. */
const HARMLESS = [
  /^\s*$/u,
  /^Pass \d/u,
  / files \([\d.]+% non-contiguous\), /u,
  // An offer to optimise what Linux itself writes.
  /extent tree \(at level \d+\) could be (shorter|narrower)/u,
];

function e2fsckComplains(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    execFile("e2fsck", ["-fn", path], (error, stdout) => {
      const status = error === null ? 0 : Number(error.code ?? 16);
      const said = stdout.split("\n").filter((line) => !HARMLESS.some((rule) => rule.test(line)));
      resolve(status >= 4 || said.length > 0);
    });
  });
}

function weComplain(bytes: Uint8Array): boolean {
  const findings = [...ext.check(new RamDisk({ name: "ram0", bytes }), still)];
  return findings.some(({ severity }) => severity === "error");
}

const folder = mkdtempSync(join(places["tmpfs"] ?? places["disk"] ?? tmpdir(), "daxkit-check-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function agree(name: string, bytes: Uint8Array): Promise<boolean> {
  const path = join(folder, `${name.replaceAll(/\W/gu, "-")}.img`);
  await writeFile(path, bytes);
  const judged = e2fsckComplains(path);
  const ours = weComplain(bytes);
  const same = ours === (await judged);
  await rm(path);
  return same;
}

/** Damages the first image that has what the mutation needs, starting at a different one each. */
function damaged(mutation: Mutation, start: number): Target {
  for (const i of EXT_FIXTURES.keys()) {
    const name = EXT_FIXTURES[(start + i) % EXT_FIXTURES.length] as ExtFixture;
    const target = new Target(name);
    if (mutation.edit(target) !== false) return target;
  }
  throw new Error(`no fixture has what "${mutation.name}" needs`);
}

describe.skipIf(e2fsck.missing)(`e2fsck agrees${e2fsck.hint}`, { concurrent: true }, () => {
  test.each(EXT_FIXTURES)("%s is clean", async (name) => {
    expect(weComplain(fixtureImage(name))).toBe(false);
    expect(await agree(name, fixtureImage(name))).toBe(true);
  });

  // Each kind of damage on one of the images, a different one for each.
  test.each(MUTATIONS.map(({ name }, i) => [name, i] as const))("%s", async (name, i) => {
    const mutation = MUTATIONS[i] as (typeof MUTATIONS)[number];
    const target = damaged(mutation, i);
    const differs = DIFFERENCES[name] !== undefined;
    expect(await agree(name, target.bytes)).toBe(!differs);
  });
});
