/**
 * `daxkit up`.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import { formatSize } from "../../lib/size.ts";
import type { Machine, MachineDevice } from "../../machine/machine.ts";
import type { MachineControl } from "../../node/dm/machine-control.ts";
import type { ServedMachine } from "../../node/nbd/machine-exports.ts";
import { type Invocation, STATUS_FINDING, STATUS_OK, command } from "../command.ts";
import { oneLine } from "../errors.ts";
import { MACHINE_OPERAND, MACHINE_OPTIONS, bootFrom } from "../machines.ts";
import { printable } from "../output.ts";
import { quoted } from "../quoting.ts";
import { clearMarks, urisOf } from "../serving.ts";
import { onMark, waitForSignal } from "../signals.ts";

const OPTIONS = {
  verbose: { type: "flag", short: "v", text: "print what the kernel would have said" },
  mapper: {
    type: "file",
    value: "SOCKET",
    text: "take commands of 'daxkit dmsetup --mapper SOCKET' for the machine's mapped devices",
  },
  ...MACHINE_OPTIONS,
} as const;

type UpInvocation = Pick<
  Invocation<typeof OPTIONS>,
  "values" | "operands" | "json" | "out" | "terminal"
>;

export const up = command({
  name: "up",
  summary: "boot a machine and stay up until interrupted",
  description: [
    "Boots the machine, prints its devices, and keeps its files locked until SIGINT or SIGTERM " +
      "ends it cleanly. On a terminal it prints for people, otherwise JSON lines: 'boot', " +
      "'device' or 'refused' for each device, 'up', and 'down'.",
    "Devices that the machine file names under 'exports' are served as network block devices, at " +
      "the socket or port that it names under 'nbd': one more line, 'export', for each. Their " +
      "meta context 'daxkit:dirty' tells what was written since the start, or since the last " +
      "SIGUSR1.",
    "With '--mapper SOCKET', 'daxkit dmsetup --mapper SOCKET' works on the machine's mapped " +
      "devices while it is up: loads tables, suspends, removes, makes more. Tables name the " +
      "machine's devices, as its file does.",
    "A device that cannot be attached or served does not stop the others.",
  ],
  json: "lines",
  operands: [MACHINE_OPERAND],
  options: OPTIONS,
  examples: [
    { line: "daxkit up examples/machine.yaml", text: "boots the machine of the example" },
    { line: "daxkit up --pmem nv0.img,size=64M --brd 16M", text: "boots one from flags" },
  ],
  statuses: { 1: "a device could not be attached or served" },
  async run(invocation) {
    const { out } = invocation;
    const { machine, milliseconds } = await bootFrom(invocation);
    let served: ServedMachine | undefined;
    let control: MachineControl | undefined;
    const noMark = onMark(() => clearMarks(served?.server?.exports.list() ?? []));
    try {
      served = await serve(machine, invocation);
      control = await controlled(machine, served, invocation);
      const show = out.isTerminal && !invocation.json ? showForPeople : showAsJson;
      // A signal between the last line and the handler would end it without a shutdown.
      const { signal: ended } = waitForSignal();
      show({ machine, milliseconds, served, control }, invocation);
      out.flush();
      const signal = await ended;
      control?.close();
      await served?.server?.close();
      machine.shutdown();
      if (show === showAsJson) out.json({ event: "down", signal });
      else out.line(`\nshut down by ${signal}`);
    } finally {
      noMark();
      control?.close();
      await served?.server?.close();
      machine.shutdown();
    }
    const { failures, unmapped } = machine;
    const refused = failures.length + unmapped.length + (served?.refused.length ?? 0);
    return refused > 0 ? STATUS_FINDING : STATUS_OK;
  },
});

/** The server of what the machine file exports; undefined where it exports nothing. */
async function serve(
  machine: Machine,
  { operands, terminal, values }: UpInvocation,
): Promise<ServedMachine | undefined> {
  if (machine.description.exports === undefined) return undefined;
  const { serveMachine } = await import("../../node/nbd/machine-exports.ts");
  return serveMachine(machine, {
    folder: dirname(operands[0] ?? "."),
    onFault: (fault) => {
      if (values.verbose) terminal.message(oneLine(fault), "warning");
    },
  });
}

/** Where dmsetup's commands are taken, if anywhere. */
async function controlled(
  machine: Machine,
  served: ServedMachine | undefined,
  { values }: UpInvocation,
): Promise<MachineControl | undefined> {
  if (values.mapper === undefined) return undefined;
  const { controlMachine } = await import("../../node/dm/machine-control.ts");
  const { exports = [] } = machine.description;
  return controlMachine(machine, resolve(values.mapper), (device) => {
    const found = exports.find((each) => each.device === `mapper/${device}`);
    return found === undefined ? "" : (served?.server?.uri(found.name) ?? "");
  });
}

/** A machine that is up, with what is served of it. */
interface Up {
  readonly control: MachineControl | undefined;
  readonly machine: Machine;
  readonly milliseconds: number;
  readonly served: ServedMachine | undefined;
}

function showAsJson(
  { machine, milliseconds, served, control }: Up,
  { values, out }: UpInvocation,
): void {
  const { name, profile, seed } = machine.description;
  const { uuid } = machine;
  out.json({
    event: "boot",
    name,
    uuid,
    profile,
    seed,
    milliseconds: Number(milliseconds.toFixed(1)),
  });
  if (values.verbose) for (const text of machine.log) out.json({ event: "log", text });
  for (const device of machine.devices()) out.json({ event: "device", ...device });
  for (const { slot, error } of machine.failures) {
    out.json({ event: "refused", name: slot.name, code: error.code, message: error.message });
  }
  for (const { name: refused, error } of [...machine.unmapped, ...(served?.refused ?? [])]) {
    out.json({ event: "refused", name: refused, code: error.code, message: error.message });
  }
  for (const each of served?.server === undefined ? [] : urisOf(served.server)) {
    out.json({ event: "export", ...each });
  }
  const mapper = control === undefined ? {} : { mapper: control.path };
  out.json({ event: "up", pid: process.pid, ...mapper });
}

function showForPeople(
  { machine, milliseconds, served, control }: Up,
  { values, out, terminal }: UpInvocation,
): void {
  const { name, profile } = machine.description;
  const title = terminal.style("heading", name);
  out.line(`${title} (Linux ${profile}), booted in ${milliseconds.toFixed(1)} ms`);
  if (values.verbose) for (const text of machine.log) out.line(terminal.style("faint", text));
  for (const device of machine.devices()) {
    const label = terminal.style("name", device.name.padEnd(8));
    out.line(`  ${label} ${formatSize(device.size).padStart(10)}  ${wordsOf(device)}`);
  }
  for (const each of served?.server === undefined ? [] : urisOf(served.server)) {
    const label = terminal.style("name", printable(each.name).padEnd(8));
    out.line(`  ${label} served${each.readOnly ? ", read-only" : ""}: ${each.uri}`);
  }
  const { failures, unmapped } = machine;
  for (const { error } of [...failures, ...unmapped, ...(served?.refused ?? [])]) {
    terminal.message(oneLine(error));
  }
  if (control !== undefined) {
    out.line(`  mapped devices: daxkit dmsetup --mapper ${quoted(control.path)} COMMAND`);
  }
  out.line("up; Ctrl-C ends it");
}

const SURVIVES = {
  adr: "keeps what was flushed",
  eadr: "keeps every store",
  volatile: "keeps nothing",
} as const;

/** The ways in which it is mapped, in the order of its memory; none where all is write-back. */
function waysOf({ caching = [] }: MachineDevice): string {
  const ways = new Set(caching.map((range) => range.caching));
  return ways.size === 0 ? "" : `mapped ${[...ways].join(", ")}`;
}

function wordsOf(device: MachineDevice): string {
  const { domains, physicalStart, namespace, readOnly, file, mode, targets = [] } = device;
  const kinds = [...new Set(domains.map(({ domain }) => domain))];
  return [
    ...new Set(targets),
    ...(mode === undefined ? [] : [mode]),
    ...(kinds.length === 0
      ? []
      : [kinds.map((domain) => `${domain}: ${SURVIVES[domain]}`).join(", ")]),
    ...(waysOf(device) === "" ? [] : [waysOf(device)]),
    ...(physicalStart === undefined ? [] : [`at 0x${physicalStart.toString(16)}`]),
    ...(namespace === undefined ? [] : [namespace]),
    ...(readOnly ? ["read-only"] : []),
    ...(file === undefined ? [] : [`in ${file}`]),
  ].join("; ");
}
