/**
 * The description of a machine: what people write, checked and completed.
 *
 * @module
 */
import { E820_TYPE_PRAM } from "../format/e820.ts";
import { DaxError } from "../lib/errno.ts";
import {
  ADDRESS_SPACE,
  type E820Entry,
  type PlatformProfile,
  TYPE_WORDS,
} from "../platform/e820.ts";
import { type MemmapElement, applyMem, applyMemmap, parseMemmap } from "../platform/memmap.ts";
import type { PageMapPlace } from "../platform/pfn-layout.ts";
import type { NamespaceMode, ReportedRange } from "../platform/regions.ts";
import type { AddressRange } from "../platform/resources.ts";
import { BACKING_KEYS, type BackingDescription, readBacking } from "./describe-backing.ts";
import { type ExportDescription, type NbdDescription, SERVED_KEYS, readServed } from "./exports.ts";
import { MAPPED_KEY, type DmDescription, readMapped } from "./mapped.ts";
import {
  type AxonramDescription,
  type DaxRegionDescription,
  type DcssblkDescription,
  SPECIAL_KEYS,
  readSpecial,
} from "./describe-special.ts";
import {
  DescriptionError,
  type KeyPath,
  type Read,
  type Reader,
  address,
  count,
  flag,
  listOf,
  object,
  oneOf,
  positiveSize,
  refuse,
  size,
  text,
} from "./shape.ts";

/** A memory module. */
export interface PmemDescription extends BackingDescription {
  /** Bytes; absent: what the file has. */
  readonly size?: number;
  /** Physical address; absent: behind everything else. */
  readonly start?: bigint;
  /** Whether firmware tells of it by the NFIT or by a type 12 entry of its map. */
  readonly as: "nfit" | "e820";
  readonly mode?: NamespaceMode;
  /** Where page descriptors lie; none unless given. */
  readonly map?: PageMapPlace;
  /** What a firmware table says of the range beside all that. */
  readonly reported?: Pick<ReportedRange, "mappings" | "platform" | "readOnly">;
}

/** One `memmap=`, and what stands behind the range it marks persistent. */
export interface MemmapDescription {
  readonly option: string;
  /** Only for an option of one element that marks a range. */
  readonly backing?: BackingDescription & { readonly range: AddressRange };
}

/** A machine, checked and complete. */
export interface MachineDescription {
  readonly name: string;
  readonly profile: PlatformProfile;
  /** Everything that looks random follows from it. */
  readonly seed: number;
  /** Bytes of ordinary memory; not allocated, only mapped. */
  readonly ram: number;
  /** The firmware's map, instead of one made for `ram`. */
  readonly e820?: readonly E820Entry[];
  readonly mem?: string;
  readonly memmap: readonly MemmapDescription[];
  readonly pmem: readonly PmemDescription[];
  /** ACPI's table of persistent memory, or the file that it lies in. */
  readonly nfit?: string | Uint8Array;
  /** RAM disks, in bytes each. */
  readonly brd: readonly number[];
  /** Memory set aside for device-dax, and what is made of it. */
  readonly dax: readonly DaxRegionDescription[];
  /** Banks of an Axon. */
  readonly axonram: readonly AxonramDescription[];
  /** Disks of segments of z/VM. */
  readonly dcssblk: readonly DcssblkDescription[];
  /** Devices of device-mapper, in the order of their making. */
  readonly dm: readonly DmDescription[];
  /** Whether type 12 makes devices: the kernel's CONFIG_X86_PMEM_LEGACY. */
  readonly legacyPmem: boolean;
  /** Whether disks may be mapped without a filesystem. */
  readonly rawMappings: boolean;
  /** Whether device-dax may serve filesystems: the kernel's CONFIG_DEV_DAX_FSDEV. */
  readonly fsdev: boolean;
  /** Whether type 6 counts as type 12, which some old firmware meant by it. */
  readonly treat6AsPram: boolean;
  /** Whether devices attach at boot, or when `Machine.probe` is called: a driver loaded late. */
  readonly probe: "boot" | "late";
  /** Devices served to others, and where; both or neither. */
  readonly exports?: readonly ExportDescription[];
  readonly nbd?: NbdDescription;
}

/** One past the highest address an x86 processor can drive. */
export const PHYSICAL_LIMIT = 1n << 52n;

const DEFAULT_RAM = 4 * 2 ** 30;
const LEAST_RAM = 16 * 2 ** 20;
const MOST_RAM = 2 ** 46;
const MOST_RAM_DISKS = 256;

const pmem = object({
  ...BACKING_KEYS,
  size: positiveSize,
  start: address,
  as: oneOf("nfit", "e820"),
  mode: oneOf<NamespaceMode>("fsdax", "raw"),
  map: oneOf<PageMapPlace>("none", "mem", "dev"),
});

const marked = object({ ...BACKING_KEYS, range: text });

const typeOf: Reader<number> = (value, path) => {
  if (typeof value === "string") {
    return (
      TYPE_WORDS.get(value) ?? refuse(path, value, `one of ${[...TYPE_WORDS.keys()].join(", ")}`)
    );
  }
  const type = count(value, path);
  return type > 0 && type <= 0xffff_ffff ? type : refuse(path, value, "a type from 1 to 2^32 - 1");
};

const machine = object({
  name: text,
  profile: oneOf<PlatformProfile>("modern", "v4.1"),
  seed: count,
  ram: size,
  e820: listOf(object({ start: address, length: size, type: typeOf })),
  mem: sizeText,
  memmap: listOf(readMemmap),
  pmem: listOf(pmem),
  nfit: (value, path) => (value instanceof Uint8Array ? value : text(value, path)),
  brd: readRamDisks,
  ...SPECIAL_KEYS,
  ...MAPPED_KEY,
  legacyPmem: flag,
  rawMappings: flag,
  fsdev: flag,
  treat6AsPram: flag,
  probe: oneOf("boot", "late"),
  ...SERVED_KEYS,
});

/**
 * Checks and completes a description.
 * @throws DescriptionError (EINVAL) naming key path, value seen and what is accepted; unknown keys
 *   are refused with a suggestion
 */
export function describeMachine(input: unknown): MachineDescription {
  const given = machine(input, []);
  const profile = given.profile ?? "modern";
  const { e820, mem, nfit } = given;
  if (nfit !== undefined && profile === "v4.1") {
    throw new DescriptionError(["nfit"], " is unknown to Linux 4.1; leave it out, or modern", true);
  }
  const description: MachineDescription = {
    name: given.name ?? "machine",
    profile,
    seed: given.seed ?? 0,
    ram: readRam(given.ram ?? DEFAULT_RAM),
    ...(e820 === undefined ? {} : { e820: e820.map((entry, i) => readEntry(entry, i)) }),
    ...(mem === undefined ? {} : { mem }),
    memmap: given.memmap ?? [],
    pmem: (given.pmem ?? []).map((fields, i) => readPmem(fields, ["pmem", i], profile)),
    ...(nfit === undefined ? {} : { nfit }),
    brd: given.brd ?? [],
    ...readSpecial(given, profile),
    dm: readMapped(given.dm),
    legacyPmem: given.legacyPmem ?? true,
    rawMappings: given.rawMappings ?? true,
    fsdev: given.fsdev ?? true,
    treat6AsPram: given.treat6AsPram ?? false,
    probe: given.probe ?? "boot",
    ...readServed(given),
  };
  checkOptions(description);
  return description;
}

function readRam(bytes: number): number {
  if (bytes >= LEAST_RAM && bytes <= MOST_RAM && bytes % 4096 === 0) return bytes;
  return refuse(["ram"], bytes, "whole pages from 16M to 64T");
}

function readEntry(
  entry: { readonly start?: bigint; readonly length?: number; readonly type?: number },
  index: number,
): E820Entry {
  const path = ["e820", index];
  const { start, length, type } = entry;
  if (start === undefined || length === undefined || type === undefined) {
    throw new DescriptionError(path, " needs start, length and type");
  }
  if (start + BigInt(length) >= ADDRESS_SPACE) {
    throw new DescriptionError(path, " reaches past the last address, 2^64 - 1");
  }
  return { start, length: BigInt(length), type };
}

function readPmem(
  fields: Read<PmemReaders>,
  path: KeyPath,
  profile: PlatformProfile,
): PmemDescription {
  const { start, mode, map, size: bytes, as = profile === "v4.1" ? "e820" : "nfit" } = fields;
  if (bytes === undefined && fields.file === undefined) {
    throw new DescriptionError(path, " needs a size, a file, or both");
  }
  if (start !== undefined && start >= PHYSICAL_LIMIT) {
    refuse([...path, "start"], start, "an address below 2^52, where x86 ends");
  }
  if (profile === "v4.1" && (as === "nfit" || mode !== undefined)) {
    const key = as === "nfit" ? "as" : "mode";
    throw new DescriptionError([...path, key], " is unknown to Linux 4.1; leave it out, or modern");
  }
  if (map !== undefined && map !== "none" && (as === "e820" || mode === "raw")) {
    const why = as === "e820" ? "a module of the e820 map" : "mode: raw";
    throw new DescriptionError([...path, "map"], ` is ${map}, which ${why} cannot have`);
  }
  return {
    ...readBacking(fields, path),
    ...(map === undefined ? {} : { map }),
    ...(bytes === undefined ? {} : { size: bytes }),
    ...(start === undefined ? {} : { start }),
    ...(mode === undefined ? {} : { mode }),
    as,
  };
}

type PmemReaders = typeof BACKING_KEYS & {
  readonly size: Reader<number>;
  readonly start: Reader<bigint>;
  readonly as: Reader<"nfit" | "e820">;
  readonly mode: Reader<NamespaceMode>;
  readonly map: Reader<PageMapPlace>;
};

function sizeText(value: unknown, path: KeyPath): string {
  return typeof value === "number" ? String(size(value, path)) : text(value, path);
}

/** `64M!4G`, or a mapping that says what stands behind the range. */
function readMemmap(value: unknown, path: KeyPath): MemmapDescription {
  if (typeof value === "string") {
    for (const element of parse(value, path)) refuseError(element, path);
    return { option: value };
  }
  const fields = marked(value, path);
  if (fields.range === undefined) throw new DescriptionError(path, " needs a range such as 64M!4G");
  const at = [...path, "range"];
  const [element, ...more] = parse(fields.range, at);
  if (element !== undefined) refuseError(element, at);
  const effect = more.length === 0 ? element?.effect : undefined;
  const type = effect?.kind === "add" ? effect.type : effect?.kind === "retype" ? effect.to : 0;
  if (effect === undefined || effect.kind === "exactmap" || type !== E820_TYPE_PRAM) {
    return refuse(at, fields.range, "one range marked persistent, such as 64M!4G");
  }
  const { start, length } = effect;
  return {
    option: fields.range,
    backing: { ...readBacking(fields, path), range: { start, length } },
  };
}

function parse(option: string, path: KeyPath): MemmapElement[] {
  try {
    return parseMemmap(option);
  } catch (error) {
    throw inDescription(error, path);
  }
}

/** A kernel goes on after a bad element; a description that holds one is not what was meant. */
function refuseError(element: MemmapElement, path: KeyPath): void {
  if (element.error !== undefined) throw inDescription(element.error, path);
}

function inDescription(error: unknown, path: KeyPath): unknown {
  if (!(error instanceof DaxError)) return error;
  return new DescriptionError(path, `: ${error.detail ?? error.message}`);
}

/** What only shows when the options are seen together. */
function checkOptions({ mem, memmap }: MachineDescription): void {
  try {
    applyMemmap(
      [],
      memmap.map(({ option }) => option),
    );
  } catch (error) {
    throw inDescription(error, ["memmap"]);
  }
  if (mem === undefined) return;
  for (const element of applyMem([], mem).elements) refuseError(element, ["mem"]);
}

/** `16M`, `{ count: 2, size: 16M }`, or a list of such. */
function readRamDisks(value: unknown, path: KeyPath): readonly number[] {
  const disks = listOf(readRamDisk)(value, path).flat();
  if (disks.length <= MOST_RAM_DISKS) return disks;
  throw new DescriptionError(path, ` makes ${disks.length} disks; ${MOST_RAM_DISKS} are the most`);
}

const ramDisk = object({ count, size });

function readRamDisk(value: unknown, path: KeyPath): number[] {
  const isMapping = typeof value === "object" && value !== null;
  const fields = isMapping ? ramDisk(value, path) : { size: size(value, path) };
  const bytes = fields.size;
  if (bytes === undefined) throw new DescriptionError(path, " needs a size");
  if (bytes < 4096 || bytes % 4096 !== 0) refuse(path, bytes, "whole pages of 4096 bytes");
  const disks = fields.count ?? 1;
  if (disks > MOST_RAM_DISKS) {
    refuse([...path, "count"], disks, `at most ${MOST_RAM_DISKS}`);
  }
  return Array.from({ length: disks }, () => bytes);
}
