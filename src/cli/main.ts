#!/usr/bin/env node
/**
 * The `daxkit` command.
 *
 * @module
 */
import { commandsFor, isCommand } from "./commands.ts";
import { descriptorOutput } from "./output.ts";
import { runCommandLine } from "./run.ts";
import { Terminal } from "./terminal.ts";

const out = descriptorOutput(1);
const terminal = new Terminal(out, descriptorOutput(2));
const words = process.argv.slice(2);
// mount.fuse3, for lack of a helper of ours, calls the subtype's program with a mount's line.
if (words.length === 4 && words[2] === "-o" && !isCommand(words[0] as string)) {
  const { mountHelper } = await import("./mount-helper.ts");
  process.exit(await mountHelper(words, (text) => terminal.message(text)));
}
const commands = await commandsFor(words[0]);
const status = await runCommandLine(words, { out, terminal, commands });
// All is written. What a program that was loaded left running must not keep the command alive.
process.exit(status);
