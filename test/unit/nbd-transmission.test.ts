/** Transmission: each command, flag and error, as the specification has them. */
import { describe, expect, test } from "vitest";
import { openSession, resumeSession } from "../../src/nbd/session.ts";
import { noise, same } from "../support/bytes.ts";
import { ToyStore } from "../support/nbd-store.ts";
import {
  CACHE,
  DF,
  DISC,
  EINVAL,
  EIO,
  ENOSPC,
  ENOTSUP,
  EPERM,
  errorOf,
  ESHUTDOWN,
  FAST,
  FLUSH,
  FORMS,
  FUA,
  NO_HOLE,
  none,
  PAYLOAD,
  PAYLOAD_512,
  READ,
  REQ_ONE,
  SIZE,
  STATUS,
  talk,
  TRIM,
  WRITE,
  ZEROES,
} from "../support/nbd-talk.ts";
import {
  CLIENT_FLAGS,
  Decoder,
  directoryOf,
  drive,
  info,
  join,
  option,
  request,
  type Sent,
} from "../support/nbd-wire.ts";

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

test("an export hears of its client before the first of the requests that came along", () => {
  const store = new ToyStore(SIZE);
  const heard: string[] = [];
  store.flush = () => void heard.push("flush");
  const target = { name: "", store, onAttach: () => void heard.push("attach") };
  const flush = request({ type: FLUSH, cookie: 1n });
  drive(openSession(directoryOf(target)), join(CLIENT_FLAGS, info(7, ""), flush, flush));
  expect(heard).toEqual(["attach", "flush", "flush"]);
});
