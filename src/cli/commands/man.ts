/**
 * `daxkit man`.
 *
 * @module
 */
import { STATUS_OK, command } from "../command.ts";
import { manualPage } from "../man.ts";
import { packageVersion } from "../version.ts";

export const man = command({
  name: "man",
  summary: "print the manual page",
  description: ["The page is daxkit(1) in the man macros, for man -l, mandoc or a packager."],
  json: "document",
  operands: [],
  options: {},
  examples: [
    { line: "daxkit man | man -l -", text: "reads the manual" },
    {
      line: "daxkit man > ~/.local/share/man/man1/daxkit.1",
      text: "installs it, so that 'man daxkit' finds it",
    },
  ],
  run({ json, out, commands }) {
    const page = manualPage(commands, packageVersion());
    if (json) out.json({ name: "daxkit", section: 1, page });
    else out.text(page);
    return STATUS_OK;
  },
});
