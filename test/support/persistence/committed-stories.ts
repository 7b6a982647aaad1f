/** What calls of a program promise on a filesystem with a journal. */
import { EXT4_DIRSYNC_FL, EXT4_SYNC_FL } from "../../../src/format/ext-inode.ts";
import type { OpenFile } from "../../../src/vfs/open-file.ts";
import { noise, same } from "../bytes.ts";
import type { Story } from "./story.ts";
import { EXT4, type Ground, type World, brokenTree } from "./tree-check.ts";

const BYTES = noise(3, 200);

const story = (
  name: string,
  ground: Ground,
  workload: (world: World) => void | Promise<void>,
): Story => ({ name, run: (patience) => brokenTree(ground, workload, patience) });

const bytes = (path: string, at = 0, what = BYTES) => ({ path, bytes: what, at });

/** Makes `/f` with bytes in it. */
function written({ tree }: World, sync?: "all" | "data"): OpenFile {
  const file = tree.open("/f", { create: true, access: "readwrite", ...(sync && { sync }) });
  file.write(BYTES);
  return file;
}

function flagged({ tree, filesystem }: World, path: string, flag: number): void {
  const { writing } = tree.stat(path);
  if (writing !== undefined) writing.flags |= flag;
  filesystem.sync();
}

const calls: readonly Story[] = [
  story("file: fallocate with O_SYNC", EXT4, (world) => {
    const file = written(world, "all");
    file.fallocate("zero", 50, 100);
    world.promise(bytes("/f", 50, new Uint8Array(100)));
  }),
  story("file: fdatasync of what was appended", EXT4, (world) => {
    const file = written(world);
    file.sync();
    file.write(noise(9, 3000));
    file.sync("data");
    world.promise(bytes("/f", BYTES.length, noise(9, 3000)));
  }),
  story("file: fsync after chmod", EXT4, (world) => {
    written(world).sync();
    world.tree.chmod("/f", 0o600);
    world.tree.open("/f", { access: "write" }).sync();
    world.promise({ path: "/f", mode: 0o600 });
  }),
  story("file: chattr +S", EXT4, (world) => {
    const file = written(world);
    flagged(world, "/f", EXT4_SYNC_FL);
    file.pwrite(noise(9, 100), 20);
    world.promise(bytes("/f", 20, noise(9, 100)));
    world.promise(bytes("/f", 20, noise(9, 30)));
    world.tree.truncate("/f", 50);
    world.promise({ path: "/f", bytes: new Uint8Array(50), at: 50 });
  }),
  story("file: chattr +D", EXT4, (world) => {
    world.tree.mkdir("/d");
    flagged(world, "/d", EXT4_DIRSYNC_FL);
    world.tree.mkdir("/d/sub");
    world.promise({ path: "/d/sub", is: "directory" });
  }),
  story("file: what is old is committed by the next call", EXT4, (world) => {
    written(world);
    world.pass(60);
    world.tree.mkdir("/later");
    world.promise(bytes("/f"));
  }),
  story("file: what is old is committed by a tick", EXT4, (world) => {
    written(world);
    world.pass(60);
    world.filesystem.tick();
    world.promise(bytes("/f"));
  }),
];

const LONG = noise(6, 5000);

/** A file that was cut is the old one until the cut is durable: with all that it had. */
const cut: Ground = {
  ...EXT4,
  prepare: (tree) => {
    const file = tree.open("/f", { create: true, access: "write" });
    file.write(LONG);
    file.close();
  },
  never: (tree) => {
    const { size } = tree.stat("/f");
    const [found, wanted] = [new Uint8Array(size), LONG.slice(0, size)];
    tree.open("/f").pread(found, 0);
    if (size === 4900) wanted.fill(0, 4500);
    return same(found, wanted) ? undefined : `/f of ${size} bytes is neither old nor new`;
  },
};

const cuts: readonly Story[] = [
  story("ext4: cut, then grown at once", cut, ({ tree, promise }) => {
    tree.truncate("/f", 4500);
    tree.truncate("/f", 4900);
    tree.sync();
    promise({ path: "/f", bytes: new Uint8Array(400), at: 4500 });
  }),
  story("ext4: what was cut off is gone", cut, ({ tree, promise }) => {
    const [extent] = [...tree.open("/f").extents()].slice(-1);
    const raw = (extent?.addr ?? 0) + 4500 - (extent?.offset ?? 0);
    tree.truncate("/f", 4500);
    tree.sync();
    tree.mkdir("/d");
    tree.sync();
    promise({ raw, bytes: new Uint8Array(500) });
  }),
];

/** As much as there is room for. */
function takeAll({ tree, filesystem }: World, path: string): void {
  const file = tree.open(path, { create: true, access: "write" });
  const { bfree } = filesystem.statfs();
  // What the map of the file takes, and a directory's block.
  file.write(new Uint8Array((bfree - 40) * 1024));
  file.close();
}

/** Blocks that were freed are anybody's, once that is durable. */
const rooms: readonly Story[] = [
  story("ext4: room that was given back is there after a sync", EXT4, (world) => {
    takeAll(world, "/all");
    world.tree.unlink("/all");
    world.tree.sync();
    const file = world.tree.open("/f", { create: true, access: "write" });
    file.write(noise(5, 100_000));
    world.tree.sync();
    world.promise(bytes("/f", 0, noise(5, 100_000)));
  }),
  story("ext4: room that was given back is there for who needs it", EXT4, (world) => {
    takeAll(world, "/all");
    world.tree.sync();
    world.tree.unlink("/all");
    const file = world.tree.open("/f", { create: true, access: "write" });
    file.write(noise(5, 100_000));
    file.sync();
    world.promise(bytes("/f", 0, noise(5, 100_000)));
  }),
];

export const stories: readonly Story[] = [...calls, ...cuts, ...rooms];
