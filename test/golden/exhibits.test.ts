/** Exhibits: every argument is settled, and the pages of docs/exhibits show what they say today. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Exhibit, isSettled } from "../../src/cli/exhibits/exhibit.ts";
import { EXHIBITS } from "../../src/cli/exhibits/exhibits.ts";
import { exhibitLines } from "../../src/cli/exhibits/text.ts";
import { runLine } from "../support/command-line.ts";

const pages = join(import.meta.dirname, "../../docs/exhibits");
const table: readonly (readonly [string, Exhibit])[] = EXHIBITS.map((each) => [each.name, each]);

/** Times differ from run to run. */
function timeless(text: string): string {
  return text.replaceAll(/\d+\.\d ms/gu, "N ms");
}

/** What a page shows as the command's output. */
function transcriptOf(name: string): string {
  const page = readFileSync(join(pages, `${name}.md`), "utf8");
  return /```console\n\$ daxkit exhibit \S+\n([\s\S]*?)```/u.exec(page)?.[1] ?? "";
}

describe.each(table)("[1.16] [2.76] %s", (name, exhibit) => {
  test("[0.7] [0.17] [1.13] [2.7] [3.7] [4.1] all figures are right, and as shown", async () => {
    const { status, stdout } = await runLine(["exhibit", name]);
    expect(timeless(stdout)).toBe(timeless(transcriptOf(name)));
    expect(status).toBe(0);
  });

  test("a figure that is another one is told, and settles nothing", () => {
    const { figures } = exhibit.run();
    const [first, ...rest] = figures;
    const acted = { figures: [{ ...first!, expected: "something else" }, ...rest] };
    expect(isSettled(acted)).toBe(false);
    const text = exhibitLines(exhibit, acted, (_, piece) => piece).join("\n");
    expect(text.replaceAll(/\s+/gu, " ")).toContain("but should be something else");
    expect(text).toContain("Not settled");
  });
});

test("the list names each, for people and for programs", async () => {
  const names = EXHIBITS.map(({ name }) => name);
  const { stdout } = await runLine(["exhibit"]);
  expect(
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split(" ")[0]),
  ).toEqual(names);
  const lines = (await runLine(["exhibit", "LIST", "--json"])).stdout.trimEnd().split("\n");
  expect(lines.map((line) => (JSON.parse(line) as { name: string }).name)).toEqual(names);
  const overview = readFileSync(join(pages, "README.md"), "utf8");
  for (const name of names) {
    expect(overview).toContain(`(${name}.md)`);
    expect(existsSync(join(pages, `${name}.md`))).toBe(true);
  }
});

test("one for programs has its figures, an unknown one is refused with all names", async () => {
  const { stdout, status } = await runLine(["exhibit", "first-leg", "--json"]);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ name: "first-leg", settled: true });
  const unknown = await runLine(["exhibit", "second-leg"]);
  expect(unknown.status).toBe(2);
  expect(unknown.stderr).toMatch(/no exhibit 'second-leg'; there are .*first-leg/u);
});
