/** `daxkit/ext2fs` beside ext2fs: a program runs on either, and each reads the other's disk. */
import { createRequire } from "node:module";
import { afterAll, expect, test } from "vitest";
import { RamMedia } from "../../src/media/ram.ts";
import * as ours from "../../src/node/ext2fs.ts";
import { makeVolume } from "../../src/node/make-volume.ts";
import { openVolume } from "../../src/node/volume.ts";
import { bytesOf } from "../support/writable-pair.ts";

/** As `file-disk` has them, in memory. */
class MemoryDisk implements ours.Disk {
  readonly bytes: Buffer;
  written = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes);
  }

  async getCapacity(): Promise<number> {
    return this.bytes.length;
  }

  async read(buffer: Buffer, at: number, length: number, offset: number): Promise<unknown> {
    const bytesRead = this.bytes.copy(buffer, at, offset, offset + length);
    return { bytesRead, buffer };
  }

  async write(buffer: Buffer, at: number, length: number, offset: number): Promise<unknown> {
    this.written += length;
    const bytesWritten = buffer.copy(this.bytes, offset, at, at + length);
    return { bytesWritten, buffer };
  }

  async discard(): Promise<void> {}

  async flush(): Promise<void> {}
}

const OFFSET = 2 ** 20;
const media = new RamMedia(OFFSET + 2 ** 24);
makeVolume(media, { zeroed: true, type: "ext4", offset: OFFSET, features: "^metadata_csum" });
const empty = bytesOf({ media });
afterAll(() => media.close());

/** What both have of a mounted disk. */
type Fs = Pick<ours.MountedFs, "promises">;
type Body = (fs: Fs) => Promise<unknown>;

const fill: Body = async ({ promises: fs }) => {
  await fs.mkdir("/dir");
  await fs.writeFile("/dir/file", "written");
  await fs.writeFile("/big", Buffer.alloc(300_000, 5));
  await fs.symlink("dir/file", "/link");
  await fs.rename("/big", "/dir/big");
};

const look: Body = async ({ promises: fs }) => [
  (await fs.readdir("/")).toSorted(),
  await fs.readFile("/dir/file", "utf8"),
  Buffer.from(await fs.readFile("/dir/big")).equals(Buffer.alloc(300_000, 5)),
  await fs.readlink("/link"),
  (await fs.stat("/dir")).isDirectory(),
];

interface Peer {
  withMountedDisk(disk: MemoryDisk, offset: number, body: Body): Promise<unknown>;
}
const peers: Readonly<Record<string, Peer>> = {
  ours,
  ext2fs: createRequire(import.meta.url)("ext2fs") as Peer,
};

test.each([
  ["ours", "ext2fs"],
  ["ext2fs", "ours"],
  ["ours", "ours"],
])("%s writes, and %s reads", async (writer, reader) => {
  const disk = new MemoryDisk(empty);
  await peers[writer]?.withMountedDisk(disk, OFFSET, fill);
  const seen = await peers[reader]?.withMountedDisk(disk, OFFSET, look);
  expect(seen).toEqual([["dir", "link", "lost+found"], "written", true, "dir/file", true]);
});

test("what did not change is not written back, nor anything of a disk for reading", async () => {
  const disk = new MemoryDisk(empty);
  await ours.withMountedDisk(disk, OFFSET, ({ promises }) => promises.writeFile("/small", "x"));
  expect(disk.written).toBeGreaterThan(0);
  expect(disk.written).toBeLessThan(disk.bytes.length / 2);
  const locked = Object.assign(new MemoryDisk(disk.bytes), { readOnly: true });
  await ours.withMountedDisk(locked, OFFSET, async ({ promises }) => {
    await expect(promises.writeFile("/small", "y")).rejects.toMatchObject({ code: "EROFS" });
  });
  expect(locked.written).toBe(0);
});

test("sync writes back what is done so far; umount is done once", async () => {
  const disk = new MemoryDisk(empty);
  const fs = await ours.mount(disk, OFFSET);
  fs.writeFileSync("/synced", "yes");
  await fs.sync();
  const volume = openVolume(RamMedia.over(new Uint8Array(disk.bytes)), { offset: OFFSET });
  expect(volume.fs.readFileSync("/synced", "utf8")).toBe("yes");
  volume.close();
  await ours.umount(fs);
  await expect(ours.umount(fs)).rejects.toMatchObject({ code: "EINVAL" });
});
