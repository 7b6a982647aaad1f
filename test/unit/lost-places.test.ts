/**
 * What is lost of a recorded disk, in words of the filesystem on it.
 */
import { expect, test } from "vitest";
import { type BlockDevice, SECTOR_SIZE } from "../../src/block/block-device.ts";
import { Partition } from "../../src/block/partition.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { RecordedDevice } from "../../src/block/recorded-device.ts";
import { LogWriter } from "../../src/block/write-log-writer.ts";
import { lostIn } from "../../src/crash/block-explorer.ts";
import { BlockFrontier } from "../../src/crash/block-frontier.ts";
import { BlockImage } from "../../src/crash/block-image.ts";
import { type Stop, nameOfState } from "../../src/crash/block-states.ts";
import { traceOfLog } from "../../src/crash/block-trace.ts";
import { ext } from "../../src/fs/ext/ext.ts";
import { seededEnvironment } from "../../src/lib/environment.ts";
import { withPlaces } from "../../src/node/replay/lost-places.ts";
import { FileTree } from "../../src/vfs/file-tree.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { MemoryLog } from "../support/memory-log.ts";
import { mbrImage } from "../support/partition-images.ts";

const OPTIONS = { type: "ext4", blockSize: 4096 } as const;
const END: Stop = { index: 0, kind: "end", entry: 0, mark: undefined };

/** Runs calls on a volume; what each request of theirs holds, were it alone lost. */
function placesOf(
  base: Uint8Array<ArrayBuffer>,
  volumeOn: (disk: BlockDevice) => BlockDevice,
  unit: number,
): Map<number, readonly string[]> {
  const sink = new MemoryLog();
  const log = new LogWriter(sink);
  const disk = new RamDisk({ name: "ram0", bytes: base.slice() });
  const volume = ext.mount(
    volumeOn(new RecordedDevice(disk, log)),
    { write: true },
    seededEnvironment(1),
  );
  const tree = new FileTree(volume);
  const file = tree.open("/data/b", { access: "write", create: true });
  file.pwrite(new Uint8Array(6000).fill(7), 0);
  file.close();
  tree.rename("/data/a", "/data/c");
  volume.unmount();
  log.finish();
  const image = base.slice();
  const frontier = new BlockFrontier(new BlockImage(image), { unit });
  // As if nothing had been flushed: any request may be the one that is missing.
  for (const event of traceOfLog(sink.open(), { size: base.length }).events) {
    if (event.kind === "write") frontier.write(event);
  }
  const words = new Map<number, readonly string[]>();
  for (const at of frontier.openUnits()) {
    const given = new Map([[at, 0]]);
    const state = nameOfState(END, frontier.model, given);
    const failure = { state, said: "no", lost: lostIn(frontier, given) };
    const placed = withPlaces(failure, frontier, new RamDisk({ name: "ram0", bytes: image }));
    const places = placed.lost[0]?.places ?? [];
    for (const { start, length } of places) {
      expect(start >= at * unit && start + length <= (at + 1) * unit).toBe(true);
    }
    words.set(
      at,
      places.map((place) => place.words),
    );
  }
  return words;
}

/** A volume with `/data/a`. */
function volumeImage(): Uint8Array<ArrayBuffer> {
  const bytes = emptyImage(OPTIONS);
  const volume = ext.mount(
    new RamDisk({ name: "r", bytes }),
    { write: true },
    seededEnvironment(1),
  );
  const tree = new FileTree(volume);
  tree.mkdir("/data");
  const file = tree.open("/data/a", { access: "write", create: true });
  file.pwrite(new Uint8Array(100).fill(1), 0);
  file.close();
  volume.unmount();
  return bytes;
}

test("every kind of block has its name, and fields have theirs", () => {
  const words = [...placesOf(volumeImage(), (disk) => disk, 4096).values()].flat();
  const inode = words.find((each) => each.includes("(/data/b)"));
  expect(inode).toMatch(/^inode \d+ \(\/data\/b\): mode, size.*linksCount/u);
  expect(words).toEqual(
    expect.arrayContaining([
      "/data/b: bytes 0 to 4095",
      "/data/b: bytes 4096 to 5999",
      expect.stringMatching(/^directory block of \/data: bytes \d+ to \d+$/u),
      expect.stringMatching(/^inode \d+ \(\/data\): .*checksum/u),
      "block bitmap of group 0",
      "inode bitmap of group 0",
      expect.stringMatching(/^group descriptors: freeBlocksCount of group 0/u),
      expect.stringMatching(/^superblock: .*checksum/u),
      expect.stringMatching(/^journal superblock: sequence/u),
      expect.stringMatching(/^journal block \d+: descriptor of transaction \d+$/u),
      expect.stringMatching(/^journal block \d+: commit of transaction \d+$/u),
      expect.stringMatching(/^journal block \d+: copy of a block$/u),
    ]),
  );
  expect(words.filter((each) => each.includes("no file"))).toEqual([]);
});

test("a volume in a partition is found, and sectors are told apart", () => {
  const volume = volumeImage();
  const first = 8;
  const sectors = volume.length / SECTOR_SIZE;
  const image = mbrImage(first + sectors, [{ type: 0x83, start: first, sectors }]);
  image.set(volume, first * SECTOR_SIZE);
  const name = "ram0p1";
  const slice = (disk: BlockDevice) => new Partition(disk, { name, start: first, sectors });
  const words = placesOf(image, slice, 512);
  const all = [...words.values()].flat();
  expect(all).toContain("partition 1: /data/b: bytes 512 to 1023");
  expect(all).toContain("partition 1: /data/b: bytes 5632 to 5999");
});

test("where nothing is known, nothing is said", () => {
  const frontier = new BlockFrontier(new BlockImage(new Uint8Array(8192)), { unit: 512 });
  const data = new Uint8Array(512).fill(3);
  frontier.write({ kind: "write", sector: 4, length: 512, data, fua: false, entry: 9 });
  const given = new Map([[4, 0]]);
  const state = nameOfState(END, frontier.model, given);
  const failure = { state, said: "no", lost: lostIn(frontier, given) };
  const disk = new RamDisk({ name: "ram0", bytes: frontier.image.bytes });
  expect(withPlaces(failure, frontier, disk)).toEqual(failure);
});
