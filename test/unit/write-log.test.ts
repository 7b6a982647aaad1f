/**
 * Logs of writes (dm-log-writes): what is written can be read, and what is read is not believed.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { RecordedDevice } from "../../src/block/recorded-device.ts";
import { RecordedMedia } from "../../src/block/recorded-media.ts";
import type { LogEntry } from "../../src/block/write-log.ts";
import { LogWriter } from "../../src/block/write-log-writer.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { RecordedStore } from "../../src/nbd/recorded-store.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { ToyStore } from "../support/nbd-store.ts";

const sector = (value: number, count = 1) => new Uint8Array(512 * count).fill(value);

/** An entry in a few words. */
function words(entry: LogEntry): string {
  if (entry.mark !== undefined) return `mark ${entry.mark}`;
  const flags = [
    entry.flush ? "flush" : "",
    entry.fua ? "fua" : "",
    entry.discard ? "discard" : "",
    entry.metadata ? "meta" : "",
  ].filter((word) => word !== "");
  const range = entry.length > 0 ? [`${entry.start / 512}+${entry.length / 512}`] : [];
  return [...flags, ...range].join(" ");
}

const wordsOf = (sink: MemoryLog): string[] => [...sink.open().entries()].map(words);

const readAll = (bytes: Uint8Array): number => [...MemoryLog.of(bytes).open().entries()].length;

/** A log of a write, a flush and a mark. */
function small(): Uint8Array<ArrayBuffer> {
  const sink = new MemoryLog();
  const log = new LogWriter(sink);
  log.write(0, sector(1));
  log.flush();
  log.mark("m");
  return sink.bytes.slice();
}

function damaged(at: number, value: number): Uint8Array {
  const bytes = small();
  new DataView(bytes.buffer).setUint32(at, value, true);
  return bytes;
}

describe("a log that we write", () => {
  test("is read back, in order, with its data", () => {
    const sink = new MemoryLog();
    const log = new LogWriter(sink);
    log.write(1024, sector(7, 2));
    log.write(0, sector(8), { fua: true });
    log.discard(4096, 512);
    log.flush();
    expect(log.mark("done ✓")).toBe(4);
    log.writeZeroes(512, 512);
    log.finish();
    expect(wordsOf(sink)).toEqual([
      "2+2",
      "fua 0+1",
      "discard 8+1",
      "flush",
      "mark done ✓",
      "1+1",
      "mark dm-log-writes-end",
    ]);
    const read = sink.open();
    const data = new Uint8Array(512);
    read.read([...read.entries()][0]!, 512, data);
    expect(data).toEqual(sector(7));
  });

  test("splits what is large, and takes sectors of 4096", () => {
    const sink = new MemoryLog();
    const log = new LogWriter(sink, { sectorSize: 4096 });
    log.write(4096, new Uint8Array(3 << 20), { fua: true });
    log.writeZeroes(0, (1 << 20) + 4096);
    log.flush();
    const entries = [...sink.open().entries()];
    expect(sink.open().sectorSize).toBe(4096);
    expect(entries.map(({ start, length, fua }) => [start, length, fua])).toEqual([
      [4096, 1 << 20, true],
      [4096 + (1 << 20), 1 << 20, true],
      [4096 + (2 << 20), 1 << 20, true],
      [0, 1 << 20, false],
      [1 << 20, 4096, false],
      [0, 0, false],
    ]);
  });

  test("counts what orders something at once, and ordinary writes with the next of these", () => {
    const sink = new MemoryLog();
    const log = new LogWriter(sink);
    log.write(0, sector(1));
    expect(sink.open().declared).toBe(0);
    log.write(0, sector(1), { fua: true });
    expect(sink.open().declared).toBe(2);
    log.write(0, sector(1));
    log.mark("m");
    expect(sink.open().declared).toBe(4);
  });

  test("refuses what has no place in it", () => {
    const log = new LogWriter(new MemoryLog());
    expect(() => log.write(1, sector(1))).toThrow(/EINVAL.*no whole sectors of 512/u);
    expect(() => log.write(0, new Uint8Array(5))).toThrow(/EINVAL/u);
    expect(() => log.mark("x".repeat(480))).toThrow(/EINVAL.*479 at most/u);
    expect(() => log.mark("a\0b")).toThrow(/EINVAL/u);
    expect(() => new LogWriter(new MemoryLog(), { sectorSize: 1024 })).toThrow(/512 or 4096/u);
    log.finish();
    log.finish();
    expect(() => log.flush()).toThrow(/the log has ended/u);
  });

  test("fails for good where its sink has failed once", () => {
    const sink = new MemoryLog();
    const log = new LogWriter(sink);
    sink.full = true;
    expect(() => log.flush()).toThrow(/ENOSPC/u);
    sink.full = false;
    expect(() => log.write(0, sector(1))).toThrow(/ENOSPC/u);
    log.finish();
  });
});

describe("a recorded", () => {
  test("disk notes each request once it has succeeded", () => {
    const sink = new MemoryLog();
    const bytes = new Uint8Array(16 * 512);
    const disk = new RecordedDevice(new RamDisk({ name: "d", bytes }), new LogWriter(sink));
    disk.write(2, sector(3));
    disk.write(4, sector(4), { fua: true });
    disk.writeZeroes(2, 1);
    disk.writeBytes(100, Uint8Array.of(1, 2));
    disk.flush();
    expect(() => disk.write(16, sector(1))).toThrow(/EIO/u);
    expect(() => disk.discard(0, 1)).toThrow(/ENOTSUP/u);
    disk.flush();
    expect(wordsOf(sink)).toEqual(["2+1", "fua 4+1", "2+1", "0+1", "flush", "flush"]);
    expect(bytes[101]).toBe(2);
  });

  test("store notes FUA as what it is, and no flush that nobody asked for", () => {
    const sink = new MemoryLog();
    const inner = new ToyStore(8192);
    const store = new RecordedStore(inner, new LogWriter(sink));
    expect(store.blockSizes.minimum).toBe(512);
    store.write(0, sector(1));
    store.writeThrough(512, sector(2));
    store.writeZeroes(1024, 512, { noHole: false, fast: false });
    store.persist(1024, 512);
    store.trim(2048, 1024);
    store.flush();
    store.recording = false;
    store.flush();
    expect(wordsOf(sink)).toEqual(["0+1", "fua 1+1", "2+1", "fua 2+1", "discard 4+2", "flush"]);
  });

  test("media notes what is flushed, by the sector", () => {
    const sink = new MemoryLog();
    const media = new RecordedMedia(new RamMedia(8192), new LogWriter(sink));
    media.window(0).memory.setUint8(600, 9);
    media.fence();
    media.flush(600, 1);
    media.flush(1000, 100);
    media.fence();
    media.copyNonTemporal(4096, Uint8Array.of(5));
    media.fence();
    expect(wordsOf(sink)).toEqual(["1+1", "1+2", "flush", "8+1", "flush"]);
    const log = sink.open();
    const data = new Uint8Array(512);
    log.read([...log.entries()][3]!, 0, data);
    expect([data[0], data[1]]).toEqual([5, 0]);
  });
});

describe("a log that the kernel wrote", () => {
  const path = join(import.meta.dirname, "../../fixtures/dm/log.img.gz");
  const bytes = gunzipSync(readFileSync(path));

  test("is read as the kernel meant it", () => {
    const log = MemoryLog.of(bytes).open();
    const entries = [...log.entries()];
    expect([log.sectorSize, log.declared, entries.length]).toEqual([512, 88, 88]);
    expect(entries.filter(({ mark }) => mark !== undefined).map(words)).toEqual([
      "mark mkfs-done",
      "mark one-synced",
      "mark two-synced",
      "mark end",
      "mark dm-log-writes-end",
    ]);
    expect(entries.slice(38, 43).map(words)).toEqual([
      "meta 120+8",
      "meta 128+8",
      "flush fua meta",
      "fua meta 136+8",
      "mark one-synced",
    ]);
    expect(entries.filter(({ discard }) => discard).map(words)).toEqual([
      "discard 0+8",
      "discard 0+32768",
      "discard 14616+18152",
    ]);
  });
});

describe("what is no log, or a damaged one, is refused by name", () => {
  const cases: [title: string, bytes: Uint8Array, message: RegExp][] = [
    ["nothing", new Uint8Array(0), /EINVAL.*0 bytes: no log/u],
    ["zeros", new Uint8Array(4096), /EINVAL.*begins with 0x0, not 0x6a736677736872/u],
    ["another version", damaged(8, 2), /EINVAL.*version 2/u],
    ["sectors of 0", damaged(24, 0), /EUCLEAN.*sectorsize 0/u],
    ["sectors of 513", damaged(24, 513), /EUCLEAN.*sectorsize 513/u],
    ["a cut header", small().subarray(0, 1700), /EUCLEAN.*entry 1.*header is cut off/u],
    ["cut data", small().subarray(0, 1100), /EUCLEAN.*entry 0.*512 bytes of data.*'--limit'/u],
    ["more entries than are there", damaged(16, 9), /EUCLEAN.*entry 3.*cut off/u],
    ["flags from the future", damaged(512 + 16, 64), /EUCLEAN.*flags 0x40/u],
    ["a length beyond all", damaged(512 + 12, 0x7fff_ffff), /EUCLEAN.*entry 0.*beyond 2\^53/u],
    ["text in a write", damaged(512 + 24, 5), /EUCLEAN.*5 bytes of text/u],
    ["a mark too long", damaged(2048 + 24, 481), /EUCLEAN.*481 bytes of text/u],
    ["a mark with sectors", damaged(2048 + 8, 1), /EUCLEAN.*a mark with sectors/u],
    ["an entry that says nothing", damaged(1536 + 16, 0), /EUCLEAN.*entry 1.*neither/u],
  ];
  test.for(cases)("%s", ([, bytes, message]) => {
    expect(() => readAll(bytes)).toThrow(message);
    expect(() => readAll(bytes)).toThrow(DaxError);
  });

  test("and the whole one is not", () => {
    expect(readAll(small())).toBe(3);
  });
});
