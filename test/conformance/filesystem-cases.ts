/**
 * What every filesystem must do, whatever its format. A new one joins by calling
 * {@link conformsToFilesystem} with an image of the tree that `makeHostTree` makes.
 */
import * as fs from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { daxRead } from "../../src/dax/file-io.ts";
import type { Iomap } from "../../src/dax/iomap.ts";
import type { DirectoryEntry, Filesystem, Inode } from "../../src/vfs/filesystem.ts";
import { S_IFDIR, S_IFMT } from "../../src/vfs/modes.ts";
import { codeOf, same } from "../support/bytes.ts";
import {
  type HostNode,
  makeFolder,
  makeHostTree,
  timespecOf,
  walkHost,
} from "../support/host-tree.ts";

/**
 * Mounts an image of the tree below `root`, read-only; `done` ends what it needed. What the maker
 * of the image cannot copy may be removed from the tree first.
 */
export type MountImage = (root: string) => { filesystem: Filesystem; done?: () => void };

/** What a format cannot keep. */
export interface Limits {
  /** Names at the root that the maker of the image adds: `lost+found`. */
  readonly extra?: readonly string[];
  /** The finest difference of two times, in nanoseconds. */
  readonly nanoseconds?: number;
  /** Whether all of a time's years are kept (ext2 and small inodes keep 1901 to 2038). */
  readonly wideTimes?: boolean;
}

function* wholeMap(inode: Inode): Generator<Iomap> {
  for (let at = 0; at < inode.size;) {
    const map = inode.iomapBegin(at, inode.size - at, "report");
    yield map;
    at = map.offset + map.length;
  }
}

function summary(entries: Iterable<DirectoryEntry>): string[] {
  return [...entries].map((entry) => `${entry.name} ${entry.ino} ${entry.cookie}`);
}

/** How a range of the file lies on the device, whatever part of it was asked. */
function place({ type, addr, offset }: Iomap): unknown {
  return [type, type === "mapped" ? addr - offset : 0];
}

/** What is wrong with an answer for byte `asked` of a file on a device of `room` bytes. */
function faultOf(map: Iomap, asked: number, inode: Inode, room: number): string | undefined {
  const { type, offset, length, addr, inline } = map;
  if (offset > asked || offset + length <= asked) return `${asked} is not in ${offset}+${length}`;
  if (type === "inline") return (inline?.length ?? 0) < inode.size ? "inline is short" : undefined;
  if (type === "hole") return undefined;
  const used = Math.min(length, inode.size - offset);
  return addr < 0 || addr + used > room ? `${addr}+${used} leaves the device` : undefined;
}

/** Registers the suite for one filesystem. */
export function conformsToFilesystem(name: string, mount: MountImage, limits: Limits = {}): void {
  describe.sequential(`filesystem: ${name}`, () => {
    const root = makeFolder();
    let filesystem: Filesystem;
    let done: (() => void) | undefined;
    let nodes: readonly HostNode[] = [];

    beforeAll(() => {
      makeHostTree(root);
      ({ filesystem, done } = mount(root));
      nodes = [...walkHost(Buffer.from(root))];
    });
    afterAll(() => {
      done?.();
      fs.rmSync(root, { recursive: true });
    });

    const find = (path: readonly string[]): Inode => {
      let inode = filesystem.root;
      for (const part of path) {
        const next = inode.lookup(part);
        if (next === undefined) throw new Error(`${part} of ${path.join("/")} is missing`);
        inode = next;
      }
      return inode;
    };
    const each = (body: (inode: Inode, node: HostNode) => unknown): unknown[] =>
      nodes.map((node) => [node.path.join("/"), body(find(node.path), node)]);
    const files = (): readonly HostNode[] => nodes.filter(({ stat }) => stat.isFile());
    const folders = (): readonly HostNode[] => nodes.filter(({ stat }) => stat.isDirectory());
    const childrenOf = ({ host, path }: HostNode): readonly string[] => {
      const below = nodes.filter(({ path: other }) => other.length === path.length + 1);
      const names = below
        .filter(({ host: other }) => other.subarray(0, host.length + 1).equals(slashed(host)))
        .map(({ path: other }) => other.at(-1) as string);
      return path.length === 0 ? [...names, ...(limits.extra ?? [])] : names;
    };

    test("the root is a directory whose inode number finds it", () => {
      const { root: inode } = filesystem;
      expect(inode.mode & S_IFMT).toBe(S_IFDIR);
      expect(filesystem.inode(inode.ino)).toBe(inode);
      expect(inode.filesystem).toBe(filesystem);
    });

    test("modes, owners, sizes and link counts are the host's", () => {
      const want = each((_, { stat: { mode, uid, gid, size, nlink }, path, stat }) => {
        const known = path.length > 0 && !stat.isDirectory();
        const facts = [mode, uid, gid, ...(known ? [size, nlink] : [])].map(Number);
        return path.length === 0 ? (facts[0] ?? 0) & S_IFMT : facts;
      });
      const got = each((inode, { path, stat }) => {
        const { mode, uid, gid, size, nlink } = inode.attributes();
        expect([inode.mode, inode.size]).toEqual([mode, size]);
        const known = path.length > 0 && !stat.isDirectory();
        const facts = [mode, uid, gid, ...(known ? [size, nlink] : [])];
        return path.length === 0 ? (facts[0] ?? 0) & S_IFMT : facts;
      });
      expect(got).toEqual(want);
    });

    test("modification times are the host's, as far as the format keeps them", () => {
      const { nanoseconds = 1, wideTimes = true } = limits;
      const rounded = ({ sec, nsec }: { sec: number; nsec: number }): unknown => [
        wideTimes ? sec : sec | 0,
        nsec - (nsec % nanoseconds),
      ];
      const inner = nodes.filter(({ path }) => path.length > 0);
      const got = inner.map(({ path }) => rounded(find(path).attributes().mtime));
      expect(got).toEqual(inner.map(({ stat }) => rounded(timespecOf(stat.mtimeNs))));
    });

    test("an inode is one object, by name and by number", () => {
      expect(each((inode) => filesystem.inode(inode.ino) === inode)).toEqual(each(() => true));
      expect(find(["tiny"])).toBe(find(["dir", "hard"]));
      expect(new Set(each((inode) => inode.ino).map((pair) => (pair as unknown[])[1])).size).toBe(
        nodes.length - 1,
      );
    });

    test("an inode number that is not in use is ESTALE, hostile ones too", () => {
      for (const ino of [0, -1, 2 ** 31, 2 ** 40, 1.5, Number.NaN]) {
        expect([ino, codeOf(() => filesystem.inode(ino))]).toEqual([ino, "ESTALE"]);
      }
    });

    test("directories list what is in them, `.` and `..` first", () => {
      for (const folder of folders()) {
        const inode = find(folder.path);
        const entries = [...inode.readdir(0)];
        expect(entries.slice(0, 2).map((entry) => entry.name)).toEqual([".", ".."]);
        expect(entries[0]?.ino).toBe(inode.ino);
        expect(entries[1]?.ino).toBe(find(folder.path.slice(0, -1)).ino);
        const names = entries.slice(2).map((entry) => entry.name);
        expect(names.toSorted()).toEqual([...childrenOf(folder)].toSorted());
      }
    });

    test("entries name the inode that lookup finds, and its type or none", () => {
      const wrong = folders().flatMap(({ path }) => {
        const inode = find(path);
        return [...inode.readdir(0)].filter((entry) => {
          const target = filesystem.inode(entry.ino);
          const type = (target.mode & S_IFMT) >> 12;
          const dots = entry.name === "." || entry.name === "..";
          const found = dots ? target : inode.lookup(entry.name);
          return found !== target || (entry.type !== 0 && entry.type !== type);
        });
      });
      expect(wrong).toEqual([]);
    });

    test("a cookie goes on right behind its entry, from any entry", () => {
      for (const folder of folders()) {
        const inode = find(folder.path);
        const entries = [...inode.readdir(0)];
        const step = Math.max(1, Math.floor(entries.length / 20));
        for (let i = 0; i < entries.length; i += step) {
          const { cookie } = entries[i] as DirectoryEntry;
          expect(summary(inode.readdir(cookie))).toEqual(summary(entries.slice(i + 1)));
        }
        expect([...inode.readdir(entries.at(-1)?.cookie ?? 0)]).toEqual([]);
      }
    });

    test("cookies are safe integers above 0, each its own", () => {
      const cookies = [...find(["many"]).readdir(0)].map((entry) => entry.cookie);
      expect(cookies.every((cookie) => cookie > 0 && Number.isSafeInteger(cookie))).toBe(true);
      expect(new Set(cookies).size).toBe(cookies.length);
    });

    test("what is absent is undefined, whatever its name", () => {
      for (const word of ["none", "", "/", "tiny/", "TINY", "\0", "n".repeat(256), "\ud800"]) {
        expect([word, filesystem.root.lookup(word)]).toEqual([word, undefined]);
      }
    });

    test("a file is no directory: ENOTDIR", () => {
      const tiny = find(["tiny"]);
      expect(codeOf(() => tiny.lookup("x"))).toBe("ENOTDIR");
      expect(codeOf(() => [...tiny.readdir(0)])).toBe("ENOTDIR");
    });

    test("links give their targets, everything else EINVAL", () => {
      const want = each((_, { stat, host }) =>
        stat.isSymbolicLink() ? fs.readlinkSync(host) : "EINVAL",
      );
      const got = each((inode, { stat }) =>
        stat.isSymbolicLink() ? inode.readlink() : codeOf(() => inode.readlink()),
      );
      expect(got).toEqual(want);
    });

    test("files hold the host's bytes", () => {
      const wrong = files().filter(({ path, host }) => {
        const inode = find(path);
        const bytes = new Uint8Array(inode.size);
        return daxRead(inode, bytes, 0) !== inode.size || !same(bytes, fs.readFileSync(host));
      });
      expect(wrong.map(({ path }) => path.join("/"))).toEqual([]);
    });

    test("iomaps hold the byte that was asked, and lie inside the device", () => {
      const room = filesystem.device.sectors * 512;
      const faults = files().flatMap(({ path }) => {
        const inode = find(path);
        let asked = 0;
        return [...wholeMap(inode)].flatMap((map) => {
          const fault = faultOf(map, asked, inode, room);
          asked = map.offset + map.length;
          return fault === undefined ? [] : [`${path.join("/")}: ${fault}`];
        });
      });
      expect(faults).toEqual([]);
    });

    test("iomaps inside a range answer as iomaps from its start", () => {
      const inode = find(["sparse"]);
      const maps = [...wholeMap(inode)];
      const middles = maps.map(({ offset, length }) =>
        inode.iomapBegin(Math.min(offset + (length >> 1), inode.size - 1), 1, "read"),
      );
      expect(middles.map(place)).toEqual(maps.map(place));
    });

    test("behind the end of a file there is a hole, however far", () => {
      for (const { path } of files()) {
        const inode = find(path);
        for (const offset of [Math.ceil(inode.size / 65_536) * 65_536 + 65_536, 2 ** 45, 2 ** 52]) {
          const { type, offset: start, length } = inode.iomapBegin(offset, 4096, "read");
          expect([type, start <= offset, start + length > offset]).toEqual(["hole", true, true]);
        }
      }
    });

    test("a sparse file costs what it holds", () => {
      const inode = find(["sparse"]);
      expect(inode.attributes().blocks * 512).toBeLessThan(inode.size / 2);
      expect([...wholeMap(inode)].some(({ type }) => type === "hole")).toBe(true);
    });

    test("attributes that are not there are not there", () => {
      const tiny = find(["tiny"]);
      expect(tiny.listxattr().filter((key) => key.startsWith("user."))).toEqual([]);
      for (const key of ["user.none", "", "nonsense", "user."]) {
        expect(tiny.getxattr(key)).toBe(undefined);
      }
    });

    test("statfs adds up", () => {
      const {
        blockSize,
        blocks,
        bfree,
        bavail,
        files: inodes,
        ffree,
        nameLength,
      } = filesystem.statfs();
      expect(blocks * blockSize).toBeLessThanOrEqual(filesystem.device.sectors * 512);
      expect([bfree <= blocks, bavail <= bfree, ffree < inodes]).toEqual([true, true, true]);
      expect(inodes - ffree).toBeGreaterThanOrEqual(nodes.length - 1);
      expect(nameLength).toBe(255);
    });
  });
}

function slashed(path: Buffer): Buffer {
  return Buffer.concat([path, Buffer.from("/")]);
}
