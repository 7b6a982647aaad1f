/**
 * The commands on machines, run as a user runs them.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MAIN, REPOSITORY, daxkit, jsonLines, shell } from "../support/daxkit.ts";
import { makeFolder } from "../support/host-tree.ts";
import { handshake, readBlock } from "../support/nbd-bytes.ts";

let cwd = "";
const run = (...args: string[]) => daxkit(args, { cwd });

beforeAll(() => {
  cwd = makeFolder();
  const text = "name: test\nmemmap: 64M!4G\npmem: { size: 32M, domain: eadr, file: nv.img }\n";
  writeFileSync(join(cwd, "machine.yaml"), `${text}brd: 16M\n`);
  writeFileSync(join(cwd, "bad.yaml"), "name: test\npmem:\n  - sise: 32M\n");
});
afterAll(() => rmSync(cwd, { recursive: true }));

type Child = ReturnType<typeof spawn>;

/** Waits until a process has printed `mark`; what it has printed by any time is what it answers. */
async function textUntil(child: Child, mark: string): Promise<() => string> {
  let text = "";
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on("data", (bytes: Buffer) => {
      text += bytes.toString();
      if (text.includes(mark)) resolve();
    });
    child.on("exit", () => reject(new Error(`ended without '${mark}': ${text}`)));
  });
  return () => text;
}

/** Starts `daxkit up` and waits until it is. */
async function bringUp(program: string, ...args: string[]) {
  const child = spawn(program, args, { cwd, stdio: "pipe" });
  return { child, text: await textUntil(child, '"event":"up"') };
}

async function statusOf(child: Child): Promise<number | null> {
  return new Promise((resolve) => child.on("close", resolve));
}

describe("up", () => {
  test("prints its devices as lines of JSON, locks its files, and ends on a signal", async () => {
    const { child, text } = await bringUp(process.execPath, MAIN, "up", "machine.yaml");
    const locked = run("list", "machine.yaml");
    expect(locked).toMatchObject({ status: 2, stdout: "" });
    expect(locked.stderr).toMatch(/^daxkit list: EBUSY: .*nv\.img.*pid \d+/u);
    const ended = statusOf(child);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    const events = jsonLines(text()) as { event: string; name?: string }[];
    expect(events.map(({ event, name }) => name ?? event)).toEqual([
      "test",
      "pmem0",
      "pmem1",
      "ram0",
      "up",
      "down",
    ]);
    expect(events.at(-1)).toEqual({ event: "down", signal: "SIGTERM" });
    expect(run("list", "machine.yaml").status).toBe(0);
  });

  test("with a device that cannot be attached goes on, and ends with 1", async () => {
    const { child, text } = await bringUp(
      process.execPath,
      MAIN,
      "up",
      "--memmap=1M!4G",
      "--brd=4K",
    );
    const ended = statusOf(child);
    child.kill("SIGINT");
    expect(await ended).toBe(1);
    expect(jsonLines(text())).toContainEqual(expect.objectContaining({ event: "refused" }));
    expect(text()).toContain('"ram0"');
  });

  test.skipIf(shell("script --version", "/").status !== 0)(
    "speaks to people on a terminal (needs util-linux)",
    async () => {
      const child = spawn("script", ["-qec", 'exec node "$MAIN" up machine.yaml', "/dev/null"], {
        cwd,
        stdio: "pipe",
        env: { ...process.env, TERM: "dumb", SHELL: "/bin/sh", MAIN },
      });
      const text = await textUntil(child, "Ctrl-C ends it");
      const ended = statusOf(child);
      child.stdin.write("\u0003");
      expect(await ended).toBe(0);
      expect(text()).toMatch(/^test \(Linux modern\), booted in [\d.]+ ms\r$/mu);
      expect(text()).toMatch(/^ {2}pmem0 +32 MiB {2}eadr: keeps every store; at 0x/mu);
      expect(text()).toContain("shut down by SIGINT");
    },
  );
});

describe("iomem and list", () => {
  test("print the memory map, with and without addresses", () => {
    const { status, stdout } = run("iomem", "machine.yaml");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^100000000-103ffffff : Persistent Memory \(legacy\)$/mu);
    expect(stdout).toMatch(/^ {2}100000000-103ffffff : namespace/mu);
    const hidden = run("iomem", "--unprivileged", "machine.yaml").stdout;
    expect(hidden).toBe(stdout.replaceAll(/[0-9a-f]+-[0-9a-f]+ :/gu, "00000000-00000000 :"));
    const nodes = JSON.parse(run("iomem", "--json", "--memmap=64M!4G").stdout) as object[];
    expect(nodes).toContainEqual(
      expect.objectContaining({ start: "0x100000000", last: "0x103ffffff" }),
    );
  });

  test("list prints what ndctl prints", () => {
    const listed = JSON.parse(run("list", "machine.yaml").stdout) as unknown;
    expect(listed).toMatchObject([{ dev: "namespace0.0" }, { dev: "namespace1.0" }]);
    const regions = JSON.parse(run("list", "-RNu", "machine.yaml").stdout) as unknown;
    expect(regions).toMatchObject({ regions: [{ size: "32.00 MiB (33.55 MB)" }, {}] });
    expect(run("list", "--brd", "16M")).toMatchObject({ status: 0, stdout: "" });
  });

  test("list says which devices a machine refused to make", () => {
    const made = "brd: 32M\ndm: [{ name: m, table: 0 65536 linear ram0 0 }]\n";
    writeFileSync(join(cwd, "refused.yaml"), made.replace("ram0", "ram9"));
    const { status, stdout, stderr } = run("list", "--mapped", "refused.yaml");
    expect({ status, stdout }).toEqual({ status: 1, stdout: "[]\n" });
    expect(stderr).toMatch(/^daxkit list: E[A-Z]+: .*ram9/u);
    writeFileSync(join(cwd, "made.yaml"), made);
    expect(run("list", "--mapped", "made.yaml")).toMatchObject({ status: 0, stderr: "" });
    const kmem = "dax: [{ size: 1G, targetNode: -1, devices: [{ mode: system-ram }] }]\n";
    writeFileSync(join(cwd, "kmem.yaml"), kmem);
    const devices = run("list", "-Xi", "kmem.yaml");
    expect([devices.status, JSON.parse(devices.stdout)]).toMatchObject([1, [{}]]);
    expect(devices.stderr).toContain("dax0.0");
  });

  test.each([
    [["iomem"], "usage: give a machine file, or flags"],
    [["iomem", "machine.yaml", "--brd", "1M"], "usage: give a machine file or flags, not both"],
    [["iomem", "none.yaml"], "ENOENT: "],
    [["iomem", "bad.yaml"], "did you mean size?"],
    [["list", "--pmem", "x.img"], "ENOENT: "],
    [["list", "--pmem", "size=64Q"], "EINVAL: "],
    [["list", "--profile", "v4.2", "--ram=8G"], "did you mean 'v4.1'?"],
  ])("%j is refused in one line", (args, text) => {
    const { status, stdout, stderr } = run(...args);
    expect(stderr).toContain(text);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
  });
});

test("bin/daxkit runs from anywhere, and through a link", () => {
  const link = join(cwd, "dk");
  symlinkSync(join(REPOSITORY, "bin", "daxkit"), link);
  const { status, stdout } = spawnSync(link, ["--version"], { cwd, encoding: "utf8" });
  expect({ status, stdout }).toEqual({ status: 0, stdout: run("--version").stdout });
});

test("bin/daxkit passes its arguments, its status and its signals on", async () => {
  const bin = join(REPOSITORY, "bin", "daxkit");
  const wrong = spawnSync(bin, ["ls", "a b", "c"], { cwd, encoding: "utf8" });
  expect(wrong.status).toBe(2);
  expect(wrong.stderr).toContain("open 'a b'");
  const { child } = await bringUp(bin, "up", "--brd", "16M");
  const ended = statusOf(child);
  child.kill("SIGTERM");
  expect(await ended).toBe(0);
});

const exporting = (exports: string, nbd: string): void => {
  writeFileSync(join(cwd, "served.yaml"), `brd: 1M\nexports: ${exports}\nnbd: ${nbd}\n`);
};

describe("up with exports", () => {
  test("serves what the machine file names, beside that file, and ends cleanly", async () => {
    exporting("[ram0, { device: ram0, name: look, readOnly: true }]", "{ socket: nbd.sock }");
    const { child, text } = await bringUp(process.execPath, MAIN, "up", "served.yaml");
    const socket = connect({ path: join(cwd, "nbd.sock") });
    expect(await handshake(socket)).toBe(1 << 20);
    expect(await readBlock(socket, 512, 512)).toEqual(Buffer.alloc(512));
    const ended = statusOf(child);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    expect(jsonLines(text()).filter((event) => Object.hasOwn(event as object, "uri"))).toEqual([
      {
        event: "export",
        name: "ram0",
        uri: `nbd+unix:///ram0?socket=${join(cwd, "nbd.sock")}`,
        size: 1 << 20,
        readOnly: false,
      },
      expect.objectContaining({ name: "look", readOnly: true }),
    ]);
    expect(existsSync(join(cwd, "nbd.sock"))).toBe(false);
  });

  test("reports a device that is not there, and serves the others", async () => {
    exporting("[ram1, ram0]", "{ port: 0 }");
    const { child, text } = await bringUp(process.execPath, MAIN, "up", "served.yaml");
    const ended = statusOf(child);
    child.kill("SIGTERM");
    expect(await ended).toBe(1);
    const events = jsonLines(text());
    const refused = { event: "refused", name: "ram1", code: "ENODEV" };
    expect(events).toContainEqual(expect.objectContaining(refused));
    expect(events).toContainEqual(expect.objectContaining({ event: "export", name: "ram0" }));
  });

  test("takes commands of dmsetup for its mapped devices", async () => {
    const lines = ["brd: [1M, 1M]", "dm:", "  - { name: m, table: 0 1024 linear ram0 0 }"];
    const served = ["exports: [mapper/m]", "nbd: { socket: nbd.sock }", ""];
    writeFileSync(join(cwd, "mapped.yaml"), [...lines, ...served].join("\n"));
    const words = ["up", "mapped.yaml", "--mapper", "dm.sock"];
    const { child, text } = await bringUp(process.execPath, MAIN, ...words);
    const asked = (...more: string[]) => run("dmsetup", "--mapper", "dm.sock", ...more);
    const ok = (...more: string[]): string => {
      const { status, stdout, stderr } = asked(...more);
      expect([more, status, stderr]).toEqual([more, 0, ""]);
      return stdout;
    };
    expect(text()).toContain(`"mapper":"${join(cwd, "dm.sock")}"`);
    expect(run(...words.with(1, "machine.yaml")).stderr).toContain("another mapper");
    expect(ok("table")).toMatch(/^m: 0 1024 linear \d+:0 0\n$/u);
    expect(ok("uri", "m")).toBe(`nbd+unix:///mapper/m?socket=${join(cwd, "nbd.sock")}\n`);
    const socket = connect({ path: join(cwd, "nbd.sock") });
    expect(await handshake(socket)).toBe(1024 * 512);
    const busy = asked("remove", "m");
    expect([busy.status, busy.stderr]).toEqual([
      1,
      expect.stringContaining("in use by an NBD client") as string,
    ]);
    // What is asked of a suspended device is answered from the table that it gets.
    ok("load", "m", "--table", "0 1024 linear ram1 8");
    ok("suspend", "m");
    const answered = readBlock(socket, 0, 512);
    ok("create", "up", "--table", "0 8 linear ram1 8");
    ok("resume", "m");
    expect(await answered).toEqual(Buffer.alloc(512));
    expect(ok("ls", "--tree", "-o", "nodevice")).toBe("m\nup\n");
    socket.destroy();
    await expect.poll(() => asked("remove", "m").status).toBe(0);
    const ended = statusOf(child);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    expect(existsSync(join(cwd, "dm.sock"))).toBe(false);
    expect(existsSync(join(cwd, "dm.sock.lock"))).toBe(false);
  });

  test("refuses what would open it to the world", () => {
    exporting("ram0", "{ port: 0, address: 0.0.0.0 }");
    const { status, stderr } = run("up", "served.yaml");
    expect({ status, stderr }).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/EPERM.*require TLS/u) as string,
    });
  });
});
