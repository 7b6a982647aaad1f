/**
 * Files as anybody would write them down: bytes, and for each block whether it is a hole, allocated
 * or written.
 */
import { crc32 } from "node:zlib";
import type { FallocateMode } from "../../src/vfs/writing.ts";
import { type DataCall, contentsOf } from "./contents-stream.ts";

/** What a block is. */
type BlockState = "hole" | "unwritten" | "written";

/** What a filesystem's files are like. */
export interface DataRules {
  readonly blockSize: number;
  readonly clusterSize: number;
  readonly extents: boolean;
}

const PAGE = 4096;

class Refusal extends Error {}

/** One file. */
export class FileModel {
  readonly #rules: DataRules;
  #bytes = new Uint8Array(0);
  #blocks: BlockState[] = [];

  constructor(rules: DataRules) {
    this.#rules = rules;
  }

  get size(): number {
    return this.#bytes.length;
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Makes a call, which gives what `callOnData` does. */
  call(call: DataCall): string {
    try {
      return this.#run(call);
    } catch (error) {
      if (error instanceof Refusal) return error.message;
      throw error;
    }
  }

  /** Blocks that are allocated, those behind the end too. */
  get allocated(): boolean[] {
    return this.#blocks.map((state) => state !== "hole");
  }

  #run(call: DataCall): string {
    switch (call.op) {
      case "write":
        return this.#write(call.offset, contentsOf(call.seed, call.length));
      case "append":
        return this.#write(this.size, contentsOf(call.seed, call.length));
      case "read": {
        const got = this.#bytes.subarray(call.offset, call.offset + call.length);
        return `${got.length} ${crc32(got)}`;
      }
      case "truncate": {
        const grows = call.size > this.size;
        this.#resize(call.size);
        // What is allocated behind the end stays when a file grows.
        if (!grows) this.#cut();
        return "ok";
      }
      case "fallocate":
        this.#fallocate(call.mode, call.offset, call.length, call.keepSize);
        return "ok";
      case "seek":
        return this.#turns(call.offset);
      case "extents":
        return this.#extents();
      default:
        return "ok";
    }
  }

  #write(offset: number, source: Uint8Array): string {
    const { blockSize } = this.#rules;
    this.#resize(Math.max(this.size, offset + source.length));
    this.#bytes.set(source, offset);
    this.#mark(
      Math.floor(offset / blockSize),
      Math.ceil((offset + source.length) / blockSize),
      () => {
        return "written";
      },
    );
    return `${source.length}`;
  }

  #resize(size: number): void {
    const bytes = new Uint8Array(size);
    bytes.set(this.#bytes.subarray(0, size));
    this.#bytes = bytes;
  }

  #cut(): void {
    const count = Math.ceil(this.size / this.#rules.blockSize);
    this.#blocks.length = Math.min(this.#blocks.length, count);
  }

  #mark(from: number, to: number, change: (state: BlockState) => BlockState): void {
    while (this.#blocks.length < to) this.#blocks.push("hole");
    for (let i = from; i < to; i++) this.#blocks[i] = change(this.#blocks[i] as BlockState);
  }

  #fallocate(mode: FallocateMode, offset: number, length: number, keepSize: boolean): void {
    const { extents, clusterSize, blockSize } = this.#rules;
    const shifts = mode === "collapse" || mode === "insert";
    if (keepSize && shifts) throw new Refusal("EOPNOTSUPP");
    const limit = offset + length;
    if (mode === "punch") {
      this.#punch(offset, limit);
      return;
    }
    if (!extents) throw new Refusal("EOPNOTSUPP");
    if (shifts) {
      if (offset % clusterSize !== 0 || length % clusterSize !== 0) throw new Refusal("EINVAL");
      if (mode === "collapse") this.#collapse(offset, length);
      else this.#insert(offset, length);
      return;
    }
    const [from, to] = [Math.floor(offset / blockSize), Math.ceil(limit / blockSize)];
    this.#mark(from, to, (state) => (state === "hole" ? "unwritten" : state));
    if (mode === "zero") {
      this.#bytes.fill(0, offset, limit);
      const [first, last] = [Math.ceil(offset / blockSize), Math.floor(limit / blockSize)];
      this.#mark(first, last, () => "unwritten");
    }
    if (!keepSize && limit > this.size) this.#resize(limit);
  }

  #punch(offset: number, limit: number): void {
    const { blockSize } = this.#rules;
    if (offset >= this.size) return;
    this.#bytes.fill(0, offset, limit);
    const page = Math.max(PAGE, blockSize);
    const stop = limit > this.size ? Math.ceil(this.size / page) * page : limit;
    const [first, last] = [Math.ceil(offset / blockSize), Math.floor(stop / blockSize)];
    if (last > first) this.#mark(first, last, () => "hole");
  }

  #collapse(offset: number, length: number): void {
    const { blockSize } = this.#rules;
    const limit = offset + length;
    if (limit >= this.size) throw new Refusal("EINVAL");
    const bytes = new Uint8Array(this.size - length);
    bytes.set(this.#bytes.subarray(0, offset));
    bytes.set(this.#bytes.subarray(limit), offset);
    this.#bytes = bytes;
    this.#blocks.splice(offset / blockSize, length / blockSize);
  }

  #insert(offset: number, length: number): void {
    const { blockSize } = this.#rules;
    if (offset >= this.size) throw new Refusal("EINVAL");
    const bytes = new Uint8Array(this.size + length);
    bytes.set(this.#bytes.subarray(0, offset));
    bytes.set(this.#bytes.subarray(offset), offset + length);
    this.#bytes = bytes;
    if (this.#blocks.length <= offset / blockSize) return;
    const hole = Array.from({ length: length / blockSize }, () => "hole" as const);
    this.#blocks.splice(offset / blockSize, 0, ...hole);
  }

  /** As `callOnData` words it. */
  #extents(): string {
    const { blockSize } = this.#rules;
    const words: string[] = [];
    for (let i = 0; i < this.#blocks.length;) {
      const state = this.#blocks[i] as BlockState;
      const start = i;
      while (this.#blocks[i] === state) i++;
      const word = `${start * blockSize}-${i * blockSize}`;
      if (state !== "hole") words.push(state === "unwritten" ? `${word}u` : word);
    }
    return words.join(" ");
  }

  /** As `callOnData` words it. */
  #turns(offset: number): string {
    const { blockSize } = this.#rules;
    const turns: string[] = [];
    const isData = (at: number): boolean => this.#blocks[Math.floor(at / blockSize)] === "written";
    const next = (at: number): number => (Math.floor(at / blockSize) + 1) * blockSize;
    for (let at = offset; at < this.size && turns.length < 40;) {
      while (at < this.size && !isData(at)) at = next(at);
      const data = at;
      while (at < this.size && isData(at)) at = next(at);
      if (data < this.size) turns.push(`${data}-${Math.min(at, this.size)}`);
    }
    return turns.join(" ");
  }
}
