/**
 * Descriptors under Node's sockets: a connection that Node accepted goes to an engine that speaks
 * with the kernel itself.
 *
 * @module
 */
import type { Socket } from "node:net";
import { DaxError } from "../../lib/errno.ts";
import { foreign, libc } from "../libc.unsafe.ts";
import { systemError } from "../system-error.ts";

const F_DUPFD_CLOEXEC = 1030;

/** A variadic call: each value behind the fixed ones follows the name of its type. */
type Fcntl = (fd: number, command: number, type: string, value: number) => number;

let fcntl: Fcntl | undefined;

/**
 * Another descriptor of the same open file, closed on exec.
 * @throws EMFILE, EBADF, ENOTSUP where foreign calls cannot be made
 */
export function duplicate(fd: number): number {
  fcntl ??= foreign("fcntl", "int", ["int", "int", "..."]) as unknown as Fcntl;
  const copy = fcntl(fd, F_DUPFD_CLOEXEC, "int", 0);
  if (copy === -1) throw systemError(libc()?.errno() ?? 0, { syscall: "fcntl" });
  return copy;
}

/**
 * Takes the connection out of a socket that is paused; the socket is destroyed, the connection
 * stays. The descriptor is the caller's.
 * @throws as {@link duplicate}; the socket is destroyed then, too
 */
export function takeDescriptor(socket: Socket): number {
  try {
    const { _handle: handle } = socket as unknown as { _handle: { fd?: number } | null };
    const fd = handle?.fd ?? -1;
    if (fd < 0) throw new DaxError("EBADF", { syscall: "accept", detail: "it is closed already" });
    return duplicate(fd);
  } finally {
    socket.destroy();
  }
}
