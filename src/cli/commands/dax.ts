/**
 * `daxkit dax`.
 *
 * @module
 */
import { TRACE_OPTION, traced } from "../tracing.ts";
import { type Invocation, STATUS_OK, UsageError, command } from "../command.ts";

const OPTIONS = {
  ...TRACE_OPTION,
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
  writes: { type: "count", value: "N", text: "wear a page by so many writes; 1000 unless given" },
  profile: {
    type: "choice",
    value: "LINUX",
    choices: ["modern", "v4.1"],
    text: "try what this Linux can",
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

/** Which options an action goes by; another one is refused, since nothing would come of it. */
const TAKES: Readonly<Record<string, readonly (keyof typeof OPTIONS)[]>> = {
  capabilities: ["profile"],
  plan: ["size", "map", "align", "base", "media", "memory", "caching"],
  wear: ["map", "writes", "caching"],
};

const ACTIONS: Readonly<Record<string, (invocation: DaxInvocation) => Promise<void>>> = {
  capabilities: async (invocation) =>
    (await import("../dax-capabilities.ts")).showCapabilities(invocation),
  plan: async (invocation) => (await import("../dax-plan.ts")).showPlans(invocation),
  wear: async (invocation) => (await import("../dax-wear.ts")).showWear(invocation),
};

export const dax = command({
  name: "dax",
  summary: "try what works on DAX, and say what page descriptors cost",
  description: [
    "'capabilities' tries every way to use a file on machines that serve it through the page " +
      "cache, by DAX without page descriptors, and by DAX with them, and prints how many copies " +
      "were made, or the error. Nothing of it is written down anywhere: it is run.",
    "'plan' says what the page descriptors of a namespace cost: 64 bytes for each page of 4 KiB, " +
      "where they lie (as 'ndctl create-namespace --map' puts them), where data begins, how much " +
      "of it is left, and what that would wear. Nothing is written.",
    "'wear' does the same work through the page cache and by DAX, and prints how often the media " +
      "below was written, range by range.",
  ],
  json: "document",
  operands: [{ name: "ACTION", text: "what to do", complete: Object.keys(ACTIONS) }],
  options: OPTIONS,
  examples: [
    { line: "daxkit dax capabilities", text: "takes two seconds" },
    {
      line: "daxkit dax plan --size 1T",
      text: "compares no descriptors, in memory, on the device",
    },
    { line: "daxkit dax plan --size 400T --map dev", text: "takes 6.25 TiB" },
    { line: "daxkit dax wear --map dev --json", text: "counts lines of media for a program" },
  ],
  async run(invocation) {
    const [name = ""] = invocation.operands;
    const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
    if (action === undefined) {
      throw new UsageError(`no action '${name}'; there are ${Object.keys(ACTIONS).join(", ")}`);
    }
    refuseOthers(name, invocation);
    await traced(invocation.values.trace, () => action(invocation));
    return STATUS_OK;
  },
});

function refuseOthers(action: string, { values }: DaxInvocation): void {
  const takes = TAKES[action] ?? [];
  for (const option of Object.keys(OPTIONS) as (keyof typeof OPTIONS)[]) {
    if (option === "trace" || takes.includes(option) || values[option] === undefined) continue;
    const all = takes.map((each) => `--${each}`).join(", ");
    throw new UsageError(`'--${option}' is not for '${action}', which takes ${all}`);
  }
}
