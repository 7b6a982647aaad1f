/** What `volume.fs` lacks of `node:fs`: nothing is undefined, and nothing reaches the host. */
import * as nodeFs from "node:fs";
import { text } from "node:stream/consumers";
import { afterAll, describe, expect, test } from "vitest";
import { fillMissing, fillMissingPromises } from "../../src/node/facade/unsupported.ts";
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

test("what only another version of Node has says so, with its name", async () => {
  const unknown = { newCall: () => 1, stat: () => 1 };
  const facade: Record<string, unknown> = { stat: "kept" };
  fillMissing(facade, unknown);
  expect(() => (facade["newCall"] as Call)()).toThrow(/^ENOTSUP.*newCall.*does not have it/u);
  expect(facade["stat"]).toBe("kept");
  const promises: Record<string, unknown> = {};
  fillMissingPromises(promises, unknown);
  await expect((promises["newCall"] as Call)()).rejects.toMatchObject({ code: "ENOTSUP" });
});

test("promises.lchmod rejects as on Linux", async () => {
  const call = (mine.promises as Record<string, unknown>)["lchmod"] as Call;
  const real = await nodeFs.promises.lchmod(root, 0o600).catch(failure);
  expect(await (call(root, 0o600) as Promise<unknown>).catch(failure)).toEqual(real);
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
