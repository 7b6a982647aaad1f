import { describe, expect, test } from "vitest";
import { FuseOpenOut } from "../../src/format/fuse.ts";
import {
  FALLOC_FL_COLLAPSE_RANGE,
  FALLOC_FL_INSERT_RANGE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  FATTR_SIZE,
  FS_IOC_SETFLAGS,
  FUSE_WRITE_CACHE,
  SEEK_DATA,
  SEEK_HOLE,
} from "../../src/format/fuse-flags.ts";
import { Errno } from "../../src/lib/errno.ts";
import { same } from "../support/bytes.ts";
import type { FuseClient } from "../support/fuse-client.ts";
import { ask, attrOf, did, errnoOf, nodeOf } from "../support/fuse-requests.ts";
import { fuseVolume } from "../support/fuse-volume.ts";

const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
const FAR = [2 ** 50, 2 ** 53, 2 ** 63 - 2 ** 11] as const;

function make(kernel: FuseClient, name = "f", bytes: Uint8Array = new Uint8Array(0)): number {
  const node = nodeOf(did(kernel, 1, ask.create(name)));
  if (bytes.length > 0) did(kernel, node, ask.write(node, 0, bytes));
  return node;
}

function numbers(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7) % 251);
}

function sizeOf(kernel: FuseClient, node: number): number {
  return attrOf(did(kernel, node, ask.getattr())).size;
}

describe("reading", () => {
  test("ends with the file, and far behind it there is nothing", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f", numbers(100_000));
    for (const [offset, size] of [
      [99_999, 4096],
      [60_000, 2 ** 20],
      [0, 2 ** 20],
    ] as const) {
      const { body } = did(kernel, node, ask.read(node, offset, size));
      expect(same(body, numbers(100_000).subarray(offset))).toBe(true);
    }
    for (const offset of [100_000, ...FAR]) {
      for (const size of [1, 2 ** 20]) {
        expect(did(kernel, node, ask.read(node, offset, size)).body.length).toBe(0);
      }
    }
    expect(errnoOf(kernel, 1, ask.read(1, 0, 10))).toBe(Errno.EISDIR[0]);
    expect(errnoOf(kernel, 1, ask.read(1, 0, 2 ** 20))).toBe(Errno.EISDIR[0]);
  });

  test.each([0, 0x10])("changes nothing, also where nobody may (flags %i)", (flag) => {
    const { volume, kernel } = fuseVolume();
    const node = make(kernel, "f", numbers(100_000));
    did(kernel, node, ask.fallocate(0, 100_000, 100_000));
    const flags = new Uint8Array(Uint32Array.of(0x80000 | flag).buffer);
    did(kernel, node, ask.ioctl(FS_IOC_SETFLAGS, flags));
    const file = volume.open("/f");
    const before = [volume.fs.statSync("/f"), [...file.extents()]];
    const { body } = did(kernel, node, ask.read(node, 0, 2 ** 20));
    expect(same(body.subarray(0, 100_000), numbers(100_000))).toBe(true);
    expect(same(body.subarray(100_000), new Uint8Array(100_000))).toBe(true);
    expect([volume.fs.statSync("/f"), [...file.extents()]]).toEqual(before);
    file.close();
  });

  test("holes and bytes in many places come as they are", () => {
    const { kernel } = fuseVolume();
    const [a, b] = [make(kernel, "a"), make(kernel, "b")];
    const whole = new Uint8Array(150 * 3000);
    for (let i = 0; i < 150; i++) {
      // Two files in turn: neither lies in one piece.
      did(kernel, b, ask.write(b, i * 2048, numbers(2048)));
      if (i % 3 > 0) whole.set(numbers(2000), i * 3000);
      if (i % 3 > 0) did(kernel, a, ask.write(a, i * 3000, numbers(2000)));
    }
    const { size } = attrOf(did(kernel, a, ask.getattr()));
    expect(same(did(kernel, a, ask.read(a, 0, 2 ** 20)).body, whole.subarray(0, size))).toBe(true);
  });
});

describe("writing", () => {
  test("goes to the end where the file is open to append, but for what a cache writes back", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f", numbers(10));
    did(kernel, node, ask.write(node, 0, numbers(5), 0, 1 | O_APPEND));
    expect(sizeOf(kernel, node)).toBe(15);
    did(kernel, node, ask.write(node, 0, numbers(5), FUSE_WRITE_CACHE, 1 | O_APPEND));
    expect(sizeOf(kernel, node)).toBe(15);
    did(kernel, node, ask.write(node, 0, new Uint8Array(0)));
  });

  test("beyond what a file can have is EFBIG", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel);
    for (const offset of FAR) {
      expect(errnoOf(kernel, node, ask.write(node, offset, numbers(3)))).toBe(Errno.EFBIG[0]);
      const room = ask.fallocate(0, offset, 4096);
      expect(errnoOf(kernel, node, room)).toBe(Errno.EFBIG[0]);
      const copy = ask.copyFileRange(0, node, offset, 10);
      expect(errnoOf(kernel, node, copy)).toBe(offset === FAR[0] ? 0 : Errno.EFBIG[0]);
    }
    did(kernel, node, ask.write(node, 2 ** 41, numbers(3)));
    expect(sizeOf(kernel, node)).toBe(2 ** 41 + 3);
  });

  test("more bytes than come with it are refused", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel);
    const { opcode, parts } = ask.write(node, 0, numbers(30));
    const lying = kernel.send(opcode, node, [...parts.slice(0, -1), numbers(29)]);
    expect(lying?.errno).toBe(Errno.EINVAL[0]);
    expect(sizeOf(kernel, node)).toBe(0);
  });

  test("a full disk says ENOSPC, and goes on when something is removed", () => {
    const { kernel } = fuseVolume({ bytes: 4 << 20 });
    const node = make(kernel, "big");
    let offset = 0;
    let errno = 0;
    for (; errno === 0 && offset < 8 << 20; offset += 2 ** 20) {
      const { opcode, parts } = ask.write(node, offset, new Uint8Array(2 ** 20).fill(1));
      errno = kernel.send(opcode, node, parts)?.errno ?? -1;
    }
    expect(errno).toBe(Errno.ENOSPC[0]);
    did(kernel, node, ask.setattr({ valid: FATTR_SIZE, size: 0 }));
    did(kernel, node, ask.write(node, 0, numbers(5000)));
    did(kernel, node, ask.fsync());
  });
});

describe("opening", () => {
  test("empties with O_TRUNC, and says what may be kept", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f", numbers(9));
    const { view } = did(kernel, node, ask.open(2 | O_TRUNC));
    expect(sizeOf(kernel, node)).toBe(0);
    expect(FuseOpenOut.fh.get(view, 0)).toBe(node);
    expect(errnoOf(kernel, 1, ask.open(2))).toBe(Errno.EISDIR[0]);
    const link = nodeOf(did(kernel, 1, ask.symlink("l", "f")));
    expect(errnoOf(kernel, link, ask.open(0))).toBe(Errno.ELOOP[0]);
    const fifo = nodeOf(did(kernel, 1, ask.mknod("p", 0o010600)));
    expect(errnoOf(kernel, fifo, ask.open(0))).toBe(Errno.ENXIO[0]);
  });

  test("where nothing is opened, a kernel is told so, and O_TRUNC is a change of the size", () => {
    const { kernel, session } = fuseVolume({ noOpen: true });
    const node = nodeOf(did(kernel, 1, ask.mknod("f", 0o100644)));
    expect(errnoOf(kernel, node, ask.open())).toBe(Errno.ENOSYS[0]);
    did(kernel, node, ask.write(0, 0, numbers(5)));
    did(kernel, 1, ask.unlink("f"));
    expect(did(kernel, node, ask.read(0, 0, 9)).body).toEqual(numbers(5));
    session.end();
  });

  test("a file without a name gets one, or goes", () => {
    const { volume, kernel } = fuseVolume();
    const free = volume.fs.statfsSync("/").ffree;
    const kept = nodeOf(did(kernel, 1, ask.tmpfile()));
    const lost = nodeOf(did(kernel, 1, ask.tmpfile()));
    did(kernel, kept, ask.write(kept, 0, numbers(9)));
    const named = did(kernel, 1, ask.link(kept, "named"));
    expect(nodeOf(named)).toBe(kept);
    expect(attrOf(named, 40).nlink).toBe(1);
    did(kernel, lost, ask.release(lost));
    for (const node of [kept, lost]) {
      const { opcode, parts } = ask.forget(2);
      kernel.send(opcode, node, parts);
    }
    expect(volume.fs.statfsSync("/").ffree).toBe(free - 1);
    expect([...volume.fs.readFileSync("/named")]).toEqual([...numbers(9)]);
    const file = nodeOf(did(kernel, 1, ask.lookup("named")));
    expect(errnoOf(kernel, file, ask.tmpfile())).toBe(Errno.ENOTDIR[0]);
  });
});

describe("ranges", () => {
  test("fallocate does what each mode says", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f", numbers(20_000));
    const blocks = (): number => attrOf(did(kernel, node, ask.getattr())).blocks;
    const before = blocks();
    did(kernel, node, ask.fallocate(FALLOC_FL_KEEP_SIZE, 0, 100_000));
    expect([sizeOf(kernel, node), blocks() > before]).toEqual([20_000, true]);
    did(kernel, node, ask.fallocate(0, 0, 30_000));
    expect(sizeOf(kernel, node)).toBe(30_000);
    did(kernel, node, ask.fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 9000));
    const want = new Uint8Array(30_000);
    want.set(numbers(20_000).subarray(9000), 9000);
    expect(same(did(kernel, node, ask.read(node, 0, 2 ** 20)).body, want)).toBe(true);
    did(kernel, node, ask.fallocate(FALLOC_FL_ZERO_RANGE, 19_000, 21_000));
    expect(sizeOf(kernel, node)).toBe(40_000);
    did(kernel, node, ask.fallocate(FALLOC_FL_COLLAPSE_RANGE, 0, 8192));
    did(kernel, node, ask.fallocate(FALLOC_FL_INSERT_RANGE, 4096, 4096));
    expect(sizeOf(kernel, node)).toBe(40_000 - 4096);
    for (const [mode, offset, length, code] of [
      [FALLOC_FL_COLLAPSE_RANGE, 1, 4096, "EINVAL"],
      [FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE, 0, 4096, "EOPNOTSUPP"],
      [0x40, 0, 4096, "EOPNOTSUPP"],
      [FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE, 0, 4096, "EOPNOTSUPP"],
      [0, 0, 0, "EINVAL"],
    ] as const) {
      const request = ask.fallocate(mode, offset, length);
      expect(errnoOf(kernel, node, request)).toBe(Errno[code][0]);
    }
    expect(errnoOf(kernel, 1, ask.fallocate(0, 0, 10))).not.toBe(0);
  });

  test("lseek finds data and holes, and past the end there are neither", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f");
    did(kernel, node, ask.write(node, 65_536, numbers(1)));
    const at = (offset: number, whence: number): number =>
      did(kernel, node, ask.lseek(offset, whence)).view.getUint32(0, true);
    expect([at(0, SEEK_DATA), at(0, SEEK_HOLE)]).toEqual([65_536, 0]);
    expect(at(65_536, SEEK_HOLE)).toBe(65_537);
    for (const offset of [65_537, ...FAR]) {
      for (const whence of [SEEK_DATA, SEEK_HOLE]) {
        expect(errnoOf(kernel, node, ask.lseek(offset, whence))).toBe(Errno.ENXIO[0]);
      }
    }
    expect(errnoOf(kernel, node, ask.lseek(0, 0))).toBe(Errno.EINVAL[0]);
  });

  test("copies end with the source, and may stay in one file", () => {
    const { kernel } = fuseVolume({ bytes: 64 << 20 });
    const [a, b] = [make(kernel, "a", numbers(300_000)), make(kernel, "b")];
    const copied = (wide: boolean, ...range: readonly [number, number, number, number]): number =>
      did(kernel, a, ask.copyFileRange(...range, wide)).view.getUint32(0, true);
    expect(copied(false, 100_000, b, 7, 2 ** 40)).toBe(200_000);
    const { body } = did(kernel, b, ask.read(b, 7, 2 ** 20));
    expect(same(body, numbers(300_000).subarray(100_000))).toBe(true);
    expect(copied(true, 0, a, 300_000, 1000)).toBe(1000);
    expect(did(kernel, a, ask.read(a, 300_000, 2000)).body).toEqual(numbers(1000));
    expect(copied(true, 301_000, b, 0, 1000)).toBe(0);
    expect(copied(true, 2 ** 40, b, 0, 1000)).toBe(0);
    const nowhere = ask.copyFileRange(0, 999, 0, 10);
    expect(errnoOf(kernel, a, nowhere)).toBe(Errno.ESTALE[0]);
  });
});

describe("notices", () => {
  test("what a kernel has written since, it is told of again", () => {
    const { volume, kernel } = fuseVolume();
    const node = make(kernel, "f", numbers(5000));
    volume.fs.writeFileSync("/f", "1");
    const { length } = kernel.notices;
    expect(length).toBeGreaterThan(0);
    volume.fs.writeFileSync("/f", "2");
    expect(kernel.notices.length).toBe(length);
    // Now its cache holds this page again, though it never asked.
    did(kernel, node, ask.write(node, 0, numbers(4096)));
    volume.fs.writeFileSync("/f", "3");
    expect(kernel.notices.length).toBe(length + 1);
  });
});
