/* oxlint-disable no-await-in-loop -- a client does one thing after the other */
/**
 * Media that fail under clients: each request that cannot be served is told so, with the number
 * that the specification has for it, the connection goes on, and so does everybody else's.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  ENGINES,
  type RunningServer,
  dial,
  randomImage,
  startMachine,
  startServer,
  testFolder,
} from "../support/nbd-server.ts";
import { SocketClient } from "../support/nbd-socket.ts";

const MIB = 1 << 20;
const SIZE = 8 * MIB;
const [READ, WRITE, FLUSH, TRIM, ZEROES] = [0, 1, 3, 4, 6] as const;
const FUA = 1;
const [EIO, EINVAL, ENOSPC] = [5, 22, 28] as const;

async function connect(server: RunningServer): Promise<SocketClient> {
  const client = new SocketClient(await dial(server));
  expect(await client.go()).toBeGreaterThan(0);
  return client;
}

/** Commands enough for a thread of its own, where the engine has some. */
async function keepBusy(client: SocketClient): Promise<void> {
  for (let i = 0; i < 60; i++) {
    expect(await client.command(FLUSH)).toBe(0);
    await sleep(3);
  }
}

async function errorOfRead(client: SocketClient, offset: number, length: number): Promise<number> {
  client.send(client.ask({ type: READ, offset, length }));
  return (await client.reply(length)).error;
}

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

describe.for(ENGINES)("served by $name", ({ args, env }) => {
  test("a file cut short under its clients is EIO where it is gone, and only there", async () => {
    const folder = testFolder();
    const image = randomImage(folder, "a.img", SIZE);
    const before = readFileSync(image);
    const server = await startServer(["-U", join(folder, "s"), ...args, image], env);
    const busy = await connect(server);
    const quiet = await connect(server);
    await keepBusy(busy);
    truncateSync(image, MIB);
    for (const client of [busy, quiet]) {
      expect(await errorOfRead(client, 4 * MIB, 4096)).toBe(EIO);
      expect(await errorOfRead(client, SIZE - 512, 512)).toBe(EIO);
      for (const length of [512, 4096, 300_000, 2 * MIB]) {
        expect(await client.write(4 * MIB, filled(length, 1))).toBe(EIO);
        expect(await client.write(4 * MIB + 17, filled(length, 1), FUA)).toBe(EIO);
      }
      expect(await client.command(ZEROES, 4 * MIB, MIB)).toBe(EIO);
      expect(await client.command(ZEROES, 4 * MIB, MIB, FUA | 2)).toBe(EIO);
      expect(await client.command(FLUSH)).toBe(EIO);
      // What is left of the file is served, and nothing has made it longer.
      const left = await client.readAt(512 * 1024, 4096);
      expect(Buffer.compare(left, before.subarray(512 * 1024, 512 * 1024 + 4096))).toBe(0);
      expect(await client.write(0, filled(4096, 2), FUA)).toBe(0);
      expect(statSync(image).size).toBe(MIB);
    }
    // Once it is as long as it was, all of it is served again.
    truncateSync(image, SIZE);
    for (const client of [busy, quiet]) {
      expect((await client.readAt(4 * MIB, 4096)).every((byte) => byte === 0)).toBe(true);
      expect(await client.write(4 * MIB, filled(4096, 0))).toBe(0);
      expect(await client.command(FLUSH)).toBe(0);
    }
    await connect(server);
    expect(await server.end()).toBe(0);
  });

  test("a file cut in the midst of requests that are under way", async () => {
    const folder = testFolder();
    const image = randomImage(folder, "a.img", SIZE);
    const server = await startServer(["-U", join(folder, "s"), ...args, image], env);
    const client = await connect(server);
    await keepBusy(client);
    for (let round = 0; round < 10; round++) {
      truncateSync(image, SIZE);
      const writes = Array.from({ length: 64 }, (_, i) =>
        client.ask({ type: WRITE, offset: i * 65_536, payload: filled(65_536, i) }),
      );
      client.send(...writes);
      await sleep(round);
      truncateSync(image, round % 2 === 0 ? 0 : 100_000);
      for (let i = 0; i < writes.length; i++) {
        expect([0, EIO]).toContain((await client.reply()).error);
      }
      expect(await client.write(SIZE - 4096, filled(4096, 1))).toBe(EIO);
    }
    truncateSync(image, SIZE);
    expect(await server.end()).toBe(0);
  });

  const unable = process.getuid?.() !== 0;
  const hint = unable ? " (needs root to mount)" : "";
  test.skipIf(unable)(
    `a full file system is ENOSPC, and what has its place is written${hint}`,
    async (context) => {
      const folder = testFolder();
      const tiny = join(folder, "tiny");
      mkdirSync(tiny);
      const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", tiny]);
      if (mount.status !== 0) context.skip("mounting is refused here");
      onTestFinished(() => {
        spawnSync("umount", ["-l", tiny]);
      });
      const image = join(tiny, "disk");
      writeFileSync(image, "");
      truncateSync(image, 4 * MIB);
      const server = await startServer(["-U", join(folder, "s"), ...args, image], env);
      const client = await connect(server);
      await keepBusy(client);
      expect(await client.write(0, filled(256 * 1024, 1), FUA)).toBe(0);
      expect(await client.write(0, filled(2 * MIB, 1))).toBe(ENOSPC);
      for (let at = 2 * MIB; at < 4 * MIB; at += 65_536) {
        expect([0, ENOSPC]).toContain(await client.write(at, filled(65_536, 2)));
      }
      expect(await client.write(3 * MIB + 65_536, filled(4096, 2))).toBe(ENOSPC);
      expect(await client.command(ZEROES, 3 * MIB, MIB, 2)).toBe(ENOSPC);
      expect(await client.command(FLUSH)).toBe(0);
      expect(await client.write(0, filled(256 * 1024, 3), FUA)).toBe(0);
      expect((await client.readAt(0, 256 * 1024)).every((byte) => byte === 3)).toBe(true);
      // Holes read as zeros, without a page for them.
      expect((await client.readAt(3 * MIB + 65_536, 4096)).every((byte) => byte === 0)).toBe(true);
      expect(await client.command(TRIM, 0, 256 * 1024)).toBe(
        env["DAXKIT_FFI"] === "off" ? EINVAL : 0,
      );
      await connect(server);
      expect(await server.end()).toBe(0);
    },
  );

  test("poison of a machine's device is EIO until its sectors are written whole", async () => {
    const folder = testFolder();
    const machine = join(folder, "machine.yaml");
    writeFileSync(
      machine,
      "pmem: [{ size: 4M, poison: [{ start: 1M, length: 1K }] }]\n" +
        "exports: [pmem0]\nnbd: { socket: nbd.sock }\n",
    );
    const server = await startMachine(machine, env);
    const client = await connect(server);
    expect(await client.write(MIB - 4096, filled(4096, 1))).toBe(0);
    expect(await errorOfRead(client, MIB, 512)).toBe(EIO);
    expect(await errorOfRead(client, MIB - 4096, 8192)).toBe(EIO);
    expect((await client.readAt(MIB - 4096, 4096)).every((byte) => byte === 1)).toBe(true);
    expect(await client.write(MIB, filled(512, 2), FUA)).toBe(0);
    expect((await client.readAt(MIB, 512)).every((byte) => byte === 2)).toBe(true);
    expect(await errorOfRead(client, MIB + 512, 512)).toBe(EIO);
    expect(await client.command(ZEROES, MIB + 512, 512)).toBe(0);
    expect((await client.readAt(MIB, 1024)).subarray(512).every((byte) => byte === 0)).toBe(true);
    expect(await client.command(FLUSH)).toBe(0);
    expect(await server.end()).toBe(0);
  });
});
