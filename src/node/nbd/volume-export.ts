/**
 * A volume that is open as an export to be read: what somebody copies from it is one moment of the
 * filesystem, whatever is written to it meanwhile.
 *
 * @module
 */
import { closeSync, constants, ftruncateSync, openSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { BlockStore } from "../../nbd/block-store.ts";
import type { NbdExport } from "../../nbd/export.ts";
import type { NbdStore, StoreAbilities, StoreBlockSizes, StoreExtent } from "../../nbd/store.ts";
import type { MediaFile } from "../media-file.ts";
import { typed } from "../system-error.ts";
import type { Volume } from "../volume.ts";
import { FileStore } from "./file-store.ts";

/** How a volume is exported. */
export interface ExportVolumeOptions {
  /** `volume` unless given. */
  readonly name?: string;
  readonly description?: string;
  /**
   * Shows the media as they are, changing while they are read: what is copied meanwhile is no
   * filesystem. False unless given.
   */
  readonly live?: boolean;
  /** Where moments are kept while they are read; the folder for temporary files unless given. */
  readonly folder?: string;
}

/**
 * Exports the filesystem of an open volume, read-only, for `serveNbd`. It may be written to
 * meanwhile, and be mounted: when the first client reads, all that was done is committed, and the
 * filesystem copied as it is at that moment. That is what this client sees, and whoever comes
 * while it is there. It takes as long as copying what is not zero, and as much room in `folder`;
 * the stack does nothing else meanwhile. A copy of it is what a power cut would leave: sound once
 * its journal was replayed.
 *
 * Close the server before the volume.
 */
export function exportVolume(volume: Volume, options: ExportVolumeOptions = {}): NbdExport {
  const { name = "volume", description, live = false, folder = tmpdir() } = options;
  const said = { name, ...(description === undefined ? {} : { description }) };
  const store = new BlockStore(volume.device, { readOnly: true });
  if (live || !volume.writable) return { ...said, store };
  const moments = new MomentStore(store, () => takeMoment(volume, store, folder));
  return {
    ...said,
    store: moments,
    onAttach: () => moments.attach(),
    onDetach: () => moments.detach(),
  };
}

/** A copy that is read, and given back. */
interface Moment {
  readonly store: NbdStore;
  close(): void;
}

/** Whatever is read while somebody is there is of one moment. */
class MomentStore implements NbdStore {
  readonly size: number;
  readonly readOnly = true;
  readonly blockSizes: StoreBlockSizes;
  readonly abilities: StoreAbilities = {
    trim: false,
    fastZero: false,
    cache: false,
    multiConnection: true,
  };
  readonly #take: () => Moment;
  #moment: Moment | undefined;
  #clients = 0;

  constructor(live: NbdStore, take: () => Moment) {
    this.size = live.size;
    this.blockSizes = live.blockSizes;
    this.#take = take;
  }

  attach(): void {
    this.#clients++;
  }

  detach(): void {
    if (--this.#clients > 0) return;
    this.#moment?.close();
    this.#moment = undefined;
  }

  read(offset: number, target: Uint8Array): void {
    this.#now().read(offset, target);
  }

  allocation(offset: number, length: number): Iterable<StoreExtent> {
    return this.#now().allocation(offset, length);
  }

  /** Nothing was written here. */
  flush(): void {}

  persist(): void {}

  cache(): void {}

  write(): void {
    throw readOnly("write");
  }

  writeZeroes(): void {
    throw readOnly("fallocate");
  }

  trim(): void {
    throw readOnly("fallocate");
  }

  #now(): NbdStore {
    return (this.#moment ??= this.#take()).store;
  }
}

function readOnly(syscall: string): DaxError {
  return new DaxError("EROFS", { syscall, detail: "an open volume is exported to be read" });
}

const PIECE_BYTES = 2 ** 20;
const O_TMPFILE = 0o20000000;

/** @throws ENOSPC, EIO */
function takeMoment(volume: Volume, live: NbdStore, folder: string): Moment {
  try {
    volume.sync();
  } catch (error) {
    // A filesystem that writes no more is copied as it was left.
    if (!isDaxError(error)) throw error;
  }
  const flags = constants.O_RDWR | constants.O_DIRECTORY | O_TMPFILE;
  const fd = typed(folder, () => openSync(folder, flags, 0o600));
  try {
    copyTo(fd, live, folder);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  const file: MediaFile = {
    fd,
    path: `a moment of the volume in ${folder}`,
    size: live.size,
    readOnly: true,
    kind: "file",
    inRam: false,
  };
  return { store: new FileStore(file), close: () => closeSync(fd) };
}

/** What is zero becomes a hole. */
function copyTo(fd: number, live: NbdStore, folder: string): void {
  typed(folder, () => ftruncateSync(fd, live.size));
  const piece = Buffer.alloc(Math.min(PIECE_BYTES, live.size));
  const zeros = Buffer.alloc(piece.length);
  for (let at = 0; at < live.size; at += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, live.size - at));
    live.read(at, part);
    if (part.equals(zeros.subarray(0, part.length))) continue;
    for (let done = 0; done < part.length;) {
      done += typed(folder, () => writeSync(fd, part, done, part.length - done, at + done));
    }
  }
}
