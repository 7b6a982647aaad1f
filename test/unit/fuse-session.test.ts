import { describe, expect, test } from "vitest";
import { FuseAttr, FuseEntryOut, FuseOpenOut } from "../../src/format/fuse.ts";
import { FuseOpcode as Op } from "../../src/format/fuse-flags.ts";
import { Errno } from "../../src/lib/errno.ts";
import { decodeUtf8, encodeUtf8 } from "../../src/lib/utf8.ts";
import { type FuseAnswer, type FuseClient, text, u32, u64 } from "../support/fuse-client.ts";
import { fuseVolume } from "../support/fuse-volume.ts";

const O_RDWR = 2;

function nodeOf({ view }: FuseAnswer): number {
  return FuseEntryOut.nodeid.get(view, 0);
}

function create(kernel: FuseClient, parent: number, name: string, mode = 0o100644): number {
  const answer = kernel.call(Op.CREATE, parent, [
    u32(O_RDWR),
    u32(mode),
    u32(0),
    u32(0),
    text(name),
  ]);
  expect(FuseOpenOut.fh.get(answer.view, 128)).toBeGreaterThan(0);
  return nodeOf(answer);
}

function write(kernel: FuseClient, node: number, offset: number, bytes: Uint8Array): void {
  const head = [u64(node), u64(offset), u32(bytes.length), u32(0), u64(0), u32(O_RDWR), u32(0)];
  const answer = kernel.call(Op.WRITE, node, [...head, bytes]);
  expect(answer.view.getUint32(0, true)).toBe(bytes.length);
}

function read(kernel: FuseClient, node: number, offset: number, size: number): Uint8Array {
  const head = [u64(node), u64(offset), u32(size), u32(0), u64(0), u32(O_RDWR), u32(0)];
  return kernel.call(Op.READ, node, head).body;
}

describe("a session", () => {
  test("makes, writes, reads, lists and removes, as volume.fs sees it too", () => {
    const { volume, kernel } = fuseVolume();
    const folder = nodeOf(kernel.call(Op.MKDIR, 1, [u32(0o755), u32(0o022), text("d")]));
    const file = create(kernel, folder, "f");
    const big = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251);
    write(kernel, file, 5, big);
    expect(read(kernel, file, 0, 5)).toEqual(new Uint8Array(5));
    expect(read(kernel, file, 5, 1_000_000)).toEqual(big);
    expect(volume.fs.readFileSync("/d/f").subarray(5)).toEqual(Buffer.from(big));
    const listed = kernel.call(Op.READDIR, folder, [
      u64(0),
      u64(0),
      u32(4096),
      u32(0),
      u64(0),
      u64(0),
    ]);
    expect(decodeUtf8(listed.body)).toContain("f\0");
    kernel.call(Op.UNLINK, folder, [text("f")]);
    expect(read(kernel, file, 5, 10)).toEqual(big.subarray(0, 10));
    kernel.call(Op.RELEASE, file, [u64(file), u32(0), u32(0), u64(0)]);
    expect(kernel.send(Op.FORGET, file, [u64(1)])).toBeUndefined();
    kernel.call(Op.RMDIR, 1, [text("d")]);
    expect(volume.fs.readdirSync("/")).toEqual(["lost+found"]);
  });

  test("who made a file owns it, less the umask", () => {
    const { volume, kernel } = fuseVolume();
    kernel.uid = 1000;
    kernel.gid = 100;
    kernel.call(Op.MKNOD, 1, [u32(0o100666), u32(0), u32(0o027), u32(0), text("n")]);
    const { uid, gid, mode } = volume.fs.statSync("/n");
    expect([uid, gid, mode]).toEqual([1000, 100, 0o100640]);
  });

  test("an unknown request is ENOSYS, an odd name EINVAL, an unknown node ESTALE", () => {
    const { kernel } = fuseVolume();
    expect(kernel.send(999, 1)?.errno).toBe(Errno.ENOSYS[0]);
    for (const name of ["", ".", "..", "a/b"]) {
      expect(kernel.send(Op.MKDIR, 1, [u32(0), u32(0), text(name)])?.errno).toBe(Errno.EINVAL[0]);
    }
    expect(kernel.send(Op.MKDIR, 1, [u32(0), u32(0), encodeUtf8("x")])?.errno).toBe(
      Errno.EINVAL[0],
    );
    expect(kernel.send(Op.GETATTR, 77, [u32(0), u32(0), u64(0)])?.errno).toBe(Errno.ESTALE[0]);
  });

  test("what volume.fs changes, the kernel is told to forget, once until it asks", () => {
    const { volume, kernel } = fuseVolume();
    kernel.call(Op.LOOKUP, 1, [text("a")]);
    volume.fs.writeFileSync("/a", "1");
    expect(kernel.notices.length).toBe(2);
    volume.fs.writeFileSync("/a", "2");
    expect(kernel.notices.length).toBe(2);
    const node = nodeOf(kernel.call(Op.LOOKUP, 1, [text("a")]));
    volume.fs.writeFileSync("/a", "3");
    expect(kernel.notices.length).toBe(3);
    write(kernel, node, 0, encodeUtf8("4"));
    expect(kernel.notices.length).toBe(3);
    expect(volume.fs.readFileSync("/a", "utf8")).toBe("4");
  });

  test("what is gone still has attributes for who holds the place, and nothing else", () => {
    const { volume, kernel } = fuseVolume();
    const [file, kept] = [create(kernel, 1, "f"), create(kernel, 1, "g")];
    const folder = nodeOf(kernel.call(Op.MKDIR, 1, [u32(0o755), u32(0), text("d")]));
    kernel.call(Op.RELEASE, file, [u64(file), u32(0), u32(0), u64(0)]);
    kernel.call(Op.UNLINK, 1, [text("f")]);
    kernel.call(Op.RENAME, 1, [u64(1), text("g"), text("h")]);
    create(kernel, 1, "i");
    kernel.call(Op.RENAME, 1, [u64(1), text("i"), text("h")]);
    kernel.call(Op.RMDIR, 1, [text("d")]);
    for (const node of [file, kept, folder]) {
      const { view } = kernel.call(Op.GETATTR, node, [u32(0), u32(0), u64(0)]);
      expect(FuseAttr.nlink.get(view, 16)).toBe(0);
    }
    expect(kernel.send(Op.OPEN, file, [u32(O_RDWR), u32(0)])?.errno).toBe(Errno.ESTALE[0]);
    write(kernel, kept, 0, encodeUtf8("still"));
    expect(decodeUtf8(read(kernel, kept, 0, 5))).toBe("still");
    const { ffree } = volume.statfs();
    kernel.call(Op.RELEASE, kept, [u64(kept), u32(0), u32(0), u64(0)]);
    for (const node of [file, kept, folder]) kernel.send(Op.FORGET, node, [u64(1)]);
    expect(volume.statfs().ffree).toBe(ffree + 2);
  });
});
