import { expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { fixtureImage, still } from "../support/ext-images.ts";

test("a check tells how far it is, pass by pass, and never more than all", () => {
  const passes: string[] = [];
  const beyond: unknown[] = [];
  const trace = {
    event(point: string, { pass, done, total }: Readonly<Record<string, number | string>>) {
      if (point !== "ext.check") return;
      if (passes.at(-1) !== pass) passes.push(String(pass));
      if (!(Number(done) < Number(total))) beyond.push({ pass, done, total });
    },
  };
  const disk = new RamDisk({ name: "ram0", bytes: fixtureImage("ext4-default") });
  expect([...ext.check(disk, { ...still, trace })]).toEqual([]);
  expect(passes).toEqual(["inode tables", "directories", "bitmaps"]);
  expect(beyond).toEqual([]);
});
