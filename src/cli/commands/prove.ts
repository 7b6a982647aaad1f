/**
 * `daxkit prove`.
 *
 * @module
 */
import { Console } from "node:console";
import type { ReportOptions, Torn, Verdict } from "../../crash/prove.ts";
import type { PresetName } from "../../node/prove/presets.ts";
import type { JunitCase } from "../../node/prove/junit.ts";
import type { VolumeVerdict } from "../../node/prove/volume-verdict.ts";
import { writeFileSync } from "node:fs";
import type { PersistenceDomain } from "../../media/media.ts";
import { type Invocation, STATUS_FAILED, STATUS_FINDING, STATUS_OK, command } from "../command.ts";
import { optionWords, quoted } from "../quoting.ts";
import { Interrupted, MOUNTED_OPTIONS, proveCommand, refuseMounted } from "../prove-mounted.ts";
import { PROGRAM_OPTIONS, PROGRAM_WORDS, proveScript, refuseScript } from "../prove-script.ts";
import { SECTOR_OPTIONS, sectorWords, sectorsOf } from "../sector-options.ts";
import type { Terminal } from "../terminal.ts";
import { TRACE_OPTION, traced } from "../tracing.ts";

/** Nothing bad was found, and not everything was looked at. */
const STATUS_NOT_MEASURED = 3;
/** As shells say it of what Ctrl-C ended. */
const STATUS_INTERRUPTED = 130;

/** Every preset by its name; held against the presets by the type of what a proof may say. */
const MODELS = [
  "ext4-dax",
  "ext4-ordered",
  "ext2",
  "disk-volatile-cache",
  "adr",
  "eadr",
  "volatile",
  "mixed",
] as const satisfies readonly PresetName[];

/** The worst of several verdicts decides; a finding is worse than no answer. */
function statusOf(verdicts: readonly Pick<Verdict | VolumeVerdict, "kind">[]): number {
  const has = (kind: Verdict["kind"]) => verdicts.some((verdict) => verdict.kind === kind);
  if (has("Lost")) return STATUS_FINDING;
  if (has("HarnessBroken")) return STATUS_FAILED;
  return has("NotMeasured") ? STATUS_NOT_MEASURED : STATUS_OK;
}

const OPTIONS = {
  ...TRACE_OPTION,
  torn: {
    type: "choice",
    value: "HOW",
    choices: ["prefix", "atoms", "line"],
    text:
      "what a power cut leaves of a bulk copy inside a line; unless told otherwise prefix on " +
      "raw memory, line under a volume",
  },
  ...SECTOR_OPTIONS,
  domain: {
    type: "choice",
    value: "DOMAIN",
    choices: ["adr", "eadr", "volatile"],
    text: "what survives a power cut, instead of what the proof says; adr if nothing does",
  },
  depth: {
    type: "count",
    value: "N",
    text: "power cuts in a row; unless told otherwise 2 on raw memory and disks, else 1",
  },
  budget: {
    type: "count",
    value: "LEAVES",
    text:
      "runs of recovery and check before it ends; unless told otherwise a million, with " +
      "--mount-fuse ten thousand",
  },
  model: {
    type: "choice",
    value: "MODEL",
    choices: MODELS,
    text:
      "what lies under a volume; unless told otherwise what the proof says, or ext4-dax; " +
      "ext4-ordered with --mount and --mount-fuse",
  },
  commits: {
    type: "choice",
    value: "WHEN",
    choices: ["any", "asked"],
    text:
      "when the filesystem commits: any time, as Linux may, which is what it does unless told, " +
      "or only when it is asked to",
  },
  faults: {
    type: "text",
    value: "KINDS",
    text:
      "lets each write, flush, enospc, short-read, poison (or all) fail in turn, beside the " +
      "power; write@3 is the third only",
  },
  only: { type: "text", value: "NAME", text: "proves only the proof of this name" },
  state: {
    type: "text",
    value: "ID",
    text: "makes only this state, which a report named",
  },
  "save-image": {
    type: "file",
    value: "IMAGE",
    text: "writes the volume there as the power cut of the counter-example or state left it",
  },
  junit: { type: "file", value: "XML", text: "writes the verdicts there for a CI" },
  patience: {
    type: "count",
    value: "SECONDS",
    text: "what loading FILE or one call of its functions may take; 30 unless told otherwise",
  },
  ...MOUNTED_OPTIONS,
  ...PROGRAM_OPTIONS,
} as const;

export const prove = command({
  name: "prove",
  summary: "cut a program's power at every instant, and say what is lost",
  description: [
    "FILE is a TypeScript or JavaScript module that exports a proof: a workload that stores to " +
      "persistent memory and promises things, a recovery, and a check of what they left. Every " +
      "state that a power cut may leave is checked, exactly; states that nobody can tell apart " +
      "are checked once. If something is lost, the smallest counter-example is shown, and the " +
      "flush or fence that is missing.",
    "A workload without a size is given node:fs over a volume of its own, and may be " +
      "asynchronous; the report then speaks of files and calls, and of the fsync that is " +
      "missing. --model says what lies under the volume.",
    "A proof is written with defineProof of 'daxkit/prove', which resolves to this installation " +
      "from wherever FILE lies. Proofs are synchronous and deterministic. With --json, what they " +
      "print with console goes to standard error.",
    "With --mount-fuse, a command in any language works on a mounted volume, once. What it " +
      "writes as `ack LABEL` lines on standard output, or as lines of $DAXKIT_ACK_FILE, it " +
      "promises; $DAXKIT_MOUNT is the mount. The line of --check runs on a mount of each " +
      "distinct recovered state, with the promises as its standard input, one a line, how many " +
      "they are in $DAXKIT_ACKED and the last one in $DAXKIT_LAST_ACK. Status 0 says that all is " +
      "there. What it writes is thrown away.",
    ...PROGRAM_WORDS,
  ],
  json: "lines",
  operands: [
    {
      name: "FILE",
      text: "a module that exports proofs; a program or command, its words",
      count: "many",
    },
  ],
  options: OPTIONS,
  examples: [
    { line: "daxkit prove examples/log-right.ts", text: "proves a log that is right" },
    { line: "daxkit prove examples/log-*.ts --torn atoms", text: "proves three, torn at any atom" },
    {
      line: "daxkit prove counter.ts --json | jq .missing",
      text: "prints where which flush is missing",
    },
    {
      line:
        "daxkit prove --mount-fuse /mnt --check 'test $DAXKIT_ACKED = 0 || grep -q . /mnt/f' -- " +
        "sh -c 'echo new >/mnt/t; sync /mnt/t; mv /mnt/t /mnt/f; echo ack'",
      text: "proves a command, of which the last step is not durable",
    },
    {
      line: "daxkit prove --mount /data --check check.mjs app.mjs",
      text: "proves a Node program that keeps its files in /data",
    },
  ],
  statuses: {
    [STATUS_FINDING]: "something is lost",
    [STATUS_NOT_MEASURED]: "not measured, or not everything",
    [STATUS_INTERRUPTED]: "interrupted",
  },
  async run(invocation) {
    return await traced(invocation.values.trace, () => proveAll(invocation));
  },
});

async function proveAll(invocation: Invocation<typeof OPTIONS>): Promise<number> {
  const { operands, values, json, out, terminal } = invocation;
  const { report, toJson } = await import("../../crash/prove.ts");
  const { proveFile, reportFor } = await import("../proofs.ts");
  const { volumeReport } = await import("../../node/prove/volume-report.ts");
  const { torn, domain, depth, budget, patience, model, faults, only, state, junit } = values;
  const { commits } = values;
  const disk = sectorsOf(values);
  const saveImage = values["save-image"];
  const isScript = values.mount !== undefined;
  const isMounted = isScript || values["mount-fuse"] !== undefined;
  if (!isScript) refuseScript(values);
  if (!isMounted) refuseMounted(values);
  const { refuseWrong } = await import("../prove-refusals.ts");
  refuseWrong(isScript ? "mount" : isMounted ? "mount-fuse" : "modules", operands, values);
  const options = {
    ...(torn === undefined ? {} : { torn: torn as Torn }),
    ...(Object.keys(disk).length === 0 ? {} : { disk }),
    ...(domain === undefined ? {} : { domain: domain as PersistenceDomain }),
    ...(depth === undefined ? {} : { depth }),
    ...(budget === undefined ? {} : { budget }),
    ...(patience === undefined ? {} : { patience }),
    ...(model === undefined ? {} : { model }),
    ...(faults === undefined ? {} : { faults }),
    ...(commits === undefined ? {} : { commits }),
    ...(only === undefined ? {} : { only }),
    ...(state === undefined ? {} : { state }),
    ...(saveImage === undefined ? {} : { saveImage }),
  };
  const linesOf = (verdict: Verdict | VolumeVerdict, how: ReportOptions = {}): string[] =>
    "model" in verdict ? volumeReport(verdict, how) : report(verdict, how);
  const cases: JunitCase[] = [];
  using progress = terminal.progress("proving");
  const began = performance.now();
  const settings = {
    progress: (done: number, total: number, leaves: number) => {
      const seconds = Math.floor((performance.now() - began) / 1000);
      if (!json) progress.step(done, total, `crash points, ${leaves} runs, ${seconds} s`);
    },
  };
  const tell = (
    verdict: Verdict | VolumeVerdict,
    from: object,
    line: string,
    behind = "",
  ): void => {
    progress.finish();
    if (json)
      out.json({ ...from, ...againIn(verdict, line, behind), ...(toJson(verdict) as object) });
    else {
      if (cases.length > 0) out.line();
      const how = { ...reportFor(terminal, line), operands: behind };
      for (const row of linesOf(verdict, how)) out.line(row);
    }
    out.flush();
  };
  if (isMounted) {
    const proved = await unlessInterrupted(terminal, () =>
      isScript ? proveScript(operands, values, settings) : proveCommand(operands, values, terminal),
    );
    if (proved === undefined) return STATUS_INTERRUPTED;
    const { verdict, line, behind } = proved;
    tell(verdict, { command: operands }, line, behind);
    const [file = ""] = operands;
    cases.push({ verdict, report: linesOf(verdict, { command: line, operands: behind }), file });
  }
  for (const path of isMounted ? [] : operands) {
    const proveIt = () => proveFile(path, options, settings);
    const proving = json ? () => withoutOutput(proveIt) : proveIt;
    // One file after the other: what a proof prints stands before its verdict.
    // oxlint-disable-next-line no-await-in-loop
    for (const { verdict, oneOfMany } of await guarded(path, terminal, proving)) {
      const again = {
        torn,
        ...sectorWords(values),
        domain,
        depth,
        budget,
        model,
        commits,
        faults,
        patience,
      };
      const named = oneOfMany === true ? { only: verdict.name } : {};
      const words = ["daxkit prove", quoted(path), ...optionWords({ ...again, ...named })];
      const line = words.join(" ");
      tell(verdict, { file: path }, line);
      cases.push({ verdict, report: linesOf(verdict, { command: line }), file: path });
    }
  }
  if (junit !== undefined) {
    const { toJunit } = await import("../../node/prove/junit.ts");
    writeFileSync(junit, toJunit("daxkit prove", cases));
  }
  return statusOf(cases.map(({ verdict }) => verdict));
}

/** What `body` gives; undefined when somebody wanted it to end, which is said. */
async function unlessInterrupted<T>(
  terminal: Terminal,
  body: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await body();
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    terminal.message(error.message);
    return undefined;
  }
}

/** The command that makes the counter-example again. */
function againIn(
  verdict: Verdict | VolumeVerdict,
  line: string,
  behind: string,
): { again?: string } {
  return "state" in verdict ? { again: `${line} --state ${verdict.state}${behind}` } : {};
}

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
