/* oxlint-disable no-await-in-loop -- a client does one thing after the other */
/**
 * Requests at and past every limit, writers that never read, and clients that break off in the
 * midst of work: each engine answers, and stays up for others.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import {
  ENGINES,
  type RunningServer,
  dial,
  randomImage,
  startServer,
  testFolder,
  usageOf,
} from "../support/nbd-server.ts";
import { SocketClient } from "../support/nbd-socket.ts";
import {
  CLIENT_FLAGS,
  Decoder,
  type Reply,
  contexts,
  info,
  join as joined,
  option,
  request,
} from "../support/nbd-wire.ts";
import { inSlices } from "../support/slices.ts";

const MIB = 1 << 20;
const SIZE = 8 * MIB;
const [READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZEROES, STATUS] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const [EINVAL, ENOSPC] = [22, 28] as const;
const PAYLOAD = 32;
const LAST = 2n ** 64n - 1n;

type Ask = readonly [
  type: number,
  offset: number | bigint,
  length: number | bigint,
  error: number,
  flags?: number,
];

/** What needs no payload; `most` is the longest length that a header can hold. */
const asks = (most: bigint): readonly Ask[] => [
  [READ, 0, most, EINVAL],
  [READ, LAST, 1, EINVAL],
  [READ, LAST, most, EINVAL],
  [READ, 2n ** 63n, 512, EINVAL],
  [READ, SIZE, 1, EINVAL],
  [READ, SIZE - 1, 2, EINVAL],
  [READ, 0, 0, EINVAL],
  [READ, SIZE, 0, EINVAL],
  [READ, 0, 512, EINVAL, 0x8000],
  [READ, 0, 512, EINVAL, 0x10],
  [TRIM, 0, most, EINVAL],
  [TRIM, 0, 0, EINVAL],
  [CACHE, LAST, 1, EINVAL],
  [CACHE, 0, most, EINVAL],
  [ZEROES, 0, most, ENOSPC],
  [ZEROES, LAST, most, ENOSPC],
  [ZEROES, 2n ** 53n, 4096, ENOSPC],
  [ZEROES, 0, 0, EINVAL],
  [ZEROES, 0, 512, EINVAL, 0x4000],
  [STATUS, 0, most, EINVAL],
  [STATUS, 0, 0, EINVAL],
  [STATUS, LAST, 1, EINVAL],
  [FLUSH, 0, most, EINVAL],
  [FLUSH, LAST, 0, EINVAL],
  [8, 0, most, EINVAL],
  [200, LAST, most, EINVAL],
  [0xffff, 0, 1, EINVAL, 0xffff & ~PAYLOAD],
  [READ, SIZE - 1, 1, 0],
  [FLUSH, 0, 0, 0],
];

async function startOn(
  engine: (typeof ENGINES)[number],
  where: readonly string[] = [],
): Promise<RunningServer> {
  const folder = testFolder();
  const image = randomImage(folder, "a.img", SIZE);
  const place = where.length > 0 ? where : ["-U", join(folder, "s")];
  return startServer([...place, ...engine.args, image], engine.env);
}

/** Settles these options, and goes. */
async function agree(server: RunningServer, ...options: Uint8Array[]): Promise<SocketClient> {
  const client = new SocketClient(await dial(server));
  await client.read(18);
  client.send(CLIENT_FLAGS, ...options, info(7, ""));
  for (;;) {
    const head = new Decoder(await client.read(20));
    head.at = 8;
    const [about, type, length] = [head.number(4), head.number(4), head.number(4)];
    const data = await client.read(length);
    if (type >= 2 ** 31) throw new Error(`option ${about}: ${Buffer.from(data).toString()}`);
    if (about === 7 && type === 1) return client;
  }
}

/** The next chunk of an extended reply. */
async function chunk(client: SocketClient): Promise<Reply> {
  const head = await client.read(32);
  const decoder = new Decoder(head);
  decoder.at = 24;
  const payload = await client.read(decoder.number(8));
  return new Decoder(joined(head, payload)).reply(() => 0);
}

/** The error of an extended reply, all its chunks read. */
async function outcome(client: SocketClient): Promise<number> {
  let error = 0;
  for (;;) {
    const reply = await chunk(client);
    error ||= reply.error;
    if (reply.done) return error;
  }
}

async function isServed(server: RunningServer): Promise<void> {
  const client = await agree(server);
  expect(await client.readAt(5 * MIB, 4096)).toHaveLength(4096);
  client.send(client.ask({ type: DISC }));
  await client.closed;
}

describe.for(inSlices(ENGINES, 2))("served by $name", (engine) => {
  test("compact requests past every limit are refused one by one", async () => {
    const server = await startOn(engine);
    const client = await agree(server);
    const trims = engine.env["DAXKIT_FFI"] !== "off";
    for (const [type, offset, length, error, flags = 0] of asks(2n ** 32n - 1n)) {
      client.send(client.ask({ type, flags, offset, length }));
      const reply = await client.reply(type === READ ? Number(length) : 0);
      expect([type, offset, length, flags, reply.error]).toEqual([
        type,
        offset,
        length,
        flags,
        error,
      ]);
    }
    expect(await client.command(TRIM, SIZE - 512, 512)).toBe(trims ? 0 : EINVAL);
    // Payloads are passed over, also those that are longer than is allowed.
    for (const length of [1, 512, 33 * MIB]) {
      expect(await client.write(SIZE, new Uint8Array(length))).toBe(
        length > 32 * MIB ? EINVAL : ENOSPC,
      );
    }
    expect(await client.write(0, new Uint8Array(0))).toBe(EINVAL);
    expect(await client.write(0, new Uint8Array(7), 0x8000)).toBe(EINVAL);
    expect(await client.write(0, new Uint8Array(512))).toBe(0);
    expect(await server.end()).toBe(0);
  });

  test("and so are extended ones, with lengths of 2^32 and far beyond", async () => {
    const server = await startOn(engine);
    const client = await agree(server, option(11), contexts(10, "", ["base:allocation"]));
    let cookie = 0n;
    for (const most of [2n ** 32n, 2n ** 53n, 2n ** 63n, LAST]) {
      for (const [type, offset, length, error, flags = 0] of asks(most)) {
        client.send(request({ type, flags, offset, length, cookie: ++cookie }, true));
        expect([type, offset, length, flags, await outcome(client)]).toEqual([
          type,
          offset,
          length,
          flags,
          error,
        ]);
      }
    }
    client.send(request({ type: WRITE, offset: 0, length: 512, cookie: 1n }, true));
    expect(await outcome(client)).toBe(EINVAL);
    // A payload that never ends is told so, and hung up on.
    client.send(request({ type: WRITE, flags: PAYLOAD, length: LAST, cookie: 2n }, true));
    expect(await outcome(client)).toBe(EINVAL);
    await client.closed;
    await isServed(server);
    expect(await server.end()).toBe(0);
  });

  test("writers that never read cost bounded memory, and others are served", async () => {
    const server = await startOn(engine);
    // More of them than there are threads, where there are some.
    const writers = engine.name === "threads" ? 20 : 5;
    for (let i = 0; i < writers; i++) {
      const client = await agree(server);
      client.socket.pause();
      const ask = client.ask({ type: WRITE, offset: i, payload: new Uint8Array(32) });
      const many = joined(...Array.from({ length: 1000 }, () => ask));
      // 1,000 at a time, until nobody takes them: the server waits for the client.
      for (let rounds = 0; rounds < 1000 && client.socket.writableLength < MIB; rounds++) {
        client.send(many);
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(client.socket.writableLength).toBeGreaterThanOrEqual(MIB);
    }
    await isServed(server);
    expect(usageOf(server.pid).resident).toBeLessThan(400 * MIB);
    expect(await server.end()).toBe(0);
  });

  test("clients break off in the midst of work, over TCP with a reset", async () => {
    const server = await startOn(engine, ["-p", "0"]);
    await isServed(server);
    const before = usageOf(server.pid).descriptors;
    const states: ((client: SocketClient) => Uint8Array[])[] = [
      () => [],
      (client) => [client.ask({ type: FLUSH }).subarray(0, 11)],
      (client) => [client.ask({ type: WRITE, payload: new Uint8Array(9000) }).subarray(0, 5000)],
      (client) => [client.ask({ type: WRITE, payload: new Uint8Array(2 * MIB) }).subarray(0, MIB)],
      (client) => Array.from({ length: 50 }, () => client.ask({ type: READ, length: MIB })),
      (client) => Array.from({ length: 50 }, () => client.ask({ type: ZEROES, length: MIB })),
      (client) => [client.ask({ type: DISC })],
    ];
    for (const resets of [true, false]) {
      for (const state of states) {
        const client = await agree(server);
        for (let i = 0; i < 20; i++) expect(await client.command(FLUSH)).toBe(0);
        client.send(...state(client));
        await sleep(5);
        if (resets) client.socket.resetAndDestroy();
        else client.destroy();
      }
    }
    // Threads that were started meanwhile have event loops of their own.
    await expect.poll(() => usageOf(server.pid).descriptors).toBeLessThanOrEqual(before + 4 * 20);
    await isServed(server);
    expect(await server.end()).toBe(0);
  });
});
