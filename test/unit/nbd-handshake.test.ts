/** The handshake, option by option, as the specification has it. */
import { describe, expect, test } from "vitest";
import { DirtyMap } from "../../src/nbd/dirty-map.ts";
import type { NbdExport } from "../../src/nbd/export.ts";
import { openSession } from "../../src/nbd/session.ts";
import { ToyStore, type ToyStoreOptions } from "../support/nbd-store.ts";
import {
  CLIENT_FLAGS,
  Decoder,
  type Driven,
  type OptionReply,
  contexts,
  converse,
  counted,
  directoryOf,
  drive,
  info,
  join,
  numbers,
  option,
  request,
  utf8,
} from "../support/nbd-wire.ts";

const ERROR = 2 ** 31;
const UNSUP = ERROR + 1;
const POLICY = ERROR + 2;
const INVALID = ERROR + 3;
const TLS_REQD = ERROR + 5;
const UNKNOWN = ERROR + 6;
const SHUTDOWN = ERROR + 7;
const BLOCK_SIZE_REQD = ERROR + 8;
const TOO_BIG = ERROR + 9;
const EXT = ERROR + 10;
const [EXPORT_NAME, ABORT, LIST, STARTTLS, INFO, GO, STRUCTURED, LIST_META, SET_META, EXTENDED] = [
  1, 2, 3, 5, 6, 7, 8, 9, 10, 11,
] as const;

function exportOf(name: string, options: ToyStoreOptions = {}, size = 65_536): NbdExport {
  return { name, store: new ToyStore(size, options), description: `about ${name}` };
}

/** The final replies, and all of them by option. */
function haggle(
  options: readonly Uint8Array[],
  exports: readonly NbdExport[] = [exportOf("disk")],
  more: Parameters<typeof converse>[2] = {},
): Driven & { replies: OptionReply[][]; finals: number[] } {
  const driven = converse(exports, join(CLIENT_FLAGS, ...options), more);
  const decoder = new Decoder(driven.said);
  decoder.hello();
  const replies: OptionReply[][] = [];
  while (decoder.left > 0) replies.push(decoder.optionReplies());
  return { ...driven, replies, finals: replies.map((all) => all.at(-1)?.type ?? 0) };
}

function flagsOf(replies: readonly OptionReply[]): number {
  const found = replies.find(({ type, data }) => type === 3 && data[1] === 0);
  return new Decoder(found?.data.subarray(10) ?? new Uint8Array(2)).number(2);
}

describe("the greeting", () => {
  test("is fixed newstyle, and offers to leave out the zeroes", () => {
    const { said, session } = converse([exportOf("disk")], new Uint8Array(0));
    expect([...said]).toEqual([...utf8("NBDMAGICIHAVEOPT"), 0, 3]);
    expect(session.state).toBe("handshake");
  });

  test.each([4, 7, 0x80000001])("ends for the unknown client flags %i", (flags) => {
    const { session } = converse([exportOf("disk")], numbers([4, flags]));
    expect(session.state).toBe("closing");
    expect(session.fault?.message).toMatch(/client flags/u);
  });

  test("ends for an option without its magic number", () => {
    const { session } = converse([exportOf("disk")], join(CLIENT_FLAGS, new Uint8Array(16)));
    expect(session.state).toBe("closing");
    expect(session.fault?.code).toBe("EBADMSG");
  });
});

describe("options", () => {
  test.each([0, 4, 12, 99, 0xffff_ffff])("%i is not known, and its data are used up", (type) => {
    const { finals } = haggle([option(type, new Uint8Array(100)), option(ABORT)]);
    expect(finals).toEqual([UNSUP, 1]);
  });

  test("ABORT is acknowledged whatever data it has, and ends it without a fault", () => {
    const { finals, session } = haggle([option(ABORT, utf8("bye")), option(LIST)]);
    expect(finals).toEqual([1]);
    expect(session.state).toBe("closing");
    expect(session.fault).toBe(undefined);
  });

  test.each([65_537, 32 << 20])("of %i bytes are passed over", (length) => {
    const { finals } = haggle([option(77, new Uint8Array(length)), option(LIST)]);
    expect(finals).toEqual([TOO_BIG, 1]);
  });

  test("that are larger than that end it", () => {
    const head = join(numbers([8, 0x49484156454f5054n], [4, 77], [4, 0xffff_ffff]));
    const { session } = haggle([head]);
    expect(session.state).toBe("closing");
    expect(session.fault?.message).toMatch(/4294967295 bytes/u);
  });

  test.each([LIST, STARTTLS, STRUCTURED, EXTENDED])("%i with data is INVALID", (type) => {
    const { finals } = haggle([option(type, new Uint8Array(1))], undefined, { tls: "allowed" });
    expect(finals).toEqual([INVALID]);
  });

  test("are refused while the server shuts down, but for ABORT", () => {
    const session = openSession(directoryOf(exportOf("disk")));
    session.shutdown();
    const { said } = drive(session, join(CLIENT_FLAGS, option(LIST), info(GO, ""), option(ABORT)));
    const decoder = new Decoder(said);
    decoder.hello();
    expect([1, 2, 3].map(() => decoder.optionReply().type)).toEqual([SHUTDOWN, SHUTDOWN, 1]);
  });
});

describe("LIST", () => {
  test("tells names and descriptions", () => {
    const { replies } = haggle([option(LIST)], [exportOf("a"), { ...exportOf("ü") }]);
    const texts = replies[0]?.map(({ data }) => new TextDecoder().decode(data.subarray(4)));
    expect(texts).toEqual(["aabout a", "üabout ü", ""]);
  });

  test("is not bounded by what is queued at once", () => {
    const name = "n".repeat(4000);
    const exports = Array.from({ length: 300 }, (_, i) => ({
      ...exportOf(`${i} ${name}`),
      description: "d".repeat(9000),
    }));
    const { replies } = haggle([option(LIST), option(LIST)], exports);
    expect(replies.map(({ length }) => length)).toEqual([301, 301]);
    expect(replies[0]?.[299]?.data.length).toBe(4 + 4 + 4000 + 4096);
  });
});

describe("EXPORT_NAME", () => {
  const zeroless = [4, 3] as const;
  test.each([
    [zeroless, 0],
    [[4, 1] as const, 124],
  ])("answers size and flags; client flags %j bring %i zeros", (flags, zeroes) => {
    const bytes = join(numbers(flags), option(EXPORT_NAME, utf8("disk")));
    const { said, session } = converse([exportOf("disk")], bytes);
    const decoder = new Decoder(said);
    decoder.hello();
    expect(decoder.number(8)).toBe(65_536);
    expect(decoder.number(2)).toBe(0x0d6d);
    expect([...decoder.bytes(zeroes)]).toEqual(Array.from({ length: zeroes }, () => 0));
    expect(decoder.left).toBe(0);
    expect(session.state).toBe("transmission");
  });

  test.each([
    ["of no export", [option(EXPORT_NAME, utf8("other"))]],
    ["with a NUL", [option(EXPORT_NAME, utf8("di\0sk"))]],
    ["of 5000 bytes", [option(EXPORT_NAME, new Uint8Array(5000).fill(65))]],
    ["after EXTENDED_HEADERS", [option(EXTENDED), option(EXPORT_NAME, utf8("disk"))]],
  ])("%s ends the connection: it has no error", (_, options) => {
    const { session } = haggle(options);
    expect(session.state).toBe("closing");
    expect(session.fault?.code).toBe("EBADMSG");
  });
});

describe("INFO and GO", () => {
  test("tell what is asked for, by the canonical name", () => {
    const { replies, session } = haggle([info(INFO, "", [1, 2, 3, 77]), info(GO, "", [3])]);
    const kinds = replies.map((all) => all.map(({ type, data }) => [type, data[1]]));
    expect(kinds).toEqual([
      [
        [3, 3],
        [3, 0],
        [3, 1],
        [3, 2],
        [1, undefined],
      ],
      [
        [3, 3],
        [3, 0],
        [1, undefined],
      ],
    ]);
    const [sizes, , name] = replies[0] as OptionReply[];
    const decoder = new Decoder(sizes?.data as Uint8Array);
    expect([2, 4, 4, 4].map((size) => decoder.number(size))).toEqual([3, 1, 4096, 32 << 20]);
    expect(new TextDecoder().decode(name?.data.subarray(2))).toBe("disk");
    expect(session.state).toBe("transmission");
    expect(session.export?.name).toBe("disk");
    expect(session.terms).toEqual({ replies: "simple", contexts: [] });
  });

  test("of no export is UNKNOWN, and haggling goes on", () => {
    const { finals, session } = haggle([info(GO, "x"), info(INFO, "x"), info(GO, "disk")]);
    expect(finals).toEqual([UNKNOWN, UNKNOWN, 1]);
    expect(session.state).toBe("transmission");
  });

  test.each([
    ["too short", new Uint8Array(5)],
    ["a name longer than the data", join(numbers([4, 100]), utf8("disk"), numbers([2, 0]))],
    ["a name of 2^32 - 1 bytes", join(numbers([4, 0xffff_ffff]), numbers([2, 0]))],
    ["fewer kinds than it says", join(counted("disk"), numbers([2, 3], [2, 0]))],
    ["more kinds than it says", join(counted("disk"), numbers([2, 0], [2, 0]))],
    ["a NUL in the name", join(counted("d\0"), numbers([2, 0]))],
    ["5000 bytes of name", join(counted("n".repeat(5000)), numbers([2, 0]))],
  ])("with %s are INVALID", (_, data) => {
    expect(haggle([option(GO, data), option(INFO, data)]).finals).toEqual([INVALID, INVALID]);
  });

  test("say what the export can: flags depend on it and on the form of replies", () => {
    const abilities = { trim: false, cache: false, multiConnection: false };
    const plain = exportOf("plain", { abilities });
    const all = exportOf("all");
    const sealed = exportOf("sealed", { readOnly: true });
    const ask = ["plain", "all", "sealed"].map((name) => info(INFO, name));
    const { replies } = haggle([...ask, option(STRUCTURED), ...ask], [plain, all, sealed]);
    const flags = [0, 1, 2, 4, 5, 6].map((i) => flagsOf(replies[i] as OptionReply[]));
    expect(flags).toEqual([0x084d, 0x0d6d, 0x0507, 0x08cd, 0x0ded, 0x0587]);
  });

  test("[of larger blocks] want to be asked for the block size", () => {
    const blockSizes = { minimum: 4096, preferred: 4096 };
    const one = exportOf("disk", { blockSizes }, 65_536 + 100);
    const { replies, finals } = haggle([info(GO, ""), info(INFO, ""), info(GO, "", [3])], [one]);
    expect(finals).toEqual([BLOCK_SIZE_REQD, BLOCK_SIZE_REQD, 1]);
    expect(replies[0]?.[0]?.data[1]).toBe(3);
    const size = new Decoder(replies[2]?.[1]?.data.subarray(2) as Uint8Array).number(8);
    expect(size).toBe(65_536);
    const named = haggle([option(EXPORT_NAME, utf8("disk"))], [one]);
    expect(named.session.state).toBe("closing");
  });

  test("with blocks of 512 bytes serve those who do not ask", () => {
    const blockSizes = { minimum: 512, preferred: 4096 };
    const { finals } = haggle([info(GO, "")], [exportOf("disk", { blockSizes })]);
    expect(finals).toEqual([1]);
  });
});

describe("forms of replies", () => {
  test("can be asked for twice; extended headers win", () => {
    const { finals, session } = haggle([
      option(STRUCTURED),
      option(STRUCTURED),
      option(EXTENDED),
      option(EXTENDED),
      option(STRUCTURED),
      info(GO, ""),
    ]);
    expect(finals).toEqual([1, 1, 1, 1, EXT, 1]);
    expect(session.terms?.replies).toBe("extended");
  });
});

function dirty(): NbdExport {
  return { ...exportOf("disk"), dirty: new DirtyMap(65_536) };
}

function names(replies: readonly OptionReply[]): string[] {
  return replies
    .filter(({ type }) => type === 4)
    .map(({ data }) => new TextDecoder().decode(data.subarray(4)));
}

describe("meta contexts", () => {
  test.each([
    [[], ["base:allocation", "daxkit:dirty"]],
    [["base:"], ["base:allocation"]],
    [["daxkit:"], ["daxkit:dirty"]],
    [["base:allocation", "base:", "x-y:z"], ["base:allocation"]],
    [["base:other", "qemu:", "nocolon", ""], []],
  ])("LIST of %j gives %j", (queries, expected) => {
    const { replies, finals } = haggle([contexts(LIST_META, "", queries)], [dirty()]);
    expect(finals).toEqual([1]);
    expect(names(replies[0] as OptionReply[])).toEqual(expected);
    expect(replies[0]?.slice(0, -1).every(({ data }) => data[3] === 0)).toBe(true);
  });

  test.each([
    [[], []],
    [["base:"], []],
    [["base:allocation"], ["base:allocation"]],
    [
      ["daxkit:dirty", "x:y", "base:allocation", "base:allocation"],
      ["base:allocation", "daxkit:dirty"],
    ],
  ])("SET of %j selects %j", (queries, expected) => {
    const options = [option(STRUCTURED), contexts(SET_META, "disk", queries), info(GO, "disk")];
    const { replies, session } = haggle(options, [dirty()]);
    expect(names(replies[1] as OptionReply[])).toEqual(expected);
    expect(session.terms?.contexts).toEqual(expected);
    const ids = replies[1]?.slice(0, -1).map(({ data }) => data[3]);
    expect(new Set(ids).size).toBe(expected.length);
  });

  test("are forgotten by a SET that fails, and for another name", () => {
    const good = contexts(SET_META, "disk", ["base:allocation"]);
    const select = (...after: Uint8Array[]): readonly string[] | undefined =>
      haggle([option(STRUCTURED), good, ...after]).session.terms?.contexts;
    expect(select(info(GO, "disk"))).toEqual(["base:allocation"]);
    expect(select(option(SET_META, new Uint8Array(3)), info(GO, "disk"))).toEqual([]);
    expect(select(contexts(SET_META, "x", []), info(GO, "disk"))).toEqual([]);
    expect(select(option(SET_META, new Uint8Array(70_000)), info(GO, "disk"))).toEqual([]);
    expect(select(info(GO, ""))).toEqual([]);
  });

  test("need structured replies to be selected, and an export", () => {
    const set = contexts(SET_META, "", ["base:allocation"]);
    const { finals } = haggle([set, contexts(LIST_META, "x", []), option(EXTENDED), set]);
    expect(finals).toEqual([INVALID, UNKNOWN, 1, 1]);
  });

  test.each([
    ["no count", counted("disk")],
    ["a count without queries", join(counted("disk"), numbers([4, 0xffff_ffff]))],
    ["a query longer than the data", join(counted("disk"), numbers([4, 1], [4, 9], [1, 65]))],
    ["more than it says", join(counted("disk"), numbers([4, 0], [4, 0]))],
    ["a query of 5000 bytes", join(counted(""), numbers([4, 1]), counted("q".repeat(5000)))],
  ])("with %s are INVALID", (_, data) => {
    const { finals } = haggle([
      option(STRUCTURED),
      option(LIST_META, data),
      option(SET_META, data),
    ]);
    expect(finals).toEqual([1, INVALID, INVALID]);
  });

  test("let BLOCK_STATUS have a payload with extended headers", () => {
    const set = contexts(SET_META, "", ["base:allocation"]);
    const ask = info(INFO, "");
    const { replies } = haggle([option(EXTENDED), ask, set, ask, info(INFO, "disk")]);
    const flags = [1, 3, 4].map((i) => flagsOf(replies[i] as OptionReply[]) & 0x1000);
    expect(flags).toEqual([0, 0x1000, 0]);
  });
});

describe("STARTTLS", () => {
  test("is a matter of policy where it is off", () => {
    expect(haggle([option(STARTTLS)]).finals).toEqual([POLICY]);
    const old = join(numbers([4, 2]), option(STARTTLS));
    const { said } = converse([exportOf("disk")], old, { tls: "allowed" });
    expect(new Decoder(said.subarray(18)).optionReply().type).toBe(POLICY);
  });

  test("stops the session until TLS is up, and nothing from before counts", () => {
    const session = openSession(directoryOf(exportOf("disk")), { tls: "allowed" });
    const before = [option(STRUCTURED), contexts(SET_META, "disk", ["base:allocation"])];
    const injected = option(LIST);
    const first = drive(session, join(CLIENT_FLAGS, ...before, option(STARTTLS), injected));
    expect(session.state).toBe("starttls");
    expect(first.used).toBe(4 + before[0]!.length + before[1]!.length + 16);
    expect(session.receive(injected, 0, injected.length)).toBe(0);
    session.secured();
    expect(session.state).toBe("handshake");
    const { said } = drive(session, join(option(STARTTLS), info(GO, "disk")));
    const decoder = new Decoder(said);
    expect(decoder.optionReplies().at(-1)?.type).toBe(INVALID);
    expect(flagsOf(decoder.optionReplies()) & 0x80).toBe(0);
    expect(session.terms).toEqual({ replies: "simple", contexts: [] });
  });

  test("must come first where TLS is a must", () => {
    const options = [info(GO, ""), option(LIST), option(99), option(STRUCTURED), option(ABORT)];
    const { finals } = haggle(options, undefined, { tls: "required" });
    expect(finals).toEqual([TLS_REQD, TLS_REQD, TLS_REQD, TLS_REQD, 1]);
    const named = haggle([option(EXPORT_NAME, utf8("disk"))], undefined, { tls: "required" });
    expect(named.session.state).toBe("closing");
    const session = openSession(directoryOf(exportOf("disk")), { tls: "required" });
    drive(session, join(CLIENT_FLAGS, option(STARTTLS)));
    session.secured();
    drive(session, info(GO, "disk"));
    expect(session.state).toBe("transmission");
  });
});

test("requests may follow GO without waiting", () => {
  const bytes = join(CLIENT_FLAGS, info(GO, ""), request({ type: 0, cookie: 5n, length: 512 }));
  const { said } = converse([exportOf("disk")], bytes);
  const decoder = new Decoder(said);
  decoder.hello();
  decoder.optionReplies();
  const reply = decoder.reply(() => 512);
  expect([reply.cookie, reply.error, reply.data.length, decoder.left]).toEqual([5n, 0, 512, 0]);
});
