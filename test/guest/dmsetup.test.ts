/**
 * What dmsetup prints in a guest is what our golden files say. Ten minutes: vitest.config.ts
 * takes it up with DAXKIT_LONG=1 only.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { GOLDEN_WORDS, partsOf } from "../support/dmsetup-words.ts";
import { guestTools, runGuest } from "./guest.ts";

const SIZE = 16 << 20;
const golden = join(import.meta.dirname, "../golden/dmsetup.txt");

/** What the job printed of its commands. */
const comparable = (text: string): string[] =>
  text
    .slice(text.indexOf("## linear"))
    .split("\n")
    .filter((line) => !line.startsWith("/dev/mapper/nn"));

/** Four empty disks in a folder of their own. */
function fourDisks(): { readonly folder: string; readonly disks: string[] } {
  const folder = mkdtempSync(join(tmpdir(), "daxkit-guest-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const disks = Array.from({ length: 4 }, (_, i) => join(folder, `d${i}.img`));
  for (const path of disks) writeFileSync(path, new Uint8Array(SIZE));
  return { folder, disks };
}

describe.skipIf(guestTools.missing)(`a kernel's dmsetup${guestTools.hint}`, () => {
  test("prints what the golden file says", async () => {
    const { folder, disks } = fourDisks();
    const options = { disks, commandLine: "memmap=32M!512M", timeoutSeconds: 500 };
    const { log } = await runGuest("dmsetup", join(folder, "one"), options);
    expect(comparable(log)).toEqual(comparable(readFileSync(golden, "utf8")));
  });

  test.each(partsOf(GOLDEN_WORDS))("says of $name what is recorded", async ({ commands, text }) => {
    const { folder, disks } = fourDisks();
    const options = { disks, files: { commands }, timeoutSeconds: 290 };
    const { log } = await runGuest("dmsetup-words", join(folder, "one"), options);
    expect(log.trimEnd().split("\n")).toEqual(text.trimEnd().split("\n"));
  });
});
