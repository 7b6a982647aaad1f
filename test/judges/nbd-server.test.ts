/**
 * `daxkit nbd` before clients that are not ours: libnbd's tools, QEMU's, and fio.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { libc } from "../../src/node/libc.unsafe.ts";
import { MAIN, daxkit, shell } from "../support/daxkit.ts";
import {
  type RunningServer,
  randomImage,
  startMachineOf,
  startServer,
  testFolder,
} from "../support/nbd-server.ts";
import { WHOLE } from "../support/slices.ts";
import { programs, probed } from "./judge.ts";

const libnbd = programs(["nbdinfo", "nbdcopy"], "apt-get install libnbd-bin");
const qemu = programs(["qemu-img", "qemu-io"], "apt-get install qemu-utils");
const fio = programs(["fio"], "apt-get install fio");
const nbdsh = probed(
  () => spawnSync("/usr/bin/python3", ["-c", "import nbd"]).status === 0,
  "apt-get install python3-libnbd",
);
const fuse = programs(["nbdfuse"], "apt-get install libnbd-bin");
/** A container may lack what a mount needs, and nothing that can be installed helps. */
const mounts = existsSync("/dev/fuse") && mayMount();
const e2fsprogs = programs(["mke2fs", "e2fsck"], "apt-get install e2fsprogs");
const gnutls = programs(["psktool", "certtool"], "apt-get install gnutls-bin");

/** Longer runs where all is tested. */
const MIB = 1 << 20;

let cwd = "";
beforeEach(() => {
  cwd = testFolder();
});

/** Whether this process has CAP_SYS_ADMIN. */
function mayMount(): boolean {
  const [, mask = "0"] = /CapEff:\s*([0-9a-f]+)/u.exec(readFileSync("/proc/self/status", "utf8"))!;
  return ((BigInt(`0x${mask}`) >> 21n) & 1n) === 1n;
}

/** Runs a program, and shows what it said when it fails. */
function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: "utf8" });
  expect(`${program} ${status}: ${stderr}${stdout}`).toBe(`${program} 0: ${stderr}${stdout}`);
  return stdout;
}

function digest(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

async function serve(image: string, ...args: string[]): Promise<RunningServer> {
  return startServer(["-U", join(cwd, "s"), ...args, image]);
}

/** 1 MiB of data from 3 MiB on, in a file that is a hole elsewhere. */
function sparseImage(bytes = 16 * MIB): string {
  const path = join(cwd, "sparse.img");
  writeFileSync(path, Buffer.concat([Buffer.alloc(3 * MIB), Buffer.alloc(MIB, "data")]));
  truncateSync(path, bytes);
  const disk = readFileSync(path);
  writeFileSync(path, "");
  truncateSync(path, bytes);
  execFileSync("dd", ["of=sparse.img", "bs=1M", "seek=3", "conv=notrunc", "status=none"], {
    cwd,
    input: disk.subarray(3 * MIB, 4 * MIB),
  });
  return path;
}

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
    const runs = (type: number) => [
      { offset: 0, length: MIB, type: type === 1 ? 1 : 0 },
      { offset: MIB, length: 15 * MIB, type: type === 1 ? 0 : 2 },
    ];
    expect(map("look", "base:allocation")).toMatchObject(runs(0));
    expect(map("look", "daxkit:dirty")).toMatchObject(runs(1));
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

/** A CA, and what it signed for both sides. */
function makeCertificates(folder: string, authority = folder): string {
  const at = join(cwd, folder);
  mkdirSync(at);
  const key = (name: string): void => {
    run("certtool", "--generate-privkey", "--key-type=ecdsa", "--outfile", join(at, name));
  };
  const template = (name: string, ...lines: string[]): string => {
    writeFileSync(join(at, name), `${lines.join("\n")}\nexpiration_days = 30\n`);
    return join(at, name);
  };
  key("ca-key.pem");
  const ca = template("ca.info", `cn = ${authority}`, "ca", "cert_signing_key");
  const [caKey, caCert] = [join(at, "ca-key.pem"), join(at, "ca-cert.pem")];
  run(
    "certtool",
    "--generate-self-signed",
    "--load-privkey",
    caKey,
    "--template",
    ca,
    "--outfile",
    caCert,
  );
  for (const side of ["server", "client"]) {
    key(`${side}-key.pem`);
    const info = template(
      `${side}.info`,
      "cn = localhost",
      "dns_name = localhost",
      "signing_key",
      `tls_www_${side}`,
    );
    run(
      "certtool",
      "--generate-certificate",
      "--load-ca-certificate",
      caCert,
      "--load-ca-privkey",
      caKey,
      "--load-privkey",
      join(at, `${side}-key.pem`),
      "--template",
      info,
      "--outfile",
      join(at, `${side}-cert.pem`),
    );
  }
  return at;
}

const local = (server: RunningServer, query: string): string =>
  `nbds://localhost:${server.port}/?${query}`;

describe.skipIf(libnbd.missing || gnutls.missing)(`TLS${libnbd.hint}${gnutls.hint}`, () => {
  test("with certificates, read and write, and nothing in the clear", async () => {
    const pki = makeCertificates("pki");
    const image = randomImage(cwd, "a.img", 8 * MIB);
    const server = await startServer([
      "-p",
      "0",
      "--tls=require",
      "--tls-certificates",
      pki,
      image,
    ]);
    const uri = local(server, `tls-certificates=${pki}`);
    const other = randomImage(cwd, "other", 8 * MIB);
    run("nbdcopy", "--connections=4", other, uri);
    run("nbdcopy", "--connections=4", uri, "back");
    expect(digest(join(cwd, "back"))).toBe(digest(other));
    const clear = spawnSync("nbdinfo", [`nbd://localhost:${server.port}`], { encoding: "utf8" });
    expect(clear.status).not.toBe(0);
    const stranger = local(server, `tls-certificates=${makeCertificates("stranger")}`);
    expect(spawnSync("nbdinfo", [stranger]).status).not.toBe(0);
    if (!qemu.missing) {
      const credentials = `tls-creds-x509,id=t,dir=${pki},endpoint=client`;
      const options = `driver=nbd,host=localhost,port=${server.port},tls-creds=t`;
      run("qemu-img", "info", "--object", credentials, "--image-opts", options);
    }
    expect(await server.end()).toBe(0);
    expect(digest(image)).toBe(digest(other));
  });

  test("offered, and left to the client", async () => {
    const image = randomImage(cwd, "a.img", MIB);
    const server = await startServer([
      "-p",
      "0",
      "--tls-certificates",
      makeCertificates("pki"),
      image,
    ]);
    expect(run("nbdinfo", server.uri)).toContain("without TLS");
    expect(run("nbdinfo", local(server, `tls-certificates=${join(cwd, "pki")}`))).toContain(
      "with TLS",
    );
  });

  test("only for clients with a certificate that is known", async () => {
    const pki = makeCertificates("pki");
    const image = randomImage(cwd, "a.img", MIB);
    const args = ["-v", "-p", "0", "--tls=require", "--tls-verify-peer", "--tls-certificates", pki];
    const server = await startServer([...args, image]);
    run("nbdinfo", local(server, `tls-certificates=${pki}`));
    mkdirSync(join(cwd, "none"));
    // Of an authority of the same name: clients do not show what the server did not ask for.
    const stranger = makeCertificates("stranger", "pki");
    for (const folder of [join(cwd, "none"), stranger]) {
      copyFileSync(join(pki, "ca-cert.pem"), join(folder, "ca-cert.pem"));
      const uri = local(server, `tls-certificates=${folder}`);
      expect(spawnSync("nbdcopy", [uri, "null:"]).status).not.toBe(0);
    }
    const nobody = local(server, `tls-certificates=${join(cwd, "none")}`);
    const refused = daxkit(["ls", nobody]);
    expect(refused.stderr).toMatch(/^daxkit ls: E[A-Z]+: [^\n]*\n$/u);
    expect(refused.stderr).not.toContain("routines");
    const checked = daxkit(["nbd-check", nobody]);
    expect(checked.stderr).toMatch(/^daxkit nbd-check: E[A-Z]+: [^\n]*\n$/u);
    expect(checked.stderr).not.toContain("routines");
    await expect.poll(() => server.errors()).toMatch(/EPROTO.*did not return a certificate/u);
    await expect.poll(() => server.errors()).toMatch(/EPROTO.*no certificate that is trusted/u);
    run("nbdinfo", local(server, `tls-certificates=${pki}`));
  });

  test("with a pre-shared key", async () => {
    const keys = join(cwd, "keys.psk");
    run("psktool", "-u", "alice", "-p", keys);
    const image = randomImage(cwd, "a.img", 8 * MIB);
    const server = await serve(image, "--tls=require", "--tls-psk", keys);
    // As it is, wherever nobody is logged in.
    const { uri } = server;
    expect(uri).toMatch(/^nbds\+unix:\/\/alice@\/\?socket=/u);
    expect(uri).toContain(`&tls-psk-file=${keys}`);
    run("nbdcopy", uri, "back");
    expect(digest(join(cwd, "back"))).toBe(digest(image));
    const bare = uri.replace("alice@", "").replace(/&tls-psk-file=.*/u, "");
    expect(daxkit(["ls", bare]).stderr).toMatch(
      /EACCES.*give tls-cert.*or NAME@ and tls-psk-file/u,
    );
    run("psktool", "-u", "mallory", "-p", join(cwd, "wrong.psk"));
    const wrong = uri.replace("alice@", "mallory@").replace("keys.psk", "wrong.psk");
    expect(spawnSync("nbdinfo", [wrong]).status).not.toBe(0);
  });
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
      `sleep 1.5; kill -9 ${server.pid}; wait`;
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
