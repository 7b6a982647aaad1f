/** The command in this process: a line is parsed and run, and what it prints is kept. */
import { allCommands } from "../../src/cli/commands.ts";
import { Output } from "../../src/cli/output.ts";
import { runCommandLine } from "../../src/cli/run.ts";
import { Terminal } from "../../src/cli/terminal.ts";

const commands = await allCommands();

/** How a line ended. */
export interface LineEnded {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `daxkit ARGV`; nobody is asked, since nothing is a terminal. */
export async function runLine(argv: readonly string[]): Promise<LineEnded> {
  const chunks: { out: Uint8Array[]; err: Uint8Array[] } = { out: [], err: [] };
  const sink = (name: "out" | "err") =>
    new Output((bytes) => chunks[name].push(Uint8Array.from(bytes)), false);
  const [out, err] = [sink("out"), sink("err")];
  const terminal = new Terminal(out, err, { environment: {} });
  const status = await runCommandLine(argv, { out, terminal, commands });
  const text = (name: "out" | "err") => Buffer.concat(chunks[name]).toString();
  return { status, stdout: text("out"), stderr: text("err") };
}
