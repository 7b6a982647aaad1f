/** What calls promise without a journal: of a tree, `volume.fs`, mappings, a kernel by FUSE. */
import { FuseSession } from "../../../src/fuse/session.ts";
import { makeFacade } from "../../../src/node/facade/facade.ts";
import { fill } from "../../../src/node/fill.ts";
import type { OpenFile } from "../../../src/vfs/open-file.ts";
import { flushRange } from "../../../src/vfs/mapped-pages.ts";
import { noise } from "../bytes.ts";
import { FuseClient } from "../fuse-client.ts";
import { ask, did, nodeOf } from "../fuse-requests.ts";
import { archive, file as member } from "../tar-archives.ts";
import type { Story } from "./story.ts";
import { EXT2, type Ground, type World, brokenTree } from "./tree-check.ts";

const PAGE = 4096;
const BYTES = noise(3, 200);
const OLD = noise(1, 8 * PAGE);

/** A page is a block: so files can be mapped. */
const PAGED: Ground = {
  make: { type: "ext2", blockSize: PAGE, inodes: 16 },
  megabytes: 1,
  prepare: (tree) => {
    const file = tree.open("/f", { create: true, access: "write" });
    file.write(OLD);
    file.close();
  },
};

/** The same, where a sync writes what belongs to its file. */
const OWN: Ground = { ...PAGED, mount: { ownSyncs: true } };

/** Extents without a journal, where a file has pages to which nothing was written. */
const UNWRITTEN: Ground = {
  make: { type: "ext4", blockSize: PAGE, inodes: 16, features: "^has_journal,^metadata_csum" },
  megabytes: 1,
  stale: true,
  prepare: (tree) => {
    const file = tree.open("/g", { create: true, access: "write" });
    file.fallocate("allocate", 0, 2 * PAGE);
    file.close();
  },
  never: (tree) => {
    const found = new Uint8Array(2 * PAGE);
    tree.open("/g").pread(found, 0);
    found.fill(0, 100, 100 + BYTES.length);
    return found.some((byte) => byte !== 0) ? "/g shows what was there before" : undefined;
  },
};

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

const calls: readonly Story[] = [
  story("file: O_SYNC", EXT2, (world) => {
    written(world, "all");
    world.promise(bytes("/f"));
  }),
  story("file: fsync", EXT2, (world) => {
    written(world).sync();
    world.promise(bytes("/f"));
  }),
  story("file: fsync of what belongs to it", OWN, (world) => {
    const file = world.tree.open("/f", { access: "readwrite" });
    file.pwrite(BYTES, OLD.length);
    file.sync();
    world.promise(bytes("/f", OLD.length));
  }),
  story("file: fdatasync of an overwrite", PAGED, (world) => {
    const file = world.tree.open("/f", { access: "readwrite" });
    file.pwrite(BYTES, 10);
    file.sync("data");
    world.promise(bytes("/f", 10));
  }),
  story("file: sync of all, an overwrite within a tick of the clock", PAGED, (world) => {
    const file = world.tree.open("/f", { access: "readwrite" });
    file.pwrite(OLD.subarray(0, 9), 10);
    file.sync();
    file.pwrite(BYTES, 10);
    world.tree.sync();
    world.promise(bytes("/f", 10));
  }),
  story("file: sync of all", EXT2, (world) => {
    written(world);
    world.tree.sync();
    world.promise(bytes("/f"));
  }),
  story("file: syncfs", EXT2, (world) => {
    written(world);
    world.tree.sync("/f");
    world.promise(bytes("/f"));
  }),
];

/** Stores that nobody sees, to pages of which the filesystem has nothing else to write. */
const behindRawDoor = (
  name: string,
  sync: (world: Pick<World, "tree"> & { readonly file: OpenFile }) => void,
): Story =>
  story(`mapping: the raw door and ${name}`, PAGED, ({ tree, promise, media }) => {
    const file = tree.open("/f", { access: "readwrite" });
    const mapping = file.map({ access: "write" });
    const [extent] = file.extents();
    const at = extent?.addr ?? 0;
    if (mapping.bytes.length === 0) throw new Error("nothing is mapped");
    tree.sync();
    media.window(at).memory.setUint8(at + 7, 77);
    sync({ tree, file });
    promise(bytes("/f", 7, Uint8Array.of(77)));
  });

const mappings: readonly Story[] = [
  story("mapping: flush", PAGED, ({ tree, promise }) => {
    const mapping = tree.open("/f", { access: "readwrite" }).map({ access: "write" });
    mapping.copyIn(PAGE - 50, BYTES);
    mapping.flush();
    promise(bytes("/f", PAGE - 50));
  }),
  story("mapping: flush of a hole", EXT2, (world) => {
    const file = world.tree.open("/f", { create: true, access: "readwrite" });
    file.truncate(3 * PAGE);
    if (file.inode.size === 0) throw new Error("not grown");
    world.promise();
  }),
  story("mapping: flush of new pages", PAGED, ({ tree, promise }) => {
    const file = tree.open("/g", { create: true, access: "readwrite" });
    file.truncate(2 * PAGE);
    const mapping = file.map({ access: "write" });
    mapping.copyIn(100, BYTES);
    mapping.flush();
    promise(bytes("/g", 100));
  }),
  story("mapping: MAP_SYNC", PAGED, ({ tree, promise }) => {
    const file = tree.open("/g", { create: true, access: "readwrite" });
    file.truncate(2 * PAGE);
    const mapping = file.map({ access: "write", sync: true });
    mapping.copyIn(100, BYTES);
    mapping.flush(100, BYTES.length);
    promise(bytes("/g", 100));
  }),
  story("mapping: pages to which nothing was written", UNWRITTEN, ({ tree, promise }) => {
    const mapping = tree.open("/g", { access: "readwrite" }).map({ access: "write" });
    mapping.copyIn(100, BYTES);
    mapping.flush();
    promise(bytes("/g", 100));
  }),
  story("mapping: MAP_SYNC, and a program's own flush", PAGED, ({ tree, promise, media }) => {
    const file = tree.open("/g", { create: true, access: "readwrite" });
    file.truncate(2 * PAGE);
    file.map({ access: "write", sync: true }).copyIn(100, BYTES);
    const [extent] = file.extents();
    // Instructions of the program, which no driver sees.
    media.trace.flushed((extent?.addr ?? 0) + 100, BYTES.length);
    media.trace.fenced();
    promise(bytes("/g", 100));
  }),
  story("mapping: MAP_SYNC, page by page", PAGED, ({ tree, promise, media }) => {
    const file = tree.open("/g", { create: true, access: "readwrite" });
    file.truncate(2 * PAGE);
    file.map({ access: "write", sync: true, lazy: true }).copyIn(100, BYTES);
    const [extent] = file.extents();
    media.trace.flushed((extent?.addr ?? 0) + 100, BYTES.length);
    media.trace.fenced();
    promise(bytes("/g", 100));
  }),
  story("mapping: msync, page by page", PAGED, ({ tree, promise }) => {
    const file = tree.open("/g", { create: true, access: "readwrite" });
    file.truncate(4 * PAGE);
    const mapping = file.map({ access: "write", lazy: true });
    mapping.copyIn(PAGE + 100, BYTES);
    mapping.flush();
    promise(bytes("/g", PAGE + 100));
    mapping.copyIn(PAGE + 1000, OLD.subarray(0, 9));
    mapping.flush(PAGE, PAGE);
    promise(bytes("/g", PAGE + 100), bytes("/g", PAGE + 1000, OLD.subarray(0, 9)));
  }),
  story("mapping: MAP_SYNC, new pages and the raw door", PAGED, ({ tree, promise, media }) => {
    const file = tree.open("/g", { create: true, access: "readwrite" });
    file.truncate(2 * PAGE);
    const mapping = file.map({ access: "write", sync: true });
    if (mapping.bytes.length === 0) throw new Error("nothing is mapped");
    const at = [...file.extents()][0]?.addr ?? 0;
    media.window(at).memory.setUint8(at + 7, 77);
    media.trace.flushed(at + 7, 1);
    media.trace.fenced();
    promise(bytes("/g", 7, Uint8Array.of(77)));
  }),
  story("mapping: the raw door, unmapped", PAGED, ({ tree, promise, media }) => {
    const file = tree.open("/f", { access: "readwrite" });
    const mapping = file.map({ access: "write" });
    const at = [...file.extents()][0]?.addr ?? 0;
    if (mapping.bytes.length === 0) throw new Error("nothing is mapped");
    tree.sync();
    media.window(at).memory.setUint8(at + 7, 77);
    mapping.unmap();
    promise(bytes("/f", 7, Uint8Array.of(77)));
  }),
  story("mapping: MAP_SYNC and the raw door, of clean pages", PAGED, ({ tree, promise, media }) => {
    const file = tree.open("/f", { access: "readwrite" });
    const mapping = file.map({ access: "write", sync: true });
    const at = [...file.extents()][0]?.addr ?? 0;
    if (mapping.bytes.length === 0) throw new Error("nothing is mapped");
    tree.sync();
    media.window(at).memory.setUint8(at + 9, 79);
    mapping.flush(0, PAGE);
    promise(bytes("/f", 9, Uint8Array.of(79)));
  }),
  story("mapping: stored to, and a punch beside it", PAGED, ({ tree, promise }) => {
    const file = tree.open("/f", { access: "readwrite" });
    const mapping = file.map({ access: "write" });
    mapping.copyIn(PAGE - 50, BYTES.subarray(0, 50));
    mapping.copyIn(2 * PAGE, BYTES);
    file.truncate(2 * PAGE + BYTES.length);
    mapping.unmap();
    file.sync();
    promise(bytes("/f", PAGE - 50, BYTES.subarray(0, 50)), bytes("/f", 2 * PAGE));
  }),
  story("mapping: MAP_SYNC and the raw door", PAGED, ({ tree, promise, media }) => {
    const file = tree.open("/f", { access: "readwrite" });
    const mapping = file.map({ access: "write", sync: true });
    const [extent] = file.extents();
    const at = extent?.addr ?? 0;
    if (mapping.bytes.length === 0) throw new Error("nothing is mapped");
    media.window(at).memory.setUint8(at + 7, 77);
    mapping.flush();
    promise(bytes("/f", 7, Uint8Array.of(77)));
  }),
  story("mapping: the raw door", PAGED, ({ tree, promise, media }) => {
    const file = tree.open("/f", { access: "readwrite" });
    const mapping = file.map({ access: "write" });
    const [extent] = file.extents();
    const at = extent?.addr ?? 0;
    if (mapping.bytes.length === 0) throw new Error("nothing is mapped");
    // As a store through the array would be, and seen.
    media.window(at).memory.setUint8(at + 7, 77);
    mapping.flush();
    promise(bytes("/f", 7, Uint8Array.of(77)));
  }),
  story("mapping: MAP_SYNC of pages to which nothing was written", UNWRITTEN, (world) => {
    const file = world.tree.open("/g", { access: "readwrite" });
    file.map({ access: "write", sync: true }).copyIn(100, BYTES);
    world.promise();
  }),
  behindRawDoor("fdatasync", ({ file }) => file.sync("data")),
  behindRawDoor("sync of all", ({ tree }) => tree.sync()),
  behindRawDoor("fdatasync through fuse", ({ tree }) => {
    const kernel = new FuseClient(new FuseSession(tree));
    kernel.init();
    did(kernel, nodeOf(did(kernel, 1, ask.lookup("f"))), ask.fsync(true));
  }),
  story("mapping: fdatasync", PAGED, ({ tree, promise }) => {
    const file = tree.open("/f", { access: "readwrite" });
    file.map({ access: "write" }).copyIn(2 * PAGE, BYTES);
    file.sync("data");
    promise(bytes("/f", 2 * PAGE));
  }),
  story("mapping: unmapped, and then fsync", PAGED, ({ tree, promise }) => {
    const file = tree.open("/f", { access: "readwrite" });
    const mapping = file.map({ access: "write" });
    mapping.copyIn(3 * PAGE, BYTES);
    mapping.unmap();
    file.sync();
    promise(bytes("/f", 3 * PAGE));
  }),
  story("mapping: syncfs", PAGED, ({ tree, promise }) => {
    const file = tree.open("/f", { access: "readwrite" });
    file.pwrite(BYTES, 10);
    file.map({ access: "write" }).copyIn(10 + BYTES.length, BYTES);
    file.mount.sync();
    promise(bytes("/f", 10), bytes("/f", 10 + BYTES.length));
  }),
  story("mapping: flush of a view", PAGED, ({ tree, promise, media }) => {
    const file = tree.open("/f", { access: "readwrite" });
    const [extent] = file.extents();
    const at = extent?.addr ?? 0;
    media.window(at).memory.setUint8(at + 9, 78);
    flushRange(file.inode, 0, PAGE);
    promise(bytes("/f", 9, Uint8Array.of(78)));
  }),
];

/** `/f` through the operations of `volume.fs`. */
const facade: readonly Story[] = [
  story("fs: writeFile with flush", EXT2, ({ tree, promise }) => {
    makeFacade(tree).fs.writeFileSync("/f", BYTES, { flush: true });
    promise(bytes("/f"));
  }),
  story("fs: writeFile of pieces with flush", EXT2, async ({ tree, promise }) => {
    const pieces = [BYTES.subarray(0, 90), BYTES.subarray(90)];
    await makeFacade(tree).fs.promises.writeFile("/f", pieces as never, { flush: true });
    promise(bytes("/f"));
  }),
  story("fs: fsync", EXT2, ({ tree, promise }) => {
    const { fs } = makeFacade(tree);
    const fd = fs.openSync("/f", "w");
    fs.writeSync(fd, BYTES);
    fs.fsyncSync(fd);
    promise(bytes("/f"));
  }),
  story("fill: an archive", EXT2, async ({ tree, promise }) => {
    await fill({ tree }, [archive(member("f", BYTES))]);
    promise(bytes("/f"));
  }),
  story("fill: an archive that is cut off", EXT2, async ({ tree, promise }) => {
    const tar = archive(member("f", BYTES), member("g", noise(4, 3000)));
    const cut = tar.subarray(0, 512 + 512 + 512 + 1024);
    await fill({ tree }, [cut]).catch(() => undefined);
    promise(bytes("/f"));
  }),
];

type Asked = (kernel: FuseClient, node: number) => void;

const fuse = (name: string, asked: Asked, flags = 2): Story =>
  story(`fuse: ${name}`, EXT2, ({ tree, promise }) => {
    const kernel = new FuseClient(new FuseSession(tree));
    kernel.init();
    const node = nodeOf(did(kernel, 1, ask.create("f")));
    did(kernel, node, ask.write(node, 0, BYTES, 0, flags));
    asked(kernel, node);
    promise(bytes("/f"));
  });

const kernels: readonly Story[] = [
  fuse("fsync", (kernel, node) => void did(kernel, node, ask.fsync())),
  fuse("fdatasync", (kernel, node) => void did(kernel, node, ask.fsync(true))),
  fuse("syncfs", (kernel) => void did(kernel, 1, ask.syncfs())),
  fuse("O_DSYNC", () => {}, 0o10002),
  fuse("O_SYNC", () => {}, 0o4010002),
  story("fuse: fsyncdir", EXT2, ({ tree, promise }) => {
    const kernel = new FuseClient(new FuseSession(tree));
    kernel.init();
    did(kernel, 1, ask.mkdir("d"));
    did(kernel, 1, ask.fsyncdir());
    promise({ path: "/d", is: "directory" });
  }),
  story("fuse: fsync of what was mapped beside it", PAGED, ({ tree, promise }) => {
    const mapping = tree.open("/f", { access: "readwrite" }).map({ access: "write" });
    // What the mapping has changed of the inode is durable, so that only bytes remain.
    mapping.copyIn(0, BYTES);
    tree.sync();
    const kernel = new FuseClient(new FuseSession(tree));
    kernel.init();
    mapping.copyIn(PAGE, BYTES);
    did(kernel, nodeOf(did(kernel, 1, ask.lookup("f"))), ask.fsync(true));
    promise(bytes("/f", PAGE));
  }),
];

export const stories: readonly Story[] = [...calls, ...mappings, ...facade, ...kernels];
