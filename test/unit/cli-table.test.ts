/**
 * The command table: what holds for every command, now and later, and what is made from it.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { Command } from "../../src/cli/command.ts";
import { allCommands, commandsFor } from "../../src/cli/commands.ts";
import { completionScript } from "../../src/cli/completion.ts";
import { commandHelp, overview } from "../../src/cli/help.ts";
import { manualPage } from "../../src/cli/man.ts";
import { parseArguments } from "../../src/cli/parse.ts";

const commands = await allCommands();

const plain = (_: string, text: string) => text;
const names = commands.map(({ name }) => name);
const table: readonly (readonly [string, Command])[] = commands.map((each) => [each.name, each]);
const folder = mkdtempSync(join(tmpdir(), "daxkit-table-"));
afterAll(() => rmSync(folder, { recursive: true }));

function has(program: string): boolean {
  return spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined;
}

describe.each(table)("%s", (_, spec) => {
  test("is described in the house style", () => {
    expect(spec.name).toMatch(/^[a-z][a-z0-9.-]*$/u);
    expect(spec.summary).toMatch(/^[a-z].*[^.]$/u);
    for (const [name, { text, short = "x" }] of Object.entries(spec.options)) {
      expect(name).toMatch(/^[a-z][a-z0-9-]*$/u);
      expect(short).toMatch(/^[A-Za-z0-9]$/u);
      expect(text).toMatch(/^[a-z0-9/(].*[^.]$/u);
    }
  });

  test("uses each letter once, and no name that all commands have", () => {
    const letters = Object.values(spec.options).flatMap(({ short }) => short ?? []);
    expect(new Set(letters).size).toBe(letters.length);
    expect(Object.keys(spec.options)).not.toContain("help");
    expect(Object.keys(spec.options)).not.toContain("json");
  });

  test("has examples that parse", () => {
    for (const { line } of spec.examples) {
      const own = new RegExp(`daxkit ${spec.name}\\b([^|<>)]*)`, "u").exec(line);
      expect(own).not.toBeNull();
      const words = (own?.[1] ?? "").trim().split(/\s+/u).filter(Boolean);
      expect(() => parseArguments(spec, words)).not.toThrow();
    }
  });

  test("has a page of help that names every option and example within 80 columns", () => {
    const help = commandHelp(spec, plain);
    for (const name of Object.keys(spec.options)) expect(help).toContain(`--${name}`);
    for (const { line } of spec.examples) expect(help).toContain(line);
    const prose = help.split("\n").filter((line) => !line.startsWith("  daxkit "));
    expect(prose.filter((line) => line.length > 80)).toEqual([]);
  });

  test("at most one operand may be left out or repeated", () => {
    const open = spec.operands.filter(({ count }) => count !== undefined);
    expect(open.length).toBeLessThanOrEqual(1);
  });
});

test("names are unique, and the overview lists them all", () => {
  expect(new Set(names).size).toBe(names.length);
  const text = overview(commands, plain);
  for (const { name, summary } of commands)
    expect(text).toMatch(new RegExp(`^  ${name} +${summary}$`, "mu"));
});

describe("the manual page", () => {
  const page = manualPage(commands, "1.2.3");

  test.skipIf(!has("man"))("is rendered by man without a warning (needs man-db)", () => {
    const path = join(folder, "daxkit.1");
    writeFileSync(path, page);
    const child = spawnSync("man", ["--warnings", "-l", path], {
      encoding: "utf8",
      env: { ...process.env, MANWIDTH: "100", LC_ALL: "C.UTF-8", MANROFFOPT: "" },
    });
    expect(child.stderr).toBe("");
    expect(child.status).toBe(0);
    for (const { name, summary } of commands)
      expect(child.stdout).toContain(`${name} - ${summary}`);
    for (const { examples } of commands) expect(child.stdout).toContain(examples[0].line);
  });

  test("lets no text of the table become a request or an escape", () => {
    const odd = {
      ...(commands[0] as Command),
      summary: "print a\\b",
      description: [".SH evil 'x"],
    };
    const lines = manualPage([odd], "1").split("\n");
    expect(lines).toContain("\\&.SH evil \\(aqx");
    expect(lines.join("\n")).toContain("print a\\eb");
  });
});

describe.skipIf(!has("bash"))("completion in bash (needs bash)", () => {
  const script = completionScript("bash", commands);

  /** What Tab offers behind the words; the last one is the word being typed. */
  function complete(...words: string[]): string[] {
    const program = `${script}
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=\${#COMP_LINE}
      _daxkit
      ((\${#COMPREPLY[@]} == 0)) || printf '%s\\n' "\${COMPREPLY[@]}"`;
    const argv = ["--norc", "-c", program, "bash", "daxkit", ...words];
    const child = spawnSync("bash", argv, { encoding: "utf8", cwd: folder });
    expect(child.stderr).toBe("");
    return child.stdout.split("\n").filter(Boolean).toSorted();
  }

  test("offers the commands", () => {
    expect(complete("")).toEqual([...names, "--help", "--version"].toSorted());
    expect(complete("comp")).toEqual(["completion"]);
    expect(complete("--v")).toEqual(["--version"]);
  });

  test("offers the options of the command", () => {
    expect(complete("man", "--j")).toEqual(["--json"]);
    expect(complete("man", "-")).toEqual(["--help", "--json", "-h"]);
    expect(complete("man", "--", "-")).toEqual([]);
  });

  test("offers file names, spaces and all, for operands and options", () => {
    writeFileSync(join(folder, "disk one.img"), "");
    expect(complete("ls", "-l", "di")).toEqual(["disk one.img"]);
    expect(complete("tar", "-f", "disk")).toEqual(["disk one.img"]);
    expect(complete("tar", "--file", "=", "disk")).toEqual(["disk one.img"]);
    expect(complete("cat", "--", "di")).toEqual(["disk one.img"]);
  });

  test("offers the words of an option, and nothing where any text may stand", () => {
    expect(complete("prove", "--torn", "a")).toEqual(["atoms"]);
    expect(complete("prove", "--torn", "=", "")).toEqual(["atoms", "line", "prefix"]);
    expect(complete("ls", "--partition", "")).toEqual([]);
    expect(complete("ls", "disk one.img", ":", "/e")).toEqual([]);
    expect(complete("nonsense", "di")).toEqual([]);
  });

  test("offers the words of an operand", () => {
    expect(complete("completion", "")).toEqual(["bash", "zsh"]);
    expect(complete("completion", "z")).toEqual(["zsh"]);
  });
});

describe.skipIf(!has("zsh"))("completion in zsh (needs zsh)", () => {
  const script = completionScript("zsh", commands);

  /** Types a line into a real zsh on a pseudo-terminal, presses Tab, and returns the new line. */
  function complete(line: string): string {
    const path = join(folder, "_daxkit");
    writeFileSync(path, script);
    const program = `
      zmodload zsh/zpty
      zpty shell 'TERM=dumb PS1=PROMPT zsh -f -i'
      zpty -w shell 'unsetopt prompt_cr prompt_sp; bindkey -e; autoload -U compinit'
      zpty -w shell 'compinit -u -D; source ${path}; cd ${folder}; f() { print -r -- "<$BUFFER>"; }'
      zpty -w shell 'zle -N f; bindkey "^X^A" f; print -r -- REA""DY'
      zpty -r -m shell line '*READY*'
      zpty -w -n shell $'${line}\\t\\x18\\x01'
      zpty -r -m shell line '*<*>*'
      print -r -- "$line"
      zpty -d shell`;
    const child = spawnSync("zsh", ["-f", "-c", program], { encoding: "utf8", timeout: 120_000 });
    expect(child.stderr).toBe("");
    return /<([^>]*)>/u.exec(child.stdout)?.[1] ?? child.stdout;
  }

  test("completes a command, an option and an operand", () => {
    expect(complete("daxkit compl")).toBe("daxkit completion ");
    expect(complete("daxkit man --js")).toBe("daxkit man --json ");
    expect(complete("daxkit completion z")).toBe("daxkit completion zsh ");
    expect(complete("daxkit prove --torn=at")).toBe("daxkit prove --torn=atoms ");
    writeFileSync(join(folder, "disk.two"), "");
    expect(complete("daxkit ls -l disk.t")).toBe("daxkit ls -l disk.two ");
  });
});

test.each(commands.map(({ name }) => name))("%s is what is loaded for its name", async (name) => {
  const loaded = await commandsFor(name);
  const own = loaded.map((command) => command.name);
  expect(own).toEqual(
    ["completion", "man"].includes(name) ? commands.map((one) => one.name) : [name],
  );
});

test("a word that is no command loads them all, to say which there are", async () => {
  expect(await commandsFor("mkfs.xfs")).toEqual(commands);
  expect(await commandsFor(undefined)).toEqual(commands);
});
