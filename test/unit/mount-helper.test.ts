/** How mount(8) calls its helper, and what a mount says of itself in a file. */
import { describe, expect, test } from "vitest";
import { oneLine } from "../../src/cli/errors.ts";
import { helperWords, inNamespace } from "../../src/cli/helper-words.ts";
import { mountHelper, umountHelper } from "../../src/cli/mount-helper.ts";
import { keepRecord, readRecords, stateOf } from "../../src/cli/mount-record.ts";
import { sourceOf } from "../../src/cli/mount-source.ts";
import { usersOf } from "../../src/cli/mount-users.ts";
import { DaxError } from "../../src/lib/errno.ts";
import { parseNbdUri } from "../../src/nbd/uri.ts";

describe("the line of a helper", () => {
  test("has letters, values and operands in any order", () => {
    const words = helperWords(
      ["a.img", "-sv", "/mnt", "-o", "ro,x", "-nf", "-oy", "-t", "T"],
      "sfnv",
    );
    expect(words.operands).toEqual(["a.img", "/mnt"]);
    expect([...words.flags].toSorted()).toEqual(["f", "n", "s", "v"]);
    expect(words.options).toEqual(["ro,x", "y"]);
    expect(words.namespace).toBeUndefined();
    expect(helperWords(["-svo", "ro", "--", "-x", "-"], "sv")).toMatchObject({
      operands: ["-x", "-"],
      options: ["ro"],
    });
  });

  test.each([
    [["-q"], /unknown option '-q'/u],
    [["-sqv"], /unknown option '-q'/u],
    [["a", "-o"], /value of '-o' is missing/u],
    [["--help"], /unknown option/u],
  ])("%j is refused", (argv, message) => {
    expect(() => helperWords(argv, "sv")).toThrow(message);
  });

  test("-N names a namespace, by a path or a process", () => {
    expect(helperWords(["a", "-N", "12", "b"], "").namespace).toBe("12");
    expect(inNamespace("12", ["x"])).toEqual(["--mount=/proc/12/ns/mnt", "--", "x"]);
    expect(inNamespace("/run/ns", ["x"])).toEqual(["--mount=/run/ns", "--", "x"]);
    for (const named of [["-N", "12"], ["-N12"]]) {
      expect(helperWords(["a", ...named, "b"], "").rest).toEqual(["a", "b"]);
    }
    const words = helperWords(["a", "-nvN", "12", "-fo", "ro", "--", "-N"], "nvf");
    expect(words.namespace).toBe("12");
    expect(words.rest).toEqual(["a", "-nv", "-f", "-o", "ro", "--", "-N"]);
  });

  test.each<[string[], number, RegExp]>([
    [[], 1, /^usage: mount\.fuse\.daxkit/u],
    [["a"], 1, /^usage/u],
    [["a", "b", "c"], 1, /^usage/u],
    [["a", "b", "-o", "bogus"], 32, /EINVAL.*"bogus"/u],
    [["a", "b", "-f", "-v", "-o", "nofail"], 0, /without effect: nofail/u],
    [["/nowhere/at/all", "/mnt", "-o", "nofail,ro"], 0, /^$/u],
    [["/nowhere/at/all", "/mnt", "-v", "-o", "nofail"], 0, /all is not there; nothing is mounted/u],
  ])("mount.fuse.daxkit %j ends with %d", async (argv, status, message) => {
    const said: string[] = [];
    expect(await mountHelper(argv, (text) => said.push(text))).toBe(status);
    expect(said.join("\n")).toMatch(message);
  });

  test("umount.fuse.daxkit of nothing fails", async () => {
    const said: string[] = [];
    const say = (text: string): void => void said.push(text);
    expect(await umountHelper([], say)).toBe(1);
    expect(await umountHelper(["/nowhere/at/all", "-l"], say)).toBe(32);
    expect(said[1]).toMatch(/EINVAL.*nothing is mounted/u);
  });
});

describe("what is mounted is named from the root, for a process elsewhere", () => {
  const here = process.cwd();

  test.each([
    ["a.img", `${here}/a.img`],
    ["/a.img", "/a.img"],
    ["nbd://host/a?tls-type=psk", "nbd://host/a?tls-type=psk"],
    ["nbd+unix:///?socket=/run/s", "nbd+unix:///?socket=/run/s"],
    ["nbd+unix:///?socket=%2frun/s", "nbd+unix:///?socket=%2frun/s"],
    ["nbd+unix:///?socket=%00abstract", "nbd+unix:///?socket=%00abstract"],
    ["nbd+unix:///?socket=", "nbd+unix:///?socket="],
  ])("%s", (word, whole) => {
    expect(sourceOf(word)).toBe(whole);
  });

  test.each(["nbd+unix:///?socket=a%20b.sock", "nbds+unix:///x?tls-type=psk&socket=a%20b.sock"])(
    "%s",
    (word) => {
      const { address } = parseNbdUri(sourceOf(word));
      expect(address).toEqual({ kind: "unix", path: `${here}/a b.sock` });
    },
  );
});

test("an error of ENOTSUP speaks of no socket", () => {
  const error = new DaxError("ENOTSUP", { syscall: "mount", detail: "why" });
  expect(oneLine(error)).toBe("ENOTSUP: operation not supported, mount (why)");
});

describe("the record of a mount", () => {
  const of = { device: "0:99999999", source: "/a.img", directory: "/mnt" };
  const found = () => readRecords().find(({ device }) => device === of.device);

  test("says who serves it until the image is closed", () => {
    const kept = keepRecord(of);
    const record = found()!;
    expect(record).toMatchObject({ ...of, pid: process.pid, ending: false });
    expect(stateOf(record)).toEqual({ is: "serving" });
    kept.ending();
    expect(stateOf(record)).toEqual({ is: "ending" });
    kept.closed();
    expect(stateOf(record)).toEqual({ is: "closed" });
    expect(found()).toBeUndefined();
  });

  test("keeps the last word, which the next one sweeps away", () => {
    const kept = keepRecord(of);
    const record = found()!;
    kept.closed("it failed");
    expect(stateOf(record)).toEqual({ is: "failed", error: "it failed" });
    const next = keepRecord(of);
    expect(stateOf(found()!)).toEqual({ is: "serving" });
    next.closed();
  });
});

test("nobody uses what is not there", () => {
  expect(usersOf("/nowhere/at/all")).toBeUndefined();
});
