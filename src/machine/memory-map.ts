/**
 * The memory map of a machine: firmware's, then what options make of it, then what the kernel takes
 * out for the BIOS.
 *
 * @module
 */
import { E820_TYPE_RAM, E820_TYPE_RESERVED, type E820Entry } from "../format/e820.ts";
import { type PlatformProfile, bootLogLines } from "../platform/e820.ts";
import { removeRange, retypeRange } from "../platform/editing.ts";
import {
  type MemmapEffect,
  type MemmapResult,
  applyMem,
  applyMemmap,
  effectLogLine,
  finishUserMap,
} from "../platform/memmap.ts";
import type { AddressRange } from "../platform/resources.ts";
import { sanitise } from "../platform/sanitise.ts";
import type { MachineDescription } from "./describe.ts";
import { firmwareMap } from "./firmware.ts";

/**
 * The map from firmware's to the one the kernel works with; what a kernel would say goes to `log`.
 * @throws EINVAL where the options leave no map to boot with
 */
export function buildMap(
  description: MachineDescription,
  modules: readonly AddressRange[],
  soft: readonly AddressRange[],
  log: string[],
): readonly E820Entry[] {
  const { profile, mem, memmap } = description;
  const firmware = firmwareMap(description, modules, soft);
  let entries: E820Entry[] = sanitise(firmware, { profile }) ?? firmware;
  log.push(...bootLogLines(entries, "BIOS-e820", profile));
  let userDefined = false;
  const take = (result: MemmapResult): void => {
    entries = result.entries;
    userDefined ||= result.userDefined;
    log.push(...effectLines(result, profile));
  };
  if (mem !== undefined) take(applyMem(entries, mem));
  take(
    applyMemmap(
      entries,
      memmap.map(({ option }) => option),
    ),
  );
  if (userDefined) {
    entries = finishUserMap({ entries, userDefined }, profile);
    log.push("user-defined physical RAM map:", ...bootLogLines(entries, "user", profile));
  }
  return trimBiosRange(entries, profile, log);
}

function effectLines({ elements }: MemmapResult, profile: PlatformProfile): string[] {
  return elements.flatMap(({ effect }) =>
    effect === undefined ? [] : (effectLogLine(effect, profile) ?? []),
  );
}

/** The first page and the range of the BIOS are never memory, whatever a map says. */
function trimBiosRange(
  entries: readonly E820Entry[],
  profile: PlatformProfile,
  log: string[],
): E820Entry[] {
  const effects: readonly MemmapEffect[] = [
    { kind: "retype", start: 0n, length: 0x1000n, from: E820_TYPE_RAM, to: E820_TYPE_RESERVED },
    { kind: "remove", start: 0xa_0000n, length: 0x6_0000n, only: E820_TYPE_RAM },
  ];
  for (const effect of effects) log.push(effectLogLine(effect, profile) as string);
  const first = retypeRange(entries, 0n, 0x1000n, E820_TYPE_RAM, E820_TYPE_RESERVED).entries;
  const trimmed = removeRange(first, 0xa_0000n, 0x6_0000n, E820_TYPE_RAM).entries;
  return sanitise(trimmed, { profile }) ?? trimmed;
}
