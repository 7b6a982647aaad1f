/**
 * What stands behind persistent ranges: media made or opened as described, one for each range that
 * a description speaks of, shared by the devices that the memory map cuts out of it.
 *
 * @module
 */
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { CachedRange, DomainRange, Media, PersistenceDomain } from "../media/media.ts";
import { ModelledMedia } from "../media/modelled.ts";
import { PoisonMedia } from "../media/poison.ts";
import { RamMedia } from "../media/ram.ts";
import { WearMedia } from "../media/wear-media.ts";
import type { PlatformProfile } from "../platform/e820.ts";
import type { AddressRange } from "../platform/resources.ts";
import type { BackingDescription, DescribedDomain } from "./describe-backing.ts";
import { DescriptionError, type KeyPath, refuse } from "./shape.ts";

const PAGE_SIZE = 4096;
/** A line's count takes four bytes of its own, and all lines are in one array of bytes. */
const MOST_COUNTED = 2 ** 32;

/** How a host opens a file as media. */
export interface HostMediaOptions {
  readonly readOnly?: boolean;
  /** Make the file with so many bytes; only asked for after an open found none. */
  readonly create?: number;
}

/** What a machine needs from where it runs. */
export interface MachineHost {
  /** @throws DaxError: ENOENT for a file that is not there, EBUSY for one that is in use */
  openMedia(path: string, options: HostMediaOptions): Media;
  /** All of a small file, as firmware's tables are. @throws E2BIG for more than `most` bytes */
  readFile?(path: string, most: number): Uint8Array;
}

/** A host without files: enough for machines that consist of memory. */
export const memoryHost: MachineHost = {
  openMedia(path) {
    throw new DaxError("ENOTSUP", {
      syscall: "open",
      path,
      detail: "this machine was booted without a host for files; pass one, as daxkit/node has it",
    });
  },
};

/** Open media, and how much of it a range takes. */
export interface Backing {
  readonly media: Media;
  /** Bytes in use, whole pages unless the range itself is not. */
  readonly length: number;
  /** Of the media; undefined where nobody said and the media's own word counts. */
  readonly domains: readonly DomainRange[] | undefined;
  /** What the whole range keeps at least; undefined where nobody said, or parts keep nothing. */
  readonly domain: PersistenceDomain | undefined;
  readonly kind: "ram" | "file" | "modelled";
  readonly file: string | undefined;
  /** The media that records, below any poison: traces, promises. */
  readonly modelled: ModelledMedia | undefined;
  /** The media that counts, below any poison. */
  readonly counted?: WearMedia;
}

/**
 * Opens or makes what a range is backed by. `size` is what the range wants; undefined: all whole
 * pages that the file has.
 * @throws DescriptionError where the description does not fit the file, what the host throws
 */
export function openBacking(
  backing: BackingDescription,
  size: number | undefined,
  host: MachineHost,
  profile: PlatformProfile,
  path: KeyPath,
): Backing {
  const opened = openMedia(backing, size, host, profile, path);
  try {
    const length = size ?? opened.size - (opened.size % PAGE_SIZE);
    if (length === 0 || length > opened.size) {
      const wanted = size === undefined ? "a page" : `${size} bytes`;
      throw new DescriptionError([...path, "file"], `: has ${opened.size} bytes; wanted ${wanted}`);
    }
    const domains = coverDomains(backing.domains, length, opened.size, path);
    return {
      media: poisoned(opened, backing, length, path),
      length,
      domains,
      domain: commonDomain(backing.domains),
      kind: kindOf(backing),
      file: backing.file,
      modelled: opened instanceof ModelledMedia ? opened : undefined,
      ...(opened instanceof WearMedia ? { counted: opened } : {}),
    };
  } catch (error) {
    opened.close();
    throw error;
  }
}

function kindOf({ file, modelled }: BackingDescription): Backing["kind"] {
  if (modelled) return "modelled";
  return file === undefined ? "ram" : "file";
}

function openMedia(
  backing: BackingDescription,
  size: number | undefined,
  host: MachineHost,
  profile: PlatformProfile,
  path: KeyPath,
): Media {
  const { file, modelled, wear, readOnly } = backing;
  if (file !== undefined) return openFile(file, readOnly, size, host);
  const bytes = size as number;
  const domains = coverDomains(backing.domains, bytes, bytes, path) ?? [
    { start: 0, length: bytes, domain: "adr" },
  ];
  const caching = cachingOf(backing.domains, bytes, profile);
  if (!modelled && wear !== true) return new RamMedia(bytes, { domains, caching });
  try {
    if (wear === true) return countedMedia(bytes, caching);
    return new ModelledMedia(bytes, { domains, caching });
  } catch (error) {
    if (!isDaxError(error, "EINVAL")) throw error;
    throw new DescriptionError(path, `: ${error.detail ?? error.message}`);
  }
}

/** @throws EINVAL where it is mapped in several ways, or is too large */
function countedMedia(bytes: number, ways: readonly CachedRange[]): WearMedia {
  // A later range goes before an earlier one.
  const way = ways.at(-1) ?? { start: 0, length: bytes, caching: "write-back" };
  if (way.start > 0 || way.length < bytes) {
    throw new DaxError("EINVAL", { detail: "wear is counted of memory that is mapped in one way" });
  }
  if (bytes >= MOST_COUNTED) {
    const detail = `wear is counted of memory below ${MOST_COUNTED} bytes, not of ${bytes}`;
    throw new DaxError("EINVAL", { detail });
  }
  return new WearMedia(bytes, { caching: way.caching });
}

/** How it is mapped, where that is not write-back; the domains cover it. */
function cachingOf(
  described: readonly DescribedDomain[],
  bytes: number,
  profile: PlatformProfile,
): readonly CachedRange[] {
  // Linux 4.1 maps persistent memory uncached, because it cannot write caches back.
  const usual = profile === "v4.1" ? "uncached" : "write-back";
  const ways: CachedRange[] = [];
  if (usual !== "write-back") ways.push({ start: 0, length: bytes, caching: usual });
  let start = 0;
  for (const { caching = usual, length = bytes - start } of described) {
    if (caching !== usual) ways.push({ start, length, caching });
    start += length;
  }
  return ways;
}

/** A missing file is made where the description says how large. */
function openFile(
  file: string,
  readOnly: boolean,
  size: number | undefined,
  host: MachineHost,
): Media {
  try {
    return host.openMedia(file, { readOnly });
  } catch (error) {
    if (!isDaxError(error, "ENOENT") || size === undefined || readOnly) throw error;
    return host.openMedia(file, { create: size });
  }
}

/** Domains that cover the media: the last one takes what is left. */
function coverDomains(
  described: readonly DescribedDomain[],
  length: number,
  mediaSize: number,
  path: KeyPath,
): readonly DomainRange[] | undefined {
  if (described.length === 0) return undefined;
  const domains: DomainRange[] = [];
  let start = 0;
  for (const [i, { domain, length: wanted }] of described.entries()) {
    const isLast = i === described.length - 1;
    const end = start + (wanted ?? length - start);
    if (end > length || end <= start || (isLast && end !== length)) {
      refuse(
        [...path, "domains", i],
        end,
        `an end inside the range of ${length} bytes, the last at it`,
      );
    }
    // Bytes of a file behind the range belong to no device.
    domains.push({ start, length: (isLast ? mediaSize : end) - start, domain });
    start = end;
  }
  return domains;
}

function commonDomain(described: readonly DescribedDomain[]): PersistenceDomain | undefined {
  const domains = new Set(described.map(({ domain }) => domain));
  if (domains.has("volatile")) return domains.size === 1 ? "volatile" : undefined;
  return domains.has("adr") ? "adr" : [...domains][0];
}

function poisoned(
  media: Media,
  { poison }: BackingDescription,
  length: number,
  path: KeyPath,
): Media {
  if (poison.length === 0) return media;
  const bad = new PoisonMedia(media);
  for (const [i, range] of poison.entries()) {
    if (range.start + range.length > length) {
      const seen = range.start + range.length;
      refuse([...path, "poison", i], seen, `an end inside the range of ${length} bytes`);
    }
    bad.injectPoison(range.start, range.length);
  }
  return bad;
}

/** A backing and the addresses it stands behind. */
export interface PlacedBacking extends AddressRange {
  readonly backing: Backing;
}

/**
 * The backing of a range, and where in it the range starts: the last one described that holds the
 * whole range. Undefined where none touches it: then fresh memory will do.
 * @throws EINVAL for a range that lies in a backing only partly
 */
export function backingOf(
  range: AddressRange,
  placed: readonly PlacedBacking[],
): { readonly backing: Backing; readonly offset: number } | undefined {
  const past = range.start + range.length;
  for (const { start, length, backing } of placed.toReversed()) {
    if (start >= past || start + length <= range.start) continue;
    if (start <= range.start && start + length >= past) {
      return { backing, offset: Number(range.start - start) };
    }
    throw new DaxError("EINVAL", {
      syscall: "probe",
      detail:
        `[mem 0x${range.start.toString(16)}-0x${(past - 1n).toString(16)}] lies only partly in ` +
        `what backs 0x${start.toString(16)}-0x${(start + length - 1n).toString(16)}`,
    });
  }
  return undefined;
}
