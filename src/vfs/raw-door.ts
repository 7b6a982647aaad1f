/**
 * The raw door of a mapping: its bytes as they lie in the media, and what has to be known of memory
 * that was handed out. Nobody sees what is stored there, so all of it counts as stored to.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import { DaxError } from "../lib/errno.ts";
import type { FileRun } from "./file-runs.ts";
import type { Inode } from "./filesystem.ts";
import { flushSpans } from "./mapped-pages.ts";
import { MappedSpans } from "./mapped-spans.ts";
import { type Door, openDoor } from "./mapping-door.ts";

/** What may be shown. */
export interface RawRange {
  readonly inode: Inode;
  readonly path: string;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly length: number;
  /** An array of its own, even where an alias would do. */
  readonly revocable: boolean;
  readonly writable: boolean;
}

/** The bytes of a range of a file, once somebody asks for them. */
export class RawDoor {
  readonly #range: RawRange;
  #spans: MappedSpans | undefined;
  #door: Door | undefined;
  /** An alias was handed out at some time: whoever has it keeps it. */
  #aliased = false;
  /** Memory that may be stored to was handed out at some time. */
  #stored = false;

  constructor(range: RawRange) {
    this.#range = range;
  }

  /** In order and without gaps. @throws EUCLEAN, ENXIO */
  get runs(): readonly FileRun[] {
    return this.#current().runs;
  }

  /** Those that the runs lead to. */
  get devices(): ReadonlySet<DaxDevice> {
    return this.#current().devices;
  }

  /** Whether memory was handed out that nobody can take back. */
  get isAlias(): boolean {
    return this.#aliased;
  }

  /** Whether stores may have gone past every check. */
  get isStored(): boolean {
    return this.#stored;
  }

  /** Whether an array is there already. */
  get isOpen(): boolean {
    return this.#door !== undefined;
  }

  /** The array. @throws ENOTSUP, EHWPOISON, ENXIO */
  open(): Uint8Array {
    const { path, length, revocable, writable } = this.#range;
    const spans = this.#current();
    for (const { alive, name } of spans.devices) {
      if (alive) continue;
      throw new DaxError("ENXIO", { syscall: "mmap", path, detail: `${name} was removed` });
    }
    const { runs, devices } = spans;
    this.#door ??= openDoor({ path, spans: runs, devices, length, revocable, writable });
    this.#aliased ||= this.#door.stitched === undefined;
    this.#stored ||= writable;
    return this.#door.bytes;
  }

  /** Writes back bytes of the file that may have been stored to, and waits. */
  writeBack(offset: number, length: number): void {
    if (!this.#stored) return;
    const { runs, devices } = this.#current();
    flushSpans(runs, offset, length);
    for (const device of devices) device.fence();
  }

  /** Takes an array of its own away: blocks of the file have moved. */
  detach(): void {
    if (this.#door?.stitched === undefined) return;
    this.#door.stitched.release();
    this.#door = undefined;
  }

  /** As `detach`, of memory that was written back: nobody stores past the checks any more. */
  takeBack(): void {
    if (this.#aliased) return;
    this.detach();
    this.#stored = false;
  }

  /** Forgets everything; an alias stays readable until the media is closed. */
  close(): void {
    this.detach();
    this.#door = undefined;
    this.#aliased = false;
    this.#spans?.leave();
    this.#spans = undefined;
  }

  /** Asks anew where the bytes are when the file was cut, or its blocks have moved. */
  #current(): MappedSpans {
    const { inode, offset, length } = this.#range;
    const known = this.#spans;
    if (known === undefined) return (this.#spans = new MappedSpans(inode, offset, length));
    if (!known.refresh()) return known;
    this.#door?.stitched?.release();
    this.#door = undefined;
    return known;
  }
}
