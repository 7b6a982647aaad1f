/** Transmission: how data goes to and fro, in chunks, in pieces, and around the session. */
import { describe, expect, test } from "vitest";
import { DirtyMap } from "../../src/nbd/dirty-map.ts";
import { resumeSession } from "../../src/nbd/session.ts";
import { noise, same } from "../support/bytes.ts";
import { ToyStore } from "../support/nbd-store.ts";
import {
  DF,
  EINVAL,
  EIO,
  ENOSPC,
  EOVERFLOW,
  FLUSH,
  FUA,
  none,
  READ,
  SIZE,
  talk,
  WRITE,
} from "../support/nbd-talk.ts";
import { Decoder, drive, join, request } from "../support/nbd-wire.ts";

describe("reads larger than a payload", () => {
  const large = new ToyStore(33 << 20);
  const ask = { type: READ, cookie: 1n, length: 33 << 20 };

  test("are refused where replies are simple", () => {
    expect(talk(large, [ask]).replies.map(({ error }) => error)).toEqual([EINVAL]);
  });

  test.each(["structured", "extended"] as const)("come in chunks, or whole: %s", (form) => {
    const { replies } = talk(large, [ask], form);
    expect(replies.length).toBe(33);
    expect(replies.filter(({ done }) => done).length).toBe(1);
    expect(join(...replies.map(({ data }) => data)).length).toBe(33 << 20);
    const whole = talk(large, [{ ...ask, flags: DF }], form).replies;
    expect(whole.map(({ error }) => error)).toEqual([EOVERFLOW]);
    const most = talk(large, [{ ...ask, length: 32 << 20, flags: DF }], form).replies;
    expect(most.map(({ data }) => data.length)).toEqual([32 << 20]);
  });
});

describe("reads", () => {
  test("of holes are told as holes", () => {
    const store = new ToyStore(1 << 20, { sparse: true });
    store.write(512 * 1024, noise(1, 4096));
    const ask = { type: READ, cookie: 1n, length: 1 << 20 };
    for (const form of ["structured", "extended"] as const) {
      const { replies } = talk(store, [ask], form);
      const shape = replies.map(({ type, offset, hole, data, done }) => [
        type,
        offset,
        hole + data.length,
        done,
      ]);
      expect(shape).toEqual([
        [2, 0, 512 * 1024, false],
        [1, 512 * 1024, 512 * 1024, true],
      ]);
    }
    const whole = { ...ask, length: 512 * 1024, flags: DF };
    expect(talk(store, [whole], "structured").replies[0]?.hole).toBe(512 * 1024);
    const mixed = { ...ask, flags: DF };
    for (const [sent, form] of [
      [mixed, "structured"],
      [ask, "simple"],
    ] as const) {
      const [reply] = talk(store, [sent], form).replies;
      expect(same(reply?.data ?? none, store.bytes)).toBe(true);
    }
  });

  test("tell where they failed, after what was good", () => {
    const bad = { start: 2 << 20, length: 1, code: "EIO" } as const;
    const store = new ToyStore(4 << 20, { bad });
    const sent = { type: READ, cookie: 1n, length: 4 << 20 };
    const { replies } = talk(store, [sent, { type: FLUSH, cookie: 2n }], "structured");
    expect(replies.map(({ type, offset, error }) => [type, offset, error])).toEqual([
      [1, 0, 0],
      [1, 1 << 20, 0],
      [0x8002, 2 << 20, EIO],
      [0, 0, 0],
    ]);
    expect(replies.map(({ done }) => done)).toEqual([false, false, true, true]);
  });

  test("of direct memory copy nothing, and leave room for an error where they are long", () => {
    const store = new ToyStore(SIZE * 4, { direct: true });
    store.bytes.set(noise(3, store.size));
    const short = { type: READ, cookie: 1n, length: SIZE };
    const long = { type: READ, cookie: 2n, length: SIZE * 2 };
    const { replies } = talk(store, [short, long], "structured");
    expect(store.calls).toEqual([]);
    expect(replies.map(({ type, done }) => [type, done])).toEqual([
      [1, true],
      [1, false],
      [0, true],
    ]);
    expect(same(replies[1]?.data ?? none, store.bytes.subarray(0, SIZE * 2))).toBe(true);
  });

  test("of any length take little memory", () => {
    const store = Object.assign(new ToyStore(0), { size: 2 ** 40, read: () => {} });
    const target = { name: "", store };
    const session = resumeSession(target, { replies: "structured", contexts: [] });
    const ask = request({ type: READ, cookie: 1n, length: 0xffff_f000 });
    let sent = 0;
    for (let used = 0; used === 0;) {
      used = session.receive(ask, 0, ask.length);
      expect(session.replies.scratch.length).toBeLessThanOrEqual(4 << 20);
      expect(session.terms === undefined).toBe(used === 0);
      sent += session.replies.bytes;
      session.replies.clear();
    }
    expect(sent).toBe(0xffff_f000 + 28 * 4096);
  });
});

describe("writes", () => {
  const sent = { type: WRITE, cookie: 1n, offset: 1000, payload: noise(7, 40_000) };

  test.each([[[1]], [[7, 4096]], [[28, 100_000]], [[65_536]]])(
    "in parts of %j bytes reach the store, and land where they may",
    (sizes) => {
      for (const lands of [false, true]) {
        const store = new ToyStore(SIZE, { direct: lands });
        const dirty = new DirtyMap(SIZE);
        const { replies } = talk(store, [sent], "simple", { dirty, lands, sizes });
        expect(replies.map(({ error }) => error)).toEqual([0]);
        expect(same(store.bytes.subarray(1000, 41_000), sent.payload)).toBe(true);
        expect([...dirty.extents(0, SIZE)]).toEqual([
          { length: 45_056, dirty: true },
          { length: SIZE - 45_056, dirty: false },
        ]);
      }
    },
  );

  test("of whole blocks are cut on the same borders however they come", () => {
    const blockSizes = { minimum: 512, preferred: 4096 };
    const payload = noise(9, 600 * 1024);
    for (const sizes of [[700_000], [1000], [28, 256 * 1024]]) {
      const store = new ToyStore(1 << 20, { blockSizes });
      talk(store, [{ type: WRITE, cookie: 1n, offset: 512, payload }], "simple", { sizes });
      expect(store.calls).toEqual([
        "write 512+262144",
        "write 262656+262144",
        "write 524800+90112",
      ]);
      expect(same(store.bytes.subarray(512, 512 + payload.length), payload)).toBe(true);
    }
  });

  test("that fail midway fail as a whole, and the stream stays in step", () => {
    const bad = { start: 20_000, length: 1, code: "ENOSPC" } as const;
    const store = new ToyStore(SIZE, { bad });
    const after = { type: READ, cookie: 2n, length: 4 };
    const { replies } = talk(store, [sent, after], "simple", { sizes: [5000] });
    expect(replies.map(({ error }) => error)).toEqual([ENOSPC, 0]);
  });

  test("that the kernel will not land come to the store, which says what is wrong", () => {
    const store = new ToyStore(SIZE, { direct: true });
    const session = resumeSession({ name: "", store }, { replies: "simple", contexts: [] });
    const bytes = request(sent);
    session.receive(bytes, 0, 28);
    expect(session.landing).toEqual({ offset: 1000, length: 40_000 });
    expect(session.terms).toBe(undefined);
    session.landed(10_000);
    expect(session.landing).toEqual({ offset: 11_000, length: 30_000 });
    session.landingRefused();
    expect(session.landing).toBe(undefined);
    store.bad = { start: 20_000, length: 1, code: "ENOSPC" };
    const { said } = drive(session, bytes.subarray(10_028));
    expect(new Decoder(said).reply(() => 0).error).toBe(ENOSPC);
    expect(session.terms).toEqual({ replies: "simple", contexts: [] });
  });

  test("with FUA go through in one request where the store knows that", () => {
    const store = new ToyStore(SIZE);
    const through: number[] = [];
    Object.assign(store, { writeThrough: (offset: number) => through.push(offset) });
    talk(store, [
      { ...sent, flags: FUA },
      { ...sent, cookie: 2n },
    ]);
    expect(through).toEqual([1000]);
    expect(store.calls).toEqual(["write 1000+40000"]);
  });
});
