/**
 * Engines over real sockets: on the event loop, and with threads.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, truncateSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import type { DaxError } from "../../src/lib/errno.ts";
import { DirtyMap } from "../../src/nbd/dirty-map.ts";
import { openSession } from "../../src/nbd/session.ts";
import { openFileMedia } from "../../src/node/file-media.ts";
import { libc } from "../../src/node/libc.unsafe.ts";
import type { Attached, Engine } from "../../src/node/nbd/engine.ts";
import { type MappedStore, shareStore } from "../../src/node/nbd/mapped-store.ts";
import { PolledEngine } from "../../src/node/nbd/polled-engine.ts";
import { ThreadPool } from "../../src/node/nbd/thread-pool.ts";
import { ThreadEngine } from "../../src/node/nbd/thread-engine.ts";
import { childArguments } from "../support/child.ts";
import { openDescriptors, SocketClient, socketPair } from "../support/nbd-socket.ts";
import { directoryOf } from "../support/nbd-wire.ts";
import { places, scratch } from "../support/scratch.ts";

const none = libc() === undefined;
const why = none ? " (no foreign calls here)" : "";
const SIZE = 8 << 20;
const EIO = 5;

interface Served {
  readonly engine: Engine;
  readonly path: string;
  readonly dirty: DirtyMap;
  readonly faults: (DaxError | undefined)[];
  /** How often transmission began, less how often it was over. */
  attached: number;
  connect(this: void): { client: SocketClient; attached: Attached };
}

/** Serves a new file of {@link SIZE} zeros until the test ends. */
function serve(engine: Engine, spoil: (store: MappedStore) => MappedStore = (s) => s): Served {
  const path = scratch(places["tmpfs"]);
  const media = openFileMedia(path, { create: SIZE });
  const shared = shareStore(media)!;
  const dirty = new DirtyMap(SIZE);
  const served: Served = {
    engine,
    path,
    dirty,
    faults: [],
    attached: 0,
    connect() {
      const [ours, theirs] = socketPair();
      const client = new SocketClient(theirs);
      const attached = engine.adopt(ours, openSession(directory), {
        onTls: () => {},
        onClosed: (fault) => served.faults.push(fault),
      });
      onTestFinished(() => client.destroy());
      return { client, attached };
    },
  };
  const directory = directoryOf({
    name: "disk",
    store: spoil(shared.store),
    dirty,
    onAttach: () => served.attached++,
    onDetach: () => served.attached--,
  });
  onTestFinished(async () => {
    await engine.close(100);
    shared.release();
    media.close();
  });
  return served;
}

const bytesOf = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) * 13 + seed) & 255);

/** Keeps a connection busy until it is carried by `carrier`. */
async function until(carrier: string, client: SocketClient, attached: Attached): Promise<void> {
  // A busy machine takes long to start a thread.
  const deadline = Date.now() + 60_000;
  while (attached.carrier !== carrier && Date.now() < deadline) {
    // oxlint-disable-next-line no-await-in-loop
    await client.command(3);
    // oxlint-disable-next-line no-await-in-loop
    await sleep(1);
  }
  expect(attached.carrier).toBe(carrier);
}

const engines: Record<string, () => Engine> = {
  "the event loop": () => new PolledEngine(),
  threads: () => new ThreadEngine({ threads: 2, idleMs: 10_000 }),
};

for (const [name, make] of Object.entries(engines)) {
  const carrier = name === "threads" ? "thread" : "polled";

  describe.skipIf(none)(`an engine on ${name}${why}`, () => {
    test("writes and reads of every size arrive", async () => {
      const { path, dirty, connect } = serve(make());
      const { client, attached } = connect();
      expect(await client.go()).toBe(SIZE);
      await until(carrier, client, attached);
      const model = new Uint8Array(SIZE);
      for (const [i, length] of [1, 511, 4096, 65_536, 300_000, 2_500_001].entries()) {
        const offset = i * 777_777;
        const bytes = bytesOf(length, i);
        model.set(bytes, offset);
        // oxlint-disable-next-line no-await-in-loop
        expect(await client.write(offset, bytes, i & 1)).toBe(0);
        // oxlint-disable-next-line no-await-in-loop
        expect(Buffer.compare(await client.readAt(offset, length), bytes)).toBe(0);
      }
      expect(Buffer.compare(readFileSync(path), model)).toBe(0);
      expect([...dirty.extents(0, 4096)]).toEqual([{ length: 4096, dirty: true }]);
      expect([...dirty.extents(SIZE - 4096, 4096)]).toEqual([{ length: 4096, dirty: false }]);
    });

    test("many requests sent at once are answered in order, errors among them", async () => {
      const { connect } = serve(make());
      const { client, attached } = connect();
      await client.go();
      await until(carrier, client, attached);
      const writes = Array.from({ length: 300 }, (_, i) =>
        client.ask({ type: 1, offset: i * 8192, payload: bytesOf(8192, i) }),
      );
      client.send(...writes, client.ask({ type: 0, offset: SIZE, length: 1 }));
      for (let i = 0; i < 300; i++) {
        // oxlint-disable-next-line no-await-in-loop
        expect((await client.reply()).error).toBe(0);
      }
      expect((await client.reply()).error).toBe(22);
      client.send(...writes.map((_, i) => client.ask({ type: 0, offset: i * 8192, length: 8192 })));
      for (let i = 0; i < 300; i++) {
        // oxlint-disable-next-line no-await-in-loop
        expect(Buffer.compare((await client.reply(8192)).data, bytesOf(8192, i))).toBe(0);
      }
    });

    test("a file cut under a client is EIO there, and nothing else ends", async () => {
      const { path, connect } = serve(make());
      const { client, attached } = connect();
      await client.go();
      await until(carrier, client, attached);
      expect(await client.write(0, bytesOf(1 << 20, 1))).toBe(0);
      truncateSync(path, 65_536);
      expect(await client.write(4 << 20, bytesOf(1 << 20, 2))).toBe(EIO);
      expect(await client.write(4 << 20, bytesOf(512, 2))).toBe(EIO);
      await expect(client.readAt(1 << 20, 4096)).rejects.toThrow(`error ${EIO}`);
      expect(await client.command(3)).toBe(EIO);
      expect(Buffer.compare(await client.readAt(0, 65_536), bytesOf(65_536, 1))).toBe(0);
      expect(await client.write(0, bytesOf(4096, 3))).toBe(0);
      expect(attached.carrier).toBe(carrier);
    });

    test("clients that go away, in any state, leave nothing behind", async () => {
      const served = serve(make());
      const warm = served.connect();
      await warm.client.go();
      await until(carrier, warm.client, warm.attached);
      const before = openDescriptors();
      const halves = [
        async () => {},
        async (client: SocketClient) => client.send(new Uint8Array(3)),
        async (client: SocketClient) => void (await client.go()),
        async (client: SocketClient) => {
          await client.go();
          client.send(client.ask({ type: 1, offset: 0, payload: bytesOf(9000, 1) }).slice(0, 5000));
        },
        async (client: SocketClient) => {
          await client.go();
          for (let i = 0; i < 50; i++) {
            client.send(client.ask({ type: 0, offset: 0, length: 1 << 20 }));
          }
        },
        async (client: SocketClient) => {
          await client.go();
          client.send(client.ask({ type: 2 }));
          await client.closed;
        },
      ];
      for (const half of halves) {
        const { client } = served.connect();
        // oxlint-disable-next-line no-await-in-loop
        await half(client);
        client.destroy();
        // oxlint-disable-next-line no-await-in-loop
        await client.closed;
      }
      while (served.engine.connections > 1 || openDescriptors() > before) {
        // oxlint-disable-next-line no-await-in-loop
        await sleep(5);
      }
      await sleep(5);
      expect(served.faults).toHaveLength(halves.length);
      expect(served.attached).toBe(1);
      expect(await warm.client.command(3)).toBe(0);
    });

    test("close answers what was received, and then says goodbye", async () => {
      const served = serve(make());
      const { client, attached } = served.connect();
      await client.go();
      await until(carrier, client, attached);
      client.send(
        ...Array.from({ length: 40 }, (_, i) =>
          client.ask({ type: 1, offset: i * 4096, payload: bytesOf(4096, i) }),
        ),
      );
      expect((await client.reply()).error).toBe(0);
      const closing = served.engine.close();
      for (let i = 1; i < 40; i++) {
        // oxlint-disable-next-line no-await-in-loop
        expect((await client.reply()).error).toBe(0);
      }
      await Promise.all([closing, client.closed]);
      expect(served.engine.connections).toBe(0);
      expect(() => served.connect()).toThrow("EBADF");
    });

    test("a client that never reads holds up neither others nor the end", async () => {
      const served = serve(make());
      const greedy = served.connect();
      await greedy.client.go();
      await until(carrier, greedy.client, greedy.attached);
      greedy.client.socket.pause();
      for (let i = 0; i < 400; i++) {
        greedy.client.send(greedy.client.ask({ type: 0, offset: 0, length: 4 << 20 }));
      }
      const other = served.connect();
      await other.client.go();
      for (let i = 0; i < 50; i++) {
        // oxlint-disable-next-line no-await-in-loop
        expect(await other.client.write(i * 4096, bytesOf(4096, i))).toBe(0);
      }
      await served.engine.close(50);
      expect(served.engine.connections).toBe(0);
    });
  });
}

test.skipIf(none)(
  `on the event loop, greedy clients let others have their turn${why}`,
  async () => {
    const notes: string[] = [];
    const { connect } = serve(new PolledEngine(), (store) =>
      Object.assign(store, {
        writeZeroes: () => notes.push("zero"),
        flush: () => notes.push("flush"),
      }),
    );
    const [greedy, other] = [connect().client, connect().client];
    await greedy.go();
    await other.go();
    const zeroes = Array.from({ length: 400 }, () =>
      greedy.ask({ type: 6, offset: 0, length: SIZE }),
    );
    greedy.send(...zeroes);
    expect(await other.command(3)).toBe(0);
    for (const _ of zeroes) {
      // oxlint-disable-next-line no-await-in-loop
      expect((await greedy.reply()).error).toBe(0);
    }
    expect(notes).toHaveLength(401);
    expect(notes.indexOf("flush")).toBeLessThan(300);
  },
);

describe.skipIf(none)(`threads${why}`, () => {
  test("a busy connection has one, gives it back when quiet, and may have it again", async () => {
    const { connect } = serve(new ThreadEngine({ threads: 1, idleMs: 50 }));
    const first = connect();
    await first.client.go();
    expect(first.attached.carrier).toBe("polled");
    await until("thread", first.client, first.attached);
    const second = connect();
    await second.client.go();
    for (let i = 0; i < 20; i++) {
      // oxlint-disable-next-line no-await-in-loop
      expect(await second.client.write(i, bytesOf(10, i))).toBe(0);
      // oxlint-disable-next-line no-await-in-loop
      expect(await first.client.command(3)).toBe(0);
    }
    expect(second.attached.carrier).toBe("polled");
    await until("thread", second.client, second.attached);
    expect(first.attached.carrier).toBe("polled");
    expect(await first.client.write(5, bytesOf(100, 1))).toBe(0);
    expect(Buffer.compare(await second.client.readAt(5, 100), bytesOf(100, 1))).toBe(0);
  });

  test("a thread that dies ends its connection only", async () => {
    const engine = new ThreadEngine({ threads: 2 });
    const served = serve(engine, (store) => {
      const { share } = store;
      // No thread can make a store of this.
      Object.defineProperty(store, "share", {
        value: { ...share, mapped: { ...share.mapped, runs: [] } },
      });
      return store;
    });
    const { client } = served.connect();
    await client.go();
    const cut = (async () => {
      for (;;) {
        // oxlint-disable-next-line no-await-in-loop
        await client.command(3);
        // oxlint-disable-next-line no-await-in-loop
        await sleep(1);
      }
    })();
    await expect(cut).rejects.toThrow("before the end");
    await client.closed;
    await sleep(5);
    expect(served.faults[0]).toMatchObject({ code: "EIO" });
    expect(engine.connections).toBe(0);
    const next = served.connect();
    expect(await next.client.go()).toBe(SIZE);
    expect(await next.client.command(3)).toBe(0);
  });

  test("one that is just starting is ended when it has started, and not before", async () => {
    const pool = new ThreadPool(2, { idleMs: 1000 });
    pool.warm(2);
    await pool.close();
    // Ended while it loads native code, a thread may take the process with it.
    expect(pool.fault).toBe(undefined);
  });

  test("a process with a thread in a call exits at once", () => {
    const args = childArguments("nbd-exit", scratch());
    const { status, stderr } = spawnSync(process.execPath, args, { timeout: 120_000 });
    expect({ status, stderr: String(stderr) }).toMatchObject({ status: 7 });
  });
});
