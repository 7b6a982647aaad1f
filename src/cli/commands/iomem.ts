/**
 * `daxkit iomem`.
 *
 * @module
 */
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
      if (json) out.json(machine.resources.root.children.map((node) => record(node, unprivileged)));
      else out.text(machine.iomem({ privileged: !unprivileged }));
      return STATUS_OK;
    });
  },
});

function record(node: Resource, hidden: boolean): Record<string, unknown> {
  const { name, start, last, children } = node;
  const address = (value: bigint): string => `0x${(hidden ? 0n : value).toString(16)}`;
  return {
    name,
    start: address(start),
    last: address(last),
    ...(children.length > 0 ? { children: children.map((each) => record(each, hidden)) } : {}),
  };
}
