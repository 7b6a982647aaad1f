/**
 * `daxkit completion`.
 *
 * @module
 */
import { STATUS_OK, UsageError, command } from "../command.ts";
import { SHELLS, type Shell, completionScript } from "../completion.ts";
import { closest } from "../../lib/suggest.ts";

export const completion = command({
  name: "completion",
  summary: "print the completion script for a shell",
  description: [
    "The script completes commands, options, their values and file names. Load it in the shell's " +
      "start-up file, or put it where the shell looks for completions.",
  ],
  json: "document",
  operands: [{ name: "SHELL", text: "bash or zsh", complete: SHELLS }],
  options: {},
  examples: [
    { line: "source <(daxkit completion bash)", text: "completes in this bash" },
    {
      line: "daxkit completion zsh > ~/.zfunc/_daxkit",
      text: "completes in every zsh that has ~/.zfunc in fpath before compinit",
    },
  ],
  run({ operands: [shell = ""], json, out, commands }) {
    if (!(SHELLS as readonly string[]).includes(shell)) {
      const near = closest(shell, SHELLS);
      const hint = near === undefined ? "" : `; did you mean '${near}'?`;
      throw new UsageError(`no completion for shell '${shell}', only ${SHELLS.join(", ")}${hint}`);
    }
    const script = completionScript(shell as Shell, commands);
    if (json) out.json({ shell, script });
    else out.text(script);
    return STATUS_OK;
  },
});
