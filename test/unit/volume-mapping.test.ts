/**
 * Mappings of files in a real image on a real mapping of the host: aliases, stitched fragments,
 * what revoking does to them, and that nobody dies.
 */
import { constants } from "node:buffer";
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFileMedia } from "../../src/node/file-media.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { type Volume, checkVolume, openVolume } from "../../src/node/volume.ts";
import { probed } from "../judges/judge.ts";
import { codeOf, noise, same } from "../support/bytes.ts";
import { makeFolder } from "../support/host-tree.ts";

const PAGE = 4096;
const folder = makeFolder();
const image = join(folder, "image");

function canMap(): boolean {
  fs.writeFileSync(image, Buffer.alloc(65_536));
  const media = openFileMedia(image, { readOnly: true });
  const { mapped } = media;
  media.close();
  return mapped;
}

const judge = probed(
  () => spawnSync("which", ["mke2fs"]).status === 0 && canMap(),
  "apt-get install e2fsprogs; npm install koffi",
);

afterAll(() => fs.rmSync(folder, { recursive: true }));

describe.skipIf(judge.missing)(`mapped files${judge.hint}`, () => {
  /** Pages of data at 3, 4 and 9, a hole everywhere else. */
  const sparse = new Uint8Array(12 * PAGE + 5);
  const whole = noise(3, 40 * PAGE + 9);
  let volume: Volume;

  beforeAll(() => {
    const source = join(folder, "source");
    fs.mkdirSync(source);
    sparse.set(noise(1, 2 * PAGE), 3 * PAGE);
    sparse.set(noise(2, PAGE), 9 * PAGE);
    const fd = fs.openSync(join(source, "sparse"), "w");
    fs.writeSync(fd, sparse, 3 * PAGE, 2 * PAGE, 3 * PAGE);
    fs.writeSync(fd, sparse, 9 * PAGE, PAGE, 9 * PAGE);
    fs.ftruncateSync(fd, sparse.length);
    fs.closeSync(fd);
    fs.writeFileSync(join(source, "whole"), whole);
    const args = ["-q", "-F", "-t", "ext4", "-b", "4096", "-d", source, image, "16M"];
    execFileSync("mke2fs", args, { stdio: "pipe" });
    volume = openVolume(image);
  });
  afterAll(() => volume.close({ revoke: true }));

  test("a contiguous file is the image itself", () => {
    const mapping = volume.open("/whole").map();
    expect(same(mapping.bytes, whole)).toBe(true);
    const [{ addr = 0 } = {}] = [...volume.open("/whole").extents()];
    const fd = fs.openSync(image, "r");
    const raw = Buffer.alloc(100);
    fs.readSync(fd, raw, 0, 100, addr);
    fs.closeSync(fd);
    expect(same(mapping.bytes.subarray(0, 100), raw)).toBe(true);
    mapping.unmap();
  });

  test("holes and fragments come as one array, and go away as one", () => {
    const mapping = volume.open("/sparse").map();
    expect(mapping.spans.map(({ type }) => type)).toEqual([
      "hole",
      "mapped",
      "hole",
      "mapped",
      "hole",
    ]);
    const { bytes } = mapping;
    expect(same(bytes, sparse)).toBe(true);
    const inner = volume.open("/sparse").map({ offset: 4 * PAGE + 7, length: 5 * PAGE + 100 });
    expect(same(inner.bytes, sparse.subarray(4 * PAGE + 7, 9 * PAGE + 107))).toBe(true);
    mapping.unmap();
    expect([bytes.length, inner.bytes.length]).toEqual([0, 5 * PAGE + 100]);
    inner.unmap();
  });

  test("a revocable mapping has an array of its own, where stores stay private", () => {
    const mapping = volume.open("/whole").map({ revocable: true });
    const { bytes } = mapping;
    expect(same(bytes, whole)).toBe(true);
    bytes[0] = (bytes[0] as number) ^ 0xff;
    expect(mapping.getUint8(0)).toBe(whole[0]);
    mapping.unmap();
    expect(bytes).toHaveLength(0);
  });

  test("views of a sparse file: media where there is some, zeros where there is none", () => {
    const file = volume.open("/sparse");
    const parts: Uint8Array[] = [];
    for (let at = 0; at < sparse.length;) {
      const part = file.view(at, sparse.length - at);
      parts.push(part);
      at += part.length;
    }
    expect(same(Buffer.concat(parts), sparse)).toBe(true);
    expect([
      file.seek(0, "data"),
      file.seek(3 * PAGE, "hole"),
      file.seek(5 * PAGE, "data"),
    ]).toEqual([3 * PAGE, 5 * PAGE, 9 * PAGE]);
    file.close();
  });

  test("an image truncated behind our back: errors, not a signal, and the process goes on", () => {
    const copy = join(folder, "copy");
    fs.copyFileSync(image, copy);
    const other = openVolume(copy);
    const file = other.open("/whole");
    const mapping = file.map();
    fs.truncateSync(copy, 8 * PAGE);
    expect(codeOf(() => mapping.copyOut(0, new Uint8Array(whole.length)))).toBe("EIO");
    expect(codeOf(() => file.pread(new Uint8Array(PAGE), 20 * PAGE))).toBe("EIO");
    other.close({ revoke: true });
  });

  test("closing with revoke detaches every array that was handed out", () => {
    const other = openVolume(image);
    const alias = other.open("/whole").map().bytes;
    const stitched = other.open("/sparse").map().bytes;
    const view = other.open("/whole").view(0, 100);
    expect([alias.length, stitched.length, view.length]).toEqual([
      whole.length,
      sparse.length,
      100,
    ]);
    other.close({ revoke: true });
    expect([alias.length, stitched.length, view.length]).toEqual([0, 0, 0]);
  });

  test("stores through bytes of a file that was cut and has grown are the file's alone", () => {
    const path = join(folder, "writable");
    makeVolume(path, { size: { bytes: 2 ** 23 }, blockSize: PAGE });
    const other = openVolume(path, { write: true });
    const file = other.open("/cut", { create: true, access: "readwrite" });
    file.write(noise(4, 8 * PAGE));
    const mapping = file.map({ access: "write" });
    file.truncate(3 * PAGE + 5);
    other.fs.writeFileSync("/beside", noise(5, 5 * PAGE));
    expect(codeOf(() => mapping.bytes)).toBe("EFAULT");
    file.truncate(8 * PAGE);
    mapping.bytes.fill(4, 4 * PAGE);
    mapping.flush();
    mapping.unmap();
    const want = new Uint8Array(8 * PAGE).fill(4, 4 * PAGE);
    want.set(noise(4, 3 * PAGE + 5));
    expect(same(other.fs.readFileSync("/cut"), want)).toBe(true);
    expect(same(other.fs.readFileSync("/beside"), noise(5, 5 * PAGE))).toBe(true);
    file.close();
    other.close();
    expect([...checkVolume(path)]).toEqual([]);
  });

  test("a hole of gigabytes is one array, made at once; one that no array holds is EFBIG", () => {
    const path = join(folder, "huge");
    makeVolume(path, { size: { bytes: 2 ** 23 }, blockSize: PAGE });
    const other = openVolume(path, { write: true });
    const file = other.open("/sparse", { create: true, access: "readwrite" });
    file.truncate(2 ** 40);
    file.pwrite(noise(6, PAGE), 2 ** 31);
    const mapping = file.map({ length: 3 * 2 ** 30 });
    const { bytes } = mapping;
    expect([bytes.length, bytes[2 ** 30]]).toEqual([3 * 2 ** 30, 0]);
    expect(same(bytes.subarray(2 ** 31, 2 ** 31 + PAGE), noise(6, PAGE))).toBe(true);
    mapping.unmap();
    const all = file.map();
    const holds = 2 ** 40 <= constants.MAX_LENGTH;
    expect(codeOf(() => all.bytes)).toBe(holds ? undefined : "EFBIG");
    expect(all.getUint8(2 ** 40 - 1)).toBe(0);
    all.unmap();
    file.close();
    other.close();
  });
});
