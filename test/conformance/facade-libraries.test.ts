/** Libraries that take an `fs`: what they find in an image is what they find in a folder. */
import { pipeline } from "node:stream/promises";
import * as nodeFs from "node:fs";
import { createGzip, gunzipSync } from "node:zlib";
import { glob, globSync } from "tinyglobby";
import { afterAll, expect, test } from "vitest";
import { makePair } from "../support/facade-pair.ts";

const pair = makePair();
const { root, ours } = pair;
afterAll(() => pair.end());

function ordered(paths: readonly string[]): string[] {
  return paths.toSorted((a, b) => (a < b ? -1 : 1));
}

const patterns: readonly (readonly string[])[] = [
  ["**"],
  ["**/*.txt"],
  ["many/file-1*"],
  ["dir*/**", "!**/big"],
  ["{tiny,empty,none}"],
  ["**/[!f]*"],
];

test.each(patterns)("tinyglobby finds %s", async (...pattern) => {
  const options = { cwd: root, dot: true, onlyFiles: false };
  const found = await glob([...pattern], { ...options, fs: ours });
  const real = await glob([...pattern], options);
  expect(ordered(found)).toEqual(ordered(real));
  expect(real.length).toBeGreaterThan(0);
  const sync = globSync([...pattern], { ...options, fs: ours });
  expect(ordered(sync)).toEqual(ordered(real));
});

test("tinyglobby follows links as it does on the host", async () => {
  const options = { cwd: root, followSymbolicLinks: true, absolute: true };
  const found = await glob("dir-link/**", { ...options, fs: ours });
  expect(ordered(found)).toEqual(ordered(await glob("dir-link/**", options)));
});

test("streams go through Node's own pipelines", async () => {
  const source = ours.createReadStream(`${root}/dir/deep/big`);
  const parts = await pipeline(source, createGzip({ level: 1 }), async (gzip) => {
    const collected: Buffer[] = [];
    for await (const part of gzip) collected.push(part as Buffer);
    return collected;
  });
  const content = gunzipSync(Buffer.concat(parts));
  expect(content.equals(nodeFs.readFileSync(`${root}/dir/deep/big`))).toBe(true);
});
