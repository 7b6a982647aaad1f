/**
 * Page descriptors of a described module: where they lie and where its data begins, by the info
 * block that is there, or by a plan where the memory is this process's own and so was never used.
 *
 * @module
 */
import { type PageMapMemory, attachPageMap } from "../dax/pages.ts";
import type { Pmem } from "../drivers/pmem.ts";
import { PFN_INFO_RESERVE, PFN_SB_OFFSET } from "../format/pfn.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import { copyIn, copyOf } from "../lib/memory.ts";
import { NIL_UUID } from "../lib/uuid.ts";
import type { Media } from "../media/media.ts";
import { DESCRIBED_PAGE, PAGE_DESCRIPTOR, planPageMap } from "../platform/pfn-layout.ts";
import {
  type PfnInfo,
  decodePfnSuperblock,
  encodePfnSuperblock,
} from "../platform/pfn-superblock.ts";
import type { Backing } from "./backing.ts";

/** A range of media that is to have descriptors. */
export interface MappedRange {
  readonly backing: Backing;
  /** The first byte of it on the media. */
  readonly offset: number;
  readonly length: number;
  /** Physical address. */
  readonly base: number;
  /** In ordinary memory, or on the device in front of the data. */
  readonly map: "mem" | "dev";
}

/** What is left for data, in bytes of the range, and where the descriptors are. */
export interface PageMapLayout {
  readonly dataAt: number;
  readonly data: number;
  /** From the start of the range; undefined in ordinary memory. */
  readonly descriptorsAt: number | undefined;
}

/**
 * Lays a range out.
 * @throws EINVAL for a block that says something else, EOPNOTSUPP where descriptors cannot lie on
 *   the device: it is uncached, or a file without an info block; and as `planPageMap`
 */
export function layOutPages(range: MappedRange): PageMapLayout {
  const { map, length, base } = range;
  const info = foundInfo(range);
  if (info !== undefined) {
    if (info.map !== map) {
      refuse("EINVAL", `map is ${map}, and the info block says ${info.map}; write that`);
    }
    const dataAt = info.startPad + info.dataOffset;
    const descriptorsAt = map === "dev" ? info.startPad + PFN_INFO_RESERVE : undefined;
    assertRoom(range, descriptorsAt, dataAt, info.npfns);
    return { dataAt, data: info.npfns * DESCRIBED_PAGE, descriptorsAt };
  }
  // Descriptors in memory need nothing of a namespace without a label: all of it is data.
  if (map === "mem") return { dataAt: 0, data: length, descriptorsAt: undefined };
  if (range.backing.kind === "file") {
    refuse(
      "EOPNOTSUPP",
      "the file has no info block; make one by 'ndctl create-namespace --map dev', or write what " +
        `encodePfnSuperblock gives to byte ${PFN_SB_OFFSET}`,
    );
  }
  const caching = isUncached(range) ? "uncached" : "write-back";
  const plan = planPageMap({ size: length, map, base, caching });
  withoutTrace(range.backing, () => {
    store(range, PFN_SB_OFFSET, encodePfnSuperblock(plan, { uuid: NIL_UUID }));
  });
  return { dataAt: plan.dataOffset, data: plan.data, descriptorsAt: PFN_INFO_RESERVE };
}

/** Gives a device the descriptors of its layout, all of them new. @throws as `attachPageMap` */
export function attachPages(pmem: Pmem, range: MappedRange, layout: PageMapLayout): void {
  const { descriptorsAt } = layout;
  const where =
    descriptorsAt === undefined ? undefined : placeOf(range.backing.media, range, descriptorsAt);
  withoutTrace(range.backing, () => attachPageMap(pmem.dax, where));
}

function placeOf(media: Media, { offset }: MappedRange, descriptorsAt: number): PageMapMemory {
  const at = offset + descriptorsAt;
  const window = media.window(at);
  return { memory: window.memory, start: at - window.start };
}

/** The block that is there, if it is one. @throws what a block that cannot be served says */
function foundInfo(range: MappedRange): PfnInfo | undefined {
  const { backing, offset, length, base } = range;
  if (length < PFN_INFO_RESERVE) return undefined;
  const at = offset + PFN_SB_OFFSET;
  const window = backing.media.window(at);
  const block = copyOf(window.memory, at - window.start, DESCRIBED_PAGE);
  try {
    return decodePfnSuperblock(block, { size: length, base });
  } catch (error) {
    if (isDaxError(error, "ENODEV")) return undefined;
    throw error;
  }
}

/** A block may claim more pages than there is room for their descriptors. */
function assertRoom(
  { backing }: MappedRange,
  descriptorsAt: number | undefined,
  dataAt: number,
  pages: number,
): void {
  if (descriptorsAt === undefined) return;
  if (backing.media.readOnly) {
    refuse("EROFS", "descriptors on the device are written, and it is read-only");
  }
  const room = dataAt - descriptorsAt;
  if (pages * PAGE_DESCRIPTOR <= room) return;
  refuse("EOPNOTSUPP", `${pages} descriptors do not fit into the ${room} bytes before the data`);
}

function isUncached({ backing, offset, length }: MappedRange): boolean {
  const { caching = [] } = backing.media;
  return caching.some(
    (each) =>
      each.caching === "uncached" &&
      each.start < offset + length &&
      each.start + each.length > offset,
  );
}

function store({ backing, offset }: MappedRange, at: number, bytes: Uint8Array): void {
  const window = backing.media.window(offset + at);
  copyIn(window.memory, offset + at - window.start, bytes);
}

/** What is laid out before the machine is up is no work of a program: no proof is to see it. */
function withoutTrace({ modelled }: Backing, work: () => void): void {
  if (modelled === undefined) {
    work();
    return;
  }
  const { recorder } = modelled;
  const { recording } = recorder;
  recorder.recording = false;
  try {
    work();
  } finally {
    recorder.recording = recording;
  }
}

function refuse(code: "EINVAL" | "EOPNOTSUPP" | "EROFS", detail: string): never {
  throw new DaxError(code, { syscall: "pfn", detail });
}
