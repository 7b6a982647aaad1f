/**
 * The descriptor of the event loop: who waits in a call of his own sees by it that the loop has
 * something to do.
 *
 * @module
 */
import { isMainThread } from "node:worker_threads";
import { foreign } from "../libc.unsafe.ts";

/** libuv's epoll descriptor; undefined in worker threads, whose loops nobody names. */
export function loopDescriptor(): number | undefined {
  if (!isMainThread) return undefined;
  try {
    const loop = foreign("uv_default_loop", "uintptr_t", [])();
    const fd = foreign("uv_backend_fd", "int", ["uintptr_t"])(loop);
    return fd < 0 ? undefined : fd;
  } catch {
    // A Node whose libuv is a library of its own need not show these names.
    return undefined;
  }
}
