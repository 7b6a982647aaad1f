/**
 * Sockets that block the calling thread, without foreign calls: a worker thread has the socket, and
 * the caller waits for it on shared memory. Also the way to TLS.
 *
 * @module
 */
import { Worker } from "node:worker_threads";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import type { NbdUri, NbdUriTls } from "../../nbd/uri.ts";
import { systemError } from "../system-error.ts";
import type { BlockingConnection } from "./blocking-connection.ts";
import { tlsClientSettings } from "./client-tls.ts";

/** Bytes that go over at once. */
const SHARED_BYTES = 1 << 20;
/** Cells: whether the worker is at work, how its work ended, and how long its message is. */
const STATE = 0;
const ERRNO = 1;
const TEXT = 2;
const BUSY = 1;
const DONE = 0;
/** The worker keeps time itself; this is for one that died. */
const GRACE_MS = 5000;

/** Plain text, as a worker needs it: the modules around it may be TypeScript. */
const PROGRAM = `
const { parentPort, workerData } = require("node:worker_threads");
const net = require("node:net");
const tls = require("node:tls");
const { cells, data, timeoutMs } = workerData;
let socket, failure, waiting, timer;

function answer(errno, text = "") {
  clearTimeout(timer);
  waiting = undefined;
  const bytes = Buffer.from(text).subarray(0, 1024);
  if (errno !== 0) data.set(bytes);
  cells[${ERRNO}] = errno;
  cells[${TEXT}] = bytes.length;
  Atomics.store(cells, ${STATE}, ${DONE});
  Atomics.notify(cells, ${STATE});
}
function errnoOf(error) {
  if (error.code === "ENOTFOUND" || error.code === "EAI_AGAIN") return 113;
  if (typeof error.errno === "number") return -error.errno;
  const [first] = error.errors ?? [];
  if (first !== undefined) return errnoOf(first);
  return /^ERR_(SSL|TLS)|CERT|SELF_SIGNED|UNABLE_TO/.test(error.code ?? "") ? 13 : 5;
}
function fail(error) {
  failure ??= [errnoOf(error), error.reason ?? error.message];
  if (waiting !== undefined) answer(...failure);
}
function late() {
  const error = new Error("the server was silent for " + timeoutMs / 1000 + " s");
  fail(Object.assign(error, { errno: -110 }));
  socket.destroy();
}
function ended() {
  if (failure === undefined) failure = [104, "the server closed the connection"];
  if (waiting?.op === "fill") receive();
  else if (waiting !== undefined) answer(...failure);
}
function receive() {
  while (waiting.done < waiting.length) {
    const most = Math.min(waiting.length - waiting.done, socket.readableLength);
    const chunk = most === 0 ? null : socket.read(most);
    if (chunk === null) break;
    data.set(chunk, waiting.done);
    waiting.done += chunk.length;
  }
  if (waiting.done === waiting.length) answer(0);
  else if (failure !== undefined) answer(...failure);
  else socket.read(0);
}
function listen() {
  socket.on("error", fail);
  socket.on("end", ended);
  socket.on("close", ended);
  socket.on("readable", () => { if (waiting?.op === "fill") receive(); });
}
const operations = {
  connect({ target }) {
    socket = net.connect(target);
    socket.setNoDelay(true);
    socket.once("connect", () => answer(0));
    listen();
  },
  send({ length }) {
    if (failure !== undefined) return answer(...failure);
    socket.write(Buffer.from(data.subarray(0, length)), (error) => {
      if (waiting?.op !== "send") return;
      if (error) fail(error);
      else answer(0);
    });
  },
  fill() {
    waiting.done = 0;
    receive();
  },
  secure({ settings: { psk, ...settings } }) {
    socket.removeAllListeners();
    const known = psk && {
      pskCallback: () => ({ identity: psk.identity, psk: Buffer.from(psk.key, "hex") }),
      checkServerIdentity: () => undefined,
      ciphers: "PSK",
      maxVersion: "TLSv1.2",
    };
    socket = tls.connect({ socket, ...settings, ...known });
    socket.once("secureConnect", () => answer(0));
    listen();
  },
  close() {
    socket?.destroy();
    answer(0);
    parentPort.close();
  },
};
parentPort.on("message", (message) => {
  waiting = message;
  timer = setTimeout(late, timeoutMs);
  operations[message.op](message);
});
`;

/** Whom a server does not know, and who does not know it, may have left something out. */
function withAdvice(error: DaxError, { certificates, pskFile }: NbdUriTls): DaxError {
  if (certificates !== undefined || pskFile !== undefined) return error;
  const advice = "give tls-certificates=DIR, or NAME@ and tls-psk-file=FILE, in the URI";
  return new DaxError(error.code, {
    syscall: "secure",
    detail: `${error.detail ?? "it was refused"}; ${advice}`,
  });
}

/** See the module. */
export class WorkerConnection implements BlockingConnection {
  readonly #uri: NbdUri;
  readonly #timeoutMs: number;
  readonly #worker: Worker;
  readonly #cells = new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));
  readonly #data = new Uint8Array(new SharedArrayBuffer(SHARED_BYTES));
  #open = true;

  /** @throws ENOENT, ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT */
  constructor(uri: NbdUri, timeoutMs: number) {
    this.#uri = uri;
    this.#timeoutMs = timeoutMs;
    const workerData = { cells: this.#cells, data: this.#data, timeoutMs };
    this.#worker = new Worker(PROGRAM, { eval: true, workerData, execArgv: [], env: {} });
    this.#worker.unref();
    // Without a listener an error of the thread would end the process; the caller sees a timeout.
    this.#worker.on("error", () => {});
    const { address } = uri;
    const target =
      address.kind === "unix" ? { path: address.path } : { host: address.host, port: address.port };
    try {
      this.#call("connect", { target });
    } catch (error) {
      this.close();
      throw error;
    }
  }

  send(pieces: readonly Uint8Array[]): void {
    let staged = 0;
    for (const piece of pieces) {
      for (let done = 0; done < piece.length;) {
        const run = Math.min(piece.length - done, SHARED_BYTES - staged);
        this.#data.set(piece.subarray(done, done + run), staged);
        staged += run;
        done += run;
        if (staged === SHARED_BYTES) {
          this.#call("send", { length: staged });
          staged = 0;
        }
      }
    }
    if (staged > 0) this.#call("send", { length: staged });
  }

  fill(target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const length = Math.min(target.length - done, SHARED_BYTES);
      this.#call("fill", { length });
      target.set(this.#data.subarray(0, length), done);
      done += length;
    }
  }

  secure(options: NbdUriTls): void {
    try {
      this.#call("secure", { settings: tlsClientSettings(this.#uri, options) });
    } catch (error) {
      throw isDaxError(error, "EACCES") ? withAdvice(error, options) : error;
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#worker.postMessage({ op: "close" }, []);
    this.#open = false;
  }

  #call(op: string, rest: Readonly<Record<string, unknown>>): void {
    const cells = this.#cells;
    Atomics.store(cells, STATE, BUSY);
    this.#worker.postMessage({ op, ...rest }, []);
    if (Atomics.wait(cells, STATE, BUSY, this.#timeoutMs + GRACE_MS) === "timed-out") {
      throw new DaxError("ETIMEDOUT", { syscall: op, detail: "the socket's thread is silent" });
    }
    const errno = cells[ERRNO] as number;
    if (errno === 0) return;
    const detail = Buffer.from(this.#data.slice(0, cells[TEXT])).toString("utf8");
    throw systemError(errno, { syscall: op, detail });
  }
}
