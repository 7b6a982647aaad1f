/**
 * Command lines of dmsetup and what a guest's one said to them, as the job `dmsetup-words.sh` of
 * `test/guest` writes them down: there stands what a line means.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The recorded lines. */
export const GOLDEN_WORDS = readFileSync(
  join(import.meta.dirname, "../golden/dmsetup-words.txt"),
  "utf8",
);

/** One run of dmsetup and what became of it. */
export interface SaidLine {
  readonly words: readonly string[];
  readonly input: string;
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
  readonly kernel: readonly string[];
  readonly status: number;
  /** A table is tried. */
  readonly isProbe: boolean;
  /** Nothing else was run for this line. */
  readonly isLast: boolean;
}

/** Lines that begin with nothing on the machine. */
export interface Part {
  readonly name: string;
  /** What the job is given. */
  readonly commands: string;
  /** What it printed. */
  readonly text: string;
  readonly lines: readonly SaidLine[];
}

/** The parts of a record; each begins with `## NAME`. */
export function partsOf(record: string): Part[] {
  return record.split(/^(?=## )/mu).map((text) => {
    const blocks = text.split(/^(?=\$ )/mu);
    const commands = text.split("\n").flatMap((line) => {
      if (line.startsWith("#")) return [line];
      return line.startsWith("$ ") ? [line.slice(2)] : [];
    });
    return {
      name: (blocks[0] ?? "").slice(3).trim(),
      commands: `${commands.join("\n")}\n`,
      text,
      lines: blocks.slice(1).flatMap((block) => linesOf(block)),
    };
  });
}

function linesOf(block: string): SaidLine[] {
  const [first = "", ...rest] = block.split("\n");
  const line = first.slice(2);
  const runs = runsOf(rest);
  return runs.map((run, index) => {
    const isLast = index === runs.length - 1;
    if (!line.startsWith("? ")) return Object.assign(run, callOf(line), { isProbe: false, isLast });
    const verb = ["create", "table", "status", "deps"][index] ?? "";
    const words = [verb, "probe", ...(index === 0 ? ["--table", tableText(line.slice(2))] : [])];
    return Object.assign(run, { words, input: "", isProbe: index === 0, isLast });
  });
}

type Run = Pick<SaidLine, "stdout" | "stderr" | "kernel" | "status">;

/** What was printed: `| ` output, `! ` errors, `= ` the status, and then `K ` the kernel's log. */
function runsOf(rest: readonly string[]): Run[] {
  const runs: Run[] = [];
  let [stdout, stderr, kernel]: string[][] = [[], [], []];
  for (const line of rest) {
    const text = line.slice(2);
    if (line.startsWith("| ")) stdout?.push(text);
    else if (line.startsWith("! ")) stderr?.push(text);
    else if (line.startsWith("K ")) kernel?.push(text);
    else if (line.startsWith("= ")) {
      kernel = [];
      runs.push({ stdout: stdout ?? [], stderr: stderr ?? [], kernel, status: Number(text) });
      [stdout, stderr] = [[], []];
    }
  }
  return runs;
}

/** Disks are called %A to %D, and ^ ends a line. */
function tableText(text: string): string {
  const nodes: Readonly<Record<string, string>> = { A: "vdb", B: "vdc", C: "vdd", D: "vde" };
  return text
    .replaceAll("^", "\n")
    .replaceAll(/%([A-D])/gu, (_, letter: string) => `/dev/${nodes[letter]}`);
}

function callOf(line: string): { readonly words: string[]; readonly input: string } {
  const [before = "", input] = line.split(" <<< ");
  return {
    words: shellWords(tableText(before)),
    input: input === undefined ? "" : `${tableText(input)}\n`,
  };
}

/** Words as a shell has them: parted by blanks, with single quotes and backslashes. */
function shellWords(text: string): string[] {
  const words: string[] = [];
  for (const [word] of text.matchAll(/(?:'[^']*'|\\[\s\S]|[^\s'\\])+/gu)) {
    words.push(word.replaceAll(/'([^']*)'|\\([\s\S])/gu, "$1$2"));
  }
  return words;
}
