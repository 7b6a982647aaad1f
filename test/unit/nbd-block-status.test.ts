/** Transmission: BLOCK_STATUS. */
import { describe, expect, test } from "vitest";
import { DirtyMap } from "../../src/nbd/dirty-map.ts";
import { resumeSession } from "../../src/nbd/session.ts";
import { noise } from "../support/bytes.ts";
import { ToyStore } from "../support/nbd-store.ts";
import {
  EINVAL,
  EIO,
  FLUSH,
  FORMS,
  PAYLOAD,
  REQ_ONE,
  SIZE,
  STATUS,
  talk,
} from "../support/nbd-talk.ts";
import { Decoder, drive, numbers, type Reply, request } from "../support/nbd-wire.ts";

function prepared(): { store: ToyStore; dirty: DirtyMap } {
  const store = new ToyStore(SIZE, { sparse: true });
  const dirty = new DirtyMap(SIZE);
  store.write(8192, noise(1, 4096));
  dirty.add(4096, 1);
  return { store, dirty };
}

describe("BLOCK_STATUS", () => {
  const both = { contexts: ["base:allocation", "daxkit:dirty"] };

  test.each(["structured", "extended"] as const)("tells each context in a chunk: %s", (form) => {
    const { store, dirty } = prepared();
    const sent = { type: STATUS, cookie: 1n, offset: 512, length: SIZE - 512 };
    const { replies } = talk(store, [sent], form, { dirty, ...both });
    expect(replies.map(({ type }) => type)).toEqual(form === "extended" ? [6, 6] : [5, 5]);
    expect(replies.map(({ context, extents, done }) => ({ context, extents, done }))).toEqual([
      {
        context: 1,
        done: false,
        extents: [
          [7680, 3],
          [4096, 0],
          [SIZE - 12_288, 3],
        ],
      },
      {
        context: 2,
        done: true,
        extents: [
          [3584, 0],
          [4096, 1],
          [SIZE - 8192, 0],
        ],
      },
    ]);
  });

  test("with REQ_ONE tells one extent, no longer than was asked", () => {
    const { store, dirty } = prepared();
    const sent = { type: STATUS, cookie: 1n, length: 1000, flags: REQ_ONE };
    const { replies } = talk(store, [sent], "structured", { dirty, ...both });
    expect(replies.map(({ extents }) => extents)).toEqual([[[1000, 3]], [[1000, 0]]]);
    const longer = talk(store, [{ ...sent, length: SIZE }], "structured", { dirty, ...both });
    expect(longer.replies.map(({ extents }) => extents)).toEqual([[[8192, 3]], [[4096, 0]]]);
  });

  test("needs a context that was agreed on", () => {
    const { store } = prepared();
    const sent = { type: STATUS, cookie: 1n, length: 512 };
    for (const form of FORMS) {
      const { replies } = talk(store, [sent], form, { contexts: [] });
      expect(replies.map(({ error }) => error)).toEqual([EINVAL]);
    }
  });

  test("says what went wrong", () => {
    const store = new ToyStore(SIZE, { bad: { start: 0, length: 1, code: "EIO" } });
    const sent = { type: STATUS, cookie: 1n, length: 512 };
    expect(talk(store, [sent], "structured").replies.map(({ error }) => error)).toEqual([EIO]);
  });

  test("never tells more extents than it should, nor longer ones than fit", () => {
    const store = new ToyStore(SIZE);
    const many = Array.from({ length: 20_000 }, (_, i) => ({
      length: 1,
      hole: i % 2 === 0,
      zero: false,
    }));
    store.allocation = function* allocation() {
      yield* many;
    };
    const sent = { type: STATUS, cookie: 1n, length: 30_000 };
    expect(talk(store, [sent], "structured").replies[0]?.extents.length).toBe(8192);
    const huge = { name: "", store: Object.assign(new ToyStore(0), { size: 2 ** 45 }) };
    const ask = (form: "structured" | "extended"): readonly (readonly [number, number])[] => {
      const session = resumeSession(huge, { replies: form, contexts: ["base:allocation"] });
      const length = form === "extended" ? 2 ** 45 : 0xffff_ffff;
      const bytes = request({ type: STATUS, cookie: 1n, length }, form === "extended");
      return new Decoder(drive(session, bytes).said).reply(() => 0).extents;
    };
    expect(ask("extended")).toEqual([[2 ** 45, 0]]);
    expect(ask("structured")).toEqual([[0xffff_0000, 0]]);
  });

  test("with a payload tells the contexts that it names", () => {
    const { store, dirty } = prepared();
    const ask = (payload: Uint8Array, flags = PAYLOAD): readonly Reply[] => {
      const sent = { type: STATUS, cookie: 1n, flags, payload };
      return talk(store, [sent, { type: FLUSH, cookie: 2n }], "extended", { dirty, ...both })
        .replies;
    };
    const [only, flush] = ask(numbers([8, 4096], [4, 2]));
    expect([only?.context, only?.extents, only?.done]).toEqual([2, [[4096, 0]], true]);
    expect(flush?.error).toBe(0);
    expect(ask(numbers([8, 4096], [4, 2], [4, 1])).map(({ context }) => context)).toEqual([
      1, 2, 0,
    ]);
    const wrong = [
      numbers([8, 4096]),
      numbers([8, 4096], [4, 3]),
      numbers([8, 4096], [4, 2], [4, 2]),
      numbers([8, 4096], [4, 1], [4, 2], [4, 1]),
      numbers([8, 4096], [2, 1]),
      numbers([8, SIZE + 1], [4, 1]),
      numbers([8, 0], [4, 1]),
      numbers([4, 1]),
      new Uint8Array(100_000),
    ];
    for (const payload of wrong) {
      expect(ask(payload).map(({ error }) => error)).toEqual([EINVAL, 0]);
    }
  });
});
