/**
 * `daxkit iomem`.
 *
 * @module
 */
import type { MachineDevice } from "../../machine/machine.ts";
import type { Resource } from "../../platform/resources.ts";
import { STATUS_OK, command } from "../command.ts";
import { MACHINE_OPERAND, MACHINE_OPTIONS, withMachine } from "../machines.ts";

export const iomem = command({
  name: "iomem",
  summary: "print the memory map of a machine",
  description: ["Boots the machine and prints its resources in the format of /proc/iomem."],
  json: "document",
  operands: [MACHINE_OPERAND],
  options: {
    unprivileged: { type: "flag", text: "hide addresses, as from a user who is not root" },
    ...MACHINE_OPTIONS,
  },
  examples: [
    { line: "daxkit iomem examples/machine.yaml", text: "prints where everything lies" },
    { line: "daxkit iomem --ram 8G --memmap 1G!4G", text: "shows what a kernel option does" },
  ],
  async run(invocation) {
    const { values, json, out } = invocation;
    const { unprivileged } = values;
    return withMachine(invocation, (machine) => {
      if (json) {
        const disks = machine.devices().filter(({ parent }) => parent === undefined);
        const mapped = new Map(disks.map((each) => [each.namespace, each.caching]));
        const nodes = machine.resources.root.children;
        out.json(nodes.map((node) => record(node, unprivileged, mapped)));
      } else out.text(machine.iomem({ privileged: !unprivileged }));
      return STATUS_OK;
    });
  },
});

/** A resource; `mapped` says of namespaces what of them is not mapped write-back. */
function record(
  node: Resource,
  hidden: boolean,
  mapped: ReadonlyMap<string | undefined, MachineDevice["caching"]>,
): Record<string, unknown> {
  const { name, start, last, children } = node;
  const address = (value: bigint): string => `0x${(hidden ? 0n : value).toString(16)}`;
  return {
    name,
    start: address(start),
    last: address(last),
    ...(mapped.get(name) === undefined ? {} : { caching: mapped.get(name) }),
    ...(children.length > 0
      ? { children: children.map((each) => record(each, hidden, mapped)) }
      : {}),
  };
}
