import { describe, expect, test } from "vitest";
import {
  FuseOpcode as Op,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
} from "../../src/format/fuse-flags.ts";
import { Errno } from "../../src/lib/errno.ts";
import { decodeUtf8 } from "../../src/lib/utf8.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { makeVolume, openVolume } from "../../src/node/index.ts";
import type { FuseClient } from "../support/fuse-client.ts";
import {
  type Ask,
  ask,
  attrOf,
  did,
  errnoOf,
  list,
  listedIn,
  nodeOf,
} from "../support/fuse-requests.ts";
import { fuseVolume } from "../support/fuse-volume.ts";

const RENAME_WHITEOUT = 4;

/** Whether the kernel's number still means something to the session. */
function knows(kernel: FuseClient, node: number): boolean {
  return errnoOf(kernel, node, ask.getattr()) === 0;
}

function forget(kernel: FuseClient, node: number, count: number): void {
  const { opcode, parts } = ask.forget(count);
  expect(kernel.send(opcode, node, parts)).toBeUndefined();
}

function toB(flags: number): Ask {
  return ask.rename2(1, "a", "b", flags);
}

describe("nodes", () => {
  test("each answer that tells of one counts, and as many are forgotten", () => {
    const { kernel } = fuseVolume();
    const node = nodeOf(did(kernel, 1, ask.create("f")));
    did(kernel, node, ask.release(node));
    expect(nodeOf(did(kernel, 1, ask.lookup("f")))).toBe(node);
    expect(nodeOf(did(kernel, 1, ask.link(node, "g")))).toBe(node);
    // Both names, and not the directory's own.
    const listed = list(kernel, 1, 4096, true);
    expect(listed.filter((one) => one.node === node).length).toBe(2);
    expect(listed.filter(({ name }) => name.startsWith(".")).map((one) => one.node)).toEqual([
      0, 0,
    ]);
    forget(kernel, node, 4);
    expect(knows(kernel, node)).toBe(true);
    forget(kernel, node, 1);
    expect(knows(kernel, node)).toBe(false);
    expect(errnoOf(kernel, node, ask.getattr())).toBe(Errno.ESTALE[0]);
  });

  test("what READDIR and refused requests say counts nothing", () => {
    const { kernel } = fuseVolume();
    const node = nodeOf(did(kernel, 1, ask.mknod("f", 0o100644)));
    list(kernel, 1);
    expect(errnoOf(kernel, 1, ask.mknod("f", 0o100644))).toBe(Errno.EEXIST[0]);
    expect(errnoOf(kernel, 1, ask.create("f", 0o644, 0o302))).toBe(Errno.EEXIST[0]);
    forget(kernel, node, 1);
    expect(knows(kernel, node)).toBe(false);
  });

  test("a batch forgets as many as it holds, whatever it says", () => {
    const { kernel } = fuseVolume();
    const a = nodeOf(did(kernel, 1, ask.mknod("a", 0o100644)));
    const b = nodeOf(did(kernel, 1, ask.mknod("b", 0o100644)));
    const { opcode, parts } = ask.batchForget([
      [a, 1],
      [999, 7],
      [b, 1],
    ]);
    const [, ...rest] = parts;
    expect(kernel.send(opcode, 0, [{ u32: 0xffff_ffff }, ...rest])).toBeUndefined();
    expect([a, b].map((node) => knows(kernel, node))).toEqual([false, false]);
  });

  test("the root is never forgotten", () => {
    const { kernel } = fuseVolume();
    forget(kernel, 1, 1000);
    expect(attrOf(did(kernel, 1, ask.getattr())).ino).toBe(2);
  });

  test("a file whose number was given to another one is stale", () => {
    const { volume, kernel } = fuseVolume();
    const node = nodeOf(did(kernel, 1, ask.mknod("old", 0o100644)));
    const { ino } = attrOf(did(kernel, node, ask.getattr()));
    volume.fs.unlinkSync("/old");
    volume.fs.writeFileSync("/new", "x");
    expect(volume.fs.statSync("/new").ino).toBe(ino);
    for (const request of [
      ask.getattr(),
      ask.open(),
      ask.setattr({ valid: 8, size: 0 }),
      ask.setxattr("user.a", new Uint8Array(1)),
      ask.write(node, 0, new Uint8Array(3)),
    ]) {
      expect(errnoOf(kernel, node, request)).toBe(Errno.ESTALE[0]);
    }
    const other = nodeOf(did(kernel, 1, ask.lookup("new")));
    expect(other).not.toBe(node);
    forget(kernel, node, 1);
    expect(knows(kernel, other)).toBe(true);
    expect(volume.fs.readFileSync("/new", "utf8")).toBe("x");
  });

  test("a file that is gone can still be asked what it was, and nothing else", () => {
    const { kernel } = fuseVolume();
    const node = nodeOf(did(kernel, 1, ask.mknod("f", 0o100640)));
    did(kernel, 1, ask.unlink("f"));
    expect(attrOf(did(kernel, node, ask.getattr()))).toMatchObject({ nlink: 0, mode: 0o100640 });
    expect(errnoOf(kernel, node, ask.open())).toBe(Errno.ESTALE[0]);
    expect(errnoOf(kernel, 1, ask.link(node, "again"))).toBe(Errno.ESTALE[0]);
  });

  test("one that is open lives on: read, written, changed and cut", () => {
    const { volume, kernel } = fuseVolume();
    const node = nodeOf(did(kernel, 1, ask.create("f")));
    did(kernel, 1, ask.unlink("f"));
    did(kernel, node, ask.write(node, 3, new Uint8Array([1, 2])));
    did(kernel, node, ask.setattr({ valid: 1 + 8, mode: 0o600, size: 4 }));
    did(kernel, node, ask.setxattr("user.a", new Uint8Array([9])));
    expect(did(kernel, node, ask.read(node, 0, 100)).body).toEqual(new Uint8Array([0, 0, 0, 1]));
    expect(attrOf(did(kernel, node, ask.getattr()))).toMatchObject({ nlink: 0, mode: 0o100600 });
    did(kernel, node, ask.release(node));
    const free = volume.fs.statfsSync("/").ffree;
    forget(kernel, node, 1);
    expect(volume.fs.statfsSync("/").ffree).toBe(free + 1);
  });

  test("directories that moved behind the kernel's back make no circle", () => {
    const { volume, kernel } = fuseVolume();
    const a = nodeOf(did(kernel, 1, ask.mkdir("a")));
    const b = nodeOf(did(kernel, a, ask.mkdir("b")));
    volume.fs.renameSync("/a/b", "/b");
    volume.fs.renameSync("/a", "/b/a");
    expect(nodeOf(did(kernel, b, ask.lookup("a")))).toBe(a);
    // An error names the place, and a watch looks at what is above.
    const seen: unknown[] = [];
    const watcher = volume.fs.watch("/", { recursive: true }, (...event) => seen.push(event));
    did(kernel, a, ask.mkdir("c"));
    watcher.close();
    const file = nodeOf(did(kernel, a, ask.create("f")));
    expect(errnoOf(kernel, file, ask.fallocate(0, 0, 2 ** 50))).toBe(Errno.EFBIG[0]);
  });
});

describe("names", () => {
  test("255 bytes are a name, 256 are none, in every call", () => {
    const { kernel } = fuseVolume();
    const [most, more] = ["n".repeat(255), "ü".repeat(128)];
    const node = nodeOf(did(kernel, 1, ask.mkdir(most)));
    expect(nodeOf(did(kernel, 1, ask.lookup(most)))).toBe(node);
    expect(list(kernel, 1, 512, true).map(({ name }) => name)).toContain(most);
    did(kernel, 1, ask.mknod("f", 0o100644));
    for (const request of [
      ask.lookup(more),
      ask.mkdir(more),
      ask.mknod(more, 0o100644),
      ask.create(more),
      ask.symlink(more, "x"),
      ask.link(node, more),
      ask.unlink(more),
      ask.rmdir(more),
      ask.rename(1, "f", more),
      ask.rename2(1, more, "g", RENAME_NOREPLACE),
    ]) {
      expect(errnoOf(kernel, 1, request)).toBe(Errno.ENAMETOOLONG[0]);
    }
  });

  test("bytes that are no UTF-8 are a name like another", () => {
    const { volume, kernel } = fuseVolume();
    const name = decodeUtf8(new Uint8Array([0xff, 0x41, 0xc3, 0xed, 0xa0, 0x80]));
    const node = nodeOf(did(kernel, 1, ask.mknod(name, 0o100644)));
    expect(nodeOf(did(kernel, 1, ask.lookup(name)))).toBe(node);
    expect(list(kernel, 1).some((one) => one.name === name)).toBe(true);
    did(kernel, 1, ask.symlink("l", name));
    const link = nodeOf(did(kernel, 1, ask.lookup("l")));
    expect(decodeUtf8(did(kernel, link, ask.readlink()).body)).toBe(name);
    did(kernel, 1, ask.rename(1, name, "plain"));
    expect(volume.fs.existsSync("/plain")).toBe(true);
  });

  test("absence is told with node 0, so that it can be kept", () => {
    const { kernel } = fuseVolume();
    expect(nodeOf(did(kernel, 1, ask.lookup("none")))).toBe(0);
    const file = nodeOf(did(kernel, 1, ask.mknod("f", 0o100644)));
    expect(errnoOf(kernel, file, ask.lookup("x"))).toBe(Errno.ENOTDIR[0]);
    expect(errnoOf(kernel, 1, ask.unlink("none"))).toBe(Errno.ENOENT[0]);
    expect(errnoOf(kernel, 1, ask.rmdir("f"))).toBe(Errno.ENOTDIR[0]);
    expect(errnoOf(kernel, 1, ask.unlink("lost+found"))).toBe(Errno.EISDIR[0]);
  });

  test("a rename replaces, exchanges, refuses, and knows no whiteouts", () => {
    const { volume, kernel } = fuseVolume();
    const a = nodeOf(did(kernel, 1, ask.create("a")));
    const b = nodeOf(did(kernel, 1, ask.create("b")));
    const d = nodeOf(did(kernel, 1, ask.mkdir("d")));
    did(kernel, a, ask.write(a, 0, new Uint8Array([1])));
    did(kernel, b, ask.write(b, 0, new Uint8Array([2])));
    expect(errnoOf(kernel, 1, toB(RENAME_NOREPLACE))).toBe(Errno.EEXIST[0]);
    expect(errnoOf(kernel, 1, toB(RENAME_WHITEOUT))).toBe(Errno.EINVAL[0]);
    expect(errnoOf(kernel, 1, toB(RENAME_NOREPLACE | RENAME_EXCHANGE))).toBe(Errno.EINVAL[0]);
    did(kernel, 1, toB(RENAME_EXCHANGE));
    expect([...volume.fs.readFileSync("/a")]).toEqual([2]);
    did(kernel, 1, ask.rename(d, "a", "b"));
    // What was replaced is open: it is there for who has it.
    did(kernel, d, ask.rename(1, "b", "b"));
    expect([...did(kernel, a, ask.read(a, 0, 9)).body]).toEqual([1]);
    expect(attrOf(did(kernel, a, ask.getattr())).nlink).toBe(0);
    expect(errnoOf(kernel, 1, ask.rename(d, "d", "inside"))).toBe(Errno.EINVAL[0]);
    expect(errnoOf(kernel, 1, ask.rename(b, "d", "x"))).toBe(Errno.ENOTDIR[0]);
  });

  test("a listing goes on behind its cookies, however little has room", () => {
    const { kernel } = fuseVolume();
    const names = Array.from({ length: 300 }, (_, i) => `file-${i}-${"x".repeat(i % 200)}`);
    for (const name of names) did(kernel, 1, ask.mknod(name, 0o100644));
    for (const [size, plus] of [
      [300, false],
      [4096, false],
      [500, true],
      [2 ** 20, true],
    ] as const) {
      const found = list(kernel, 1, size, plus).map(({ name }) => name);
      expect(found.toSorted()).toEqual([...names, ".", "..", "lost+found"].toSorted());
    }
    expect(errnoOf(kernel, 1, ask.readdir(0, 16))).toBe(Errno.EINVAL[0]);
    expect(listedIn(did(kernel, 1, ask.readdir(2 ** 64 - 2 ** 11))).length).toBe(0);
  });

  test("files of filesystems below have numbers of their own", () => {
    const { volume, kernel } = fuseVolume();
    const media = new RamMedia(4 << 20);
    makeVolume(media, {});
    const other = openVolume(media, { write: true });
    const node = nodeOf(did(kernel, 1, ask.mkdir("m")));
    expect(node).toBeGreaterThan(1);
    volume.tree.mount("/m", other.tree.root.inode.filesystem);
    const answer = did(kernel, 1, ask.lookup("m"));
    const below = nodeOf(answer);
    expect(attrOf(answer, 40).ino).toBe(2 ** 32 + 2);
    const file = did(kernel, below, ask.create("f"));
    expect(attrOf(file, 40).ino).toBeGreaterThan(2 ** 32);
    expect(list(kernel, below).find(({ name }) => name === "f")?.ino).toBe(attrOf(file, 40).ino);
    expect(errnoOf(kernel, 1, ask.rmdir("m"))).toBe(Errno.EBUSY[0]);
    expect(errnoOf(kernel, below, ask.rename(1, "f", "g"))).toBe(Errno.EXDEV[0]);
    expect(errnoOf(kernel, 1, ask.link(nodeOf(file), "g"))).toBe(Errno.EXDEV[0]);
    const sizes = [1, below].map((at) => did(kernel, at, ask.statfs()).view.getUint32(0, true));
    expect(sizes[0]).not.toBe(sizes[1]);
    did(kernel, nodeOf(file), ask.release(nodeOf(file)));
    forget(kernel, nodeOf(file), 1);
    volume.tree.unmount("/m", { revoke: true });
  });
});

test("nobody waits for what becomes of a FORGET, not even before INIT and behind the end", () => {
  const { session, kernel } = fuseVolume();
  const { opcode, parts } = ask.forget(1);
  expect(kernel.send(Op.FORGET, 77, [])).toBeUndefined();
  session.end();
  expect(kernel.send(opcode, 5, parts)).toBeUndefined();
  expect(kernel.send(Op.INTERRUPT, 0, ask.interrupt().parts)).toBeUndefined();
  expect(errnoOf(kernel, 1, ask.getattr())).toBe(Errno.ENODEV[0]);
});
