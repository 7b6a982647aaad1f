/**
 * Freezing: from the moment at which it has returned until thaw, the media does not change by one
 * bit, whatever anybody does by whatever door.
 */
import { describe, expect, test } from "vitest";
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { type Freezing, freezeFilesystem } from "../../src/vfs/freezing.ts";
import { daxTree } from "../support/dax-mounted.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { type Stormy, nameFiles, storm, stormy } from "../support/freeze-storm.ts";
import { codeOf as code } from "../support/bytes.ts";

const KINDS = {
  ext2: { type: "ext2" },
  ext3: { type: "ext3" },
  ext4: { type: "ext4" },
  "ext4, 1k": { type: "ext4", blockSize: 1024 },
  "ext4, orphan file": { type: "ext4", features: "orphan_file" },
  "ext4, no journal": { type: "ext4", features: "^has_journal" },
} as const;
const PAGE = 4096;
/** What changes nothing, and so goes on. */
const GOES_ON = new Set(["read", "load", "list", "msync", "fsync", "sync", "tick"]);

function mounted(kind: keyof typeof KINDS) {
  const { tree, disk } = daxTree(emptyImage({ blockSize: 4096, ...KINDS[kind] }));
  const { freezing } = tree.mounts.root.filesystem;
  return { ...stormy(tree), disk, freezing: freezing as Freezing };
}

const namesIn = (tree: FileTree) => [...tree.readdir("/")].map(({ name }) => name);
const copy = ({ bytes }: { bytes: Uint8Array }) => Buffer.from(bytes);

function end({ tree, file, mapping, nameless }: Stormy): void {
  mapping.unmap();
  file.close();
  if (!nameless.closed) nameless.close();
  tree.close();
}

describe.each(Object.keys(KINDS) as (keyof typeof KINDS)[])("%s", (kind) => {
  test("[1.15][1.16][2.76] the media does not change by one bit while it is frozen", () => {
    const all = mounted(kind);
    storm(all, 1);
    nameFiles(all.tree);
    all.freezing.freeze();
    const before = copy(all.disk);
    for (let seed = 2; seed < 22; seed++) {
      for (const [door, outcome] of storm(all, seed)) {
        expect([door, outcome]).toEqual([door, GOES_ON.has(door) ? "done" : "EAGAIN"]);
      }
    }
    all.nameless.close();
    expect(before.equals(all.disk.bytes)).toBe(true);
    all.freezing.thaw();
    expect(storm(all, 22).filter(([, outcome]) => outcome === "EAGAIN")).toEqual([]);
    end(all);
    expect([...ext.check(all.disk.disk, seededEnvironment(1))]).toEqual([]);
  });

  test("what is frozen is whole: it can be checked, mounted and read as it is", () => {
    const all = mounted(kind);
    storm(all, 1);
    all.nameless.close();
    all.mapping.setUint32(8, 0x1234_5678);
    all.freezing.freeze();
    const image = new RamDisk({ name: "copy", bytes: copy(all.disk) });
    expect([...ext.check(image, seededEnvironment(1))]).toEqual([]);
    const other = new FileTree(ext.mount(image, {}, seededEnvironment(1)));
    expect(namesIn(other)).toEqual(namesIn(all.tree));
    const word = new Uint8Array(4);
    other.open("/mapped").pread(word, 8);
    expect([...word]).toEqual([0x12, 0x34, 0x56, 0x78]);
    all.freezing.thaw();
    end(all);
  });

  test("a tree that is closed while it is frozen leaves the image as it was", () => {
    const all = mounted(kind);
    all.freezing.freeze();
    const before = copy(all.disk);
    end(all);
    expect(before.equals(all.disk.bytes)).toBe(true);
    const again = new FileTree(ext.mount(all.disk.disk, { write: true }, seededEnvironment(2)));
    again.close();
    expect([...ext.check(all.disk.disk, seededEnvironment(1))]).toEqual([]);
  });
});

test("a user freezes once, devices nest, and the last thaw lets it go on", () => {
  const all = mounted("ext4");
  const { freezing } = all;
  const write = () => code(() => all.file.pwrite(new Uint8Array(1), 0));
  expect(code(() => freezing.thaw())).toBe("EINVAL");
  freezing.freeze();
  expect(code(() => freezing.freeze())).toBe("EBUSY");
  freezing.freeze({ by: "device" });
  freezing.freeze({ by: "device" });
  freezing.thaw();
  expect(code(() => freezing.thaw())).toBe("EINVAL");
  freezing.thaw("device");
  expect(write()).toBe("EAGAIN");
  freezing.thaw("device");
  expect(code(() => freezing.thaw("device"))).toBe("EINVAL");
  expect(write()).toBeUndefined();
  end(all);
});

test("who waits goes on when somebody thaws it meanwhile", () => {
  const all = mounted("ext4");
  const waited: string[] = [];
  all.freezing.whenFrozen = (syscall) => {
    waited.push(syscall);
    if (waited.length > 1) all.freezing.thaw();
  };
  all.freezing.freeze();
  expect(code(() => all.mapping.setUint8(0, 1))).toBe("EAGAIN");
  all.tree.mkdir("/waited");
  expect(waited).toEqual(["store", "write"]);
  expect(namesIn(all.tree)).toContain("waited");
  end(all);
});

test("[1.23] memory that was handed out cannot be frozen, but if it can be detached", () => {
  const all = mounted("ext4");
  const { bytes } = all.mapping;
  bytes[0] = 1;
  expect(code(() => all.freezing.freeze())).toBe("EBUSY");
  expect(all.freezing.frozen).toBe(false);
  all.mapping.unmap();
  all.file.view(0, 10);
  expect(code(() => all.freezing.freeze())).toBe("EBUSY");
  const other = all.tree.open("/mapped", { access: "readwrite" });
  all.file.close();
  const mapping = other.map({ access: "write", revocable: true });
  const detachable = mapping.bytes;
  all.freezing.freeze();
  expect(detachable.length).toBe(0);
  expect(code(() => mapping.bytes)).toBe("EAGAIN");
  expect(mapping.getUint8(1)).toBeTypeOf("number");
  all.freezing.thaw();
  expect(mapping.bytes.length).toBe(mapping.length);
  mapping.unmap();
  other.close();
  all.nameless.close();
  all.tree.close();
});

test("[1.17] what freezing costs follows from what is dirty, not from what is mapped", () => {
  const { tree, disk } = daxTree(emptyImage({ type: "ext4", blockSize: PAGE }, 32));
  const file = tree.open("/f", { create: true, access: "readwrite" });
  file.write(new Uint8Array(16 << 20));
  const mapping = file.map({ access: "write" });
  tree.sync();
  for (let page = 0; page < 10; page++) mapping.setUint8(page * 99 * PAGE, 7);
  const before = disk.device.counters.flushedLines;
  freezeFilesystem(tree.mounts.root.filesystem);
  // Ten pages of the 4096 that are mapped; metadata goes by requests, which are not counted here.
  expect(disk.device.counters.flushedLines - before).toBe(10 * (PAGE / 64));
  tree.close({ revoke: true });
});

test("a filesystem that was mounted for reading stands still as it is", () => {
  const { tree } = daxTree(emptyImage({ type: "ext4" }));
  tree.close();
  const disk = new RamDisk({ name: "ram0", bytes: emptyImage({ type: "ext4" }) });
  const filesystem = ext.mount(disk, {}, seededEnvironment(1));
  freezeFilesystem(filesystem);
  expect(filesystem.freezing?.frozen).toBe(true);
});
