/**
 * URIs of exports: what the NBD project's uri.md says, and what is no URI.
 */
import { describe, expect, test } from "vitest";
import { type NbdUri, formatNbdUri, isNbdUri, parseNbdUri } from "../../src/nbd/uri.ts";

const tcp = (host: string, port = 10809) => ({ kind: "tcp", host, port }) as const;
const unix = (path: string) => ({ kind: "unix", path }) as const;

test.each<readonly [string, NbdUri["address"], string]>([
  ["nbd://example.com/disk", tcp("example.com"), "disk"],
  ["nbd+unix:///disk?socket=sock", unix("sock"), "disk"],
  ["nbd://example.com/", tcp("example.com"), ""],
  ["nbd://example.com", tcp("example.com"), ""],
  ["nbd://example.com//disk", tcp("example.com"), "/disk"],
  ["nbd://example.com/hello%20world", tcp("example.com"), "hello world"],
  ["nbd://example.com:1234/a/b", tcp("example.com", 1234), "a/b"],
  ["nbd://example.com:/a", tcp("example.com"), "a"],
  ["nbd:///a", tcp("localhost"), "a"],
  ["nbd://[::1]/x", tcp("::1"), "x"],
  ["nbd://[2001:db8::7]:9/x", tcp("2001:db8::7", 9), "x"],
  ["nbd://127.0.0.1/ä%C3%A4", tcp("127.0.0.1"), "ää"],
  ["NBD+UNIX:///?socket=/tmp/a%3fb", unix("/tmp/a?b"), ""],
  ["nbd+unix:///?socket=%00/abstract", unix("\0/abstract"), ""],
  ["nbd+unix:///a+b?socket=/tmp/a+b", unix("/tmp/a+b"), "a+b"],
  ["nbd+unix://?socket=/s", unix("/s"), ""],
])("%s", (text, address, exportName) => {
  const uri = parseNbdUri(text);
  expect(isNbdUri(text)).toBe(true);
  expect(uri).toMatchObject({ text, address, exportName, tls: false, user: undefined });
});

test("TLS, users and their parameters", () => {
  const uri = parseNbdUri(
    "nbds+unix://alice@/x?socket=/s&tls-type=psk&tls-hostname=h&tls-verify-peer=0&tls-psk-file=k",
  );
  expect(uri).toMatchObject({
    tls: true,
    user: "alice",
    tlsOptions: { type: "psk", hostname: "h", verifyPeer: false, pskFile: "k" },
  });
  expect(parseNbdUri("nbds://h?tls-certificates=/c").tlsOptions).toEqual({ certificates: "/c" });
  expect(parseNbdUri("nbds://a%40b@h").user).toBe("a@b");
});

test.each([
  ["http://a", "EINVAL"],
  ["nbd:a", "EINVAL"],
  ["nbd://h/a b", "EINVAL"],
  ["nbd://h/a#b", "EINVAL"],
  ["nbd://h/%zz", "EINVAL"],
  ["nbd://h/%4", "EINVAL"],
  ["nbd://h/a%00b", "EINVAL"],
  ["nbd://h/" + "x".repeat(4097), "EINVAL"],
  ["nbd://h:0/", "EINVAL"],
  ["nbd://h:65536/", "EINVAL"],
  ["nbd://h:1x/", "EINVAL"],
  ["nbd://::1/", "EINVAL"],
  ["nbd://[::1/", "EINVAL"],
  ["nbd://h/?socket=/s", "EINVAL"],
  ["nbd+unix:///x", "EINVAL"],
  ["nbd+unix:///x?socket=", "EINVAL"],
  ["nbd+unix:///x?socket=a%00b", "EINVAL"],
  ["nbd+unix://host/x?socket=/s", "EINVAL"],
  ["nbd+unix:///x?socket=/s&socket=/t", "EINVAL"],
  ["nbd://h/x?unknown=1", "EINVAL"],
  ["nbds://h/x?tls-type=none", "EINVAL"],
  ["nbds://h/x?tls-verify-peer=yes", "EINVAL"],
  ["nbd+vsock://1/x", "ENOTSUP"],
])("%s is %s", (text, code) => {
  expect(() => parseNbdUri(text)).toThrow(expect.objectContaining({ name: "DaxError", code }));
});

test.each(["nbd.img", "./nbd://x", "nbd:/x", "xnbd://h", "nbd"])("%s is a file", (word) => {
  expect(isNbdUri(word)).toBe(false);
});

describe("what is written is read", () => {
  const places = [tcp("localhost"), tcp("::1", 7), unix("/tmp/a b&c"), unix("\0abstract")];
  for (const address of places) {
    for (const name of ["", "disk", "/a b", "ünï?#%", "\udcff"]) {
      test(`${JSON.stringify(address)} ${JSON.stringify(name)}`, () => {
        const uri = parseNbdUri(formatNbdUri(address, name, name === "disk"));
        expect(uri).toMatchObject({ address, exportName: name, tls: name === "disk" });
      });
    }
  }
});
