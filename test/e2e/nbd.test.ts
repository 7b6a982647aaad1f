/**
 * `daxkit nbd` as people run it: where it listens, what it prints, how it ends.
 */
import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { MAIN, daxkit, shell } from "../support/daxkit.ts";
import { dial, randomImage, startServer, testFolder } from "../support/nbd-server.ts";

let cwd = "";
beforeEach(() => {
  cwd = testFolder();
  for (const name of ["a.img", "b.img"]) {
    writeFileSync(join(cwd, name), "");
    truncateSync(join(cwd, name), 1 << 20);
  }
});
const a = (): string => join(cwd, "a.img");
const run = (...args: string[]) => daxkit(["nbd", ...args], { cwd });

describe("listens", () => {
  test("at a unix socket, which is gone when it has ended", async () => {
    const socket = join(cwd, "s");
    const server = await startServer(["-U", socket, a()]);
    expect(server.uri).toBe(`nbd+unix:///?socket=${socket}`);
    expect(statSync(socket).isSocket()).toBe(true);
    expect(await server.end()).toBe(0);
    expect(existsSync(socket)).toBe(false);
    expect(server.events().at(-1)).toEqual({ event: "down", signal: "SIGTERM" });
    expect(server.errors()).toBe("");
  });

  test("at a free port of this machine, with several exports", async () => {
    const server = await startServer(["-p", "0", "-r", a(), join(cwd, "b.img")]);
    expect(server.events()).toEqual([
      {
        event: "export",
        name: "a.img",
        uri: `nbd://127.0.0.1:${server.port}/a.img`,
        size: 1 << 20,
        readOnly: true,
      },
      expect.objectContaining({ name: "b.img" }),
      {
        event: "listening",
        addresses: [{ kind: "tcp", host: "127.0.0.1", port: server.port }],
        pid: server.pid,
      },
    ]);
    expect(await server.end("SIGINT")).toBe(0);
  });

  test("and greets, before anything is said", async () => {
    const server = await startServer(["-U", join(cwd, "s"), a()]);
    const socket = await dial(server);
    const greeting = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
    expect(greeting.toString("latin1")).toBe("NBDMAGICIHAVEOPT\0\x03");
  });
});

describe("refuses", () => {
  const cases: [title: string, args: string[], message: RegExp][] = [
    ["all the world without TLS", ["-p", "0", "-i", "0.0.0.0", "a.img"], /EPERM.*require TLS/u],
    ["an image that is not there", ["none.img"], /ENOENT.*'none\.img'/u],
    ["two places", ["-U", "s", "-p", "1", "a.img"], /'--unix' and '--port' exclude each other/u],
    ["an address beside a socket", ["-U", "s", "-i", "::1", "a.img"], /choose one/u],
    ["a port past the last", ["-p", "65536", "a.img"], /65535 at most/u],
    ["the same file twice", ["a.img", "a.img"], /EBUSY/u],
    ["read-only twins", ["-r", "a.img", "./a.img"], /two exports are called "a\.img"/u],
    ["a default that is none", ["-e", "a.imh", "a.img", "b.img"], /did you mean "a\.img"/u],
    ["TLS without keys", ["--tls", "require", "a.img"], /needs '--tls-certificates DIR'/u],
    ["peers without a CA", ["--tls-verify-peer", "a.img"], /needs '--tls-certificates DIR'/u],
    ["keys that are none", ["--tls-psk", "a.img", "b.img"], /EINVAL.*line 1 is no NAME:HEX/u],
    ["certificates that are missing", ["--tls-certificates", ".", "a.img"], /ENOENT.*server-cert/u],
    ["a part outside", ["--offset", "1M", "a.img"], /EINVAL.*offset 1048576 is not inside/u],
    ["a socket in no folder", ["-U", "none/s", "a.img"], /ENOENT.*none'/u],
    ["a partition of nothing", ["--partition", "1", "a.img"], /ENXIO.*no partition table/u],
    ["to serve nobody", ["--max-connections", "0", "a.img"], /would serve nobody/u],
    ["nothing", [], /IMAGE\|DEVICE is missing/u],
  ];
  test.for(cases)("%s", ([, args, message]) => {
    const { status, stdout, stderr } = run(...args);
    expect(stderr).toMatch(message);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });
});

test("refuses a standard input that is no socket", () => {
  const { status, stderr } = shell("daxkit nbd --stdio a.img < /dev/null", cwd);
  expect(stderr).toMatch(/EINVAL.*descriptor 0 is no stream socket/u);
  expect(status).toBe(2);
});

describe("--run", () => {
  test("tells CMD where it is, prints nothing itself, and ends as CMD does", () => {
    const line =
      "daxkit nbd -e x --run 'echo $uri,$nbd,$unixsocket,$port,$exportname; exit 7' a.img";
    const { status, stdout } = shell(line, cwd);
    expect(status).toBe(7);
    const [uri = "", nbd, path = "", port, name] = stdout.trimEnd().split(",");
    expect({ uri, nbd, port, name }).toEqual({
      uri: `nbd+unix:///x?socket=${path}`,
      nbd: `nbd:unix:${path}`,
      port: "",
      name: "x",
    });
    expect(existsSync(path)).toBe(false);
  });

  test("counts signals as a shell does", () => {
    expect(shell("daxkit nbd --run 'kill -9 $$' a.img", cwd).status).toBe(137);
  });

  test("knows the port, too", () => {
    const { stdout } = shell("daxkit nbd -p 0 --run 'echo $uri $port' a.img", cwd);
    expect(stdout).toMatch(/^nbd:\/\/127\.0\.0\.1:(\d+)\/ \1\n$/u);
  });
});

test("a filesystem cannot be made on what is served for reading only", async () => {
  const before = readFileSync(a());
  const server = await startServer(["-r", "-U", join(cwd, "s"), a()]);
  const { status, stdout, stderr } = daxkit(["mkfs.ext4", server.uri]);
  expect(stderr).toMatch(/^daxkit mkfs\.ext4: EROFS: /u);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  expect(readFileSync(a())).toEqual(before);
});

test("old QEMU's way of writing an address knows IPv6", () => {
  const { stdout, status } = shell("daxkit nbd -n -p 0 -i ::1 --run 'echo $nbd $port' a.img", cwd);
  expect(stdout).toMatch(/^nbd:\[::1\]:(\d+) \1\n$/u);
  expect(status).toBe(0);
});

test("the number of the process goes where a file cannot, too, and that stays", () => {
  // Not /dev/null: this may run as root.
  const line =
    "mkfifo pipe; cat pipe & daxkit nbd -P pipe -U s --run true a.img; wait; " +
    "daxkit nbd --pidfile=none/pid -U s a.img; ls";
  const { stdout, stderr } = shell(line, cwd);
  expect(stderr).toMatch(/^daxkit nbd: ENOENT: .*'none\/pid'/u);
  expect(stdout).toMatch(/^\d+\na\.img\nb\.img\npipe\n$/u);
});

test("the file of the process id is there when it listens, and gone afterwards", async () => {
  const pidFile = join(cwd, "pid");
  const server = await startServer(["-U", join(cwd, "s"), "-P", pidFile, a()]);
  expect(readFileSync(pidFile, "utf8")).toBe(`${server.pid}\n`);
  await server.end();
  expect(existsSync(pidFile)).toBe(false);
});

test("ends with its parent when asked to", async () => {
  const socket = join(cwd, "s");
  const args = [MAIN, "nbd", "-U", socket, "--exit-with-parent", a()];
  const program =
    `const { spawn } = require("node:child_process");` +
    `spawn(process.execPath, ${JSON.stringify(args)},` +
    ` { stdio: ["ignore", "pipe", "inherit"] }).stdout.once("data", () => process.exit());`;
  const parent = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve) => parent.once("exit", resolve));
  await expect.poll(() => existsSync(socket)).toBe(false);
});

test("a second one cannot write to the same image, a reader can look", async () => {
  await startServer(["-U", join(cwd, "s"), a()]);
  expect(run("-U", "t", "a.img").stderr).toMatch(/^daxkit nbd: EBUSY: .*a\.img/u);
  expect(shell("daxkit nbd -r --run true a.img", cwd).status).toBe(0);
});

test("clients past the limit, and those that never choose, are hung up on", async () => {
  const socket = join(cwd, "s");
  const args = ["--max-connections", "1", "--handshake-timeout", "1", "-v", "-U", socket, a()];
  const server = await startServer(args);
  const first = await dial(server);
  first.resume();
  const second = connect({ path: socket });
  second.on("error", () => {});
  second.resume();
  const closed = new Promise((resolve) => first.once("close", resolve));
  await new Promise((resolve) => second.once("close", resolve));
  expect(first.closed).toBe(false);
  await closed;
  await expect.poll(() => server.errors()).toMatch(/ETIMEDOUT.*chosen no export after 1 s/u);
});

test("a partition is served as a disk of its own", async () => {
  const disk = randomImage(cwd, "disk.img", 4 << 20);
  const bytes = readFileSync(disk);
  bytes.fill(0, 0, 512);
  bytes.set([0, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0], 0x1be);
  bytes.set([0x55, 0xaa], 0x1fe);
  writeFileSync(disk, bytes);
  const server = await startServer(["-U", join(cwd, "s"), "--partition", "1", disk]);
  expect(server.events()[0]).toMatchObject({ size: 1 << 20 });
});

test("on a terminal it prints for people", () => {
  const line = `${process.execPath} ${MAIN} nbd -U s -r a.img`;
  const { stdout } = shell(`script -qec 'timeout --foreground -s INT 2 ${line}' /dev/null`, cwd);
  expect(stdout).toMatch(/a\.img.*1 MiB, read-only/u);
  expect(stdout).toContain("Ctrl-C ends it");
});
