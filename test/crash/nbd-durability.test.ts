/**
 * What the NBD server acknowledges, held against the crash model: power is cut at every instant of
 * a conversation, in every state that the model allows, and everything that a client was told is
 * durable (by a FLUSH, or by FUA) is looked for.
 */
import { describe, expect, test } from "vitest";
import { type Findings, explore } from "../../src/crash/explorer.ts";
import { createPmem } from "../../src/drivers/pmem.ts";
import { copyOf } from "../../src/lib/memory.ts";
import { ModelledMedia, type ModelledOptions } from "../../src/media/modelled.ts";
import { BlockStore } from "../../src/nbd/block-store.ts";
import { MediaStore } from "../../src/nbd/media-store.ts";
import { openSession } from "../../src/nbd/session.ts";
import type { ServerSession } from "../../src/nbd/session-contract.ts";
import type { NbdStore } from "../../src/nbd/store.ts";
import { noise, same } from "../support/bytes.ts";
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
} from "../support/nbd-wire.ts";

const SIZE = 64 * 1024;
const [WRITE, FLUSH, ZEROES] = [1, 3, 6] as const;
const [FUA, NO_HOLE] = [1, 2] as const;

/** From here on these bytes are what they were when it was promised. */
interface Promised {
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** A client that sends a request at a time, and holds the server to each reply. */
class Client {
  readonly #session: ServerSession;
  readonly #media: ModelledMedia;
  #cookie = 0n;
  /** Written and answered, and not yet durable by anybody's word. */
  #pending: Promised[] = [];

  constructor(store: NbdStore, media: ModelledMedia) {
    this.#session = openSession(directoryOf({ name: "", store }));
    this.#media = media;
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
    for (const promise of this.#pending) this.#media.ack(promise);
    this.#pending = [];
  }

  #answered(promise: Promised, flags: number): void {
    if ((flags & FUA) === 0) this.#pending.push(promise);
    else this.#media.ack(promise);
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
function workload(client: Client, unit: number): void {
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

/** The latest promises; older ones lie in lines that nobody has touched since. */
function checkPromises(media: ModelledMedia, acked: readonly unknown[]): string | undefined {
  for (const { at, bytes } of (acked as readonly Promised[]).slice(-6)) {
    const found = copyOf(media.window(at).memory, at, bytes.length);
    if (!same(found, bytes)) return `bytes ${at}+${bytes.length} are not what was promised`;
  }
  return undefined;
}

function cutEverywhere(
  storeOf: (media: ModelledMedia) => NbdStore,
  modelled: ModelledOptions,
  stopAtFirst: boolean,
): Findings {
  const media = new ModelledMedia(SIZE, modelled);
  // Full of ones, so that zeros which did not arrive are seen.
  const initial = new Uint8Array(SIZE).fill(0xff);
  media.recorder.image.set(initial);
  const store = storeOf(media);
  workload(new Client(store, media), store.blockSizes.minimum);
  const { trace } = media;
  const program = { check: checkPromises };
  const limits = { depth: 1, budget: { leaves: 200_000, steps: 1_000_000 }, stopAtFirst };
  return explore({ initial, modelled, trace, program, torn: "line", ...limits });
}

/** Whether a state that fails is found. */
function isFoundOut(storeOf: (media: ModelledMedia) => NbdStore): boolean {
  return cutEverywhere(storeOf, {}, true).failure !== undefined;
}

const mediaStore = (media: ModelledMedia): NbdStore => new MediaStore(media);

function pmemStore(media: ModelledMedia): NbdStore {
  const pmem = createPmem({ name: "pmem0", media, start: 0, length: SIZE, physicalStart: 0 });
  return new BlockStore(pmem.disk);
}

/** A store with a bug; `always` also where it knows writes that are durable by themselves. */
function broken(
  storeOf: typeof mediaStore,
  bug: Partial<NbdStore>,
  always: boolean,
): typeof mediaStore {
  return (media) => {
    const store = Object.assign(storeOf(media), bug);
    if (always && store.writeThrough !== undefined) store.writeThrough = store.write.bind(store);
    return store;
  };
}

const stores = [
  { name: "media", storeOf: mediaStore },
  { name: "a pmem disk", storeOf: pmemStore },
];

describe.each(stores)("$name behind NBD", ({ storeOf }) => {
  test.each([
    { domain: "adr" as const, points: 6 },
    { domain: "eadr" as const, points: 1 },
  ])("loses nothing that FLUSH or FUA acknowledged: $domain", ({ domain, points }) => {
    const found = cutEverywhere(storeOf, { domain }, false);
    expect(found.unmeasurable).toBe(undefined);
    expect(found.cut).toBe(false);
    expect(found.tallies[0]?.covered).toBe(found.tallies[0]?.space);
    expect(found.failure).toBe(undefined);
    expect(found.tallies[0]?.crashPoints).toBeGreaterThanOrEqual(points);
  });

  test("is found out when FUA is ignored", () => {
    expect(isFoundOut(broken(storeOf, { persist: () => {} }, true))).toBe(true);
  });

  test("is found out when FLUSH is ignored", () => {
    expect(isFoundOut(broken(storeOf, { flush: () => {} }, false))).toBe(true);
  });
});

test("media is found out when FUA writes back less than the range", () => {
  const found = isFoundOut((media) => {
    const store = new MediaStore(media);
    const persist = store.persist.bind(store);
    return Object.assign(store, {
      persist: (offset: number, length: number) => {
        persist(offset, Math.max(1, length - 64));
      },
    });
  });
  expect(found).toBe(true);
});
