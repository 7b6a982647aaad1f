/** A server of one export, for a story that blocks its own thread: see `nbd-stories.ts`. */
import { parentPort, workerData } from "node:worker_threads";
import { aliasOf } from "../../../src/lib/memory.ts";
import { RamMedia } from "../../../src/media/ram.ts";
import { MediaStore } from "../../../src/nbd/media-store.ts";
import { serveNbd } from "../../../src/node/nbd/server.ts";

const { kept, socket } = workerData as { readonly kept: SharedArrayBuffer; socket: string };
const media = new RamMedia(kept.byteLength);

/** What is flushed is kept. */
class KeptStore extends MediaStore {
  override flush(): void {
    super.flush();
    new Uint8Array(kept).set(aliasOf(media.window(0).memory, 0, media.size));
  }
}

const store = new KeptStore(media);
const server = await serveNbd({
  exports: [{ name: "", store }],
  listen: { path: socket },
  engine: { threads: 0 },
});
// oxlint-disable-next-line require-post-message-target-origin -- a thread's port has no origin
parentPort?.postMessage(server.uri());
