/** Reading archives: every layout, and whatever an archive must not be. */
import { describe, expect, test } from "vitest";
import { isDaxError } from "../../src/lib/errno.ts";
import { encodeMember } from "../../src/vfs/tar-format.ts";
import type { TarMember } from "../../src/vfs/tar-members.ts";
import { memberPath } from "../../src/vfs/tar-paths.ts";
import { aclOfText } from "../../src/vfs/tar-acl.ts";
import { TarReader } from "../../src/vfs/tar-reader.ts";
import { StoredPieces } from "../../src/vfs/tar-sparse.ts";
import { noise } from "../support/bytes.ts";
import {
  type Fields,
  archive,
  file,
  header,
  long,
  padded,
  pax,
  readArchive,
} from "../support/tar-archives.ts";

const GNU = "ustar  \u0000";
const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("latin1");

function only(...parts: readonly Uint8Array[]): TarMember {
  const { members } = readArchive(archive(...parts));
  expect(members).toHaveLength(1);
  return members[0] as TarMember;
}

function one(fields: Fields): TarMember {
  return only(header(fields));
}

function refusal(bytes: Uint8Array): string {
  try {
    readArchive(bytes);
  } catch (error) {
    if (!isDaxError(error)) throw error;
    return `${error.code}: ${error.detail}`;
  }
  return "read";
}

describe("headers", () => {
  test("types, and what v7 makes of a slash", () => {
    const kinds = "01234567DSZ"
      .split("")
      .map((type) => one({ type, at: { 483: "0".repeat(11) } }).kind);
    expect(kinds.join(" ")).toBe(
      "file link symlink character block directory fifo file directory file file",
    );
    expect(one({ type: "\u0000", magic: "", name: "d/" }).kind).toBe("directory");
    expect(one({ type: "\u0000", magic: "" }).kind).toBe("file");
  });

  test("numbers: octal between blanks, binary, negative", () => {
    expect(one({ uid: " 17 \u0000   ", gid: "" })).toMatchObject({ uid: 15, gid: 0 });
    const mtime = `\u0080${"\u0000".repeat(6)}\u0001\u0000\u0000\u0000\u0005`;
    expect(one({ mtime }).mtime.sec).toBe(2 ** 32 + 5);
    expect(one({ mtime: "\u00ff".repeat(12) }).mtime.sec).toBe(-1);
    expect(one({ uid: `${"\u00ff".repeat(7)}\u00fe` }).uid).toBe(2 ** 32 - 2);
    expect(one({ mode: "0104755" }).mode).toBe(0o4755);
  });

  test("long names: a prefix, GNU's headers, records; star's prefix is shorter", () => {
    expect(text(one({ prefix: "a/b", name: "c" }).name)).toBe("a/b/c");
    const star = { prefix: `p${"\u0000".repeat(130)}12345670000`, at: { 508: "tar\u0000" } };
    expect(text(one(star).name)).toBe("p/f");
    const name = "n".repeat(300);
    const link = "l".repeat(300);
    const symlink = header({ type: "2", magic: GNU });
    const seen = only(long("L", name), long("K", link), symlink);
    expect([text(seen.name), text(seen.link)]).toEqual([name, link]);
    const recorded = only(pax({ path: "\u00ff\u00fe", linkpath: "to" }), header({ type: "2" }));
    expect([text(recorded.name), text(recorded.link)]).toEqual(["\u00ff\u00fe", "to"]);
  });

  test("GNU's own times; devices", () => {
    const at = { 345: "00000000012", 357: "00000000013" };
    expect(one({ magic: GNU, at })).toMatchObject({ atime: { sec: 10 }, ctime: { sec: 11 } });
    expect(one({ type: "3", major: "0000010", minor: "0000377" })).toMatchObject({
      major: 8,
      minor: 255,
    });
    const wide = pax({ "SCHILY.devmajor": "4095", "SCHILY.devminor": "1048575" });
    expect(only(wide, header({ type: "4" }))).toMatchObject({ major: 4095, minor: 1_048_575 });
  });

  test("a sum of signed bytes is one, too", () => {
    const block = header({ name: "\u00e9" });
    const sum = Number.parseInt(text(block.subarray(148, 154)), 8) - 256;
    expect(text(one({ name: "\u00e9", sum: `${sum.toString(8)}\u0000 ` }).name)).toBe("\u00e9");
  });
});

describe("records", () => {
  test("owners, times to the nanosecond, size; empty ones give way", () => {
    const records = { uid: "70000", gid: "4294967294", uname: "joe", mtime: "-1.5", atime: "7.25" };
    const seen = only(pax({ ...records, ctime: "1.1234567899" }), header());
    expect(seen).toMatchObject({
      uid: 70_000,
      gid: 4_294_967_294,
      mtime: { sec: -2, nsec: 500_000_000 },
      atime: { sec: 7, nsec: 250_000_000 },
      ctime: { sec: 1, nsec: 123_456_789 },
    });
    expect(text(seen.uname)).toBe("joe");
    const global = pax({ uid: "5", gid: "6", comment: "x" }, "g");
    const { members } = readArchive(archive(global, pax({ uid: "" }), header(), header()));
    expect(members.map(({ uid, gid }) => [uid, gid])).toEqual([
      [0, 6],
      [5, 6],
    ]);
    const content = only(pax({ size: "3" }), header({ size: 0 }), padded("abc"));
    expect([content.size, content.dataAt]).toEqual([3, 1536]);
  });

  test("attributes of star and GNU, libarchive, SELinux, and access lists", () => {
    const seen = only(
      pax({
        "SCHILY.xattr.user.a%3Db%25": "v\u0000\n=",
        "LIBARCHIVE.xattr.user.%e4": "AP8K",
        "LIBARCHIVE.xattr.user.a%3Db%25": "",
        "RHT.security.selinux": "label",
        "SCHILY.acl.access": "user::rw-,user:joe:r--:1000,group::---,mask::r--,other::---",
        hdrcharset: "BINARY",
      }),
      header(),
    );
    const named = seen.xattrs.map(([name, value]) => [text(name), text(value)]);
    expect(named.slice(0, 1)).toEqual([["security.selinux", "label\u0000"]]);
    expect(named.slice(-2)).toEqual([
      ["user.a=b%", "v\u0000\n="],
      ["user.\u00e4", "\u0000\u00ff\n"],
    ]);
    expect(Buffer.from(seen.xattrs[1]?.[1] ?? []).toString("hex")).toBe(
      "0200000001000600ffffffff02000400e803000004000000ffffffff10000400ffffffff20000000ffffffff",
    );
    const unknown = archive(pax({ "SCHILY.acl.access": "user:joe:r--" }), header());
    expect(readArchive(unknown).warnings).toEqual([
      expect.stringMatching(/^"f": system.posix_acl_access is left out: it names users/u),
    ]);
    for (const odd of ["", "user", "user::rwz", "mask:5:r--", "user:5000000000:r--", "who::r--"]) {
      expect(aclOfText(odd)).toBeUndefined();
    }
  });

  test("what our writer writes is what comes back", () => {
    const member = {
      type: "0" as const,
      name: Buffer.from(`deep/${"x".repeat(200)}/\u00e9`),
      link: undefined,
      mode: 0o4711,
      uid: 3_000_000_000,
      gid: 2 ** 21,
      size: 8 ** 11,
      mtime: { sec: -3, nsec: 999_999_999 },
      major: 0,
      minor: 0,
      xattrs: [[Buffer.from("user.=%3D%25"), noise(3, 900)]] as const,
    };
    const seen: TarMember[] = [];
    const reader = new TarReader({
      member: (each) => seen.push(each) === 0,
      data: () => {},
      finished: () => {},
    });
    for (const block of encodeMember(member)) reader.push(block);
    expect(reader.skippable).toBe(8 ** 11);
    reader.skip(8 ** 11);
    reader.push(archive());
    expect(reader.finish()).toMatchObject({ members: 1 });
    const { type: _, link: __, ...same } = member;
    const [back] = seen as [TarMember];
    const xattrs = back.xattrs.map(([name, value]) => [Buffer.from(name), value.slice()]);
    const seenAs = { ...back, name: Buffer.from(back.name), xattrs };
    expect(seenAs).toMatchObject({ ...same, kind: "file" });
  });
});

/** Pairs of 12 octal digits each. */
function pairs(...numbers: readonly number[]): string {
  return numbers.map((n) => `${n.toString(8).padStart(11, "0")}\u0000`).join("");
}

const HELLO = [
  ["0.0", { "GNU.sparse.size": "20", "GNU.sparse.numblocks": "2" }],
  ["0.1", { "GNU.sparse.size": "20", "GNU.sparse.map": "2,3,10,2", "GNU.sparse.name": "real" }],
] as const;

describe("sparse files", () => {
  const whole = `\u0000\u0000hel${"\u0000".repeat(5)}lo${"\u0000".repeat(8)}`;
  const pieces = [
    { start: 2, length: 3 },
    { start: 10, length: 2 },
  ];

  test.each(HELLO)("pax %s", (version, records) => {
    const old = [
      ["GNU.sparse.offset", "2"],
      ["GNU.sparse.numbytes", "3"],
      ["GNU.sparse.offset", "10"],
      ["GNU.sparse.numbytes", "2"],
    ] as const;
    const all = [...Object.entries(records), ...(version === "0.0" ? old : [])];
    const read = readArchive(archive(pax(all), file("f", "hello")));
    expect(read.members[0]).toMatchObject({ size: 20, data: pieces });
    expect(text(read.contents[0])).toBe(whole);
    expect(text(read.members[0]?.name)).toBe(version === "0.1" ? "real" : "f");
  });

  test("pax 1.0, in pieces of any size", () => {
    const map = padded("3\n2\n3\n10\n2\n20\n0\n");
    const records = { "GNU.sparse.major": "1", "GNU.sparse.minor": "0" };
    const sized = { ...records, "GNU.sparse.realsize": "20", "GNU.sparse.name": "real" };
    const bytes = archive(pax(sized), file("f", Buffer.concat([map, Buffer.from("hello")])));
    for (const piece of [1, 7, 512, 600, bytes.length]) {
      const read = readArchive(bytes, piece);
      expect(text(read.contents[0])).toBe(whole);
      expect(read.members[0]).toMatchObject({ size: 20, dataAt: 2048 });
    }
  });

  test("GNU's own, with a block of more pieces", () => {
    const first = pairs(0, 1, 4, 1, 8, 1, 12, 1);
    const at = { 386: first, 482: "\u0001", 483: pairs(40) };
    const head = header({ type: "S", magic: GNU, size: 6, at });
    const more = padded(pairs(16, 1, 20, 1, 40, 0));
    const { contents, members } = readArchive(archive(head, more, padded("abcdef")));
    expect(members[0]).toMatchObject({ size: 40 });
    expect(text(contents[0]).replaceAll("\u0000", ".")).toBe(
      `a...b...c...d...e...f${".".repeat(19)}`,
    );
  });

  test("any part of what is stored can be read", () => {
    const many = Array.from({ length: 50 }, (_, i) => ({ start: i * 10 + 3, length: 4 }));
    const stored = noise(9, 200);
    const expected = Buffer.alloc(600);
    for (const [i, { start }] of many.entries()) {
      expected.set(stored.subarray(i * 4, i * 4 + 4), start);
    }
    const place = new StoredPieces(many);
    for (const [offset, length] of [
      [0, 600],
      [4, 1],
      [5, 13],
      [7, 3],
      [490, 110],
      [599, 1],
    ] as const) {
      const target = Buffer.alloc(length);
      place.read(offset, target, (at, into) => into.set(stored.subarray(at, at + into.length)));
      expect(target.equals(expected.subarray(offset, offset + length))).toBe(true);
    }
  });
});

describe("where an archive ends", () => {
  const member = file("f", "abc");

  test("at two zero blocks; nothing behind them is read", () => {
    const { members, bytes, warnings } = readArchive(
      Buffer.concat([archive(member), noise(1, 999)]),
    );
    expect([members.length, bytes, warnings]).toEqual([1, 2048, []]);
  });

  test("without a mark, with half of one, and without anything", () => {
    expect(readArchive(member).warnings[0]).toMatch(/without an end mark/u);
    expect(readArchive(Buffer.concat([member, Buffer.alloc(512)])).warnings).toEqual([]);
    const lone = Buffer.concat([member, Buffer.alloc(512), member]);
    expect(readArchive(lone)).toMatchObject({ warnings: [expect.stringMatching(/lone zero/u)] });
    expect(readArchive(new Uint8Array(0)).warnings).toEqual([
      "the archive is empty: it has no bytes",
    ]);
  });

  test.each([1, 511, 513, 600, 1023])("cut at byte %i", (length) => {
    expect(refusal(member.subarray(0, length))).toMatch(/EUCLEAN: .*ends too early/u);
  });

  test("cut behind an extended header", () => {
    expect(refusal(pax({ path: "x" }))).toMatch(/ends too early/u);
    expect(refusal(long("L", "x"))).toMatch(/ends too early/u);
  });
});

const BAD: readonly (readonly [string, readonly Uint8Array[], RegExp])[] = [
  ["noise", [noise(2, 2048)], /EBADMSG: at byte 0: this is no tar archive/u],
  ["a wrong sum", [file("a"), header({ sum: "0000001" })], /EBADMSG: at byte 512: not a header/u],
  ["digits", [header({ size: "0000000009" })], /EUCLEAN: at byte 0: size is "0000000009"/u],
  ["a size below 0", [header({ size: "\u00ff".repeat(12) })], /size is -1/u],
  ["a size of 2^80", [header({ size: `\u0080\u0010${"\u0000".repeat(10)}` })], /more than 2\^53/u],
  ["an id", [pax({ uid: "4294967296" }), header()], /uid is 4294967296; ids have 32 bits/u],
  ["a device", [header({ type: "3", major: "7777777" })], /a device is 2097151:0/u],
  ["a large pax header", [header({ type: "x", size: 2 ** 23 })], /E2BIG: .*'x' of 8388608 bytes/u],
  ["a long name", [header({ type: "L", size: 70_000 })], /E2BIG: .*'L' of 70000 bytes/u],
  ["no length", [header({ type: "x", size: 4 }), padded("path")], /no length/u],
  ["a length too large", [header({ type: "x", size: 9 }), padded("99 path=a")], /no length/u],
  ["a record without an end", [header({ type: "x", size: 8 }), padded("8 path=a")], /is none/u],
  ["a record without a sign", [header({ type: "x", size: 7 }), padded("7 path\n")], /is none/u],
  ["a time", [pax({ mtime: "now" }), header()], /mtime is "now", which is no time/u],
  ["base64", [pax({ "LIBARCHIVE.xattr.user.a": "!" }), header()], /not base64/u],
  ["another volume", [header({ type: "M" })], /ENOTSUP: .*from another volume/u],
  [
    "pieces over each other",
    [pax({ "GNU.sparse.size": "9", "GNU.sparse.map": "2,3,4,2" }), file("f", "hello")],
    /a piece at bytes 4 to 6 of 9, behind byte 5/u,
  ],
  [
    "pieces behind the end",
    [pax({ "GNU.sparse.size": "4", "GNU.sparse.map": "2,5" }), file("f", "hello")],
    /a piece at bytes 2 to 7 of 4/u,
  ],
  [
    "pieces that do not add up",
    [pax({ "GNU.sparse.size": "99", "GNU.sparse.map": "2,6" }), file("f", "hello")],
    /hold 6 bytes, the archive 5/u,
  ],
  [
    "an odd map",
    [pax({ "GNU.sparse.size": "99", "GNU.sparse.map": "2" }), file("f", "hello")],
    /no list of pairs/u,
  ],
  [
    "a map before the data that is none",
    [
      pax({ "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" }),
      file("f", "hello"),
    ],
    /no list of numbers/u,
  ],
  [
    "a map longer than the member",
    [
      pax({ "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" }),
      file("f", "1\n"),
      padded("0\n0\n"),
    ],
    /no list of numbers|longer than the member/u,
  ],
  [
    "a later version",
    [pax({ "GNU.sparse.major": "2", "GNU.sparse.realsize": "9" }), file("f", "")],
    /ENOTSUP: .*version 2\.0/u,
  ],
];

test.each(BAD)("refused: %s", (_, parts, message) => {
  expect(refusal(archive(...parts))).toMatch(message);
});

test("extended headers are bounded together, global ones over the whole archive", () => {
  const large = pax({ comment: "x".repeat(3_000_000) });
  expect(refusal(archive(large, large, header()))).toMatch(/E2BIG/u);
  expect(refusal(archive(large, header(), large, header()))).toBe("read");
  const global = pax({ comment: "x".repeat(3_000_000) }, "g");
  expect(refusal(archive(global, header(), global, header()))).toMatch(/E2BIG/u);
});

test("labels and lists of old are passed over; types nobody knows are files", () => {
  const odd = archive(
    header({ type: "V" }),
    file("n", "list", { type: "N" }),
    file("q", "?", { type: "q" }),
  );
  const { members, contents, warnings } = readArchive(odd, 100);
  expect([members.length, text(contents[0])]).toEqual([1, "?"]);
  expect(warnings).toEqual([
    "a list of names in a form of long ago is passed over",
    "\"q\" is of unknown type 'q', and taken as a file",
  ]);
});

const path = (name: string) => memberPath(Buffer.from(name, "latin1"));

test("names lead nowhere but down", () => {
  expect(path("./a//b/./c/")).toEqual({ parts: ["a", "b", "c"], absolute: false });
  expect(path("///etc/x")).toEqual({ parts: ["etc", "x"], absolute: true });
  expect(path("./")).toEqual({ parts: [], absolute: false });
  expect(path("..a/b..")).toMatchObject({ parts: ["..a", "b.."] });
  for (const name of ["..", "a/../b", "../x", "a/..", "", "a\u0000b"]) {
    expect(() => path(name)).toThrow(/EINVAL/u);
  }
  for (const name of ["x".repeat(256), "x/".repeat(9000)]) {
    expect(() => path(name)).toThrow(/ENAMETOOLONG/u);
  }
});
