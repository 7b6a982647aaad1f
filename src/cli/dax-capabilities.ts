/**
 * What `daxkit dax capabilities` prints.
 *
 * @module
 */
import {
  CAPABILITY_MODES,
  type CapabilityCell,
  type CapabilityRow,
  daxCapabilities,
} from "../machine/capabilities.ts";
import type { KernelProfile } from "../block/device-numbers.ts";
import type { DaxInvocation } from "./commands/dax.ts";
import { table } from "./text-table.ts";

/** Tries everything now, and prints what came of it. */
export function showCapabilities({ values, json, out }: DaxInvocation): void {
  const profile = (values.profile ?? "modern") as KernelProfile;
  const rows = daxCapabilities(profile);
  if (json) {
    out.json({ profile, capabilities: rows });
    return;
  }
  for (const line of capabilityLines(rows)) out.line(line);
}

function capabilityLines(rows: readonly CapabilityRow[]): string[] {
  const modes = CAPABILITY_MODES.filter((mode) => rows.some(({ cells }) => mode in cells));
  const lines = rows.map(({ api, cells }) => [api, ...modes.map((mode) => cellText(cells[mode]))]);
  return table([["", ...modes], ...lines]);
}

function cellText(cell: CapabilityCell | undefined): string {
  if (cell === undefined) return "-";
  if (cell.outcome === "refused") return cell.code ?? "refused";
  const { copies = 0 } = cell;
  return copies === 0 ? "works" : copies === 1 ? "1 copy" : `${copies} copies`;
}
