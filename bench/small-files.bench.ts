/**
 * Reading 10,000 small files out of an ext4 image, against ext2fs (libext2fs as WebAssembly, the
 * npm package for this job). Both list every directory and read every file whole; the peer offers
 * promises only, and its disk is read from a descriptor.
 */
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { openVolume } from "../src/node/volume.ts";
import { folderWithManyFiles, makeImage, scratch } from "./images.ts";
import { raceWhole, report } from "./measure.ts";

const COUNT = 10_000;

interface PeerFs {
  readonly promises: {
    readdir(path: string): Promise<string[]>;
    readFile(path: string): Promise<Uint8Array>;
  };
}
interface Peer {
  withMountedDisk<T>(disk: object, offset: number, body: (fs: PeerFs) => Promise<T>): Promise<T>;
}

const peer = createRequire(import.meta.url)("ext2fs") as Peer;
const root = scratch();
const image = makeImage(join(root, "image"), "128M", folderWithManyFiles(root, COUNT));

function readOurs(): number {
  const volume = openVolume(image);
  let bytes = 0;
  for (const directory of volume.fs.readdirSync("/")) {
    if (directory === "lost+found") continue;
    for (const name of volume.fs.readdirSync(`/${directory}`)) {
      bytes += volume.fs.readFileSync(`/${directory}/${name}`).length;
    }
  }
  volume.close();
  return bytes;
}

async function readTheirs(): Promise<number> {
  const fd = fs.openSync(image, "r");
  const disk = {
    read: async (buffer: Buffer, at: number, length: number, position: number) => ({
      bytesRead: fs.readSync(fd, buffer, at, length, position),
      buffer,
    }),
    // It writes access times; not keeping them costs it nothing.
    write: async () => {},
    discard: async () => {},
    flush: async () => {},
    getCapacity: async () => fs.fstatSync(fd).size,
  };
  const bytes = await peer.withMountedDisk(disk, 0, async ({ promises }) => {
    let sum = 0;
    // Its operations are queued one behind the other anyway.
    /* oxlint-disable no-await-in-loop */
    for (const directory of await promises.readdir("/")) {
      if (directory === "lost+found") continue;
      for (const name of await promises.readdir(`/${directory}`)) {
        sum += (await promises.readFile(`/${directory}/${name}`)).length;
      }
    }
    return sum;
  });
  fs.closeSync(fd);
  return bytes;
}

const same = readOurs();
const [ours = 0, theirs = 0] = await raceWhole(
  5,
  { name: "daxkit", run: readOurs },
  {
    name: "ext2fs",
    async run() {
      const bytes = await readTheirs();
      if (bytes !== same) throw new Error(`the peer read ${bytes} bytes, not ${same}`);
    },
  },
);
report({
  what: "reading 10,000 small files out of an image, against ext2fs",
  figure: `${(theirs / ours).toFixed(1)}x`,
  target: "at least 5x",
  met: theirs / ours >= 5,
  detail: `${ours.toFixed(0)} ms against ${theirs.toFixed(0)} ms, mount included`,
});
