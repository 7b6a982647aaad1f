/**
 * `daxkit prove`.
 *
 * @module
 */
import { Console } from "node:console";
import type { Torn, Verdict } from "../../crash/prove.ts";
import type { PersistenceDomain } from "../../media/media.ts";
import { STATUS_FAILED, STATUS_FINDING, STATUS_OK, UsageError, command } from "../command.ts";
import type { Terminal } from "../terminal.ts";

/** Nothing bad was found, and not everything was looked at. */
const STATUS_NOT_MEASURED = 3;

/** A day: timers of Node end at 24. */
const LONGEST_PATIENCE = 86_400;

/** The worst of several verdicts decides; a finding is worse than no answer. */
function statusOf(verdicts: readonly Verdict[]): number {
  const has = (kind: Verdict["kind"]) => verdicts.some((verdict) => verdict.kind === kind);
  if (has("Lost")) return STATUS_FINDING;
  if (has("HarnessBroken")) return STATUS_FAILED;
  return has("NotMeasured") ? STATUS_NOT_MEASURED : STATUS_OK;
}

export const prove = command({
  name: "prove",
  summary: "cut a program's power at every instant, and say what is lost",
  description: [
    "FILE is a TypeScript or JavaScript module that exports a proof: a workload that stores to " +
      "persistent memory and promises things, a recovery, and a check of what they left. Every " +
      "state that a power cut may leave is checked, exactly; states that nobody can tell apart " +
      "are checked once. If something is lost, the smallest counter-example is shown, and the " +
      "flush or fence that is missing.",
    "A proof is written with defineProof of 'daxkit/prove', which resolves to this installation " +
      "from wherever FILE lies. Proofs are synchronous and deterministic. With --json, what they " +
      "print with console goes to standard error.",
  ],
  json: "lines",
  operands: [{ name: "FILE", text: "a module that exports proofs", count: "many" }],
  options: {
    torn: {
      type: "choice",
      value: "HOW",
      choices: ["prefix", "atoms", "line"],
      text: "what a power cut leaves of a bulk copy inside a line; prefix unless told otherwise",
    },
    domain: {
      type: "choice",
      value: "DOMAIN",
      choices: ["adr", "eadr", "volatile"],
      text: "what survives a power cut, instead of what the proof says; adr if nothing does",
    },
    depth: { type: "count", value: "N", text: "power cuts in a row; 2 unless told otherwise" },
    budget: {
      type: "count",
      value: "LEAVES",
      text: "runs of recovery and check before it ends; a million unless told otherwise",
    },
    patience: {
      type: "count",
      value: "SECONDS",
      text: "what loading FILE or one call of its functions may take; 30 unless told otherwise",
    },
  },
  examples: [
    { line: "daxkit prove examples/log-right.ts", text: "proves a log that is right" },
    { line: "daxkit prove examples/log-*.ts --torn atoms", text: "proves three, torn at any atom" },
    {
      line: "daxkit prove counter.ts --json | jq .missing",
      text: "prints where which flush is missing",
    },
  ],
  statuses: {
    [STATUS_FINDING]: "something is lost",
    [STATUS_NOT_MEASURED]: "not measured, or not everything",
  },
  async run({ operands, values, json, out, terminal }) {
    const { report, toJson } = await import("../../crash/prove.ts");
    const { proveFile, reportFor } = await import("../proofs.ts");
    const { torn, domain, depth, budget, patience } = values;
    if (patience !== undefined && (patience < 1 || patience > LONGEST_PATIENCE)) {
      const rule = `it takes 1 to ${LONGEST_PATIENCE} seconds`;
      throw new UsageError(`option '--patience' is '${patience}'; ${rule}`);
    }
    const options = {
      ...(torn === undefined ? {} : { torn: torn as Torn }),
      ...(domain === undefined ? {} : { domain: domain as PersistenceDomain }),
      ...(depth === undefined ? {} : { depth }),
      ...(budget === undefined ? {} : { budget }),
      ...(patience === undefined ? {} : { patience }),
    };
    const verdicts: Verdict[] = [];
    using progress = terminal.progress("proving");
    const settings = {
      progress: (done: number, total: number) => progress.step(done, total, "crash points"),
    };
    for (const path of operands) {
      const proveIt = () => proveFile(path, options, settings);
      const proving = json ? () => withoutOutput(proveIt) : proveIt;
      // One file after the other: what a proof prints stands before its verdict.
      // oxlint-disable-next-line no-await-in-loop
      for (const { verdict } of await guarded(path, terminal, proving)) {
        progress.finish();
        if (json) out.json({ file: path, ...(toJson(verdict) as object) });
        else {
          if (verdicts.length > 0) out.line();
          for (const line of report(verdict, reportFor(terminal))) out.line(line);
        }
        out.flush();
        verdicts.push(verdict);
      }
    }
    return statusOf(verdicts);
  },
});

/** A program that ends the process must not end it as if all were proved. */
async function guarded<T>(path: string, terminal: Terminal, body: () => Promise<T>): Promise<T> {
  const onExit = (): void => {
    terminal.message(`${path}: the program ended the process, so there is no verdict`);
    process.exitCode = STATUS_FAILED;
  };
  process.once("exit", onExit);
  try {
    return await body();
  } finally {
    process.off("exit", onExit);
  }
}

/** Standard output is for JSON alone: what a program says with `console` goes to standard error. */
async function withoutOutput<T>(body: () => Promise<T>): Promise<T> {
  const before = globalThis.console;
  globalThis.console = new Console(process.stderr);
  try {
    return await body();
  } finally {
    globalThis.console = before;
  }
}
