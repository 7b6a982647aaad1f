/**
 * A volume as a tar stream, to a callback or straight to a descriptor.
 *
 * @module
 */
import { writeSync } from "node:fs";
import { type TarOptions, type TarSink, type TarSummary, writeTar } from "../../vfs/tar.ts";
import type { Volume } from "../volume.ts";

/** Bytes that are collected before they are written: what GNU tar calls a record, times 26. */
const BUFFER = 2 ** 18;
/** How long to wait for a pipe that is full, in milliseconds. */
const PATIENCE = 5;

/**
 * Writes what is below `path` of a volume as a tar stream in pax format; the same bytes that GNU
 * tar makes of a mount (see `vfs/tar`). `sink` gets pieces that are valid until it returns.
 * @throws ENOENT and whatever the walk says; EUCLEAN, EBADMSG, EIO with the path of the file
 */
export function tarSubtree(
  volume: Volume,
  path: string,
  sink: TarSink,
  options?: TarOptions,
): TarSummary {
  return writeTar(volume.tree, path, sink, options);
}

/** As {@link tarSubtree}, to an open descriptor: a file, a pipe, standard output. @throws EPIPE */
export function tarToDescriptor(
  volume: Volume,
  path: string,
  fd: number,
  options?: TarOptions,
): TarSummary {
  const output = new DescriptorSink(fd);
  const summary = tarSubtree(volume, path, (bytes) => output.write(bytes), options);
  output.flush();
  return summary;
}

/** Collects small pieces, and waits where a pipe is full. */
class DescriptorSink {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(BUFFER);
  readonly #sleeper = new Int32Array(new SharedArrayBuffer(4));
  #used = 0;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(bytes: Uint8Array): void {
    if (this.#used + bytes.length > BUFFER) this.flush();
    if (bytes.length >= BUFFER) {
      this.#writeAll(bytes);
      return;
    }
    this.#buffer.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  flush(): void {
    this.#writeAll(this.#buffer.subarray(0, this.#used));
    this.#used = 0;
  }

  #writeAll(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) done += this.#writeSome(bytes, done);
  }

  #writeSome(bytes: Uint8Array, done: number): number {
    try {
      return writeSync(this.#fd, bytes, done);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      // Standard output may be a pipe in non-blocking mode; there is nothing else to do meanwhile.
      Atomics.wait(this.#sleeper, 0, 0, PATIENCE);
      return 0;
    }
  }
}
