/** Transmission: each command, flag and error, as the specification has them. */
import { describe, expect, test } from "vitest";
import { DirtyMap } from "../../src/nbd/dirty-map.ts";
import type { NbdExport } from "../../src/nbd/export.ts";
import { openSession, resumeSession } from "../../src/nbd/session.ts";
import type { ServerSession, SessionTerms } from "../../src/nbd/session-contract.ts";
import { noise, same } from "../support/bytes.ts";
import { ToyStore, type ToyStoreOptions } from "../support/nbd-store.ts";
import {
  CLIENT_FLAGS,
  Decoder,
  type Reply,
  type Sent,
  directoryOf,
  drive,
  info,
  join,
  numbers,
  option,
  request,
} from "../support/nbd-wire.ts";

const [READ, WRITE, DISC, FLUSH, TRIM, CACHE, ZEROES, STATUS] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const [FUA, NO_HOLE, DF, REQ_ONE, FAST, PAYLOAD] = [1, 2, 4, 8, 16, 32] as const;
const [EPERM, EIO, EINVAL, ENOSPC, EOVERFLOW, ENOTSUP, ESHUTDOWN] = [1, 5, 22, 28, 75, 95, 108];
const SIZE = 65_536;
const FORMS = ["simple", "structured", "extended"] as const;
type Form = SessionTerms["replies"];

interface Talk {
  readonly replies: readonly Reply[];
  readonly session: ServerSession;
  readonly calls: readonly string[];
}

/** Sends requests to a store and gathers the replies. */
function talk(
  store: ToyStore,
  requests: readonly Sent[],
  form: Form = "simple",
  more: Partial<NbdExport> & { contexts?: string[]; lands?: boolean; sizes?: number[] } = {},
): Talk {
  const { contexts = form === "simple" ? [] : ["base:allocation"], lands = false, sizes } = more;
  const target = { name: "disk", store, ...more };
  const session = resumeSession(target, { replies: form, contexts });
  const bytes = join(...requests.map((one) => request(one, form === "extended")));
  const { said } = drive(session, bytes, { media: store.bytes, lands, ...(sizes && { sizes }) });
  const decoder = new Decoder(said);
  const replies: Reply[] = [];
  const lengthOf = (cookie: bigint): number => {
    const sent = requests.find((one) => one.cookie === cookie);
    return sent?.type === READ ? Number(sent.length) : 0;
  };
  while (decoder.left > 0) replies.push(decoder.reply(lengthOf));
  return { replies, session, calls: store.calls };
}

/** The error of one request, which is 0 where it went well; the session must go on. */
function errorOf(
  options: ToyStoreOptions,
  sent: Omit<Sent, "cookie">,
  form: Form = "simple",
): number | undefined {
  const after = { type: FLUSH, cookie: 2n };
  const store = new ToyStore(SIZE, options);
  const { replies, session } = talk(store, [{ ...sent, cookie: 1n }, after], form);
  expect(replies.at(-1)?.cookie).toBe(2n);
  expect(replies.at(-1)?.error).toBe(0);
  expect(session.state).toBe("transmission");
  return replies.find(({ error }) => error !== 0)?.error ?? 0;
}

const PAYLOAD_512 = noise(1, 512);
const none = new Uint8Array(0);

function row(
  what: string,
  sent: Omit<Sent, "cookie">,
  error: number,
): readonly [string, Omit<Sent, "cookie">, number] {
  return [what, sent, error];
}

describe.each(FORMS)("commands with %s replies", (form) => {
  const flag = form === "extended" ? PAYLOAD : 0;
  const write = { type: WRITE, flags: flag, payload: PAYLOAD_512 };

  test("do what they say, in order", () => {
    const store = new ToyStore(SIZE);
    const { replies } = talk(
      store,
      [
        { ...write, cookie: 1n, offset: 100 },
        { ...write, cookie: 2n, offset: 4096, flags: flag | FUA },
        { type: FLUSH, cookie: 3n, flags: FUA },
        { type: TRIM, cookie: 4n, offset: 8192, length: 4096, flags: FUA },
        { type: CACHE, cookie: 5n, offset: 0, length: SIZE },
        { type: ZEROES, cookie: 6n, offset: 1, length: 2 },
        { type: ZEROES, cookie: 7n, offset: 3, length: 4, flags: NO_HOLE | FUA },
        { type: ZEROES, cookie: 8n, offset: 5, length: SIZE - 5, flags: FAST },
        { type: READ, cookie: 0xffff_ffff_ffff_fffen, offset: 0, length: SIZE, flags: FUA },
      ],
      form,
    );
    expect(store.calls).toEqual([
      "write 100+512",
      "write 4096+512",
      "persist 4096+512",
      "flush",
      "trim 8192+4096",
      "persist 8192+4096",
      "cache 0+65536",
      "zero 1+2",
      "zero no-hole 3+4",
      "persist 3+4",
      "zero fast 5+65531",
      "read 0+65536",
    ]);
    expect(replies.map(({ cookie }) => cookie)).toEqual([
      1n,
      2n,
      3n,
      4n,
      5n,
      6n,
      7n,
      8n,
      0xffff_ffff_ffff_fffen,
    ]);
    expect(replies.every(({ error, done }) => error === 0 && done)).toBe(true);
    expect(same(replies.at(-1)?.data ?? none, store.bytes)).toBe(true);
    // Only a read must come in chunks; extended replies are all of one form.
    const kinds = form === "structured" ? "simple" : form;
    expect(replies.slice(0, -1).every(({ kind }) => kind === kinds)).toBe(true);
    expect(replies.at(-1)?.kind).toBe(form);
  });

  test("DISC ends it without a reply", () => {
    const disc = { type: DISC, cookie: 9n };
    const { replies, session } = talk(
      new ToyStore(SIZE),
      [disc, { type: FLUSH, cookie: 1n }],
      form,
    );
    expect(replies).toEqual([]);
    expect(session.state).toBe("closing");
    expect(session.fault).toBe(undefined);
  });

  test("a request without its magic number ends it", () => {
    const store = new ToyStore(SIZE);
    const session = resumeSession({ name: "", store }, { replies: form, contexts: [] });
    const { said } = drive(session, new Uint8Array(64));
    expect(said.length).toBe(0);
    expect(session.state).toBe("closing");
    expect(session.fault?.code).toBe("EBADMSG");
  });

  const beyond = { offset: SIZE - 256, length: 512 };
  const far = { offset: 2n ** 64n - 512n, length: 512 };
  const writing = { type: WRITE, flags: flag, payload: PAYLOAD_512 };
  test.each([
    row("a read beyond the end", { type: READ, ...beyond }, EINVAL),
    row("a read at 2^64 - 512", { type: READ, ...far }, EINVAL),
    row("a write beyond the end", { ...writing, offset: SIZE - 256 }, ENOSPC),
    row("a write at 2^64 - 512", { ...writing, offset: far.offset }, ENOSPC),
    row("zeroes beyond the end", { type: ZEROES, ...beyond }, ENOSPC),
    row("a trim beyond the end", { type: TRIM, ...beyond }, EINVAL),
    row("a cache beyond the end", { type: CACHE, ...beyond }, EINVAL),
    row("a read of nothing", { type: READ, offset: 0, length: 0 }, EINVAL),
    row("a write of nothing", { type: WRITE, flags: flag, length: 0 }, EINVAL),
    row("a trim of nothing", { type: TRIM, length: 0 }, EINVAL),
    row("zeroes of nothing", { type: ZEROES, length: 0 }, EINVAL),
    row("a flush with an offset", { type: FLUSH, offset: 512 }, EINVAL),
    row("a flush with a length", { type: FLUSH, length: 512 }, EINVAL),
    row("a command nobody knows", { type: 9, length: 512 }, EINVAL),
    row("RESIZE", { type: 8, length: 512 }, EINVAL),
    row("command 65535", { type: 0xffff }, EINVAL),
    row("a read with NO_HOLE", { type: READ, length: 512, flags: NO_HOLE }, EINVAL),
    row("a write with DF", { ...writing, flags: flag | DF }, EINVAL),
    row("a trim with FAST_ZERO", { type: TRIM, length: 512, flags: FAST }, EINVAL),
    row("a cache with REQ_ONE", { type: CACHE, length: 512, flags: REQ_ONE }, EINVAL),
    row("a flag nobody knows", { type: READ, length: 512, flags: 0x8000 }, EINVAL),
    row("DF", { type: READ, length: 512, flags: DF }, form === "simple" ? EINVAL : 0),
  ])("answer %s as they should, and go on", (_, sent, error) => {
    expect(errorOf({}, sent, form)).toBe(error);
  });

  test.each([
    row("a write", writing, EPERM),
    row("a write with FUA", { ...writing, flags: flag | FUA }, EPERM),
    row("a trim", { type: TRIM, length: 512 }, EPERM),
    row("zeroes", { type: ZEROES, length: 512 }, EPERM),
    row("a flush", { type: FLUSH }, 0),
    row("a read", { type: READ, length: 512 }, 0),
  ])("of a read-only export: %s", (_, sent, error) => {
    expect(errorOf({ readOnly: true }, sent, form)).toBe(error);
  });

  const blockSizes = { minimum: 512, preferred: 4096 };
  test.each([
    row("a read at 1", { type: READ, offset: 1, length: 512 }, EINVAL),
    row("a read of 1", { type: READ, offset: 0, length: 1 }, EINVAL),
    row("a write at 1", { ...writing, offset: 1 }, EINVAL),
    row("a write of 511", { ...writing, payload: noise(1, 511) }, EINVAL),
    row("zeroes at 256", { type: ZEROES, offset: 256, length: 512 }, EINVAL),
    row("a read of a block", { type: READ, offset: 512, length: 512 }, 0),
  ])("of blocks of 512 bytes: %s", (_, sent, error) => {
    expect(errorOf({ blockSizes }, sent, form)).toBe(error);
  });

  const little = { trim: false, cache: false, fastZero: false };
  test.each([
    row("a trim", { type: TRIM, length: 512 }, EINVAL),
    row("a cache", { type: CACHE, length: 512 }, EINVAL),
    row("fast zeroes", { type: ZEROES, length: 512, flags: FAST }, ENOTSUP),
    row("zeroes", { type: ZEROES, length: 512 }, 0),
  ])("of a store that can do little: %s", (_, sent, error) => {
    expect(errorOf({ abilities: little }, sent, form)).toBe(error);
  });

  const codes = [
    ["EIO", EIO],
    ["EHWPOISON", EIO],
    ["ENXIO", EIO],
    ["ENOSPC", ENOSPC],
    ["EFBIG", ENOSPC],
    ["EROFS", EPERM],
    ["EACCES", EPERM],
    ["EINVAL", EINVAL],
    ["ENOTSUP", EINVAL],
    ["EUCLEAN", EIO],
  ] as const;
  test.each(codes)("%s of the store is %i on the wire", (code, error) => {
    const bad = { start: 0, length: SIZE, code };
    const asked: Omit<Sent, "cookie">[] = [
      { type: READ, length: 512 },
      { ...writing },
      { type: TRIM, length: 512 },
      { type: CACHE, length: 512 },
      { type: ZEROES, length: 512 },
    ];
    expect(asked.map((sent) => errorOf({ bad }, sent, form))).toEqual(asked.map(() => error));
    const fast = errorOf({ bad }, { type: ZEROES, length: 512, flags: FAST }, form);
    expect(fast).toBe(code === "ENOTSUP" ? ENOTSUP : error);
  });

  test("an error of a flush is one", () => {
    const store = new ToyStore(SIZE, { bad: { start: -1, length: 0, code: "EIO" } });
    expect(talk(store, [{ type: FLUSH, cookie: 1n }], form).replies[0]?.error).toBe(EIO);
  });

  test("errors in chunks say why, and name no path of this machine", () => {
    const store = new ToyStore(SIZE, { bad: { start: 0, length: 512, code: "EIO" } });
    const [reply] = talk(store, [{ type: READ, cookie: 1n, offset: 8, length: 9 }], form).replies;
    expect(new TextDecoder().decode(reply?.data)).toBe(
      form === "simple" ? "" : "EIO: told to fail",
    );
    expect(reply?.offset).toBe(form === "simple" ? 0 : 8);
    expect(reply?.headerOffset).toBe(form === "extended" ? 8n : 0n);
  });

  test("payload of a refused write is passed over, at any size that is no attack", () => {
    const most = form === "extended" ? 32 << 20 : 64 << 20;
    const store = new ToyStore(SIZE);
    const { replies, session } = talk(
      store,
      [
        { type: WRITE, flags: flag, cookie: 1n, payload: new Uint8Array(most) },
        { type: FLUSH, cookie: 2n },
      ],
      form,
    );
    expect(replies.map(({ error }) => error)).toEqual([form === "extended" ? ENOSPC : EINVAL, 0]);
    expect(session.state).toBe("transmission");
    const over = { type: WRITE, flags: flag, cookie: 1n, length: most + 1 };
    const refused = talk(store, [over], form);
    expect(refused.replies.map(({ error }) => error)).toEqual([EINVAL]);
    expect(refused.session.state).toBe("closing");
    expect(refused.session.fault?.code).toBe("EBADMSG");
  });

  test("after shutdown get ESHUTDOWN, but a write that began is written", () => {
    const store = new ToyStore(SIZE);
    const session = resumeSession({ name: "", store }, { replies: form, contexts: [] });
    const extended = form === "extended";
    const begun = request({ ...writing, cookie: 1n }, extended);
    session.receive(begun, 0, 300);
    session.shutdown();
    const rest = [
      { ...writing, cookie: 2n },
      { type: READ, cookie: 3n, length: 512 },
      { type: DISC, cookie: 4n },
    ].map((sent) => request(sent, extended));
    const { said } = drive(session, join(begun.subarray(300), ...rest));
    const decoder = new Decoder(said);
    const errors = [1, 2, 3].map(() => decoder.reply(() => 0).error);
    expect(errors).toEqual([0, ESHUTDOWN, ESHUTDOWN]);
    const first = 300 - (extended ? 32 : 28);
    expect(store.calls).toEqual([`write 0+${first}`, `write ${first}+${512 - first}`]);
    expect(session.state).toBe("closing");
  });
});

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

describe("extended headers", () => {
  test("a write without PAYLOAD_LEN has no payload, and is EINVAL", () => {
    expect(errorOf({}, { type: WRITE, length: 512 }, "extended")).toBe(EINVAL);
  });

  test("a payload that a command does not want is passed over", () => {
    const sent = { type: READ, flags: PAYLOAD, payload: noise(1, 1000) };
    expect(errorOf({}, sent, "extended")).toBe(EINVAL);
    expect(errorOf({}, { ...sent, type: 99 }, "extended")).toBe(EINVAL);
  });

  test.each([2n ** 32n, 2n ** 63n, 2n ** 64n - 1n])("a length of %i is out of range", (length) => {
    const asked = [READ, TRIM, CACHE, ZEROES, STATUS];
    const errors = asked.map((type) => errorOf({}, { type, length }, "extended"));
    expect(errors).toEqual([EINVAL, EINVAL, EINVAL, ENOSPC, EINVAL]);
  });

  test("replies repeat the offset that was sent, whatever it is", () => {
    const offset = 0xfedc_ba98_7654_3211n;
    const sent = { type: READ, cookie: 1n, offset, length: 1 };
    const [reply] = talk(new ToyStore(SIZE), [sent], "extended").replies;
    expect(reply?.headerOffset).toBe(offset);
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

test("terms are there while nothing is half done", () => {
  const store = new ToyStore(SIZE);
  const session = openSession(directoryOf({ name: "", store }));
  expect(session.terms).toBe(undefined);
  drive(session, join(CLIENT_FLAGS, option(11), info(7, "")));
  expect(session.terms).toEqual({ replies: "extended", contexts: [] });
  const bytes = request({ type: WRITE, flags: PAYLOAD, cookie: 1n, payload: PAYLOAD_512 }, true);
  session.receive(bytes, 0, 100);
  expect(session.terms).toBe(undefined);
  session.receive(bytes, 100, bytes.length);
  expect(session.terms).toEqual({ replies: "extended", contexts: [] });
  session.shutdown();
  expect(session.terms).toBe(undefined);
});
