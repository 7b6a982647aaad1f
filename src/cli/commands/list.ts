/**
 * `daxkit list`.
 *
 * @module
 */
import type { Machine } from "../../machine/machine.ts";
import { STATUS_FINDING, STATUS_OK, command } from "../command.ts";
import { oneLine } from "../errors.ts";
import { MACHINE_OPERAND, MACHINE_OPTIONS, withMachine } from "../machines.ts";
import type { Terminal } from "../terminal.ts";

export const list = command({
  name: "list",
  summary: "list regions and namespaces of a machine, as ndctl does",
  description: [
    "Boots the machine and prints what 'ndctl list' prints of one like it, with the same " +
      "options, keys and order. The output is JSON in any case. Without -B, -D or -R it lists " +
      "namespaces; if there is nothing to list it prints nothing.",
    "A device that --device-dax or --mapped would list, and that the machine refused to make, is " +
      "named on standard error.",
  ],
  json: "document",
  operands: [MACHINE_OPERAND],
  options: {
    buses: { type: "flag", short: "B", text: "list buses" },
    dimms: { type: "flag", short: "D", text: "list memory modules" },
    regions: { type: "flag", short: "R", text: "list regions" },
    namespaces: { type: "flag", short: "N", text: "list namespaces" },
    "device-dax": {
      type: "flag",
      short: "X",
      text: "list device-dax, as 'daxctl list' does; -R: its regions, -M: ranges",
    },
    idle: { type: "flag", short: "i", text: "list what is disabled, too" },
    human: { type: "flag", short: "u", text: "print sizes for people" },
    mapped: { type: "flag", text: "list mapped devices instead, with their tables" },
    "media-errors": { type: "flag", short: "M", text: "list bad blocks" },
    ...MACHINE_OPTIONS,
  },
  examples: [
    { line: "daxkit list -RNu examples/machine.yaml", text: "regions with their namespaces" },
    {
      line: "daxkit list -XRu examples/device-dax.yaml",
      text: "device-dax, region by region",
    },
    {
      line: "daxkit list --pmem size=64M,domain=eadr | jq -r .[].blockdev",
      text: "names of disks, for a script",
    },
  ],
  statuses: { 1: "with --device-dax or --mapped, a device was refused" },
  async run(invocation) {
    const { values, out } = invocation;
    const { ndctlList, listText } = await import("../../machine/list.ts");
    const { buses, dimms, regions, namespaces, idle, human } = values;
    const options = {
      buses,
      dimms,
      regions,
      idle,
      human,
      mediaErrors: values["media-errors"],
      // Asked for nothing, it lists namespaces; the listing knows that, if nobody says otherwise.
      ...(namespaces ? { namespaces } : {}),
    };
    if (values["device-dax"]) {
      const { daxctlList } = await import("../../machine/daxctl-list.ts");
      const { "media-errors": mappings } = values;
      return withMachine(invocation, (machine) => {
        out.text(listText(daxctlList(machine, { regions, idle, human, mappings })));
        return tellRefused(machine, invocation.terminal);
      });
    }
    const { describeMapped } = await import("../../dm/description.ts");
    return withMachine(invocation, (machine) => {
      if (values.mapped) {
        out.json(machine.mapper.devices.map(describeMapped));
        return tellRefused(machine, invocation.terminal);
      }
      out.text(listText(ndctlList(machine, options)));
      return STATUS_OK;
    });
  },
});

/** What is missing in a list would be taken for what nobody asked for. */
function tellRefused({ unmapped }: Machine, terminal: Terminal): number {
  for (const { error } of unmapped) terminal.message(oneLine(error));
  return unmapped.length > 0 ? STATUS_FINDING : STATUS_OK;
}
