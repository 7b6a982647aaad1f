/**
 * Serves a file (argument 1) to a client of its own until a thread waits for it in a foreign call;
 * then exits with status 7.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { openSession } from "../../../src/nbd/session.ts";
import { openFileMedia } from "../../../src/node/file-media.ts";
import { shareStore } from "../../../src/node/nbd/mapped-store.ts";
import { ThreadEngine } from "../../../src/node/nbd/thread-engine.ts";
import { SocketClient, socketPair } from "../nbd-socket.ts";
import { directoryOf } from "../nbd-wire.ts";

const media = openFileMedia(process.argv[2] ?? "", { create: 1 << 20 });
const { store } = shareStore(media)!;
const engine = new ThreadEngine({ idleMs: 3_600_000 });
const [ours, theirs] = socketPair();
const client = new SocketClient(theirs);
const session = openSession(directoryOf({ name: "disk", store }));
const attached = engine.adopt(ours, session, { onTls: () => {}, onClosed: () => {} });
await client.go();
for (let i = 0; i < 2000 && attached.carrier !== "thread"; i++) {
  // oxlint-disable-next-line no-await-in-loop
  await client.command(3);
  // oxlint-disable-next-line no-await-in-loop
  await sleep(1);
}
await client.command(3);
await sleep(20);
process.exit(attached.carrier === "thread" ? 7 : 1);
