/**
 * Tar archives from files and pipes: what is compressed is unpacked on the way, as far as this Node
 * can, and what has to be read twice and cannot be is spooled to a file without a name.
 *
 * @module
 */
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Duplex, Readable, pipeline } from "node:stream";
import * as zlib from "node:zlib";
import { DaxError } from "../lib/errno.ts";
import { systemError, typed } from "./system-error.ts";
import { writeAll } from "./sink.ts";

/** Standard input, as tools name it. */
export const STANDARD_INPUT = "-";
const PIECE = 2 ** 18;
/** Bytes by which compressions are known. */
const HEAD = 6;

/** How something is compressed, and what unpacks it where Node cannot. */
interface Compression {
  readonly name: string;
  readonly magic: readonly number[];
  readonly tool: string;
  readonly unpack?: (() => Duplex) | undefined;
}

/** Newer than the oldest Node that daxkit runs on. */
const { createZstdDecompress } = zlib as { readonly createZstdDecompress?: () => Duplex };

const COMPRESSIONS: readonly Compression[] = [
  { name: "gzip", magic: [0x1f, 0x8b], tool: "gzip -dc", unpack: () => zlib.createGunzip() },
  {
    name: "zstd",
    magic: [0x28, 0xb5, 0x2f, 0xfd],
    tool: "zstd -dc",
    unpack: createZstdDecompress === undefined ? undefined : () => createZstdDecompress(),
  },
  { name: "xz", magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], tool: "xz -dc" },
  { name: "bzip2", magic: [0x42, 0x5a, 0x68], tool: "bzip2 -dc" },
  { name: "lzip", magic: [0x4c, 0x5a, 0x49, 0x50], tool: "lzip -dc" },
  { name: "lz4", magic: [0x04, 0x22, 0x4d, 0x18], tool: "lz4 -dc" },
  { name: "compress", magic: [0x1f, 0x9d], tool: "uncompress -c" },
];

/** How bytes that start so are compressed; undefined for what is no compression known here. */
function compressionOf(head: Uint8Array): Compression | undefined {
  return COMPRESSIONS.find(({ magic }) => magic.every((byte, i) => head[i] === byte));
}

/**
 * The bytes of an archive, unpacked: of a file, or of standard input for `-`.
 * @throws ENOTSUP for a compression that Node has not, EUCLEAN for compressed data that are
 *   damaged, and what the system says of the file
 */
export async function* tarBytes(source: string): AsyncGenerator<Uint8Array> {
  const raw: Readable =
    source === STANDARD_INPUT
      ? process.stdin
      : fs.createReadStream(source, { highWaterMark: PIECE });
  const chunks = named(raw, source)[Symbol.asyncIterator]();
  const [head, more] = await headOf(chunks);
  const compression = compressionOf(head);
  const whole = rejoined(head, more ? chunks : undefined);
  if (compression === undefined) {
    yield* whole;
    return;
  }
  const unpacker = unpackerOf(compression, source);
  // What breaks is heard of by whoever reads the last of the streams.
  const unpacked = pipeline(Readable.from(whole), unpacker, () => {});
  try {
    yield* unpacked as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw unpackError(error, compression, source);
  }
}

function unpackerOf({ name, tool, unpack }: Compression, source: string): Duplex {
  if (unpack !== undefined) return unpack();
  const from = source === STANDARD_INPUT ? "" : ` ${source}`;
  const remedy = `pipe it: ${tool}${from} | …`;
  const detail = `it is compressed by ${name}, which this Node cannot unpack; ${remedy}`;
  throw new DaxError("ENOTSUP", { syscall: "read", path: source, detail });
}

function unpackError(error: unknown, { name }: Compression, path: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  if (error instanceof DaxError || !(code ?? "").startsWith("Z")) return error;
  const detail = `what ${name} compressed is damaged or was cut: ${message}`;
  return new DaxError("EUCLEAN", { syscall: "read", path, detail });
}

/** A stream whose errors are typed. */
async function* named(raw: Readable, path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* raw as AsyncIterable<Uint8Array>;
  } catch (error) {
    const { errno, syscall = "read" } = error as NodeJS.ErrnoException;
    throw typeof errno === "number" ? systemError(-errno, { syscall, path }) : error;
  }
}

/** The first bytes, as many as tell a compression, and whether more follow. */
async function headOf(
  chunks: AsyncIterator<Uint8Array>,
): Promise<[head: Uint8Array, more: boolean]> {
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < HEAD) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const { done, value } = await chunks.next();
    if (done === true) return [head, false];
    head = head.length === 0 ? value : Buffer.concat([head, value]);
  }
  return [head, true];
}

async function* rejoined(
  head: Uint8Array,
  rest: AsyncIterator<Uint8Array> | undefined,
): AsyncGenerator<Uint8Array> {
  if (head.length > 0) yield head;
  if (rest !== undefined) yield* { [Symbol.asyncIterator]: () => rest };
}

/** An archive that can be read at any place, any number of times. */
export interface TarFile {
  readonly fd: number;
  /** Bytes. */
  readonly size: number;
  close(): void;
}

/**
 * Opens an archive: an ordinary file that is not compressed as it is; all else is spooled to a file
 * in the system's folder for such, which has no name and is gone when it is closed.
 * @throws as {@link tarBytes}; ENOSPC where there is no room for it
 */
export async function openTarFile(source: string): Promise<TarFile> {
  // A pipe is opened once: who writes into it would take a second time for the end of the first.
  const isFile = source !== STANDARD_INPUT && typed(source, () => fs.statSync(source)).isFile();
  return (isFile ? openPlain(source) : undefined) ?? spooled(tarBytes(source));
}

/** An ordinary file; undefined for one that is compressed. */
function openPlain(source: string): TarFile | undefined {
  const fd = typed(source, () => fs.openSync(source, "r"));
  const head = new Uint8Array(HEAD);
  typed(source, () => fs.readSync(fd, head, 0, HEAD, 0));
  if (compressionOf(head) === undefined) return fileOf(fd, fs.fstatSync(fd).size);
  fs.closeSync(fd);
  return undefined;
}

function fileOf(fd: number, size: number): TarFile {
  return { fd, size, close: () => fs.closeSync(fd) };
}

async function spooled(chunks: AsyncIterable<Uint8Array>): Promise<TarFile> {
  const folder = tmpdir();
  const fd = typed(folder, openNameless);
  let size = 0;
  try {
    for await (const chunk of chunks) {
      typed(folder, () => writeAll(fd, chunk));
      size += chunk.length;
    }
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
  return fileOf(fd, size);
}

/** A file that nobody else can open, and that is gone with this process. */
function openNameless(): number {
  const folder = fs.mkdtempSync(join(tmpdir(), "daxkit-"));
  const path = join(folder, "archive");
  try {
    const fd = fs.openSync(path, "wx+", 0o600);
    fs.unlinkSync(path);
    return fd;
  } finally {
    fs.rmdirSync(folder);
  }
}
