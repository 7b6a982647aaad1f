import { expect, test } from "vitest";
import { type Command, UsageError, command } from "../../src/cli/command.ts";
import { BrokenPipeError, Output, printable } from "../../src/cli/output.ts";
import { runCommandLine } from "../../src/cli/run.ts";
import { Terminal, type TerminalOptions } from "../../src/cli/terminal.ts";
import { DaxError, assert } from "../../src/lib/errno.ts";

interface Screen {
  readonly out: Output;
  readonly err: Output;
  stdout(): Buffer;
  stderr(): string;
}

function screen(isTerminal = false): Screen {
  const chunks: Record<"out" | "err", Uint8Array[]> = { out: [], err: [] };
  const sinkTo = (name: "out" | "err") =>
    new Output((bytes) => chunks[name].push(Uint8Array.from(bytes)), isTerminal);
  const out = sinkTo("out");
  const err = sinkTo("err");
  return {
    out,
    err,
    stdout: () => Buffer.concat(chunks.out),
    stderr: () => Buffer.concat(chunks.err).toString(),
  };
}

function stub(name: string, run: Command["run"]): Command {
  const examples = [{ line: `daxkit ${name}`, text: "runs it" }] as const;
  return command({
    name,
    summary: `do ${name}`,
    description: [],
    json: "document",
    operands: [{ name: "FILE", text: "a file", count: "any" }],
    options: {},
    examples,
    run,
  });
}

async function typed(argv: readonly string[], commands: readonly Command[], at = screen()) {
  const terminal = new Terminal(at.out, at.err, { environment: {} });
  const status = await runCommandLine(argv, { out: at.out, terminal, commands });
  return { status, stdout: at.stdout().toString(), stderr: at.stderr() };
}

const good = stub("good", ({ out, operands }) => {
  out.line(operands.join(" "));
  return 0;
});

test("a command's output and status are passed on", async () => {
  const finding = stub("finding", () => 1);
  expect(await typed(["good", "a", "b"], [good])).toMatchObject({ status: 0, stdout: "a b\n" });
  expect(await typed(["finding"], [finding])).toMatchObject({ status: 1, stderr: "" });
});

test.each([
  [[], "daxkit: usage: COMMAND is missing"],
  [["goood"], "daxkit: usage: unknown command 'goood'; did you mean 'good'?"],
  [["--json", "good"], "daxkit: usage: option '--json' stands behind the command"],
  [["good", "--jso"], "daxkit good: usage: unknown option '--jso': write it in full, '--json'"],
  [["--version", "x"], "daxkit: usage: 'x' is one operand too many"],
])("a mistake %j is one line on standard error and status 2", async (argv, text) => {
  const { status, stdout, stderr } = await typed(argv, [good]);
  expect(stderr).toContain(text);
  expect(stderr.split("\n")).toHaveLength(2);
  expect(stderr).toMatch(/\('daxkit( good)? --help' shows what there is\)\n$/u);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
});

test("an operating error is one line without a stack; what was printed before stays", async () => {
  const bad = stub("bad", ({ out }) => {
    out.line("first");
    throw new DaxError("EUCLEAN", { syscall: "mount", path: "a\nb\u001B[2J", detail: "magic 0" });
  });
  const { status, stdout, stderr } = await typed(["bad"], [bad]);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "first\n" });
  expect(stderr).toBe(
    "daxkit bad: EUCLEAN: structure needs cleaning, mount 'a\\nb\\x1b[2J' (magic 0)\n",
  );
});

test("an error of Node's fs reads the same", async () => {
  const bad = stub("bad", () => {
    throw Object.assign(new Error("ENOENT: no such file or directory, open 'x'"), {
      code: "ENOENT",
    });
  });
  const { stderr } = await typed(["bad"], [bad]);
  expect(stderr).toBe("daxkit bad: ENOENT: no such file or directory, open 'x'\n");
});

test("a word that begins like several commands is answered with them", async () => {
  const several = ["mkfs.ext2", "mkfs.ext4", "list"].map((name) => stub(name, () => 0));
  for (const word of ["mkfs", "mkfs.xfs", "mk"]) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    const { stderr } = await typed([word], several);
    expect(stderr).toContain(`unknown command '${word}'; there are mkfs.ext2, mkfs.ext4 (`);
  }
  expect((await typed(["frob.x"], several)).stderr).toContain("unknown command 'frob.x' (");
});

test.each([
  ["an assertion", () => assert(false, "two and two make five")],
  ["anything else", () => (undefined as unknown as { two: string }).two],
])("%s is called a bug, with its stack", async (_, fail) => {
  const bad = stub("bad", () => {
    fail();
    return 0;
  });
  const { status, stderr } = await typed(["bad"], [bad]);
  expect(status).toBe(2);
  expect(stderr).toContain("daxkit bad: this is a bug in daxkit; please report it");
  expect(stderr).toMatch(/two[\s\S]*\n {4}at /u);
});

test("a usage error of the command itself points at its help", async () => {
  const bad = stub("bad", () => {
    throw new UsageError("nothing to do");
  });
  const { stderr } = await typed(["bad"], [bad]);
  expect(stderr).toBe(
    "daxkit bad: usage: nothing to do ('daxkit bad --help' shows what there is)\n",
  );
});

test("a reader that went away is no error to speak of", async () => {
  const endless = stub("endless", ({ out }) => {
    for (;;) out.line("y");
  });
  let taken = 0;
  const out = new Output((bytes) => {
    taken += bytes.length;
    if (taken > 200_000) throw new BrokenPipeError("gone");
  }, false);
  const at = screen();
  const terminal = new Terminal(out, at.err, { environment: {} });
  const status = await runCommandLine(["endless"], { out, terminal, commands: [endless] });
  expect({ status, stderr: at.stderr() }).toEqual({ status: 141, stderr: "" });
});

test("a full disk behind standard output is reported", async () => {
  const at = screen();
  const out = new Output(() => {
    throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  }, false);
  const terminal = new Terminal(out, at.err, { environment: {} });
  const status = await runCommandLine(["good"], { out, terminal, commands: [good] });
  expect({ status, stderr: at.stderr() }).toEqual({
    status: 2,
    stderr: "daxkit good: ENOSPC: no space left on device, write\n",
  });
});

test("--help, of all and of one, and the table itself as JSON", async () => {
  const all = await typed(["--help"], [good]);
  expect(all.stdout).toContain("  good  do good\n");
  const one = await typed(["good", "--help"], [good]);
  expect(one.stdout).toContain("Usage: daxkit good [OPTION]... [FILE]...");
  expect((await typed(["--help", "good"], [good])).stdout).toBe(one.stdout);
  expect((await typed(["help", "good"], [good])).stdout).toBe(one.stdout);
  const table = JSON.parse((await typed(["--help", "--json"], [good])).stdout);
  expect(table).toMatchObject([{ name: "good", json: "document" }]);
  const page = JSON.parse((await typed(["good", "--help", "--json"], [good])).stdout);
  expect(page).toMatchObject({ name: "good" });
});

test("--version, for people and programs", async () => {
  const { stdout } = await typed(["--version"], []);
  expect(stdout).toMatch(/^daxkit \d+\.\d+\.\d+\n$/u);
  const { name, version } = JSON.parse((await typed(["--version", "--json"], [])).stdout);
  expect(stdout).toBe(`${name} ${version}\n`);
});

test("output keeps order, whatever is written in whatever pieces", () => {
  const at = screen();
  const big = Buffer.alloc(100_000, "b");
  at.out.text("a");
  at.out.bytes(big);
  at.out.text("c");
  for (let i = 0; i < 20_000; i++) at.out.line("line");
  at.out.flush();
  const all = at.stdout();
  expect(all.length).toBe(1 + 100_000 + 1 + 20_000 * 5);
  expect(all.subarray(0, 3).toString()).toBe("abb");
  expect(all.subarray(99_999, 100_005).toString()).toBe("bbclin");
});

test("a buffer may be reused as soon as it was written", () => {
  const at = screen();
  const scratch = Buffer.from("one");
  at.out.bytes(scratch);
  scratch.write("two");
  at.out.bytes(scratch);
  at.out.flush();
  expect(at.stdout().toString()).toBe("onetwo");
});

test("a name that is not UTF-8 keeps its bytes on output, and is escaped for people", () => {
  const at = screen();
  at.out.text("caf\udce9 é 😀");
  at.out.flush();
  expect([...at.stdout()]).toEqual([0x63, 0x61, 0x66, 0xe9, 0x20, ...Buffer.from("é 😀")]);
  expect(printable("caf\udce9\t\u0007\u009B\u202E é😀")).toBe(
    String.raw`caf\xe9\t\x07\x9b\u{202e} é😀`,
  );
});

function terminalOn(isTerminal: boolean, environment: Record<string, string>, now = () => 0) {
  const at = screen(isTerminal);
  const options: TerminalOptions = { environment, now };
  return { at, terminal: new Terminal(at.out, at.err, options) };
}

test.each([
  [true, {}, true],
  [true, { NO_COLOR: "" }, true],
  [true, { NO_COLOR: "1" }, false],
  [true, { TERM: "dumb" }, false],
  [false, {}, false],
])("terminal %s with %j: coloured %s", (isTerminal, environment, coloured) => {
  const { at, terminal } = terminalOn(isTerminal, environment);
  expect(terminal.style("bad", "x")).toBe(coloured ? "\u001B[31mx\u001B[39m" : "x");
  terminal.message("hello");
  expect(at.stderr().includes("\u001B[")).toBe(coloured);
});

test("progress waits a second, speaks ten times a second, and cleans up", () => {
  let clock = 0;
  const { at, terminal } = terminalOn(true, {}, () => clock);
  const progress = terminal.progress("reading");
  progress.step(1, 10, "files");
  clock = 999;
  progress.step(2, 10, "files");
  expect(at.stderr()).toBe("");
  clock = 1000;
  progress.step(3, 10, "files");
  clock = 1050;
  progress.step(4, 10, "files");
  clock = 1100;
  progress.step(5, 0, "files");
  progress.finish();
  progress.finish();
  const shown = "\r\u001B[Kreading: 3 of 10 files, 30 %\r\u001B[Kreading: 5 files\r\u001B[K";
  expect(at.stderr()).toBe(shown);
});

test("a message takes the progress line away first", () => {
  let clock = 0;
  const { at, terminal } = terminalOn(true, { NO_COLOR: "1" }, () => clock);
  const progress = terminal.progress("reading");
  clock = 2000;
  progress.step(1, 0, "files");
  terminal.message("a warning");
  expect(at.stderr()).toBe("\r\u001B[Kreading: 1 files\r\u001B[Kdaxkit: a warning\n");
});

test("there is no progress without a terminal", () => {
  let clock = 0;
  const { at, terminal } = terminalOn(false, {}, () => clock);
  const progress = terminal.progress("reading");
  clock = 5000;
  progress.step(1, 2, "files");
  progress.finish();
  expect(at.stderr()).toBe("");
});
