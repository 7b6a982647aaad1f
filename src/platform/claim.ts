/**
 * Claiming persistent memory as such, not through DAX: for a user that stores and flushes by itself
 * and must know that the addresses are one run of memory that survives power loss.
 *
 * A dax device alone does not tell: a RAM disk offers one too. So two questions are asked, both of
 * what lies underneath: does the translation of the whole device answer one unbroken run of page
 * frames, and does the resource tree call all of them persistent memory?
 *
 * @module
 */
import { AddressSpaces } from "../dax/address-spaces.ts";
import type { DaxDevice } from "../dax/dax-device.ts";
import { type DaxHolder, type DaxSpan, PAGE_SIZE } from "../dax/operations.ts";
import { RAW_INO } from "../dax/raw-freeze.ts";
import { DaxError } from "../lib/errno.ts";
import type { ResourceTree } from "./resources.ts";

/** The name under which a device-dax instance claims its ranges. */
const DEVICE_DAX = /^dax\d+\.\d+$/u;

/** How a range is claimed. */
export interface ClaimOptions {
  /**
   * Insist that one translation covers everything. Otherwise runs that continue each other's page
   * frames are accepted, as media beyond one view of memory consist of several.
   */
  readonly contiguous?: boolean;
}

/** Persistent memory that belongs to its holder until released. */
export interface ClaimedRange {
  readonly device: DaxDevice;
  /** Physical address of the first byte. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** The memory, in order; one span unless it had to be stitched. */
  readonly spans: readonly DaxSpan[];
  /** Writes back the lines of `[offset, offset + length)`, through whoever translated them. */
  flush(offset: number, length: number): void;
  /** Completes what was flushed. */
  fence(): void;
  /** Gives the device back. Idempotent. */
  release(): void;
}

/**
 * Takes all of a device for `holder`.
 * @throws EBUSY when somebody has it, or maps it raw; ENXIO when it was removed, EHWPOISON over
 *   poison, EOPNOTSUPP when it is not one run of persistent memory
 */
export function claimRange(
  device: DaxDevice,
  resources: ResourceTree,
  holder: DaxHolder,
  options: ClaimOptions = {},
): ClaimedRange {
  assertUnmapped(device);
  device.claim(holder);
  try {
    const spans = translateAll(device, options.contiguous ?? false);
    const start = (spans[0] as DaxSpan).pfn * PAGE_SIZE;
    const length = device.pages * PAGE_SIZE;
    assertPersistent(device, resources, start, length);
    assertPlain(device, resources, start, length);
    return {
      device,
      start,
      length,
      spans,
      flush: (offset, bytes) => device.flush(0, offset, bytes),
      fence: () => device.fence(),
      release: () => device.release(holder),
    };
  } catch (error) {
    device.release(holder);
    throw error;
  }
}

/** Who maps the device raw may store to it at any time. */
function assertUnmapped(device: DaxDevice): void {
  const [area] = AddressSpaces.of(device).get(RAW_INO)?.areas ?? [];
  if (area === undefined) return;
  const detail = `there is a ${area.describe()}; unmap that first`;
  throw new DaxError("EBUSY", { syscall: "claim", path: device.name, detail });
}

function translateAll(device: DaxDevice, contiguous: boolean): DaxSpan[] {
  const spans: DaxSpan[] = [];
  for (let pgoff = 0; pgoff < device.pages;) {
    const span = device.directAccess(pgoff, device.pages - pgoff);
    const broken = spans.length > 0 && span.pfn !== (spans[0] as DaxSpan).pfn + pgoff;
    if (broken || (contiguous && span.pages < device.pages)) {
      throw refused(
        device,
        `its translation breaks at page ${broken ? pgoff : span.pages} of ${device.pages}`,
      );
    }
    spans.push(span);
    pgoff += span.pages;
  }
  return spans;
}

function assertPersistent(
  device: DaxDevice,
  resources: ResourceTree,
  start: number,
  length: number,
): void {
  const range = { start: BigInt(start), length: BigInt(length) };
  for (const descriptor of ["persistent-memory", "persistent-memory-legacy"] as const) {
    if (resources.intersects(range, { descriptor }) === "intersects") return;
  }
  const where = `0x${range.start.toString(16)}-0x${(range.start + range.length - 1n).toString(16)}`;
  throw refused(device, `addresses ${where} are not all persistent memory`);
}

/** Device-dax deals its memory out by itself, in ranges that may change hands. */
function assertPlain(
  device: DaxDevice,
  resources: ResourceTree,
  start: number,
  length: number,
): void {
  for (const [resource] of resources.walk()) {
    if (resource.start >= start + length || resource.last < start) continue;
    if (!resource.busy || !DEVICE_DAX.test(resource.name)) continue;
    throw refused(device, `${resource.name} is a special range, of device-dax`);
  }
}

function refused(device: DaxDevice, why: string): DaxError {
  return new DaxError("EOPNOTSUPP", {
    syscall: "claim",
    path: device.name,
    detail: `${why}; claim a pmem device that is whole and persistent`,
  });
}
