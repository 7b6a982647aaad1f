/**
 * What is said at a mapper's socket: each message is a line of JSON. The mapper greets; a client
 * that was greeted says one command, and is answered.
 *
 * @module
 */
import { type Socket, connect } from "node:net";
import type { MappedDescription } from "../../dm/description.ts";
import { DaxError } from "../../lib/errno.ts";

/** Who answers. */
export interface MapperGreeting {
  readonly mapper: number;
}

/** A command line of dmsetup. */
export interface MapperRequest {
  readonly words: readonly string[];
  /** Where relative paths begin. */
  readonly folder: string;
  /** The table that a file or standard input held, or why it cannot be read. */
  readonly table?: string;
  readonly unread?: string;
}

/** What a command reads a table with: it came with the request. */
export function tableReader({ table, unread }: MapperRequest): () => string {
  return () => {
    if (unread === undefined) return table ?? "";
    throw new DaxError("EIO", { syscall: "read", detail: unread });
  };
}

/** A device, and where its clients find it. */
export interface ServedDescription extends MappedDescription {
  readonly uri: string;
}

/** What became of it. */
export interface MapperAnswer {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
  /** The devices that there are now. */
  readonly devices: readonly ServedDescription[];
}

/** A table of a million lines, and some room. */
export const LONGEST_MESSAGE = 2 ** 28;

/** Sends one message. */
export function say(socket: Socket, message: MapperGreeting | MapperRequest | MapperAnswer): void {
  socket.write(`${JSON.stringify(message)}\n`);
}

/** Calls back for each line; what is longer than any message ends the connection. */
export function onLines(socket: Socket, line: (text: string) => void): void {
  let pieces: string[] = [];
  let length = 0;
  socket.setEncoding("utf8");
  socket.on("data", (chunk: string) => {
    const lines = chunk.split("\n");
    const last = lines.pop() as string;
    for (const text of lines) {
      line(pieces.join("") + text);
      pieces = [];
      length = 0;
    }
    pieces.push(last);
    length += last.length;
    if (length > LONGEST_MESSAGE) socket.destroy();
  });
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** What a line asks for; undefined for one that no client of ours has written. */
export function readRequest(line: string): MapperRequest | undefined {
  try {
    const { words, folder, table, unread } = JSON.parse(line) as Record<string, unknown>;
    if (!Array.isArray(words) || !words.every(isText) || !isText(folder)) return undefined;
    if (isText(unread)) return { words, folder, unread };
    if (table === undefined) return { words, folder };
    return isText(table) ? { words, folder, table } : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Has a mapper run a command. Undefined when no mapper took it: nobody listens there, or who did
 * was about to end.
 * @throws EACCES for a socket of somebody else, ECONNRESET when the mapper died at it
 */
export async function askMapper(
  path: string,
  request: MapperRequest,
): Promise<MapperAnswer | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    let greeting: MapperGreeting | undefined;
    let answer: MapperAnswer | undefined;
    onLines(socket, (text) => {
      if (greeting === undefined) {
        greeting = JSON.parse(text) as MapperGreeting;
        say(socket, request);
      } else {
        answer = JSON.parse(text) as MapperAnswer;
        socket.end();
      }
    });
    let refused: string | undefined;
    socket.on("error", (error: NodeJS.ErrnoException) => (refused = error.code));
    socket.on("close", () => {
      if (answer !== undefined) resolve(answer);
      else if (greeting !== undefined) reject(died(path, greeting));
      else if (refused === "EACCES") reject(new DaxError("EACCES", { syscall: "connect", path }));
      else resolve(undefined);
    });
  });
}

function died(path: string, { mapper }: MapperGreeting): DaxError {
  const detail = `the mapper, process ${mapper}, ended before it answered; its devices are gone`;
  return new DaxError("ECONNRESET", { syscall: "dmsetup", path, detail });
}
