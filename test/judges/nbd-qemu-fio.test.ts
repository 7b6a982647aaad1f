/** `daxkit nbd` before QEMU's tools, and fio. */
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { startServer } from "../support/nbd-server.ts";
import { WHOLE } from "../support/slices.ts";
import { cwd, eachInAFolder, fio, MIB, qemu, run, serve, sparseImage } from "./nbd-tools.ts";

eachInAFolder();

describe.skipIf(qemu.missing)(`QEMU${qemu.hint}`, () => {
  test("convert, compare and map", async () => {
    const image = sparseImage();
    const copy = join(cwd, "copy.img");
    writeFileSync(copy, "");
    truncateSync(copy, 16 * MIB);
    const server = await serve(copy);
    run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, server.uri);
    expect(run("qemu-img", "compare", "-f", "raw", image, "-F", "raw", server.uri)).toContain(
      "Images are identical.",
    );
    const map = JSON.parse(run("qemu-img", "map", "-f", "raw", "--output=json", server.uri));
    expect(map).toMatchObject([
      { start: 0, length: 3 * MIB, zero: true, data: false },
      { start: 3 * MIB, length: MIB, zero: false, data: true },
      { start: 4 * MIB, length: 12 * MIB, zero: true, data: false },
    ]);
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", server.uri, "back.qcow2");
    run("qemu-img", "compare", "-F", "raw", "-f", "qcow2", "back.qcow2", image);
  });

  test("patterns written, zeroed and discarded read back", async () => {
    const server = await serve(sparseImage());
    const commands = [
      "write -P 0xab 1000 70001",
      "read -P 0xab 1000 70001",
      "write -f -P 0xcd 4M 4M",
      "write -z 5M 64k",
      "write -zu 6M 64k",
      "read -P 0xcd 4M 1M",
      "read -P 0 5M 64k",
      "read -P 0 6M 64k",
      "discard 7M 64k",
      "flush",
      "aio_write -P 0x11 8M 1M",
      "aio_write -P 0x22 9M 1M",
      "aio_flush",
      "read -P 0x11 8M 1M",
      "read -P 0x22 9M 1M",
    ];
    const words = commands.flatMap((command) => ["-c", command]);
    expect(run("qemu-io", "-f", "raw", ...words, server.uri)).not.toContain("fail");
    expect(await server.end()).toBe(0);
  });
});

const RAGGED = ["--bs_unaligned", "--norandommap=0", "--iodepth=8"];

describe.skipIf(fio.missing)(`fio${fio.hint}`, () => {
  const shapes: [title: string, args: string[], env: Record<string, string>][] = [
    ["mixed sizes, 4 jobs", ["--numjobs=4", "--bsrange=512-128k", "--iodepth=16"], {}],
    [
      "mixed sizes, 2 jobs, by Node's sockets",
      ["--numjobs=2", "--bsrange=512-128k", "--iodepth=16"],
      { DAXKIT_FFI: "off" },
    ],
    ...(WHOLE
      ? ([
          ["4 KiB at depth 64", ["--bs=4k", "--iodepth=64", "--numjobs=4"], {}],
          // fio's own headers need some hundred bytes, and its overlapping writes have no order.
          ["ragged sizes", ["--bsrange=333-99999", "--serialize_overlap=1", ...RAGGED], {}],
          ["1 MiB at depth 8", ["--bs=1m", "--iodepth=8", "--numjobs=4"], {}],
        ] satisfies [string, string[], Record<string, string>][])
      : []),
  ];
  test.for(shapes)("reads back what it wrote: %s", async ([, args, env]) => {
    const image = join(cwd, "a.img");
    writeFileSync(image, "");
    truncateSync(image, 64 * MIB);
    const server = await startServer(["-U", join(cwd, "s"), image], env);
    run(
      "fio",
      "--name=v",
      "--ioengine=nbd",
      `--uri=${server.uri}`,
      "--rw=randrw",
      "--verify=crc32c",
      "--verify_fatal=1",
      "--fsync=64",
      "--size=16m",
      "--offset_increment=16m",
      `--io_size=${WHOLE ? "32m" : "8m"}`,
      ...args,
    );
    expect(await server.end()).toBe(0);
  });
});
