/**
 * Serves requests over a real socket, in one thread and without an event loop, and prints by how
 * many bytes a request V8's heap grew in the best round: `PATH read|write LENGTH`. What makes an
 * object makes it in every round, while compilers allocate in some.
 *
 * Needs `--expose-gc`. A process of its own, as code that others have warmed up makes more objects;
 * and without compilers beside it (`--no-concurrent-recompilation`), which a busy machine keeps
 * from their work.
 */
import { resumeSession } from "../../../src/nbd/session.ts";
import { openFileMedia } from "../../../src/node/file-media.ts";
import { foreign } from "../../../src/node/libc.unsafe.ts";
import { Connection } from "../../../src/node/nbd/connection.ts";
import { shareStore } from "../../../src/node/nbd/mapped-store.ts";
import { tuneSocket } from "../../../src/node/nbd/sockets.unsafe.ts";
import { makeWorkspace } from "../../../src/node/nbd/workspace.ts";
import { socketPair } from "../nbd-socket.ts";
import { join, request } from "../nbd-wire.ts";

const SIZE = 4 << 20;
const REQUESTS = 8;
const TURNS = 400;
const ROUNDS = 30;
const MSG_DONTWAIT = 0x40;

const [path = "", direction, size] = process.argv.slice(2);
const length = Number(size);
const isWrite = direction === "write";

const media = openFileMedia(path, { create: SIZE });
const { store } = shareStore(media)!;
// A hole would be told and not sent.
store.write(0, new Uint8Array(SIZE).fill(1));
const [ours, theirs] = socketPair();
tuneSocket(ours);
tuneSocket(theirs);
const session = resumeSession({ name: "", store }, { replies: "structured", contexts: [] });
const connection = new Connection(ours, session, makeWorkspace(262_144));
const send = foreign("send", "intptr_t", ["int", "void *", "size_t", "int"]);
const receive = foreign("recv", "intptr_t", ["int", "void *", "size_t", "int"]);

const payload = isWrite ? new Uint8Array(length).fill(7) : new Uint8Array(0);
const one = (i: number) =>
  request({ type: isWrite ? 1 : 0, cookie: BigInt(i), offset: i * length, length });
const batch = join(...Array.from({ length: REQUESTS }, (_, i) => join(one(i), payload)));
const replies = new Uint8Array(1 << 20);
const expected = REQUESTS * (isWrite ? 16 : 28 + length);

function must(seen: unknown, wanted: unknown): void {
  if (seen !== wanted) throw new Error(`${String(seen)} instead of ${String(wanted)}`);
}

function turn(): void {
  must(send(theirs, batch, batch.length, 0), batch.length);
  must(connection.run(), "readable");
  must(receive(theirs, replies, replies.length, MSG_DONTWAIT), expected);
}

/** Bytes that the heap grew by, where nothing was collected meanwhile. */
function growth(): number {
  (globalThis.gc as () => void)();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < TURNS; i++) turn();
  return process.memoryUsage().heapUsed - before;
}

let least = Infinity;
for (let round = 0; round < ROUNDS; round++) least = Math.min(least, growth());
must(connection.fault, undefined);
process.stdout.write(JSON.stringify(least / (TURNS * REQUESTS)));
process.exit();
