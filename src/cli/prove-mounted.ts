/**
 * `daxkit prove --mount-fuse DIR -- COMMAND`: its options, and how it is run.
 *
 * @module
 */
import { writeFileSync } from "node:fs";
import type { Torn } from "../crash/versions.ts";
import type { PresetName } from "../node/prove/presets.ts";
import type { VolumeProof } from "../node/prove/volume-proof.ts";
import type { VolumeVerdict } from "../node/prove/volume-verdict.ts";
import { type OptionTable, UsageError, type Values } from "./command.ts";
import { optionWords, quoted } from "./quoting.ts";
import { waitForSignal } from "./signals.ts";
import { type SECTOR_OPTIONS, sectorWords, sectorsOf } from "./sector-options.ts";
import type { Terminal } from "./terminal.ts";
import { faultsFrom } from "./volume-proofs.ts";

/** Beside those that every proof has. */
export const MOUNTED_OPTIONS = {
  "mount-fuse": {
    type: "file",
    value: "DIR",
    text: "proves a command that works on a volume mounted there, given behind --",
  },
  check: {
    type: "text",
    value: "COMMAND",
    text:
      "with --mount-fuse: a line of shell that looks at each state; status 0 is good. " +
      "With --mount: the file of a check",
  },
  setup: {
    type: "text",
    value: "COMMAND",
    text:
      "with --mount-fuse: a line of shell that makes the first state, all of it durable. " +
      "With --mount: the file of a program",
  },
  recover: {
    type: "text",
    value: "COMMAND",
    text:
      "with --mount-fuse: a line of shell that runs when power is back, before the check; what " +
      "it writes may be cut. With --mount: the file of a recovery",
  },
  "ack-file": {
    type: "file",
    value: "FILE",
    text: "with --mount-fuse: reads promises there too, one a line, not in $DAXKIT_ACK_FILE",
  },
  "ack-prefix": {
    type: "text",
    value: "TEXT",
    text: "with both: what a promise on standard output begins with; 'ack ' by default",
  },
  size: {
    type: "size",
    value: "SIZE",
    text: "with both: bytes of the volume, a multiple of 8192 from 9M to 1G, of ext2 from 5M; 10M",
  },
  jobs: {
    type: "count",
    short: "j",
    value: "N",
    text: "with --mount-fuse: checks at the same time; as many as there are processors",
  },
} as const satisfies OptionTable;

const NAMES = Object.keys(MOUNTED_OPTIONS) as (keyof typeof MOUNTED_OPTIONS)[];
const MOST_JOBS = 256;

/** What the command line says of a command or a program on a mount. */
export type MountedValues = Values<typeof MOUNTED_OPTIONS> &
  Values<typeof SECTOR_OPTIONS> & {
    readonly torn: string | undefined;
    readonly depth: number | undefined;
    readonly budget: number | undefined;
    readonly model: string | undefined;
    readonly commits: string | undefined;
    readonly state: string | undefined;
    readonly patience: number | undefined;
    readonly faults: string | undefined;
    readonly domain: string | undefined;
    readonly "save-image": string | undefined;
  };

/** @throws UsageError for options that mean something with `--mount-fuse` only */
export function refuseMounted(values: Values<typeof MOUNTED_OPTIONS>): void {
  const given = NAMES.find((name) => values[name] !== undefined);
  if (given !== undefined) throw new UsageError(`'--${given}' is for '--mount-fuse' and '--mount'`);
}

/** How a command or a program was proved. */
export interface ProvedCommand {
  readonly verdict: VolumeVerdict;
  /** What proves it again, and what stands behind its options. */
  readonly line: string;
  readonly behind: string;
}

function lineOf(values: MountedValues): string {
  const { torn, depth, budget, model, commits, faults, patience } = values;
  const own = Object.fromEntries(NAMES.map((name) => [name, values[name]]));
  const words = optionWords({
    ...own,
    torn,
    ...sectorWords(values),
    depth,
    budget,
    model,
    commits,
    faults,
    patience,
  });
  return ["daxkit prove", ...words].join(" ");
}

/** Proves a command. @throws UsageError, DaxError; what `fs` throws for the image */
export async function proveCommand(
  command: readonly string[],
  values: MountedValues,
  terminal: Terminal,
): Promise<ProvedCommand> {
  const { check, jobs, size, state } = values;
  if (check === undefined) throw new UsageError("'--mount-fuse' wants a '--check COMMAND'");
  if (jobs !== undefined && (jobs < 1 || jobs > MOST_JOBS)) {
    throw new UsageError(`'--jobs' takes 1 to ${MOST_JOBS}`);
  }
  const { proveMounted } = await import("../node/prove/mounted/prove-mounted.ts");
  using progress = terminal.progress("checking");
  const ending = new AbortController();
  const wish = waitForSignal();
  void wish.signal.then((signal) => ending.abort(new Interrupted(signal)));
  try {
    const { verdict, image } = await proveMounted(
      {
        directory: values["mount-fuse"] ?? "",
        command,
        check,
        setup: values.setup,
        recover: values.recover,
        model: values.model as PresetName | undefined,
        size,
        disk: sectorsOf(values),
        commits: values.commits as VolumeProof["commits"],
        torn: values.torn as Torn | undefined,
        depth: values.depth,
        ...(values.faults === undefined ? {} : { faults: faultsFrom(values.faults) }),
        budget: values.budget,
        patience: values.patience,
        ackFile: values["ack-file"],
        ackPrefix: values["ack-prefix"],
        jobs,
      },
      {
        progress: (runs, waiting) => progress.step(runs, runs + waiting, "states known so far"),
        signal: ending.signal,
      },
      state,
    );
    const saved = values["save-image"];
    if (saved !== undefined && image !== undefined) writeFileSync(saved, image);
    const behind = [" --", ...command.map(quoted)].join(" ");
    return { verdict, line: lineOf(values), behind };
  } finally {
    wish.cancel();
  }
}

/** Somebody wanted it to end. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  readonly signal: string;

  constructor(signal: string) {
    super(`${signal} ended it`);
    this.signal = signal;
  }
}
