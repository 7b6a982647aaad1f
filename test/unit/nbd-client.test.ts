/**
 * The client by itself: what it says, what it makes of every kind of reply, and what servers that
 * break the protocol get.
 */
import { describe, expect, test } from "vitest";
import { NbdClient } from "../../src/nbd/client.ts";
import {
  type ClientWishes,
  describeExport,
  listExports,
  negotiate,
} from "../../src/nbd/client-handshake.ts";
import type { Ask } from "../../src/nbd/talk.ts";
import { HELLO, going, hear, optionReply, wire } from "../support/nbd-script.ts";

const UNSUP = 0x80000001;
const refuses = (code: string, text = "") =>
  expect.objectContaining({ name: "DaxError", code, message: expect.stringContaining(text) });
const unsup = (option: number) => optionReply(option, UNSUP);
const ack = (option: number) => optionReply(option, 1);
const context = (id: number, name: string) => optionReply(10, 4, wire([32, id], name));

/** A handshake up to transmission, for each kind of replies. */
const HANDSHAKES = {
  simple: wire(HELLO, unsup(11), unsup(8), going(65536, 0x6d)),
  structured: wire(
    HELLO,
    unsup(11),
    ack(8),
    context(5, "base:allocation"),
    ack(10),
    going(65536, 0xed),
  ),
  extended: wire(HELLO, ack(11), context(5, "base:allocation"), ack(10), going(65536, 0xed)),
};

const simple = (cookie: number, error = 0, data = new Uint8Array(0)) =>
  wire([32, 0x67446698], [32, error], [64, cookie], data);
const chunk = (cookie: number, done: number, type: number, data = new Uint8Array(0)) =>
  wire([32, 0x668e33ef], [16, done], [16, type], [64, cookie], [32, data.length], data);
const piece = (cookie: number, done: number, type: number, data = new Uint8Array(0)) =>
  wire([32, 0x6e8a278c], [16, done], [16, type], [64, cookie], [64, 0], [64, data.length], data);
const bytes = (length: number, value = 7) => new Uint8Array(length).fill(value);

/** Connects by a handshake and then does `body` with what the server says next. */
function after(
  handshake: Uint8Array,
  next: Uint8Array,
  body: (client: NbdClient) => ReturnType<NbdClient["flush"]>,
) {
  function* talk() {
    const client = yield* NbdClient.connect({ exportName: "x" });
    yield* body(client);
    return client;
  }
  return hear(talk(), wire(handshake, next));
}

/** What comes of a handshake. */
function agreed(script: Uint8Array, wishes: Partial<ClientWishes> = {}) {
  return hear(negotiate({ exportName: "x", ...wishes }), script);
}

/** Holds a talk that fails, and tells its error. */
function* failureOf(talk: ReturnType<NbdClient["flush"]>): Generator<Ask, unknown, void> {
  try {
    yield* talk;
  } catch (error) {
    return error;
  }
  return undefined;
}

/** What a block status chunk holds, compact. */
function status(head: Uint8Array, ...extents: readonly (readonly [number, number])[]) {
  return wire(head, ...extents.map(([length, flags]) => wire([32, length], [32, flags])));
}

/** And with lengths of 64 bits. */
function wide(id: number, count: number, ...extents: readonly (readonly [number, number])[]) {
  return wire([32, id], [32, count], ...extents.map(([a, b]) => wire([64, a], [64, b])));
}

/** Asks for the status of some blocks. */
function asked(handshake: Uint8Array, reply: Uint8Array) {
  const found: unknown[] = [];
  const { error } = after(handshake, reply, function* body(client) {
    found.push(yield* client.blockStatus(0, 4096));
  });
  return { found: found[0], error };
}

describe("handshake", () => {
  test("asks for the most first, and takes what there is", () => {
    expect(agreed(HANDSHAKES.extended).result).toMatchObject({
      size: 65536,
      flags: 0xed,
      extended: true,
      structured: true,
      contexts: new Map([[5, "base:allocation"]]),
      blockSizes: { minimum: 1, preferred: 4096, maximum: 2 ** 25 },
    });
    expect(agreed(HANDSHAKES.structured).result).toMatchObject({
      extended: false,
      structured: true,
    });
    const { result, said, left } = agreed(HANDSHAKES.simple);
    expect(result).toMatchObject({ structured: false, contexts: new Map() });
    expect(left).toBe(0);
    expect(said.subarray(0, 4)).toEqual(Buffer.from([0, 0, 0, 3]));
  });

  test("a server without GO is entered by EXPORT_NAME, with and without zeros", () => {
    const named = wire([64, 512], [16, 1]);
    const old = wire("NBDMAGIC", "IHAVEOPT", [16, 1]);
    for (const [hello, zeros] of [
      [HELLO, 0],
      [old, 124],
    ] as const) {
      const script = wire(hello, unsup(11), unsup(8), unsup(7), named, new Uint8Array(zeros));
      expect(agreed(script)).toMatchObject({ result: { size: 512, flags: 1 }, left: 0 });
    }
    const newstyle = wire("NBDMAGIC", "IHAVEOPT", [16, 0]);
    expect(agreed(wire(newstyle, named, new Uint8Array(124)))).toMatchObject({
      result: { size: 512 },
      left: 0,
    });
  });

  test("block sizes, names and descriptions are told; what is not known is passed over", () => {
    const infos = [
      wire([16, 3], [32, 512], [32, 4096], [32, 1_000_000]),
      wire([16, 1], "real"),
      wire([16, 2], "a disk"),
      wire([16, 77], "?"),
    ];
    const script = wire(HELLO, unsup(11), unsup(8), going(1 << 20, 1, infos));
    expect(agreed(script).result).toMatchObject({
      blockSizes: { minimum: 512, preferred: 4096, maximum: 999_936 },
      canonicalName: "real",
      description: "a disk",
    });
  });

  test.each([
    ["no server", wire("SSH-2.0-OpenSSH_9.2p1 Debian\r\n"), "EPROTO"],
    ["an oldstyle server", wire("NBDMAGIC", [64, 0x00420281861253], [16, 0]), "ENOTSUP"],
    ["something else", wire("NBDMAGIC", "IHAVEOPS", [16, 0]), "EPROTO"],
    ["silence", wire(), "ECONNRESET"],
    ["another magic", wire(HELLO, bytes(20)), "EPROTO"],
    ["another option's answer", wire(HELLO, ack(3)), "EPROTO"],
    [
      "a huge reply",
      wire(HELLO, [64, 0x3e889045565a9], [32, 11], [32, 1], [32, 1 << 30]),
      "EPROTO",
    ],
    ["no size", wire(HELLO, unsup(11), unsup(8), ack(7)), "EPROTO"],
    [
      "sizes that are no powers",
      wire(HELLO, unsup(11), unsup(8), going(9, 1, [wire([16, 3], [32, 3], [32, 5], [32, 9])])),
      "EPROTO",
    ],
    ["2^53 bytes", wire(HELLO, unsup(11), unsup(8), going(2 ** 53, 1)), "EOVERFLOW"],
    [
      "an unknown export",
      wire(HELLO, unsup(11), unsup(8), optionReply(7, 0x80000006, wire("no\nsuch"))),
      "ENOENT",
    ],
    ["TLS demanded", wire(HELLO, optionReply(11, 0x80000005)), "EACCES"],
    ["shutdown", wire(HELLO, optionReply(11, 0x80000007)), "ESHUTDOWN"],
  ])("%s", (_, script, code) => {
    expect(agreed(script).error).toEqual(refuses(code));
  });

  test("an endless answer ends", () => {
    const more = Array.from({ length: 500_000 }, () => optionReply(3, 2, wire([32, 0])));
    const { error, left } = hear(listExports(), Buffer.concat([HELLO, ...more]));
    expect(error).toEqual(refuses("EPROTO", "without end"));
    expect(left).toBeGreaterThan(0);
  });

  test("TLS that a server has not is an error where it is demanded", () => {
    expect(agreed(wire(HELLO, unsup(5)), { tls: {} }).error).toEqual(refuses("ENOTSUP", "TLS"));
    const script = wire(HELLO, ack(5), unsup(11), unsup(8), going(1, 1));
    expect(agreed(script, { tls: {} }).result).toMatchObject({ size: 1 });
  });

  test("exports are listed, and described", () => {
    const one = wire([32, 1], "a", "the first");
    const script = wire(HELLO, optionReply(3, 2, one), optionReply(3, 2, wire([32, 0])), ack(3));
    expect(hear(listExports(), script).result).toEqual([
      { name: "a", description: "the first" },
      { name: "", description: "" },
    ]);
    const bad = wire(HELLO, optionReply(3, 2, wire([32, 9], "a")), ack(3));
    expect(hear(listExports(), bad).error).toEqual(refuses("EPROTO"));
    const infos = wire(optionReply(6, 3, wire([16, 0], [64, 5], [16, 3])), ack(6));
    const contexts = wire(optionReply(9, 4, wire([32, 0], "base:allocation")), ack(9));
    expect(hear(describeExport("x"), wire(HELLO, ack(8), infos, contexts)).result).toMatchObject({
      size: 5,
      flags: 3,
      contexts: ["base:allocation"],
    });
  });
});

describe("replies", () => {
  const target = new Uint8Array(8);
  const read = (client: NbdClient) => client.read(16, target);
  const data = (offset: number, length: number, value = 7) =>
    wire([64, offset], bytes(length, value));

  test("a read in each form", () => {
    for (const [handshake, reply] of [
      [HANDSHAKES.simple, simple(1, 0, bytes(8))],
      [HANDSHAKES.structured, chunk(1, 1, 1, data(16, 8))],
      [HANDSHAKES.structured, wire(chunk(1, 0, 1, data(20, 4)), chunk(1, 1, 1, data(16, 4)))],
      [HANDSHAKES.structured, wire(chunk(1, 0, 1, data(16, 8)), chunk(1, 1, 0))],
      [HANDSHAKES.extended, wire(piece(1, 0, 1, data(16, 8)), piece(1, 1, 0))],
    ] as const) {
      target.fill(0);
      expect(after(handshake, reply, read)).toMatchObject({ error: undefined, left: 0 });
      expect(target).toEqual(bytes(8));
    }
    target.fill(1);
    const hole = wire(chunk(1, 0, 2, wire([64, 16], [32, 6])), chunk(1, 1, 1, data(22, 2)));
    expect(after(HANDSHAKES.structured, hole, read).error).toBeUndefined();
    expect([...target]).toEqual([0, 0, 0, 0, 0, 0, 7, 7]);
  });

  test("replies come in any order", () => {
    const big = new Uint8Array(3 << 20);
    const handshake = wire(HELLO, unsup(11), unsup(8), going(3 << 20, 1));
    const replies = wire(simple(3, 0, bytes(1 << 20, 3)), simple(1, 0, bytes(1 << 20, 1)));
    const next = wire(replies, simple(2, 0, bytes(1 << 20, 2)));
    const { error } = after(handshake, next, (client) => client.read(0, big));
    expect(error).toBeUndefined();
    expect([big[0], big[1 << 20], big[2 << 20]]).toEqual([1, 2, 3]);
  });

  test.each([
    ["EIO", simple(1, 5)],
    ["EPERM", simple(1, 1)],
    ["ESHUTDOWN", simple(1, 108)],
    ["EINVAL", simple(1, 12345)],
  ])("%s of a simple reply", (code, reply) => {
    expect(after(HANDSHAKES.simple, reply, read).error).toEqual(refuses(code, "8 bytes at 16"));
  });

  test("the error that a server explains is passed on, and the client lives", () => {
    const failed = chunk(1, 1, 0x8001, wire([32, 28], [16, 4], "full"));
    const next = wire(failed, chunk(2, 1, 0x8002, wire([32, 5], [16, 0], [64, 0])), simple(3));
    const { error } = after(HANDSHAKES.structured, next, function* body(client) {
      const first = client.write(0, bytes(4));
      expect(yield* failureOf(first)).toEqual(refuses("ENOSPC", "full"));
      expect(yield* failureOf(client.trim(0, 4))).toEqual(refuses("EIO"));
      yield* client.flush();
    });
    expect(error).toBeUndefined();
  });

  test.each([
    ["another cookie", HANDSHAKES.simple, simple(2)],
    ["no magic", HANDSHAKES.simple, bytes(16)],
    ["structured, never agreed on", HANDSHAKES.simple, chunk(1, 1, 0)],
    ["simple after structured", HANDSHAKES.structured, simple(1, 0, bytes(8))],
    ["simple error after structured", HANDSHAKES.structured, simple(1, 5)],
    ["compact after extended", HANDSHAKES.extended, chunk(1, 1, 1, data(16, 8))],
    ["too little", HANDSHAKES.structured, chunk(1, 1, 1, data(16, 7))],
    ["nothing", HANDSHAKES.structured, chunk(1, 1, 0)],
    ["too much", HANDSHAKES.structured, chunk(1, 1, 1, data(16, 9))],
    ["elsewhere", HANDSHAKES.structured, chunk(1, 1, 1, data(15, 8))],
    ["beyond 2^53", HANDSHAKES.structured, chunk(1, 1, 1, data(2 ** 53, 8))],
    [
      "twice",
      HANDSHAKES.structured,
      wire(chunk(1, 0, 1, data(16, 4)), chunk(1, 1, 1, data(18, 6))),
    ],
    [
      "whole and twice",
      HANDSHAKES.structured,
      wire(chunk(1, 0, 1, data(16, 8)), chunk(1, 1, 1, data(16, 8))),
    ],
    ["an empty data chunk", HANDSHAKES.structured, chunk(1, 1, 1, wire([64, 16]))],
    ["an empty hole", HANDSHAKES.structured, chunk(1, 1, 2, wire([64, 16], [32, 0]))],
    ["a short hole", HANDSHAKES.structured, chunk(1, 1, 2, wire([64, 16]))],
    ["NONE that is not the last", HANDSHAKES.structured, chunk(1, 0, 0)],
    ["NONE with payload", HANDSHAKES.structured, chunk(1, 1, 0, bytes(1))],
    ["an unknown chunk", HANDSHAKES.structured, chunk(1, 1, 99, bytes(4))],
    ["block status of a read", HANDSHAKES.structured, chunk(1, 1, 5, bytes(12))],
    ["an error that is none", HANDSHAKES.structured, chunk(1, 1, 0x8001, bytes(6, 0))],
    ["a short error", HANDSHAKES.structured, chunk(1, 1, 0x8001, bytes(5))],
    [
      "a message that is longer than its chunk",
      HANDSHAKES.structured,
      chunk(1, 1, 0x8001, wire([32, 5], [16, 9], "x")),
    ],
    [
      "a huge error",
      HANDSHAKES.structured,
      wire([32, 0x668e33ef], [16, 1], [16, 0x8001], [64, 1], [32, 2 ** 31]),
    ],
    [
      "errors without end",
      HANDSHAKES.structured,
      wire(...Array.from({ length: 100 }, () => chunk(1, 0, 0x8001, wire([32, 5], [16, 0])))),
    ],
  ])("%s is EPROTO", (_, handshake, reply) => {
    expect(after(handshake, reply, read).error).toEqual(refuses("EPROTO"));
  });

  test("a broken conversation is not gone on with", () => {
    const { error } = after(HANDSHAKES.simple, bytes(16), function* body(client) {
      expect(yield* failureOf(client.read(0, new Uint8Array(1)))).toEqual(refuses("EPROTO"));
      yield* client.disconnect();
      yield* client.flush();
    });
    expect(error).toEqual(refuses("EPROTO"));
  });
});

describe("commands", () => {
  test("a write carries its payload; with extended headers it says so", () => {
    const write = (client: NbdClient) => client.write(4, bytes(3), 1);
    const compact = after(HANDSHAKES.simple, simple(1), write).said;
    const request = wire([32, 0x25609513], [16, 1], [16, 1], [64, 1], [64, 4], [32, 3], bytes(3));
    expect(compact.subarray(-request.length)).toEqual(Buffer.from(request));
    const long = after(HANDSHAKES.extended, piece(1, 1, 0), write).said;
    const wider = wire([32, 0x21e41c71], [16, 33], [16, 1], [64, 1], [64, 4], [64, 3], bytes(3));
    expect(long.subarray(-wider.length)).toEqual(Buffer.from(wider));
  });

  test("after an error no more is sent, and what is under way is heard", () => {
    const handshake = wire(HELLO, unsup(11), unsup(8), going(1 << 26, 0x41));
    const replies = Array.from({ length: 8 }, (_, i) => simple(i + 1, i === 0 ? 28 : 0));
    const { error, left } = after(handshake, wire(...replies), (client) =>
      client.write(0, new Uint8Array(1 << 26)),
    );
    expect(error).toEqual(refuses("ENOSPC"));
    expect(left).toBe(0);
  });

  test("block status, compact and extended", () => {
    const extents = [
      { length: 512, flags: 0 },
      { length: 9000, flags: 3 },
    ];
    const want = { found: new Map([["base:allocation", extents]]), error: undefined };
    const compact = chunk(1, 1, 5, status(wire([32, 5]), [512, 0], [9000, 3]));
    expect(asked(HANDSHAKES.structured, compact)).toEqual(want);
    const long = piece(1, 1, 6, wide(5, 2, [512, 0], [9000, 3]));
    expect(asked(HANDSHAKES.extended, long)).toEqual(want);
    expect(asked(HANDSHAKES.simple, wire()).error).toEqual(refuses("EINVAL", "no metadata"));
  });

  test.each([
    ["another context", HANDSHAKES.structured, chunk(1, 1, 5, status(wire([32, 6]), [1, 0]))],
    ["no extents", HANDSHAKES.structured, chunk(1, 1, 5, wire([32, 5]))],
    ["half an extent", HANDSHAKES.structured, chunk(1, 1, 5, wire([32, 5], [32, 1]))],
    ["an empty extent", HANDSHAKES.structured, chunk(1, 1, 5, status(wire([32, 5]), [0, 0]))],
    ["nothing", HANDSHAKES.structured, chunk(1, 1, 0)],
    ["success without payload", HANDSHAKES.structured, simple(1)],
    ["the wide form", HANDSHAKES.structured, chunk(1, 1, 6, wide(5, 1, [1, 0]))],
    ["a wrong count", HANDSHAKES.extended, piece(1, 1, 6, wide(5, 2, [1, 0]))],
    [
      "one context twice",
      HANDSHAKES.structured,
      wire(
        chunk(1, 0, 5, status(wire([32, 5]), [1, 0])),
        chunk(1, 1, 5, status(wire([32, 5]), [1, 0])),
      ),
    ],
  ])("block status with %s is EPROTO", (_, handshake, reply) => {
    expect(asked(handshake, reply).error).toEqual(refuses("EPROTO"));
  });

  test("what leaves the export, or is not aligned, is not asked for", () => {
    const infos = [wire([16, 3], [32, 512], [32, 4096], [32, 1 << 20])];
    const handshake = wire(HELLO, unsup(11), unsup(8), going(65536, 0x6d, infos));
    for (const [body, code] of [
      [(client: NbdClient) => client.read(65536, bytes(512)), "ERANGE"],
      [(client: NbdClient) => client.read(256, bytes(512)), "EINVAL"],
      [(client: NbdClient) => client.write(0, bytes(100)), "EINVAL"],
      [(client: NbdClient) => client.trim(0, 0), "EINVAL"],
    ] as const) {
      expect(after(handshake, wire(), body)).toMatchObject({ error: refuses(code), left: 0 });
    }
  });
});
