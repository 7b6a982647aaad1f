/**
 * What stands behind a range of memory, as a description says it: a file or memory of this process,
 * what survives of it, how it is mapped, and what of it is bad.
 *
 * @module
 */
import type { ByteRange, Caching, PersistenceDomain } from "../media/media.ts";
import {
  DescriptionError,
  type KeyPath,
  type Read,
  flag,
  listOf,
  object,
  oneOf,
  positiveSize,
  size,
  text,
} from "./shape.ts";

/** What stands behind a range of persistent memory. */
export interface BackingDescription {
  /** A file; without one the range is memory of this process. */
  readonly file?: string;
  readonly readOnly: boolean;
  /** Memory on which every store is recorded, for the crash model. */
  readonly modelled: boolean;
  /** Memory that counts how often each of its lines is written. */
  readonly wear?: true;
  /** One domain for everything, or each range its own, from byte 0 on; neither: nobody said. */
  readonly domains: readonly DescribedDomain[];
  readonly poison: readonly ByteRange[];
}

/** A domain; the last one of a list may leave out its length. */
export interface DescribedDomain {
  readonly domain: PersistenceDomain;
  /** `write-back` unless given. */
  readonly caching?: Caching;
  readonly length?: number;
}

const domain = oneOf<PersistenceDomain>("adr", "eadr", "volatile");
const caching = oneOf<Caching>("write-back", "write-through", "write-combining", "uncached");

/** The keys of what stands behind a range. */
export const BACKING_KEYS = {
  file: text,
  readOnly: flag,
  modelled: flag,
  wear: flag,
  domain,
  caching,
  domains: listOf(object({ domain, caching, length: positiveSize })),
  poison: listOf(object({ start: size, length: positiveSize })),
} as const;

/** Those of them that were given. */
export type BackingFields = Read<typeof BACKING_KEYS>;

/** Checks and completes them. @throws DescriptionError */
export function readBacking(fields: BackingFields, path: KeyPath): BackingDescription {
  const { file, readOnly = false, modelled = false, wear = false, poison = [] } = fields;
  if (modelled && file !== undefined) {
    throw new DescriptionError([...path, "modelled"], " is for memory; leave out file, or this");
  }
  if (wear && (modelled || file !== undefined)) {
    throw new DescriptionError([...path, "wear"], " is for plain memory, not modelled, no file");
  }
  if (readOnly && file === undefined) {
    throw new DescriptionError([...path, "readOnly"], " is for files; add file, or leave it out");
  }
  return {
    ...(file === undefined ? {} : { file }),
    readOnly,
    modelled,
    ...(wear ? { wear } : {}),
    domains: readDomains(fields, path),
    poison: poison.map(({ start = 0, length }, i) => {
      if (length === undefined)
        throw new DescriptionError([...path, "poison", i], " needs a length");
      return { start, length };
    }),
  };
}

function readDomains(fields: BackingFields, path: KeyPath): DescribedDomain[] {
  const { domain: single, caching: way, domains = [], file } = fields;
  const all = single ?? (way === undefined ? undefined : "adr");
  if (all !== undefined && domains.length > 0) {
    const key = single === undefined ? "caching" : "domain";
    throw new DescriptionError([...path, "domains"], ` contradicts ${key}; write one of them`);
  }
  const ways = way === undefined ? {} : { caching: way };
  const described =
    all === undefined
      ? domains.map((each, i) => readDomain(each, [...path, "domains", i], i, domains.length))
      : [{ domain: all, ...ways }];
  if (file !== undefined && described.some((each) => each.caching !== undefined)) {
    throw new DescriptionError([...path, "caching"], " is for memory; files are mapped write-back");
  }
  return described;
}

function readDomain(
  { domain: word, caching: way, length }: NonNullable<BackingFields["domains"]>[number],
  path: KeyPath,
  index: number,
  count: number,
): DescribedDomain {
  if (word === undefined && way === undefined) {
    throw new DescriptionError(path, " needs a domain");
  }
  if (length === undefined && index < count - 1) {
    throw new DescriptionError(path, " needs a length; only the last takes what is left");
  }
  return {
    domain: word ?? "adr",
    ...(way === undefined ? {} : { caching: way }),
    ...(length === undefined ? {} : { length }),
  };
}
