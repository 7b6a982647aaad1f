/**
 * Memory that the kernel refuses to send from: a file cut short under its mapping. The test plays
 * the kernel: it refuses to touch bytes behind the cut, whatever piece they are in.
 */
import { describe, expect, test } from "vitest";
import { PIECE_STORE } from "../../src/nbd/reply-queue.ts";
import { openSession, resumeSession } from "../../src/nbd/session.ts";
import type { ServerSession, SessionTerms } from "../../src/nbd/session-contract.ts";
import { noise, same } from "../support/bytes.ts";
import { ToyStore } from "../support/nbd-store.ts";
import {
  CLIENT_FLAGS,
  Decoder,
  type Reply,
  directoryOf,
  info,
  join,
  queued,
  request,
} from "../support/nbd-wire.ts";

const SIZE = 1 << 20;
/** Bytes from here on are gone. */
const CUT = SIZE / 2;
const EIO = 5;

/**
 * Sends like the kernel, `unit` bytes at a time: of such a run it takes all or nothing, as it does
 * with the buffers that it copies into.
 */
function sendAll(session: ServerSession, store: ToyStore, unit: number): Uint8Array {
  const { replies } = session;
  const wire: Uint8Array[] = [];
  let sent = 0;
  for (let calls = 0; replies.count > 0 && sent < replies.bytes; calls++) {
    expect(calls).toBeLessThan(100_000);
    const limit = Math.min(replies.bytes, sent + unit);
    if (limit <= reachable(session)) {
      wire.push(queued(replies, store.bytes).subarray(sent, limit));
      sent = limit;
    } else {
      session.sendRefused(sent);
      sent = 0;
    }
  }
  replies.clear();
  return join(...wire);
}

/** How many bytes of the queue can be taken before one that is gone. */
function reachable({ replies }: ServerSession): number {
  let bytes = 0;
  for (let i = 0; i < replies.count; i++) {
    const [at, length] = [replies.at[i] as number, replies.lengths[i] as number];
    if (replies.kinds[i] === PIECE_STORE && at + length > CUT) return bytes + Math.max(0, CUT - at);
    bytes += length;
  }
  return bytes;
}

function cutStore(): ToyStore {
  const bad = { start: CUT, length: SIZE - CUT, code: "EIO" } as const;
  const store = new ToyStore(SIZE, { direct: true, bad });
  store.bytes.set(noise(1, SIZE));
  return store;
}

interface Read {
  readonly offset: number;
  readonly length: number;
}

function ask(
  form: SessionTerms["replies"],
  reads: readonly Read[],
  unit = Infinity,
  store = cutStore(),
): { session: ServerSession; replies: Reply[]; store: ToyStore } {
  const session = resumeSession({ name: "", store }, { replies: form, contexts: [] });
  const extended = form === "extended";
  const bytes = join(
    ...reads.map((read, i) => request({ type: 0, cookie: BigInt(i), ...read }, extended)),
  );
  session.receive(bytes, 0, bytes.length);
  const decoder = new Decoder(sendAll(session, store, unit));
  const replies: Reply[] = [];
  try {
    while (decoder.left > 0) {
      replies.push(decoder.reply((cookie) => (reads[Number(cookie)] as Read).length));
    }
  } catch {
    // What the connection ended in the midst of.
  }
  return { session, replies, store };
}

const good = { offset: 4096, length: 8192 };
const gone = { offset: CUT, length: 512 };
const straddling = { offset: CUT - 100, length: 512 };
const long = { offset: CUT - 70_000, length: 140_000 };

describe.each(["simple", "structured", "extended"] as const)("%s replies", (form) => {
  test("that are refused before their header went out become errors; others stay", () => {
    const reads = [good, gone, good, gone, gone, good];
    const { session, replies, store } = ask(form, reads);
    expect(session.state).toBe("transmission");
    expect(replies.map(({ cookie, error }) => [cookie, error])).toEqual([
      [0n, 0],
      [1n, EIO],
      [2n, 0],
      [3n, EIO],
      [4n, EIO],
      [5n, 0],
    ]);
    expect(replies.every(({ done }) => done)).toBe(true);
    const offset = form === "simple" ? 0 : gone.offset;
    expect(replies[1]?.offset).toBe(offset);
    for (const i of [0, 2, 5]) {
      expect(same(replies[i]?.data as Uint8Array, store.bytes.subarray(4096, 12_288))).toBe(true);
    }
  });

  test("that the store can read after all are sent whole", () => {
    const store = cutStore();
    store.bad = undefined;
    const reads = [good, straddling, long, gone];
    for (const unit of [Infinity, 1000, 170]) {
      const { session, replies } = ask(form, reads, unit, store);
      expect(session.state).toBe("transmission");
      const ended = replies.filter(({ done }) => done);
      expect(ended.map(({ cookie, error }) => [cookie, error])).toEqual(
        [0n, 1n, 2n, 3n].map((c) => [c, 0]),
      );
      const data = replies.filter(({ cookie }) => cookie === 2n).map((reply) => reply.data);
      const { offset, length } = long;
      expect(same(join(...data), store.bytes.subarray(offset, offset + length))).toBe(true);
    }
  });

  test("that begin behind what the handshake said are found", () => {
    const store = cutStore();
    const session = openSession(directoryOf({ name: "", store }));
    const bytes = join(CLIENT_FLAGS, info(7, ""), request({ type: 0, cookie: 1n, ...gone }));
    session.receive(bytes, 0, bytes.length);
    const decoder = new Decoder(sendAll(session, store, Infinity));
    decoder.hello();
    decoder.optionReplies();
    expect(decoder.reply(() => 0).error).toBe(EIO);
    expect(decoder.left).toBe(0);
  });
});

test("a simple reply that was begun ends the connection, with the store's error", () => {
  for (const unit of [1, 10, 50]) {
    const { session, replies } = ask("simple", [good, straddling, good], unit);
    expect(replies.map(({ cookie }) => cookie)).toEqual([0n]);
    expect(session.state).toBe("closing");
    expect(session.fault?.code).toBe("EIO");
    expect(session.receive(new Uint8Array(28), 0, 28)).toBe(0);
  }
});

describe.each(["structured", "extended"] as const)("%s chunks that were begun", (form) => {
  test("are completed with zeros, and their error follows with its offset", () => {
    for (const unit of [50_000, 512, 13]) {
      const { session, replies } = ask(form, [good, long, good], unit);
      expect(session.state).toBe("transmission");
      expect(replies.map(({ cookie, type, error, done }) => [cookie, type, error, done])).toEqual([
        [0n, 1, 0, true],
        [1n, 1, 0, false],
        [1n, 0x8002, EIO, false],
        [1n, 0, 0, true],
        [2n, 1, 0, true],
      ]);
      const data = replies[1]?.data as Uint8Array;
      // None of it counts: the error's offset is that of the chunk.
      expect(data.length).toBe(long.length);
      expect(data.subarray(70_000).every((byte) => byte === 0)).toBe(true);
      expect(replies[2]?.offset).toBe(long.offset);
    }
  });

  test("but said to be the last end the connection", () => {
    const { session } = ask(form, [straddling], 10);
    expect(session.state).toBe("closing");
    expect(session.fault?.code).toBe("EIO");
  });
});

test("a refusal without anything to send from the store ends it", () => {
  const session = openSession(directoryOf({ name: "", store: cutStore() }));
  session.sendRefused(0);
  expect(session.state).toBe("closing");
  expect(session.replies.count).toBe(0);
});
