import { describe, expect, test } from "vitest";
import {
  FATTR_ATIME,
  FATTR_ATIME_NOW,
  FATTR_GID,
  FATTR_KILL_SUIDGID,
  FATTR_MODE,
  FATTR_MTIME,
  FATTR_MTIME_NOW,
  FATTR_SIZE,
  FATTR_UID,
  FS_IOC_FSGETXATTR,
  FS_IOC_FSSETXATTR,
  FS_IOC_GETFLAGS,
  FS_IOC_GETVERSION,
  FS_IOC_SETFLAGS,
  FUSE_OPEN_KILL_SUIDGID,
  FUSE_SETXATTR_ACL_KILL_SGID,
  FUSE_WRITE_KILL_SUIDGID,
  XATTR_CREATE,
  XATTR_REPLACE,
} from "../../src/format/fuse-flags.ts";
import { FuseKstatfs } from "../../src/format/fuse.ts";
import { FuseStatx } from "../../src/format/fuse-calls.ts";
import { Errno } from "../../src/lib/errno.ts";
import { decodeUtf8, encodeUtf8 } from "../../src/lib/utf8.ts";
import type { FuseClient } from "../support/fuse-client.ts";
import { type Ask, ask, attrOf, did, errnoOf, nodeOf } from "../support/fuse-requests.ts";
import { fuseVolume } from "../support/fuse-volume.ts";

const EXTENTS_FL = 0x80000;
const IMMUTABLE_FL = 0x10;
const APPEND_FL = 0x20;

function make(kernel: FuseClient, name: string, mode: number): number {
  return nodeOf(did(kernel, 1, ask.mknod(name, 0o100000 | mode)));
}

function shown(kernel: FuseClient, node: number): ReturnType<typeof attrOf> {
  return attrOf(did(kernel, node, ask.getattr()));
}

describe("FUSE_SETATTR", () => {
  test("sets several things at once, and tells what came of it", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f", 0o644);
    const valid = FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME;
    const wanted = { mode: 0o2750, uid: 7, gid: 8, size: 5000, atime: 11, mtime: 12, nsec: 13 };
    const answer = did(kernel, node, ask.setattr({ valid, ...wanted }));
    const { nsec: mtimensec, ...others } = wanted;
    expect(attrOf(answer)).toMatchObject({ ...others, mtimensec, mode: 0o102750 });
    const now = attrOf(did(kernel, node, ask.setattr({ valid: FATTR_ATIME | FATTR_ATIME_NOW })));
    expect(now.atime).toBeGreaterThan(1000);
    expect(now.mtime).toBe(12);
    did(kernel, node, ask.setattr({ valid: FATTR_MTIME | FATTR_MTIME_NOW }));
    expect(shown(kernel, node).mtime).toBeGreaterThan(1000);
  });

  test("times before 1970 are times, and a second has a billion nanoseconds", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f", 0o644);
    const before = ask.setattr({ valid: FATTR_MTIME, mtime: 0 });
    // -3 in two words.
    const parts = before.parts.with(6, { u64: 2 ** 64 - 2 ** 11 });
    did(kernel, node, { ...before, parts });
    expect(shown(kernel, node).mtime).toBeLessThan(0);
    const odd = ask.setattr({ valid: FATTR_MTIME, mtime: 5, nsec: 1e9 });
    expect(errnoOf(kernel, node, odd)).toBe(Errno.EINVAL[0]);
  });

  test("sizes beyond what files can have are EFBIG, and change nothing", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f", 0o4711);
    for (const size of [2 ** 44, 2 ** 53, 2 ** 63 - 2 ** 11]) {
      const request = ask.setattr({ valid: FATTR_SIZE | FATTR_KILL_SUIDGID, size });
      expect(errnoOf(kernel, node, request)).toBe(Errno.EFBIG[0]);
    }
    expect(shown(kernel, node)).toMatchObject({ size: 0, mode: 0o104711 });
    const size = (2 ** 32 - 1) * FuseKstatfs.bsize.get(did(kernel, 1, ask.statfs()).view, 0);
    did(kernel, node, ask.setattr({ valid: FATTR_SIZE, size }));
    expect(shown(kernel, node)).toMatchObject({ size, blocks: 0 });
    expect(errnoOf(kernel, 1, ask.setattr({ valid: FATTR_SIZE }))).toBe(Errno.EISDIR[0]);
  });

  test("links have no permissions of their own, but owners", () => {
    const { kernel } = fuseVolume();
    const link = nodeOf(did(kernel, 1, ask.symlink("l", "x")));
    const mode = ask.setattr({ valid: FATTR_MODE, mode: 0 });
    expect(errnoOf(kernel, link, mode)).toBe(Errno.EOPNOTSUPP[0]);
    did(kernel, link, ask.setattr({ valid: FATTR_UID, uid: 5 }));
    expect(shown(kernel, link).uid).toBe(5);
    expect(errnoOf(kernel, link, ask.setattr({ valid: FATTR_SIZE }))).toBe(Errno.EINVAL[0]);
  });

  test("what goes with an owner: setuid, and setgid where the group executes", () => {
    const { kernel } = fuseVolume();
    for (const [before, after] of [
      [0o6755, 0o755],
      [0o6745, 0o2745],
      [0o4644, 0o644],
      [0o2654, 0o654],
    ] as const) {
      for (const valid of [FATTR_UID, FATTR_GID, 0]) {
        const node = make(kernel, `f${before}-${valid}`, before);
        did(kernel, node, ask.setattr({ valid, uid: 1, gid: 1 }));
        expect(shown(kernel, node).mode & 0o7777).toBe(after);
      }
    }
    const folder = nodeOf(did(kernel, 1, ask.mkdir("d")));
    did(kernel, folder, ask.setattr({ valid: FATTR_MODE, mode: 0o2770 }));
    did(kernel, folder, ask.setattr({ valid: FATTR_UID, uid: 1 }));
    expect(shown(kernel, folder).mode).toBe(0o042770);
  });

  test("what goes with a write, a cut and an O_TRUNC by somebody without rights", () => {
    const { kernel } = fuseVolume();
    const bytes = new Uint8Array(3);
    const changes = [
      (node: number) => ask.write(node, 0, bytes, FUSE_WRITE_KILL_SUIDGID),
      () => ask.setattr({ valid: FATTR_SIZE | FATTR_KILL_SUIDGID, size: 2 }),
      () => ask.open(0o1002, FUSE_OPEN_KILL_SUIDGID),
    ];
    for (const [k, change] of changes.entries()) {
      for (const [before, after] of [
        [0o6755, 0o755],
        [0o6745, 0o2745],
      ] as const) {
        const node = make(kernel, `f${k}-${before}`, before);
        did(kernel, node, change(node));
        expect(shown(kernel, node).mode & 0o7777).toBe(after);
      }
      // Who has the right to set them keeps them.
      const kept = make(kernel, `kept${k}`, 0o6755);
      const request = change(kept);
      const flags = k === 0 ? 3 : k === 1 ? 0 : 1;
      const parts = request.parts.with(flags, k === 1 ? { u32: FATTR_SIZE } : { u32: 0 });
      did(kernel, kept, { ...request, parts });
      expect(shown(kernel, kept).mode & 0o7777).toBe(0o6755);
    }
  });

  test("every change moves ctime, and cutting mtime", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f", 0o644);
    const at = (): number => {
      const { ctime, ctimensec } = shown(kernel, node);
      return ctime * 1e9 + ctimensec;
    };
    const requests = [
      ask.setattr({ valid: FATTR_MODE, mode: 0o600 }),
      ask.setattr({ valid: FATTR_UID, uid: 3 }),
      ask.setattr({ valid: 0 }),
      ask.setattr({ valid: FATTR_SIZE, size: 0 }),
      ask.setattr({ valid: FATTR_MTIME, mtime: 4 }),
      ask.open(0o1002),
      ask.setxattr("user.a", encodeUtf8("1")),
      ask.removexattr("user.a"),
      ask.ioctl(FS_IOC_SETFLAGS, words(EXTENTS_FL | 0x80)),
    ];
    for (const request of requests) {
      const before = at();
      did(kernel, node, request);
      expect(at()).toBeGreaterThan(before);
    }
    did(kernel, node, ask.setattr({ valid: FATTR_MTIME, mtime: 4 }));
    did(kernel, node, ask.setattr({ valid: FATTR_SIZE, size: 9 }));
    expect(shown(kernel, node).mtime).toBeGreaterThan(4);
  });
});

describe("what is shown", () => {
  test("statx tells of births", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f", 0o644);
    const { view } = did(kernel, node, ask.statx());
    expect(FuseStatx.mask.get(view, 32)).toBe(0xfff);
    expect(FuseStatx.btimeLo.get(view, 32)).toBe(shown(kernel, node).ctime);
    expect(FuseStatx.mode.get(view, 32)).toBe(0o100644);
  });

  test("owners and permissions that are the same for all", () => {
    const { kernel } = fuseVolume({ uid: 5, gid: 6, umask: 0o027 });
    const node = make(kernel, "f", 0o600);
    expect(shown(kernel, node)).toMatchObject({ uid: 5, gid: 6, mode: 0o100750 });
    expect(shown(kernel, 1).mode).toBe(0o040750);
  });

  test("devices keep their numbers, whatever fits 32 bits", () => {
    const { kernel } = fuseVolume();
    const packed = (0x12345 & 0xff) | (0xabc << 8) | ((0x12345 & ~0xff) << 12);
    const node = nodeOf(did(kernel, 1, ask.mknod("dev", 0o020600, packed)));
    expect(shown(kernel, node).rdev).toBe(packed >>> 0);
    expect(errnoOf(kernel, 1, ask.mknod("dir", 0o040700))).toBe(Errno.EPERM[0]);
    expect(errnoOf(kernel, 1, ask.mknod("odd", 0o030700))).toBe(Errno.EINVAL[0]);
  });

  test("a volume that is not written to says so", () => {
    const { kernel } = fuseVolume({ open: { write: false } });
    did(kernel, 1, ask.statfs());
    const found = nodeOf(did(kernel, 1, ask.lookup("lost+found")));
    for (const [node, request] of [
      [1, ask.mkdir("d")],
      [1, ask.create("f")],
      [1, ask.rmdir("lost+found")],
      [1, ask.rename(1, "lost+found", "x")],
      [found, ask.setattr({ valid: FATTR_MODE })],
      [found, ask.setattr({ valid: 0 })],
      [found, ask.setxattr("user.a", new Uint8Array(1))],
      [found, ask.removexattr("user.a")],
      [found, ask.ioctl(FS_IOC_SETFLAGS, words(0))],
      [1, ask.tmpfile()],
    ] as const) {
      expect(errnoOf(kernel, node, request)).toBe(Errno.EROFS[0]);
    }
    did(kernel, found, ask.fsyncdir());
    did(kernel, 1, ask.syncfs());
  });
});

function set(flags: number): Ask {
  return ask.setxattr("user.a", encodeUtf8("value"), flags);
}

function words(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

describe("attributes with names", () => {
  test("are set, replaced, listed and removed", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f", 0o644);
    expect(errnoOf(kernel, node, set(XATTR_REPLACE))).toBe(Errno.ENODATA[0]);
    did(kernel, node, set(XATTR_CREATE));
    expect(errnoOf(kernel, node, set(XATTR_CREATE))).toBe(Errno.EEXIST[0]);
    did(kernel, node, ask.setxattr("trusted.b", new Uint8Array(0)));
    expect(did(kernel, node, ask.getxattr("user.a", 0)).view.getUint32(0, true)).toBe(5);
    expect(errnoOf(kernel, node, ask.getxattr("user.a", 4))).toBe(Errno.ERANGE[0]);
    expect(decodeUtf8(did(kernel, node, ask.getxattr("user.a", 5)).body)).toBe("value");
    expect(did(kernel, node, ask.getxattr("trusted.b", 5)).body.length).toBe(0);
    expect(decodeUtf8(did(kernel, node, ask.listxattr()).body)).toBe("user.a\0trusted.b\0");
    kernel.uid = 1000;
    expect(decodeUtf8(did(kernel, node, ask.listxattr()).body)).toBe("user.a\0");
    did(kernel, node, ask.removexattr("user.a"));
    expect(errnoOf(kernel, node, ask.removexattr("user.a"))).toBe(Errno.ENODATA[0]);
    expect(errnoOf(kernel, node, ask.getxattr("user.a"))).toBe(Errno.ENODATA[0]);
    expect(errnoOf(kernel, node, ask.getxattr("odd.a"))).toBe(Errno.EOPNOTSUPP[0]);
    expect(errnoOf(kernel, node, ask.getxattr(""))).toBe(Errno.ERANGE[0]);
  });

  test("a value in an inode of its own is refused where it made a link unreadable", () => {
    const { volume, kernel } = fuseVolume({ make: { blockSize: 1024, features: "ea_inode" } });
    const link = nodeOf(did(kernel, 1, ask.symlink("l", "a")));
    const big = ask.setxattr("security.d", new Uint8Array(3000));
    expect(errnoOf(kernel, link, big)).toBe(Errno.ENOSPC[0]);
    did(kernel, make(kernel, "f", 0o644), big);
    const long = nodeOf(did(kernel, 1, ask.symlink("m", "b".repeat(100))));
    did(kernel, long, big);
    did(kernel, link, ask.setxattr("security.d", new Uint8Array(300)));
    expect(volume.fs.readlinkSync("/l")).toBe("a");
  });

  test("a default list stands for the umask, and lists for members only keep no setgid", () => {
    const { kernel } = fuseVolume();
    const folder = nodeOf(did(kernel, 1, ask.mkdir("d")));
    did(kernel, folder, ask.setxattr("system.posix_acl_default", acl(7, 5, 5)));
    const inside = did(kernel, folder, ask.create("f", 0o100666, 2, 0o077));
    expect(attrOf(inside, 40).mode & 0o777).toBe(0o644);
    const outside = did(kernel, 1, ask.create("f", 0o100666, 2, 0o077));
    expect(attrOf(outside, 40).mode & 0o777).toBe(0o600);
    const node = make(kernel, "g", 0o2755);
    const list = acl(6, 4, 0);
    const some = FUSE_SETXATTR_ACL_KILL_SGID;
    did(kernel, node, ask.setxattr("system.posix_acl_access", list, 0, 0));
    expect(shown(kernel, node).mode & 0o7777).toBe(0o2640);
    did(kernel, node, ask.setxattr("system.posix_acl_access", list, 0, some));
    expect(shown(kernel, node).mode & 0o7777).toBe(0o640);
  });
});

/** A list without names: owner, group and others. */
function acl(...perms: number[]): Uint8Array {
  const bytes = new Uint8Array(4 + 8 * 3);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 2, true);
  for (const [i, tag] of [1, 4, 0x20].entries()) {
    view.setUint16(4 + 8 * i, tag, true);
    view.setUint16(6 + 8 * i, perms[i] as number, true);
    view.setUint32(8 + 8 * i, 0xffff_ffff, true);
  }
  return bytes;
}

describe("ioctls", () => {
  test("flags are read and set, in chattr's words and in XFS's", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f", 0o644);
    const flags = (): number =>
      did(kernel, node, ask.ioctl(FS_IOC_GETFLAGS, undefined, 4)).view.getUint32(16, true);
    expect(flags()).toBe(EXTENTS_FL);
    did(kernel, node, ask.ioctl(FS_IOC_SETFLAGS, words(EXTENTS_FL | APPEND_FL)));
    const xflags = did(kernel, node, ask.ioctl(FS_IOC_FSGETXATTR, undefined, 28));
    expect(xflags.view.getUint32(16, true)).toBe(0x10);
    expect(errnoOf(kernel, node, ask.open(2))).toBe(Errno.EPERM[0]);
    did(kernel, node, ask.open(0o2002));
    did(kernel, node, ask.ioctl(FS_IOC_FSSETXATTR, words(0x8, 0, 0, 0, 0, 0, 0)));
    expect(flags()).toBe(EXTENTS_FL | IMMUTABLE_FL);
    expect(errnoOf(kernel, node, ask.open(1))).toBe(Errno.EPERM[0]);
    expect(errnoOf(kernel, 1, ask.unlink("f"))).toBe(Errno.EPERM[0]);
    expect(errnoOf(kernel, node, ask.setattr({ valid: FATTR_MODE }))).toBe(Errno.EPERM[0]);
    did(kernel, node, ask.ioctl(FS_IOC_FSSETXATTR, words(0, 0, 0, 0, 0, 0, 0)));
    did(kernel, 1, ask.unlink("f"));
  });

  test("the flag for dax is set where files can have it", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f", 0o644);
    did(kernel, node, ask.ioctl(FS_IOC_FSSETXATTR, words(0x8000, 0, 0, 0, 0, 0, 0)));
    const { view } = did(kernel, node, ask.ioctl(FS_IOC_GETFLAGS, undefined, 4));
    expect(view.getUint32(16, true) & 0x0200_0000).not.toBe(0);
  });

  test("what is no ioctl of files, too short, or asks for what there is not is refused", () => {
    const { kernel } = fuseVolume();
    const node = make(kernel, "f", 0o644);
    expect(errnoOf(kernel, node, ask.ioctl(0x5401))).toBe(Errno.ENOTTY[0]);
    expect(errnoOf(kernel, node, ask.ioctl(FS_IOC_SETFLAGS, words()))).toBe(Errno.EINVAL[0]);
    expect(errnoOf(kernel, node, ask.ioctl(FS_IOC_GETFLAGS))).toBe(Errno.EINVAL[0]);
    const project = words(0, 0, 0, 7, 0, 0, 0);
    expect(errnoOf(kernel, node, ask.ioctl(FS_IOC_FSSETXATTR, project))).toBe(Errno.EOPNOTSUPP[0]);
    expect(errnoOf(kernel, node, ask.ioctl(FS_IOC_SETFLAGS, words(0x4000_0000)))).toBe(
      Errno.EOPNOTSUPP[0],
    );
    did(kernel, node, ask.ioctl(FS_IOC_GETVERSION, undefined, 8));
  });
});
