/**
 * One file, changed by every means at once: written, cut, punched, shifted, stored to through a
 * mapping, and after each change read in every way. An array of bytes says what has to be there.
 */
import { expect, test } from "vitest";
import { daxRead } from "../../src/dax/file-io.ts";
import type { MakeExtOptions } from "../../src/fs/ext/mkfs-options.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import { Prng } from "../../src/lib/prng.ts";
import type { Mapping } from "../../src/vfs/mapping.ts";
import type { OpenFile } from "../../src/vfs/open-file.ts";
import { noise } from "../support/bytes.ts";
import { daxTree } from "../support/dax-mounted.ts";
import { emptyImage } from "../support/ext-cut-work.ts";
import { complaints } from "../support/ext-writing.ts";

const STEPS = Number(process.env["DAXKIT_FILE_STEPS"] ?? 200);
const SEED = Number(process.env["DAXKIT_FILE_SEED"] ?? 1);
const BLOCK = 4096;
const LARGEST = 24 * BLOCK;

const IMAGES: Readonly<Record<string, MakeExtOptions>> = {
  "ext4 with direct access": { type: "ext4", blockSize: 4096 },
  "ext2 with direct access": { type: "ext2", blockSize: 4096 },
  "ext4, inline data": { type: "ext4", blockSize: 4096, inodeSize: 512, features: "inline_data" },
  "ext4, 1k": { type: "ext4", blockSize: 1024 },
};

/** The bytes that have to be there, and what is done to them. */
class Model {
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);

  write(source: Uint8Array, offset: number): void {
    this.grow(offset + source.length);
    this.bytes.set(source, offset);
  }

  grow(size: number): void {
    if (size > this.bytes.length) this.resize(size);
  }

  resize(size: number): void {
    const bytes = new Uint8Array(size);
    bytes.set(this.bytes.subarray(0, size));
    this.bytes = bytes;
  }

  zero(offset: number, length: number): void {
    this.bytes.fill(0, offset, offset + length);
  }

  collapse(offset: number, length: number): void {
    const { bytes } = this;
    this.bytes = Uint8Array.of(...bytes.subarray(0, offset), ...bytes.subarray(offset + length));
  }

  insert(offset: number, length: number): void {
    const { bytes } = this;
    const gap = new Uint8Array(length);
    this.bytes = Uint8Array.of(...bytes.subarray(0, offset), ...gap, ...bytes.subarray(offset));
  }
}

interface Player {
  readonly dice: Prng;
  readonly model: Model;
  readonly file: OpenFile;
  readonly reader: OpenFile;
  mappings: Mapping[];
}

/** One change; what the file refuses leaves the model alone. */
function change({ dice, model, file, mappings }: Player, step: number): string {
  const size = model.bytes.length;
  const [offset, length] = [dice.below(LARGEST - 1), 1 + dice.below(LARGEST / 3)];
  const blocks = BLOCK * dice.below(20);
  const run = BLOCK * (1 + dice.below(3));
  const fits = size > 0 && blocks + run < size;
  switch (dice.below(10)) {
    case 0:
    case 1:
    case 2: {
      const source = noise(step, Math.min(length, LARGEST - offset));
      file.pwrite(source, offset);
      model.write(source, offset);
      return `write ${offset}+${source.length}`;
    }
    case 3:
      file.truncate(offset);
      model.resize(offset);
      return `truncate ${offset}`;
    case 4:
      file.fallocate("punch", offset, length, true);
      model.zero(offset, length);
      return `punch ${offset}+${length}`;
    case 5: {
      const most = Math.min(length, LARGEST - offset);
      const mode = dice.pick(["zero", "allocate"] as const);
      const keepSize = dice.below(2) === 0;
      file.fallocate(mode, offset, most, keepSize);
      if (!keepSize) model.grow(offset + most);
      if (mode === "zero") model.zero(offset, most);
      return `${mode} ${offset}+${most} ${keepSize}`;
    }
    case 6:
      if (!fits) return "";
      file.fallocate("collapse", blocks, run);
      model.collapse(blocks, run);
      return `collapse ${blocks}+${run}`;
    case 7:
      if (!fits || size + run > LARGEST) return "";
      file.fallocate("insert", blocks, run);
      model.insert(blocks, run);
      return `insert ${blocks}+${run}`;
    default:
      return store(dice, model, mappings, step);
  }
}

/** Stores through one of the mappings, where that and the file still overlap. */
function store(dice: Prng, model: Model, mappings: readonly Mapping[], step: number): string {
  const writable = mappings.filter((mapping) => mapping.isWritable);
  if (writable.length === 0) return "";
  const mapping = dice.pick(writable);
  const most = Math.min(mapping.length, model.bytes.length - mapping.offset);
  if (most <= 0) return "";
  const at = dice.below(most);
  const source = noise(step, 1 + dice.below(most - at));
  mapping.copyIn(at, source);
  model.bytes.set(source, mapping.offset + at);
  if (dice.below(3) === 0) mapping.flush();
  return `store ${mapping.offset + at}+${source.length}`;
}

function expectSame(how: string, found: Uint8Array, expected: Uint8Array): void {
  const wrong = found.findIndex((byte, i) => byte !== expected[i]);
  expect([how, found.length, wrong]).toEqual([how, expected.length, -1]);
}

/** Reads everything in every way. */
function check({ file, reader, mappings, model: { bytes } }: Player): void {
  const read = new Uint8Array(bytes.length);
  expect(file.inode.size).toBe(bytes.length);
  daxRead(file.inode, read, 0);
  expectSame("read", read, bytes);
  for (let at = 0; at < bytes.length;) {
    const view = reader.view(at, bytes.length - at);
    read.set(view, at);
    at += view.length;
  }
  expectSame("view", read, bytes);
  for (const mapping of mappings) {
    const most = Math.min(mapping.length, bytes.length - mapping.offset);
    if (most <= 0) continue;
    const part = read.subarray(0, most).fill(1);
    mapping.copyOut(0, part);
    expectSame("mapping", part, bytes.subarray(mapping.offset, mapping.offset + most));
  }
}

function remap(player: Player): void {
  const { dice, file, model, mappings } = player;
  if (mappings.length > 2) mappings.shift()?.unmap();
  const offset = dice.below(model.bytes.length);
  const length = 1 + dice.below(model.bytes.length - offset);
  const access = dice.pick(["read", "write"] as const);
  mappings.push(file.map({ offset, length, access }));
}

test.each(Object.entries(IMAGES))("%s", { timeout: 60_000 }, (_, options) => {
  const { tree, disk } = daxTree(emptyImage(options));
  const file = tree.open("/f", { create: true, access: "readwrite" });
  const dice = new Prng(SEED);
  const player = { dice, model: new Model(), file, reader: tree.open("/f"), mappings: [] };
  const done: string[] = [];
  for (let step = 0; step < STEPS; step++) {
    try {
      done.push(change(player, step));
      if (dice.below(6) === 0 && player.model.bytes.length > 0) remap(player);
      // Other files take what blocks this one gives back.
      tree.open(`/g${step % 3}`, { create: true, access: "write", truncate: true }).close();
      const other = tree.open(`/g${step % 3}`, { access: "write" });
      other.write(noise(step, 3 * BLOCK));
      other.close();
      if (dice.below(10) === 0) tree.sync();
      check(player);
    } catch (error) {
      if (isDaxError(error, "EOPNOTSUPP")) continue;
      throw new Error(`step ${step}, after ${done.slice(-4).join("; ")}`, { cause: error });
    }
  }
  tree.close({ revoke: true, mediaCloses: true });
  expect(complaints(disk.bytes)).toEqual([]);
  const { tree: again } = daxTree(disk.bytes);
  const found = new Uint8Array(player.model.bytes.length);
  again.open("/f").pread(found, 0);
  expectSame("later", found, player.model.bytes);
});
