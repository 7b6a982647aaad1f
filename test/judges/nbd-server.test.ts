/** `daxkit nbd` before libnbd's tools, and killed under load. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { libc } from "../../src/node/libc.unsafe.ts";
import { MAIN, shell } from "../support/daxkit.ts";
import { randomImage, startMachineOf, startServer } from "../support/nbd-server.ts";
import {
  cwd,
  digest,
  e2fsprogs,
  eachInAFolder,
  fio,
  fuse,
  libnbd,
  MIB,
  mounts,
  nbdsh,
  run,
  serve,
  sparseImage,
} from "./nbd-tools.ts";

eachInAFolder();

/** A map of 16 MiB of which the first was written: where data is, or what is dirty. */
const firstOf16 = (context: "data" | "dirty") => [
  { offset: 0, length: MIB, type: context === "dirty" ? 1 : 0 },
  { offset: MIB, length: 15 * MIB, type: context === "dirty" ? 0 : 2 },
];

describe.skipIf(libnbd.missing)(`libnbd's tools${libnbd.hint}`, () => {
  test("nbdinfo says what is there", async () => {
    const server = await serve(sparseImage());
    const info = JSON.parse(run("nbdinfo", "--json", server.uri)) as {
      protocol: string;
      structured: boolean;
      exports: Record<string, unknown>[];
    };
    expect(info).toMatchObject({ protocol: "newstyle-fixed", structured: true });
    expect(info.exports[0]).toMatchObject({
      "export-name": "sparse.img",
      "export-size": 16 * MIB,
      contexts: ["base:allocation", "daxkit:dirty"],
      is_read_only: false,
      can_cache: true,
      can_df: true,
      can_fast_zero: true,
      can_flush: true,
      can_fua: true,
      can_multi_conn: true,
      can_trim: true,
      can_zero: true,
      block_size_minimum: 1,
      block_size_preferred: 4096,
      block_size_maximum: 32 * MIB,
    });
  });

  test("nbdinfo --map shows the holes of the file, and what was written since a mark", async () => {
    const server = await serve(sparseImage());
    const map = (context: string): unknown =>
      JSON.parse(run("nbdinfo", "--json", `--map=${context}`, server.uri));
    expect(map("base:allocation")).toMatchObject([
      { offset: 0, length: 3 * MIB, type: 3 },
      { offset: 3 * MIB, length: MIB, type: 0 },
      { offset: 4 * MIB, length: 12 * MIB, type: 3 },
    ]);
    run("nbdcopy", randomImage(cwd, "part", MIB), server.uri);
    const dirty = [
      { offset: 0, length: MIB, type: 1 },
      { offset: MIB, length: 15 * MIB, type: 0 },
    ];
    expect(map("daxkit:dirty")).toMatchObject(dirty);
    server.child.kill("SIGUSR1");
    await expect
      .poll(() => map("daxkit:dirty"))
      .toMatchObject([{ offset: 0, length: 16 * MIB, type: 0 }]);
  });

  test("nbdinfo --map tells space set aside from holes, and follows trim and zeroes", async () => {
    const image = sparseImage();
    const server = await serve(image);
    const types = (from: number, to: number): number[] =>
      (
        JSON.parse(run("nbdinfo", "--json", "--map", server.uri)) as {
          offset: number;
          length: number;
          type: number;
        }[]
      )
        .filter(({ offset, length }) => offset < to * MIB && offset + length > from * MIB)
        .map(({ type }) => type);
    expect(types(3, 4)).toEqual([0]);
    run("qemu-io", "-f", "raw", "-c", "discard 3M 512k", server.uri);
    expect(types(3, 3.5)).toEqual([3]);
    run("qemu-io", "-f", "raw", "-c", "write -zu 3584k 256k", server.uri);
    expect(types(3.5, 3.75)).toEqual([3]);
    run("qemu-io", "-f", "raw", "-c", "write -z 8M 1M", server.uri);
    // Zeroed with NO_HOLE: allocated, by zeros that were written or by an extent never written to.
    for (const type of types(8, 9)) expect(type & 1).toBe(0);
    run("qemu-io", "-f", "raw", "-c", "write 12M 4k", server.uri);
    expect(types(12, 12.001)).toEqual([0]);
  });

  test("a machine's devices: zeros, and one map of writes for all exports of a disk", async () => {
    const machine = await startMachineOf(
      "brd: 16M\nexports: [ram0, { device: ram0, name: look, readOnly: true }]",
    );
    const uri = (name: string): string => `nbd+unix:///${name}?socket=${machine.socket}`;
    const map = (name: string, context: string): unknown =>
      JSON.parse(run("nbdinfo", "--json", `--map=${context}`, uri(name)));
    expect(map("ram0", "base:allocation")).toMatchObject([{ length: 16 * MIB, type: 2 }]);
    run("nbdcopy", randomImage(cwd, "part", MIB), uri("ram0"));
    expect(map("look", "base:allocation")).toMatchObject(firstOf16("data"));
    expect(map("look", "daxkit:dirty")).toMatchObject(firstOf16("dirty"));
    machine.child.kill("SIGUSR1");
    await expect
      .poll(() => map("look", "daxkit:dirty"))
      .toMatchObject([{ offset: 0, length: 16 * MIB, type: 0 }]);
    expect(machine.errors()).toBe("");
  });

  test("nbdinfo --list shows several exports, and read-only ones as such", async () => {
    const server = await startServer([
      "-U",
      join(cwd, "s"),
      "-r",
      sparseImage(),
      randomImage(cwd, "b.img", MIB),
    ]);
    const { exports } = JSON.parse(run("nbdinfo", "--json", "--list", server.uri)) as {
      exports: Record<string, unknown>[];
    };
    expect(exports.map((each) => [each["export-name"], each["is_read_only"]])).toEqual([
      ["sparse.img", true],
      ["b.img", true],
    ]);
  });

  const ways: [title: string, args: string[], env: Record<string, string>][] = [
    ["", [], {}],
    [", without threads", ["--threads", "0"], {}],
    [", by Node's sockets", [], { DAXKIT_FFI: "off" }],
  ];
  test.for(ways)("nbdcopy both ways on several connections%s", async ([, args, env]) => {
    const [from, image] = [randomImage(cwd, "a", 32 * MIB), randomImage(cwd, "b.img", 32 * MIB)];
    const server = await startServer(["-U", join(cwd, "s"), ...args, image], env);
    run("nbdcopy", "--connections=4", "--flush", from, server.uri);
    run("nbdcopy", "--connections=4", server.uri, "back");
    expect(digest(join(cwd, "back"))).toBe(digest(from));
    expect(await server.end()).toBe(0);
    expect(digest(image)).toBe(digest(from));
  });

  test("they start it by socket activation", () => {
    const image = randomImage(cwd, "a.img", MIB);
    const program = `nbdcopy -- [ ${process.execPath} ${MAIN} nbd a.img ] back`;
    const { status, stderr } = shell(program, cwd);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(digest(join(cwd, "back"))).toBe(digest(image));
  });

  test.skipIf(nbdsh.missing)(`and as a child on its standard input${nbdsh.hint}`, () => {
    randomImage(cwd, "a.img", MIB);
    const command = [process.execPath, MAIN, "nbd", "--stdio", "a.img"];
    const script = [
      "import nbd",
      "h = nbd.NBD()",
      `h.connect_command(${JSON.stringify(command)})`,
      "h.pwrite(b'x' * 512, 1024, nbd.CMD_FLAG_FUA)",
      "assert h.pread(512, 1024) == b'x' * 512",
      "print(h.get_size())",
      "h.shutdown()",
    ].join("\n");
    expect(run("/usr/bin/python3", "-c", script)).toBe(`${MIB}\n`);
  });

  /** What mke2fs and e2fsck work on: the export as a file where it can be mounted, and copies. */
  const filesystem = {
    mounted: (uri: string): string =>
      `nbdfuse -P pid m '${uri}' & ` +
      "for i in $(seq 100); do [ -e pid ] && break; sleep 0.1; done; " +
      "mke2fs -q -t ext4 -F m/nbd; e2fsck -fn m/nbd; status=$?; umount m; wait; exit $status",
    copied: (uri: string): string =>
      "truncate -s 64M made && mke2fs -q -t ext4 -F made && " +
      `nbdcopy made '${uri}' && nbdcopy '${uri}' back && e2fsck -fn back`,
  };
  const made: [title: string, script: (uri: string) => string][] = [
    ...(mounts
      ? [["through nbdfuse", filesystem.mounted] satisfies [string, (uri: string) => string]]
      : []),
    ["and copied", filesystem.copied],
  ];
  test.skipIf(fuse.missing || e2fsprogs.missing).for(made)(
    `a filesystem made and checked %s${fuse.hint}${e2fsprogs.hint}`,
    async ([, script]) => {
      const image = join(cwd, "fs.img");
      writeFileSync(image, "");
      truncateSync(image, 64 * MIB);
      const server = await serve(image);
      mkdirSync(join(cwd, "m"));
      const { status, stdout } = shell(script(server.uri), cwd);
      expect(status).toBe(0);
      expect(stdout).toContain("11/16384 files");
      expect(await server.end()).toBe(0);
      run("e2fsck", "-fn", image);
      expect(shell("daxkit check fs.img", cwd).status).toBe(0);
    },
  );
});

test.skipIf(libc() === undefined || fio.missing || nbdsh.missing)(
  `killed under load, what was acknowledged with FUA or FLUSH is there${fio.hint}${nbdsh.hint}`,
  async () => {
    const image = join(cwd, "a.img");
    writeFileSync(image, "");
    truncateSync(image, 64 * MIB);
    const server = await serve(image);
    const script = [
      "import nbd, sys, struct",
      "h = nbd.NBD()",
      "h.connect_unix(sys.argv[1])",
      "n = 0",
      "while True:",
      "  n += 1",
      "  block = struct.pack('<I', n) * 1024",
      "  at = (n % 4096) * 4096",
      "  if n % 8: h.pwrite(block, at, nbd.CMD_FLAG_FUA)",
      "  else:",
      "    h.pwrite(block, at)",
      "    h.flush()",
      "  print(n, flush=True)",
    ].join("\n");
    const line =
      `fio --name=l --ioengine=nbd --uri='${server.uri}' --rw=randwrite --bsrange=512-64k ` +
      "--offset=32m --size=32m --iodepth=16 --time_based --runtime=20 >/dev/null 2>&1 & " +
      `/usr/bin/python3 -c "$0" '${server.socket}' > acknowledged 2>/dev/null & ` +
      // On a busy machine it takes its time until there is anything to lose.
      'for i in $(seq 300); do [ "$(wc -l < acknowledged)" -gt 64 ] && break; sleep 0.1; done; ' +
      `sleep 1; kill -9 ${server.pid}; wait`;
    spawnSync("bash", ["-c", line, script], { cwd });
    const last = Number(readFileSync(join(cwd, "acknowledged"), "utf8").trim().split("\n").at(-1));
    expect(last).toBeGreaterThan(16);
    const bytes = readFileSync(image);
    for (let n = Math.max(1, last - 4000); n <= last; n++) {
      const at = (n % 4096) * 4096;
      const block = bytes.subarray(at, at + 4096);
      const [first] = new Uint32Array(block.buffer.slice(block.byteOffset, block.byteOffset + 4));
      // The block after the last acknowledged may have been under way.
      expect([n, n + 4096]).toContain(first);
      expect(block.equals(Buffer.alloc(4096, block.subarray(0, 4)))).toBe(true);
    }
  },
);
