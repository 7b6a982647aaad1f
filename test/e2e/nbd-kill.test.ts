/* oxlint-disable no-await-in-loop -- a client does one thing after the other */
/**
 * kill -9 while clients write: what was acknowledged with FUA, or before an acknowledged FLUSH, is
 * in the file. (A killed process, not a power cut: that is what the media's durability is about.)
 */
import { openSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { FLUSH, handshake, request, take, WRITE } from "../support/nbd-bytes.ts";
import { ENGINES, dial, randomImage, startServer, testFolder } from "../support/nbd-server.ts";

const CLIENTS = 3;
const BLOCK = 4096;
const BLOCKS = 256;
const SIZE = CLIENTS * BLOCKS * BLOCK;
const FUA = 1;

/** What the server promised of each block: the number of the last write that must be there. */
type Promises = Map<number, number>;

function contents(block: number, version: number): Buffer {
  const bytes = Buffer.alloc(BLOCK, (block * 7 + version) & 255);
  bytes.writeUInt32LE(block, 0);
  bytes.writeUInt32LE(version, 4);
  return bytes;
}

async function accepted(socket: Socket): Promise<void> {
  const reply = await take(socket, 16);
  expect(reply.readUInt32BE(4)).toBe(0);
}

/** Writes blocks of its own, some with FUA, some before a FLUSH, until the server is gone. */
async function write(socket: Socket, first: number, promised: Promises): Promise<void> {
  let waiting: [block: number, version: number][] = [];
  try {
    await handshake(socket);
    for (let version = 1; ; version++) {
      const block = first + ((version * 37) % BLOCKS);
      const flags = version % 3 === 0 ? FUA : 0;
      socket.write(request(WRITE, block * BLOCK, BLOCK, flags));
      socket.write(contents(block, version));
      await accepted(socket);
      if (flags === FUA) promised.set(block, version);
      else waiting.push([block, version]);
      if (version % 16 !== 0) continue;
      socket.write(request(FLUSH, 0, 0));
      await accepted(socket);
      for (const [each, last] of waiting) promised.set(each, last);
      waiting = [];
    }
  } catch (error) {
    if (!/ended|closed|EPIPE|ECONNRESET/u.test(String(error))) throw error;
  }
}

test.for(ENGINES)(
  "kill -9 under writers: what was acknowledged is there: $name",
  async (engine) => {
    const folder = testFolder();
    const image = randomImage(folder, "disk.img", SIZE);
    const server = await startServer(["-U", join(folder, "s"), ...engine.args, image], engine.env);
    const promised: Promises = new Map();
    const writers: Promise<void>[] = [];
    for (let i = 0; i < CLIENTS; i++) {
      writers.push(write(await dial(server), i * BLOCKS, promised));
    }
    await expect.poll(() => promised.size).toBeGreaterThan(100);
    await sleep(500);
    process.kill(server.pid, "SIGKILL");
    await Promise.all(writers);
    const fd = openSync(image, "r");
    let torn = 0;
    for (const [block, version] of promised) {
      const bytes = Buffer.alloc(BLOCK);
      readSync(fd, bytes, 0, BLOCK, block * BLOCK);
      const found = bytes.readUInt32LE(4);
      expect(found).toBeGreaterThanOrEqual(version);
      if (Buffer.compare(bytes, contents(block, found)) !== 0) torn++;
    }
    // Each client had one write under way that nobody promised.
    expect(torn).toBeLessThanOrEqual(CLIENTS);
  },
);
