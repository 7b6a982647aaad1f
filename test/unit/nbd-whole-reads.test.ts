/**
 * Reads that must be answered in one piece, of stores without addresses: a client that reads
 * nothing must not cost the memory of what it asked for.
 */
import { describe, expect, test } from "vitest";
import { DaxError } from "../../src/lib/errno.ts";
import { resumeSession } from "../../src/nbd/session.ts";
import type { ServerSession, SessionTerms } from "../../src/nbd/session-contract.ts";
import { noise, same } from "../support/bytes.ts";
import { ToyStore } from "../support/nbd-store.ts";
import { Decoder, type Reply, type Sent, join, queued, request } from "../support/nbd-wire.ts";

const MIB = 1 << 20;
const SIZE = 6 * MIB;
const [READ, FLUSH] = [0, 3] as const;
const DF = 4;
const EIO = 5;

/** Sends what a session says whenever it stops; returns all of it, and the most scratch it had. */
function hear(session: ServerSession, bytes: Uint8Array): { said: Uint8Array; scratch: number } {
  const said: Uint8Array[] = [];
  let scratch = 0;
  for (let at = 0; ;) {
    const used = session.receive(bytes, at, bytes.length);
    at += used;
    const { replies } = session;
    if (used === 0 && replies.count === 0) return { said: join(...said), scratch };
    scratch = Math.max(scratch, replies.scratch.length);
    said.push(queued(replies));
    replies.clear();
  }
}

function numbered(sent: Omit<Sent, "cookie">, i: number): Sent {
  return { ...sent, cookie: BigInt(i) };
}

function ask(store: ToyStore, form: SessionTerms["replies"], ...sent: Omit<Sent, "cookie">[]) {
  const session = resumeSession({ name: "", store }, { replies: form, contexts: [] });
  const requests = sent.map(numbered);
  const bytes = join(...requests.map((one) => request(one, form === "extended")));
  const heard = hear(session, bytes);
  const decoder = new Decoder(heard.said);
  const replies: Reply[] = [];
  try {
    while (decoder.left > 0) {
      replies.push(decoder.reply((cookie) => Number(requests[Number(cookie)]?.length ?? 0)));
    }
  } catch {
    // What the connection ended in the midst of.
  }
  return { session, replies, scratch: heard.scratch };
}

function filled(): ToyStore {
  const store = new ToyStore(SIZE);
  store.bytes.set(noise(3, SIZE));
  return store;
}

const long = { type: READ, offset: 4097, length: 5 * MIB + 13 };
const forms = [
  { form: "simple", flags: 0 },
  { form: "structured", flags: DF },
  { form: "extended", flags: DF },
] as const;

describe.each(forms)("$form replies", ({ form, flags }) => {
  test("are sent in parts that take little memory", () => {
    const store = filled();
    const sent = { ...long, flags };
    const { replies, scratch, session } = ask(store, form, sent, { type: FLUSH }, sent);
    expect(session.state).toBe("transmission");
    expect(replies.map(({ cookie, error, done }) => [cookie, error, done])).toEqual([
      [0n, 0, true],
      [1n, 0, true],
      [2n, 0, true],
    ]);
    const wanted = store.bytes.subarray(long.offset, long.offset + long.length);
    expect(same(replies[0]?.data as Uint8Array, wanted)).toBe(true);
    expect(same(replies[2]?.data as Uint8Array, wanted)).toBe(true);
    expect(scratch).toBeLessThanOrEqual(2 * MIB);
  });

  test("say what cannot be read before anything is said", () => {
    const store = filled();
    store.bad = { start: 5 * MIB, length: 1, code: "EIO" };
    const { replies, session } = ask(store, form, { ...long, flags }, { type: FLUSH });
    expect(session.state).toBe("transmission");
    expect(replies.map(({ cookie, error }) => [cookie, error])).toEqual([
      [0n, EIO],
      [1n, 0],
    ]);
  });

  test("that break off while they are sent end the connection, and nothing is made up", () => {
    const store = filled();
    const read = store.read.bind(store);
    let calls = 0;
    store.read = (offset, target) => {
      // All of it was there when it was looked at.
      if (++calls > 8) throw new DaxError("EIO", { syscall: "toy", detail: "gone by now" });
      read(offset, target);
    };
    const { replies, session } = ask(store, form, { ...long, flags }, { type: FLUSH });
    expect(replies).toEqual([]);
    expect(session.state).toBe("closing");
    expect(session.fault?.code).toBe("EIO");
  });
});
