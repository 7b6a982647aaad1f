/** docs/page-descriptors.md shows what the command prints today. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { runLine } from "../support/command-line.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/page-descriptors.md"), "utf8");
const shown = [...page.matchAll(/```console\n\$ daxkit (.*)\n([\s\S]*?)```/gu)];

test("[1.26] [2.14] [2.62] the page has examples, and says what does not apply", () => {
  expect(shown.length).toBe(3);
  expect(page).toMatch(/Huge pages of the page cache.* do not apply/u);
});

test.each(shown.map(([, line = "", output = ""]) => [line, output]))("%s", async (line, output) => {
  const { status, stdout } = await runLine(line.split(" "));
  expect(status).toBe(0);
  expect(stdout).toBe(output);
});
