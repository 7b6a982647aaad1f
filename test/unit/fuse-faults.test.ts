/** Devices that fail under a session. */
import { describe, expect, onTestFinished, test } from "vitest";
import { type FaultRule, FaultyDevice } from "../../src/block/fault-injection.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { FuseSession } from "../../src/fuse/session.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { Errno } from "../../src/lib/errno.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { makeVolume } from "../../src/node/index.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { codeOf } from "../support/bytes.ts";
import { FuseClient } from "../support/fuse-client.ts";
import { ask, attrOf, did, errnoOf, nodeOf } from "../support/fuse-requests.ts";
import { ToyDisk } from "../support/toy-disk.ts";

const PAGE = 4096;

interface Failing {
  readonly toy: ToyDisk;
  readonly tree: FileTree;
  readonly session: FuseSession;
  readonly kernel: FuseClient;
  /** From now on the device fails as a rule says. */
  readonly fail: (rule: FaultRule) => void;
}

/** A volume on a disk that can be told to fail. */
function failing(dax: boolean): Failing {
  const toy = new ToyDisk({ pages: 2048, dax });
  const environment = seededEnvironment(9);
  makeVolume(RamMedia.over(toy.bytes), { blockSize: PAGE, environment });
  const device = new FaultyDevice(toy.disk, { reach: dax ? "metadata" : "all" });
  const options = { write: true, errors: "remount-ro" } as const;
  const tree = new FileTree(ext.mount(device, options, environment));
  const session = new FuseSession(tree);
  const kernel = new FuseClient(session);
  kernel.init();
  onTestFinished(() => session.end());
  return { toy, tree, session, kernel, fail: (rule) => device.arm([rule]) };
}

function make(kernel: FuseClient, name: string, size: number): number {
  const node = nodeOf(did(kernel, 1, ask.create(name)));
  did(kernel, node, ask.write(node, 0, new Uint8Array(size).fill(7)));
  return node;
}

/** Pages of the disk whose bytes are all 7. */
function pagesOf({ bytes }: ToyDisk): number[] {
  const pages: number[] = [];
  for (let page = 0; page < bytes.length / PAGE; page++) {
    const at = page * PAGE;
    if (bytes[at] === 7 && bytes[at + PAGE - 1] === 7 && bytes[at + 100] === 7) pages.push(page);
  }
  return pages;
}

describe("poison", () => {
  test("is EIO for the whole read that meets it, and no early end of the file", () => {
    const { toy, kernel } = failing(true);
    const node = make(kernel, "f", 40 * PAGE);
    const bad = pagesOf(toy)[20] as number;
    toy.poison.add(bad);
    for (const [offset, size, errno] of [
      [0, 64 * PAGE, Errno.EIO[0]],
      [18 * PAGE, 4 * PAGE, Errno.EIO[0]],
      [20 * PAGE, PAGE, Errno.EIO[0]],
      [0, 20 * PAGE, 0],
      [18 * PAGE, 2 * PAGE, 0],
      [21 * PAGE, 64 * PAGE, 0],
    ] as const) {
      expect(errnoOf(kernel, node, ask.read(node, offset, size))).toBe(errno);
    }
    expect(attrOf(did(kernel, node, ask.getattr())).size).toBe(40 * PAGE);
  });

  test("a copy ends in front of it, and is EIO at it", () => {
    const { toy, kernel } = failing(true);
    const [from, to] = [make(kernel, "f", 40 * PAGE), nodeOf(did(kernel, 1, ask.create("g")))];
    toy.poison.add(pagesOf(toy)[20] as number);
    const { view } = did(kernel, from, ask.copyFileRange(0, to, 0, 40 * PAGE));
    expect(view.getUint32(0, true)).toBe(20 * PAGE);
    const rest = ask.copyFileRange(20 * PAGE, to, 20 * PAGE, 20 * PAGE);
    expect(errnoOf(kernel, from, rest)).toBe(Errno.EIO[0]);
  });

  test("what the kernel cannot read of an answer is EIO, without pieces", () => {
    const { session, kernel } = failing(true);
    const node = make(kernel, "f", 40 * PAGE);
    did(kernel, node, ask.read(node, 0, 40 * PAGE));
    expect(session.reply.pieceCount).toBeGreaterThan(0);
    session.spoiled();
    const { bytes, length, pieceCount } = session.reply;
    expect([length, pieceCount]).toEqual([16, 0]);
    expect(new DataView(bytes.buffer).getInt32(4, true)).toBe(-Errno.EIO[0]);
  });
});

describe.each([
  ["through requests", false],
  ["through memory", true],
] as const)("a device that fails while it is used, %s", (_, dax) => {
  test("tells who syncs, then writes nothing more, is read, and ends", () => {
    const { tree, session, kernel, fail } = failing(dax);
    const node = make(kernel, "f", 30 * PAGE);
    const held = make(kernel, "held", PAGE);
    did(kernel, 1, ask.unlink("held"));
    did(kernel, node, ask.fsync());
    did(kernel, 1, ask.mkdir("later"));
    fail({ operations: ["write", "flush"] });
    expect(errnoOf(kernel, 1, ask.fsyncdir())).toBe(Errno.EIO[0]);
    for (const request of [
      ask.mkdir("d"),
      ask.unlink("f"),
      ask.rename(1, "f", "g"),
      ask.create("new"),
      ask.setattr({ valid: 1, mode: 0o600 }),
      ask.setxattr("user.a", new Uint8Array(3)),
      ask.tmpfile(),
    ]) {
      expect(errnoOf(kernel, 1, request)).toBe(Errno.EROFS[0]);
    }
    const late = ask.write(node, 100 * PAGE, new Uint8Array(5));
    expect(errnoOf(kernel, node, late)).toBe(Errno.EROFS[0]);
    // What was written is still there to be read.
    for (const pages of [3, 30]) {
      const { body } = did(kernel, node, ask.read(node, 0, pages * PAGE));
      expect([body.length, body.every((byte) => byte === 7)]).toEqual([pages * PAGE, true]);
    }
    did(kernel, 1, ask.lookup("f"));
    kernel.send(ask.release(held).opcode, held, ask.release(held).parts);
    const { opcode, parts } = ask.forget(1);
    expect(kernel.send(opcode, held, parts)).toBeUndefined();
    codeOf(() => session.end());
    expect(tree.root.mount.users).toBe(0);
    expect(["EIO", "EROFS", undefined]).toContain(codeOf(() => tree.close()));
  });

  test("everything open ends all the same", () => {
    const { tree, session, kernel, fail } = failing(dax);
    for (let i = 0; i < 50; i++) {
      make(kernel, `f${i}`, PAGE);
      did(kernel, 1, ask.unlink(`f${i}`));
    }
    fail({ operations: ["write", "flush"] });
    codeOf(() => session.end());
    expect(tree.root.mount.users).toBe(0);
    codeOf(() => tree.close());
    expect(tree.root.mount.live).toBe(false);
  });
});
