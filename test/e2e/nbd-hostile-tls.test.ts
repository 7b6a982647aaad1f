/* oxlint-disable no-await-in-loop -- a client does one thing after the other */
/**
 * Clients that mean no good on their way to TLS: they are hung up on, cost little, and the others,
 * in the clear and encrypted, are served.
 */
import { randomFillSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { describe, expect, test } from "vitest";
import {
  ENGINES,
  type EngineCase,
  type RunningServer,
  dial,
  randomImage,
  startServer,
  testFolder,
  usageOf,
} from "../support/nbd-server.ts";
import {
  CLIENT_FLAGS,
  GO,
  READ,
  handshake,
  option,
  readBlock,
  request,
  take,
} from "../support/nbd-bytes.ts";

const MIB = 1 << 20;
const KEY = "00112233445566778899aabbccddeeff";
const STARTTLS = option(5);

async function start({ args, env }: EngineCase, ...more: string[]): Promise<RunningServer> {
  const folder = testFolder();
  const image = randomImage(folder, "a.img", MIB);
  const keys = join(folder, "keys.psk");
  writeFileSync(keys, `alice:${KEY}\n`, { mode: 0o600 });
  const place = ["-U", join(folder, "s"), "--tls", "on", "--tls-psk", keys];
  return startServer([...place, ...args, ...more, image], env);
}

/** A connection that asked for TLS, and has the server's word for it. */
async function atTheDoor(server: RunningServer): Promise<Socket> {
  const socket = await dial(server);
  await take(socket, 18);
  socket.write(Buffer.concat([CLIENT_FLAGS, STARTTLS]));
  expect((await take(socket, 20)).readUInt32BE(12)).toBe(1);
  return socket;
}

async function hungUp(socket: Socket): Promise<number> {
  let heard = 0;
  socket.on("data", (bytes: Buffer) => (heard += bytes.length));
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
  return heard;
}

/** Serves one in the clear, and one by TLS. */
async function isServed(server: RunningServer): Promise<void> {
  const clear = await dial(server);
  expect(await handshake(clear)).toBe(MIB);
  expect(await readBlock(clear, 0, 512)).toHaveLength(512);
  clear.destroy();
  const raw = await atTheDoor(server);
  const secure = connectTls({
    socket: raw,
    pskCallback: () => ({ identity: "alice", psk: Buffer.from(KEY, "hex") }),
    checkServerIdentity: () => undefined,
    ciphers: "PSK",
    maxVersion: "TLSv1.2",
  });
  await new Promise((resolve, reject) => {
    secure.once("secureConnect", resolve);
    secure.once("error", reject);
  });
  secure.end(Buffer.concat([GO, request(READ, 0, 65_536)]));
  expect((await take(secure, 20)).readUInt32BE(8)).toBe(7);
  // What was asked is answered also when it was the last word.
  expect(await hungUp(secure)).toBeGreaterThan(65_536);
}

// TLS is carried by Node's sockets; the others hand connections over to them.
describe.for(ENGINES.filter(({ name }) => name !== "the event loop"))(
  "served by $name",
  (engine) => {
    test("what is no TLS behind STARTTLS is hung up on", async () => {
      const server = await start(engine);
      const noise = randomFillSync(Buffer.alloc(65_536));
      const record = (type: number, length: number): Buffer =>
        Buffer.concat([
          Buffer.from([type, 3, 1, length >> 8, length & 255]),
          noise.subarray(0, length),
        ]);
      const talks = [
        noise,
        CLIENT_FLAGS,
        Buffer.concat([CLIENT_FLAGS, GO]),
        record(22, 300),
        record(22, 16_384),
        record(23, 100),
        record(255, 65_535),
        Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]),
      ];
      for (const talk of talks) {
        const socket = await atTheDoor(server);
        socket.end(talk);
        await hungUp(socket);
      }
      await isServed(server);
      expect(await server.end()).toBe(0);
    });

    test("words behind STARTTLS are not taken for words by TLS", async () => {
      const server = await start(engine);
      for (const behind of [GO, STARTTLS, GO.subarray(0, 3)]) {
        const socket = await dial(server);
        await take(socket, 18);
        socket.write(Buffer.concat([CLIENT_FLAGS, STARTTLS, behind]));
        // The acknowledgement may be under way; nothing follows it.
        expect(await hungUp(socket)).toBeLessThanOrEqual(20);
      }
      await isServed(server);
      expect(await server.end()).toBe(0);
    });

    test("those who stand at the door cost little, and are gone when they leave", async () => {
      const server = await start(engine, "--handshake-timeout", "3600");
      await isServed(server);
      const before = usageOf(server.pid);
      const crowd: Socket[] = [];
      for (let i = 0; i < 300; i++) crowd.push(await atTheDoor(server));
      expect((usageOf(server.pid).resident - before.resident) / 300).toBeLessThan(256 * 1024);
      await isServed(server);
      for (const socket of crowd) socket.destroy();
      await expect
        .poll(() => usageOf(server.pid).descriptors)
        .toBeLessThan(before.descriptors + 20);
      await isServed(server);
      expect(await server.end()).toBe(0);
    });

    test("and when their time is up", async () => {
      const server = await start(engine, "--handshake-timeout", "3");
      const crowd = await Promise.all(Array.from({ length: 10 }, async () => atTheDoor(server)));
      await Promise.all(crowd.map(hungUp));
      expect(await server.end()).toBe(0);
    });
  },
);
