/**
 * `dmsetup splitname`: what LVM's names of mapped devices are made of. A dash parts them, and two
 * are one that belongs to a name.
 *
 * @module
 */
import { UsageError } from "./dmsetup-options.ts";
import { type Field, fieldsOf, layOut, layoutOf } from "./report-layout.ts";

/** The parts of a name. */
export interface SplitName {
  readonly subsystem: string;
  readonly group: string;
  readonly volume: string;
  readonly layer: string;
}

/** Takes a name apart; only LVM's have parts. */
export function splitName(name: string, subsystem: string): SplitName {
  const parts = [""];
  const text = subsystem === "LVM" ? name : "";
  for (const [piece] of text.matchAll(/--|-|[^-]+/gu)) {
    if (piece === "-") parts.push("");
    else parts.push((parts.pop() ?? "") + (piece === "--" ? "-" : piece));
  }
  const [group = "", volume = "", ...more] = parts;
  return { subsystem, group, volume, layer: more.join("-") };
}

/** The fields of such a report. */
export const NAME_PARTS: readonly Field<SplitName>[] = [
  { id: "subsystem", head: "Subsys", width: 6, cell: ({ subsystem }) => subsystem },
  { id: "vg_name", head: "VG", width: 4, cell: ({ group }) => group },
  { id: "lv_name", head: "LV", width: 4, cell: ({ volume }) => volume },
  { id: "lv_layer", head: "LVLayer", width: 7, cell: ({ layer }) => layer },
];
const ALL = NAME_PARTS.map(({ id }) => id).join(",");

/** The report of one name. @throws UsageError */
export function splitNameText(
  [name = "", subsystem = "LVM"]: readonly string[],
  flags: ReadonlySet<string>,
  values: ReadonlyMap<string, string>,
): string {
  const wanted = values.get("options");
  if (wanted === "name") throw new UsageError("_do_report_object: no data assigned to field name");
  const groups = { all: ALL, splitname_all: ALL };
  const fields = fieldsOf(wanted, "vg_name,lv_name,lv_layer", NAME_PARTS, groups);
  return layOut(fields, [splitName(name, subsystem)], layoutOf(flags, values));
}
