/**
 * Unmounts when the process dies without having done so: a shell that waits for the end of a pipe
 * whose other side dies with the process, whatever kills it.
 *
 * It has a session of its own, so that no ctrl-C reaches it, and looks for exactly this mount:
 * numbers of mounts are given again.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";

/**
 * Two lines come: the mount, and that all is well. The end of the pipe in between is a death. `-i`:
 * umount(8) would start a helper of ours for this type, which would do just the same.
 */
const SCRIPT = `trap '' HUP INT QUIT TERM
IFS= read -r mark || exit 0
IFS= read -r _ && exit 0
while IFS= read -r line; do
  case "$line" in "$mark"*)
    umount -i -l -- "$1" || exec fusermount3 -u -z -- "$1"
    exit ;;
  esac
done </proc/self/mountinfo`;

/** See the module. */
export class MountGuard {
  readonly #shell: ChildProcess;

  /** It starts before the mount is made, so that no moment is without it. */
  constructor(directory: string) {
    this.#shell = spawn("/bin/sh", ["-c", SCRIPT, "daxkit-guard", directory], {
      cwd: "/",
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    // A guard that cannot start, or is killed, takes only its service with it.
    this.#shell.on("error", () => {});
    this.#shell.stdin?.on("error", () => {});
    this.#shell.unref();
    (this.#shell.stdin as { unref?(): void } | null)?.unref?.();
  }

  /** From now on the mount is guarded. */
  watch(mark: string): void {
    this.#shell.stdin?.write(`${mark}\n`, "latin1");
  }

  /** There is nothing to guard any more. */
  dismiss(): void {
    this.#shell.stdin?.end("over\n");
  }
}
