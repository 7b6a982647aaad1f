/**
 * The engine of Node's sockets, in this process, before stores that the kernel could have reached.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { type Server, type Socket, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { DaxError } from "../../src/lib/errno.ts";
import { RamMedia } from "../../src/media/ram.ts";
import type { NbdExport } from "../../src/nbd/export.ts";
import { MediaStore } from "../../src/nbd/media-store.ts";
import { openSession } from "../../src/nbd/session.ts";
import type { NbdStore } from "../../src/nbd/store.ts";
import { ExportList } from "../../src/node/nbd/export-list.ts";
import { NetEngine } from "../../src/node/nbd/net-engine.ts";
import {
  DISC,
  READ,
  WRITE,
  handshake,
  option,
  readBlock,
  request,
  take,
} from "../support/nbd-bytes.ts";

const MIB = 1 << 20;
const SIZE = 4 * MIB;
const BAD = 2 * MIB;
const ZEROES = 6;
const ABORT = 2;

/** A store with addresses, as a mapped file has them, of which a part cannot be read. */
class HalfGone extends MediaStore implements NbdStore {
  readonly direct = { addressOf: (offset: number) => 4096 + offset, landed: () => {} };

  override read(offset: number, target: Uint8Array): void {
    if (offset + target.length > BAD && offset < BAD + 4096) {
      throw new DaxError("EIO", { syscall: "read", detail: "gone" });
    }
    super.read(offset, target);
  }
}

/** What it was asked for, in order. */
class Noted extends HalfGone {
  readonly notes: string[] = [];

  override read(offset: number, target: Uint8Array): void {
    this.notes.push("read");
    super.read(offset, target);
  }

  override writeZeroes(): void {
    this.notes.push("zero");
  }
}

interface Rig {
  readonly engine: NetEngine;
  readonly faults: (DaxError | undefined)[];
  readonly calls: string[];
  readonly dial: () => Promise<Socket>;
}

async function rig(store: HalfGone = new HalfGone(new RamMedia(SIZE))): Promise<Rig> {
  store.write(0, new Uint8Array(BAD).fill(7));
  const calls: string[] = [];
  const target: NbdExport = {
    name: "x",
    store,
    onAttach: () => calls.push("attach"),
    onDetach: () => calls.push("detach"),
  };
  const list = new ExportList([target]);
  const engine = new NetEngine();
  const faults: (DaxError | undefined)[] = [];
  const server: Server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    engine.adoptSocket(socket, openSession(list), { onClosed: (fault) => faults.push(fault) });
  });
  const folder = mkdtempSync(join(tmpdir(), "daxkit-net-"));
  const path = join(folder, "s");
  await new Promise<void>((resolve) => server.listen(path, resolve));
  onTestFinished(async () => {
    await engine.close(0);
    server.close();
    rmSync(folder, { recursive: true });
  });
  async function dial(): Promise<Socket> {
    const socket = connect(path);
    onTestFinished(() => {
      socket.destroy();
    });
    socket.on("error", () => {});
    await new Promise((resolve) => socket.once("connect", resolve));
    return socket;
  }
  return { engine, faults, calls, dial };
}

test("what cannot be read is an error of that request, and the connection goes on", async () => {
  const { dial } = await rig();
  const socket = await dial();
  expect(await handshake(socket)).toBe(SIZE);
  socket.write(
    Buffer.concat([request(READ, 0, MIB), request(READ, BAD, 512), request(READ, 0, 512)]),
  );
  const good = await take(socket, 16 + MIB);
  expect(good.readUInt32BE(4)).toBe(0);
  expect(good.subarray(16).every((byte) => byte === 7)).toBe(true);
  const bad = await take(socket, 16);
  expect(bad.readUInt32BE(4)).toBe(5);
  const last = await take(socket, 16 + 512);
  expect(last.readUInt32BE(4)).toBe(0);
  expect((await readBlock(socket, 3 * MIB, MIB)).every((byte) => byte === 0)).toBe(true);
});

test("a large reply that breaks off ends the connection, not the server", async () => {
  const { dial, faults } = await rig();
  const socket = await dial();
  await handshake(socket);
  // Simple replies: success was said before the part that is gone.
  socket.write(request(READ, BAD - MIB, 2 * MIB));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.resume();
  await closed;
  await expect.poll(() => faults.length).toBe(1);
  const other = await dial();
  await handshake(other);
  expect((await readBlock(other, 0, 512))[0]).toBe(7);
});

test("writes arrive in any pieces, and exports hear of their clients", async () => {
  const { dial, calls, engine } = await rig();
  const socket = await dial();
  await handshake(socket);
  expect(calls).toEqual(["attach"]);
  const data = Buffer.alloc(300_001, "abcdefg");
  const talk = Buffer.concat([request(WRITE, 3 * MIB, data.length), data]);
  for (let at = 0; at < talk.length; at += 99_991) {
    socket.write(talk.subarray(at, at + 99_991));
    // oxlint-disable-next-line no-await-in-loop -- so that they are pieces
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect((await take(socket, 16)).readUInt32BE(4)).toBe(0);
  expect((await readBlock(socket, 3 * MIB, data.length)).equals(data)).toBe(true);
  expect(engine.connections).toBe(1);
  socket.write(request(DISC, 0, 0));
  await expect.poll(() => calls).toEqual(["attach", "detach"]);
  expect(engine.connections).toBe(0);
});

test("one that asks for much at once lets others have their turn", async () => {
  const store = new Noted(new RamMedia(SIZE));
  const { dial } = await rig(store);
  const [greedy, other] = [await dial(), await dial()];
  await handshake(greedy);
  await handshake(other);
  greedy.write(Buffer.concat(Array.from({ length: 400 }, () => request(ZEROES, 0, SIZE))));
  await readBlock(other, 0, 512);
  await take(greedy, 400 * 16);
  expect(store.notes.filter((note) => note === "zero")).toHaveLength(400);
  expect(store.notes.indexOf("read")).toBeLessThan(300);
});

test("a client that says goodbye and does not wait for the answer did nothing wrong", async () => {
  const { dial, faults } = await rig();
  const socket = await dial();
  await take(socket, 18);
  const goodbye = Buffer.concat([Buffer.from([0, 0, 0, 3]), option(ABORT)]);
  // Destroyed when it has gone out: the answer meets nobody.
  socket.end(goodbye, () => socket.destroy());
  await expect.poll(() => faults).toEqual([undefined]);
});

test("an engine that closes answers what was received, and takes nobody more", async () => {
  const store = new Noted(new RamMedia(SIZE));
  const { dial, engine, faults } = await rig(store);
  const socket = await dial();
  await handshake(socket);
  const idle = await dial();
  idle.resume();
  socket.write(request(READ, 0, MIB));
  await expect.poll(() => store.notes).toContain("read");
  await expect.poll(() => engine.connections).toBe(2);
  const answer = take(socket, 16 + MIB);
  await engine.close(60_000);
  expect((await answer).readUInt32BE(4)).toBe(0);
  expect(faults).toHaveLength(2);
  expect(() =>
    engine.adopt(0, openSession(new ExportList([])), { onClosed() {}, onTls() {} }),
  ).toThrow(DaxError);
});

test("a STARTTLS that nobody has keys for is refused, and clear text goes on", async () => {
  const { dial } = await rig();
  const socket = await dial();
  await take(socket, 18);
  socket.write(Buffer.concat([Buffer.from([0, 0, 0, 3]), option(5)]));
  const reply = await take(socket, 20);
  expect(reply.readUInt32BE(12)).toBeGreaterThanOrEqual(2 ** 31);
});
