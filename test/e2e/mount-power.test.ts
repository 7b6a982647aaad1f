/** What is there after the process behind a mount was killed, in the midst of work. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openVolume } from "../../src/node/volume.ts";
import { programs } from "../judges/judge.ts";
import { childArguments } from "../support/child.ts";
import { REPOSITORY, daxkit } from "../support/daxkit.ts";
import {
  type MountPlace,
  complaintsAfterReplay,
  complaintsOf,
  fuseMounts,
  mountInBackground,
  mountPlace,
  mountsBelow,
} from "../support/mounting.ts";

const tools = programs(["e2fsck"], "apt-get install e2fsprogs");
const judge = tools.missing ? tools : fuseMounts();

/** Files that are durable before the process is killed. */
const SYNCED = 40;
/**
 * What others do meanwhile, and nobody waits for. They work inside: by a path they would go on for
 * ever in the directory below, when the mount is gone.
 */
const NOISE = `cd "$1"; i=0; while mkdir "d$i" && echo x > "d$i/f" && mv "d$i" "e$i" && \
ln "e$i/f" "e$i/g" && rm "e$i/f"; do i=$((i+1)); done`;

/** Kills the server while two programs work; how many files were acknowledged. */
async function killInTheMidst({ directory }: MountPlace, pid: number): Promise<number> {
  const noise = spawn("sh", ["-c", NOISE, "sh", directory], { stdio: "ignore" });
  const writer = spawn(process.execPath, childArguments("synced-writer", directory), {
    cwd: REPOSITORY,
    stdio: ["ignore", "pipe", "ignore"],
  });
  let said = "";
  writer.stdout.on("data", (piece: Buffer) => {
    said += piece.toString();
    if (said.split("\n").length > SYNCED) process.kill(pid, "SIGKILL");
  });
  const exits = [once(noise, "exit"), once(writer, "close")];
  await Promise.all(exits);
  return said.split("\n").length - 1;
}

function assertThere(image: string, count: number): void {
  const volume = openVolume(image);
  const names = new Set(volume.fs.readdirSync("/"));
  const lost = Array.from({ length: count }, (_, i) => `file${i}`).filter((it) => !names.has(it));
  expect({ acknowledged: count, lost }).toEqual({ acknowledged: count, lost: [] });
  for (let i = 0; i < count; i++) {
    const text = volume.fs.readFileSync(`/file${i}`, "utf8");
    expect(text === `${i}:`.repeat(1 + ((i * 37) % 3000))).toBe(true);
  }
  volume.close();
}

describe.skipIf(judge.missing)(`kill -9${judge.hint}`, () => {
  test.each([
    ["ext4, 4k", { blockSize: 4096 }, []],
    ["ext4, 1k, writeback cache", { blockSize: 1024 }, ["-o", "writeback_cache"]],
    ["ext3", { type: "ext3" }, []],
  ] as const)("%s: what was fsynced is there, and the image sound", async (_, make, words) => {
    const place = mountPlace(make, 24 * 2 ** 20);
    const pid = mountInBackground(place, ...words);
    const count = await killInTheMidst(place, pid);
    expect(count).toBeGreaterThanOrEqual(SYNCED);
    // Who watches over the mount takes it away.
    await expect.poll(() => mountsBelow(place.folder)).toEqual([]);
    assertThere(place.image, count);
    const copy = join(place.folder, "copy");
    spawnSync("cp", ["--sparse=always", place.image, copy]);
    expect(complaintsAfterReplay(copy)).toBe("");
    // The next mount replays the journal, and goes on.
    mountInBackground(place, ...words);
    writeFileSync(join(place.directory, "after"), "x");
    expect(daxkit(["umount", place.directory]).status).toBe(0);
    expect(complaintsOf(place.image)).toBe("");
    assertThere(place.image, count);
  });

  test("an fsync brings all that was done before it", () => {
    const place = mountPlace();
    const pid = mountInBackground(place, "-o", "commit=3600");
    const line = 'cd "$1" && mkdir d && echo a > d/a && ln d/a b && echo c > c && sync c';
    expect(spawnSync("sh", ["-c", line, "sh", place.directory]).status).toBe(0);
    process.kill(pid, "SIGKILL");
    const volume = openVolume(place.image);
    expect(volume.fs.readFileSync("/b", "utf8")).toBe("a\n");
    expect(volume.fs.readdirSync("/")).toEqual(["b", "c", "d", "lost+found"]);
    volume.close();
  });

  test("a mount that nobody takes away is dead, and can be unmounted", async () => {
    const place = mountPlace();
    const pid = mountInBackground(place, "-o", "noauto_unmount");
    process.kill(pid, "SIGKILL");
    const look = () => spawnSync("ls", [place.directory], { encoding: "utf8" }).stderr;
    await expect.poll(look).toMatch(/not connected/u);
    expect(mountsBelow(place.folder)).toEqual([place.directory]);
    const again = daxkit(["mount", place.image, place.directory]);
    expect(again.stderr).toMatch(/^daxkit mount: E[A-Z]+: .*umount/u);
    const ended = daxkit(["umount", place.directory]);
    expect({ status: ended.status, stderr: ended.stderr }).toEqual({ status: 0, stderr: "" });
    expect(mountsBelow(place.folder)).toEqual([]);
  });
});
