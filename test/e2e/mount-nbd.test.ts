/**
 * One volume at once mounted, written to by the process that opened it, and copied over NBD: a copy
 * of any moment is what a power cut leaves, and sound once its journal was replayed.
 */
import { execFile, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { mountFuse } from "../../src/node/fuse/mount.ts";
import { openExport } from "../../src/node/nbd/open-export.ts";
import { serveNbd } from "../../src/node/nbd/server.ts";
import { exportVolume } from "../../src/node/nbd/volume-export.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { openVolume } from "../../src/node/volume.ts";
import { programs } from "../judges/judge.ts";
import { daxkit } from "../support/daxkit.ts";
import {
  complaintsAfterReplay,
  complaintsOf,
  fuseMounts,
  mountInBackground,
  mountPlace,
} from "../support/mounting.ts";
import { places, scratch } from "../support/scratch.ts";

const tools = programs(["e2fsck", "nbdcopy"], "apt-get install e2fsprogs libnbd-bin");
const judge = tools.missing ? tools : fuseMounts();
const run = promisify(execFile);

/** Works on a mount until it is told to stop: makes, links, renames, cuts and removes. */
const LOAD = `i=0; while [ -e "$1/go" ]; do i=$((i+1)); d="$1/d$((i % 7))"; mkdir -p "$d"
head -c $((i * 977 % 70000)) /dev/zero | tr '\\0' x > "$d/f$i"; ln -f "$d/f$i" "$d/hard"
mv -f "$d/f$i" "$d/kept$((i % 5))"; [ $((i % 3)) = 0 ] && rm -rf "$d"; done`;

describe.skipIf(judge.missing)(`a volume in use everywhere${judge.hint}`, () => {
  test("is seen alike, and copies of it are sound", async () => {
    const image = scratch(places["tmpfs"] ?? places["disk"]);
    const folder = join(image, "..");
    const directory = join(folder, "mnt");
    mkdirSync(directory);
    makeVolume(image, { size: { bytes: 2 ** 24 } });
    const volume = openVolume(image, { write: true, commit: 1 });
    const server = await serveNbd({
      exports: [exportVolume(volume)],
      listen: { path: join(folder, "socket") },
    });
    const mount = await mountFuse(volume, directory);
    onTestFinished(async () => {
      await mount.unmount({ force: true });
      await server.close();
      volume.close({ revoke: true });
    });
    volume.fs.writeFileSync("/go", "");
    const load = spawn("sh", ["-c", LOAD, "sh", directory], { stdio: "ignore" });
    const done = new Promise((resolve) => {
      load.once("exit", resolve);
    });
    let written = 0;
    const clock = setInterval(() => {
      written++;
      volume.fs.mkdirSync(`/ours${written % 3}`, { recursive: true });
      volume.fs.writeFileSync(`/ours${written % 3}/${written % 11}`, `${written}`.repeat(500));
    }, 5);
    for (let i = 0; i < 6; i++) {
      const copy = join(folder, `copy${i}`);
      // oxlint-disable-next-line no-await-in-loop -- one moment after the other
      await run("nbdcopy", ["--connections=2", String(server.uri()), copy]);
      expect(complaintsAfterReplay(copy)).toBe("");
      const moment = openVolume(copy);
      expect(moment.fs.existsSync("/go")).toBe(true);
      moment.close();
    }
    clearInterval(clock);
    expect(written).toBeGreaterThan(6);
    volume.fs.unlinkSync("/go");
    await done;
    // What was done here is seen there, and what was done there is seen here.
    volume.fs.writeFileSync("/last", "by the library");
    const { stdout } = await run("cat", [join(directory, "last")]);
    expect(stdout).toBe("by the library");
    await run("sh", ["-c", `echo by a program > ${directory}/last`]);
    expect(volume.fs.readFileSync("/last", "utf8")).toBe("by a program\n");
    await mount.unmount();
    await server.close();
    volume.close();
    expect(complaintsOf(image)).toBe("");
  });

  test("clients that are there together see one moment, and the next one another", async () => {
    const image = scratch(places["tmpfs"] ?? places["disk"]);
    makeVolume(image, { size: { bytes: 2 ** 22 } });
    const volume = openVolume(image, { write: true });
    const served = exportVolume(volume);
    const mark = volume.device.sectors * 512;
    const read = (): Buffer => {
      const bytes = Buffer.alloc(mark);
      served.store.read(0, bytes);
      return bytes;
    };
    served.onAttach?.();
    const first = read();
    volume.fs.writeFileSync("/x", "after");
    volume.sync();
    served.onAttach?.();
    served.onDetach?.();
    expect(read().equals(first)).toBe(true);
    served.onDetach?.();
    served.onAttach?.();
    expect(read().equals(first)).toBe(false);
    served.onDetach?.();
    expect(() => served.store.write(0, first)).toThrow(/EROFS/u);
    const live = exportVolume(volume, { live: true });
    const superblock = Buffer.alloc(1024);
    live.store.read(1024, superblock);
    expect(superblock.equals(readFileSync(image).subarray(1024, 2048))).toBe(true);
    // The file itself can be served beside it as well.
    const file = openExport(image, { readOnly: true });
    volume.fs.writeFileSync("/x", "again");
    volume.sync();
    live.store.read(0, first);
    const bytes = Buffer.alloc(mark);
    file.export.store.read(0, bytes);
    expect(bytes.equals(first)).toBe(true);
    file.close();
    volume.close();
  });

  test("the command serves what it mounts", () => {
    const place = mountPlace();
    const socket = join(place.folder, "socket");
    mountInBackground(place, "--nbd", socket);
    writeFileSync(join(place.directory, "file"), "x".repeat(100_000));
    const copy = join(place.folder, "copy");
    const uri = `nbd+unix:///?socket=${socket}`;
    expect(spawnSync("nbdcopy", [uri, copy], { encoding: "utf8" }).stderr).toBe("");
    expect(complaintsAfterReplay(copy)).toBe("");
    expect(daxkit(["cat", `${copy}:/file`]).stdout.length).toBe(100_000);
    expect(daxkit(["umount", place.directory]).status).toBe(0);
    expect(complaintsOf(place.image)).toBe("");
  });
});
