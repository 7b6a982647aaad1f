/**
 * Exports of nbdkit and qemu-nbd as media, as volumes and as images of the command.
 */
import { mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import type { FileMedia } from "../../src/node/media-file.ts";
import { NbdConnection, openNbdMedia } from "../../src/node/nbd/client-media.ts";
import { libc } from "../../src/node/libc.unsafe.ts";
import { openVolume } from "../../src/node/volume.ts";
import { conformsToMedia, pattern, put, take } from "../conformance/media-cases.ts";
import { same } from "../support/bytes.ts";
import { daxkit, jsonLines } from "../support/daxkit.ts";
import { nbdkit, qemuNbd, runNbdkit, runQemuNbd } from "../support/nbd-servers.ts";
import { scratch } from "../support/scratch.ts";
import { inSlices } from "../support/slices.ts";
import { programs } from "./judge.ts";

const MIB = 1 << 20;
const mke2fs = programs(["mke2fs"], "apt-get install e2fsprogs");
const refuses = (code: string, text = "") =>
  expect.objectContaining({ name: "DaxError", code, message: expect.stringContaining(text) });

function sparse(size: number): string {
  const path = scratch();
  writeFileSync(path, "");
  truncateSync(path, size);
  return path;
}

/** An ext4 image with a file of the given bytes in a folder. */
function image(bytes: Uint8Array): string {
  const path = scratch();
  const folder = join(dirname(path), "tree", "sub");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "file"), bytes);
  const { status } = spawnSync("mke2fs", ["-q", "-t", "ext4", "-d", dirname(folder), path, "16M"]);
  expect(status).toBe(0);
  return path;
}

const transports = libc() === undefined ? (["worker"] as const) : (["auto", "worker"] as const);

describe.skipIf(nbdkit.missing)(`nbdkit${nbdkit.hint}`, () => {
  conformsToMedia("an export", (size) => openNbdMedia(runNbdkit("memory", String(size))));
  conformsToMedia("an export of large blocks, through a thread", (size) =>
    openNbdMedia(
      runNbdkit(
        "--filter=blocksize-policy",
        "memory",
        String(size),
        "blocksize-minimum=65536",
        "blocksize-preferred=65536",
        "blocksize-maximum=1M",
        "blocksize-error-policy=error",
      ),
      { transport: "worker", segmentBytes: 65_536 },
    ),
  );

  test.each(transports)("what is fenced is there for the next one (%s)", (transport) => {
    const uri = runNbdkit("memory", String(9 * MIB + 512));
    const open = (readOnly?: boolean): FileMedia =>
      openNbdMedia(uri, { transport, ...(readOnly === undefined ? {} : { readOnly }) });
    const media = open();
    expect(media).toMatchObject({ durability: "fsync", readOnly: false, size: 9 * MIB + 512 });
    put(media, 3 * MIB - 100, pattern(MIB));
    media.flush(3 * MIB - 100, MIB);
    media.fence();
    const other = open(true);
    expect(same(take(other, 3 * MIB - 100, MIB), pattern(MIB))).toBe(true);
    expect(take(other, 9 * MIB, 512)).toEqual(new Uint8Array(512));
    other.close();
    put(media, 9 * MIB, pattern(512));
    media.close();
    const last = open(true);
    expect(take(last, 9 * MIB, 512)).toEqual(pattern(512));
    last.close();
  });

  test("a read-only export is read-only media, and refuses to be more", () => {
    const uri = runNbdkit("-r", "memory", "1M");
    const media = openNbdMedia(uri);
    expect(media.readOnly).toBe(true);
    media.flush(0, 4096);
    media.fence();
    media.close();
    expect(() => openNbdMedia(uri, { readOnly: false })).toThrow(refuses("EROFS", uri));
    expect(() => openNbdMedia(runNbdkit("memory", "0"))).toThrow(refuses("EINVAL", "empty"));
  });

  test("errors of the server arrive with its words, and the connection lives", () => {
    const uri = runNbdkit("--filter=error", "memory", "1M", "error=ENOSPC", "error-pwrite-rate=1");
    const connection = NbdConnection.open(uri);
    const { client } = connection;
    expect(() => connection.hold(client.write(0, pattern(512)))).toThrow(refuses("ENOSPC", uri));
    connection.hold(client.read(0, new Uint8Array(512)));
    connection.close();
    connection.close();
    expect(() => connection.hold(client.flush())).toThrow(refuses("ENXIO"));
  });

  test.each(transports)("a server that is silent is given up on (%s)", (transport) => {
    const uri = runNbdkit("--filter=delay", "memory", "1M", "delay-read=10");
    const media = openNbdMedia(uri, { transport, timeoutMs: 200 });
    expect(() => media.window(0)).toThrow(refuses("ETIMEDOUT", "0.2 s"));
    media.close();
  });

  test("media that may forget reads more than it holds", () => {
    const path = sparse(8 * MIB);
    const uri = runNbdkit("file", path);
    const options = { readOnly: true, mostBytes: 2 * MIB };
    const whole = openNbdMedia(uri, options);
    expect(() => take(whole, 0, 8 * MIB)).toThrow(refuses("ENOTSUP", "copy the export"));
    whole.close();
    const media = openNbdMedia(uri, { ...options, forget: true });
    const first = media.window(0);
    expect(take(media, 0, 8 * MIB)).toHaveLength(8 * MIB);
    expect(media.window(5)).toBe(first);
    media.close();
  });
});

describe.skipIf(nbdkit.missing || mke2fs.missing)(`images by URI${nbdkit.hint}`, () => {
  const bytes = pattern(3 * MIB);

  test("a volume opens by its URI, as a word and as a URL", () => {
    const uri = runNbdkit("file", image(bytes));
    for (const source of [uri, new URL(uri)]) {
      using volume = openVolume(source);
      expect(same(volume.fs.readFileSync("/sub/file") as Uint8Array, bytes)).toBe(true);
    }
    expect(() => openVolume(runNbdkit("memory", "1M"))).toThrow(refuses("EINVAL", "no filesystem"));
  });

  test.each(inSlices(["on", "off"], 2))("commands take URIs, foreign calls %s", (ffi) => {
    const uri = runNbdkit("file", image(bytes));
    const env = { DAXKIT_FFI: ffi };
    const run = (...args: string[]) => daxkit(args, { env });
    expect(run("ls", `${uri}:/sub`)).toEqual({ status: 0, stdout: "file\n", stderr: "" });
    expect(run("cat", `${uri}:/sub/file`).stdout).toBe(Buffer.from(bytes).toString("latin1"));
    expect(run("check", uri)).toMatchObject({ status: 0, stderr: "" });
    expect(jsonLines(run("df", "--json", uri).stdout)).toHaveLength(1);
    expect(run("tree", uri)).toMatchObject({ status: 0, stderr: "" });
    expect(run("stat", `${uri}:/sub/file`).stdout).toContain(String(bytes.length));
    expect(run("extents", `${uri}:/sub/file`)).toMatchObject({ status: 0, stderr: "" });
    const target = scratch();
    expect(run("cp", `${uri}:/sub/file`, target)).toMatchObject({ status: 0, stderr: "" });
    expect(same(readFileSync(target), bytes)).toBe(true);
    expect(run("ls", `${uri}:/none`)).toMatchObject({ status: 2, stdout: "" });
  });

  test("a partition of an export", () => {
    const uri = runNbdkit("--filter=offset", "file", image(bytes), "offset=0");
    const disk = runNbdkit("partitioning", image(bytes));
    expect(daxkit(["ls", "--partition", "1", `${disk}:/`]).stdout).toContain("sub");
    expect(daxkit(["ls", "--partition", "1", uri])).toMatchObject({ status: 2 });
    expect(daxkit(["ls", disk]).stderr).toContain(
      "choose a partition: the dos partition table has partition 1",
    );
  });

  test("what cannot be reached is said in a line", () => {
    const gone = "nbd+unix:///?socket=/none/such";
    expect(daxkit(["ls", gone])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/^daxkit ls: ENOENT: .*socket=\/none\/such'.*\n$/u),
    });
    expect(daxkit(["ls", "nbd://localhost:99999"]).stderr).toContain("port 99999");
    expect(daxkit(["ls", "nbd://localhost:1"]).stderr).toContain("ECONNREFUSED");
  });
});

/** Copies of whole images with a server that was started by `serve`. */
function copiesWhole(serve: (file: string) => string): void {
  test("a whole image goes there and back, holes as holes", () => {
    const path = sparse(24 * MIB + 1536);
    const bytes = readFileSync(path);
    bytes.set(pattern(5 * MIB, 3), 2 * MIB + 77);
    bytes.set(pattern(512, 9), bytes.length - 512);
    const full = sparse(0);
    writeFileSync(full, bytes);
    const file = sparse(bytes.length);
    const uri = serve(file);
    const there = daxkit(["cp", "--json", full, uri]);
    expect(there).toMatchObject({ status: 0, stderr: "" });
    const [told] = jsonLines(there.stdout);
    expect(told).toMatchObject({ from: full, to: uri, size: bytes.length });
    expect((told as { zeroes: number }).zeroes).toBeGreaterThan(16 * MIB);
    expect(same(readFileSync(file), bytes)).toBe(true);
    const back = scratch(dirname(scratch()), "back.img");
    expect(daxkit(["cp", "-v", uri, back])).toMatchObject({ status: 0, stderr: "" });
    expect(same(readFileSync(back), bytes)).toBe(true);
    expect(statSync(back).blocks * 512).toBeLessThan(8 * MIB);
    const again = daxkit(["cp", uri, back]);
    expect(again).toMatchObject({ status: 2, stderr: expect.stringContaining("EEXIST") });
  });

  test("sizes are looked at before anything is written", () => {
    const small = serve(sparse(MIB));
    const path = sparse(2 * MIB);
    writeFileSync(path, pattern(2 * MIB));
    const refused = daxkit(["cp", path, small]);
    expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining("ENOSPC") });
    const large = serve(sparse(4 * MIB));
    expect(daxkit(["cp", path, large])).toMatchObject({
      status: 0,
      stderr: expect.stringContaining(`${2 * MIB} bytes behind the image keep what they hold`),
    });
    expect(daxkit(["cp", large, small])).toMatchObject({ status: 2 });
    const twin = serve(sparse(4 * MIB));
    expect(daxkit(["cp", large, twin])).toMatchObject({ status: 0, stderr: "" });
    const target = scratch();
    expect(daxkit(["cp", twin, target]).status).toBe(0);
    expect(same(readFileSync(target).subarray(0, 2 * MIB), pattern(2 * MIB))).toBe(true);
  });
}

describe.skipIf(nbdkit.missing)(`whole copies with nbdkit${nbdkit.hint}`, () => {
  copiesWhole((file) => runNbdkit("file", file));

  test("a copy that fails leaves no file", () => {
    const size = String(16 * MIB);
    const uri = runNbdkit("--filter=error", "pattern", size, "error=EIO", "error-pread-rate=0.5");
    const target = scratch();
    const { status, stderr } = daxkit(["cp", uri, target]);
    expect([status, stderr]).toEqual([2, expect.stringContaining("EIO")]);
    expect(() => statSync(target)).toThrow("ENOENT");
    const readOnly = runNbdkit("-r", "memory", "1M");
    expect(daxkit(["cp", sparse(MIB), readOnly]).stderr).toContain("EROFS");
    expect(daxkit(["cp", sparse(MIB), `${readOnly}:/x`]).stderr).toContain("EROFS");
    for (const words of [
      ["-r", sparse(MIB), readOnly],
      [`${readOnly}:/x`, readOnly],
      [readOnly, readOnly, target],
      ["--partition", "1", readOnly, target],
    ]) {
      expect(daxkit(["cp", ...words]).stderr).toContain("usage:");
    }
  });
});

describe.skipIf(qemuNbd.missing)(`qemu-nbd${qemuNbd.hint}`, () => {
  copiesWhole((file) => runQemuNbd(file));

  test("a name that is none is ENOENT", () => {
    const uri = runQemuNbd(sparse(MIB)).replace("an%20export", "another");
    expect(() => openNbdMedia(uri)).toThrow(refuses("ENOENT", "no such export"));
  });
});
