import { describe, expect, test } from "vitest";
import { describeMachine } from "../../src/machine/describe.ts";
import { DescriptionError } from "../../src/machine/shape.ts";
import { parseMachineText } from "../../src/node/machine-file.ts";

const nbd = { socket: "nbd.sock" };

test("devices are exported by name, or with more said", () => {
  const described = describeMachine({
    exports: ["ram0", { device: "pmem0", name: "data", readOnly: true, description: "of records" }],
    nbd,
  });
  expect(described.exports).toEqual([
    { device: "ram0", name: "ram0", readOnly: false },
    { device: "pmem0", name: "data", readOnly: true, description: "of records" },
  ]);
  expect(described.nbd).toEqual({
    socket: "nbd.sock",
    insecure: false,
    tls: "off",
    tlsVerifyPeer: false,
  });
});

test("one export needs no list, and keys turn TLS on", () => {
  const { exports, nbd: where } = describeMachine({
    exports: "ram0",
    nbd: { port: 0, address: "0.0.0.0", tlsPsk: "keys.psk" },
  });
  expect(exports).toHaveLength(1);
  expect(where).toMatchObject({ port: 0, address: "0.0.0.0", tls: "on", tlsPsk: "keys.psk" });
});

test("a machine that serves nothing says nothing of it", () => {
  expect(Object.keys(describeMachine({}))).not.toContain("exports");
});

describe("refuses", () => {
  const cases: [title: string, input: unknown, message: RegExp][] = [
    ["exports without a place", { exports: "ram0" }, /exports needs nbd: \{ socket/u],
    ["a place without exports", { nbd }, /nbd serves nothing; name devices/u],
    ["no exports", { exports: [], nbd }, /nbd serves nothing/u],
    ["an export of nothing", { exports: [{ name: "x" }], nbd }, /exports\[0\] needs a device/u],
    [
      "two of one name",
      { exports: ["ram0", { device: "ram1", name: "ram0" }], nbd },
      /exports\[1\]\.name is "ram0", as that of \[0\]/u,
    ],
    [
      "a name past the protocol's",
      { exports: [{ device: "ram0", name: "ä".repeat(2049) }], nbd },
      /exports\[0\]\.name is longer than 4096 bytes/u,
    ],
    ["nowhere", { exports: "ram0", nbd: {} }, /nbd needs a socket or a port/u],
    ["no port", { exports: "ram0", nbd: { port: 65_536 } }, /nbd\.port is 65536; it takes a port/u],
    [
      "an address without a port",
      { exports: "ram0", nbd: { ...nbd, address: "::1" } },
      /nbd\.address is for TCP; add a port/u,
    ],
    [
      "TLS without keys",
      { exports: "ram0", nbd: { ...nbd, tls: "on" } },
      /nbd\.tls needs tlsCert/u,
    ],
    ["a slip", { exports: "ram0", nbd: { sokcet: "a" } }, /nbd\.sokcet .* did you mean socket/u],
    ["a number", { exports: [7], nbd }, /exports\[0\] is 7; it takes a mapping/u],
  ];
  test.for(cases)("%s", ([, input, message]) => {
    expect(() => describeMachine(input)).toThrow(message);
    expect(() => describeMachine(input)).toThrow(DescriptionError);
  });

  test("at the line of the file", () => {
    const text = "exports:\n  - ram0\n  - { device: ram1, name: ram0 }\nnbd: { port: 0 }\n";
    expect(() => parseMachineText(text, "m.yaml")).toThrow(/m\.yaml:3:27/u);
  });
});
