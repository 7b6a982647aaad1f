/**
 * What is to be mounted, as it is told to a process in another directory.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { isNbdUri } from "../nbd/uri.ts";

/** The socket of `nbd+unix:`, where its path begins at the directory one is in. */
const RELATIVE_SOCKET = /^(nbds?\+unix:.*[?&;]socket=)(?!\/|%2F|%00|&|;|$)/iu;

/** Names of files and sockets made whole: the process in the background is elsewhere. */
export function sourceOf(source: string): string {
  if (!isNbdUri(source)) return resolve(source);
  const here = resolve(".").split("/").map(encodeURIComponent).join("/");
  return source.replace(
    RELATIVE_SOCKET,
    (_, head: string) => `${head}${here.replace(/\/?$/u, "/")}`,
  );
}

/** Whether `nofail` of fstab(5) has anything to say: a file or device that does not exist. */
export function isMissing(source: string): boolean {
  return !isNbdUri(source) && !existsSync(source);
}
