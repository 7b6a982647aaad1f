/**
 * writecache: writes go to a faster device first, and home later. With persistent memory nothing
 * that was committed is ever overwritten; on a disk it is, as on any disk.
 *
 * Nothing happens in the background: what the kernel does by timers and threads is done by the next
 * request that finds it due.
 *
 * @module
 */
import { SECTOR_SIZE } from "../../block/block-device.ts";
import {
  MEMORY_SUPERBLOCK_MAGIC,
  MEMORY_SUPERBLOCK_VERSION,
  WritecacheSuper,
} from "../../format/dm-writecache.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { sizeof } from "../../lib/struct.ts";
import type { DaxAnswer, LegRange, MessageAnswer, Target } from "../target.ts";
import type { TargetContext, TargetType } from "../target.ts";
import { type WritecacheOptions, readWritecache } from "./writecache-arguments.ts";
import { type CacheMemory, DiskMemory, PmemMemory } from "./writecache-memory.ts";
import { type CacheLayout, CacheTable, layoutOf, MOST_BLOCKS } from "./writecache-table.ts";
import { layoutFound } from "./writecache-open.ts";

/** What the status counts. */
interface Counts {
  reads: number;
  readHits: number;
  writes: number;
  hitsUncommitted: number;
  hitsCommitted: number;
  around: number;
  allocated: number;
  blocked: number;
  flushes: number;
  discards: number;
}

const noCounts = (): Counts => ({
  reads: 0,
  readHits: 0,
  writes: 0,
  hitsUncommitted: 0,
  hitsCommitted: 0,
  around: 0,
  allocated: 0,
  blocked: 0,
  flushes: 0,
  discards: 0,
});

class WritecacheTarget implements Target {
  readonly uses: readonly LegRange[];
  readonly blockSize: number;
  readonly #options: WritecacheOptions;
  readonly #context: TargetContext;
  readonly #memory: CacheMemory;
  readonly #table: CacheTable;
  #counts = noCounts();
  #cleaner: boolean;
  #flushOnSuspend = false;
  #overwrote = false;
  #failed = false;
  /** Between `postsuspend` and `preresume`, and before the first one. */
  #suspended = true;
  /** Milliseconds; when the oldest block was written that is not committed, and not at home. */
  #since = 0;
  #aging = 0;

  constructor(
    options: WritecacheOptions,
    memory: CacheMemory,
    layout: CacheLayout,
    context: TargetContext,
  ) {
    const { origin, cache, startSector } = options;
    this.#options = options;
    this.#context = context;
    this.#memory = memory;
    this.#table = new CacheTable(memory, layout, options.blockSize);
    this.blockSize = options.blockSize;
    this.#cleaner = options.cleaner;
    const sectors = cache.device.sectors - startSector;
    this.uses = [
      { leg: origin, start: 0, sectors: context.length },
      { leg: cache, start: startSector, sectors },
    ];
  }

  /** Makes a new cache where the device begins with zeros. */
  format(): void {
    this.#table.format();
  }

  preresume(): void {
    this.#table.resume();
    this.#suspended = false;
  }

  postsuspend(): void {
    this.#suspended = true;
    if (this.#failed) return;
    this.#commit();
    if (this.#flushOnSuspend) this.#writeBack(0);
    this.#flushOnSuspend = false;
  }

  read(sector: number, target: Uint8Array): void {
    this.#assertWell("read");
    this.#due();
    this.#each(sector, target.length / SECTOR_SIZE, (block, first, done, run) => {
      this.#counts.reads++;
      const part = target.subarray(done * SECTOR_SIZE, (done + run) * SECTOR_SIZE);
      if (this.#table.block(block) !== undefined) this.#counts.readHits++;
      this.#readPart(block, first, part);
    });
  }

  write(sector: number, source: Uint8Array, flags?: { readonly fua?: boolean }): void {
    this.#assertWell("write");
    this.#due();
    this.#each(sector, source.length / SECTOR_SIZE, (block, first, done, run) => {
      const part = source.subarray(done * SECTOR_SIZE, (done + run) * SECTOR_SIZE);
      this.#writePart(block, first, part, flags);
    });
    const { autocommitBlocks } = this.#options;
    if (flags?.fua === true || this.#table.uncommitted >= autocommitBlocks) this.#commit();
    this.#relieve();
  }

  writeZeroes(sector: number, sectors: number): void {
    const zeros = new Uint8Array(Math.min(sectors, 2048) * SECTOR_SIZE);
    for (let done = 0; done < sectors; done += 2048) {
      const run = Math.min(2048, sectors - done);
      this.write(sector + done, zeros.subarray(0, run * SECTOR_SIZE));
    }
  }

  /** Whole blocks are forgotten, when the origin has discarded them. */
  discard(sector: number, sectors: number): void {
    this.#assertWell("discard");
    this.#options.origin.device.discard(sector, sectors);
    this.#counts.discards++;
    const unit = this.#unit;
    const gone: number[] = [];
    for (let at = Math.ceil(sector / unit) * unit; at + unit <= sector + sectors; at += unit) {
      if (this.#table.block(at) !== undefined) gone.push(at);
    }
    this.#guard(() => this.#table.forget(gone));
  }

  flush(): void {
    this.#assertWell("flush");
    this.#counts.flushes++;
    this.#commit();
    this.#options.origin.device.flush();
  }

  dax(): DaxAnswer {
    return { reason: "a store to memory cannot be kept back" };
  }

  table(): string {
    const { mode, origin, cache, blockSize, words } = this.#options;
    const text = `${mode} ${origin.text} ${cache.text} ${blockSize} ${words.length}`;
    return [text, ...words].join(" ");
  }

  status(): string {
    const { reads, readHits, writes, hitsUncommitted, hitsCommitted } = this.#counts;
    const { around, allocated, blocked, flushes, discards } = this.#counts;
    const { free, layout } = this.#table;
    const state = [this.#failed ? -5 : 0, layout.blocks, free, 0, reads, readHits, writes];
    const rest = [hitsUncommitted, hitsCommitted, around, allocated, blocked, flushes, discards];
    return [...state, ...rest].join(" ");
  }

  message(words: readonly string[]): MessageAnswer {
    const verb = words[0]?.toLowerCase();
    if (words.length > 1) this.#refuse("EINVAL", `${words[0]}: takes no argument`);
    if (verb === "flush") {
      if (this.#suspended) this.#refuse("EBUSY", "the device is suspended");
      this.#assertWell("message");
      this.#writeBack(0);
    } else if (verb === "flush_on_suspend") this.#flushOnSuspend = true;
    else if (verb === "cleaner") {
      this.#cleaner = true;
      this.#writeBack(0);
    } else if (verb === "clear_stats") this.#counts = noCounts();
    else this.#refuse("EINVAL", `unrecognised message received: ${words[0]}`);
    return undefined;
  }

  /** Sectors in a block. */
  get #unit(): number {
    return this.#options.blockSize / SECTOR_SIZE;
  }

  /** Calls for each block that sectors touch: where it begins, and which part of it is meant. */
  #each(
    sector: number,
    sectors: number,
    visit: (block: number, first: number, done: number, run: number) => void,
  ): void {
    const unit = this.#unit;
    for (let done = 0; done < sectors;) {
      const first = (sector + done) % unit;
      const run = Math.min(unit - first, sectors - done);
      visit(sector + done - first, first, done, run);
      done += run;
    }
  }

  /** Sectors of a block, from its sector `first` on. */
  #readPart(sector: number, first: number, target: Uint8Array): void {
    const block = this.#table.block(sector);
    if (block === undefined) this.#options.origin.device.read(sector + first, target);
    else {
      const place = this.#table.place(block) + first * SECTOR_SIZE;
      this.#guard(() => this.#memory.read(place, target));
    }
  }

  #writePart(
    sector: number,
    first: number,
    part: Uint8Array,
    flags: { readonly fua?: boolean } | undefined,
  ): void {
    const { mode, metadataOnly } = this.#options;
    this.#counts.writes++;
    const known = this.#table.block(sector);
    if (known === undefined && (this.#cleaner || metadataOnly)) {
      this.#around(sector + first, part, flags);
      return;
    }
    const isCommitted = known !== undefined && this.#table.isCommitted(known);
    if (known !== undefined) this.#counts[isCommitted ? "hitsCommitted" : "hitsUncommitted"]++;
    // A disk's block is overwritten in place, as it would be on the origin.
    if (known !== undefined && (!isCommitted || mode === "s")) {
      const place = this.#table.place(known) + first * SECTOR_SIZE;
      this.#guard(() => this.#memory.writeBlock(place, part));
      this.#overwrote ||= isCommitted;
      return;
    }
    // What is missing of the block is read before anything is taken.
    const whole = this.#whole(sector, first, part);
    const block = this.#takeBlock();
    if (block === undefined) {
      this.#around(sector + first, part, flags);
      return;
    }
    const now = this.#now();
    if (this.#table.uncommitted === 0) this.#since = now;
    if (this.#table.free + 1 === this.#table.layout.blocks) this.#aging = now;
    this.#guard(() => {
      this.#memory.writeBlock(this.#table.place(block), whole);
      this.#table.insert(block, sector);
    });
    this.#counts.allocated++;
  }

  /** All of a block of which a part is written. */
  #whole(sector: number, first: number, part: Uint8Array): Uint8Array {
    const { blockSize, origin } = this.#options;
    if (part.length === blockSize) return part;
    const bytes = new Uint8Array(blockSize);
    const sectors = Math.min(this.#unit, this.#context.length - sector);
    if (this.#table.block(sector) !== undefined) this.#readPart(sector, 0, bytes);
    else origin.device.read(sector, bytes.subarray(0, sectors * SECTOR_SIZE));
    bytes.set(part, first * SECTOR_SIZE);
    return bytes;
  }

  #around(sector: number, part: Uint8Array, flags?: { readonly fua?: boolean }): void {
    this.#counts.around++;
    this.#options.origin.device.write(sector, part, flags);
  }

  /** A free block. Persistent memory waits for one, a disk does not. */
  #takeBlock(): number | undefined {
    const block = this.#table.take();
    if (block !== undefined || this.#options.mode === "s") return block;
    this.#counts.blocked++;
    this.#writeBack(this.#limit(this.#options.low));
    return this.#table.take();
  }

  #commit(): void {
    this.#guard(() => {
      if (this.#table.uncommitted > 0) this.#table.commit();
      else if (this.#overwrote) this.#memory.persist();
    });
    this.#overwrote = false;
  }

  /** What is due by the clock. */
  #due(): void {
    const { autocommitTime, maxAge, origin, cache } = this.#options;
    if ([origin, cache].some(({ device }) => device.freezing?.frozen === true)) return;
    const now = this.#now();
    if (this.#table.uncommitted > 0 && now - this.#since >= autocommitTime) this.#commit();
    const isFull = this.#table.free < this.#table.layout.blocks;
    if (isFull && now - this.#aging >= maxAge) this.#writeBack(0);
  }

  /** Blocks that may be in use at so many percent. */
  #limit(percent: number): number {
    return Math.floor((this.#table.layout.blocks * percent) / 100);
  }

  #relieve(): void {
    const { free, layout } = this.#table;
    const { high, low } = this.#options;
    if (layout.blocks - free > this.#limit(high)) this.#writeBack(this.#limit(low));
  }

  /** Brings the oldest blocks home until no more than `most` are in use. */
  #writeBack(most: number): void {
    const { layout, free } = this.#table;
    const count = layout.blocks - free - most;
    if (count <= 0) return;
    this.#commit();
    this.#guard(() => this.#bringHome(count));
    this.#aging = this.#now();
  }

  #bringHome(count: number): void {
    const { origin, blockSize } = this.#options;
    const bytes = new Uint8Array(blockSize);
    const home: number[] = [];
    for (const sector of this.#table.sectors) {
      if (home.length >= count) break;
      const block = this.#table.block(sector) as number;
      this.#memory.read(this.#table.place(block), bytes);
      const sectors = Math.min(this.#unit, this.#context.length - sector);
      if (sectors > 0) origin.device.write(sector, bytes.subarray(0, sectors * SECTOR_SIZE));
      home.push(sector);
    }
    // Only what is durable at home may be forgotten.
    origin.device.flush();
    this.#table.forget(home);
  }

  #now(): number {
    const { sec, nsec } = this.#context.environment.clock.now();
    return sec * 1000 + nsec / 1_000_000;
  }

  /** A cache that failed once is not believed any more. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (isDaxError(error)) {
        this.#failed = true;
        this.#context.event();
      }
      throw error;
    }
  }

  #assertWell(syscall: string): void {
    if (!this.#failed) return;
    const detail = "writecache: the cache failed; what it holds is not at home";
    throw new DaxError("EIO", { syscall, path: this.#context.name, detail });
  }

  #refuse(code: "EINVAL" | "EBUSY", detail: string): never {
    const told = `device-mapper: writecache: ${detail}`;
    throw new DaxError(code, { syscall: "message", path: this.#context.name, detail: told });
  }
}

/** `writecache p|s ORIGIN CACHE BLOCK_SIZE COUNT [OPTION]...` */
export const writecache: TargetType = {
  name: "writecache",
  version: [1, 6, 0],
  make(words, context) {
    const options = readWritecache(words, context);
    const { cache, startSector, blockSize, mode } = options;
    const size = (cache.device.sectors - startSector) * SECTOR_SIZE;
    const refuse = (error: string, cause: string): never => context.refuse("EINVAL", error, cause);
    if (!(size >= blockSize)) {
      return refuse("Invalid device size", `${cache.device.name}, from sector ${startSector} on`);
    }
    const head = new Uint8Array(sizeof(WritecacheSuper));
    cache.device.readBytes(startSector * SECTOR_SIZE, head);
    const view = new DataView(head.buffer);
    const magic = WritecacheSuper.magic.get(view, 0);
    const version = WritecacheSuper.version.get(view, 0);
    const isNew = magic === 0 && version === 0;
    if (!isNew && magic !== MEMORY_SUPERBLOCK_MAGIC) {
      return refuse("Invalid magic in the superblock", `0x${magic.toString(16)}`);
    }
    if (!isNew && version !== MEMORY_SUPERBLOCK_VERSION) {
      return refuse("Invalid version in the superblock", String(version));
    }
    const layout = isNew ? layoutOf(size, blockSize) : layoutFound(view, size, blockSize, refuse);
    if (layout.blocks > MOST_BLOCKS) {
      const cause = `${layout.blocks} blocks; ${MOST_BLOCKS} are the most`;
      return context.refuse("EFBIG", "Invalid device size", cause);
    }
    if (layout.blocks === 0) {
      const cause = `${size} bytes hold no block of ${blockSize}`;
      return context.refuse("ENOSPC", "Invalid device size", cause);
    }
    const target = new WritecacheTarget(
      options,
      memoryOf(options, layout, context),
      layout,
      context,
    );
    if (isNew) target.format();
    return target;

    function memoryOf(
      { cache: leg }: WritecacheOptions,
      { data }: CacheLayout,
      { refuse: refuseAs }: TargetContext,
    ): CacheMemory {
      if (mode === "s") return new DiskMemory(leg.device, startSector, data);
      const error = "Unable to map persistent memory for cache";
      if (leg.dax === undefined) {
        return refuseAs("EOPNOTSUPP", error, `${leg.device.name} offers no dax`);
      }
      if (!leg.dax.device.synchronous) {
        const told = "Asynchronous persistent memory not supported as pmem cache";
        return refuseAs("EOPNOTSUPP", told, `${leg.device.name} needs a call to be durable`);
      }
      return new PmemMemory(leg.device, leg.dax, startSector);
    }
  },
};
