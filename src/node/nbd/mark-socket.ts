/**
 * A unix socket through which any program puts marks into a log: each line is one, and is answered
 * by the number of its entry once it is there.
 *
 * @module
 */
import { type Server, type Socket, createServer } from "node:net";
import type { LogWriter } from "../../block/write-log-writer.ts";
import { DaxError, isDaxError } from "../../lib/errno.ts";
import { typed } from "../system-error.ts";

/** A line may be so long: more than any mark has room for. */
const LONGEST_LINE = 4096;

/** Listens for marks; resolves when it does. @throws EADDRINUSE, ENOENT, EACCES */
export async function listenForMarks(
  path: string,
  log: LogWriter,
): Promise<{ close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    readLines(socket, (line) => answer(log, line));
  });
  await listening(server, path);
  return {
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function listening(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => {
      try {
        typed(path, () => {
          throw error;
        });
      } catch (why) {
        reject(why instanceof Error ? why : new DaxError("EIO", { path }));
      }
    });
    server.listen(path, () => resolve());
  });
}

function answer(log: LogWriter, line: string): string {
  try {
    return `${log.mark(line)}\n`;
  } catch (error) {
    if (isDaxError(error)) return `error: ${error.message}\n`;
    throw error;
  }
}

function readLines(socket: Socket, each: (line: string) => string): void {
  let held = "";
  socket.setEncoding("utf8");
  socket.on("data", (text: string) => {
    const lines = (held + text).split("\n");
    held = lines.pop() ?? "";
    for (const line of lines) socket.write(each(line));
    if (held.length > LONGEST_LINE) socket.destroy();
  });
  socket.on("end", () => {
    if (held !== "") socket.write(each(held));
    socket.end();
  });
}
