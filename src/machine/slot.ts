/**
 * A slot: one persistent range of a machine, with or without a driver attached to it. In today's
 * Linux it is a namespace, in 4.1 a platform device.
 *
 * @module
 */
import type { DeviceNumbers } from "../block/device-numbers.ts";
import type { DaxHosts } from "../dax/hosts.ts";
import { type Pmem, type RemoveOptions, createPmem } from "../drivers/pmem.ts";
import { DaxError, isDaxError } from "../lib/errno.ts";
import type { PlatformProfile } from "../platform/e820.ts";
import { type Region, checkAttach } from "../platform/regions.ts";
import type { AddressRange, ResourceTree } from "../platform/resources.ts";
import type { Backing } from "./backing.ts";
import { attachPages, layOutPages } from "./page-map.ts";

/** What all slots of a machine share. */
export interface SlotContext {
  readonly profile: PlatformProfile;
  readonly resources: ResourceTree;
  readonly hosts: DaxHosts;
  readonly numbers: DeviceNumbers;
  /** The next index of a disk in Linux 4.1, where none is used twice. */
  nextIndex: number;
  /** The boot log. */
  readonly log: string[];
}

/** One persistent range. */
export class Slot {
  /** `namespace0.0`; in 4.1 `pmem.0`. */
  readonly name: string;
  readonly range: AddressRange;
  /** Undefined in 4.1, which knows none. */
  readonly region: Region | undefined;
  readonly #context: SlotContext;
  readonly #backing: () => { readonly backing: Backing; readonly offset: number };
  #pmem: Pmem | undefined;
  #used: Backing | undefined;
  #error: DaxError | undefined;

  constructor(
    name: string,
    range: AddressRange,
    region: Region | undefined,
    context: SlotContext,
    backing: () => { readonly backing: Backing; readonly offset: number },
  ) {
    this.name = name;
    this.range = range;
    this.region = region;
    this.#context = context;
    this.#backing = backing;
  }

  /** The device; undefined while the slot is disabled. */
  get pmem(): Pmem | undefined {
    return this.#pmem;
  }

  /** What the device stands on; undefined before it first attached. */
  get backing(): Backing | undefined {
    return this.#used;
  }

  /** Why the last attempt to attach failed. */
  get error(): DaxError | undefined {
    return this.#error;
  }

  /** Attaches the driver; nothing happens when it is attached. @throws what refuses it */
  attach(): Pmem {
    if (this.#pmem !== undefined) return this.#pmem;
    try {
      const pmem = this.#create();
      this.#pmem = pmem;
      this.#error = undefined;
      return pmem;
    } catch (error) {
      if (!isDaxError(error)) throw error;
      this.#error = error.at({ path: this.name });
      this.#logFailure(error);
      throw this.#error;
    }
  }

  /**
   * Takes the driver off; returns false when none was attached. The addresses are free again when
   * the last user has left. @throws EBUSY while in use, unless `whenIdle` is given
   */
  detach(options: RemoveOptions = {}): boolean {
    if (this.#pmem === undefined) return false;
    this.#pmem.remove(options);
    this.#pmem = undefined;
    return true;
  }

  #create(): Pmem {
    const { profile, resources, hosts, numbers, nextIndex, log } = this.#context;
    const { region } = this;
    if (region !== undefined) checkAttach(region);
    else checkPages(this.range);
    const { backing, offset } = this.#backing();
    const length = Number(this.range.length);
    const base = Number(this.range.start);
    const map = region?.namespace.map ?? "none";
    const mapped = map === "none" ? undefined : { backing, offset, length, base, map };
    const layout = mapped === undefined ? undefined : layOutPages(mapped);
    const { dataAt = 0, data = length } = layout ?? {};
    const pmem = createPmem({
      name: region?.namespace.disk ?? `pmem${nextIndex}`,
      media: backing.media,
      start: offset + dataAt,
      length: data,
      ...(backing.domains === undefined ? {} : { domains: backing.domains }),
      physicalStart: base + dataAt,
      claims: { start: this.range.start, length: this.range.length },
      profile,
      readOnly: region?.readOnly === true || backing.media.readOnly,
      hosts,
      resources,
      claimName: region?.namespace.name ?? "pmem",
      numbers,
      index: region?.id ?? nextIndex,
    });
    if (mapped !== undefined && layout !== undefined) {
      try {
        attachPages(pmem, mapped, layout);
      } catch (error) {
        pmem.remove();
        throw error;
      }
    }
    this.#used = backing;
    // An index is spent with a success only, and never used again.
    if (region === undefined) this.#context.nextIndex++;
    // Nobody says how memory without modules is flushed (Linux: `nvdimm_has_flush`).
    if (region?.mappings === 0) {
      log.push(`nd_pmem ${this.name}: unable to guarantee persistence of writes`);
    }
    return pmem;
  }

  #logFailure({ code, errno, detail }: DaxError): void {
    // Linux passes over what is smaller than a page without a word.
    if (code === "ENODEV") return;
    const { start, length } = this.range;
    const mem = `[mem ${hex(start)}-${hex(start + length - 1n)} flags 0x200]`;
    const driver = this.region === undefined ? "pmem" : "nd_pmem";
    this.#context.log.push(
      code === "EOPNOTSUPP"
        ? `${driver} ${this.name}: ${mem} misaligned, unable to map`
        : `${driver} ${this.name}: ${detail ?? code}`,
      `${driver}: probe of ${this.name} failed with error ${errno}`,
    );
  }
}

/** Linux 4.1 knows no sections, but a page is the least it can claim and translate. */
function checkPages({ start, length }: AddressRange): void {
  const code =
    start + length > 2n ** 53n ? "EOVERFLOW" : start % 4096n === 0n ? undefined : "EINVAL";
  if (code === undefined) return;
  const detail = `${hex(start)}+${length}: a device starts on a page and ends before 2^53`;
  throw new DaxError(code, { syscall: "probe", detail });
}

function hex(address: bigint): string {
  return `0x${address.toString(16).padStart(8, "0")}`;
}
