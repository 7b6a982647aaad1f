/**
 * What the engines promise of payloads: in steady state a request makes no objects, whatever its
 * size. Measured in V8's own books, over a real socket, in one thread and without an event loop.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, onTestFinished, test } from "vitest";
import { resumeSession } from "../../src/nbd/session.ts";
import { openFileMedia } from "../../src/node/file-media.ts";
import { foreign, libc } from "../../src/node/libc.unsafe.ts";
import { Connection } from "../../src/node/nbd/connection.ts";
import { shareStore } from "../../src/node/nbd/mapped-store.ts";
import { tuneSocket } from "../../src/node/nbd/sockets.unsafe.ts";
import { makeWorkspace } from "../../src/node/nbd/workspace.ts";
import { socketPair } from "../support/nbd-socket.ts";
import { join, request } from "../support/nbd-wire.ts";
import { places, scratch } from "../support/scratch.ts";

const none = libc() === undefined;
const why = none ? " (no foreign calls here)" : "";
const SIZE = 4 << 20;
const REQUESTS = 8;
const TURNS = 400;
const MOST_ROUNDS = 30;
const READ = 0;
const WRITE = 1;
/**
 * Bytes a request. Numbers beyond 2^31 are boxed on their way to a foreign call, 16 bytes each: 18
 * to 45 were seen. With one view a request it was 112 and more in every round.
 */
const MOST_BYTES = 64;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** A connection in transmission, and how its client sends and receives. */
function connect() {
  const media = openFileMedia(scratch(places["tmpfs"]), { create: SIZE });
  const shared = shareStore(media)!;
  // A hole would be told and not sent.
  shared.store.write(0, new Uint8Array(SIZE).fill(1));
  const [ours, theirs] = socketPair();
  tuneSocket(ours);
  tuneSocket(theirs);
  const space = makeWorkspace(262_144);
  const exported = { name: "", store: shared.store };
  const terms = { replies: "structured", contexts: [] } as const;
  const connection = new Connection(ours, resumeSession(exported, terms), space);
  onTestFinished(() => {
    space.calls.close(ours);
    space.calls.close(theirs);
    shared.release();
    media.close();
  });
  const send = foreign("send", "intptr_t", ["int", "void *", "size_t", "int"]);
  const receive = foreign("recv", "intptr_t", ["int", "void *", "size_t", "int"]);
  return {
    connection,
    send: (bytes: Uint8Array) => send(theirs, bytes, bytes.length, 0),
    receive: (into: Uint8Array) => receive(theirs, into, into.length, 0x40),
  };
}

test.skipIf(none).each([
  ["reads of 4 KiB", READ, 4096],
  ["writes of 4 KiB", WRITE, 4096],
  ["reads of 32 KiB", READ, 32_768],
  ["writes of 32 KiB", WRITE, 32_768],
] as const)(`%s make no objects${why}`, { timeout: 60_000 }, (_, type, length) => {
  const { connection, send, receive } = connect();
  const payload = type === WRITE ? new Uint8Array(length).fill(7) : new Uint8Array(0);
  const one = (i: number) => request({ type, cookie: BigInt(i), offset: i * length, length });
  const batch = join(...Array.from({ length: REQUESTS }, (__, i) => join(one(i), payload)));
  const replies = new Uint8Array(1 << 20);
  const expected = REQUESTS * (type === WRITE ? 16 : 28 + length);
  const turn = () => {
    must(send(batch), batch.length);
    must(connection.run() === "readable" ? 1 : 0, 1);
    must(receive(replies), expected);
  };
  // Compilers take their time on a busy machine, and allocate too: any round will do, for what
  // makes an object makes it in every round.
  let least = Infinity;
  for (let round = 0; round < MOST_ROUNDS && least >= MOST_BYTES; round++) {
    least = Math.min(least, heapGrowth(turn) / (TURNS * REQUESTS));
  }
  expect(least).toBeLessThan(MOST_BYTES);
  expect(connection.fault).toBeUndefined();
});

/** Bytes that the heap of this thread grew by, where nothing was collected meanwhile. */
function heapGrowth(turn: () => void): number {
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < TURNS; i++) turn();
  return process.memoryUsage().heapUsed - before;
}

/** Without what a matcher allocates. */
function must(seen: number, wanted: number): void {
  if (seen !== wanted) throw new Error(`${seen} instead of ${wanted}`);
}
