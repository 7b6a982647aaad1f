/**
 * Clients and servers in one process: what a client says goes straight into a session, and what the
 * session says comes back, tampered with on the way where a test wants that.
 */
import { DaxError } from "../../src/lib/errno.ts";
import type { CheckStep, CheckTalk } from "../../src/nbd/check/check.ts";
import type { ExportDirectory, NbdExport } from "../../src/nbd/export.ts";
import { type SessionOptions, openSession } from "../../src/nbd/session.ts";
import type { ServerSession } from "../../src/nbd/session-contract.ts";
import type { Ask, Talk } from "../../src/nbd/talk.ts";
import { queued } from "./nbd-wire.ts";

/** Changes what a server says; each call gets what it says at once. */
export type Tamper = (said: Uint8Array) => Uint8Array;

/** A server: exports, and what happens to its words. */
export interface LoopServer {
  readonly directory: ExportDirectory;
  readonly options?: SessionOptions;
  readonly tamper?: Tamper;
}

const TALKS = 200_000;

/** One connection. */
class Loop {
  readonly #session: ServerSession;
  readonly #tamper: Tamper;
  #said = new Uint8Array(0);
  #at = 0;
  #waiting = new Uint8Array(0);
  #ended = false;

  constructor({ directory, options, tamper }: LoopServer) {
    this.#session = openSession(directory, options);
    this.#tamper = tamper ?? ((said) => said);
    this.#collect();
  }

  answer(ask: Ask): void {
    if (ask.kind === "send") for (const piece of ask.pieces) this.#hear(piece);
    else if (ask.kind === "fill") this.#fill(ask.target);
    else throw new DaxError("ENOTSUP", { syscall: "connect", detail: "no TLS in here" });
  }

  end(): void {
    this.#ended = true;
    this.#at = this.#said.length;
  }

  #fill(target: Uint8Array): void {
    if (this.#at + target.length <= this.#said.length) {
      target.set(this.#said.subarray(this.#at, this.#at + target.length));
      this.#at += target.length;
      return;
    }
    const closed = this.#ended || this.#session.state === "closing";
    throw new DaxError(closed ? "ECONNRESET" : "ETIMEDOUT", { syscall: "recv", detail: "no more" });
  }

  #hear(piece: Uint8Array): void {
    if (this.#ended) throw new DaxError("EPIPE", { syscall: "send", detail: "it was closed" });
    const bytes = Buffer.concat([this.#waiting, piece]);
    let from = 0;
    for (;;) {
      const used = this.#session.receive(bytes, from, bytes.length);
      from += used;
      const spoke = this.#collect();
      if (this.#session.state === "closing" || (used === 0 && !spoke)) break;
    }
    this.#waiting = new Uint8Array(bytes.subarray(from));
  }

  #collect(): boolean {
    const { replies } = this.#session;
    if (replies.count === 0) return false;
    const said = this.#tamper(queued(replies));
    replies.clear();
    this.#said = new Uint8Array(Buffer.concat([this.#said.subarray(this.#at), said]));
    this.#at = 0;
    return true;
  }
}

/** Runs generators against a server; counts steps, so that none goes on for ever. */
class Runner {
  #steps = 0;

  drive<A, T>(talk: Generator<A, T, void>, answer: (ask: A) => void): T {
    let step = talk.next();
    while (step.done !== true) {
      if (++this.#steps > TALKS) throw new Error(`a talk of more than ${TALKS} steps`);
      let error: unknown;
      try {
        answer(step.value);
      } catch (thrown) {
        error = thrown;
      }
      step = error === undefined ? talk.next() : talk.throw(error);
    }
    return step.value;
  }
}

/** Holds a client's talk with a server, on a connection of its own. */
export function talkWith<T>(server: LoopServer, talk: Talk<T>): T {
  const loop = new Loop(server);
  return new Runner().drive(talk, (ask: Ask) => loop.answer(ask));
}

/** Holds a check with a server. */
export function checkWith<T>(server: LoopServer, talk: CheckTalk<T>): T {
  const loops = new Map<number, Loop>();
  return new Runner().drive(talk, (step: CheckStep) => {
    if (step.kind === "open") loops.set(step.wire, new Loop(server));
    else if (step.kind === "shut") loops.get(step.wire)?.end();
    else loops.get(step.wire)!.answer(step.ask);
  });
}

/** A server of these exports. */
export function loopServer(
  tamper: Tamper | undefined,
  ...exports: readonly NbdExport[]
): LoopServer {
  const directory = {
    list: () => exports,
    find: (name: string) => (name === "" ? exports[0] : exports.find((one) => one.name === name)),
  };
  return tamper === undefined ? { directory } : { directory, tamper };
}
