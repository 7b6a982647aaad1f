/** Mounts with delayed allocation, and with a commit behind each step. */
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { Prng } from "../../src/lib/prng.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { type VolumeFs, makeFacade } from "../../src/node/facade/facade.ts";
import { emptyImage } from "../support/ext-cut-work.ts";

const KINDS = {
  ext4: { type: "ext4", blockSize: 4096 },
  "ext4 with inline data": { type: "ext4", blockSize: 1024, features: "inline_data" },
  ext2: { type: "ext2", blockSize: 1024 },
} as const;
const delalloc = { delalloc: true } as const;

interface Rig {
  readonly fs: VolumeFs;
  readonly tree: FileTree;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

function rig(kind: keyof typeof KINDS, options: object = delalloc, megabytes = 4): Rig {
  const bytes = emptyImage(KINDS[kind], megabytes);
  const disk = new RamDisk({ name: "ram0", bytes });
  const tree = new FileTree(ext.mount(disk, { write: true, ...options }, seededEnvironment(1)));
  return { fs: makeFacade(tree).fs, tree, bytes };
}

/** What a power cut leaves now, everything having arrived. */
function after({ bytes }: Rig): VolumeFs {
  const disk = new RamDisk({ name: "ram1", bytes: bytes.slice() });
  ext.mount(disk, { write: true }, seededEnvironment(1)).unmount();
  expect([...ext.check(disk, seededEnvironment(1))]).toEqual([]);
  return makeFacade(new FileTree(ext.mount(disk, {}, seededEnvironment(1)))).fs;
}

const text = (fs: VolumeFs, path: string) =>
  fs.existsSync(path) ? fs.readFileSync(path, "utf8") : undefined;
const commitOf = ({ fs }: Rig) => fs.writeFileSync("/sync", "x", { flush: true });
const LONG = "young ".repeat(1000);

describe("contents that wait for blocks", () => {
  test("are not waited for by a commit: the file is there, and empty", () => {
    const volume = rig("ext4");
    volume.fs.writeFileSync("/f", LONG);
    volume.fs.renameSync("/f", "/g");
    commitOf(volume);
    expect(text(after(volume), "/g")).toBe("");
    expect(volume.fs.statSync("/g").size).toBe(6000);
    expect(text(volume.fs, "/g")).toBe(LONG);
  });

  test.each([
    ["fsync", ({ fs }: Rig) => fs.fsyncSync(fs.openSync("/f", "r"))],
    ["sync", ({ tree }: Rig) => tree.sync()],
    ["a tick, and a commit", (v: Rig) => [v.tree.mounts.root.filesystem.tick?.(), commitOf(v)]],
    ["a list of extents", (v: Rig) => [v.tree.open("/f").seek(0, "hole"), commitOf(v)]],
    ["more than that", (v: Rig) => [v.fs.truncateSync("/f", 7000), commitOf(v)]],
  ] as const)("are durable with %s", (_, durable) => {
    const volume = rig("ext4");
    volume.fs.writeFileSync("/f", LONG);
    durable(volume);
    expect(text(after(volume), "/f")?.slice(0, 6000)).toBe(LONG);
  });

  test("stay there when they are read", () => {
    const volume = rig("ext4");
    volume.fs.writeFileSync("/f", LONG);
    expect(text(volume.fs, "/f")).toBe(LONG);
    commitOf(volume);
    expect(text(after(volume), "/f")).toBe("");
  });

  test("are written out when the file takes another one's name, or is cut and closed", () => {
    const volume = rig("ext4");
    for (const name of ["a", "b"]) volume.fs.writeFileSync(`/${name}`, "old", { flush: true });
    volume.fs.writeFileSync("/a.new", LONG);
    volume.fs.renameSync("/a.new", "/a");
    volume.fs.writeFileSync("/b", LONG);
    const open = volume.fs.openSync("/c", "w");
    volume.fs.writeSync(open, LONG);
    commitOf(volume);
    const left = after(volume);
    expect(["/a", "/b", "/c"].map((path) => text(left, path))).toEqual([LONG, LONG, ""]);
  });

  test("with dioread_nolock have blocks then, and NULs there until the file is synced", () => {
    const volume = rig("ext4", { ...delalloc, dioreadNolock: true });
    for (const name of ["a", "b"]) volume.fs.writeFileSync(`/${name}`, "old", { flush: true });
    volume.fs.writeFileSync("/a.new", LONG);
    volume.fs.renameSync("/a.new", "/a");
    volume.fs.writeFileSync("/b", LONG);
    commitOf(volume);
    const early = after(volume);
    for (const path of ["/a", "/b"]) {
      expect(text(early, path)).toBe("\0".repeat(LONG.length));
      expect(text(volume.fs, path)).toBe(LONG);
    }
    volume.fs.appendFileSync("/a", "more", { flush: true });
    volume.tree.sync();
    const late = after(volume);
    expect(["/a", "/b"].map((path) => text(late, path))).toEqual([`${LONG}more`, LONG]);
  });

  test("with dioread_nolock are written out where there are block maps, which know no NULs", () => {
    const volume = rig("ext2", { ...delalloc, dioreadNolock: true });
    volume.fs.writeFileSync("/a", "old", { flush: true });
    volume.fs.writeFileSync("/a.new", LONG);
    volume.fs.renameSync("/a.new", "/a");
    commitOf(volume);
    expect(text(after(volume), "/a")).toBe(LONG);
  });

  test("of a file that was deleted need no room", () => {
    const volume = rig("ext4");
    const free = volume.fs.statfsSync("/").bfree;
    volume.fs.writeFileSync("/f", LONG);
    volume.fs.unlinkSync("/f");
    volume.tree.sync();
    expect(volume.fs.statfsSync("/").bfree).toBe(free);
    after(volume);
  });

  test("find their room: a full disk is told to who writes", () => {
    const volume = rig("ext4");
    const piece = new Uint8Array(100_000).fill(7);
    let files = 0;
    expect(() => {
      for (; ; files++) volume.fs.writeFileSync(`/f${files}`, piece);
    }).toThrow(/ENOSPC/u);
    volume.tree.sync();
    const left = after(volume);
    for (let i = 0; i < files; i++) expect(left.statSync(`/f${i}`).size).toBe(100_000);
  });

  test.each(Object.keys(KINDS) as (keyof typeof KINDS)[])(
    "are what is read, whatever is done: %s",
    (kind) => {
      const volumes = [rig(kind), rig(kind, {}), rig(kind, { ...delalloc, commitSteps: true })];
      const told = volumes.map(({ fs }) => stream(fs, new Prng(4)));
      expect(told[0]).toEqual(told[1]);
      expect(told[2]).toEqual(told[1]);
      for (const volume of volumes) {
        volume.tree.sync();
        expect(everything(after(volume))).toEqual(everything(volumes[1]!.fs));
      }
    },
  );
});

const write = ({ fs }: Rig, path: string, bytes: string, at: number) => {
  const fd = fs.openSync(path, "r+");
  fs.writeSync(fd, bytes, at);
  fs.closeSync(fd);
};

describe("contents that have blocks", () => {
  const old = "o".repeat(100);
  /** Disks have no dax: what is written to blocks that are there may wait. */
  const synced = (options: object = delalloc): Rig => {
    const volume = rig("ext4", options);
    volume.fs.writeFileSync("/f", old);
    volume.fs.writeFileSync("/pages", "p".repeat(20_000));
    volume.tree.sync();
    return volume;
  };

  test("wait as well: the sync of another file says nothing of them", () => {
    const volume = synced();
    write(volume, "/f", "new", 10);
    commitOf(volume);
    expect(text(volume.fs, "/f")).toBe(`${old.slice(0, 10)}new${old.slice(13)}`);
    expect(text(after(volume), "/f")).toBe(old);
  });

  test("without delalloc they are where they belong", () => {
    const volume = synced({});
    write(volume, "/f", "new", 10);
    commitOf(volume);
    expect(text(after(volume), "/f")).toBe(`${old.slice(0, 10)}new${old.slice(13)}`);
  });

  test("are zeros in the last block of a file that has grown within it", () => {
    const volume = synced();
    volume.fs.appendFileSync("/f", "a".repeat(50));
    commitOf(volume);
    expect(text(after(volume), "/f")).toBe(old + "\0".repeat(50));
    volume.fs.fsyncSync(volume.fs.openSync("/f", "r"));
    expect(text(after(volume), "/f")).toBe(old + "a".repeat(50));
  });

  test("give the size of that block, and the next one waits", () => {
    const volume = synced();
    volume.fs.appendFileSync("/f", "a".repeat(5000));
    commitOf(volume);
    expect(text(after(volume), "/f")).toBe(old + "\0".repeat(3996));
    expect(text(volume.fs, "/f")).toBe(old + "a".repeat(5000));
  });

  test.each([
    ["fsync", ({ fs }: Rig) => fs.fsyncSync(fs.openSync("/pages", "r"))],
    ["fdatasync", ({ fs }: Rig) => fs.fdatasyncSync(fs.openSync("/pages", "r"))],
    ["sync", ({ tree }: Rig) => tree.sync()],
    ["a tick, and a commit", (v: Rig) => [v.tree.mounts.root.filesystem.tick?.(), commitOf(v)]],
    ["unmounting", ({ tree }: Rig) => tree.mounts.root.filesystem.unmount()],
  ] as const)("are durable with %s", (_, durable) => {
    const volume = synced();
    for (const at of [0, 4090, 12_288]) write(volume, "/pages", "NEW!", at);
    durable(volume);
    const found = text(after(volume), "/pages") ?? "";
    expect([0, 4090, 12_288].map((at) => found.slice(at, at + 5))).toEqual(
      Array.from({ length: 3 }, () => "NEW!p"),
    );
  });

  test("are not, by the name of another file: that asks for blocks only", () => {
    const volume = synced();
    write(volume, "/f", "new", 0);
    volume.fs.renameSync("/f", "/pages");
    commitOf(volume);
    expect(text(after(volume), "/pages")).toBe(old);
  });

  test("go with what is cut off; the block at the new end is written, others wait", () => {
    const volume = synced();
    for (const at of [0, 8192, 16_384]) write(volume, "/pages", "NEW!", at);
    volume.fs.truncateSync("/pages", 8200);
    commitOf(volume);
    const left = text(after(volume), "/pages") ?? "";
    expect([left.length, left.slice(0, 4), left.slice(8190)]).toEqual([8200, "pppp", "ppNEW!pppp"]);
    volume.fs.truncateSync("/pages", 20_000);
    volume.tree.sync();
    const whole = text(after(volume), "/pages") ?? "";
    expect([whole.slice(0, 4), whole.slice(8190, 8202)]).toEqual(["NEW!", "ppNEW!pppp\0\0"]);
    expect(whole.slice(8200)).toBe("\0".repeat(11_800));
  });

  test("are dropped with the file, and by a cut to nothing", () => {
    const volume = synced();
    write(volume, "/f", "new", 0);
    write(volume, "/pages", "new", 0);
    volume.fs.truncateSync("/f", 0);
    volume.fs.unlinkSync("/pages");
    volume.tree.sync();
    const left = after(volume);
    expect([text(left, "/f"), text(left, "/pages")]).toEqual(["", undefined]);
  });

  test("stay when a cut is refused", () => {
    const volume = synced();
    write(volume, "/f", "new", 0);
    expect(() => volume.fs.truncateSync("/f", Number.MAX_SAFE_INTEGER)).toThrow(/EFBIG/u);
    expect(text(volume.fs, "/f")?.slice(0, 3)).toBe("new");
  });

  test("are written out when there are too many of them", () => {
    const volume = rig("ext4", delalloc, 48);
    const { fs } = volume;
    fs.writeFileSync("/big", Buffer.alloc(34 << 20, 1));
    volume.tree.sync();
    const fd = fs.openSync("/big", "r+");
    const piece = Buffer.alloc(1 << 20, 2);
    for (let i = 0; i < 34; i++) fs.writeSync(fd, piece, 0, piece.length, i << 20);
    commitOf(volume);
    const left = after(volume).readFileSync("/big");
    expect(left[0]).toBe(2);
    expect(left.at(-1)).toBe(1);
    expect(fs.readFileSync("/big").equals(Buffer.alloc(34 << 20, 2))).toBe(true);
  });
});

test("with a commit behind each step everything is there but what waits for nobody", () => {
  const volume = rig("ext4", { commitSteps: true });
  volume.fs.mkdirSync("/d");
  volume.fs.writeFileSync("/d/f", LONG);
  volume.fs.linkSync("/d/f", "/d/g");
  expect(text(after(volume), "/d/g")).toBe(LONG);
});

/** Calls on six files, some open, and what each answered. */
function stream(fs: VolumeFs, prng: Prng): unknown[] {
  const told: unknown[] = [];
  const name = () => `/f${prng.below(6)}`;
  const some = () => Buffer.alloc(1 + prng.below(9000), prng.below(256));
  const calls: (() => unknown)[] = [
    () => fs.writeFileSync(name(), some()),
    () => fs.appendFileSync(name(), some()),
    () => text(fs, name()),
    () => fs.statSync(name()).size,
    () => fs.renameSync(name(), name()),
    () => fs.unlinkSync(name()),
    () => fs.linkSync(name(), name()),
    () => fs.truncateSync(name(), prng.below(12_000)),
    () => fs.copyFileSync(name(), name()),
    () => {
      const fd = fs.openSync(name(), "r+");
      const bytes = some();
      fs.writeSync(fd, bytes, 0, bytes.length, prng.below(20_000));
      if (prng.below(4) === 0) fs.fsyncSync(fd);
      fs.closeSync(fd);
    },
  ];
  for (let i = 0; i < 400; i++) {
    const call = prng.pick(calls);
    try {
      told.push(call());
    } catch (error) {
      told.push((error as NodeJS.ErrnoException).code);
    }
  }
  return told;
}

function everything(fs: VolumeFs): unknown[] {
  const names = fs.readdirSync("/").filter((name) => name !== "lost+found");
  return names.toSorted().map((name) => [name, fs.readFileSync(`/${name}`, "latin1")]);
}
