/**
 * Stores to files of a real image through mappings on a real mapping of the host: fragments joined
 * into one writable array, and what the image holds afterwards.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { openFileMedia } from "../../src/node/file-media.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { checkVolume, openVolume } from "../../src/node/volume.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
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

const judge = probed(canMap, "npm install koffi");

afterAll(() => fs.rmSync(folder, { recursive: true }));

function opened() {
  fs.rmSync(image, { force: true });
  makeVolume(image, { size: { bytes: 2 ** 24 }, blockSize: PAGE });
  const volume = openVolume(image, { write: true });
  return { volume, file: volume.open("/f", { create: true, access: "readwrite" }) };
}

/** Pages in pieces: they were taken out and put in again behind each other; a hole at the end. */
function fragmented(file: OpenFile, pages: number): Uint8Array {
  file.write(noise(1, pages * PAGE));
  for (let page = 1; page < pages; page += 2) file.fallocate("collapse", PAGE, PAGE);
  const left = Math.ceil(pages / 2);
  for (let page = 1; page < left; page++) file.fallocate("insert", (2 * page - 1) * PAGE, PAGE);
  const bytes = noise(4, (2 * left + 2) * PAGE);
  bytes.fill(0, 2 * left * PAGE);
  for (let page = 2 * left - 1; page >= 0; page--) {
    file.pwrite(bytes.subarray(page * PAGE, (page + 1) * PAGE), page * PAGE);
  }
  file.truncate(bytes.length);
  return bytes;
}

describe.skipIf(judge.missing)(`stores through mappings${judge.hint}`, () => {
  test("to fragments and holes as one array reach the image, and stay after close", () => {
    const { volume, file } = opened();
    const expected = fragmented(file, 18);
    expect([...file.extents()].length).toBeGreaterThan(3);
    const mapping = file.map({ access: "write" });
    expect(same(mapping.bytes, expected)).toBe(true);
    mapping.bytes.set(noise(2, 5 * PAGE), 100);
    expected.set(noise(2, 5 * PAGE), 100);
    mapping.bytes.fill(7, 10 * PAGE, 11 * PAGE);
    expected.fill(7, 10 * PAGE, 11 * PAGE);
    mapping.flush();
    const read = new Uint8Array(expected.length);
    file.pread(read, 0);
    expect(same(read, expected)).toBe(true);
    mapping.unmap();
    file.close();
    volume.close();
    expect([...checkVolume(image)]).toEqual([]);
    const again = openVolume(image);
    expect(same(again.fs.readFileSync("/f"), expected)).toBe(true);
    again.close();
  });

  test("to a file that is cut: the joined array goes away, and a new one is made", () => {
    const { volume, file } = opened();
    fragmented(file, 18);
    expect([...file.extents()].length).toBeGreaterThan(2);
    const mapping = file.map({ access: "write", length: 2 * PAGE });
    const { bytes } = mapping;
    file.truncate(PAGE);
    expect(codeOf(() => mapping.getUint8(PAGE))).toBe("EFAULT");
    mapping.setUint8(5, 9);
    expect(bytes).toHaveLength(0);
    expect(file.view(5, 1)[0]).toBe(9);
    volume.close({ revoke: true });
    expect([...checkVolume(image)]).toEqual([]);
  });

  test("to a view, and its flush", () => {
    const { volume, file } = opened();
    file.write(noise(1, 3 * PAGE));
    file.view(PAGE, PAGE).set(noise(2, 50), 7);
    file.flush(PAGE, PAGE);
    volume.close({ revoke: true });
    const again = openVolume(image);
    const found = again.fs.readFileSync("/f").subarray(PAGE + 7, PAGE + 57);
    expect(same(found, noise(2, 50))).toBe(true);
    again.close();
  });
});
