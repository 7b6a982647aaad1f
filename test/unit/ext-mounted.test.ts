/**
 * Mounts for writing: what they refuse, how they end, what they remember, and what errors do.
 */
import { describe, expect, test } from "vitest";
import type { BlockDevice } from "../../src/block/block-device.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import {
  EXT4_APPEND_FL,
  EXT4_DIRSYNC_FL,
  EXT4_IMMUTABLE_FL,
  EXT4_INDEX_FL,
  EXT4_NODUMP_FL,
} from "../../src/format/ext-inode.ts";
import { EXT4_ERROR_FS } from "../../src/format/ext-superblock.ts";
import { type ExtMountOptions, ext } from "../../src/fs/ext/ext.ts";
import type { ExtFilesystem } from "../../src/fs/ext/filesystem.ts";
import { readSuperblock } from "../../src/fs/ext/superblock.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { DaxError } from "../../src/lib/errno.ts";
import type { Filesystem } from "../../src/vfs/filesystem.ts";
import { S_IFDIR, S_IFLNK, S_IFREG } from "../../src/vfs/modes.ts";
import { codeOf } from "../support/bytes.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { ExtEditor } from "../support/ext-editor.ts";
import { mountBytes } from "../support/ext-images.ts";
import { mountToWrite, plainDirectory, plainFile, writingOf } from "../support/ext-mounted.ts";
import { complaints } from "../support/ext-writing.ts";

const EXT4 = { type: "ext4", blockSize: 1024 } as const;

function names(filesystem: Filesystem): string[] {
  const all = [...filesystem.root.readdir(0)].map(({ name }) => name);
  return all.filter((name) => !/^(?:\.\.?|lost\+found)$/u.test(name)).toSorted();
}

describe("mounting", () => {
  test.each<[string, ExtMountOptions, string]>([
    ["noload", { noload: true }, "EINVAL"],
    ["commit", { commit: -1 }, "EINVAL"],
    ["data=journal", { data: "journal" as "ordered" }, "ENOTSUP"],
    ["data", { data: "odd" as "ordered" }, "EINVAL"],
    ["errors", { errors: "odd" as "panic" }, "EINVAL"],
  ])("%s is refused with nothing written", (_, options, code) => {
    const image = emptyImage(EXT4);
    const before = image.slice();
    expect(codeOf(() => mountToWrite(image, options))).toBe(code);
    expect(Buffer.compare(image, before)).toBe(0);
  });

  test("a device that cannot be written is EROFS", () => {
    const device = new RamDisk({ name: "ram0", bytes: emptyImage(EXT4), readOnly: true });
    const mount = () => ext.mount(device, { write: true }, seededEnvironment(1));
    expect(codeOf(mount)).toBe("EROFS");
  });

  test("quota is refused by name", () => {
    const image = emptyImage({ ...EXT4, features: "quota" });
    expect(() => mountToWrite(image)).toThrow(/quota/u);
  });

  test("an image without a journal says that it is in use until it is unmounted", () => {
    const image = emptyImage({ type: "ext2", blockSize: 1024 });
    const state = () => readSuperblock(new RamDisk({ name: "ram0", bytes: image })).state & 1;
    const filesystem = mountToWrite(image);
    expect(state()).toBe(0);
    filesystem.unmount();
    expect(state()).toBe(1);
  });

  test("multi-mount protection lets one in, and another one afterwards", () => {
    const image = emptyImage({ ...EXT4, features: "mmp" });
    const first = mountToWrite(image);
    expect(codeOf(() => mountToWrite(image.slice()))).toBe("EBUSY");
    writingOf(first.root).make("a", plainFile);
    first.unmount();
    mountToWrite(image).unmount();
    expect(complaints(image)).toEqual([]);
  });

  test("what was synced is there after a crash, for reading and for writing", () => {
    const image = emptyImage(EXT4);
    const filesystem = mountToWrite(image);
    writingOf(filesystem.root).make("a", plainFile);
    filesystem.sync();
    writingOf(filesystem.root).make("b", plainFile);
    expect(names(mountBytes(image.slice()))).toEqual(["a"]);
    const after = mountToWrite(image);
    expect(names(after)).toEqual(["a"]);
    after.unmount();
    expect(complaints(image)).toEqual([]);
  });

  test("old changes are committed by the next call, and fsync commits those of a file", () => {
    const image = emptyImage(EXT4);
    let sec = 1000;
    const environment = { ...seededEnvironment(1), clock: { now: () => ({ sec, nsec: 0 }) } };
    const filesystem = mountToWrite(image, { commit: 30 }, environment);
    writingOf(filesystem.root).make("a", plainFile);
    sec += 29;
    const b = writingOf(filesystem.root).make("b", plainFile);
    expect(names(mountBytes(image.slice()))).toEqual([]);
    sec += 1;
    writingOf(filesystem.root).make("c", plainFile);
    expect(names(mountBytes(image.slice()))).toEqual(["a", "b"]);
    writingOf(b).sync("all");
    expect(names(mountBytes(image.slice()))).not.toContain("c");
    writingOf(b).change({ mode: 0o600 });
    writingOf(b).sync("data");
    expect(names(mountBytes(image.slice()))).not.toContain("c");
    writingOf(b).sync("all");
    expect(names(mountBytes(image.slice()))).toContain("c");
  });
});

describe("inodes", () => {
  test("one without a name lives while it is held", () => {
    const image = emptyImage(EXT4);
    const filesystem = mountToWrite(image);
    const free = filesystem.statfs();
    const root = writingOf(filesystem.root);
    const [file, directory] = [root.make("a", plainFile), root.make("d", plainDirectory)];
    expect(filesystem.statfs().ffree).toBe(free.ffree - 2);
    expect(filesystem.statfs().bfree).toBe(free.bfree - 1);
    for (const inode of [file, directory]) writingOf(inode).hold();
    root.unlink("a");
    root.rmdir("d");
    expect([file, directory].map((inode) => inode.attributes().nlink)).toEqual([0, 0]);
    expect(directory.lookup("x")).toBeUndefined();
    expect(codeOf(() => [...directory.readdir(0)])).toBe("ENOENT");
    expect(codeOf(() => writingOf(directory).make("x", plainFile))).toBe("ENOENT");
    expect(codeOf(() => root.link("again", file))).toBe("ENOENT");
    expect(filesystem.statfs().ffree).toBe(free.ffree - 2);
    writingOf(file).release();
    expect(codeOf(() => file.attributes())).toBe("ESTALE");
    expect(filesystem.statfs().ffree).toBe(free.ffree - 1);
    filesystem.unmount();
    expect(complaints(image)).toEqual([]);
    expect(mountBytes(image).statfs()).toEqual(free);
  });

  test("objects that were forgotten know what others changed, and when a number is reused", () => {
    const filesystem = mountToWrite(emptyImage({ ...EXT4, inodes: 6000 }));
    const root = writingOf(filesystem.root);
    const first = root.make("first", plainFile);
    const gone = root.make("gone", plainFile);
    const many = writingOf(root.make("many", plainDirectory));
    for (let i = 0; i < 5000; i++) many.make(`n${i}`, plainFile);
    const again = filesystem.root.lookup("first");
    expect(again).not.toBe(first);
    if (again !== undefined) writingOf(again).change({ mode: 0o4711 });
    expect(first.mode).toBe(S_IFREG | 0o4711);
    writingOf(first).change({ uid: 7 });
    expect(again?.attributes().uid).toBe(7);
    root.unlink("gone");
    const next = root.make("next", plainFile);
    expect(next.ino).toBe(gone.ino);
    expect(codeOf(() => gone.size)).toBe("ESTALE");
    expect(next.size).toBe(0);
  });

  test("what a directory hands down", () => {
    const filesystem = mountToWrite(emptyImage(EXT4));
    const top = writingOf(filesystem.root).make("top", plainDirectory);
    writingOf(top).change({ gid: 77, mode: 0o2775 });
    writingOf(top).flags |= EXT4_NODUMP_FL | EXT4_DIRSYNC_FL;
    const below = writingOf(top).make("below", plainDirectory);
    const file = writingOf(top).make("file", plainFile);
    const link = writingOf(top).make("link", { ...plainFile, mode: S_IFLNK, target: "x" });
    expect(below.mode).toBe(S_IFDIR | 0o2755);
    expect([below, file, link].map((inode) => inode.attributes().gid)).toEqual([77, 77, 77]);
    expect(writingOf(below).flags & (EXT4_NODUMP_FL | EXT4_DIRSYNC_FL)).not.toBe(0);
    expect(writingOf(file).flags & EXT4_DIRSYNC_FL).toBe(0);
    expect(writingOf(file).flags & writingOf(link).flags & EXT4_NODUMP_FL).not.toBe(0);
  });

  test("changes in a directory with DIRSYNC are durable at once", () => {
    const image = emptyImage(EXT4);
    const filesystem = mountToWrite(image);
    const root = writingOf(filesystem.root);
    root.make("a", plainFile);
    root.flags |= EXT4_DIRSYNC_FL;
    root.make("b", plainFile);
    expect(names(mountBytes(image.slice()))).toEqual(["a", "b"]);
  });

  test("immutable and append-only files", () => {
    const filesystem = mountToWrite(emptyImage(EXT4));
    const root = writingOf(filesystem.root);
    const [file, directory] = [root.make("f", plainFile), root.make("d", plainDirectory)];
    writingOf(directory).make("in", plainFile);
    for (const flag of [EXT4_IMMUTABLE_FL, EXT4_APPEND_FL]) {
      for (const inode of [file, directory]) writingOf(inode).flags |= flag;
      const refused: (() => void)[] = [
        () => root.unlink("f"),
        () => root.rmdir("d"),
        () => root.link("l", file),
        () => root.rename("f", filesystem.root, "g"),
        () => writingOf(file).truncate(0),
        () => writingOf(file).change({ mode: 0o600 }),
        () => writingOf(file).setxattr("user.a", new Uint8Array(1)),
        () => writingOf(directory).unlink("in"),
      ];
      expect(refused.map(codeOf)).toEqual(refused.map(() => "EPERM"));
      const makes = codeOf(() => writingOf(directory).make(`${flag}`, plainFile));
      expect(makes).toBe(flag === EXT4_IMMUTABLE_FL ? "EPERM" : undefined);
      for (const inode of [file, directory]) writingOf(inode).flags &= ~flag;
    }
    expect(codeOf(() => (writingOf(file).flags |= EXT4_INDEX_FL))).toBe("ENOTSUP");
    writingOf(file).flags |= EXT4_IMMUTABLE_FL;
    expect(codeOf(() => (writingOf(file).flags |= EXT4_NODUMP_FL))).toBe("EPERM");
    writingOf(file).flags &= ~EXT4_IMMUTABLE_FL;
    root.unlink("f");
  });
});

describe("errors", () => {
  test("links over filesystems, odd files and names that are too long", () => {
    const [one, other] = [mountToWrite(emptyImage(EXT4)), mountToWrite(emptyImage(EXT4))];
    const root = writingOf(one.root);
    const link = (target: string) => () => {
      root.make("l", { ...plainFile, mode: S_IFLNK, target });
    };
    const refused: (() => void)[] = [
      () => root.link("l", writingOf(other.root).make("x", plainFile)),
      () => root.rename("lost+found", other.root, "y"),
      () => root.make("x", { ...plainFile, mode: 0o644 }),
      () => root.make("x", { ...plainFile, rdev: -1 }),
      () => root.make("ä".repeat(128), plainFile),
      link(""),
      link("a\0b"),
      link("x".repeat(1024)),
      () => root.makeUnnamed(plainDirectory),
      () => root.unlink("absent"),
      () => root.rename("lost+found", one.root, "z", { noReplace: true, exchange: true }),
    ];
    const codes = "EXDEV EXDEV EINVAL EINVAL ENAMETOOLONG ENOENT EINVAL ENAMETOOLONG EINVAL";
    expect(refused.map(codeOf)).toEqual([...codes.split(" "), "ENOENT", "EINVAL"]);
    expect(names(one)).toEqual([]);
  });

  test.each([
    ["no blocks", { ...EXT4, inodes: 9000, features: "^has_journal" }, plainDirectory],
    ["no inodes", { ...EXT4, inodes: 64 }, plainFile],
  ])("%s left: nothing has changed", (_, options, file) => {
    const image = emptyImage(options);
    const filesystem = mountToWrite(image);
    let directory = filesystem.root;
    let code: string | undefined;
    for (let i = 0; code === undefined; i++) {
      if (file.mode === plainFile.mode)
        code = codeOf(() => writingOf(directory).make(`${i}`, file));
      else {
        const target = "t".repeat(1000);
        const link = { ...file, mode: S_IFLNK, target };
        code = codeOf(() => writingOf(directory).make(`${i}`, link));
        if (i % 900 === 0 && code === undefined) {
          directory = writingOf(filesystem.root).make(`d${i}`, plainDirectory) as typeof directory;
        }
      }
    }
    expect(code).toBe("ENOSPC");
    const { bfree, ffree } = filesystem.statfs();
    // A fiftieth is kept for maps, as Linux does.
    expect([ffree, bfree]).toContain(file === plainFile ? 0 : Math.floor(8192 / 50));
    filesystem.unmount();
    expect(complaints(image)).toEqual([]);
  });

  test("[2.72] [2.73] [2.81] a device that fails ends writing, once and for all", () => {
    const image = emptyImage(EXT4);
    const disk = new RamDisk({ name: "ram0", bytes: image });
    let failing = 0;
    const device = new Proxy<BlockDevice>(disk, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key, target);
        if (typeof value !== "function") return value;
        if (key !== "write") return value.bind(target);
        return (...args: unknown[]) => {
          if (failing-- > 0) throw new DaxError("EIO", { syscall: "write" });
          Reflect.apply(value, target, args);
        };
      },
    });
    const filesystem = ext.mount(device, { write: true }, seededEnvironment(1)) as ExtFilesystem;
    const root = writingOf(filesystem.root);
    root.make("a", plainFile);
    filesystem.sync();
    root.make("b", plainFile);
    failing = 1;
    expect(codeOf(() => filesystem.sync())).toBe("EIO");
    expect(codeOf(() => filesystem.sync())).toBe("EROFS");
    expect(codeOf(() => root.make("c", plainFile))).toBe("EROFS");
    expect(names(filesystem)).toContain("b");
    expect(codeOf(() => filesystem.unmount())).toBe("EIO");
    expect(codeOf(() => filesystem.unmount())).toBeUndefined();
    const after = mountToWrite(image);
    expect(names(after)).toEqual(["a"]);
    after.unmount();
    expect(readSuperblock(disk).state & EXT4_ERROR_FS).toBe(EXT4_ERROR_FS);
  });

  test.each([
    ["continue", undefined],
    ["remount-ro", "EROFS"],
  ] as const)("damage that a call meets: errors=%s", (errors, then) => {
    const editor = new ExtEditor(emptyImage(EXT4));
    const filesystem = mountToWrite(editor.bytes, { errors });
    const directory = writingOf(filesystem.root).make("d", plainDirectory);
    writingOf(directory).make("f", plainFile);
    filesystem.unmount();
    const { buffers } = filesystem.volume;
    const block = directory.iomapBegin(0, 1, "read").addr / buffers.blockSize;
    editor.write(block * buffers.blockSize + 30, new Uint8Array([255]));
    const next = mountToWrite(editor.bytes, { errors });
    const damaged = next.root.lookup("lost+found");
    expect(damaged).toBeDefined();
    expect(codeOf(() => writingOf(next.root).rmdir("d"))).toBe("EBADMSG");
    expect(codeOf(() => writingOf(next.root).make("e", plainFile))).toBe(then);
  });
});
