/**
 * A machine's NFIT: the ranges that it reports become memory modules, as if each were described.
 *
 * @module
 */
import { DaxError } from "../lib/errno.ts";
import { type NfitRegion, decodeNfit, nfitRegions } from "../platform/nfit.ts";
import type { MachineHost } from "./backing.ts";
import { type MachineDescription, PHYSICAL_LIMIT, type PmemDescription } from "./describe.ts";
import { DescriptionError } from "./shape.ts";

/** Far more than a table of any machine has. */
const LARGEST_TABLE = 2 ** 20;
const MOST_RANGES = 256;

/**
 * The description with the modules of its NFIT, in the order of the table and before those that it
 * does not know. What the table says wrong goes to `log`.
 * @throws DescriptionError for bytes that are no NFIT, or a module that does not fit its range;
 *   what the host throws for a file
 */
export function withFirmwareTable(
  description: MachineDescription,
  host: MachineHost,
  log: string[],
): MachineDescription {
  const { nfit, pmem } = description;
  if (nfit === undefined) return description;
  const regions = readRegions(typeof nfit === "string" ? readTable(nfit, host) : nfit, log);
  const reported = regions.map((region) => moduleOf(region, pmem));
  const known = new Set(regions.map(({ start }) => start));
  const others = pmem.filter((each) => each.start === undefined || !known.has(each.start));
  return { ...description, pmem: [...reported, ...others] };
}

function readRegions(bytes: Uint8Array, log: string[]): NfitRegion[] {
  let regions: NfitRegion[];
  try {
    const table = decodeNfit(bytes);
    log.push(...table.warnings);
    regions = nfitRegions(table, (what) => log.push(what));
  } catch (error) {
    if (!(error instanceof DaxError)) throw error;
    throw new DescriptionError(["nfit"], `: ${error.detail ?? error.message}`);
  }
  if (regions.length > MOST_RANGES) {
    throw new DescriptionError(["nfit"], ` has ${regions.length} ranges; ${MOST_RANGES} at most`);
  }
  return regions.filter(({ start, length }) => {
    if (start + length <= PHYSICAL_LIMIT) return true;
    log.push(`nfit: 0x${start.toString(16)}: past the processor's addresses, no region`);
    return false;
  });
}

/** A range as a module: what stands behind it is the description's, what it is the table's. */
function moduleOf(region: NfitRegion, described: readonly PmemDescription[]): PmemDescription {
  const { start, length, domain, platform, mappings, readOnly } = region;
  const size = Number(length);
  const index = described.findIndex((each) => each.start === start);
  const own = described[index];
  if (own !== undefined && (own.as !== "nfit" || (own.size ?? size) !== size)) {
    const found = own.as === "nfit" ? `${own.size} bytes` : "of the e820 map";
    throw new DescriptionError(["pmem", index], ` is ${found}; the NFIT has ${size} bytes there`);
  }
  const said = domain === undefined ? [] : [{ domain }];
  return {
    readOnly: false,
    modelled: false,
    poison: [],
    // Linux gives a namespace without a label no page structures.
    ...((own?.map ?? "none") === "none" ? { mode: "raw" as const } : {}),
    ...own,
    domains: own === undefined || own.domains.length === 0 ? said : own.domains,
    start,
    size,
    as: "nfit",
    reported: { mappings, readOnly, ...(platform === undefined ? {} : { platform }) },
  };
}

function readTable(path: string, host: MachineHost): Uint8Array {
  if (host.readFile !== undefined) return host.readFile(path, LARGEST_TABLE);
  throw new DaxError("ENOTSUP", {
    syscall: "open",
    path,
    detail: "this machine was booted without a host for files; give the table's bytes",
  });
}
