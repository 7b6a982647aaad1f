/** What `volume.fs` lacks of `node:fs`: nothing is undefined, and nothing reaches the host. */
import * as nodeFs from "node:fs";
import { text } from "node:stream/consumers";
import { afterAll, describe, expect, test } from "vitest";
import { makePair } from "../support/facade-pair.ts";
import { type AnyFs, failure } from "../support/fs-outcome.ts";

const pair = makePair();
const { root, ours } = pair;
const mine = ours as unknown as AnyFs & { promises: AnyFs };
afterAll(() => pair.end());

type Call = (...args: unknown[]) => unknown;

function namesOf(object: object): string[] {
  return Object.entries(object)
    .filter(([name, value]) => value !== undefined && !name.startsWith("_"))
    .map(([name]) => name);
}

test("has everything that this version of Node has", () => {
  expect(namesOf(nodeFs).filter((name) => name !== "default" && !(name in ours))).toEqual([]);
  expect(namesOf(nodeFs.promises).filter((name) => !(name in ours.promises))).toEqual([]);
});

const refused = (name: string): object => ({ code: "ENOTSUP", syscall: name });

describe("ENOTSUP, with what to do", () => {
  test.each(["globSync", "glob"])("%s throws", (name) => {
    const call = (mine as Record<string, unknown>)[name] as Call;
    expect(() => call(`${root}/dir`)).toThrow(expect.objectContaining(refused(name)));
    expect(() => call(`${root}/dir`)).toThrow(/tinyglobby/u);
  });

  test("glob passes it on", async () => {
    const glob = (mine as Record<string, unknown>)["glob"] as Call;
    const error = await new Promise((resolve) => {
      glob("**", resolve);
    });
    expect(error).toMatchObject(refused("glob"));
  });

  test("promises.glob says it where it would give its first", async () => {
    const call = (mine.promises as Record<string, unknown>)["glob"] as Call;
    const first = (call(root) as AsyncIterator<unknown>).next();
    await expect(first).rejects.toMatchObject(refused("glob"));
  });

  test("promises.lchmod rejects as on Linux", async () => {
    const call = (mine.promises as Record<string, unknown>)["lchmod"] as Call;
    const real = await nodeFs.promises.lchmod(root, 0o600).catch(failure);
    expect(await (call(root, 0o600) as Promise<unknown>).catch(failure)).toEqual(real);
  });

  test("unwatchFile stops nothing", () => {
    const call = (mine as Record<string, unknown>)["unwatchFile"] as Call;
    expect(call(root)).toBe(undefined);
  });
});

describe("classes and blobs are those of the volume", () => {
  test("ReadStream and WriteStream can be made, and are what their functions give", async () => {
    const stream = new ours.ReadStream(`${root}/tiny` as never);
    expect(stream).toBeInstanceOf(ours.ReadStream);
    expect(ours.createReadStream(`${root}/tiny`)).toBeInstanceOf(ours.ReadStream);
    expect(await text(stream)).toBe(nodeFs.readFileSync(`${root}/tiny`, "utf8"));
    const sink = new ours.WriteStream(`${root}/made` as never);
    expect(sink).toBeInstanceOf(ours.WriteStream);
    const error = await new Promise((resolve) => {
      sink.once("error", resolve);
    });
    expect(error).toMatchObject({ code: "EROFS" });
    expect(nodeFs.existsSync(`${root}/made`)).toBe(false);
  });

  test("Dir is what opendir gives", () => {
    const directory = ours.opendirSync(root);
    expect(directory).toBeInstanceOf(ours.Dir);
    directory.closeSync();
  });

  test("openAsBlob has the bytes, the type, and the errors of readFile", async () => {
    const blob = await ours.openAsBlob(`${root}/tiny`, { type: "text/plain" });
    expect(blob.type).toBe("text/plain");
    expect(await blob.text()).toBe(nodeFs.readFileSync(`${root}/tiny`, "utf8"));
    await expect(ours.openAsBlob(`${root}/none`)).rejects.toMatchObject({ code: "ENOENT" });
    const odd = await ours.openAsBlob(7 as never).catch(failure);
    expect(odd).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
  });

  test("a handle's createWriteStream says what its write says", async () => {
    const handle = await ours.promises.open(`${root}/tiny`);
    const stream = handle.createWriteStream();
    const error = await new Promise((resolve) => {
      stream.once("error", resolve);
      stream.write("x");
    });
    const said = await (await ours.promises.open(`${root}/tiny`)).write("x").catch(failure);
    expect(error).toMatchObject({ code: (said as { code: string }).code });
  });
});
