/**
 * `daxkit exhibit`.
 *
 * @module
 */
import { STATUS_FINDING, STATUS_OK, UsageError, command } from "../command.ts";
import { TRACE_OPTION, traced } from "../tracing.ts";

export const exhibit = command({
  name: "exhibit",
  summary: "act out an argument about DAX, and count what settles it",
  description: [
    "Runs one of the arguments that shaped Linux's DAX stack: what was said, what happens, and " +
      "the figures that settle it, each counted by running it now. Without NAME, or with 'list', " +
      "it lists them; 'all' runs them one after the other. No file is written.",
  ],
  json: "lines",
  operands: [{ name: "NAME", text: "which one", count: "optional", complete: ["list", "all"] }],
  options: TRACE_OPTION,
  examples: [
    { line: "daxkit exhibit", text: "lists them" },
    { line: "daxkit exhibit live-freeze --trace freeze.json", text: "shows faults in Perfetto" },
    { line: "daxkit exhibit first-leg", text: "finds the flush that Linux 4.13 did not send" },
  ],
  statuses: { [STATUS_FINDING]: "A figure is not what it has to be." },
  async run({ operands: [asked = "list"], values, json, out, terminal }) {
    const name = asked.toLowerCase();
    const { EXHIBITS } = await import("../exhibits/exhibits.ts");
    const { isSettled } = await import("../exhibits/exhibit.ts");
    const { exhibitLines, listLines, recordOf } = await import("../exhibits/text.ts");
    if (name.toLowerCase() === "list") {
      if (json) for (const each of EXHIBITS) out.json({ name: each.name, question: each.question });
      else for (const line of listLines(EXHIBITS)) out.line(line);
      return STATUS_OK;
    }
    const chosen = name === "all" ? EXHIBITS : EXHIBITS.filter((each) => each.name === name);
    if (chosen.length === 0) {
      const names = EXHIBITS.map((each) => each.name).join(", ");
      throw new UsageError(`no exhibit '${name}'; there are ${names}`);
    }
    let settled = true;
    const all = await traced(values.trace, () => chosen.map((each) => [each, each.run()] as const));
    for (const [each, acted] of all) {
      settled &&= isSettled(acted);
      if (json) out.json(recordOf(each, acted));
      else {
        for (const line of exhibitLines(each, acted, terminal.style.bind(terminal))) out.line(line);
      }
    }
    return settled ? STATUS_OK : STATUS_FINDING;
  },
});
