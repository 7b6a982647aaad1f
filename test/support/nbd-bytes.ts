/* oxlint-disable no-await-in-loop -- a client does one thing after the other */
/**
 * What a client of NBD writes, as bytes: for tests that stop in the middle of it.
 */
import type { Socket } from "node:net";

const text = (value: string): Buffer => Buffer.from(value, "latin1");

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, i * 4);
  return bytes;
}

/** Fixed newstyle, no zeroes. */
export const CLIENT_FLAGS = words(3);

/** An option with its data. */
export function option(number: number, data: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([text("IHAVEOPT"), words(number, data.length), data]);
}

/** NBD_OPT_GO for the default export. */
export const GO = option(7, Buffer.alloc(6));

/** A request of 28 bytes. */
export function request(type: number, offset: number, length: number, flags = 0): Buffer {
  return words(0x25609513, flags * 65536 + type, 0, 7, offset / 2 ** 32, offset, length);
}

export const READ = 0;
export const WRITE = 1;
export const DISC = 2;
export const FLUSH = 3;

/**
 * Reads exactly so many bytes. It takes what is there before it waits: a listener of "readable" on
 * a socket that holds something is called at once, for ever, and nothing else is.
 */
export async function take(socket: Socket, length: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let left = length;
  while (left > 0) {
    const run = Math.min(left, socket.readableLength);
    const bytes = run === 0 ? null : (socket.read(run) as Buffer | null);
    if (bytes !== null) {
      parts.push(bytes);
      left -= bytes.length;
    } else if (socket.readableEnded || socket.destroyed) {
      throw new Error(`it ended after ${length - left} of ${length} bytes`);
    } else await somethingHappened(socket);
  }
  return Buffer.concat(parts);
}

async function somethingHappened(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => {
    const go = (): void => {
      for (const event of ["readable", "end", "close"]) socket.off(event, go);
      resolve();
    };
    for (const event of ["readable", "end", "close"]) socket.on(event, go);
  });
}

/** Brings a fresh connection to transmission; returns the export's size. */
export async function handshake(socket: Socket): Promise<number> {
  await take(socket, 18);
  socket.write(Buffer.concat([CLIENT_FLAGS, GO]));
  let size = 0;
  for (;;) {
    const reply = await take(socket, 20);
    const length = reply.readUInt32BE(16);
    const data = length === 0 ? Buffer.alloc(0) : await take(socket, length);
    const type = reply.readUInt32BE(12);
    if (type === 1) return size;
    if (type !== 3) throw new Error(`reply of type ${type}: ${data.toString()}`);
    if (data.readUInt16BE(0) === 0) size = Number(data.readBigUInt64BE(2));
  }
}

/** Asks for bytes and answers with them; simple replies. */
export async function readBlock(socket: Socket, offset: number, length: number): Promise<Buffer> {
  socket.write(request(READ, offset, length));
  const reply = await take(socket, 16);
  const error = reply.readUInt32BE(4);
  if (error !== 0) throw new Error(`error ${error}`);
  return take(socket, length);
}
