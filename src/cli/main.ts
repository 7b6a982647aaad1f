#!/usr/bin/env node
/**
 * The `daxkit` command.
 *
 * @module
 */
import { commandsFor } from "./commands.ts";
import { descriptorOutput } from "./output.ts";
import { runCommandLine } from "./run.ts";
import { Terminal } from "./terminal.ts";

const out = descriptorOutput(1);
const terminal = new Terminal(out, descriptorOutput(2));
const words = process.argv.slice(2);
const commands = await commandsFor(words[0]);
const status = await runCommandLine(words, { out, terminal, commands });
// All is written. What a program that was loaded left running must not keep the command alive.
process.exit(status);
