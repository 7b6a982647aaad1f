/**
 * `daxkit dax`.
 *
 * @module
 */
import { type Invocation, STATUS_OK, UsageError, command } from "../command.ts";

const OPTIONS = {
  size: { type: "size", value: "SIZE", text: "plan for a namespace of this size" },
  map: {
    type: "choice",
    value: "PLACE",
    choices: ["none", "mem", "dev"],
    text: "put page descriptors into memory or on the device; all three unless given",
  },
  align: { type: "size", value: "SIZE", text: "align data to 4K, 2M (unless given) or 1G" },
  base: { type: "size", value: "ADDRESS", text: "start there; at 4G unless given" },
  media: {
    type: "choice",
    value: "KIND",
    choices: ["dram", "wearing", "foreign"],
    text: "say what the memory is, for the advice; wearing unless given",
  },
  memory: {
    type: "size",
    value: "SIZE",
    text: "say how much ordinary memory there is; 64G unless given",
  },
  caching: {
    type: "choice",
    value: "TYPE",
    choices: ["write-back", "write-through", "write-combining", "uncached"],
    text: "say how the CPU caches the device",
  },
} as const;

/** A running `daxkit dax`. */
export type DaxInvocation = Invocation<typeof OPTIONS>;

const ACTIONS: Readonly<Record<string, (invocation: DaxInvocation) => Promise<void>>> = {
  plan: async (invocation) => (await import("../dax-plan.ts")).showPlans(invocation),
};

export const dax = command({
  name: "dax",
  summary: "say what page descriptors cost and where they go",
  description: [
    "'plan' says what the page descriptors of a namespace cost: 64 bytes for each page of 4 KiB, " +
      "where they lie (as 'ndctl create-namespace --map' puts them), where data begins, how much " +
      "of it is left, and what that would wear. Nothing is written.",
  ],
  json: "document",
  operands: [{ name: "ACTION", text: "what to do", complete: Object.keys(ACTIONS) }],
  options: OPTIONS,
  examples: [
    {
      line: "daxkit dax plan --size 1T",
      text: "compares no descriptors, in memory, on the device",
    },
    { line: "daxkit dax plan --size 400T --map dev", text: "takes 6.25 TiB" },
  ],
  async run(invocation) {
    const [name = ""] = invocation.operands;
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (action === undefined) {
      throw new UsageError(`no action '${name}'; there are ${Object.keys(ACTIONS).join(", ")}`);
    }
    await action(invocation);
    return STATUS_OK;
  },
});
