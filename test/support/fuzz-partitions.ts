/**
 * Whole disks with damaged partition tables: a table, none, or a typed error, and whatever
 * filesystem lies in what is left.
 */
import { crc32 } from "node:zlib";
import {
  DISK_MAX_PARTS,
  openPartitions,
  readPartitionTable,
} from "../../src/block/partition-table.ts";
import { RamDisk } from "../../src/block/ram-disk.ts";
import { GptEntry, GptHeader } from "../../src/format/gpt.ts";
import { MSDOS_ENTRIES_OFFSET, MsdosPartition } from "../../src/format/mbr.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { struct } from "../../src/lib/struct.ts";
import { openVolume } from "../../src/node/volume.ts";
import type { CaseNotes, FuzzSubject, FuzzTarget } from "./fuzz.ts";
import { type Structure, StructurePool, damage } from "./fuzz-damage.ts";
import { Fuel, FuelMedia } from "./fuzz-fuel.ts";
import { PatchedBytes } from "./patched-bytes.ts";
import { gptImage, mbrImage, writeMbr } from "./partition-images.ts";
import { tinyImage } from "./tiny-images.ts";

const SECTOR = 512;
const SECTORS = 256;
/** The first sector of the partition that holds a filesystem. */
const FILESYSTEM_AT = 40;

const Signature = struct("msdos_signature", 2, (at) => ({ magic: at.le16() }));
const FOUR_ENTRIES = [0, 1, 2, 3].map((i) => ({
  at: MSDOS_ENTRIES_OFFSET + 16 * i,
  fields: MsdosPartition,
}));

/** A disk whose table can be damaged. */
interface Disk {
  readonly name: string;
  readonly image: PatchedBytes;
  readonly pool: StructurePool;
  readonly palette: readonly number[];
}

function diskOf(
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  mbrSectors: readonly number[],
  gpt: boolean,
): Disk {
  const image = new PatchedBytes(bytes);
  const last = bytes.length / SECTOR - 1;
  const structures = mbrSectors.map((sector) => mbrStructure(sector));
  if (gpt) structures.push(...gptStructures(image, last));
  const palette = [last, last + 1, 1, 34, FILESYSTEM_AT, ...mbrSectors];
  return { name, image, pool: new StructurePool(structures), palette };
}

function mbrStructure(sector: number): Structure {
  return {
    name: `${sector === 0 ? "MBR" : "link"} at ${sector}`,
    start: sector * SECTOR,
    length: SECTOR,
    parts: [...FOUR_ENTRIES, ...FOUR_ENTRIES, { at: 510, fields: Signature }],
  };
}

function gptStructures(image: PatchedBytes, last: number): Structure[] {
  const headers = [1, last];
  const seal = (): void => {
    for (const lba of headers) sealGpt(image, lba);
  };
  return headers.flatMap((lba) => {
    const entries = GptHeader.partitionEntryLba.get(image.view, lba * SECTOR);
    const parts = [0, 1, 2, 127].map((i) => ({ at: 128 * i, fields: GptEntry }));
    return [
      {
        name: `header at ${lba}`,
        start: lba * SECTOR,
        length: 92,
        parts: [{ at: 0, fields: GptHeader }],
        seal,
      },
      { name: `entries at ${entries}`, start: entries * SECTOR, length: 128 * 128, parts, seal },
    ];
  });
}

/** Makes both checksums of a header right, as far as its numbers can be followed. */
function sealGpt(image: PatchedBytes, lba: number): void {
  const { view, bytes } = image;
  const at = lba * SECTOR;
  const set = (field: { offset: number }, value: number): void => {
    const word = new Uint8Array(4);
    new DataView(word.buffer).setUint32(0, value, true);
    image.write(at + field.offset, word);
  };
  const start = GptHeader.partitionEntryLba.get(view, at) * SECTOR;
  const count = GptHeader.numPartitionEntries.get(view, at);
  const length = count * GptHeader.sizeofPartitionEntry.get(view, at);
  if (start + length <= bytes.length) {
    set(GptHeader.partitionEntryArrayCrc32, crc32(bytes.subarray(start, start + length)));
  }
  set(GptHeader.headerCrc32, 0);
  const size = Math.min(GptHeader.headerSize.get(view, at), SECTOR);
  set(GptHeader.headerCrc32, crc32(bytes.subarray(at, at + size)));
}

function chained(): Disk {
  const image = mbrImage(SECTORS, [
    { type: 0x83, start: 1, sectors: 9 },
    { type: 0x05, start: 10, sectors: 200 },
    { type: 0x0f, start: 60, sectors: 150 },
  ]);
  for (let link = 10; link < 50; link += 10) {
    writeMbr(image, link, [
      { type: 0x83, start: 1, sectors: 5 },
      { type: 0x05, start: link, sectors: 20 },
      { type: 0x83, start: 6, sectors: 2 },
    ]);
  }
  return diskOf("chain", image, [0, 10, 20, 30, 40], false);
}

function guids(): Disk {
  const image = gptImage(SECTORS, [
    { index: 1, first: 40, last: 50, name: "a" },
    { index: 128, first: 60, last: 200 },
  ]);
  return diskOf("GPT", image, [0], true);
}

/** A disk with the filesystem of a small image in its first partition. */
function withFilesystem(label: "MBR" | "GPT"): Disk {
  const filesystem = tinyImage("inline");
  const sectors = filesystem.length / SECTOR;
  const all = FILESYSTEM_AT + sectors + 40;
  const last = FILESYSTEM_AT + sectors - 1;
  const image =
    label === "MBR"
      ? mbrImage(all, [{ type: 0x83, start: FILESYSTEM_AT, sectors }])
      : gptImage(all, [{ index: 1, first: FILESYSTEM_AT, last, name: "root" }]);
  image.set(filesystem, FILESYSTEM_AT * SECTOR);
  return diskOf(`${label} with ext4`, image, [0], label === "GPT");
}

class DiskSubject implements FuzzSubject {
  readonly #disks = [chained(), guids(), withFilesystem("MBR"), withFilesystem("GPT")];

  run(prng: Prng, notes: CaseNotes): string {
    const { name, image, pool, palette } = prng.pick(this.#disks);
    notes.say(name);
    try {
      for (let left = 1 + prng.below(4); left > 0; left--) {
        const structure = pool.pick(prng);
        notes.say(damage(image, structure, prng, palette));
        if (prng.below(6) !== 0) structure.seal?.();
      }
      const sectors = prng.below(10) === 0 ? prng.below(image.bytes.length / SECTOR) : undefined;
      const bytes = image.bytes.subarray(0, sectors === undefined ? undefined : sectors * SECTOR);
      if (sectors !== undefined) notes.say(`cut to ${sectors} sectors`);
      return prng.below(4) === 0 ? openOne(bytes, prng, notes) : readTable(bytes, prng, notes);
    } finally {
      image.restore();
    }
  }

  audit(): void {
    for (const { image } of this.#disks) image.audit();
  }
}

/** Reads the table, and the first and the last sector of every partition. */
function readTable(bytes: Uint8Array<ArrayBuffer>, prng: Prng, notes: CaseNotes): string {
  const logicalBlockSize = prng.below(20) === 0 ? 4096 : SECTOR;
  notes.say(`blocks of ${logicalBlockSize}`);
  const limits = { logicalBlockSize, physicalBlockSize: 4096 };
  const disk = new RamDisk({ name: "pmem0", bytes, limits, readOnly: true });
  const table = readPartitionTable(disk);
  if (table === undefined) return "no table";
  const { partitions } = openPartitions(disk, table);
  if (partitions.size >= DISK_MAX_PARTS) throw new Error(`${partitions.size} partitions`);
  const sector = new Uint8Array(SECTOR);
  for (const partition of partitions.values()) {
    partition.read(0, sector);
    partition.read(partition.sectors - 1, sector);
  }
  return `${table.label} from ${table.from}`;
}

/** Opens one partition as a volume, as somebody with a damaged disk would. */
function openOne(bytes: Uint8Array<ArrayBuffer>, prng: Prng, notes: CaseNotes): string {
  if (bytes.length === 0) return "nothing";
  const options = prng.pick([{ partition: 1 }, { partition: 5 }, {}, { offset: 20_480 }]);
  notes.say(`volume ${JSON.stringify(options)}`);
  const media = new FuelMedia(bytes, new Fuel(100_000, 64 << 20));
  const volume = openVolume(media, options);
  notes.attempt(() => volume.fs.readdirSync("/"));
  notes.attempt(() => volume.fs.readFileSync("/small"));
  volume.close();
  return "volume";
}

/** Partition tables. */
export const partitionsTarget: FuzzTarget = {
  name: "partitions",
  weight: 15,
  reaches: ["dos from primary", "gpt from backup", "volume", "refused", "EUCLEAN"],
  open: () => new DiskSubject(),
};
