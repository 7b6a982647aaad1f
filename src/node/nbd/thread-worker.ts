/**
 * The thread of a busy connection: foreign calls that wait, one connection at a time. While it
 * waits it hears no message; shutting the socket down wakes it.
 *
 * @module
 */
import { parentPort, workerData } from "node:worker_threads";
import { assert } from "../../lib/errno.ts";
import { DirtyMap } from "../../nbd/dirty-map.ts";
import { resumeSession } from "../../nbd/session.ts";
import { Connection } from "./connection.ts";
import { MappedStore } from "./mapped-store.ts";
import { makeBlocking } from "./sockets.unsafe.ts";
import { AdaptiveSpin } from "./spin.ts";
import {
  plainFault,
  type ServeRequest,
  type ServeResult,
  type ThreadData,
  type ThreadMessage,
} from "./thread-messages.ts";
import { makeWorkspace } from "./workspace.ts";

/** A quarter of a megabyte: 64 small writes come in one call. */
const STAGING_BYTES = 262_144;
const port = parentPort;
assert(port !== null, "this module is the body of a thread");
const { idleMs } = workerData as ThreadData;
const space = makeWorkspace(STAGING_BYTES);

function serve(request: ServeRequest): ServeResult {
  const { fd, rest, terms, exportName, dirty } = request;
  const store = new MappedStore(request.store);
  const exported = {
    name: exportName,
    store,
    ...(dirty === undefined ? {} : { dirty: new DirtyMap(store.size, dirty) }),
  };
  const session = resumeSession(exported, terms);
  const connection = new Connection(fd, session, space, new AdaptiveSpin(space.calls));
  connection.rest = rest;
  makeBlocking(fd, idleMs);
  for (;;) {
    if (connection.run() === "over") {
      return { over: true, rest: new Uint8Array(0), fault: plainFault(connection.fault) };
    }
    // Quiet for long: somebody else may need the thread. In the middle of a command it stays.
    if (connection.portable) return { over: false, rest: connection.rest, fault: undefined };
  }
}

port.on("message", (request: ServeRequest) => {
  port.postMessage(serve(request) satisfies ThreadMessage);
});
port.postMessage("ready" satisfies ThreadMessage);
