/**
 * Random writes, cuts and reads of a few files of a mounted filesystem, beside a naive model.
 */
import { daxRead } from "../../src/dax/file-io.ts";
import { DaxError } from "../../src/lib/errno.ts";
import type { Prng } from "../../src/lib/prng.ts";
import type { Filesystem, Inode } from "../../src/vfs/filesystem.ts";
import { plainFile, writingOf } from "./ext-mounted.ts";
import { SparseBytes } from "./sparse-bytes.ts";

/** How a stream runs. */
export interface DataStreamOptions {
  readonly files?: number;
  /** Bytes: where writes begin at most. */
  readonly reach?: number;
  /** Bytes of the longest write. */
  readonly longest?: number;
  /** Whether files are deleted and made anew, too. */
  readonly deletes?: boolean;
}

/** What no write ever writes. */
export const STALE = 0xee;

const LENGTHS = [1, 7, 60, 100, 500, 1000, 1024, 2048, 4095, 4096, 4097, 10_000, 65_536, 300_000];

/** Files of a filesystem's root and what they should hold. */
export class DataStream {
  readonly #filesystem: Filesystem;
  readonly #prng: Prng;
  readonly #reach: number;
  readonly #deletes: boolean;
  readonly #lengths: readonly number[];
  readonly #files: { inode: Inode; readonly name: string; model: SparseBytes }[] = [];
  #last: { readonly name: string; readonly inode: Inode };
  /** Calls that space or limits refused, or cut short. */
  refused = 0;

  constructor(
    filesystem: Filesystem,
    prng: Prng,
    { files = 4, reach = 1 << 20, longest = 300_000, deletes = true }: DataStreamOptions = {},
  ) {
    this.#filesystem = filesystem;
    this.#prng = prng;
    this.#reach = reach;
    this.#deletes = deletes;
    this.#lengths = LENGTHS.filter((length) => length <= longest);
    for (let i = 0; i < files; i++) {
      const name = `file${i}`;
      this.#files.push({ inode: this.#make(name), name, model: new SparseBytes() });
    }
    this.#last = prng.pick(this.#files);
  }

  /** What each file should hold now. */
  get models(): ReadonlyMap<string, SparseBytes> {
    return new Map(this.#files.map(({ name, model }) => [name, model.clone()]));
  }

  /** Which file the last call was about. */
  get last(): { readonly name: string; readonly inode: Inode } {
    return this.#last;
  }

  /** One call. @throws whatever it should not */
  step(): void {
    const file = this.#prng.pick(this.#files);
    this.#last = file;
    const kind = this.#prng.below(20);
    if (kind < 11) this.#write(file.inode, file.model);
    else if (kind < 14) this.#truncate(file.inode, file.model);
    else if (kind < 17) this.#read(file.inode, file.model);
    else if (kind === 17) this.#filesystem.sync?.();
    else if (kind === 18) writingOf(file.inode).sync(this.#prng.pick(["all", "data"]));
    else if (this.#deletes && this.#prng.below(6) === 0) {
      writingOf(this.#filesystem.root).unlink(file.name);
      file.inode = this.#make(file.name);
      file.model = new SparseBytes();
    }
  }

  /** Zeros, holes and blocks in advance, inside a file: what writes then meet. */
  fallocate(): void {
    const { inode, model } = this.#prng.pick(this.#files);
    const offset = this.#prng.below(model.size + 1);
    const length = 1 + this.#prng.below(100_000);
    const mode = this.#prng.pick(["allocate", "punch", "zero"] as const);
    const done = this.#attempt(() => {
      writingOf(inode).fallocate(mode, offset, length, true);
      return true;
    });
    if (done === true && mode !== "allocate") model.zero(offset, length);
  }

  /** Compares every byte of every file, as this mount or another one reads it. */
  check(filesystem = this.#filesystem): void {
    for (const { name, model } of this.#files) checkFile(filesystem, name, model);
  }

  #make(name: string): Inode {
    return writingOf(this.#filesystem.root).make(name, plainFile);
  }

  #write(inode: Inode, model: SparseBytes): void {
    const length = this.#prng.pick(this.#lengths);
    const source = new Uint8Array(length).fill(1 + this.#prng.below(STALE - 1));
    const offset = this.#offset(model);
    const written = this.#attempt(() => writingOf(inode).write(source, offset)) ?? 0;
    if (written < length) this.refused++;
    if (written > 0) model.write(source.subarray(0, written), offset);
  }

  #truncate(inode: Inode, model: SparseBytes): void {
    const size = this.#prng.below(5) === 0 ? 0 : this.#offset(model);
    writingOf(inode).truncate(size);
    model.truncate(size);
  }

  #read(inode: Inode, model: SparseBytes): void {
    const offset = this.#offset(model);
    const target = new Uint8Array(this.#prng.pick(this.#lengths));
    const read = daxRead(inode, target, offset);
    same(target.subarray(0, Math.max(read, 0)), model.read(offset, target.length), "read", offset);
  }

  #offset({ size }: SparseBytes): number {
    const prng = this.#prng;
    const kind = prng.below(8);
    if (kind < 3) return size;
    if (kind < 6) return prng.below(size + 1);
    if (kind === 6) return prng.below(this.#reach / 1024) * 1024;
    return prng.below(this.#reach);
  }

  #attempt<T>(body: () => T): T | undefined {
    try {
      return body();
    } catch (error) {
      if (error instanceof DaxError && ["ENOSPC", "EFBIG", "EOPNOTSUPP"].includes(error.code))
        return undefined;
      throw error;
    }
  }
}

/** Compares a file of a filesystem's root with what it should hold. */
export function checkFile(filesystem: Filesystem, name: string, model: SparseBytes): void {
  const inode = filesystem.root.lookup(name);
  if (inode === undefined) throw new Error(`${name} is gone`);
  if (inode.size !== model.size) throw new Error(`${name}: ${inode.size}, not ${model.size} bytes`);
  const chunk = new Uint8Array(65_536);
  for (let at = 0; at < model.size && model.size < 1 << 26; at += chunk.length) {
    const read = daxRead(inode, chunk, at);
    same(chunk.subarray(0, read), model.read(at, chunk.length), name, at);
  }
  for (const [offset, length] of model.written()) {
    const target = new Uint8Array(length);
    daxRead(inode, target, offset);
    same(target, model.read(offset, length), name, offset);
  }
}

function same(is: Uint8Array, should: Uint8Array, what: string, offset: number): void {
  if (is.length !== should.length) {
    throw new Error(`${what} at ${offset}: ${is.length}, not ${should.length} bytes`);
  }
  const i = is.findIndex((byte, n) => byte !== should[n]);
  if (i >= 0) throw new Error(`${what}: byte ${offset + i} is ${is[i]}, not ${should[i]}`);
}
