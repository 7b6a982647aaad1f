/**
 * Maps of files that are changed at random, against a naive model: which blocks of each file are
 * mapped, how, and what is in them. Blocks hold a number that tells them apart, so a block that
 * went astray is found by what it holds.
 */
import { EXT4_EXTENTS_FL } from "../../src/format/ext-inode.ts";
import { EXT4_FEATURE_RO_COMPAT_LARGE_FILE } from "../../src/format/ext-superblock.ts";
import type { MapOptions } from "../../src/fs/ext/extent-mapper.ts";
import { FileMap } from "../../src/fs/ext/file-map.ts";
import type { Handle } from "../../src/fs/ext/handle.ts";
import { type InodeRecord, MAX_LOGICAL_BLOCKS } from "../../src/fs/ext/inode-record.ts";
import { setSize, storeRecord } from "../../src/fs/ext/inode-writer.ts";
import {
  collapseBlocks,
  convertBlocks,
  hasMap,
  inSteps,
  insertBlocks,
  mapBlocks,
  mapCredits,
  mapLimit,
  mapRevokes,
  removeBlocks,
} from "../../src/fs/ext/map-writer.ts";
import { truncateStep } from "../../src/fs/ext/truncate.ts";
import type { Volume } from "../../src/fs/ext/volume.ts";
import { isDaxError } from "../../src/lib/errno.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { S_IFREG } from "../../src/vfs/modes.ts";
import type { Writing } from "./ext-writing.ts";

/** A block of a file. */
export interface Cell {
  /** What it holds. */
  readonly tag: number;
  readonly unwritten: boolean;
}

/** The credits of a step that also sets the size. */
const SIZE_CREDITS = 2;

/** A file whose map is changed. */
export class ModelledFile {
  readonly #writing: Writing;
  readonly #volume: Volume;
  readonly record: InodeRecord;
  /** Kept over all changes, as an open file keeps it. */
  readonly map: FileMap;
  cells = new Map<number, Cell>();
  #tags = 0;

  /** Whatever the file had is cut off, unless it is to be kept. */
  constructor(writing: Writing, ino: number, keep = false) {
    this.#writing = writing;
    this.#volume = writing.volume;
    this.record = writing.volume.record(ino);
    this.map = new FileMap(writing.volume, this.record);
    if (!keep) this.truncate(0);
  }

  get ratio(): number {
    return this.#volume.superblock.clusterRatio;
  }

  get #blockSize(): number {
    return this.#volume.superblock.blockSize;
  }

  /** Blocks that the size covers. */
  get length(): number {
    return Math.ceil(this.record.size / this.#blockSize);
  }

  /** Behind the last mapped block. */
  get end(): number {
    let end = 0;
    for (const logical of this.cells.keys()) end = Math.max(end, logical + 1);
    return end;
  }

  #operate<T>(body: (handle: Handle) => T): T {
    const { journal } = this.#writing;
    const credits = mapCredits(this.record) + SIZE_CREDITS;
    const handle = journal.start(credits, mapRevokes(this.record));
    try {
      return body(handle);
    } finally {
      handle.stop();
    }
  }

  #setBlocks(handle: Handle, blocks: number): void {
    const { volume, editor } = this.#writing;
    const size = blocks * this.#blockSize;
    if (size >= 2 ** 31) editor.superblock.needRoCompat(handle, EXT4_FEATURE_RO_COMPAT_LARGE_FILE);
    setSize(volume.superblock, this.record, size);
    storeRecord(volume, handle, this.record);
  }

  #steps(range: { start: number; goal: number }, step: (handle: Handle, at: number) => number) {
    inSteps(this.#writing.journal, this.record, range, step);
  }

  /** Maps what is not mapped; what was stays as it is. Stops where the disk is full. */
  fill(from: number, count: number, unwritten: boolean, goal?: number): void {
    const options = { unwritten, ...(goal === undefined ? {} : { goal }) };
    for (let at = from; at < from + count;) {
      const mapped = this.#tryToMap(at, from + count - at, options);
      if (mapped === 0) return;
      at += mapped;
    }
  }

  /** Blocks that were mapped; 0 where the disk is full, or the map cannot say it. */
  #tryToMap(at: number, count: number, options: MapOptions): number {
    try {
      return this.#operate((handle) => this.#mapOnce(handle, at, count, options));
    } catch (error) {
      const extents = this.record.has(EXT4_EXTENTS_FL);
      if (isDaxError(error, "ENOSPC")) this.#writing.journal.commit();
      else if (!isDaxError(error, "ENOTSUP") || options.unwritten !== true || extents) throw error;
      return 0;
    }
  }

  #mapOnce(handle: Handle, at: number, count: number, options: MapOptions): number {
    const { editor, volume } = this.#writing;
    const run = mapBlocks(editor, handle, this.record, at, count, options);
    if (run.logical !== at || run.count < 1 || run.count > count) {
      throw new Error(`asked for ${count} blocks from ${at}, got ${JSON.stringify(run)}`);
    }
    if (run.fresh) this.map.forget(at, run.count);
    for (let i = 0; i < run.count; i++) {
      const known = this.cells.get(at + i);
      if ((known !== undefined) === run.fresh)
        throw new Error(`block ${at + i} fresh: ${run.fresh}`);
      if (!run.fresh) continue;
      const tag = this.record.ino * 2 ** 32 + ++this.#tags;
      const bytes = new Uint8Array(512);
      new DataView(bytes.buffer).setFloat64(0, tag);
      volume.buffers.write(run.block + i, bytes);
      this.cells.set(at + i, { tag, unwritten: options.unwritten === true });
    }
    this.#setBlocks(handle, Math.max(this.length, at + run.count));
    return run.count;
  }

  convert(from: number, to: number, unwritten: boolean): void {
    if (unwritten && !this.record.has(EXT4_EXTENTS_FL)) return;
    const state = unwritten ? "unwritten" : "written";
    this.#steps({ start: from, goal: to }, (handle, at) =>
      convertBlocks(this.#writing.editor, handle, this.record, [at, to], state),
    );
    this.map.forget(from, to - from);
    for (const [logical, cell] of this.cells) {
      if (logical >= from && logical < to) this.cells.set(logical, { ...cell, unwritten });
    }
  }

  punch(from: number, to: number): void {
    this.#steps({ start: to, goal: from }, (handle, at) =>
      removeBlocks(this.#writing.editor, handle, this.record, [from, at]),
    );
    this.map.forget(from, to - from);
    for (const logical of this.cells.keys()) {
      if (logical >= from && logical < to) this.cells.delete(logical);
    }
  }

  /** The size goes with the first step: blocks behind it would be damage after a crash. */
  truncate(blocks: number): void {
    const { editor } = this.#writing;
    const done = this.#operate((handle) => {
      this.#setBlocks(handle, blocks);
      return truncateStep(editor, handle, this.record);
    });
    this.#steps({ start: done ? 0 : 1, goal: 0 }, (handle, at) =>
      truncateStep(editor, handle, this.record) ? 0 : at + 1,
    );
    this.map.forget(blocks, MAX_LOGICAL_BLOCKS);
    for (const logical of this.cells.keys()) if (logical >= blocks) this.cells.delete(logical);
  }

  #shift(from: number, by: number): void {
    const moved = [...this.cells].map(([at, cell]) => [at >= from ? at + by : at, cell] as const);
    this.cells = new Map(moved);
    this.map.forget(Math.min(from, from + by), MAX_LOGICAL_BLOCKS);
  }

  collapse(from: number, by: number): void {
    if (!this.record.has(EXT4_EXTENTS_FL) || from + by >= this.length) return;
    this.punch(from, from + by);
    this.#steps({ start: from + by, goal: MAX_LOGICAL_BLOCKS }, (handle, at) =>
      collapseBlocks(this.#writing.editor, handle, this.record, by, at),
    );
    this.#shift(from + by, -by);
    this.#operate((handle) => this.#setBlocks(handle, this.length - by));
  }

  insert(from: number, by: number): void {
    if (!this.record.has(EXT4_EXTENTS_FL) || from >= this.length) return;
    if (this.length + by >= mapLimit(this.#volume, this.record)) return;
    this.#operate((handle) => this.#setBlocks(handle, this.length + by));
    this.#steps({ start: MAX_LOGICAL_BLOCKS, goal: from }, (handle, at) =>
      insertBlocks(this.#writing.editor, handle, this.record, by, [from, at]),
    );
    this.#shift(from, by);
  }

  /** What the map says that the model does not, or the other way round; undefined: they agree. */
  difference(
    volume = this.#volume,
    map = this.map,
    cells: ReadonlyMap<number, Cell> = this.cells,
  ): string | undefined {
    const blockSize = this.#blockSize;
    let found = 0;
    for (let at = 0; at < MAX_LOGICAL_BLOCKS;) {
      const { type, offset, length, addr } = map.iomap(at * blockSize);
      const stop = Math.min((offset + length) / blockSize, MAX_LOGICAL_BLOCKS);
      if (type === "hole") {
        at = stop;
        continue;
      }
      for (; at < stop; at++, found++) {
        const block = (addr - offset) / blockSize + at;
        const bytes = new Uint8Array(8);
        volume.buffers.read(block, bytes, "contents");
        const tag = new DataView(bytes.buffer).getFloat64(0);
        const cell = cells.get(at);
        if (cell === undefined) return `block ${at} is mapped`;
        if (cell.unwritten !== (type === "unwritten")) return `block ${at} is ${type}`;
        if (cell.tag !== tag) return `block ${at} in ${block} holds ${tag}, expected ${cell.tag}`;
      }
    }
    return found === cells.size ? undefined : `${found} mapped, expected ${cells.size}`;
  }
}

/** One random change of one of the files; its name. */
export function changeMap(files: readonly ModelledFile[], prng: Prng): string {
  const file = prng.pick(files);
  const { ratio } = file;
  const far = prng.below(12) === 0 ? prng.pick([300, 5000, 70_000]) : 60;
  const from = prng.below(far);
  const count = 1 + prng.below(prng.pick([1, 8, 8, 60, 400]));
  const aligned = (n: number) => Math.floor(n / ratio) * ratio;
  const changes: readonly (() => string)[] = [
    () => (file.fill(from, count, false), `fill ${from} ${count}`),
    () => (file.fill(from, count, true), `fill unwritten ${from} ${count}`),
    () => (file.fill(file.end, count, prng.below(2) === 0), `append ${count}`),
    () => {
      for (let i = 0; i < count; i++) file.fill(from + 2 * i, 1, i % 3 === 0);
      return `comb ${from} ${count}`;
    },
    () => {
      for (let i = 0; i < count; i++) file.fill(prng.below(3000), 1, i % 4 === 0);
      return `scatter ${count}`;
    },
    () => (file.convert(from, from + count, false), `write ${from} ${count}`),
    () => (file.convert(from, from + count, true), `zero ${from} ${count}`),
    () => (file.punch(from, from + count), `punch ${from} ${count}`),
    () => (file.punch(from, from + 20 * count), `punch wide ${from} ${20 * count}`),
    () => (file.punch(from, from + 1 + prng.below(5)), `punch a few from ${from}`),
    () => (file.truncate(from), `truncate ${from}`),
    () => (file.truncate(file.length + count), `grow by ${count}`),
    () => (file.collapse(aligned(from), ratio + aligned(count)), `collapse ${from} ${count}`),
    () => (file.insert(aligned(from), ratio + aligned(count)), `insert ${from} ${count}`),
  ];
  // What makes files smaller is rarer, or none would become large.
  const change = prng.below(3) === 0 ? prng.pick(changes) : prng.pick(changes.slice(0, 7));
  return `inode ${file.record.ino}: ${change()}`;
}

/** Regular files of an image that have a map, the first three in the root. */
export function mappedFiles({ volume }: Writing): number[] {
  const inos: number[] = [];
  for (let ino = volume.superblock.firstIno; inos.length < 3; ino++) {
    if (volume.isNeverUsed(ino)) throw new Error("too few files");
    const record = volume.record(ino);
    if (record.links > 0 && record.type === S_IFREG && hasMap(volume, record)) inos.push(ino);
  }
  return inos;
}

/** Handles that take no more blocks than they were opened for: long changes take many of them. */
export function tighten({ journal }: Writing): void {
  const start = journal.start.bind(journal);
  journal.start = (copies, revokes) => {
    const handle = start(copies, revokes);
    const extend = handle.extend.bind(handle);
    handle.extend = (more, further) => more === 0 && extend(more, further);
    return handle;
  };
}
