/**
 * `daxkit nbd-check`.
 *
 * @module
 */
import type { CheckResult, NbdCheck } from "../../nbd/check/check.ts";
import { type Invocation, STATUS_FINDING, STATUS_OK, UsageError, command } from "../command.ts";
import { printable } from "../output.ts";
import type { Terminal } from "../terminal.ts";

const OPTIONS = {
  destructive: { type: "flag", text: "try writing too; what the export holds is lost" },
  strict: { type: "flag", text: "a SHOULD that is not kept to makes the status 1 as well" },
  match: { type: "text", value: "TEXT", text: "only checks with TEXT in their names" },
  timeout: { type: "count", value: "SECONDS", text: "how long a server may be silent, 2" },
  quiet: { type: "flag", short: "q", text: "print failures and the summary only" },
  list: { type: "flag", text: "print the checks, and connect to nothing" },
} as const;

const STYLES = { pass: "good", fail: "bad", skip: "faint" } as const;
const OUTCOMES = ["pass", "fail", "skip"] as const;
/** A longer silence is waited for by nobody. */
const LONGEST_TIMEOUT = 3600;

export const nbdCheck = command({
  name: "nbd-check",
  summary: "check an NBD server against the specification",
  description: [
    "Tries each MUST and SHOULD of the NBD specification that a server can be seen to keep to, " +
      "on connections of its own, and says which it does not. What the server does not have is " +
      "skipped, with the reason.",
    "Nothing is written to the export without --destructive; with it, its contents are lost. The " +
      "server must take more than one client.",
  ],
  json: "lines",
  operands: [
    {
      name: "URI",
      text: "nbd://HOST/EXPORT, or nbd+unix:///EXPORT?socket=PATH",
      count: "optional",
    },
  ],
  options: OPTIONS,
  examples: [
    { line: "daxkit nbd-check nbd://localhost", text: "checks a server, reading only" },
    {
      line: "daxkit nbd-check --destructive 'nbd+unix:///?socket=/tmp/nbd.sock'",
      text: "checks all of it, on an export that holds nothing",
    },
    { line: "daxkit nbd-check --json nbd://localhost | jq .outcome", text: "for programs" },
  ],
  statuses: { 1: "the server does not keep to a MUST (with --strict, or to a SHOULD)" },
  async run(invocation) {
    const { NBD_CHECKS } = await import("../../nbd/check/checks.ts");
    const { values, operands } = invocation;
    const wanted = NBD_CHECKS.filter(({ name }) => name.includes(values.match ?? ""));
    if (wanted.length === 0) throw new UsageError(`no check has '${values.match}' in its name`);
    const [word] = operands;
    if (values.list) return listChecks(wanted, invocation);
    if (word === undefined) throw new UsageError("URI is missing");
    return checkServer(word, wanted, invocation);
  },
});

type CheckInvocation = Invocation<typeof OPTIONS>;

function listChecks(checks: readonly NbdCheck[], { json, out }: CheckInvocation): number {
  for (const { name, level, text, destructive } of checks) {
    if (json) out.json({ name, level, text, destructive });
    else out.line(`${level.padEnd(6)} ${name}${destructive ? " (writes)" : ""}: ${text}`);
  }
  return STATUS_OK;
}

async function checkServer(
  word: string,
  checks: readonly NbdCheck[],
  { values, json, out, terminal }: CheckInvocation,
): Promise<number> {
  const { examine } = await import("../../node/nbd/check-server.ts");
  const { timeout = 2, destructive } = values;
  if (timeout === 0 || timeout > LONGEST_TIMEOUT) {
    throw new UsageError(`--timeout ${timeout}; give 1 to ${LONGEST_TIMEOUT} seconds`);
  }
  const tally = { pass: 0, fail: 0, skip: 0 };
  let broken = 0;
  const progress = terminal.progress("checking");
  const options = { timeoutMs: timeout * 1000, destructive };
  for await (const result of examine(word, checks, options)) {
    tally[result.outcome]++;
    const done = tally.pass + tally.fail + tally.skip;
    if (result.outcome === "fail" && (values.strict || result.level === "MUST")) broken++;
    if (!values.quiet || result.outcome === "fail") {
      progress.finish();
      if (json) out.json(result);
      else out.line(lineOf(result, terminal));
      if (out.isTerminal) out.flush();
    } else progress.step(done, checks.length, "checks");
  }
  progress.finish();
  if (!json) out.line(OUTCOMES.map((outcome) => `${tally[outcome]} ${outcome}`).join(", "));
  return broken > 0 ? STATUS_FINDING : STATUS_OK;
}

function lineOf({ name, level, outcome, detail, text }: CheckResult, terminal: Terminal): string {
  const label = terminal.style(STYLES[outcome], outcome);
  const why = detail === "" ? "" : `: ${printable(detail)}`;
  const asked = outcome === "fail" ? ` (${text})` : "";
  return `${label} ${level.padEnd(6)} ${name}${why}${asked}`;
}
