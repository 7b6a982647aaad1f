import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  mkdirSync,
  openSync,
  closeSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { expect, test } from "vitest";
import { copyOf } from "../../src/lib/memory.ts";
import { BufferedFileMedia } from "../../src/node/file-backing.ts";
import { openFileMedia } from "../../src/node/file-media.ts";
import { holderOf } from "../../src/node/file-lock.ts";
import { libc } from "../../src/node/libc.unsafe.ts";
import { openMediaFile } from "../../src/node/media-file.ts";
import { pattern, put, take } from "../conformance/media-cases.ts";
import { same } from "../support/bytes.ts";
import { answerOf, childArguments } from "../support/child.ts";
import { descriptorOf } from "../support/descriptors.ts";
import { places, scratch } from "../support/scratch.ts";

const refuses = (code: string, detail = "") =>
  expect.objectContaining({
    name: "DaxError",
    code,
    message: expect.stringContaining(detail),
  });
const without = libc() === undefined ? " (needs the koffi package)" : "";
const ram = places["tmpfs"];

test("create makes a sparse file of that size once, and never another", () => {
  const path = scratch();
  const media = openFileMedia(path, { create: 1 << 30 });
  put(media, 1000, pattern(50));
  media.flush(1000, 50);
  media.fence();
  media.close();
  expect(statSync(path)).toMatchObject({ size: 1 << 30 });
  expect(statSync(path).blocks * 512).toBeLessThan(1 << 20);
  const again = openFileMedia(path, { create: 1 << 30 });
  expect(same(take(again, 1000, 50), pattern(50))).toBe(true);
  again.close();
  expect(() => openFileMedia(path, { create: 4096 })).toThrow(refuses("EEXIST", "1073741824"));
});

test("what cannot be media is refused by name, and nothing waits", () => {
  const path = scratch();
  expect(() => openFileMedia(path)).toThrow(refuses("ENOENT", path));
  mkdirSync(path);
  expect(() => openFileMedia(path)).toThrow(refuses("EISDIR", path));
  expect(() => openFileMedia(path, { readOnly: true })).toThrow(refuses("EINVAL", path));
  const empty = scratch();
  writeFileSync(empty, "");
  expect(() => openFileMedia(empty)).toThrow(refuses("EINVAL", "empty"));
  expect(() => openFileMedia(empty, { create: 0 })).toThrow(refuses("EINVAL"));
  expect(() => openFileMedia(empty, { create: 2 ** 53 })).toThrow(refuses("EINVAL"));
  expect(() => openFileMedia(empty, { create: 1, readOnly: true })).toThrow(refuses("EINVAL"));
  expect(() => openFileMedia("/dev/null")).toThrow(refuses("EINVAL", "block device"));
  const pipe = scratch();
  expect(spawnSync("mkfifo", [pipe]).status).toBe(0);
  expect(() => openFileMedia(pipe, { readOnly: true })).toThrow(refuses("EINVAL", pipe));
  writeFileSync(empty, "x");
  expect(() => openFileMedia(empty, { segmentBytes: 5000 })).toThrow(
    refuses("EINVAL", "segmentBytes"),
  );
  // A refused open leaves no lock behind.
  openFileMedia(empty).close();
});

test("a second writer is EBUSY and hears who has it; readers come and go", () => {
  const path = scratch();
  const writer = openFileMedia(path, { create: 8192 });
  expect(() => openFileMedia(path)).toThrow(refuses("EBUSY", `this process (pid ${process.pid})`));
  const reader = openFileMedia(path, { readOnly: true });
  const another = openFileMedia(path, { readOnly: true });
  const careless = openFileMedia(path, { lock: false });
  for (const media of [another, careless, writer]) media.close();
  expect(() => openFileMedia(path).close()).not.toThrow();
  reader.close();
});

test.skipIf(libc() === undefined)(
  `close gives the lock back, whoever shares the file${without}`,
  () => {
    const path = scratch();
    const media = openFileMedia(path, { create: 8192 });
    // As a child does that is just being started by another thread.
    const fd = descriptorOf(path);
    const child = spawn("sleep", ["60"], { stdio: ["ignore", "ignore", "ignore", fd] });
    media.close();
    expect(() => openFileMedia(path).close()).not.toThrow();
    child.kill();
  },
);

test("a writer of another process is named by pid and command", async () => {
  const path = scratch();
  writeFileSync(path, new Uint8Array(4096));
  const child = spawn(process.execPath, childArguments("hold", path), {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  expect(() => openFileMedia(path)).toThrow(refuses("EBUSY", `pid ${child.pid} (`));
  expect(() => openFileMedia(path)).toThrow(refuses("EBUSY", "hold.ts"));
  openFileMedia(path, { readOnly: true }).close();
  child.stdin.end();
  await once(child, "exit");
  openFileMedia(path).close();
});

const line = (n: number, kind: string, mode: string, pid: number, ino: number) =>
  `${n}: ${kind}  ADVISORY  ${mode} ${pid} fd:00:${ino} 0 EOF\n`;

test("the holder is read from /proc/locks, and doubt is not guessed away", () => {
  const locks =
    line(1, "POSIX", "WRITE", 5, 77) +
    line(2, "FLOCK", "READ ", 6, 77) +
    line(3, "FLOCK", "WRITE", 7, 77) +
    line(4, "FLOCK", "WRITE", 8, 78);
  expect(holderOf(locks, 77n)).toBe(7);
  expect(holderOf(locks, 79n)).toBeUndefined();
  expect(holderOf(locks + line(5, "FLOCK", "WRITE", 9, 77), 77n)).toBeUndefined();
  expect(holderOf(line(1, "FLOCK", "WRITE", 0, 77), 77n)).toBeUndefined();
  expect(holderOf("", 77n)).toBeUndefined();
});

test("stores into read-only media stay with the process", () => {
  const path = scratch();
  writeFileSync(path, new Uint8Array(8192).fill(3));
  const media = openFileMedia(path, { readOnly: true });
  expect(media.readOnly).toBe(true);
  put(media, 100, Uint8Array.of(9));
  media.flush(100, 1);
  media.fence();
  expect(() => media.grow(16384)).toThrow(refuses("EROFS"));
  expect("copyNonTemporal" in media).toBe(false);
  media.close();
  expect(readFileSync(path).every((byte) => byte === 3)).toBe(true);
});

test("durability says what flush reaches", () => {
  const kinds = Object.entries(places).map(([place, folder]) => {
    const media = openFileMedia(scratch(folder), { create: 4096 });
    media.close();
    return [place, media.durability, media.domains[0]?.domain];
  });
  const onDisk = libc() === undefined ? "fsync" : "msync";
  expect(kinds).toContainEqual(["disk", onDisk, "adr"]);
  expect(kinds.filter(([place]) => place === "tmpfs")).toEqual(
    ram === undefined ? [] : [["tmpfs", "volatile", "volatile"]],
  );
  const forced = openFileMedia(scratch(), { create: 4096, domain: "eadr" });
  expect(forced.domains).toEqual([{ start: 0, length: 4096, domain: "eadr" }]);
  forced.close();
});

test.skipIf(without !== "")(
  `cache lines never promise what the file does not keep${without}`,
  () => {
    for (const folder of Object.values(places)) {
      const media = openFileMedia(scratch(folder), { create: 4096, flush: "cache-line" });
      expect(media.durability).toBe("volatile");
      expect(media.cacheControl).toMatch(/^(clwb|clflushopt|clflush|dc cvap|dc cvac|libpmem)$/u);
      media.close();
    }
  },
);

test("a fence writes the flushed pages together, and nothing when nothing was flushed", () => {
  const media = openFileMedia(scratch(), { create: 1 << 24 });
  media.fence();
  expect(media.counters).toMatchObject({ fences: 1, writes: 0 });
  for (let at = 0; at < 65536; at += 64) media.flush(at, 64);
  media.fence();
  expect(media.counters).toMatchObject({ flushes: 1024, fences: 2, writes: 1 });
  expect(media.counters.writtenBytes).toBe(65536);
  media.fence();
  expect(media.counters).toMatchObject({ fences: 3, writes: 1 });
  media.close();
});

test("a file that was cut makes the fence fail, though msync says nothing", () => {
  const path = scratch();
  const media = openFileMedia(path, { create: 65536 });
  put(media, 40_000, Uint8Array.of(1));
  media.flush(40_000, 1);
  truncateSync(path, 4096);
  expect(() => media.fence()).toThrow(refuses("EIO", "cut to 4096 of 65536"));
  truncateSync(path, 65536);
  media.close();
});

test("growing keeps the windows and covers the rest", () => {
  const path = scratch();
  const media = openFileMedia(path, { create: 5000 });
  const first = media.window(0);
  put(media, 4000, pattern(1000));
  media.grow(9001);
  media.grow(9001);
  media.grow(200_000);
  put(media, 4500, pattern(500, 7));
  expect(same(copyOf(first.memory, 4500, 500), pattern(500, 7))).toBe(true);
  put(media, 4000, pattern(1000));
  expect(media.domains).toEqual([{ start: 0, length: 200_000, domain: "adr" }]);
  put(media, 4990, pattern(100_000, 3));
  media.flush(4990, 100_000);
  media.fence();
  expect(() => media.grow(4096)).toThrow(refuses("EINVAL", "200000"));
  media.close();
  expect(() => media.grow(300_000)).toThrow(refuses("ENXIO"));
  const bytes = readFileSync(path);
  expect(bytes.length).toBe(200_000);
  expect(same(bytes.subarray(4000, 4990), pattern(990))).toBe(true);
  expect(same(bytes.subarray(4990, 104_990), pattern(100_000, 3))).toBe(true);
});

test.skipIf(without !== "")(`growing inside a page leaves no page in two windows${without}`, () => {
  const media = openFileMedia(scratch(), { create: 1000 });
  const first = media.window(0);
  for (const size of [5000, 6000, 9001, 200_000]) media.grow(size);
  for (let page = 0; page < 200_000; page += 4096) {
    const { start, length } = media.window(page);
    expect(start % 4096).toBe(0);
    expect(start + length).toBeGreaterThanOrEqual(Math.min(page + 4096, 200_000));
  }
  media.window(0).memory.setUint8(999, 0x5a);
  expect(first.memory.getUint8(999)).toBe(0x5a);
  media.flush(0, 200_000);
  media.fence();
  media.close();
  expect(() => first.memory.getUint8(0)).toThrow(TypeError);
});

test.skipIf(without !== "")(`[2.119] [X8] beyond 4 GiB every byte is its own${without}`, () => {
  for (const folder of Object.values(places)) {
    const size = 2 * 2 ** 32 + 8192;
    const path = scratch(folder);
    const media = openFileMedia(path, { create: size, flush: "cache-line" });
    put(media, size - 4096, pattern(4096));
    put(media, size - 4096 - 2 ** 32, pattern(4096, 2));
    media.copyNonTemporal?.(2 ** 32 - 100, pattern(200, 3));
    media.flush(2 ** 32 - 100, 200);
    media.fence();
    expect(media.window(2 ** 33)).toMatchObject({ start: 2 ** 33, length: 8192 });
    expect(media.window(2 ** 33 - 1)).toMatchObject({ start: 2 ** 32, length: 2 ** 32 });
    expect(same(take(media, 2 ** 32 - 100, 200), pattern(200, 3))).toBe(true);
    const joined = media.stitch?.([{ start: 2 ** 32 - 4096, length: 8192 }], false);
    expect(same(joined?.bytes.subarray(3996, 4196) ?? pattern(0), pattern(200, 3))).toBe(true);
    media.close();
    const reader = openFileMedia(path, { readOnly: true });
    expect(same(take(reader, size - 4096, 4096), pattern(4096))).toBe(true);
    expect(same(take(reader, size - 4096 - 2 ** 32, 4096), pattern(4096, 2))).toBe(true);
    expect(same(take(reader, 0, 4096), new Uint8Array(4096))).toBe(true);
    reader.close();
  }
});

test.skipIf(without !== "")(
  `what was handed out ends with its media, and never the process${without}`,
  () => {
    const path = scratch();
    const detached = expect.stringMatching(/detached.* ArrayBuffer/u);
    expect(answerOf("closed", [path], { node: ["--expose-gc"] })).toEqual({
      touched: {
        mapped: 2,
        afterwards: 0,
        lengths: [0, 0, 0, 0],
        loads: [null, null],
        view: detached,
        store: detached,
        window: expect.stringContaining("ENXIO"),
      },
      // A view keeps the memory; only when it is gone too the mapping and the lock are.
      held: { value: 99, mappings: 1 },
      after: 0,
      second: "none",
    });
  },
);

test("without foreign calls a file is buffered, locked too, and written at the fence", () => {
  const path = scratch();
  expect(answerOf("buffered", [path], { env: { DAXKIT_FFI: "off" } })).toEqual({
    mapped: false,
    durability: "fsync",
    offersStitch: false,
    second: expect.stringMatching(/^EBUSY .*this process/u),
    reader: "none",
    early: 0,
    fenced: [5, 0],
    closed: 6,
    counters: { flushes: 1, fences: 1, writes: 3, writtenBytes: 10_000 },
  });
});

test("buffering has a limit, and says so", () => {
  const path = scratch();
  const options = { create: 1 << 24 };
  const media = new BufferedFileMedia(openMediaFile(path, options), options, 2 ** 23);
  put(media, 0, pattern(100));
  put(media, 2 ** 22, pattern(100));
  expect(() => media.window(2 ** 23)).toThrow(refuses("ENOTSUP", "8388608 bytes of it"));
  expect(media.window(100).start).toBe(0);
  media.close();
  expect(same(readFileSync(path).subarray(2 ** 22, 2 ** 22 + 100), pattern(100))).toBe(true);
  const file = openMediaFile(path, {});
  expect(() => new BufferedFileMedia(file, { flush: "cache-line" })).toThrow(refuses("ENOTSUP"));
  closeSync(file.fd);
});

test("others' stores are seen through a window, and ours by others", () => {
  const path = scratch();
  const media = openFileMedia(path, { create: 8192 });
  const fd = openSync(path, "r+");
  put(media, 10, pattern(20));
  media.flush(10, 20);
  media.fence();
  expect(same(readFileSync(path).subarray(10, 30), pattern(20))).toBe(true);
  writeSync(fd, pattern(20, 2), 0, 20, 4096);
  expect(same(take(media, 4096, 20), media.mapped ? pattern(20, 2) : new Uint8Array(20))).toBe(
    true,
  );
  closeSync(fd);
  media.close();
});
