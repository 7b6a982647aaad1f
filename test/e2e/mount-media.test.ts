/** Media that fail under a mount: programs hear of it, nothing hangs, and it can be unmounted. */
import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { programs } from "../judges/judge.ts";
import { daxkit } from "../support/daxkit.ts";
import {
  complaintsAfterReplay,
  fuseMounts,
  mountInBackground,
  mountPlace,
  mountsBelow,
} from "../support/mounting.ts";

const tools = programs(["e2fsck"], "apt-get install e2fsprogs");
const judge = tools.missing ? tools : fuseMounts();

function sh(line: string, ...words: string[]): string {
  const { stdout, stderr } = spawnSync("sh", ["-c", line, "sh", ...words], { encoding: "utf8" });
  return stdout + stderr;
}

describe.skipIf(judge.missing)(`media that fail${judge.hint}`, () => {
  test("a sparse image that finds no room: EIO, read-only, and an unmount that says so", () => {
    const place = mountPlace();
    const { folder, directory } = place;
    const small = join(folder, "small");
    mkdirSync(small);
    spawnSync("mount", ["-t", "tmpfs", "-o", "size=6m", "small", small]);
    onTestFinished(() => void spawnSync("umount", ["-l", small]));
    const image = join(small, "disk.img");
    expect(daxkit(["mkfs.ext4", "-q", image, "64M"]).status).toBe(0);
    const log = join(folder, "log");
    mountInBackground({ folder, directory, image }, "--log", log);
    writeFileSync(join(directory, "before"), "kept");
    expect(sh('sync "$1/before"', directory)).toBe("");
    const line = 'yes | head -c 30000000 > "$1/big"; sync "$1/big"; mkdir "$1/more"';
    expect(sh(line, directory)).toMatch(/Input\/output error[^]*Read-only file system/u);
    expect(readFileSync(join(directory, "before"), "utf8")).toBe("kept");
    const ended = daxkit(["umount", directory]);
    expect(ended.stderr).toMatch(/^daxkit umount: EIO: .*not on the device.*\n$/u);
    expect(ended.status).toBe(1);
    expect(mountsBelow(folder)).toEqual([small]);
    expect(readFileSync(log, "utf8")).toMatch(/nothing is written any more[^]*EIO/u);
    const copy = join(folder, "copy");
    expect(sh('cp --sparse=always "$1" "$2"', image, copy)).toBe("");
    expect(complaintsAfterReplay(copy)).toBe("");
    expect(daxkit(["cat", `${copy}:/before`]).stdout).toBe("kept");
  });

  test("a file that is cut under its mount: EIO, and the rest goes on", () => {
    const place = mountPlace({}, 2 ** 23);
    const { folder, directory } = place;
    const image = join(folder, "cut.img");
    const big = join(folder, "big");
    writeFileSync(big, "x".repeat(3_000_000));
    expect(daxkit(["cp", big, `${place.image}:/big`]).status).toBe(0);
    copyFileSync(place.image, image);
    mountInBackground({ folder, directory, image });
    expect(readdirSync(directory)).toContain("big");
    truncateSync(image, 2 ** 20);
    expect(sh('cat "$1/big" > /dev/null', directory)).toMatch(/Input\/output error/u);
    expect(readdirSync(directory)).toContain("big");
    const status = daxkit(["umount", directory]).status ?? -1;
    expect([0, 1]).toContain(status);
    expect(mountsBelow(folder)).toEqual([]);
  });
});
