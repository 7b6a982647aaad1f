/** A volume that is written over NBD, on a server that is not ours. */
import * as fs from "node:fs";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { makeVolume } from "../../src/node/make-volume.ts";
import { openVolume } from "../../src/node/volume.ts";
import { makeFolder } from "../support/host-tree.ts";
import { nbdkit, runNbdkit } from "../support/nbd-servers.ts";
import { programs } from "./judge.ts";

const e2fsck = programs(["e2fsck"], "apt-get install e2fsprogs");
const folder = makeFolder();
afterAll(() => fs.rmSync(folder, { recursive: true }));

const missing = nbdkit.missing || e2fsck.missing;

test.skipIf(missing)(`files written to an export${nbdkit.hint}${e2fsck.hint}`, () => {
  const image = join(folder, "image");
  makeVolume(image, { size: { bytes: 2 ** 24 } });
  const uri = runNbdkit("file", image);
  const volume = openVolume(uri, { write: true });
  volume.fs.mkdirSync("/dir");
  for (let i = 0; i < 50; i++) volume.fs.writeFileSync(`/dir/file-${i}`, `content ${i}`);
  volume.fs.rmSync("/dir/file-7");
  volume.fs.writeFileSync("/big", Buffer.alloc(2 ** 20, 9), { flush: true });
  // What is synced is on the server, for whoever looks there.
  const other = openVolume(image);
  expect(other.fs.readFileSync("/big").equals(Buffer.alloc(2 ** 20, 9))).toBe(true);
  other.close();
  volume.close();
  const after = openVolume(image);
  expect(after.fs.readdirSync("/dir")).toHaveLength(49);
  after.close();
  expect(spawnSync("e2fsck", ["-fn", image], { encoding: "utf8" })).toMatchObject({ status: 0 });
});
