/**
 * The raw door of a mapping: its range as one array, made of an alias of the media where that is
 * contiguous, and joined by the media where it is not.
 *
 * @module
 */
import type { DaxDevice } from "../dax/dax-device.ts";
import { PAGE_SIZE, type PagePiece } from "../dax/operations.ts";
import { DaxError } from "../lib/errno.ts";
import { aliasOf } from "../lib/memory.ts";
import type { Stitched } from "../media/media.ts";
import type { FileRun } from "./file-runs.ts";

/** The array, once somebody asked for it. */
export interface Door {
  readonly bytes: Uint8Array;
  /** Undefined when `bytes` is an alias of the media's own memory. */
  readonly stitched: Stitched | undefined;
}

/** What to open. */
export interface DoorRequest {
  readonly path: string;
  readonly spans: readonly FileRun[];
  readonly devices: ReadonlySet<DaxDevice>;
  /** Bytes. */
  readonly length: number;
  /** An array of its own, even where an alias would do. */
  readonly revocable: boolean;
  readonly writable: boolean;
}

/** What reads as zeros, whatever its media holds. */
export function isZeros(type: FileRun["type"]): boolean {
  return type === "hole" || type === "unwritten";
}

/** @throws ENOTSUP with the reason when there is no such array; EHWPOISON, ENXIO */
export function openDoor(request: DoorRequest): Door {
  const { spans, path, length, revocable } = request;
  const [first] = spans;
  for (const { type, absence } of spans) {
    if (absence !== undefined && !isZeros(type)) throw absence.at({ path });
  }
  if (spans.length === 1 && first?.memory !== undefined && !revocable) {
    return { bytes: aliasOf(first.memory, first.start, length), stitched: undefined };
  }
  return stitch(request);
}

function stitch({ path, spans, devices, length, writable }: DoorRequest): Door {
  const unavailable = (why: string): DaxError =>
    new DaxError("ENOTSUP", { syscall: "mmap", path, detail: `${why}; use spans or read` });
  const [device, other] = devices;
  const hole = spans.find(({ type }) => isZeros(type))?.absence;
  if (device === undefined) throw hole?.at({ path }) ?? unavailable("there is no memory");
  if (other !== undefined) throw unavailable("the range lies on two devices");
  const pieces = piecesOf(spans);
  const stitched = pieces === undefined ? undefined : device.stitch(pieces, writable);
  if (stitched === undefined) {
    if (hole !== undefined) throw hole.at({ path });
    const why = pieces === undefined ? "they are not whole pages" : `${device.name} cannot`;
    throw unavailable(`${spans.length} fragments, and no way to join them: ${why}`);
  }
  const head = withinPage(spans[0] as FileRun);
  return { bytes: stitched.bytes.subarray(head, head + length), stitched };
}

/** Where in its first page a run starts: on media, or for zeros in the file. */
function withinPage({ type, offset, deviceStart }: FileRun): number {
  return (isZeros(type) ? offset : deviceStart) % PAGE_SIZE;
}

/** The runs as whole pages; undefined when a run starts or ends inside a page of another. */
function piecesOf(runs: readonly FileRun[]): readonly PagePiece[] | undefined {
  const pieces: PagePiece[] = [];
  for (const [index, run] of runs.entries()) {
    const within = withinPage(run);
    const bytes = within + run.length;
    if (index > 0 && within !== 0) return undefined;
    if (index < runs.length - 1 && bytes % PAGE_SIZE !== 0) return undefined;
    const pages = Math.ceil(bytes / PAGE_SIZE);
    if (isZeros(run.type)) pieces.push({ hole: true, length: pages * PAGE_SIZE });
    else pieces.push({ pgoff: Math.floor(run.deviceStart / PAGE_SIZE), pages });
  }
  return pieces;
}
