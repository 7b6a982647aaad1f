/** Volumes that are written to: one writer, what lasts, how it ends, mappings, watchers. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { DaxError } from "../../src/lib/errno.ts";
import { RamMedia } from "../../src/media/ram.ts";
import { libc } from "../../src/node/libc.unsafe.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { checkVolume, openVolume } from "../../src/node/volume.ts";
import { childArguments, runChild } from "../support/child.ts";
import { makeFolder } from "../support/host-tree.ts";
import { makeRamVolume } from "../support/writable-pair.ts";

const folder = makeFolder();
const image = join(folder, "image");
afterAll(() => fs.rmSync(folder, { recursive: true }));
beforeEach(() => {
  fs.rmSync(image, { force: true });
  makeVolume(image, { size: { bytes: 2 ** 23 } });
});

const write = { write: true } as const;
const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

function why(body: () => unknown): string {
  try {
    body();
    return "nothing";
  } catch (error) {
    return (error as Error).message;
  }
}

function findings(source: string | RamMedia): string[] {
  return [...checkVolume(source)].map(({ code, text }) => `${code}: ${text}`);
}

describe("one writer", () => {
  test("in this process, and as many readers as want to", () => {
    const volume = openVolume(image, write);
    expect(why(() => openVolume(image, write))).toMatch(/^EBUSY.*this process/u);
    const reader = openVolume(image);
    expect(reader.writable).toBe(false);
    expect(why(() => reader.fs.writeFileSync("/x", ""))).toMatch(/^EROFS/u);
    reader.close();
    volume.close();
    openVolume(image, write).close();
  });

  test("of another process, who is named", async () => {
    const child = spawn(process.execPath, childArguments("volume-writer", image, "hold"), {
      cwd: join(import.meta.dirname, "../.."),
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    expect(why(() => openVolume(image, write))).toMatch(
      new RegExp(`^EBUSY.*pid ${child.pid}`, "u"),
    );
    child.kill("SIGKILL");
    await once(child, "exit");
    const volume = openVolume(image, write);
    // What was synced before the process was killed is there, and it is written on.
    expect(volume.fs.readFileSync("/synced", "utf8")).toBe("by a child");
    volume.fs.writeFileSync("/after", "x");
    volume.close();
    expect(findings(image)).toEqual([]);
  });

  test("options that contradict each other open nothing", () => {
    const before = fs.readFileSync(image);
    expect(why(() => openVolume(image, { write: true, readOnly: true }))).toMatch(
      /^EINVAL.*write/u,
    );
    expect(why(() => openVolume(image, { readOnly: false }))).toMatch(/^EINVAL.*write: true/u);
    const misspelt: object = { writ: true };
    expect(why(() => openVolume(image, misspelt))).toMatch(/^EINVAL.*no option is called "writ"/u);
    expect(why(() => openVolume(image, { write: true, commit: -1 }))).toMatch(/^EINVAL.*commit/u);
    expect(fs.readFileSync(image).equals(before)).toBe(true);
  });

  test("several volumes in one process do not know each other", () => {
    const made = [makeRamVolume(), makeRamVolume(), makeRamVolume()];
    for (const [i, { volume }] of made.entries()) volume.fs.writeFileSync("/who", `volume ${i}`);
    const seen = made.map(({ volume }) => volume.fs.readFileSync("/who", "utf8"));
    expect(seen).toEqual(["volume 0", "volume 1", "volume 2"]);
    for (const { volume, media } of made) {
      volume.close();
      expect(findings(media)).toEqual([]);
    }
  });
});

/** What whoever opens the bytes as they are now would find. */
function namesOn(media: RamMedia): string[] {
  const reader = openVolume(media);
  try {
    return reader.fs.readdirSync("/");
  } finally {
    reader.close();
  }
}

describe("what lasts", () => {
  test("what is synced; other things when their time has come", async () => {
    const { media, volume } = makeRamVolume({}, { commit: 1 });
    volume.fs.writeFileSync("/synced", "x", { flush: true });
    expect(namesOn(media)).toEqual(["lost+found", "synced"]);
    volume.fs.writeFileSync("/later", "x");
    expect(namesOn(media)).toEqual(["lost+found", "synced"]);
    await pause(2600);
    expect(namesOn(media)).toEqual(["later", "lost+found", "synced"]);
    volume.fs.mkdirSync("/at-once");
    volume.sync();
    expect(namesOn(media)).toContain("at-once");
    volume.close();
    expect(why(() => volume.sync())).toMatch(/^ENXIO.*closed/u);
  });

  test.each(["exit", "idle"])("a process that ends without closing: %s", (how) => {
    const { status, stderr } = runChild("volume-writer", [image, how]);
    expect([status, stderr]).toEqual([0, ""]);
    const volume = openVolume(image, write);
    expect(volume.fs.readFileSync("/synced", "utf8")).toBe("by a child");
    volume.close();
    expect(findings(image)).toEqual([]);
  });
});

/** Media whose device stops to take anything. */
class FailingMedia extends RamMedia {
  failing = false;

  override flush(...range: Parameters<RamMedia["flush"]>): void {
    if (this.failing) throw new DaxError("EIO", { detail: "the device is gone" });
    super.flush(...range);
  }

  override fence(): void {
    if (this.failing) throw new DaxError("EIO", { detail: "the device is gone" });
    super.fence();
  }
}

describe("how it ends", () => {
  test("[2.73] [2.81] an error is told once, and everything is let go of", () => {
    const media = new FailingMedia(2 ** 23, {
      domains: [{ start: 0, length: 2 ** 23, domain: "adr" }],
    });
    makeVolume(media, { zeroed: true });
    const volume = openVolume(media, write);
    volume.fs.writeFileSync("/before", "x");
    volume.sync();
    media.failing = true;
    expect(why(() => volume.fs.writeFileSync("/never", "x"))).toMatch(/^EIO/u);
    expect(why(() => volume.sync())).toMatch(/^EIO/u);
    expect(why(() => volume.fs.writeFileSync("/more", "x"))).toMatch(/^EROFS/u);
    expect(volume.fs.readFileSync("/before", "utf8")).toBe("x");
    expect(why(() => volume.close())).toMatch(/^EIO/u);
    expect(volume.closed).toBe(true);
    expect(why(() => volume.close())).toBe("nothing");
    media.failing = false;
    const again = openVolume(media, write);
    expect(again.fs.readdirSync("/")).toEqual(["before", "lost+found"]);
    again.close();
  });

  const mapped = libc() !== undefined;
  const hint = mapped ? "" : " (skipped: npm install koffi, which maps files)";
  test.skipIf(!mapped)(`a file that is cut behind our back is an error${hint}`, () => {
    const volume = openVolume(image, write);
    volume.fs.writeFileSync("/before", "x");
    volume.sync();
    fs.truncateSync(image, 0);
    expect(why(() => volume.fs.writeFileSync("/never", Buffer.alloc(100_000)))).toMatch(
      /^EIO.*behind our back/u,
    );
    expect(why(() => volume.fs.mkdirSync("/never-too"))).toMatch(/^E(IO|ROFS)/u);
    expect(why(() => volume.sync())).toMatch(/^E(IO|ROFS)/u);
    expect(why(() => volume.close())).toMatch(/^EIO/u);
    expect(why(() => volume.close())).toBe("nothing");
  });

  test("a file whose name goes is written to all the same", () => {
    const volume = openVolume(image, write);
    const kept = fs.openSync(image, "r");
    fs.unlinkSync(image);
    volume.fs.writeFileSync("/still", "x");
    volume.close();
    const media = RamMedia.over(new Uint8Array(fs.readFileSync(kept)));
    fs.closeSync(kept);
    expect(findings(media)).toEqual([]);
    const again = openVolume(media);
    expect(again.fs.readFileSync("/still", "utf8")).toBe("x");
    again.close();
  });

  test("files that are open keep it open, unless they are revoked", () => {
    const { media, volume } = makeRamVolume();
    const fd = volume.fs.openSync("/open", "w");
    volume.fs.unlinkSync("/open");
    volume.fs.writeSync(fd, "text");
    expect(why(() => volume.close())).toMatch(/^EBUSY.*open file/u);
    expect(volume.closed).toBe(false);
    expect(volume.fs.writeSync(fd, "more")).toBe(4);
    volume.close({ revoke: true });
    expect(why(() => volume.fs.writeSync(fd, "x"))).toMatch(/^EBADF/u);
    expect(findings(media)).toEqual([]);
  });

  test("a timer keeps no process, and ends with the volume", () => {
    const { volume } = makeRamVolume();
    const active = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    volume.close();
    const left = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
    expect(left).toBeLessThanOrEqual(active);
  });
});

describe("a disk that is full", () => {
  const full = "ENOSPC: no space left on device, write";

  test("says so in every flavour, and is clean afterwards", async () => {
    const { media, volume } = makeRamVolume({}, {}, 2 ** 20);
    const { fs: ours } = volume;
    const big = Buffer.alloc(2 ** 21, 1);
    expect(why(() => ours.writeFileSync("/big", big))).toBe(full);
    expect(ours.statSync("/big").size).toBeGreaterThan(0);
    await expect(ours.promises.writeFile("/big2", big)).rejects.toMatchObject({ message: full });
    const stream = ours.createWriteStream("/big3");
    stream.end(big);
    const [error] = (await once(stream, "error")) as [Error];
    expect(error).toMatchObject({ message: full, code: "ENOSPC", errno: -28, syscall: "write" });
    const fd = ours.openSync("/big3", "a");
    expect(why(() => ours.writeSync(fd, Buffer.alloc(8192)))).toBe(full);
    ours.closeSync(fd);
    for (const name of ["/big", "/big2", "/big3"]) ours.unlinkSync(name);
    ours.writeFileSync("/small", "there is room again");
    volume.close();
    expect(findings(media)).toEqual([]);
  });

  test("of its inodes, too", () => {
    const { media, volume } = makeRamVolume({ inodes: 16 });
    const made = [];
    const error = why(() => {
      for (let i = 0; ; i++) {
        volume.fs.writeFileSync(`/file-${i}`, "x");
        made.push(i);
      }
    });
    expect(error).toBe(`ENOSPC: no space left on device, open '/file-${made.length}'`);
    volume.close();
    expect(findings(media)).toEqual([]);
  });
});

describe("on behalf of somebody", () => {
  test("modes are checked, and what is made is theirs", () => {
    const { media, volume } = makeRamVolume();
    volume.fs.mkdirSync("/home");
    volume.fs.chownSync("/home", 1000, 1000);
    volume.fs.writeFileSync("/secret", "x", { mode: 0o600 });
    volume.close();
    const theirs = openVolume(media, {
      ...write,
      credentials: { uid: 1000, gid: 1000 },
      umask: 0o077,
    });
    theirs.fs.writeFileSync("/home/own", "x");
    expect(theirs.fs.statSync("/home/own")).toMatchObject({ uid: 1000, mode: 0o100600 });
    for (const body of [
      () => theirs.fs.readFileSync("/secret"),
      () => theirs.fs.writeFileSync("/new", "x"),
      () => theirs.fs.accessSync("/secret", fs.constants.R_OK),
      () => theirs.fs.mkdirSync("/dir/in", { recursive: true }),
      () => theirs.open("/secret"),
    ]) {
      expect(why(body)).toMatch(/^EACCES: permission denied, /u);
    }
    expect(why(() => theirs.fs.chownSync("/home/own", 0, 0))).toMatch(/^EPERM/u);
    expect(why(() => theirs.fs.chmodSync("/secret", 0o666))).toMatch(/^EPERM/u);
    theirs.close();
  });

  test.each([{ uid: 1000 }, { uid: -1, gid: 0 }, { uid: 1, gid: 1, groups: ["wheel"] }])(
    "%j say too little of them",
    (credentials) => {
      const options = { ...write, credentials } as object;
      expect(why(() => openVolume(image, options))).toMatch(/^EINVAL: .*uid, gid and groups are/u);
      openVolume(image, write).close();
    },
  );
});

test("a size for a new volume says of what", () => {
  const options = { size: 2 ** 23 } as object;
  expect(why(() => makeVolume(join(folder, "other"), options))).toMatch(/^EINVAL: .*\{ bytes \}/u);
});

describe("mmapSync", () => {
  test("stores through it are in the file", () => {
    const { media, volume } = makeRamVolume();
    const { fs: ours } = volume;
    ours.writeFileSync("/mapped", Buffer.alloc(10_000, 1));
    const mapping = ours.mmapSync("/mapped", { offset: 4096, length: 5000 });
    mapping.bytes.fill(7, 0, 10);
    mapping.flush();
    expect(ours.readFileSync("/mapped").subarray(4096, 4106)).toEqual(Buffer.alloc(10, 7));
    mapping.unmap();
    const fd = ours.openSync("/mapped", "r");
    const reading = ours.mmapSync(fd);
    ours.closeSync(fd);
    expect(reading.length).toBe(10_000);
    expect(reading.getUint8(4096)).toBe(7);
    reading.unmap();
    volume.close();
    expect(findings(media)).toEqual([]);
  });

  test("private and lazy as asked", () => {
    const { volume } = makeRamVolume();
    const { fs: ours } = volume;
    ours.writeFileSync("/f", Buffer.alloc(10_000, 1));
    const own = ours.mmapSync("/f", { private: true, access: "write", populate: "read" });
    own.setUint8(3, 9);
    expect([own.getUint8(3), ours.readFileSync("/f")[3]]).toEqual([9, 1]);
    own.unmap();
    ours.truncateSync("/f", 2 ** 30);
    const lazy = ours.mmapSync("/f", { lazy: true });
    lazy.setUint8(2 ** 29, 5);
    expect(ours.statSync("/f").blocks).toBeLessThan(50);
    lazy.unmap();
    volume.close();
  });

  test("says what is wrong", () => {
    const { volume } = makeRamVolume();
    const { fs: ours } = volume;
    ours.writeFileSync("/short", "x");
    const fd = ours.openSync("/short", "r");
    expect(why(() => ours.mmapSync("/none"))).toMatch(/^ENOENT.*mmap '\/none'/u);
    expect(why(() => ours.mmapSync("/short", { offset: 5 }))).toMatch(/^EINVAL/u);
    expect(why(() => ours.mmapSync(fd, { access: "write" }))).toMatch(/^E(ACCES|BADF)/u);
    expect(why(() => ours.mmapSync("/"))).toMatch(/^EISDIR/u);
    expect(why(() => ours.mmapSync(12))).toMatch(/^EBADF/u);
    expect(why(() => ours.mmapSync("/short", { length: 0 }))).toMatch(/out of range/u);
    expect(why(() => ours.mmapSync("/short", { access: "both" as never }))).toMatch(/'read' or/u);
    expect(why(() => ours.mmapSync("/short", { sync: 1 as never }))).toMatch(/boolean/u);
    expect(why(() => ours.mmapSync("/short", { populate: 1 as never }))).toMatch(/'read' or/u);
    ours.closeSync(fd);
    volume.close();
  });
});
