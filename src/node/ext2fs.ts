/**
 * The entry shapes of `ext2fs`: `withMountedDisk(disk, offset, (fs) => …)`.
 *
 * A disk of ext2fs answers with promises, and a filesystem here asks for memory: such a disk is
 * read whole, and what has changed is written back when it is unmounted, or synced. A path, a `URL`
 * or media are mounted as they are, in place.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { DaxError } from "../lib/errno.ts";
import { aliasOf } from "../lib/memory.ts";
import type { Media } from "../media/media.ts";
import { RamMedia } from "../media/ram.ts";
import type { VolumeFs } from "./facade/facade.ts";
import { type OpenVolumeOptions, type Volume, openVolume } from "./volume.ts";

/** A disk as ext2fs has it, which is that of the `file-disk` package. */
export interface Disk {
  /** Bytes. */
  getCapacity(): Promise<number>;
  /** Fills `length` bytes of `buffer` from `bufferOffset` on with those from `offset`. */
  read(buffer: Buffer, bufferOffset: number, length: number, offset: number): Promise<unknown>;
  /** The opposite of `read`. */
  write(buffer: Buffer, bufferOffset: number, length: number, offset: number): Promise<unknown>;
  /** Makes durable what was written. */
  flush?(): Promise<void>;
  /** Refuses writes when true: then it is mounted for reading. */
  readonly readOnly?: boolean;
}

/** `fs` of a mounted disk. */
export type MountedFs = VolumeFs & {
  /** Makes durable what was changed, on the disk. */
  sync(): Promise<void>;
};

/** Bytes that are read, compared and written at once. */
const PIECE = 2 ** 20;

/** A disk in memory. */
interface Loaded {
  readonly media: Media;
  /** Writes back what has changed since it was read, or written back. */
  store(): Promise<void>;
}

const mounted = new WeakMap<
  object,
  { readonly volume: Volume; readonly disk: Loaded | undefined }
>();

function isDisk(value: unknown): value is Disk {
  return typeof (value as Partial<Disk> | null)?.getCapacity === "function";
}

async function load(disk: Disk): Promise<Loaded> {
  const size = await disk.getCapacity();
  const media = new RamMedia(size - (size % 4096), { segmentBytes: PIECE });
  const sums: string[] = [];
  for (let at = 0; at < media.size; at += PIECE) {
    const piece = pieceOf(media, at);
    // oxlint-disable-next-line no-await-in-loop -- a disk is asked one thing after the other
    await disk.read(piece, 0, piece.length, at);
    sums.push(sumOf(piece));
  }
  return { media, store: () => store(disk, media, sums) };
}

function pieceOf(media: Media, at: number): Buffer {
  const { memory, start, length } = media.window(at);
  const bytes = aliasOf(memory, at - start, length - (at - start));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Long enough that two pieces with the same sum are the same. */
function sumOf(piece: Buffer): string {
  return createHash("sha256").update(piece).digest("base64");
}

async function store(disk: Disk, media: Media, sums: string[]): Promise<void> {
  for (const [index, known] of sums.entries()) {
    const piece = pieceOf(media, index * PIECE);
    const sum = sumOf(piece);
    if (sum === known) continue;
    sums[index] = sum;
    // oxlint-disable-next-line no-await-in-loop -- a disk is asked one thing after the other
    await disk.write(piece, 0, piece.length, index * PIECE);
  }
  await disk.flush?.();
}

/**
 * Mounts the filesystem that starts at byte `offset` of a disk, for writing unless told otherwise;
 * `umount` ends it. @throws as `openVolume`
 */
export async function mount(
  disk: Disk | string | URL | Media,
  offset = 0,
  options: OpenVolumeOptions = {},
): Promise<MountedFs> {
  const loaded = isDisk(disk) ? await load(disk) : undefined;
  const source = loaded?.media ?? (disk as string | URL | Media);
  const write = isDisk(disk) ? disk.readOnly !== true : true;
  const volume = openVolume(source, { write, ...options, offset });
  const sync = async (): Promise<void> => {
    if (volume.writable) volume.sync();
    await loaded?.store();
  };
  const fs = { ...volume.fs, sync };
  mounted.set(fs, { volume, disk: loaded });
  return fs;
}

/** Closes what is open, unmounts, and writes back. @throws EINVAL for what is not mounted; EIO */
export async function umount(fs: MountedFs): Promise<void> {
  const found = mounted.get(fs);
  if (found === undefined) {
    throw new DaxError("EINVAL", { syscall: "umount", detail: "give what mount gave, once" });
  }
  mounted.delete(fs);
  try {
    found.volume.close({ revoke: true });
  } finally {
    if (found.volume.writable) await found.disk?.store();
  }
}

/** Mounts a disk for the time of `body`. @throws as {@link mount} and `body` */
export async function withMountedDisk<T>(
  disk: Disk | string | URL | Media,
  offset: number,
  body: (fs: MountedFs) => T | Promise<T>,
  options?: OpenVolumeOptions,
): Promise<T> {
  const fs = await mount(disk, offset, options);
  try {
    return await body(fs);
  } finally {
    await umount(fs);
  }
}
