/**
 * The options that say what a power cut leaves whole of a disk, for every way to prove.
 *
 * @module
 */
import type { DiskSectors } from "../node/prove/volume-proof.ts";
import type { OptionTable, Values } from "./command.ts";

/** Bytes of sectors; ascending. */
export const SECTOR_SIZES = ["512", "4096"] as const;

/** What a power cut leaves whole of a disk. */
export const SECTOR_OPTIONS = {
  sector: {
    type: "choice",
    value: "512|4096",
    choices: SECTOR_SIZES,
    text: "of a disk: what reaches it whole or not at all; as --model says unless told otherwise",
  },
  "torn-sector": {
    type: "size",
    value: "BYTES",
    text: "of a disk: lets sectors be torn after each BYTES of them, a multiple of 8",
  },
} as const satisfies OptionTable;

/** The options of a disk as they were given. */
export function sectorWords(values: Values<typeof SECTOR_OPTIONS>): Values<typeof SECTOR_OPTIONS> {
  return { sector: values.sector, "torn-sector": values["torn-sector"] };
}

/** The same as a machine has them. */
export function sectorsOf(values: Values<typeof SECTOR_OPTIONS>): DiskSectors {
  const torn = values["torn-sector"];
  return {
    ...(values.sector === undefined ? {} : { sector: Number(values.sector) }),
    ...(torn === undefined ? {} : { torn }),
  };
}
