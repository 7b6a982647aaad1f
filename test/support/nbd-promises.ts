/** A client of the NBD server that holds it to each reply, and what it does: to be cut anywhere. */
import { openSession } from "../../src/nbd/session.ts";
import type { ServerSession } from "../../src/nbd/session-contract.ts";
import type { NbdStore } from "../../src/nbd/store.ts";
import { noise } from "./bytes.ts";
import {
  CLIENT_FLAGS,
  Decoder,
  type Sent,
  directoryOf,
  drive,
  info,
  join,
  option,
  request,
} from "./nbd-wire.ts";

const [WRITE, FLUSH, ZEROES] = [1, 3, 6] as const;
const [FUA, NO_HOLE] = [1, 2] as const;

/** From here on these bytes are what they were when it was promised. */
export interface Promised {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** A client that sends a request at a time, and holds the server to each reply. */
export class NbdClient {
  readonly #session: ServerSession;
  readonly #promise: (promise: Promised) => void;
  #cookie = 0n;
  /** Written and answered, and not yet durable by anybody's word. */
  #pending: Promised[] = [];

  constructor(store: NbdStore, promise: (promise: Promised) => void) {
    this.#session = openSession(directoryOf({ name: "", store }));
    this.#promise = promise;
    drive(this.#session, join(CLIENT_FLAGS, option(8), info(7, "", [3])));
  }

  write(at: number, bytes: Uint8Array, flags = 0): void {
    this.#ask({ type: WRITE, flags, cookie: 0n, offset: at, payload: bytes });
    this.#answered({ at, bytes }, flags);
  }

  zero(at: number, length: number, flags = 0): void {
    this.#ask({ type: ZEROES, flags, cookie: 0n, offset: at, length });
    this.#answered({ at, bytes: new Uint8Array(length) }, flags);
  }

  flush(): void {
    this.#ask({ type: FLUSH, cookie: 0n });
    for (const promise of this.#pending) this.#promise(promise);
    this.#pending = [];
  }

  #answered(promise: Promised, flags: number): void {
    if ((flags & FUA) === 0) this.#pending.push(promise);
    else this.#promise(promise);
  }

  #ask(sent: Sent): void {
    const cookie = this.#cookie++;
    // Payload comes in parts, as a socket brings it.
    const { said } = drive(this.#session, request({ ...sent, cookie }), { sizes: [50, 300] });
    const reply = new Decoder(said).reply(() => 0);
    if (reply.cookie !== cookie || reply.error !== 0) throw new Error(`error ${reply.error}`);
  }
}

function slotOf(n: number): number {
  return n * 1536;
}

/** Slots of three sectors, and what a client does in them. */
export function nbdWorkload(client: NbdClient, unit: number): void {
  const length = (n: number): number => Math.ceil((40 + n * 30) / unit) * unit;
  const shift = unit === 1 ? 77 : 0;
  for (let n = 0; n < 12; n++) {
    const bytes = noise(n, length(n));
    if (n % 4 === 0) client.write(slotOf(n) + shift, bytes, FUA);
    else if (n % 4 === 1) client.write(slotOf(n) + shift, bytes);
    else if (n % 4 === 2) client.zero(slotOf(n) + shift, length(n), FUA | NO_HOLE);
    else {
      client.zero(slotOf(n) + shift, length(n));
      client.flush();
    }
  }
  // Nobody waits for this one.
  client.write(slotOf(30), noise(30, unit));
}
