/**
 * Sessions that end with everything open: nothing keeps the volume busy, what had no name is gone
 * with the unmount, and e2fsck finds nothing.
 */
import { expect, test } from "vitest";
import { RamMedia } from "../../src/media/ram.ts";
import { makeVolume, openVolume } from "../../src/node/index.ts";
import { FuseSession } from "../../src/fuse/session.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { codeOf } from "../support/bytes.ts";
import { FuseClient } from "../support/fuse-client.ts";
import { ask, did, nodeOf } from "../support/fuse-requests.ts";
import { WHOLE } from "../support/slices.ts";
import { e2fsckSays } from "./e2fsck.ts";
import { programs } from "./judge.ts";

const e2fsck = programs(["e2fsck"], "apt-get install e2fsprogs");
const FILES = WHOLE ? 2500 : 600;

test.skipIf(e2fsck.missing).each([
  ["the session ends", "end", "ext4", ""],
  ["the session ends, with an orphan file", "end", "ext4", "orphan_file"],
  ["the session ends, without a journal", "end", "ext2", ""],
  ["the volume is taken away", "revoke", "ext4", ""],
] as const)(`%s over thousands of files without names${e2fsck.hint}`, (_, how, type, features) => {
  const bytes = new Uint8Array(2 ** 25);
  const environment = seededEnvironment(2);
  const media = RamMedia.over(bytes);
  makeVolume(media, { type, features, environment, inodes: 4096 });
  const volume = openVolume(media, { write: true, environment });
  const session = new FuseSession(volume.tree);
  const kernel = new FuseClient(session);
  kernel.init();
  const free = volume.fs.statfsSync("/");
  for (let i = 0; i < FILES; i++) {
    const node = nodeOf(did(kernel, 1, i % 5 === 0 ? ask.tmpfile() : ask.create(`f${i}`)));
    did(kernel, node, ask.write(node, 0, new Uint8Array(1 + (i % 6000))));
    if (i % 5 > 0) did(kernel, 1, ask.unlink(`f${i}`));
  }
  const folder = nodeOf(did(kernel, 1, ask.mkdir("d")));
  did(kernel, folder, ask.lookup("none"));
  did(kernel, 1, ask.rmdir("d"));
  did(kernel, 1, ask.syncfs());
  expect(volume.fs.statfsSync("/").ffree).toBe(free.ffree - FILES - 1);
  expect(codeOf(() => volume.close())).toBe("EBUSY");
  if (how === "end") session.end();
  const { ffree, bfree } = volume.fs.statfsSync("/");
  // The directory may have grown.
  const back = [ffree === free.ffree, free.bfree - bfree < 200];
  expect(back).toEqual(how === "end" ? [true, true] : [false, false]);
  volume.close({ revoke: how === "revoke" });
  expect(kernel.send(ask.getattr().opcode, 1, ask.getattr().parts)?.errno).toBe(19);
  session.end();
  expect(e2fsckSays(bytes)).toEqual([]);
});

test("what is mounted below is busy while the kernel has a file of it", () => {
  const environment = seededEnvironment(3);
  const [above, below] = [new RamMedia(2 ** 22), new RamMedia(2 ** 22)];
  for (const media of [above, below]) makeVolume(media, { environment });
  const volume = openVolume(above, { write: true, environment });
  const other = openVolume(below, { write: true, environment });
  const session = new FuseSession(volume.tree);
  const kernel = new FuseClient(session);
  kernel.init();
  did(kernel, 1, ask.mkdir("m"));
  volume.tree.mount("/m", other.tree.root.inode.filesystem);
  const root = nodeOf(did(kernel, 1, ask.lookup("m")));
  const file = nodeOf(did(kernel, root, ask.create("f")));
  did(kernel, root, ask.unlink("f"));
  expect(codeOf(() => volume.tree.unmount("/m"))).toBe("EBUSY");
  volume.tree.unmount("/m", { revoke: true });
  for (const node of [root, file]) {
    expect(kernel.send(ask.getattr().opcode, node, ask.getattr().parts)?.errno).toBe(116);
  }
  did(kernel, 1, ask.lookup("m"));
  session.end();
  volume.close();
});
