/**
 * The keys of a description for memory of its own kind: `dax` (set aside for device-dax), `axonram`
 * and `dcssblk`.
 *
 * @module
 */
import { DAX_ALIGNMENTS, DAX_UNIT } from "../drivers/dax-space.ts";
import type { SegmentType } from "../drivers/dcssblk.ts";
import type { PlatformProfile } from "../platform/e820.ts";
import { BACKING_KEYS, type BackingDescription, readBacking } from "./describe-backing.ts";
import {
  DescriptionError,
  type KeyPath,
  type Read,
  type Reader,
  address,
  listOf,
  object,
  oneOf,
  positiveSize,
  refuse,
} from "./shape.ts";

/** What serves a device: daxctl's words, and `fsdev` for filesystems. */
export type DaxMode = "devdax" | "fsdev" | "system-ram";

/** A device of a dax region. */
export interface DevDaxDescription {
  /** Bytes; undefined: what the region has left. */
  readonly size: number | undefined;
  readonly align: number;
  readonly mode: DaxMode;
}

/** Memory set aside for device-dax. */
export interface DaxRegionDescription extends BackingDescription {
  /** Bytes; absent: what the file has. */
  readonly size?: number;
  /** Physical address; absent: behind everything else. */
  readonly start?: bigint;
  /** The node that the memory is near to; below 0: none. */
  readonly targetNode: number;
  readonly devices: readonly DevDaxDescription[];
}

/** A bank of an Axon as a disk. */
export interface AxonramDescription {
  readonly size: number;
  readonly start?: bigint;
}

/** A disk of segments. */
export interface DcssblkDescription {
  readonly segments: readonly {
    readonly type: SegmentType;
    readonly size: number;
    readonly start?: bigint;
  }[];
}

const node: Reader<number> = (value, path) =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= -1 && value < 1024
    ? value
    : refuse(path, value, "the number of a node, or -1 for none");

const device = object({
  size: positiveSize,
  align: positiveSize,
  mode: oneOf<DaxMode>("devdax", "fsdev", "system-ram"),
});

const region = object({
  ...BACKING_KEYS,
  size: positiveSize,
  start: address,
  targetNode: node,
  devices: listOf(device),
});

const bank = object({ size: positiveSize, start: address });

const segment = object({
  type: oneOf<SegmentType>("SW", "EW", "SR", "ER", "SN", "EN"),
  size: positiveSize,
  start: address,
});

const segments = object({ segments: listOf(segment) });

/** A size alone, or a mapping. */
const readBank: Reader<Read<{ size: typeof positiveSize; start: typeof address }>> = (
  value,
  path,
) => (typeof value === "object" ? bank(value, path) : { size: positiveSize(value, path) });

/** Readers of the keys. */
export const SPECIAL_KEYS = {
  dax: listOf(region),
  axonram: listOf(readBank),
  dcssblk: listOf(segments),
} as const;

type Given = Read<typeof SPECIAL_KEYS>;

/** What the keys say, checked and complete. */
export interface SpecialDescription {
  readonly dax: readonly DaxRegionDescription[];
  readonly axonram: readonly AxonramDescription[];
  readonly dcssblk: readonly DcssblkDescription[];
}

/** Checks and completes what was given. @throws DescriptionError */
export function readSpecial(given: Given, profile: PlatformProfile): SpecialDescription {
  const { dax = [], axonram = [], dcssblk = [] } = given;
  if (profile === "v4.1" && dax.length > 0) {
    throw new DescriptionError(["dax"], " is unknown to Linux 4.1; leave it out, or modern");
  }
  return {
    dax: dax.map((fields, i) => readRegion(fields, ["dax", i])),
    axonram: axonram.map(({ size, start }, i) => readPages(size, start, ["axonram", i])),
    dcssblk: dcssblk.map((disk, i) => readSegments(disk, ["dcssblk", i])),
  };
}

function readRegion(
  fields: NonNullable<Given["dax"]>[number],
  path: KeyPath,
): DaxRegionDescription {
  const { size, start, targetNode = 0, devices = [{}] } = fields;
  if (size === undefined && fields.file === undefined) {
    throw new DescriptionError(path, " needs a size, a file, or both");
  }
  if (size !== undefined && size % DAX_UNIT !== 0) {
    refuse([...path, "size"], size, "a multiple of 2M");
  }
  if (start !== undefined && start % BigInt(DAX_UNIT) !== 0n) {
    refuse([...path, "start"], start, "a multiple of 2M");
  }
  return {
    ...readBacking(fields, path),
    ...(size === undefined ? {} : { size }),
    ...(start === undefined ? {} : { start }),
    targetNode,
    devices: devices.map((each, i) => {
      const at = [...path, "devices", i];
      const { align = DAX_UNIT, mode = "devdax" } = each;
      if (!DAX_ALIGNMENTS.includes(align)) refuse([...at, "align"], align, "4K, 2M or 1G");
      if (each.size === undefined && i < devices.length - 1) {
        throw new DescriptionError(at, " needs a size; only the last takes what is left");
      }
      return { size: each.size, align, mode };
    }),
  };
}

function readSegments(
  { segments: given = [] }: NonNullable<Given["dcssblk"]>[number],
  path: KeyPath,
): DcssblkDescription {
  if (given.length === 0) throw new DescriptionError(path, " needs segments");
  return {
    segments: given.map(({ type = "SW", size, start }, i) => {
      return { type, ...readPages(size, start, [...path, "segments", i]) };
    }),
  };
}

function readPages(
  size: number | undefined,
  start: bigint | undefined,
  path: KeyPath,
): AxonramDescription {
  if (size === undefined) throw new DescriptionError(path, " needs a size");
  if (size % 4096 !== 0) refuse([...path, "size"], size, "whole pages of 4096 bytes");
  if (start !== undefined && start % 4096n !== 0n) {
    refuse([...path, "start"], start, "the address of a page");
  }
  return { size, ...(start === undefined ? {} : { start }) };
}
