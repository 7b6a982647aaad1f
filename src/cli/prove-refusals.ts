/**
 * What a command line of `daxkit prove` cannot mean: said before anything runs.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { relative, resolve } from "node:path";
import { FAULT_KINDS, type FaultKind, whatIsWrongWithFaults } from "../node/prove/faults.ts";
import { PRESETS, type PresetName } from "../node/prove/presets.ts";
import { UsageError, type Values } from "./command.ts";
import { refuseUnwritable } from "./output-files.ts";
import type { MountedValues } from "./prove-mounted.ts";
import { SECTOR_SIZES, type SECTOR_OPTIONS } from "./sector-options.ts";
import { faultsFrom } from "./volume-proofs.ts";

/** How programs are given: as modules that export proofs, on a mount, or through node:fs. */
export type Way = "modules" | "mount-fuse" | "mount";

/** What is looked at. */
export type ProveValues = MountedValues & {
  readonly only: string | undefined;
  readonly junit: string | undefined;
};

/** A day: timers of Node end at 24. */
const LONGEST_PATIENCE = 86_400;
/** Power cuts in a row: of memory, and of volumes. */
const MOST_DEPTH = { modules: 8, mount: 4, "mount-fuse": 4 } as const;
const SIZE_UNIT = 8192;
/** In less ext4 has no room for its journal. */
const SMALLEST = { ext2: 5, ext4: 9 } as const;
const LARGEST = 1 << 30;
/** What a command on a mount may meet: the rest is of calls that nobody sees there. */
const FAULTS_OF_COMMANDS: readonly FaultKind[] = ["write", "flush"];

/**
 * Refuses what cannot be meant, or cannot be done in the end.
 * @throws UsageError; what `fs` throws for files that are not there, or cannot be written
 */
export function refuseWrong(way: Way, operands: readonly string[], values: ProveValues): void {
  refuseNumbers(way, values);
  refuseFaults(way, values.faults);
  refuseModel(way, values);
  refuseNames(way, operands, values);
  if (way === "mount-fuse") refuseLines(operands, values);
  for (const path of [values["save-image"], values.junit]) {
    if (path !== undefined) refuseUnwritable(path);
  }
}

function refuse(option: string, value: string | number, rule: string): never {
  throw new UsageError(`option '--${option}' is '${value}'; ${rule}`);
}

function refuseNumbers(way: Way, { budget, depth, patience, size, model }: ProveValues): void {
  if (budget === 0) refuse("budget", budget, "it takes 1 or more");
  const most = MOST_DEPTH[way];
  if (depth !== undefined && (depth < 1 || depth > most)) {
    refuse("depth", depth, `it takes 1 to ${most} power cuts in a row`);
  }
  if (patience !== undefined && (patience < 1 || patience > LONGEST_PATIENCE)) {
    refuse("patience", patience, `it takes 1 to ${LONGEST_PATIENCE} seconds`);
  }
  const least = SMALLEST[model === "ext2" ? "ext2" : "ext4"];
  if (size !== undefined && (size % SIZE_UNIT !== 0 || size < least << 20 || size > LARGEST)) {
    refuse("size", size, `it takes multiples of ${SIZE_UNIT} from ${least}M to 1G`);
  }
}

function refuseFaults(way: Way, faults: string | undefined): void {
  if (faults === undefined) return;
  const plan = faultsFrom(faults);
  const wrong = whatIsWrongWithFaults(plan);
  const kinds = way === "mount-fuse" ? FAULTS_OF_COMMANDS : FAULT_KINDS;
  const rule = `it takes all, or of ${kinds.join(", ")} some, by commas; with @N the Nth only`;
  const odd = Array.isArray(plan) && plan.some((each) => !kinds.includes(kindOf(each)));
  if (wrong !== undefined || odd) refuse("faults", faults, rule);
}

function kindOf(each: FaultKind | { readonly kind: FaultKind }): FaultKind {
  return typeof each === "string" ? each : each.kind;
}

/** A model that is named says whether there are sectors, and often what survives. */
function refuseModel(way: Way, values: ProveValues): void {
  const usual = way === "modules" ? undefined : "ext4-ordered";
  const model = (values.model ?? usual) as PresetName | undefined;
  const { domain } = values;
  const preset = model === undefined ? undefined : PRESETS[model];
  refuseSectors(values, model, preset?.sector);
  if (domain === undefined || model === undefined) return;
  if (way === "mount-fuse") throw new UsageError("'--domain' is not for '--mount-fuse': --model");
  if (preset?.sector !== undefined) {
    throw new UsageError(`'--domain' is of memory, and under ${model} is a disk`);
  }
  if (["adr", "eadr", "volatile", "mixed"].includes(model) && model !== domain) {
    throw new UsageError(`'--domain ${domain}' and '--model ${model}' contradict each other`);
  }
}

function refuseSectors(
  values: Values<typeof SECTOR_OPTIONS>,
  model: PresetName | undefined,
  usual: number | undefined,
): void {
  const { sector } = values;
  const torn = values["torn-sector"];
  const name = torn === undefined ? "sector" : "torn-sector";
  if (sector === undefined && torn === undefined) return;
  if (model !== undefined && usual === undefined) {
    throw new UsageError(`'--${name}' is of disks, and under ${model} is memory`);
  }
  const whole = Number(sector ?? usual ?? SECTOR_SIZES.at(-1));
  if (torn === undefined || (torn >= 8 && torn < whole && torn % 8 === 0)) return;
  refuse("torn-sector", torn, `it takes a multiple of 8 below ${whole}`);
}

/** Names that mean nothing there, and files that are not. */
function refuseNames(way: Way, operands: readonly string[], values: ProveValues): void {
  const { only, state } = values;
  const image = values["save-image"];
  if (way !== "modules") {
    if (only === undefined) return;
    throw new UsageError("'--only' is for files of proofs; a program has one");
  }
  if (operands.length > 1 && (state !== undefined || image !== undefined)) {
    const name = state === undefined ? "save-image" : "state";
    throw new UsageError(`'--${name}' is of one proof: give one FILE`);
  }
  for (const path of operands) statSync(path);
}

/** What stands first in a line of shell, where it is a plain word, has to be there. */
function refuseLines(command: readonly string[], values: ProveValues): void {
  const { check, setup, recover } = values;
  const directory = values["mount-fuse"] ?? "";
  const file = values["ack-file"];
  if (check === undefined) throw new UsageError("'--mount-fuse' wants a '--check COMMAND'");
  if (file !== undefined && isBelow(directory, file)) {
    refuse("ack-file", file, "it lies below the mount, and would go with it; take another place");
  }
  for (const [option, line] of Object.entries({ check, setup, recover })) {
    const words = line?.trim().split(/\s+/u) ?? [];
    const missing = missingOf(words, directory);
    if (line !== undefined && missing !== undefined) {
      refuse(option, line, `it cannot be run: there is no '${missing}'`);
    }
  }
  const missing = missingOf(command, directory);
  if (missing !== undefined) {
    throw new UsageError(`'${command.join(" ")}' cannot be run: there is no '${missing}'`);
  }
}

/** Words in which a shell sees nothing but themselves. */
const PLAIN = /^[\w./+-]+$/u;
/** Programs whose first word is a file, if it is no option. */
const INTERPRETERS = /^(?:.*\/)?(?:sh|bash|dash|ash|zsh|node|python[\d.]*|perl|ruby)$/u;

/** The program that is not there, or the file that it is to run; below the mount, who knows. */
function missingOf([name = "", file = ""]: readonly string[], mount: string): string | undefined {
  if (!PLAIN.test(name) || isBelow(mount, name)) return undefined;
  const found = spawnSync("/bin/sh", ["-c", 'command -v -- "$1"', "sh", name]).status === 0;
  if (!found) return name;
  if (!INTERPRETERS.test(name) || !PLAIN.test(file) || file.startsWith("-")) return undefined;
  return isBelow(mount, file) || existsSync(file) ? undefined : file;
}

function isBelow(directory: string, path: string): boolean {
  const way = relative(resolve(directory), resolve(path));
  return way !== ".." && !way.startsWith("../");
}
