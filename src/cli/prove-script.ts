/**
 * `daxkit prove --mount DIR SCRIPT`: its options, and how it is run.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import type { ProveSettings } from "../crash/prove.ts";
import type { PersistenceDomain } from "../media/media.ts";
import type { PresetName } from "../node/prove/presets.ts";
import type { VolumeProof } from "../node/prove/volume-proof.ts";
import type { Torn } from "../crash/versions.ts";
import { type OptionTable, UsageError, type Values } from "./command.ts";
import type { MountedValues, ProvedCommand } from "./prove-mounted.ts";
import { optionWords, quoted } from "./quoting.ts";
import { sectorWords, sectorsOf } from "./sector-options.ts";
import { faultsFrom } from "./volume-proofs.ts";

/** Beside those that a mounted command has too. */
export const PROGRAM_OPTIONS = {
  mount: {
    type: "file",
    value: "DIR",
    text: "runs FILE as a program, with the words behind it; node:fs shows it a volume at DIR",
  },
  fresh: { type: "flag", text: "with --mount: loads the check's modules anew for each state" },
} as const satisfies OptionTable;

/** Paragraphs of help. */
export const PROGRAM_WORDS = [
  "With --mount, FILE is a Node program that nobody changed, with its packages: it runs once, in " +
    "a process of its own, in which node:fs shows a volume at DIR, and what it did is proved. It " +
    "promises with lines `ack LABEL` on its output, or by globalThis.daxkit?.ack(label). The " +
    "file of --check exports a function of { fs, acked, mount }, or is a program that throws; " +
    "it sees each state at DIR through node:fs, packages included, and what it writes is " +
    "thrown away. Words with dashes of the program's own stand behind `--`.",
];

type ScriptValues = Values<typeof PROGRAM_OPTIONS> & MountedValues;

/** @throws UsageError for options that mean something with `--mount` only */
export function refuseScript({ fresh }: Values<typeof PROGRAM_OPTIONS>): void {
  if (fresh) throw new UsageError("'--fresh' is for '--mount'");
}

/**
 * Proves one program.
 * @throws UsageError; EINVAL for a mount or state that cannot be; what `fs` throws for the image
 */
export async function proveScript(
  [script = "", ...args]: readonly string[],
  values: ScriptValues,
  { progress }: ProveSettings = {},
): Promise<ProvedCommand> {
  for (const name of ["mount-fuse", "ack-file", "jobs"] as const) {
    if (values[name] !== undefined) throw new UsageError(`'--${name}' is not for '--mount'`);
  }
  const { proveProgram } = await import("../node/program/prove-program.ts");
  const { mount = "", check, setup, recover, fresh, size, domain } = values;
  const { model, torn, depth, budget, faults, patience, state } = values;
  const saved = values["save-image"];
  const verdict = await proveProgram({
    script,
    args,
    directory: mount,
    fresh,
    check,
    setup,
    recover,
    state,
    patience,
    depth,
    faults: faults === undefined ? undefined : faultsFrom(faults),
    machine: {
      ...sectorsOf(values),
      ...(size === undefined ? {} : { size }),
      ...(domain === undefined ? {} : { domain: domain as PersistenceDomain }),
    },
    ackPrefix: values["ack-prefix"],
    model: model as PresetName | undefined,
    commits: values.commits as VolumeProof["commits"],
    torn: torn as Torn | undefined,
    budget: budget === undefined ? undefined : { leaves: budget },
    progress,
    printed: (text) => void process.stderr.write(text),
    save: saved === undefined ? undefined : (image) => writeFileSync(saved, image),
  });
  const again = {
    mount,
    check,
    setup,
    recover,
    torn,
    ...sectorWords(values),
    depth,
    budget,
    model,
    faults,
    commits: values.commits,
    patience,
    size,
    domain,
  };
  const prefix = values["ack-prefix"];
  const words = optionWords({ ...again, "ack-prefix": prefix });
  const line = ["daxkit prove", ...words, ...(fresh ? ["--fresh"] : [])].join(" ");
  const dashed = args.some((word) => word.startsWith("-"));
  const behind = `${dashed ? " --" : ""} ${[script, ...args].map(quoted).join(" ")}`;
  return { verdict, line, behind };
}
