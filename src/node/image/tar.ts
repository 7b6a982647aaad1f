/**
 * A volume as a tar stream, to a callback or straight to a descriptor.
 *
 * @module
 */
import { type TarOptions, type TarSink, type TarSummary, writeTar } from "../../vfs/tar.ts";
import { PieceBuffer, writeAll } from "../sink.ts";
import type { Volume } from "../volume.ts";

/** Bytes that are collected before they are written: what GNU tar calls a record, times 26. */
const BUFFER = 2 ** 18;

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
  const output = new PieceBuffer((bytes) => writeAll(fd, bytes), BUFFER);
  const summary = tarSubtree(volume, path, (bytes) => output.write(bytes), options);
  output.flush();
  return summary;
}
