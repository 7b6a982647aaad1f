/**
 * Mounts of a server that holds nothing: what the transport alone has to get right, with the
 * kernel as the judge. Whatever touches a mount runs in a process of its own: a call of this one
 * would wait for its own answer.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { mountServer, unmountAll } from "../../src/node/fuse/mount-server.ts";
import { EmptyServer, FUSE_READ } from "../support/empty-fuse.ts";
import {
  fuseJudge as judge,
  isMountPoint,
  mountPlace,
  MountingChild,
  shell,
  unmounted,
} from "../support/fuse-mounts.ts";

const GETATTR = 3;
const LOOKUP = 1;
/** Numbers beyond 2^31 are boxed on their way to a foreign call: 33 to 60 bytes were seen. */
const MOST_BYTES = 96;
const REQUESTS = 5000;

afterEach(() => unmountAll({ force: true }));

/** A program that has `path` open until it is told to go; `busy` says what it does there. */
async function user(script: string, path: string): Promise<() => Promise<void>> {
  const child = spawn("sh", ["-c", `${script}; echo ready; read _`, "sh", path], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  return async () => {
    child.stdin.end("\n");
    await once(child, "exit");
  };
}

for (const engine of ["shared", "blocking"] as const) {
  test.skipIf(judge.missing)(`${engine}: several mounts at once${judge.hint}`, async () => {
    const directories = [mountPlace(), mountPlace(), mountPlace()];
    const child = new MountingChild({ directories, size: 5_000_000, options: { engine } });
    expect(await child.outcome()).toBe("ok");
    const script = 'for d; do stat -c %s "$d/file"; cat "$d/file" | wc -c; done';
    const sizes = await shell(script, ...directories);
    expect(sizes.split("\n")).toEqual(Array(6).fill("5000000"));
    const writes = directories.map((folder) =>
      shell('head -c 3000000 /dev/zero > "$1/file"; ls "$1"; stat "$1/no" 2>&1 || true', folder),
    );
    for (const said of await Promise.all(writes)) expect(said).toMatch(/No such file/u);
    expect(await child.obey({ unmount: 1 })).toBe("ok");
    expect(directories.map(isMountPoint)).toEqual([true, false, true]);
    expect(await child.obey({ ended: 1 })).toBe("ok");
    expect(await shell('stat -c %s "$1/file"', directories[2]!)).toBe("5000000");
    expect(await child.obey({ unmount: "all" })).toBe("ok");
    expect(directories.some(isMountPoint)).toBe(false);
  });
}

test.skipIf(judge.missing)(`a request makes no objects${judge.hint}`, async () => {
  const folder = mountPlace();
  // A young generation that holds all that the requests of a round could make.
  const env = { NODE_OPTIONS: "--max-semi-space-size=64" };
  const options = { engine: "blocking" } as const;
  const child = new MountingChild({ directories: [folder], options }, [], env);
  expect(await child.outcome()).toBe("ok");
  const heap = async () => Number((await child.obey({ heap: true })).slice("ok ".length));
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 10 && !(least < MOST_BYTES); round++) {
    // oxlint-disable-next-line no-await-in-loop -- each round is looked at before the next
    const before = await heap();
    // oxlint-disable-next-line no-await-in-loop -- the same
    await shell(`dd if=/dev/zero of="$1/file" bs=4k count=${REQUESTS} conv=notrunc`, folder);
    // oxlint-disable-next-line no-await-in-loop -- the same
    const made = (await heap()) - before;
    // Where it shrank, garbage was collected meanwhile, and nothing can be said.
    if (made > 0) least = Math.min(least, made / REQUESTS);
  }
  expect(least).toBeLessThan(MOST_BYTES);
});

test.skipIf(judge.missing)(`unmounted from outside, it ends${judge.hint}`, async () => {
  const folder = mountPlace();
  const server = new EmptyServer();
  const mount = await mountServer(server, folder, { fsname: "a, b", nosuid: true });
  expect(readFileSync("/proc/self/mounts", "utf8")).toMatch(
    new RegExp(String.raw`^a,\\040b ${folder} fuse\.daxkit rw,nosuid,relatime,`, "mu"),
  );
  await shell('umount "$1"', folder);
  await mount.ended;
  expect(server.ended).toBe(1);
  await mount.unmount();
});

test.skipIf(judge.missing)(`kill -9 leaves no mount behind${judge.hint}`, async () => {
  const folders = [mountPlace(), mountPlace()];
  const child = new MountingChild({ directories: folders, options: { engine: "blocking" } });
  expect(await child.outcome()).toBe("ok");
  await shell('ls "$1"', folders[0]!);
  const leave = await user('cd "$1"', folders[1]!);
  child.kill();
  await Promise.all(folders.map(unmounted));
  await leave();
});

test.skipIf(judge.missing)(`EBUSY while in use, but not lazily${judge.hint}`, async () => {
  const folder = mountPlace();
  const mount = await mountServer(new EmptyServer({ size: 10 }), folder);
  const leave = await user('exec 9< "$1/file"', folder);
  await expect(mount.unmount()).rejects.toThrow(/^EBUSY: .*files are open there/u);
  expect(isMountPoint(folder)).toBe(true);
  await mount.unmount({ lazy: true });
  expect(isMountPoint(folder)).toBe(false);
  await leave();
  await mount.ended;
});

test.skipIf(judge.missing)(`a server that hangs is unmounted by force${judge.hint}`, async () => {
  for (const lazyFirst of [false, true]) {
    const folder = mountPlace();
    const server = new EmptyServer({ size: 10, silent: new Set([LOOKUP]) });
    // oxlint-disable-next-line no-await-in-loop
    const mount = await mountServer(server, folder);
    const stuck = shell('stat "$1/file" 2>&1 || true', folder);
    // oxlint-disable-next-line no-await-in-loop
    while (server.counts[LOOKUP] === 0) await shell("sleep 0.01");
    // oxlint-disable-next-line no-await-in-loop
    if (lazyFirst) await mount.unmount({ lazy: true });
    // oxlint-disable-next-line no-await-in-loop
    await mount.unmount({ force: true });
    expect(isMountPoint(folder)).toBe(false);
    // oxlint-disable-next-line no-await-in-loop
    expect(await stuck).toMatch(/connection abort|not connected|No such device/u);
    // oxlint-disable-next-line no-await-in-loop
    await mount.ended;
  }
});

test.skipIf(judge.missing)(`a mount that another one covers stays${judge.hint}`, async () => {
  const folder = mountPlace();
  const below = await mountServer(new EmptyServer(), folder, { fsname: "below" });
  const above = await mountServer(new EmptyServer(), folder, { nonempty: true, fsname: "above" });
  await expect(below.unmount()).rejects.toThrow(/^EBUSY: .*above is mounted over it/u);
  await above.unmount();
  await below.unmount();
  expect(isMountPoint(folder)).toBe(false);
});

test.skipIf(judge.missing)(`a server that throws ends its mount${judge.hint}`, async () => {
  const folder = mountPlace();
  const server = new EmptyServer();
  const mount = await mountServer(server, folder);
  server.onRequest = (opcode) => {
    if (opcode === LOOKUP) throw new Error("a bug");
  };
  expect(await shell('stat "$1/file" 2>&1 || true', folder)).toMatch(
    /connection abort|not connected/u,
  );
  await expect(mount.ended).rejects.toThrow("a bug");
  expect(isMountPoint(folder)).toBe(false);
  expect(server.ended).toBe(1);
});

test.skipIf(judge.missing)(`pieces arrive from where they lie${judge.hint}`, async () => {
  const folder = mountPlace();
  const memory = Uint8Array.from({ length: 1 << 20 }, (_, i) => i % 251);
  // More pieces than a call takes vectors, some of them of no lasting place.
  const contents = (offset: number, length: number) => {
    const pieces: Uint8Array[] = [];
    for (let at = offset; at < offset + length; at += 64) {
      const piece = memory.subarray(at, Math.min(at + 64, offset + length));
      pieces.push(at % 4096 === 1024 ? Uint8Array.from(piece) : piece);
    }
    return pieces;
  };
  await mountServer(new EmptyServer({ size: memory.length, contents }), folder);
  const copy = join(mountPlace(), "copy");
  await shell('cp "$1/file" "$2"', folder, copy);
  expect(readFileSync(copy).equals(memory)).toBe(true);
});

test.skipIf(judge.missing)(`frames are recorded whole${judge.hint}`, async () => {
  const folder = mountPlace();
  const seen: { kind: string; frame: Buffer }[] = [];
  const record = (kind: string, frame: Uint8Array) =>
    void seen.push({ kind, frame: Buffer.from(frame) });
  const mount = await mountServer(new EmptyServer({ size: 9000 }), folder, { record });
  expect(await shell('cat "$1/file" | wc -c', folder)).toBe("9000");
  await mount.unmount();
  for (const { frame } of seen) expect(frame.readUInt32LE(0)).toBe(frame.length);
  const read = seen.findIndex(
    ({ kind, frame }) => kind === "request" && frame.readUInt32LE(4) === FUSE_READ,
  );
  expect(seen[read + 1]!.frame.length).toBe(16 + 9000);
  expect(seen[0]!.frame.readUInt32LE(4)).toBe(26);
});

test.skipIf(judge.missing)(`a notice makes the kernel ask again${judge.hint}`, async () => {
  const folder = mountPlace();
  const server = new EmptyServer({ size: 10, seconds: 1000 });
  const mount = await mountServer(server, folder);
  await shell('stat "$1"; stat "$1"', folder);
  const asked = server.counts[GETATTR]!;
  await shell('stat "$1"', folder);
  expect(server.counts[GETATTR]).toBe(asked);
  const frame = new DataView(new ArrayBuffer(40));
  frame.setUint32(0, 40, true);
  frame.setInt32(4, 2, true);
  frame.setBigUint64(16, 1n, true);
  server.onNotice!(new Uint8Array(frame.buffer));
  await mount.settled();
  await shell('stat "$1"', folder);
  expect(server.counts[GETATTR]).toBe(asked + 1);
  await mount.unmount();
});
