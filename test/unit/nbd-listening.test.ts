import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { isLoopback, resolveTcp, serverUri } from "../../src/node/nbd/addresses.ts";
import { libc } from "../../src/node/libc.unsafe.ts";
import { duplicate } from "../../src/node/nbd/descriptors.unsafe.ts";
import { startListening } from "../../src/node/nbd/listeners.ts";
import { inheritedSockets } from "../../src/node/nbd/socket-activation.ts";
import { parseNbdUri } from "../../src/nbd/uri.ts";
import { scratch } from "../support/scratch.ts";

const events = { onConnection: () => {}, onRefused: () => {} };
const plain = { required: false, parameters: { "tls-psk-file": "keys" } };

test("loopback is what only this machine reaches", () => {
  const inside = ["127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1"];
  const outside = ["0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "localhost", ""];
  expect(inside.map((address) => isLoopback(address))).toEqual(inside.map(() => true));
  expect(outside.map((address) => isLoopback(address))).toEqual(outside.map(() => false));
});

test("beyond loopback only where that was allowed", async () => {
  await expect(resolveTcp({ port: 1, address: "0.0.0.0" }, false)).rejects.toThrow(/^EPERM: /u);
  await expect(resolveTcp({ port: 1, address: "::" }, true)).resolves.toEqual({
    address: "::",
    port: 1,
  });
  await expect(resolveTcp({ port: 65_536 }, false)).rejects.toThrow(/port 65536; give a number/u);
  await expect(resolveTcp({ port: 1, address: "no name" }, false)).rejects.toThrow(
    /^EADDRNOTAVAIL/u,
  );
});

test("a URI says how to speak TLS only where it must be spoken", () => {
  const at = { kind: "unix", path: "/run/a b" } as const;
  expect(serverUri(at, "x", plain)).toBe("nbd+unix:///x?socket=/run/a%20b");
  expect(serverUri(at, "x", { required: true, parameters: { "tls-psk-file": "/k&y" } })).toBe(
    "nbds+unix:///x?socket=/run/a%20b&tls-psk-file=/k%26y",
  );
  const keys = { required: true, parameters: { "tls-psk-file": "/k" }, user: "a/l@x" };
  expect(parseNbdUri(serverUri(at, "x", keys))).toMatchObject({ user: "a/l@x", exportName: "x" });
  expect(serverUri(at, "", { ...keys, user: "$&" })).toBe(
    "nbds+unix://%24%26@/?socket=/run/a%20b&tls-psk-file=/k",
  );
  const tcp = { kind: "tcp", host: "::1", port: 7 } as const;
  expect(serverUri(tcp, "", { required: true, parameters: { "tls-certificates": "/c" } })).toBe(
    "nbds://[::1]:7/?tls-certificates=/c",
  );
});

test("a path left over by a server that died is taken, one that answers is not", async () => {
  const path = scratch(undefined, "socket");
  const first = await startListening({ path }, false, events);
  await expect(startListening({ path }, false, events)).rejects.toThrow(/EADDRINUSE.*another ser/u);
  await first.close();
  expect(existsSync(path)).toBe(false);
  const die = "() => process.kill(process.pid, 9)";
  const program = `net.createServer().listen(${JSON.stringify(path)}, ${die})`;
  spawnSync(process.execPath, ["-e", program]);
  expect(existsSync(path)).toBe(true);
  const second = await startListening({ path }, false, events);
  expect(second.address).toEqual({ kind: "unix", path });
  await second.close();
});

test("a file that is no socket stays", async () => {
  const path = scratch(undefined, "data");
  writeFileSync(path, "data");
  await expect(startListening({ path }, false, events)).rejects.toThrow(/file that is no socket/u);
  expect(existsSync(path)).toBe(true);
});

test("paths that no socket can have, and folders that are not there", async () => {
  const path = scratch(undefined, "x".repeat(120));
  await expect(startListening({ path }, false, events)).rejects.toThrow(/ENAMETOOLONG.*107/u);
  const lost = join(scratch(), "none", "socket");
  await expect(startListening({ path: lost }, false, events)).rejects.toThrow(/^ENOENT.*none'/u);
  const below = scratch(undefined, "file");
  writeFileSync(below, "");
  const path2 = join(below, "socket");
  await expect(startListening({ path: path2 }, false, events)).rejects.toThrow(/^ENOTDIR/u);
  await expect(startListening({ path: "" }, false, events)).rejects.toThrow(/^EINVAL/u);
});

test("a port that is taken", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    other.close();
  });
  const { port } = other.address() as AddressInfo;
  await expect(startListening({ port }, false, events)).rejects.toThrow(
    /^EADDRINUSE.*127\.0\.0.*port 0 takes a free one/u,
  );
});

test("what is no place", async () => {
  const places = ["x.sock", { sock: "x" }, undefined, null, 7] as unknown as { path: string }[];
  for (const at of places) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    await expect(startListening(at, false, events)).rejects.toThrow(/^EINVAL.* is no place; give/u);
  }
  const text = { port: "80" } as unknown as { port: number };
  await expect(startListening(text, false, events)).rejects.toThrow(/port "80"; give a number/u);
});

/** A listening socket's descriptor, as another process would hand it over. */
async function openedAt(host: string): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  onTestFinished(() => {
    server.close();
  });
  const { fd } = Reflect.get(server, "_handle") as { fd: number };
  return duplicate(fd);
}

test.skipIf(libc() === undefined)(
  "an inherited socket is served on loopback, or where that was allowed",
  async () => {
    const everywhere = await openedAt("0.0.0.0");
    await expect(startListening({ fd: everywhere }, false, events)).rejects.toThrow(
      /^EPERM: .*'0\.0\.0\.0'.*require TLS/u,
    );
    const open = await startListening({ fd: await openedAt("0.0.0.0") }, true, events);
    expect(open.address).toMatchObject({ kind: "tcp", host: "0.0.0.0" });
    const inside = await startListening({ fd: await openedAt("127.0.0.1") }, false, events);
    expect(inside.address).toMatchObject({ kind: "tcp", host: "127.0.0.1" });
    await Promise.all([open.close(), inside.close()]);
  },
);

test("an inherited descriptor that is no listening socket", async () => {
  const file = openSync(scratch(undefined, "file"), "w");
  await expect(startListening({ fd: file }, false, events)).rejects.toThrow(
    /descriptor \d+.*no listening socket/u,
  );
  closeSync(file);
});

test("sockets are inherited only by the process they are for", () => {
  const given = { LISTEN_PID: "7", LISTEN_FDS: "2", LISTEN_FDNAMES: "a:b", HOME: "/" };
  expect(inheritedSockets({ ...given }, 8)).toEqual([]);
  expect(inheritedSockets({ LISTEN_FDS: "2" }, 7)).toEqual([]);
  const environment: Record<string, string> = { ...given };
  expect(inheritedSockets(environment, 7)).toEqual([3, 4]);
  expect(environment).toEqual({ HOME: "/" });
  for (const count of ["0", "-1", "1e3", "", "99999"]) {
    expect(() => inheritedSockets({ ...given, LISTEN_FDS: count }, 7)).toThrow(/LISTEN_FDS is/u);
  }
});
