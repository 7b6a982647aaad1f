/**
 * `daxkit replay`.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import type { ReplayAt, StopPlan } from "../../crash/block-stops.ts";
import { formatSize } from "../../lib/size.ts";
import type { ReplayResult } from "../../node/replay/replay.ts";
import type { ReplayNotes } from "../../node/replay/resume.ts";
import type { ReplayCheck, ReplaySettings, ReplaySource } from "../../node/replay/settings.ts";
import { type Invocation, STATUS_FINDING, STATUS_OK, UsageError, command } from "../command.ts";
import { printable } from "../output.ts";
import { optionWords } from "../quoting.ts";
import { waitForSignal } from "../signals.ts";
import { type Again, junitCases, reportLines, verdictOf } from "../replay-words.ts";

/** Nothing bad was found, and not everything was looked at. */
const STATUS_NOT_MEASURED = 3;
/** As shells say it of what Ctrl-C ended. */
const STATUS_INTERRUPTED = 130;

/** A day: timers of Node end at 24. */
const LONGEST_CHECK = 86_400;
const DEFAULTS = { seconds: 60, ext: 100_000, command: 64, jobs: 1, seed: 1 } as const;
/** Of our own check, once a state has failed: how many more do is worth less. */
const AFTER_FAILURE = 4096;

/** What stands for the file in a command. */
const IMAGE = "{image}";

const OPTIONS = {
  check: {
    type: "text",
    value: "COMMAND|ext",
    text: "look at each state: by COMMAND on {image}, its file, or with our own ext check",
  },
  at: {
    type: "choice",
    value: "flush|fua|entry|mark",
    choices: ["flush", "fua", "entry", "mark"],
    many: true,
    text: "look at the disk after each of these; after flushes unless told otherwise",
  },
  reorder: {
    type: "flag",
    short: "r",
    text: "look at what the power may leave before each flush, FUA write and at the end",
  },
  sector: {
    type: "choice",
    value: "512|4096",
    choices: ["512", "4096"],
    text: "what reaches the disk whole or not at all; 4096 unless told otherwise",
  },
  depth: {
    type: "choice",
    value: "1|2",
    choices: ["1", "2"],
    text: "2 cuts the power inside recovery, too; with '--check ext'",
  },
  torn: {
    type: "size",
    value: "BYTES",
    text: "let sectors be torn after each BYTES of them, a multiple of 8",
  },
  base: { type: "file", value: "IMAGE", text: "what the disk held before the log begins" },
  size: {
    type: "size",
    value: "BYTES",
    text: "the disk's size, a multiple of 4096; as the log says, or what it reaches",
  },
  limit: { type: "count", short: "l", value: "N", text: "replay the first N entries only" },
  "start-entry": { type: "count", value: "N", text: "look at nothing before entry N" },
  "start-mark": { type: "text", value: "MARK", text: "look at nothing before MARK" },
  "end-mark": { type: "text", value: "MARK", text: "replay up to MARK" },
  "no-discard": { type: "flag", text: "let what is discarded keep its contents" },
  runs: {
    type: "count",
    value: "N",
    text: "run the check N times at one instant at most; 64, or 100000 with our own",
  },
  seed: { type: "count", value: "N", text: "choose otherwise where not all can be looked at" },
  timeout: { type: "count", value: "SECONDS", text: "what one COMMAND may take; 60" },
  within: {
    type: "count",
    value: "SECONDS",
    text: "end after so long, and tell how far it came",
  },
  all: {
    type: "flag",
    short: "a",
    text: "go on behind the first instant at which something fails",
  },
  jobs: { type: "count", short: "j", value: "N", text: "work with N threads" },
  resume: { type: "file", value: "FILE", text: "remember in FILE what is done, and go on from it" },
  junit: { type: "file", value: "XML", text: "write what was found there for a CI" },
  find: { type: "flag", text: "print the first entry that '--at' or '--end-mark' names" },
  state: { type: "text", value: "STATE", text: "look at this one state, or write it with '--to'" },
  to: { type: "file", value: "IMAGE", text: "write the disk as it is then to a new file" },
} as const;

type ReplayInvocation = Invocation<typeof OPTIONS>;

export const replay = command({
  name: "replay",
  summary: "look at every state a power cut may leave of a recorded disk",
  description: [
    "LOG is a log of a disk's writes: 'daxkit nbd --record' makes one of any client, and so does " +
      "the kernel's dm-log-writes. Without options it is summed up.",
    "With '--check' the disk is looked at after each flush, or whatever '--at' says, and with " +
      "'--reorder' in every state that the power may leave: a write lasts from the next flush " +
      "on, a FUA write once it is done, and any of the sectors written since may be missing. " +
      "'ext' is daxkit's own recovery and check of ext2, ext3 and ext4, which decides a sector " +
      "only where it is looked at, so that all states are covered exactly. COMMAND is run by a " +
      "shell on a file with the state, which it may change; status 0 is good. It finds the last " +
      "mark in $DAXKIT_MARK. All states of an instant are checked if '--runs' allows, else a " +
      "choice.",
    "What fails is made small, and printed with the state's name, by which '--state' finds it " +
      "again. '--to' writes a disk: of a state, or of the log up to '--limit' or '--end-mark'.",
  ],
  json: "lines",
  operands: [{ name: "LOG", text: "a log of writes" }],
  options: OPTIONS,
  exclusive: [
    ["check", "find"],
    ["find", "to"],
    ["check", "to"],
    ["start-entry", "start-mark"],
    ["state", "end-mark"],
    ["state", "find"],
  ],
  examples: [
    { line: "daxkit replay disk.log", text: "tells what is in a log" },
    {
      line: "daxkit replay --check ./check.sh --start-mark mkfs-done disk.log",
      text: "runs ./check.sh FILE on the disk as it is after each flush",
    },
    {
      line: "daxkit replay --reorder --check ext --start-mark mkfs-done disk.log",
      text: "checks ext4 in every state that a power cut may leave",
    },
    {
      line: "daxkit replay --to bad.img --state 57f@4096:12=0 disk.log",
      text: "writes one of them to a file",
    },
  ],
  statuses: {
    [STATUS_FINDING]: "a state fails, or nothing was found",
    [STATUS_NOT_MEASURED]: "nothing fails, and not every state was looked at",
    [STATUS_INTERRUPTED]: "a signal ended it, and nothing failed until then",
  },
  async run(invocation) {
    const { values } = invocation;
    const { find, to, check, state } = values;
    const { refuseReplay } = await import("../replay-refusals.ts");
    refuseReplay(values);
    if (find) return await findOne(invocation);
    if (to !== undefined) return await writeDisk(invocation, to);
    if (check === undefined) return await sumUp(invocation);
    const how = checkFrom(values, check);
    if (state !== undefined) return await lookAtOne(invocation, state, how);
    return await lookAtAll(invocation, how);
  },
});

function logOf({ operands }: ReplayInvocation): string {
  return operands[0] as string;
}

function sourceOf(invocation: ReplayInvocation): ReplaySource {
  const { base, size, limit } = invocation.values;
  return {
    log: logOf(invocation),
    ...(base === undefined ? {} : { base }),
    ...(size === undefined ? {} : { size }),
    ...(limit === undefined ? {} : { limit }),
    ...(invocation.values["no-discard"] ? { ignoreDiscards: true } : {}),
  };
}

function planOf({ values }: ReplayInvocation): StopPlan {
  const startEntry = values["start-entry"];
  const startMark = values["start-mark"];
  const endMark = values["end-mark"];
  const reorder = values.reorder || values.torn !== undefined;
  const given = values.at as readonly ReplayAt[];
  return {
    at: given.length > 0 || reorder ? given : ["flush"],
    reorder,
    ...(startEntry === undefined ? {} : { startEntry }),
    ...(startMark === undefined ? {} : { startMark }),
    ...(endMark === undefined ? {} : { endMark }),
  };
}

function checkFrom({ timeout, depth }: ReplayInvocation["values"], check: string): ReplayCheck {
  if (check === "ext") {
    if (timeout !== undefined) throw new UsageError("'--timeout' is for a COMMAND");
    return depth === "2" ? { kind: "ext", depth: 2 } : { kind: "ext" };
  }
  if (depth !== undefined) throw new UsageError("'--depth' is for '--check ext'");
  const seconds = timeout ?? DEFAULTS.seconds;
  if (seconds < 1 || seconds > LONGEST_CHECK) {
    throw new UsageError(`'--timeout' takes 1 to ${LONGEST_CHECK} seconds`);
  }
  return { kind: "command", line: check.includes(IMAGE) ? check : `${check} ${IMAGE}`, seconds };
}

async function sumUp(invocation: ReplayInvocation): Promise<number> {
  const { values, json, out } = invocation;
  const { summarizeLog } = await import("../../node/replay/summary.ts");
  const sum = summarizeLog(logOf(invocation), values.limit);
  if (json) {
    out.json({ log: logOf(invocation), ...sum });
    return STATUS_OK;
  }
  const counts = `${sum.writes} writes, ${sum.flushes} flushes, ${sum.fua} FUA`;
  out.line(`entries: ${sum.entries} (${counts}, ${sum.discards} discards)`);
  out.line(`written: ${formatSize(sum.written)}, in sectors of ${sum.sectorSize}`);
  out.line(`disk:    ${formatSize(sum.reach)} or more`);
  for (const { entry, mark } of sum.marks) out.line(`mark:    ${entry} ${printable(mark)}`);
  return STATUS_OK;
}

async function findOne(invocation: ReplayInvocation): Promise<number> {
  const { values, json, out, terminal } = invocation;
  const { findEntry } = await import("../../node/replay/summary.ts");
  const entry = findEntry(logOf(invocation), planOf(invocation), values.limit);
  if (json) out.json({ entry: entry ?? null });
  else if (entry === undefined) terminal.message("the log has no such entry");
  else out.line(String(entry));
  return entry === undefined ? STATUS_FINDING : STATUS_OK;
}

async function writeDisk(invocation: ReplayInvocation, to: string): Promise<number> {
  const { values } = invocation;
  const { saveReplayed, saveState } = await import("../../node/replay/one-state.ts");
  const source = sourceOf(invocation);
  if (values.state === undefined) saveReplayed(source, values["end-mark"], to);
  else saveState(source, values.state, to);
  return STATUS_OK;
}

async function lookAtOne(
  invocation: ReplayInvocation,
  state: string,
  check: ReplayCheck,
): Promise<number> {
  const { json, out } = invocation;
  const { checkState } = await import("../../node/replay/one-state.ts");
  const said = checkState(sourceOf(invocation), state, check);
  if (json) out.json({ state, fails: said !== undefined, said: said ?? null });
  else out.line(`${state}: ${said === undefined ? "nothing is wrong" : printable(said)}`);
  return said === undefined ? STATUS_OK : STATUS_FINDING;
}

function settingsOf(invocation: ReplayInvocation, check: ReplayCheck): ReplaySettings {
  const { sector, torn, runs, seed } = invocation.values;
  const most = runs ?? DEFAULTS[check.kind];
  return {
    ...sourceOf(invocation),
    plan: planOf(invocation),
    model: { unit: Number(sector ?? "4096"), ...(torn === undefined ? {} : { torn }) },
    check,
    runs: most,
    afterFailure: runs ?? Math.min(most, AFTER_FAILURE),
    seed: seed ?? DEFAULTS.seed,
  };
}

async function lookAtAll(invocation: ReplayInvocation, check: ReplayCheck): Promise<number> {
  const { values, terminal } = invocation;
  const { jobs = DEFAULTS.jobs, resume, all } = values;
  const { replayStates } = await import("../../node/replay/replay.ts");
  const { ReplayMeter } = await import("../replay-progress.ts");
  const settings = settingsOf(invocation, check);
  const notes = resume === undefined ? undefined : await openNotes(resume, settings);
  const before = notes?.before ?? [];
  const wish = waitForSignal();
  const end = endOf(wish.signal, values.within);
  let result: ReplayResult;
  {
    using meter = new ReplayMeter(terminal.progress("replaying"), before.length);
    result = await replayStates(settings, {
      jobs,
      all,
      before,
      ...(notes === undefined ? {} : { begun: notes.begun }),
      stop: end.came,
      onFound(findings, total) {
        notes?.add(findings);
        meter.found(findings, total);
      },
      onProgress(progress, total) {
        const { looking, rest } = progress;
        if (looking !== undefined && rest !== undefined) notes?.begin(looking.stop, rest);
        meter.at(progress, total);
      },
    }).finally(() => {
      wish.cancel();
      end.cancel();
    });
  }
  return await show(invocation, result, settings, end);
}

/** What ends a replay before its time, in words when it came. */
interface End {
  readonly came: Promise<unknown>;
  readonly words: () => string;
  readonly wasSignal: () => boolean;
  cancel(): void;
}

function endOf(signal: Promise<string>, seconds: number | undefined): End {
  let words = "";
  let wasSignal = false;
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => {
    if (seconds === undefined) return;
    timer = setTimeout(() => {
      words ||= `'--within ${seconds}'`;
      resolve();
    }, seconds * 1000);
  });
  const asked = signal.then((name) => {
    words ||= name;
    wasSignal = true;
  });
  const cancel = (): void => clearTimeout(timer);
  return {
    came: Promise.race([over, asked]),
    words: () => words,
    wasSignal: () => wasSignal,
    cancel,
  };
}

async function openNotes(path: string, settings: ReplaySettings): Promise<ReplayNotes> {
  const notes = await import("../../node/replay/resume.ts");
  return notes.openNotes(path, settings);
}

async function show(
  invocation: ReplayInvocation,
  result: ReplayResult,
  settings: ReplaySettings,
  end: End,
): Promise<number> {
  const { json, out, terminal, values } = invocation;
  const verdict = verdictOf(result, settings, end.words());
  const again = againOf(invocation);
  if (json) out.json({ log: logOf(invocation), ...verdict });
  else for (const line of reportLines(verdict, again, terminal)) out.line(line);
  if (values.junit !== undefined) {
    const { toJunit } = await import("../../node/prove/junit.ts");
    const cases = junitCases(result.stops, verdict, again);
    writeFileSync(values.junit, toJunit("daxkit replay", cases));
  }
  if (verdict.verdict === "lost") return STATUS_FINDING;
  if (result.ended && end.wasSignal()) return STATUS_INTERRUPTED;
  return verdict.verdict === "survived" ? STATUS_OK : STATUS_NOT_MEASURED;
}

function againOf(invocation: ReplayInvocation): Again {
  const { base, size, limit, timeout, check = "ext", "no-discard": noDiscard } = invocation.values;
  return {
    log: logOf(invocation),
    check,
    disk: optionWords({ base, size, limit, "no-discard": noDiscard }),
    checking: optionWords({ timeout }),
  };
}
