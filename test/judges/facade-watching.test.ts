/** `watch` and `watchFile` of a volume beside those of `node:fs`: the same changes, one tale. */
import { once } from "node:events";
import * as nodeFs from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { NodeFs } from "../../src/node/facade/facade.ts";
import { failure, outcome } from "../support/fs-outcome.ts";
import { type WritablePair, makeWritablePair } from "../support/writable-pair.ts";

let pair: WritablePair;
beforeAll(() => {
  pair = makeWritablePair();
});
afterAll(() => pair.end());

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

/** What is done, in a folder. */
const changes: Readonly<Record<string, (fs: NodeFs, at: string) => void>> = {
  "a file is made and written": (fs, at) => fs.writeFileSync(`${at}/new`, "x"),
  "a file is made": (fs, at) => fs.closeSync(fs.openSync(`${at}/made`, "w")),
  "a directory is made": (fs, at) => fs.mkdirSync(`${at}/made-dir`),
  "a link is made": (fs, at) => fs.symlinkSync("x", `${at}/made-link`),
  "a file gets another name": (fs, at) => fs.renameSync(`${at}/made`, `${at}/renamed`),
  "its mode changes": (fs, at) => fs.chmodSync(`${at}/renamed`, 0o600),
  "its size changes": (fs, at) => fs.truncateSync(`${at}/new`, 0),
  "its name goes": (fs, at) => fs.unlinkSync(`${at}/renamed`),
  "a directory goes": (fs, at) => fs.rmdirSync(`${at}/made-dir`),
};

/** The tale, without what libuv tells twice. */
async function taleOf(fs: NodeFs, at: string, body: () => void): Promise<unknown> {
  const told = new Set<string>();
  const watcher = fs.watch(at, (type, name) => told.add(`${type} ${name}`));
  try {
    body();
    await pause(60);
    return [...told].toSorted();
  } finally {
    watcher.close();
    await once(watcher, "close");
  }
}

describe("watch", () => {
  test.each(Object.entries(changes))("a directory: %s", async (_, change) => {
    const { root, volume } = pair;
    const tales: unknown[] = [];
    for (const fs of [nodeFs, volume.fs]) {
      const at = `${root}/watched`;
      fs.mkdirSync(at, { recursive: true });
      // oxlint-disable-next-line no-await-in-loop -- one filesystem after the other
      tales.push(await taleOf(fs, at, () => change(fs, at)));
    }
    expect(tales[1]).toEqual(tales[0]);
    expect(tales[0]).not.toEqual([]);
  });

  test.each(["appended to", "removed", "renamed", "linked and unlinked"])(
    "a file that is %s",
    async (how) => {
      const { root, volume } = pair;
      const tales: unknown[] = [];
      for (const fs of [nodeFs, volume.fs]) {
        const at = `${root}/alone-${how}`;
        fs.writeFileSync(at, "x");
        // oxlint-disable-next-line no-await-in-loop
        const tale = await taleOf(fs, at, () => {
          if (how === "removed") fs.unlinkSync(at);
          else if (how === "linked and unlinked") {
            fs.linkSync(at, `${at}-2`);
            fs.unlinkSync(at);
          } else if (how === "renamed") fs.renameSync(at, `${at}-2`);
          else fs.appendFileSync(at, "y");
        });
        tales.push(tale);
      }
      expect(tales[1]).toEqual(tales[0]);
    },
  );

  test("wrong arguments", async () => {
    const { root, volume } = pair;
    const lists = [[`${root}/none`], [5], [root, { encoding: "zz" }], [root, 5]];
    for (const list of lists) {
      const said = [nodeFs, volume.fs].map((fs) => {
        try {
          (fs.watch as (...args: unknown[]) => nodeFs.FSWatcher)(...list).close();
          return "watched";
        } catch (error) {
          return failure(error);
        }
      });
      expect(said[1]).toEqual(said[0]);
    }
  });

  test("a signal ends it; what is closed hears nothing", async () => {
    const { root, volume } = pair;
    for (const fs of [nodeFs, volume.fs] as NodeFs[]) {
      const controller = new AbortController();
      const told: unknown[] = [];
      const { signal } = controller;
      const watcher = fs.watch(root, { signal, persistent: false }, () => void told.push(1));
      controller.abort();
      // oxlint-disable-next-line no-await-in-loop
      await once(watcher, "close");
      fs.writeFileSync(`${root}/unheard`, "x");
      // oxlint-disable-next-line no-await-in-loop
      await pause(30);
      expect(told).toEqual([]);
    }
  });

  test("recursive: what happens below is told with its path", async () => {
    const { fs } = pair.volume;
    const at = `${pair.root}/deep`;
    fs.mkdirSync(`${at}/a/b`, { recursive: true });
    const told: unknown[] = [];
    const watcher = fs.watch(at, { recursive: true }, (...args) => told.push(args));
    fs.writeFileSync(`${at}/a/b/c`, "x");
    await pause(20);
    watcher.close();
    expect(told).toContainEqual(["rename", "a/b/c"]);
    expect(told).toContainEqual(["change", "a/b/c"]);
  });

  test("promises.watch gives each, and ends with its signal", async () => {
    const { root, volume } = pair;
    const said: unknown[] = [];
    for (const fs of [nodeFs, volume.fs] as NodeFs[]) {
      const controller = new AbortController();
      const at = `${root}/iterated`;
      fs.mkdirSync(at);
      const events = fs.promises.watch(at, { signal: controller.signal });
      setTimeout(() => fs.mkdirSync(`${at}/made`), 20);
      try {
        // oxlint-disable-next-line no-await-in-loop -- one filesystem after the other
        for await (const event of events) {
          said.push({ ...event });
          controller.abort();
        }
      } catch (error) {
        said.push(failure(error));
      }
    }
    expect(said.slice(2)).toEqual(said.slice(0, 2));
    expect(await outcome(volume.fs, "promise", "watch", [])).toBeDefined();
  });
});

async function looks(fs: NodeFs, at: string): Promise<unknown> {
  const told: unknown[] = [];
  fs.writeFileSync(at, "x");
  fs.watchFile(at, { interval: 15 }, (now, before) => {
    told.push([now.size, before.size, now.nlink, before.nlink]);
  });
  await pause(60);
  fs.writeFileSync(at, "longer");
  await pause(90);
  fs.unlinkSync(at);
  await pause(90);
  fs.unwatchFile(at);
  fs.writeFileSync(at, "unheard of");
  await pause(60);
  return told;
}

describe("watchFile", () => {
  test("tells of sizes, and of what is gone", async () => {
    const { root, volume } = pair;
    const real = await looks(nodeFs, `${root}/polled`);
    expect(await looks(volume.fs, `${root}/polled`)).toEqual(real);
  });

  test("what is not there is told once", async () => {
    const { root, volume } = pair;
    for (const fs of [nodeFs, volume.fs] as NodeFs[]) {
      const at = `${root}/absent`;
      const told: unknown[] = [];
      fs.watchFile(at, { interval: 15, bigint: true }, (now) => told.push([now.size, now.ino]));
      // oxlint-disable-next-line no-await-in-loop
      await pause(80);
      fs.unwatchFile(at);
      expect(told).toEqual([[0n, 0n]]);
    }
  });

  test("wrong arguments", () => {
    const { root, volume } = pair;
    for (const list of [[5], [root], [root, {}], [root, 5], [root, { interval: "x" }, () => 1]]) {
      const said = [nodeFs, volume.fs].map((fs) => {
        try {
          (fs.watchFile as (...args: unknown[]) => unknown)(...list);
          fs.unwatchFile(root);
          return "watched";
        } catch (error) {
          return failure(error);
        }
      });
      expect(said[1]).toEqual(said[0]);
    }
  });
});
