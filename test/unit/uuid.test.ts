import { expect, test } from "vitest";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import {
  NIL_UUID,
  formatGuid,
  formatUuid,
  isNilUuid,
  parseGuid,
  parseUuid,
  randomUuid,
} from "../../src/lib/uuid.ts";

const PM = "66f0d379-b4f3-4074-ac43-0d3318b78cdb";

test("a uuid keeps the order of its text", () => {
  expect([...parseUuid(PM)].slice(0, 4)).toEqual([0x66, 0xf0, 0xd3, 0x79]);
  expect(formatUuid(parseUuid(PM.toUpperCase()))).toBe(PM);
});

test("a GUID is mixed-endian: the persistent-memory type of the NFIT", () => {
  const bytes = [
    0x79, 0xd3, 0xf0, 0x66, 0xf3, 0xb4, 0x74, 0x40, 0xac, 0x43, 0x0d, 0x33, 0x18, 0xb7, 0x8c, 0xdb,
  ];
  expect([...parseGuid(PM)]).toEqual(bytes);
  expect(formatGuid(Uint8Array.from([0xff, ...bytes]), 1)).toBe(PM);
});

test("random uuids are version 4 and follow their seed", () => {
  const first = randomUuid(new Prng(7));
  expect(formatUuid(first)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab]/u);
  expect(randomUuid(new Prng(7))).toEqual(first);
  expect(randomUuid(new Prng(8))).not.toEqual(first);
});

test("the nil uuid is known", () => {
  expect(isNilUuid(parseUuid(NIL_UUID))).toBe(true);
  expect(isNilUuid(parseUuid(PM))).toBe(false);
});

test.each(["", "66f0d379", `${PM}0`, PM.replace("f", "g"), `{${PM}}`, "x".repeat(9999)])(
  "%j is refused",
  (text) => {
    let error: unknown;
    try {
      parseUuid(text);
    } catch (thrown) {
      error = thrown;
    }
    expect(isDaxError(error, "EINVAL")).toBe(true);
    expect(String(error).length).toBeLessThan(200);
  },
);
