/** Clients of a machine's exports are users of its devices. */
import { connect } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bootMachine } from "../../src/machine/boot.ts";
import { serveMachine } from "../../src/node/nbd/machine-exports.ts";
import { testFolder } from "../support/nbd-server.ts";
import { SocketClient } from "../support/nbd-socket.ts";

test("a device with clients is not taken away, and the client is named", async () => {
  const socket = join(testFolder(), "s");
  const machine = bootMachine({
    ram: "64M",
    pmem: [{ size: "8M" }, { size: "8M" }],
    dm: [{ name: "data", table: "0 8192 linear pmem1 0" }],
    exports: [
      { device: "pmem0", name: "disk" },
      { device: "mapper/data", name: "upper" },
    ],
    nbd: { socket },
  });
  const { server, refused } = await serveMachine(machine);
  expect(refused).toEqual([]);
  const clientOf = async (name: string): Promise<SocketClient> => {
    const client = new SocketClient(connect(socket));
    expect(await client.go(name)).toBeGreaterThan(0);
    return client;
  };
  const [one, two, upper] = [
    await clientOf("disk"),
    await clientOf("disk"),
    await clientOf("upper"),
  ];
  const client = 'an NBD client of export "disk"';
  expect(() => machine.disable("pmem0")).toThrow(`in use by ${client} and ${client};`);
  expect(() => machine.mapper.remove("data")).toThrow(
    'open count 1, in use by an NBD client of export "upper";',
  );
  expect(() => machine.shutdown()).toThrow('an NBD client of export "upper"');
  for (const { socket: end } of [one, upper]) end.destroy();
  await expect.poll(() => machine.mapper.get("data").openCount).toBe(0);
  expect(() => machine.disable("pmem0")).toThrow(`in use by ${client};`);
  two.socket.destroy();
  await expect.poll(() => machine.disk("pmem0").users?.().length).toBe(0);
  // It flushes its exports.
  await server?.close();
  machine.mapper.remove("data");
  expect(machine.disable("pmem0")).toBe(true);
});
