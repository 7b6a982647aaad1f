/**
 * Machines that a command was given: as a machine file, or as flags.
 *
 * @module
 */
import type { Machine } from "../machine/machine.ts";
import { type Invocation, type OperandSpec, type OptionTable, UsageError } from "./command.ts";

/** A machine in flags; every command on machines takes these. */
export const MACHINE_OPTIONS = {
  memmap: {
    type: "text",
    value: "nn[KMG]!ss[KMG]",
    text: "mark memory, as after memmap= on a kernel's command line",
    many: true,
  },
  pmem: {
    type: "text",
    value: "FILE[,KEY=VALUE]...",
    text: "add a memory module, kept in FILE or of size=SIZE",
    many: true,
  },
  brd: { type: "text", value: "[Nx]SIZE", text: "add N RAM disks", many: true },
  ram: { type: "text", value: "SIZE", text: "set how much ordinary memory there is" },
  mem: { type: "text", value: "SIZE", text: "use no memory above, as mem= does" },
  profile: {
    type: "choice",
    value: "LINUX",
    choices: ["modern", "v4.1"],
    text: "behave as this Linux",
  },
  seed: { type: "text", value: "N", text: "set what looks random" },
} as const satisfies OptionTable;

/** The operand of most of them. */
export const MACHINE_OPERAND = {
  name: "MACHINE.yaml",
  text: "a machine file; flags describe a machine without one",
  count: "optional",
} as const satisfies OperandSpec;

type MachineInvocation = Pick<Invocation<typeof MACHINE_OPTIONS>, "values" | "operands">;

/** A machine, and how long it took. */
export interface Booted {
  readonly machine: Machine;
  readonly milliseconds: number;
}

/**
 * Boots what the command line describes.
 * @throws UsageError when it describes nothing, or twice; and as `loadMachine`
 */
export async function bootFrom({ values, operands }: MachineInvocation): Promise<Booted> {
  const { memmap, pmem, brd, ram, mem, profile, seed } = values;
  const flags = {
    memmap,
    pmem,
    brd,
    ...(ram === undefined ? {} : { ram }),
    ...(mem === undefined ? {} : { mem }),
    ...(profile === undefined ? {} : { profile }),
    ...(seed === undefined ? {} : { seed }),
  };
  const given = Object.values(flags).some((value) => value.length > 0);
  const [path] = operands;
  if (path === undefined && !given) {
    throw new UsageError("give a machine file, or flags such as '--memmap 64M!4G'");
  }
  if (path !== undefined && given) {
    throw new UsageError("give a machine file or flags, not both");
  }
  const { fileHost, loadMachine } = await import("../node/machine-file.ts");
  const [{ bootMachine }, { machineFromFlags }] = await Promise.all([
    import("../machine/boot.ts"),
    import("../machine/flags.ts"),
  ]);
  const start = performance.now();
  const machine =
    path === undefined ? bootMachine(machineFromFlags(flags), fileHost()) : loadMachine(path);
  return { machine, milliseconds: performance.now() - start };
}

/** Boots, runs `body`, and shuts down, whatever happens. */
export async function withMachine(
  invocation: MachineInvocation,
  body: (machine: Machine) => number,
): Promise<number> {
  const { machine } = await bootFrom(invocation);
  try {
    return body(machine);
  } finally {
    machine.shutdown();
  }
}
