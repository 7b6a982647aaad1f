import { expect, test } from "vitest";
import { FuseInitOut } from "../../src/format/fuse-calls.ts";
import {
  FUSE_ATOMIC_O_TRUNC,
  FUSE_INIT_EXT,
  FUSE_MAX_PAGES,
  FUSE_NO_OPEN_SUPPORT,
  FUSE_POSIX_ACL,
  FUSE_WRITEBACK_CACHE,
  FuseOpcode as Op,
} from "../../src/format/fuse-flags.ts";
import { type FuseSessionOptions } from "../../src/fuse/options.ts";
import { Errno } from "../../src/lib/errno.ts";
import { codeOf } from "../support/bytes.ts";
import { u32 } from "../support/fuse-client.ts";
import { ask, did, errnoOf } from "../support/fuse-requests.ts";
import { fuseVolume } from "../support/fuse-volume.ts";

function settled(options: FuseSessionOptions, minor?: number, flags?: number, flags2?: number) {
  const { kernel } = fuseVolume(options);
  const { view } = kernel.init(minor, flags, flags2);
  const { major, minor: less, flags: given, flags2: more, maxWrite, maxPages } = FuseInitOut;
  return {
    version: [major.get(view, 0), less.get(view, 0)],
    flags: given.get(view, 0),
    flags2: more.get(view, 0),
    most: [maxWrite.get(view, 0), maxPages.get(view, 0)],
  };
}

test("versions meet at the older one, and nothing is taken that was not offered", () => {
  expect(settled({}, 99).version).toEqual([7, 45]);
  expect(settled({}, 31).version).toEqual([7, 31]);
  expect(settled({}, 45, 0)).toMatchObject({ flags: 0, flags2: 0 });
  expect(settled({}, 45, FUSE_MAX_PAGES).flags).toBe(FUSE_MAX_PAGES);
  const { flags } = settled({}, 45, ~FUSE_INIT_EXT >>> 0);
  expect(flags & FUSE_INIT_EXT).toBe(0);
  expect(settled({}, 45, ~FUSE_INIT_EXT >>> 0).flags2).toBe(0);
  expect(settled({ maxWrite: 65_536 }).most).toEqual([65_536, 16]);
});

test("a kernel that is too old is refused, one that is newer hears what is spoken here", () => {
  const { kernel, session } = fuseVolume();
  const hello = (major: number, minor: number) =>
    kernel.send(Op.INIT, 0, [u32(major), u32(minor), u32(0), u32(0)]);
  expect(hello(7, 30)?.errno).toBe(Errno.EPROTO[0]);
  expect(hello(6, 99)?.errno).toBe(Errno.EPROTO[0]);
  expect(FuseInitOut.major.get(hello(8, 0)?.view as DataView, 0)).toBe(7);
  expect(kernel.send(Op.INIT, 0, [u32(7)])?.errno).toBe(Errno.EINVAL[0]);
  session.end();
  expect(hello(7, 45)?.errno).toBe(Errno.ENODEV[0]);
});

test("options are promises: what breaks them is not asked for", () => {
  const all = settled({}).flags;
  expect(all & FUSE_ATOMIC_O_TRUNC).not.toBe(0);
  expect(all & (FUSE_WRITEBACK_CACHE | FUSE_NO_OPEN_SUPPORT)).toBe(0);
  // A kernel that does not open files tells nobody of O_TRUNC, if it may leave that to the opening.
  const closed = settled({ noOpen: true }).flags;
  expect(closed & FUSE_NO_OPEN_SUPPORT).not.toBe(0);
  expect(closed & FUSE_ATOMIC_O_TRUNC).toBe(0);
  expect(settled({ umask: 0 }).flags & FUSE_POSIX_ACL).toBe(0);
  expect(settled({ writebackCache: true }).flags & FUSE_WRITEBACK_CACHE).not.toBe(0);
});

test("nothing but INIT has an answer before it", () => {
  const { kernel, session } = fuseVolume();
  session.end();
  expect(errnoOf(kernel, 1, ask.statfs())).toBe(Errno.ENODEV[0]);
});

test("timeouts have parts of seconds, and options that are none are refused", () => {
  const { kernel } = fuseVolume({ timeout: 1.5 });
  const { view } = did(kernel, 1, ask.getattr());
  expect([view.getUint32(0, true), view.getUint32(8, true)]).toEqual([1, 500_000_000]);
  const ever = did(fuseVolume({ timeout: Number.POSITIVE_INFINITY }).kernel, 1, ask.getattr());
  expect(ever.view.getUint32(0, true)).toBe(2 ** 31);
  for (const options of [
    { maxWrite: 5000 },
    { maxWrite: 0 },
    { maxWrite: 2 ** 30 },
    { timeout: -1 },
    { timeout: Number.NaN },
    { uid: -1 },
    { gid: 1.5 },
    { umask: 0o1000 },
  ]) {
    expect(codeOf(() => fuseVolume(options))).toBe("EINVAL");
  }
});

test("frames that are none are a broken device, and no request", () => {
  const { session, kernel } = fuseVolume();
  for (const length of [0, 39, 41, session.request.length + 1]) {
    session.request.fill(0);
    session.request[0] = 40;
    expect(codeOf(() => session.answer(length))).toBe("EPROTO");
  }
  expect(kernel.send(Op.READ, 1, [u32(1)])?.errno).toBe(Errno.EINVAL[0]);
});
