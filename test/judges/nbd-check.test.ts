/**
 * What `daxkit nbd-check` says of nbdkit, of qemu-nbd and of our own server, each in a process of
 * its own, and of servers that are none.
 */
import { truncateSync, writeFileSync } from "node:fs";
import { type Server, type Socket, createServer } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { NBD_CHECKS } from "../../src/nbd/check/checks.ts";
import type { CheckResult } from "../../src/nbd/check/check.ts";
import { examine } from "../../src/node/nbd/check-server.ts";
import { formatNbdUri } from "../../src/nbd/uri.ts";
import { daxkit, jsonLines } from "../support/daxkit.ts";
import { ENGINES, startMachineOf, startServer } from "../support/nbd-server.ts";
import { nbdkit, qemuNbd, runNbdkit, runQemuNbd } from "../support/nbd-servers.ts";
import { scratch } from "../support/scratch.ts";
import { inSlices } from "../support/slices.ts";

const SIZE = 4 * 2 ** 20;

function sparse(): string {
  const path = scratch();
  writeFileSync(path, "");
  truncateSync(path, SIZE);
  return path;
}

/** All that is said of a server. */
function checked(uri: string, ...more: readonly string[]) {
  const { status, stdout, stderr } = daxkit(["nbd-check", "--json", ...more, uri]);
  const results = jsonLines(stdout) as CheckResult[];
  const of = (outcome: string) => results.filter((result) => result.outcome === outcome);
  return { status, stderr, of, failed: of("fail").map(({ level, name }) => `${level} ${name}`) };
}

test.skipIf(nbdkit.missing)(`nbdkit keeps to all of it${nbdkit.hint}`, () => {
  const { status, stderr, of, failed } = checked(runNbdkit("memory", "4M"), "--destructive");
  expect({ status, stderr, failed }).toEqual({ status: 0, stderr: "", failed: [] });
  expect(of("pass").length).toBeGreaterThan(120);
  expect(of("skip").every(({ detail }) => detail !== "")).toBe(true);
});

test.skipIf(qemuNbd.missing)(`qemu-nbd answers EINVAL for ENOSPC${qemuNbd.hint}`, () => {
  const uri = runQemuNbd(sparse());
  const { status, stderr, failed } = checked(uri, "--destructive");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  // Newer ones may do better.
  expect([
    "SHOULD write.behind-the-end-is-enospc",
    "SHOULD write.across-the-end-is-enospc",
    "SHOULD write-zeroes.behind-the-end-is-enospc",
  ]).toEqual(expect.arrayContaining(failed));
  expect(checked(uri, "--destructive", "--strict").status).toBe(failed.length > 0 ? 1 : 0);
});

/** Nothing failed, SHOULD or MUST, and only what the export cannot have was skipped. */
function passesWhole(uri: string): void {
  const { status, stderr, of, failed } = checked(uri, "--destructive", "--strict");
  expect({ status, stderr, failed }).toEqual({ status: 0, stderr: "", failed: [] });
  expect(of("pass").length).toBeGreaterThan(120);
}

describe("our server passes whole", () => {
  const ways = [...ENGINES, { name: "read-only", args: ["-r"], env: {} }];
  test.for(inSlices(ways, 2))("$name", async ({ args, env }) => {
    const socket = scratch(undefined, "nbd.sock");
    const server = await startServer(["-U", socket, ...args, sparse()], env);
    passesWhole(server.uri);
    const { of: harmless } = checked(server.uri, "--match", "write");
    expect(harmless("skip").some(({ detail }) => detail.includes("--destructive"))).toBe(true);
  });

  test("through TLS, which it demands", async () => {
    const keys = scratch(undefined, "keys.psk");
    writeFileSync(keys, "alice:00112233445566778899aabbccddeeff\n");
    const socket = scratch(undefined, "nbd.sock");
    const server = await startServer(["-U", socket, "--tls=require", "--tls-psk", keys, sparse()]);
    passesWhole(server.uri);
    expect(server.errors()).toBe("");
  });

  test("devices of a machine", async () => {
    const machine = await startMachineOf(
      "brd: 4M\npmem: { size: 4M, domain: adr }\nexports: [ram0, pmem0]",
    );
    for (const name of ["ram0", "pmem0"]) {
      passesWhole(formatNbdUri({ kind: "unix", path: machine.socket }, name));
    }
    expect(machine.errors()).toBe("");
  });
});

test("the command lists its checks and refuses what it cannot mean", () => {
  const listed = jsonLines(daxkit(["nbd-check", "--list", "--json"]).stdout);
  expect(listed).toHaveLength(NBD_CHECKS.length);
  expect(daxkit(["nbd-check", "--list", "--match", "starttls"]).stdout).toContain("MUST");
  for (const words of [
    [],
    ["--match", "nothing like it", "nbd://h"],
    ["--timeout", "0", "nbd://h"],
  ]) {
    expect(daxkit(["nbd-check", ...words])).toMatchObject({ status: 2, stdout: "" });
  }
  expect(daxkit(["nbd-check", "disk.img"]).stderr).toContain("EINVAL");
  expect(daxkit(["nbd-check", "nbd+unix:///?socket=/none"]).stderr).toContain("ENOENT");
});

/** A server that does `body` with each client. */
async function serve(body: (socket: Socket) => void): Promise<string> {
  const path = scratch(undefined, "nbd.sock");
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    body(socket);
  });
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  return formatNbdUri({ kind: "unix", path });
}

const HELLO = Buffer.from("NBDMAGICIHAVEOPT\0\u0003", "latin1");

describe("what is no server is an error, soon", () => {
  test.each<readonly [string, (socket: Socket) => void, string]>([
    ["silence", () => {}, "ETIMEDOUT"],
    ["a door slammed", (socket) => socket.destroy(), "ECONNRESET"],
    ["another protocol", (socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"), "EPROTO"],
    ["a greeting and nothing more", (socket) => socket.write(HELLO), "ETIMEDOUT"],
    [
      "an echo",
      (socket) => {
        socket.write(HELLO);
        socket.on("data", (bytes) => socket.write(bytes));
      },
      "EPROTO",
    ],
    [
      "zeros without end",
      (socket) => {
        const pour = (): void => {
          while (socket.writable && socket.write(Buffer.alloc(65_536)));
        };
        socket.write(HELLO);
        socket.on("drain", pour);
        pour();
      },
      "EPROTO",
    ],
  ])("%s", async (_, body, code) => {
    const results = examine(await serve(body), NBD_CHECKS, { timeoutMs: 100 });
    await expect(results.next()).rejects.toThrow(code);
  });
});
