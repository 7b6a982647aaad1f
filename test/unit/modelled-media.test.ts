import { describe, expect, test } from "vitest";
import { aliasOf, copyIn, copyOf, fill, storeAtom, storeBytes } from "../../src/lib/memory.ts";
import { LineClass, ModelledMedia } from "../../src/media/modelled.ts";
import type { Observer } from "../../src/media/recorder.ts";
import { Trace, TraceKind } from "../../src/media/trace.ts";
import { codeOf, noise } from "../support/bytes.ts";

const NAMES = Object.fromEntries(Object.entries(TraceKind).map(([name, kind]) => [kind, name]));

/** The trace in words: `store 8+4`. */
function events({ trace }: ModelledMedia): string[] {
  return Array.from({ length: trace.count }, (_, event) => {
    const name = NAMES[trace.kindOf(event)] ?? "?";
    return `${name} ${trace.offsetOf(event)}+${trace.lengthOf(event)}`;
  });
}

const memoryOf = (media: ModelledMedia) => media.window(0).memory;

/** What the recorder says of stores through an alias of bytes 64 to 191. */
function changed(store: (bytes: Uint8Array, media: ModelledMedia) => void): object | undefined {
  const media = new ModelledMedia(256);
  store(aliasOf(memoryOf(media), 64, 128), media);
  return media.recorder.unobserved();
}

const make = (size: number, options = {}) => codeOf(() => new ModelledMedia(size, options));
const adr = (start: number, length: number) => ({ start, length, domain: "adr" });

describe("the recorder", () => {
  test("notes every kind of store, flush and fence, in order, with their bytes", () => {
    const media = new ModelledMedia(512);
    const memory = memoryOf(media);
    memory.setUint8(1, 0xff);
    memory.setUint16(2, 0x0102, true);
    memory.setUint32(4, 0x01020304);
    memory.setBigUint64(8, 0x0102030405060708n, true);
    storeAtom(memory, 16, 3n);
    storeBytes(memory, 24, noise(1, 40));
    copyIn(memory, 64, noise(2, 100));
    fill(memory, 200, 5, 7);
    media.copyNonTemporal(300, noise(3, 64));
    media.flush(0, 64);
    media.fence();
    media.ack("done");
    expect(events(media)).toEqual([
      "store 1+1",
      "store 2+2",
      "store 4+4",
      "store 8+8",
      "store 16+8",
      "store 24+40",
      "copy 64+100",
      "copy 200+5",
      "copyNonTemporal 300+64",
      "flush 0+64",
      "fence 0+0",
      "ack 0+0",
    ]);
    const { trace } = media;
    const stored = (event: number) =>
      trace.bytes.slice(trace.dataOf(event), trace.dataOf(event) + trace.lengthOf(event));
    expect([...stored(1)]).toEqual([2, 1]);
    expect([...stored(2)]).toEqual([1, 2, 3, 4]);
    expect(stored(5)).toEqual(noise(1, 40));
    expect(stored(6)).toEqual(noise(2, 100));
    expect([...stored(7)]).toEqual([7, 7, 7, 7, 7]);
    expect(stored(8)).toEqual(noise(3, 64));
    expect(trace.labels).toEqual(["done"]);
    expect(trace.stores).toBe(9);
  });

  test("notes nothing for nothing", () => {
    const media = new ModelledMedia(128);
    const memory = memoryOf(media);
    copyIn(memory, 128, new Uint8Array(0));
    storeBytes(memory, 0, new Uint8Array(0));
    fill(memory, 5, 0, 1);
    media.flush(0, 0);
    media.copyNonTemporal(64, new Uint8Array(0));
    expect(events(media)).toEqual([]);
  });

  test("refuses what a DataView refuses, and notes nothing of it", () => {
    const media = new ModelledMedia(128);
    const memory = memoryOf(media);
    const calls = [
      () => memory.setUint8(128, 1),
      () => memory.setUint32(125, 1),
      () => memory.setBigUint64(-1, 1n),
      () => memory.getUint8(128),
      () => memory.getBigUint64(121),
      () => memory.getUint16(Number.POSITIVE_INFINITY),
      () => storeBytes(memory, 100, new Uint8Array(64)),
      () => copyIn(memory, 1, new Uint8Array(128)),
      () => copyOf(memory, 64, 65),
      () => fill(memory, 64, 65, 1),
      () => aliasOf(memory, 0, 129),
    ];
    for (const call of calls) expect(call).toThrow(RangeError);
    expect(events(media)).toEqual([]);
    expect(copyOf(memory, 0, 128).every((byte) => byte === 0)).toBe(true);
  });

  test("asks an observer before each load and store", () => {
    const media = new ModelledMedia(256);
    const asked: string[] = [];
    const observer: Observer = {
      load: (at, length) => void asked.push(`load ${at}+${length}`),
      store: (at, length) => void asked.push(`store ${at}+${length}`),
      order: (at, length) => void asked.push(`order ${at}+${length}`),
    };
    media.recorder.observer = observer;
    const memory = memoryOf(media);
    memory.getUint8(0);
    memory.getUint16(2);
    memory.getInt32(4);
    memory.getUint32(4);
    memory.getBigUint64(8);
    copyOf(memory, 60, 10);
    memory.setUint8(9, 1);
    media.flush(9, 1);
    media.fence();
    expect(asked).toEqual([
      "load 0+1",
      "load 2+2",
      "load 4+4",
      "load 4+4",
      "load 8+8",
      "load 60+10",
      "store 9+1",
      "order 9+1",
      "order 0+0",
    ]);
    media.recorder.observer = {
      ...observer,
      store: () => {
        throw new Error("not now");
      },
    };
    expect(() => memory.setUint8(9, 2)).toThrow("not now");
    expect(copyOf(memory, 9, 1)).toEqual(new Uint8Array([1]));
  });

  test("sees what changed behind its back, also where a later store would hide it", () => {
    expect(changed(() => {})).toBe(undefined);
    expect(changed((bytes) => bytes.fill(1, 10, 20))).toEqual({ start: 74, length: 10 });
    expect(
      changed((bytes, media) => {
        bytes[0] = 1;
        memoryOf(media).setUint8(64, 2);
      }),
    ).toEqual({ start: 64, length: 1 });
    expect(
      changed((bytes, media) => {
        bytes[5] = 1;
        media.fence();
        bytes[5] = 0;
      }),
    ).toEqual({ start: 69, length: 1 });
    // Recorded stores are no news, inside the alias or over its border.
    expect(
      changed((_bytes, media) => {
        copyIn(memoryOf(media), 60, noise(1, 100));
        memoryOf(media).setUint32(190, 5);
        media.flush(0, 256);
      }),
    ).toBe(undefined);
  });

  test("hands out the same alias for the same bytes, and can forget them", () => {
    const media = new ModelledMedia(256);
    const bytes = aliasOf(memoryOf(media), 0, 64);
    expect(aliasOf(memoryOf(media), 0, 64)).toBe(bytes);
    expect(media.recorder.aliases).toEqual([{ start: 0, length: 64 }]);
    bytes[0] = 1;
    media.recorder.settleAliases();
    expect(media.recorder.unobserved()).toBe(undefined);
    bytes[1] = 1;
    expect(media.recorder.unobserved()).toEqual({ start: 1, length: 1 });
    media.recorder.forgetAliases();
    expect(media.recorder.unobserved()).toBe(undefined);
    expect(media.recorder.aliases).toEqual([]);
  });
});

describe("modelled media", () => {
  test("words that are none are EINVAL, with those that there are", () => {
    const range = { start: 0, length: 4096 };
    const caching = [{ ...range, caching: "cached" as "uncached" }];
    expect(() => new ModelledMedia(4096, { caching })).toThrow(
      'caching "cached" is not known; the words are write-back,',
    );
    const domains = [{ ...range, domain: "nvram" as "adr" }];
    expect(() => new ModelledMedia(4096, { domains })).toThrow(
      'domain "nvram" is not known; the words are ',
    );
  });

  test("[X1] knows the class of each line, from domains and caching", () => {
    const media = new ModelledMedia(448, {
      domains: [
        { start: 192, length: 256, domain: "adr" },
        { start: 0, length: 64, domain: "eadr" },
        { start: 64, length: 128, domain: "volatile" },
      ],
      caching: [
        { start: 0, length: 128, caching: "write-through" },
        { start: 256, length: 64, caching: "uncached" },
        { start: 320, length: 64, caching: "write-through" },
        { start: 384, length: 64, caching: "write-combining" },
      ],
    });
    const { inOrder, volatile, cached, writeThrough, combining } = LineClass;
    expect([...media.classes]).toEqual([
      inOrder,
      volatile,
      volatile,
      cached,
      inOrder,
      writeThrough,
      combining,
    ]);
    expect(media.domains.map(({ domain }) => domain)).toEqual(["eadr", "volatile", "adr"]);
    expect(media.durability).toBe("modelled");
  });

  test("refuses sizes and ranges that cannot be", () => {
    expect(make(64)).toBe(undefined);
    for (const size of [0, -64, 63, 100, 2 ** 32, Number.NaN]) expect(make(size)).toBe("EINVAL");
    expect(make(128, { domains: [adr(0, 64)] })).toBe("EINVAL");
    expect(make(128, { domains: [adr(0, 100), adr(100, 28)] })).toBe(undefined);
    const split = [adr(0, 100), { start: 100, length: 28, domain: "eadr" }];
    expect(make(128, { domains: split })).toBe("EINVAL");
    expect(make(128, { domain: "half" })).toBe("EINVAL");
    const caching = (start: number, length: number, how = "uncached") =>
      make(128, { caching: [{ start, length, caching: how }] });
    expect(caching(64, 64)).toBe(undefined);
    expect(caching(32, 64)).toBe("EINVAL");
    expect(caching(64, 128)).toBe("ERANGE");
    expect(caching(0, 64, "sideways")).toBe("EINVAL");
  });
});

describe("a trace", () => {
  test("grows without losing anything, and compares", () => {
    const image = noise(4, 4096);
    const [one, two] = [new Trace(), new Trace()];
    for (const trace of [one, two]) {
      for (let i = 0; i < 3000; i++) trace.stored(TraceKind.copy, i, 1 + (i % 1000), image);
      trace.flushed(0, 64);
      trace.fenced();
      trace.acked(1);
    }
    expect(one.count).toBe(3003);
    for (const event of [0, 999, 2999]) {
      const start = one.dataOf(event);
      const length = one.lengthOf(event);
      expect(one.bytes.slice(start, start + length)).toEqual(image.slice(event, event + length));
    }
    expect(one.firstDifference(two)).toBe(undefined);
    two.fenced();
    expect(one.firstDifference(two)).toBe(3003);
    const copy = new Trace();
    for (let event = 0; event < one.count; event++) copy.append(one, event);
    expect(copy.firstDifference(one)).toBe(undefined);
    expect(copy.labels).toEqual([1]);
    image[2500] = (image[2500] ?? 0) ^ 1;
    const other = new Trace();
    for (let i = 0; i < 3000; i++) other.stored(TraceKind.copy, i, 1 + (i % 1000), image);
    // The first store that holds the changed byte: i + (i % 1000) >= 2500.
    expect(one.firstDifference(other)).toBe(1750);
    copy.clear();
    expect([copy.count, copy.stores, copy.labels.length]).toEqual([0, 0, 0]);
  });
});
