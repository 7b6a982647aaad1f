/**
 * Listening sockets: unix, TCP, and those that somebody else opened.
 *
 * @module
 */
import { lstatSync, readFileSync, readlinkSync, statSync, unlinkSync } from "node:fs";
import { type Server, type Socket, connect, createServer } from "node:net";
import { dirname } from "node:path";
import { DaxError } from "../../lib/errno.ts";
import { systemError, typed } from "../system-error.ts";
import type { NbdAddress } from "../../nbd/uri.ts";
import {
  type NbdListen,
  beyondLoopback,
  checkPlace,
  checkSocketPath,
  isLoopback,
  resolveTcp,
} from "./addresses.ts";

/** How many connections the kernel keeps for a server that is busy; it may keep fewer. */
const BACKLOG = 4096;

/** What becomes of connections. */
export interface ListenEvents {
  /** The socket is paused: nothing was read from it. */
  onConnection(socket: Socket): void;
  /** One could not be accepted; others are. */
  onRefused(error: DaxError): void;
}

/** One listening socket. */
export interface Listener {
  readonly address: NbdAddress;
  /** Accepts no more, and takes a unix socket's path away. */
  close(): Promise<void>;
}

/**
 * Starts listening.
 * @param open whether addresses beyond loopback are allowed
 * @throws EADDRINUSE, EACCES, EPERM beyond loopback, EINVAL, ENAMETOOLONG, EADDRNOTAVAIL, EBADF
 */
export async function startListening(
  at: NbdListen,
  open: boolean,
  events: ListenEvents,
): Promise<Listener> {
  checkPlace(at);
  const server = createServer(
    { pauseOnConnect: true, allowHalfOpen: true, noDelay: true, keepAlive: true },
    (socket) => events.onConnection(socket),
  );
  if ("path" in at) await listenAtPath(server, checkSocketPath(at.path));
  else if ("fd" in at) await listenAtDescriptor(server, at.fd, open);
  else {
    const { address, port } = await resolveTcp(at, open);
    await listening(server, { host: address, port }, `${address}:${port}`);
  }
  server.on("error", (error) => events.onRefused(typedError(error, "accept")));
  const address = addressOf(server, at);
  return { address, close: async () => closed(server) };
}

async function closed(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    // It calls back when its connections have gone, too: those are other people's business.
    server.close();
    setImmediate(resolve);
  });
}

/** Somebody else's socket, unless all the world reaches it. */
async function listenAtDescriptor(server: Server, fd: number, open: boolean): Promise<void> {
  const shown = `descriptor ${fd}`;
  await listening(server, { fd }, shown);
  const address = server.address();
  if (open || address === null || typeof address === "string") return;
  if (isLoopback(address.address)) return;
  await closed(server);
  throw beyondLoopback(address.address);
}

/** A path that is left over from a server that died is taken; one that answers is not. */
async function listenAtPath(server: Server, path: string): Promise<void> {
  checkFolder(path);
  try {
    await listening(server, { path }, path);
  } catch (error) {
    if (!(error instanceof DaxError) || error.code !== "EADDRINUSE") throw error;
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat !== undefined && !stat.isSocket()) {
      throw inUse(path, "a file that is no socket is there; remove it, or choose another path");
    }
    if (await answers(path)) throw inUse(path, "another server listens there");
    if (stat !== undefined) unlinkSync(path);
    await listening(server, { path }, path);
  }
}

/** Node tells EACCES for a folder that is not there. @throws ENOENT, ENOTDIR, EACCES */
function checkFolder(path: string): void {
  const folder = dirname(path);
  if (!typed(folder, () => statSync(folder)).isDirectory()) {
    throw new DaxError("ENOTDIR", { syscall: "listen", path, detail: `${folder} is no folder` });
  }
}

function inUse(path: string, detail: string): DaxError {
  return new DaxError("EADDRINUSE", { syscall: "listen", path, detail });
}

/** Only a refusal says that nobody is there: a server whose queue is full is one as well. */
async function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", ({ code }: NodeJS.ErrnoException) => {
      resolve(code !== "ECONNREFUSED" && code !== "ENOENT");
    });
  });
}

type ListenTarget = { path: string } | { host: string; port: number } | { fd: number };

async function listening(server: Server, target: ListenTarget, shown: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (error: Error): void => {
      const { code } = error as NodeJS.ErrnoException;
      reject(typedError(error, "listen", shown, adviceOn(target, code)));
    };
    server.once("error", refuse);
    server.listen({ ...target, backlog: BACKLOG }, () => {
      server.off("error", refuse);
      resolve();
    });
  });
}

function adviceOn(target: ListenTarget, code: string | undefined): string | undefined {
  if ("fd" in target && (code === "EINVAL" || code === "ENOTSUP")) {
    return "it is no listening socket";
  }
  if (!("port" in target)) return undefined;
  if (code === "EADDRINUSE") return "another server listens there; port 0 takes a free one";
  if (code === "EACCES") return "ports below 1024 are the administrator's";
  return undefined;
}

function addressOf(server: Server, at: NbdListen): NbdAddress {
  const address = server.address();
  if (typeof address === "string") return { kind: "unix", path: address };
  if (address !== null) return { kind: "tcp", host: address.address, port: address.port };
  return { kind: "unix", path: "fd" in at ? pathOfDescriptor(at.fd) : "" };
}

/** The path of a unix socket that somebody else bound, as the kernel lists it; or no path. */
function pathOfDescriptor(fd: number): string {
  try {
    const [, inode] = /^socket:\[(\d+)\]$/u.exec(readlinkSync(`/proc/self/fd/${fd}`)) ?? [];
    const lines = readFileSync("/proc/net/unix", "utf8").split("\n");
    const words = lines.map((line) => line.trim().split(/\s+/u));
    return words.find((columns) => columns[6] === inode)?.[7] ?? "";
  } catch {
    return "";
  }
}

function typedError(error: Error, syscall: string, path?: string, detail?: string): DaxError {
  const { errno } = error as NodeJS.ErrnoException;
  const context = {
    syscall,
    ...(path === undefined ? {} : { path }),
    ...(detail === undefined ? {} : { detail }),
  };
  return systemError(typeof errno === "number" ? -errno : 5, context);
}
