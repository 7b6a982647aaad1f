#!/usr/bin/env node
/**
 * The `daxkit` command.
 *
 * @module
 */
import { commands } from "./commands.ts";
import { descriptorOutput } from "./output.ts";
import { runCommandLine } from "./run.ts";
import { Terminal } from "./terminal.ts";

const out = descriptorOutput(1);
const terminal = new Terminal(out, descriptorOutput(2));
process.exitCode = await runCommandLine(process.argv.slice(2), { out, terminal, commands });
